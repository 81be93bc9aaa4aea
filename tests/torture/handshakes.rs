//! Handshakes that stall or trickle are dropped at the time-out, and keep nobody else out.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tokio::time::timeout;

use crate::harness::{Raw, Server};
use crate::size::{figure, ms, raise_descriptors, size};
use crate::unharmed::unharmed;

/// What the server gives a handshake (docs/PROTOCOL.md), and what a test gives the server beyond it.
const TIME_OUT: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(20);
/// Attempts of a good client while the others hold on.
const ATTEMPTS: usize = 20;

const HEAD: &str = "GET /slow?to_user_openid=x&code=dev:slow HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13";

#[actix_web::test]
async fn slow_handshakes_are_dropped_and_keep_nobody_out() {
    let many = size(1_000, 10_000);
    raise_descriptors(many as u64 + 500);
    // They stand for many addresses; what one address may hold, and what goes for a newcomer,
    // tests/it/connections.rs has.
    let server = Server::with([
        ("limits.handshakes_per_second_per_address", "0"),
        ("limits.connections_per_address", "0"),
        ("limits.connections", &(many + 500).to_string()),
    ])
    .await;
    unharmed(&server, &[]).await;
    let mut slow = Vec::new();
    for n in 0..many {
        let mut raw = server.raw().await;
        let began = Instant::now();
        // A third says nothing, a third stalls in its head, a third goes on one byte at a time.
        let (now, later) = HEAD.as_bytes().split_at(if n % 3 == 0 { 0 } else { 1 + n % (HEAD.len() - 50) });
        raw.send(now).await;
        slow.push((raw, began, if n % 3 == 2 { later } else { &[] }));
    }
    let good = async {
        let mut longest = Duration::ZERO;
        for n in 0..ATTEMPTS {
            let began = Instant::now();
            let mut client = server.v1(&format!("good{n}")).await;
            longest = longest.max(began.elapsed());
            client.nothing_came().await;
            // Spread over the time that the others hold on.
            tokio::time::sleep(TIME_OUT / 2 / ATTEMPTS as u32).await;
        }
        longest
    };
    let dropped = join_all(slow.into_iter().map(async |(raw, began, trickle)| {
        end(raw, trickle).await;
        began.elapsed()
    }));
    let (longest, ends) = join(good, dropped).await;
    let (first, last) = (*ends.iter().min().unwrap(), *ends.iter().max().unwrap());
    figure(
        "handshakes",
        format!(
            "{many} slow ones dropped after {:.1} to {:.1} s; a good client connected in at most {:.0} ms of {ATTEMPTS} attempts",
            first.as_secs_f64(),
            last.as_secs_f64(),
            ms(longest)
        ),
    );
    assert!(first + Duration::from_secs(1) >= TIME_OUT, "one was dropped after {first:?}");
    assert!(longest <= Duration::from_secs(size(5, 1)), "a good client waited {longest:?}");
    unharmed(&server, &[]).await;
}

/// Waits for the server to end the connection, and sends a byte a second meanwhile as long as there are any.
async fn end(mut raw: Raw, trickle: &[u8]) {
    let began = Instant::now();
    let ended = async {
        for byte in trickle {
            if timeout(Duration::from_secs(1), raw.socket.readable()).await.is_ok() {
                break;
            }
            raw.send(&[*byte]).await;
        }
        raw.ended().await;
    };
    assert!(timeout(TIME_OUT + LATE, ended).await.is_ok(), "not dropped after {:?}", began.elapsed());
}
