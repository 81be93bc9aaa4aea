//! The machine's clock is set a day forward and a day back under load: the order holds, and so do the sessions.

use std::path::Path;

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::Server;
use crate::size::{figure, is_long, skipped};

/// Writes what the clock is to show from now on, at once: the library reads the file at every call.
fn set(file: &Path, offset: &str) {
    let fresh = file.with_extension("fresh");
    std::fs::write(&fresh, offset).unwrap();
    std::fs::rename(&fresh, file).unwrap();
}

#[actix_web::test]
async fn a_clock_that_steps_changes_no_order_and_ends_no_session() {
    let library = std::env::var("HONGYAN_TEST_FAKETIME").unwrap_or_default();
    if !is_long() || library.is_empty() {
        skipped("it is in the long form only, and needs libfaketime (Debian: libfaketime); `make torture` installs it");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    set(&file, "+0");
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
    figure("clock stepped by a day, forward and back", format!("7 steps and a restart, sessions held; {report}"));
    assert!(report.is_clean(), "{report}");
}
