//! A primary fails, its standby is promoted, and the old primary comes back as a standby before the address
//! moves: no acked message is lost, nothing stale is shown, and service goes on by itself.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Http, Said, Server, eventually};
use crate::postgres::{Postgres, Wire};
use crate::size::{figure, ms, size};

/// How long the address leads to the old primary, a standby by then.
fn stale_time() -> Duration {
    Duration::from_secs(size(3, 30))
}

async fn server_at(url: &str) -> Server {
    Server::with_all(&[&UNLIMITED[..], &[("database.url", url)]].concat()).await
}

async fn readyz(server: &Server) -> (u16, Value) {
    Http::new(&server.ops, None).get("/readyz").await
}

/// Waits until the node says that what it reaches is no primary.
async fn says_read_only(server: &Server) {
    eventually("read_only in /readyz", async || {
        let (status, body) = readyz(server).await;
        (status == 503 && body["details"]["database"] == "read_only")
            .then(|| assert_eq!(body["reasons"], json!(["store"])))
    })
    .await;
}

async fn is_ready(server: &Server) {
    eventually("ready", async || (readyz(server).await.0 == 200).then_some(())).await;
}

/// Waits until a standby of the primary has all commits before they are answered.
async fn streams(primary: &Postgres) {
    let count = "(SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync')";
    eventually("a synchronous standby", async || {
        let mut admin = PgConnection::establish(&primary.url()).unwrap();
        let standbys: i64 = diesel::select(diesel::dsl::sql::<BigInt>(count)).get_result(&mut admin).unwrap();
        (standbys == 1).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_failover_whose_address_moves_late_loses_nothing() {
    let Some(old) = Postgres::synchronous() else { return };
    let new = old.standby();
    streams(&old).await;
    let wire = Wire::to(old.address());
    let server = server_at(&format!("postgres://postgres@{}/postgres", wire.at)).await;
    let fleet = Fleet::start(&server, Plan { pace: Duration::from_millis(10), ..Plan::default() });
    fleet.goes_on(100).await;
    let reader = server.http_as("user0").await;

    let struck = Instant::now();
    old.stop();
    new.promote();
    old.resume_as_standby_of(&new);
    says_read_only(&server).await;
    let (acked, since) = (fleet.acked(), Instant::now());
    while since.elapsed() < stale_time() {
        let (status, body) = reader.get("/v1/messages?peer=user1").await;
        assert_eq!(status, 503, "stale history: {body}");
        assert_eq!(readyz(&server).await.0, 503);
    }
    assert_eq!(fleet.acked(), acked, "a standby cannot have stored it");
    let lines = server.log().matches("the database is no primary").count() as u64;
    assert!((1..=1 + struck.elapsed().as_secs() / 60).contains(&lines), "{lines} lines: {}", server.log());

    wire.lead_to(new.address());
    let moved = Instant::now();
    fleet.goes_on(1).await;
    let back = moved.elapsed();
    is_ready(&server).await;
    fleet.everybody_goes_on(20).await;
    let report = fleet.finish(&server).await;
    figure(
        "PostgreSQL, fail-over",
        format!("acks again {:.0} ms after the address moved; {report}", ms(back)),
    );
    assert!(report.is_clean(), "{report}");
}

#[actix_web::test]
async fn several_hosts_in_the_url_lead_to_the_primary_wherever_it_is() {
    let Some(old) = Postgres::synchronous() else { return };
    let new = old.standby();
    streams(&old).await;
    // The standby first: it must not be taken.
    let server =
        server_at(&format!("postgres://postgres@{},{}/postgres", new.address(), old.address())).await;
    let fleet = Fleet::start(&server, Plan { pace: Duration::from_millis(10), ..Plan::default() });
    fleet.goes_on(100).await;
    old.stop();
    new.promote();
    let promoted = Instant::now();
    old.resume_as_standby_of(&new);
    fleet.goes_on(1).await;
    let back = promoted.elapsed();
    is_ready(&server).await;
    fleet.everybody_goes_on(20).await;
    let report = fleet.finish(&server).await;
    figure(
        "PostgreSQL, fail-over between the hosts of a URL",
        format!("acks again {:.0} ms after the promotion; {report}", ms(back)),
    );
    assert!(report.is_clean(), "{report}");
}

/// Connecting takes longer than a thread of a lane may take for a batch: what one of them reached in the end
/// serves the next.
#[actix_web::test]
async fn a_silent_host_before_the_primary_does_not_stop_the_lanes() {
    let Some(postgres) = Postgres::start() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://postgres@{silent},{}/postgres?connect_timeout=3", postgres.address());
    let server =
        Server::with_all(&[&UNLIMITED[..], &[("database.url", &url), ("database.lanes", "1")]].concat())
            .await;
    let mut alice = server.v1("alice").await;
    alice.say("bob", "m0", "while nobody is there").await;
    // From now on the first host takes connections and says nothing.
    let _listens = TcpListener::bind(silent).unwrap();
    let mut admin = PgConnection::establish(&postgres.url()).unwrap();
    admin
        .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'postgres'")
        .unwrap();
    let mut sent = 0;
    let began = Instant::now();
    eventually("an ack that answers", async || {
        sent += 1;
        let id = format!("r{sent}");
        alice.send(json!({ "type": "text", "id": id, "to_user_openid": "bob", "client_msg_id": id, "message": "x" })).await;
        loop {
            let Said::Frame(frame) = alice.next().await else { panic!("the session ended") };
            if frame["id"] == id {
                return (frame["type"] == "ack").then_some(());
            }
        }
    })
    .await;
    figure(
        "PostgreSQL, a silent host before it",
        format!("acks again after {:.0} ms, {sent} sends", ms(began.elapsed())),
    );
}

#[actix_web::test]
async fn a_primary_that_is_made_read_only_is_left_and_taken_again() {
    let Some(postgres) = Postgres::start() else { return };
    let server = server_at(&postgres.url()).await;
    let fleet = Fleet::start(&server, Plan { pace: Duration::from_millis(10), ..Plan::default() });
    fleet.goes_on(50).await;
    let mut admin = PgConnection::establish(&postgres.url()).unwrap();
    admin.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on; ").unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").unwrap();
    says_read_only(&server).await;
    admin.batch_execute("SET default_transaction_read_only = off").unwrap();
    admin.batch_execute("ALTER SYSTEM RESET default_transaction_read_only").unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").unwrap();
    is_ready(&server).await;
    fleet.everybody_goes_on(20).await;
    let report = fleet.finish(&server).await;
    assert!(report.is_clean(), "{report}");
}
