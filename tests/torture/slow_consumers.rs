//! Clients that stop reading are let go within a bound, and cost the others nothing.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::bystanders::Bystanders;
use crate::harness::{Client, Raw, Server, eventually};
use crate::size::{figure, is_long, ms, p99, size};
use crate::unharmed::unharmed;

/// A batch of messages, sent so often: 1 000 a second to all of them together.
const BATCH: usize = 50;
const BEAT: Duration = Duration::from_millis(50);
const TEXT_BYTES: usize = 7_900;
/// `session.outbox_bytes`, as it is by default.
const OUTBOX: usize = 1 << 20;
/// One who does not read is gone so long after an outbox full was sent to them.
const GONE: Duration = Duration::from_secs(15);
/// What they may cost, with all that waits for them.
const GROWTH: usize = 50_000_000;
/// The sender, and those who talk.
const OTHERS: f64 = 5.0;
const CLOSES: &str = r#"hongyan_session_closes_total{code="4002",reason="slow_consumer"}"#;

#[actix_web::test]
async fn who_does_not_read_is_let_go_and_costs_the_others_nothing() {
    let many = size(20, 100);
    let server = Server::with([
        ("limits.messages_per_second", "0"),
        ("limits.bytes_per_day", "0"),
        ("limits.handshakes_per_second_per_address", "0"),
        ("limits.new_conversations_per_day", "0"),
        // No more than those who are there at once: a place that is not given back is missed in the next
        // round.
        ("limits.sessions", &(many + 8).to_string()),
    ])
    .await;
    let mut crowd = Crowd { sender: server.v1("sender").await, server: &server, many, rounds: 0 };
    let mut ratios = Vec::new();
    for pair in 0..size(1, 5) {
        let bystanders = is_long().then(|| Bystanders::start(&server.at));
        let messages = crowd.do_not_read().await;
        let with = bystanders.map(Bystanders::stop);
        let bystanders = is_long().then(|| Bystanders::start(&server.at));
        crowd.read(messages).await;
        let without = bystanders.map(Bystanders::stop);
        if let (Some(with), Some(without)) = (with, without) {
            let (with, without) = (p99(&with), p99(&without));
            figure(
                "slow consumers",
                format!(
                    "pair {pair}: p99 of others {:.1} ms beside them, {:.1} ms beside readers",
                    ms(with),
                    ms(without)
                ),
            );
            ratios.push(with.as_secs_f64() / without.as_secs_f64());
        }
    }
    ratios.sort_unstable_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        figure(
            "slow consumers",
            format!(
                "p99 of others beside them is {median:.2} of that beside readers, the median of {}",
                ratios.len()
            ),
        );
        assert!(*median <= 1.5, "{ratios:?}");
    }
    unharmed(&server, &[]).await;
}

/// Those who are written to, and who writes.
struct Crowd<'a> {
    server: &'a Server,
    sender: Client,
    many: usize,
    rounds: usize,
}

impl Crowd<'_> {
    /// They connect and read no more; gives how many messages it took until all were gone.
    async fn do_not_read(&mut self) -> usize {
        let deaf = self.connect().await;
        let (server, goal) = (self.server, self.server.metric(CLOSES).await + self.many as f64);
        let (memory, began) = (server.memory(), Instant::now());
        let (mut sent, mut grown, mut full) = (0, 0, None);
        loop {
            self.batch(sent).await;
            sent += BATCH;
            grown = grown.max(server.memory().saturating_sub(memory));
            if sent * TEXT_BYTES < self.many * OUTBOX {
                continue;
            }
            let full = *full.get_or_insert_with(Instant::now);
            if server.metric(CLOSES).await >= goal {
                figure(
                    "slow consumers",
                    format!(
                        "{} gone {:.1} s after an outbox full each, memory at most + {:.0} MB, {:.0} messages a second",
                        self.many,
                        full.elapsed().as_secs_f64(),
                        grown as f64 / 1e6,
                        sent as f64 / began.elapsed().as_secs_f64()
                    ),
                );
                break;
            }
            assert!(full.elapsed() <= GONE, "{} of {goal} were let go", server.metric(CLOSES).await);
        }
        assert!(grown <= GROWTH, "memory grew by {grown} bytes");
        eventually("their leaving the map", async || {
            (server.metric("hongyan_sessions").await <= OTHERS).then_some(())
        })
        .await;
        eventually("the end of what waited", async || (server.memory() <= memory + GROWTH).then_some(()))
            .await;
        drop(deaf);
        sent
    }

    /// They connect and read; as many messages are sent.
    async fn read(&mut self, messages: usize) {
        let readers = self
            .connect()
            .await
            .into_iter()
            .map(|mut raw| actix_web::rt::spawn(async move { while raw.frame().await.is_some() {} }));
        let readers: Vec<_> = readers.collect();
        let closes = self.server.metric(CLOSES).await;
        for sent in (0..messages).step_by(BATCH) {
            self.batch(sent).await;
        }
        assert!((self.server.metric(CLOSES).await - closes).abs() < 0.5, "a reader was let go");
        for reader in readers {
            reader.abort();
        }
    }

    async fn connect(&mut self) -> Vec<Raw> {
        self.rounds += 1;
        let (server, round) = (self.server, self.rounds);
        join_all((0..self.many).map(async |n| {
            eventually("a place", async || {
                let mut raw = Raw::connect_narrow(&server.at).await;
                let head = raw.try_handshake(&format!("deaf{round}x{n}"), "nobody", "").await;
                head.starts_with("HTTP/1.1 101").then_some(raw)
            })
            .await
        }))
        .await
    }

    /// The next messages, to one after the other, acked; not faster than the rate.
    async fn batch(&mut self, sent: usize) {
        let began = Instant::now();
        let text = "x".repeat(TEXT_BYTES);
        for n in sent..sent + BATCH {
            let (to, id) = (format!("deaf{}x{}", self.rounds, n % self.many), format!("{}-{n}", self.rounds));
            self.sender
                .send(json!({ "type": "text", "to_user_openid": to, "client_msg_id": id, "message": text }))
                .await;
        }
        for _ in 0..BATCH {
            self.sender.expect("ack").await;
        }
        tokio::time::sleep(BEAT.saturating_sub(began.elapsed())).await;
    }
}
