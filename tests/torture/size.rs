//! How much a proof does, and what it counts with.

use std::time::Duration;

/// Whether the long forms run: they measure times too, and want the machine for themselves.
pub fn is_long() -> bool {
    std::env::var("HONGYAN_TORTURE").is_ok_and(|size| size == "long")
}

pub fn size<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// Lets this process have so many files open, or ends the test.
pub fn raise_descriptors(wanted: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= wanted) {
        return;
    }
    assert!(limit.maximum.is_none_or(|most| most >= wanted), "{wanted} open files are needed, and the hard limit is lower (ulimit -Hn)");
    limit.current = Some(wanted);
    setrlimit(Resource::Nofile, limit).unwrap();
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
