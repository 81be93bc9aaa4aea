//! The database is busy, gone or killed: `unavailable` soon, nothing acked, and service again by itself.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use serde_json::json;

use crate::harness::{Client, Server};

async fn send(client: &mut Client, id: &str) {
    client
        .send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": id, "message": "x" }))
        .await;
}

/// Sends under the same id until it is acked.
async fn persist(client: &mut Client, id: &str) -> serde_json::Value {
    loop {
        send(client, id).await;
        match client.next().await {
            crate::harness::Said::Frame(frame) if frame["type"] == "ack" => return frame,
            crate::harness::Said::Frame(frame) => assert_eq!(frame["error"], "unavailable", "{frame}"),
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn a_locked_sqlite_file_is_unavailable_until_it_is_free() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    alice.say("bob", "1", "x").await;
    let mut other = server.sqlite();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let begun = std::time::Instant::now();
    send(&mut alice, "2").await;
    let error = alice.expect_error("unavailable").await;
    assert_eq!(error["client_msg_id"], "2");
    assert!(begun.elapsed().as_secs() < 4, "{:?}", begun.elapsed());
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(persist(&mut alice, "2").await["seq"], 2);
}

#[actix_web::test]
async fn postgres_serves_the_same_chat() {
    let Some((server, _)) = Server::on_postgres().await else { return };
    let (mut alice, mut bob) = (server.v1("alice").await, server.seed("bob", "alice").await);
    assert_eq!(alice.say("bob", "1", "x").await["seq"], 1);
    assert_eq!(alice.say("bob", "1", "x").await["duplicate"], true);
    assert_eq!(bob.expect("text").await["message"], "x");
    bob.send(json!({ "message": "y" })).await;
    assert_eq!(alice.expect("text").await["seq"], 2);
    // Bob has alice's chat open, and has written before: a mark tells alice what was read.
    assert_eq!(alice.expect("read").await["seq"], 1);
    let (_, page) = server.http_as("alice").await.get("/v1/messages?peer=bob").await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
    assert!(server.command(&["kick", "--dev", "alice"]).status.success());
    alice.expect_close(4504).await;
}

#[actix_web::test]
async fn cut_off_from_postgres_it_comes_back_by_itself() {
    let Some((server, database)) = Server::on_postgres().await else { return };
    let mut alice = server.v1("alice").await;
    alice.say("bob", "1", "x").await;
    let mut admin = PgConnection::establish(&std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap()).unwrap();
    for n in 0..5 {
        admin
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
            ))
            .unwrap();
        assert_eq!(persist(&mut alice, &format!("after-{n}")).await["seq"], n + 2);
    }
}

/// An old node in a rolling upgrade, of which the first new one has brought the tables a step further.
#[actix_web::test]
async fn a_node_restarts_beside_an_expand_step_that_it_does_not_know() {
    let Some((mut server, database)) = Server::on_postgres().await else { return };
    assert_eq!(server.v1("alice").await.say("bob", "1", "x").await["seq"], 1);
    let url = std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap();
    let (base, _) = url.rsplit_once('/').unwrap();
    let mut conn = PgConnection::establish(&format!("{base}/{database}")).unwrap();
    let mut applied = |version: &str| {
        let insert = format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')");
        conn.batch_execute(&insert).unwrap();
    };
    applied("20990101000000_expand");
    server.again().await;
    assert_eq!(server.v1("alice").await.say("bob", "2", "x").await["seq"], 2);
    applied("20990102000000");
    let migrated = server.command(&["migrate", "--dev"]);
    let said = String::from_utf8_lossy(&migrated.stderr).into_owned();
    assert_eq!(migrated.status.code(), Some(1), "{said}");
    assert!(said.contains("made by a newer hongyan (it has migration 20990102000000)"), "{said}");
}

/// As docs/OPERATIONS.md writes them.
#[test]
fn a_url_of_several_servers_leads_to_the_one_that_answers() {
    let Some((url, _)) = Server::fresh_postgres() else { return };
    let (user, rest) = url.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let (place, database) = rest.split_once('/').unwrap();
    let (host, port) = place.split_once(':').unwrap_or((place, "5432"));
    for url in [
        format!("postgres://{user}@127.0.0.1:1,{host}:{port}/{database}"),
        format!("postgres://{user}@[::1]:1,{host}:{port}/{database}?target_session_attrs=primary"),
        format!("postgres://{user}@/{database}?host=127.0.0.1,{host}&port=1,{port}"),
    ] {
        drop(Server::serving(&[("database.url", &url)]));
    }
}
