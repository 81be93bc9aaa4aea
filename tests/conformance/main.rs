//! WebSocket conformance: a table of cases drawn from RFC 6455. Frames go to the example `echo`, which is the
//! transport of real sessions behind an echo; handshakes go to the server itself, over both transports.
//!
//! `cargo test` and `cargo nextest run` build the example; with `--test conformance` alone, run `cargo build
//! --example echo` first. `cargo test --examples --test conformance -- --nocapture` prints the sum of all
//! groups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../it/harness/mod.rs"]
#[allow(dead_code, unused_imports)]
mod harness;

mod case;
mod close;
mod control;
mod echo;
mod fragments;
mod framing;
mod handshake;
mod utf8;

/// The tests below.
const GROUPS: usize = 6;

#[actix_web::test]
async fn framing() {
    echo::hold("framing", framing::cases()).await;
}

#[actix_web::test]
async fn fragments() {
    echo::hold("fragments", fragments::cases()).await;
}

#[actix_web::test]
async fn control() {
    echo::hold("control", control::cases()).await;
}

#[actix_web::test]
async fn utf8() {
    echo::hold("utf8", utf8::cases()).await;
}

#[actix_web::test]
async fn close() {
    echo::hold("close", close::cases()).await;
}

#[actix_web::test]
async fn handshake() {
    handshake::hold().await;
}
