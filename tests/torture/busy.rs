//! Somebody with many chats comes back while they write on: the sync ends as if nobody wrote.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Client, Server, eventually};
use crate::size::{figure, size};

/// Who writes to one user, and how.
struct Crowd {
    peers: usize,
    /// Characters of each message.
    text: usize,
    /// Messages of each before the first sync.
    history: usize,
    /// Between two messages of one peer.
    every: Duration,
    /// Messages written between two answers: the user's network is no fast one.
    between: usize,
}

/// What a sync cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    answers: usize,
    bytes: usize,
}

/// Until all that was missed is there, and so the client is online; and in all.
#[derive(Debug, Default)]
struct Costs {
    caught_up: Option<Cost>,
    whole: Cost,
}

#[actix_web::test]
async fn a_hundred_peers_who_write_ten_messages_a_second_hold_no_sync_up() {
    holds(Crowd { peers: 100, text: 200, history: 30, every: Duration::from_secs(10), between: 5 }, 20).await;
}

#[actix_web::test]
async fn four_peers_whose_pages_are_more_than_an_answer_hold_no_sync_up() {
    holds(Crowd { peers: 4, text: 100, history: 250, every: Duration::from_millis(2_500), between: 1 }, 200)
        .await;
}

/// Asks while nobody writes, then while all do.
async fn holds(crowd: Crowd, limit: usize) {
    let server = Server::with(UNLIMITED).await;
    let names: Vec<String> = (0..crowd.peers).map(|n| format!("peer{n}")).collect();
    let mut clients = join_all(names.iter().map(|name| server.v1(name))).await;
    join_all(clients.iter_mut().map(|client| write(client, crowd.history, crowd.text))).await;
    let quiet = sync(&mut server.v1("me").await, limit, async || {}).await.caught_up.unwrap();

    let written = Rc::new(Cell::new(0));
    let writers: Vec<_> =
        clients.into_iter().zip(0..).map(|(client, n)| writer(client, n, &crowd, &written)).collect();
    let write_on = async |wanted: usize| {
        let before = written.get();
        eventually("more to be written", async || (written.get() >= before + wanted).then_some(())).await;
    };
    write_on(crowd.peers.min(20)).await;
    let mut me = server.v1("me").await;
    let before = written.get();
    let busy = sync(&mut me, limit, async || write_on(crowd.between).await).await;
    let meanwhile = written.get() - before;
    writers.iter().for_each(JoinHandle::abort);
    let (online, whole) = (busy.caught_up.unwrap(), busy.whole);
    let Crowd { peers, text, every, .. } = crowd;
    figure(
        "a busy user comes online",
        format!(
            "{peers} peers × {text} characters each {every:?}, limit {limit}: after {} answers and {} KB, in all {} and {} KB, while \
             {meanwhile} messages came; in quiet after {} and {} KB",
            online.answers,
            online.bytes / 1000,
            whole.answers,
            whole.bytes / 1000,
            quiet.answers,
            quiet.bytes / 1000
        ),
    );
    assert!(quiet.answers > 1, "it is to be a walk of several answers: {quiet:?}");
    assert!(whole.answers <= quiet.answers + 2, "{busy:?}, in quiet {quiet:?}");
    assert!(whole.bytes * 2 <= quiet.bytes * 3, "{busy:?}, in quiet {quiet:?}");
}

/// With the checker: one whose every chat is written to is thrown out again and again, and misses nothing.
#[actix_web::test]
async fn a_busy_user_who_reconnects_misses_nothing() {
    let (chats, times) = (size(30, 200), size(4, 40));
    let server = Server::with(UNLIMITED).await;
    let plan = Plan {
        users: chats + 1,
        pace: Duration::from_millis(100),
        text: 4_000,
        has_hub: true,
        ..Plan::default()
    };
    let fleet = Fleet::start(&server, plan);
    for _ in 0..times {
        fleet.everybody_goes_on(3).await;
        assert!(server.command(&["kick", "user0"]).status.success());
    }
    fleet.everybody_goes_on(3).await;
    let report = fleet.finish(&server).await;
    figure("a busy user reconnects", format!("{chats} chats, {times} times; {report}"));
    assert!(report.is_clean(), "{report}");
}

async fn write(client: &mut Client, count: usize, text: usize) {
    for n in 0..count {
        send(client, &format!("h{n}"), text).await;
    }
    for _ in 0..count {
        client.expect("ack").await;
    }
}

async fn send(client: &mut Client, id: &str, text: usize) {
    client.send(json!({ "type": "text", "to_user_openid": "me", "client_msg_id": id, "message": "x".repeat(text) })).await;
}

/// Writes without pause, the peers one after the other within a period.
fn writer(mut client: Client, number: u32, crowd: &Crowd, written: &Rc<Cell<usize>>) -> JoinHandle<()> {
    let (text, written) = (crowd.text, written.clone());
    let begins = crowd.every * number / u32::try_from(crowd.peers).unwrap();
    let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + begins, crowd.every);
    actix_web::rt::spawn(async move {
        for n in 0.. {
            beat.tick().await;
            send(&mut client, &format!("w{n}"), text).await;
            client.expect("ack").await;
            written.set(written.get() + 1);
        }
    })
}

/// Everything, as one who has nothing yet asks for it, with a pause between two answers.
async fn sync(client: &mut Client, limit: usize, pause: impl AsyncFn()) -> Costs {
    let mut costs = Costs::default();
    let mut since = Value::Null;
    loop {
        client.send(json!({ "type": "sync", "since": since, "limit": limit })).await;
        let last = loop {
            let text = client.expect_text().await;
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] != "sync" {
                continue;
            }
            costs.whole.bytes += text.len();
            if frame.get("cursor").is_some() {
                break frame;
            }
        };
        costs.whole.answers += 1;
        assert!(costs.whole.answers < 50, "it does not end: {costs:?}");
        if costs.caught_up.is_none() && last["caught_up"] == true {
            costs.caught_up = Some(costs.whole);
        }
        if last["has_more"] == false {
            return costs;
        }
        since = last["cursor"].clone();
        pause().await;
    }
}
