//! All connections are cut at once; all come back, and nobody misses a message.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use serde::Deserialize;
use serde_json::json;

use crate::bystanders::Bystanders;
use crate::harness::raw::frame;
use crate::harness::{Client, Raw, Server};
use crate::size::{figure, is_long, ms, p99, raise_descriptors, run_when_idle, size};
use crate::unharmed::unharmed;

/// Messages to each in one go: once a round while all are there, and once while all are cut off.
const MESSAGES: i64 = 3;
/// How long the others are watched in a round while nothing happens.
const QUIET: Duration = Duration::from_secs(3);
/// All are back by then.
const BACK: Duration = Duration::from_secs(60);

#[actix_web::test]
async fn all_are_cut_off_at_once_and_come_back_to_every_message() {
    let many = size(500, 5_000);
    raise_descriptors(many + 500);
    let server = Server::with([
        ("limits.handshakes_per_second_per_address", "0"),
        ("limits.sessions_per_address", "0"),
        ("limits.connections_per_address", "0"),
        ("limits.connections", &many.to_string()),
        ("limits.messages_per_second", "0"),
        ("limits.bytes_per_day", "0"),
        ("limits.new_conversations_per_day", "0"),
    ])
    .await;
    let mut phones = Vec::new();
    for first in (0..many).step_by(50) {
        phones.extend(join_all((first..first + 50).map(|n| Phone::on(&server, n))).await);
    }
    let mut sender = server.v1("sender").await;
    let (mut quiet, mut cut, mut written, mut both) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let others = is_long().then(|| Bystanders::start(&server.at));
    let take = || others.as_ref().map(Bystanders::take).unwrap_or_default();
    if is_long() {
        // The phones would be other machines: what they need of this one is not to be taken for the server's.
        run_when_idle();
    }
    for round in 0..size(1, 6) {
        let sent = 2 * MESSAGES * round;
        write_to_each(&mut sender, &mut phones, sent + MESSAGES).await;
        written.extend(take());
        if is_long() {
            tokio::time::sleep(QUIET).await;
            quiet.extend(take());
        }
        cut_all(&mut phones, &server.at, sent + MESSAGES, async {}).await;
        cut.extend(take());
        let names = names(&phones);
        cut_all(&mut phones, &server.at, sent + 2 * MESSAGES, write_all(&mut sender, names)).await;
        both.extend(take());
    }
    if let Some(others) = others {
        others.stop();
        within_twice("nothing happens", &quiet, "all are cut", &cut);
        within_twice("all are written to", &written, "all are cut besides", &both);
    }
    drop(phones);
    unharmed(&server, &[]).await;
}

/// What others see of the one is at most twice what they see of the other.
fn within_twice(before: &str, calm: &[Duration], then: &str, storm: &[Duration]) {
    let (was, is) = (p99(calm), p99(storm));
    let counts = format!("{} and {} messages", calm.len(), storm.len());
    figure(
        "drops",
        format!("p99 of bystanders {:.1} ms when {before}, {:.1} ms when {then} ({counts})", ms(was), ms(is)),
    );
    assert!(is <= was * 2, "bystanders waited {is:?} when {then}, and {was:?} when {before}");
}

/// Cuts all of them off, and waits until each is back and has every message up to `last`, the last of those
/// written `meanwhile`.
async fn cut_all(phones: &mut [Phone], at: &str, last: i64, meanwhile: impl Future<Output = ()>) {
    let began = Instant::now();
    for phone in &mut *phones {
        phone.cut();
    }
    let (tries, ()) =
        join(join_all(phones.iter_mut().map(|phone| phone.come_back(at, last))), meanwhile).await;
    let (many, took) = (phones.len(), began.elapsed());
    assert!(took <= BACK, "{many} were back after {took:?}");
    let handshakes: u32 = tries.iter().sum();
    figure(
        "drops",
        format!(
            "{many} cut at once, all back without a gap in {:.1} s, {handshakes} handshakes",
            took.as_secs_f64()
        ),
    );
}

/// The same messages to all of them, who are there to receive up to `last`.
async fn write_to_each(sender: &mut Client, phones: &mut [Phone], last: i64) {
    let writing = write_all(sender, names(phones));
    join(join_all(phones.iter_mut().map(|phone| phone.receive(last))), writing).await;
}

