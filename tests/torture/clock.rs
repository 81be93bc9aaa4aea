//! The machine's clock is set a day forward and a day back under load: the order holds, and so do the
//! sessions.

use std::path::Path;

use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::Server;
use crate::size::{figure, is_long, skipped};

/// Writes what the clock is to show from now on, at once: the library reads the file at every call.
fn set(file: &Path, offset: &str) {
    let fresh = file.with_extension("fresh");
    std::fs::write(&fresh, offset).unwrap();
    std::fs::rename(&fresh, file).unwrap();
}

/// A server whose clock the file sets; `None`, and a word on why, without the library that does it.
async fn with_clock(file: &Path) -> Option<Server> {
    let library = std::env::var("HONGYAN_TEST_FAKETIME").unwrap_or_default();
    if library.is_empty() {
        skipped(
            "HONGYAN_TEST_FAKETIME is not set: it needs libfaketime (Debian: libfaketime); `make test` installs it",
        );
        return None;
    }
    set(file, "+0");
    let mut server = Server::with(UNLIMITED).await;
    for (name, value) in [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        // Setting a clock does not touch the monotonic one.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ] {
        server.set_variable(name, Some(value));
    }
    server.again().await;
    Some(server)
}

/// Everything that changed since; and the cursor after it.
async fn sync(server: &Server, since: &Value) -> (Vec<Value>, Value) {
    let mut reader = server.v1("reader").await;
    reader.send(json!({ "type": "sync", "since": since })).await;
    let answer = reader.expect("sync").await;
    assert_eq!(answer["has_more"], false);
    (answer["conversations"].as_array().unwrap().clone(), answer["cursor"].clone())
}

#[actix_web::test]
async fn a_clock_set_back_over_a_restart_hides_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    let Some(mut server) = with_clock(&file).await else { return };
    server.v1("writer").await.say("reader", "1", "at first").await;
    // A day ahead, the reader asks, and nobody writes.
    set(&file, "+1d");
    server.again().await;
    let (_, cursor) = sync(&server, &Value::Null).await;
    // It is noticed and set right. One message comes while the reader is away, and a day passes.
    set(&file, "+0");
    server.again().await;
    server.v1("writer").await.say("reader", "2", "while the reader is away").await;
    set(&file, "+2d");
    server.again().await;
    let (conversations, _) = sync(&server, &cursor).await;
    let seqs: Vec<_> = conversations
        .iter()
        .flat_map(|c| c["messages"].as_array().unwrap())
        .map(|m| m["seq"].as_i64())
        .collect();
    assert!(seqs.contains(&Some(2)), "{conversations:?}");
}

#[actix_web::test]
async fn a_clock_that_steps_changes_no_order_and_ends_no_session() {
    if !is_long() {
        skipped("it is in the long form only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    let Some(mut server) = with_clock(&file).await else { return };
    let fleet = Fleet::start(&server, Plan::default());
    let mut session = server.v1("witness").await;
    let mut times = Vec::new();
    for (n, offset) in ["+0", "+1d", "+0", "-1d", "+0", "+1d", "-1d"].into_iter().enumerate() {
        set(&file, offset);
        fleet.goes_on(200).await;
        let ack = session.say("nobody", &n.to_string(), "x").await;
        assert_eq!(ack["seq"], n as i64 + 1);
        times.push(ack["sent_at"].as_i64().unwrap());
    }
    // It was a step indeed.
    assert!(times[1] - times[0] > 80_000_000 && times[3] - times[2] < -80_000_000, "{times:?}");
    // And over a restart with the clock behind.
    server.again().await;
    fleet.moved(&server);
    fleet.goes_on(200).await;
    let report = fleet.finish(&server).await;
    figure(
        "clock stepped by a day, forward and back",
        format!("7 steps and a restart, sessions held; {report}"),
    );
    assert!(report.is_clean(), "{report}");
}
