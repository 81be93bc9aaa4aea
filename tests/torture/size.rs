//! How much a proof does, what it counts with, and where its figure goes.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

/// Whether the long forms run, which `make torture` asks for: they measure times too, and have the machine to
/// themselves.
pub fn is_long() -> bool {
    std::env::var("HONGYAN_TORTURE").is_ok_and(|size| size == "long")
}

/// What one form does.
pub fn size<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// Prints a figure on a line of its own, which `make test` and `make torture` gather.
pub fn figure(name: &str, what: impl Display) {
    note(&format!("figure: {name}: {what}\n"));
}

/// Says why this machine does not run a proof.
pub fn skipped(why: &str) {
    note(&format!("skipped: {why}\n"));
}

/// Prints a line, and keeps it where the one who runs the tests collects what they say.
fn note(line: &str) {
    print!("{line}");
    if let Some(path) = std::env::var_os("HONGYAN_TEST_NOTES") {
        let mut notes = OpenOptions::new().create(true).append(true).open(path).unwrap();
        notes.write_all(line.as_bytes()).unwrap();
    }
}

/// Lets this process have so many files open, or ends the test.
pub fn raise_descriptors(wanted: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= wanted) {
        return;
    }
    assert!(
        limit.maximum.is_none_or(|most| most >= wanted),
        "{wanted} open files are needed, and the hard limit is lower (ulimit -Hn)"
    );
    limit.current = Some(wanted);
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Lets the calling thread run only where no other wants the processor (sched(7), `SCHED_IDLE`). With nice 19
/// it would have a core of its own for milliseconds, while the others share what is left: the kernel balances
/// them late.
pub fn run_when_idle() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: a plain system call on the calling thread; `none` lives through it.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &none) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// The time that 99 of 100 keep to.
pub fn p99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[test]
fn p99_is_the_time_that_99_of_100_keep_to() {
    let times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
    assert_eq!(p99(&times), Duration::from_millis(198));
    assert_eq!(p99(&times[..1]), Duration::from_millis(200));
}