fn names(phones: &[Phone]) -> Vec<String> {
    phones.iter().map(|phone| phone.openid.clone()).collect()
}

async fn write_all(sender: &mut Client, names: Vec<String>) {
    for _ in 0..MESSAGES {
        for some in names.chunks(50) {
            write_to(sender, some).await;
        }
    }
}

async fn write_to(sender: &mut Client, names: &[String]) {
    for name in names {
        let id = format!("{:x}", rand::random::<u64>());
        sender
            .send(json!({ "type": "text", "to_user_openid": name, "client_msg_id": id, "message": "x" }))
            .await;
    }
    for _ in names {
        sender.expect("ack").await;
    }
}

/// A client that keeps what docs/PROTOCOL.md asks it to keep: its token, and the last seq of each peer. It is
/// as light as it can be made: five thousand take their time from the server's.
struct Phone {
    openid: String,
    token: String,
    client: Option<Raw>,
    got: BTreeSet<i64>,
}

/// What a phone looks at in a frame.
#[derive(Deserialize)]
struct Frame {
    r#type: String,
    #[serde(default)]
    seq: i64,
    #[serde(default)]
    conversations: Vec<Conversation>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    seq: i64,
}

impl Phone {
    async fn on(server: &Server, n: u64) -> Self {
        let openid = format!("phone{n}");
        let token = server.http_as(&openid).await.token().to_owned();
        let mut phone = Self { openid, token, client: None, got: BTreeSet::new() };
        assert!(phone.connect(&server.at).await);
        phone
    }

    /// Whether the server took it.
    async fn connect(&mut self, at: &str) -> bool {
        let Self { openid, token, .. } = self;
        let mut raw = Raw::connect(at).await;
        let ask = format!(
            "GET /{openid}?device=phone HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: hongyan.v1\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        let taken = raw.send(ask.as_bytes()).await && raw.head().await.starts_with("HTTP/1.1 101 ");
        self.client = taken.then_some(raw);
        taken && self.next().await.r#type == "init"
    }

    async fn next(&mut self) -> Frame {
        let client = self.client.as_mut().unwrap();
        loop {
            match client.frame().await.unwrap() {
                (1, payload) => return serde_json::from_slice(&payload).unwrap(),
                (9, payload) => assert!(client.send(&frame(0x8A, &payload)).await),
                other => panic!("{}: {other:?}", self.openid),
            }
        }
    }

    fn cut(&mut self) {
        self.client.take().unwrap().cut();
    }

    /// Live frames, until it has so many messages.
    async fn receive(&mut self, wanted: i64) {
        while self.got.last() != Some(&wanted) {
            let frame = self.next().await;
            assert_eq!(frame.r#type, "text");
            self.got.insert(frame.seq);
        }
        self.has_no_hole();
    }

    /// Connects, asks for what it missed, and waits for the message `last`; how many handshakes that took.
    async fn come_back(&mut self, at: &str, last: i64) -> u32 {
        let mut tries = 0;
        let mut bound_ms: u64 = 500;
        loop {
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..bound_ms))).await;
            bound_ms = (bound_ms * 2).min(30_000);
            tries += 1;
            if self.connect(at).await {
                break;
            }
        }
        let ask = json!({ "type": "sync", "id": "1", "conversations": { "sender": self.got.last() }, "limit": 200 }).to_string();
        assert!(self.client.as_mut().unwrap().send(&frame(0x81, ask.as_bytes())).await);
        let mut is_synced = false;
        while !is_synced || self.got.last() != Some(&last) {
            let frame = self.next().await;
            match frame.r#type.as_str() {
                "text" => _ = self.got.insert(frame.seq),
                "sync" => {
                    self.got.extend(
                        frame
                            .conversations
                            .iter()
                            .flat_map(|conversation| &conversation.messages)
                            .map(|message| message.seq),
                    );
                    is_synced |= frame.cursor.is_some();
                }
                other => panic!("{}: {other}", self.openid),
            }
            if is_synced {
                self.has_no_hole();
            }
        }
        tries
    }

    fn has_no_hole(&self) {
        let whole = self.got.iter().copied().eq(1..=self.got.len() as i64);
        assert!(whole, "{} has a gap: {:?}", self.openid, self.got);
    }
}
