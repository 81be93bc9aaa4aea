//! How much a proof does, and where its figure goes.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;

/// The long form, which `make torture` asks for.
pub fn is_long() -> bool {
    std::env::var("HONGYAN_TORTURE").is_ok_and(|size| size == "long")
}

/// What one form does in numbers.
pub fn short_or_long(short: usize, long: usize) -> usize {
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
