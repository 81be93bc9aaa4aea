//! A thousand hostile inputs of ten kinds, several times over: nothing panics, no answer is the server's
//! fault, and nothing of them stays in memory or in the log.

use std::time::Duration;

use futures_util::future::join_all;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{PATIENCE, Server};
use crate::hostile_kinds::{CANARY, Input, KINDS, Kind};
use crate::size::figure;
use crate::unharmed::{talk, unharmed};

/// Of each kind in a round.
const INPUTS: usize = 100;
const SIDE_BY_SIDE: usize = 20;
/// What the server may keep of a round: the least memory after two rounds less the most after the two before.
const GROWTH: i64 = 2_000_000;

#[actix_web::test]
async fn a_thousand_hostile_inputs_leave_nothing_behind() {
    // No input is turned away before it is looked at.
    let server = Server::with([
        ("limits.handshakes_per_second_per_address", "0"),
        ("limits.sessions_per_user", "0"),
        ("limits.messages_per_second", "0"),
        ("limits.bytes_per_day", "0"),
        ("limits.http_burst", "0"),
        // The cache of the database grows with what is stored.
        ("database.cache_kib", "1024"),
        ("log.filter", "warn,hongyan=trace,actix_http=off"),
    ])
    .await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let (_, document) = server.http().get("/v1/openapi.json").await;
    let mut rng = StdRng::seed_from_u64(seed);
    let token = server.http_as("mallory").await.token().to_owned();
    let (mut grown, mut rounds) = (Vec::new(), 0);
    for kind in &KINDS {
        let mut strike = async || {
            strike(&server, kind, (0..INPUTS).map(|_| (kind.make)(&mut rng, &document, &token)).collect())
                .await;
            talk(&server).await;
            server.memory() as i64
        };
        let mut left = Vec::new();
        // What inputs leave, they leave each time; what only the allocator or a cache keeps for once is not
        // seen three times.
        while left.last().is_none_or(|growth| *growth > GROWTH) {
            assert!(left.len() < 3, "each round of {} left something in memory: {left:?}", kind.name);
            let before = strike().await.max(strike().await);
            left.push(strike().await.min(strike().await) - before);
            rounds += 4;
        }
        grown.push(format!("{} {:+.1}", kind.name, *left.last().unwrap() as f64 / 1e6));
    }
    server.metric_becomes("hongyan_sessions", 0.0).await;
    unharmed(&server, &[CANARY, &token]).await;
    figure(
        "hostile inputs",
        format!(
            "{} of {} kinds, 0 panics, 0 HTTP 5xx; memory, MB: {}",
            rounds * INPUTS,
            KINDS.len(),
            grown.join(", ")
        ),
    );
}

async fn strike(server: &Server, kind: &Kind, inputs: Vec<Input>) {
    let mut inputs = inputs.into_iter();
    loop {
        let some: Vec<Input> = inputs.by_ref().take(SIDE_BY_SIDE).collect();
        if some.is_empty() {
            return;
        }
        for answer in join_all(some.into_iter().map(|input| throw(server, input))).await {
            let text = String::from_utf8_lossy(&answer);
            assert!(!text.starts_with("HTTP/1.1 5"), "{}: {text}", kind.name);
        }
    }
}

/// Sends one input, says that no more comes, and reads what is answered until the server ends the connection.
async fn throw(server: &Server, input: Input) -> Vec<u8> {
    let (mut reading, mut writing) = TcpStream::connect(&server.at).await.unwrap().into_split();
    let mut answer = Vec::new();
    if input.shakes_hands {
        let head = format!(
            "GET /mallory?to_user_openid=victim&device=d{:x} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: hongyan.v1\r\nAuthorization: Bearer {}\r\n\r\n",
            rand::random::<u64>(),
            input.token
        );
        writing.write_all(head.as_bytes()).await.unwrap();
    }
    let send = async {
        // The server may hang up at any byte.
        let _ = writing.write_all(&input.bytes).await;
        let _ = writing.shutdown().await;
        writing
    };
    let read = async {
        let _ = reading.read_to_end(&mut answer).await;
    };
    let both = timeout(PATIENCE + Duration::from_secs(10), futures_util::future::join(send, read)).await;
    assert!(both.is_ok(), "the server keeps the connection");
    if input.shakes_hands {
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    }
    answer
}
