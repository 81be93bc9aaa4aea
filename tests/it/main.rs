//! The server as its users meet it: a real process on free ports, real sockets, real databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Shared with the other test binaries, which use other parts of it.
#[allow(dead_code)]
mod harness;

mod seed;
mod v1;
mod receipts;
mod sync;
mod login;
mod http_api;
mod hostile;
mod reaper;
mod lifecycle;
mod store_trouble;
