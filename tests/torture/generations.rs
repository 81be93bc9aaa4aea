//! Another database takes the place of the one that clients know: one that was promoted, or restored from a
//! backup.

use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Client, Said, Server, eventually};
use crate::postgres::Postgres;
use crate::size::{figure, size};

/// Connects, whatever the database is at; with which database the server says that it is.
async fn connect(server: &Server, openid: &str) -> (Client, String) {
    let mut client = server.v1_raw(openid, &format!("code=dev:{openid}")).await;
    let init = client.expect("init").await;
    (client, init["generation"].as_str().unwrap().to_owned())
}

async fn sync(client: &mut Client, since: &Value) -> Value {
    client.send(json!({ "type": "sync", "since": since })).await;
    loop {
        if let Said::Frame(frame) = client.next().await
            && frame["type"] == "sync"
            && frame.get("cursor").is_some()
        {
            return frame;
        }
    }
}

#[actix_web::test]
async fn a_promotion_under_a_running_server_is_told_to_who_is_connected() {
    let Some(postgres) = Postgres::start() else { return };
    let url = format!("postgres://postgres@{}/postgres", postgres.address());
    let server = Server::with_all(&[&UNLIMITED[..], &[("database.url", &url)]].concat()).await;
    let mut alice = server.v1("alice").await;
    alice.say("bob", "1", "before").await;
    let (mut bob, before) = connect(&server, "bob").await;
    let cursor = sync(&mut bob, &Value::Null).await["cursor"].clone();
    // The same server again is the same database.
    postgres.stop();
    postgres.resume();
    let again = eventually("the database to be back", async || {
        let (mut client, generation) = connect(&server, "carol").await;
        client.send(json!({ "type": "sync" })).await;
        matches!(client.next().await, Said::Frame(frame) if frame["type"] == "sync").then_some(generation)
    })
    .await;
    assert_eq!(again, before);
    bob.nothing_came().await;

    postgres.change_timeline();
    let reason = bob.expect_close(4001).await;
    assert!(reason.starts_with("draining retry_ms="), "{reason}");
    let (mut bob, after) = connect(&server, "bob").await;
    assert_ne!(after, before);
    let answer = sync(&mut bob, &cursor).await;
    assert_eq!(
        (answer["conversations"][0]["peer"].as_str(), answer["conversations"][0]["last_seq"].as_i64()),
        (Some("alice"), Some(1))
    );
    figure(
        "a promotion under a running server",
        format!("{before} became {after}, sessions closed with 4001 {reason}"),
    );
}

#[actix_web::test]
async fn who_knows_a_database_goes_on_with_its_restored_copy() {
    let mut server = Server::with(UNLIMITED).await;
    let fleet = Fleet::start(&server, Plan::default());
    let times = size(2, 20);
    let mut known = vec![connect(&server, "witness").await.1];
    for n in 0..times {
        fleet.goes_on(200).await;
        server.signal("KILL");
        server.ended().await;
        // The copy has all that was acked.
        let (copy, database) = (server.folder().join(format!("copy{n}.db")), server.database());
        let done = server.command(&["backup", copy.to_str().unwrap()]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", database.display()));
        }
        std::fs::rename(&copy, &database).unwrap();
        server.again().await;
        fleet.moved(&server);
        let generation = connect(&server, "witness").await.1;
        assert!(!known.contains(&generation), "{generation} of {known:?}");
        known.push(generation);
    }
    fleet.goes_on(200).await;
    let report = fleet.finish(&server).await;
    figure("restored from a backup under load", format!("{times} times, another generation each; {report}"));
    assert!(report.is_clean(), "{report}");
}
