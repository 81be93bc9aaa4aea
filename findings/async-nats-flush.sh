#!/usr/bin/env bash
# async-nats 0.51.0: Client::flush() answers as soon as the client's own buffer is written to the socket. It is no round trip, as Flush is in
# NATS's Go client (PING, and a wait for PONG): it says Ok while the server is frozen and takes nothing.
#
# Needs cargo and the network. Prints what it saw; exits 1 if that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
async-nats = "=0.51.0"
tokio = { version = "=1.54.1", features = ["full"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Enough of a server for the handshake (docs.nats.io, "Client Protocol"); then it neither reads nor says anything more, like one that got
/// SIGSTOP.
async fn frozen_after_the_handshake(listener: tokio::net::TcpListener) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let info = r#"INFO {"server_id":"x","server_name":"x","version":"2.10.0","go":"go1","host":"127.0.0.1","port":1,"headers":true,"max_payload":1048576,"proto":1}"#;
    socket.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(4).any(|w| w == b"PING") {
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).await.unwrap();
        seen.extend_from_slice(&buffer[..read]);
    }
    socket.write_all(b"PONG\r\n").await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(frozen_after_the_handshake(listener));
    let client = async_nats::connect(url).await.unwrap();
    client.publish("subject", "payload".into()).await.unwrap();
    let began = Instant::now();
    let flushed = timeout(Duration::from_secs(5), client.flush()).await;
    println!("the server has read nothing since the handshake; flush() said {flushed:?} after {:?}", began.elapsed());
    let as_found = matches!(flushed, Ok(Ok(())));
    println!("{}", if as_found { "as found: it proves nothing about the server" } else { "changed: it waits for the server now" });
    std::process::exit(if as_found { 0 } else { 1 });
}
RUST
echo 'async-nats 0.51.0'
cd "$folder"
cargo run --quiet
