//! Processes that see another time than the machine's, by libfaketime. Their monotonic clock stays: setting a
//! clock does not touch it.

use crate::harness::Server;
use crate::size::skipped;

/// Where Debian and Fedora have it.
const USUAL: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

/// The library's file; `None`, and a word on why, where it is missing.
pub fn library() -> Option<String> {
    let named = std::env::var("HONGYAN_TEST_FAKETIME").ok().filter(|file| !file.is_empty());
    let found = named.or_else(|| {
        USUAL.iter().find(|file| std::path::Path::new(file).exists()).map(|file| (*file).to_owned())
    });
    if found.is_none() {
        skipped("it needs libfaketime (Debian: libfaketime); `make test` installs it");
    }
    found
}

/// From its next start on the server, and every command with its settings, sees the machine's time with this
/// offset, such as `+5m`.
pub fn set(server: &mut Server, library: &str, offset: &str) {
    for (name, value) in [
        ("LD_PRELOAD", library),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ] {
        server.set_variable(name, Some(value));
    }
}
