//! The database goes away in every way it can: nobody is told a lie meanwhile, and all goes on when it is
//! back.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use serde_json::json;

use crate::disk::{Disk, Files};
use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Client, Said, Server};
use crate::pgbouncer::{self, PgBouncer};
use crate::postgres::{Postgres, Wire};
use crate::size::{figure, is_long, size, skipped};

/// How long the database is away.
fn fault() -> Duration {
    Duration::from_secs(size(3, 30) as u64)
}

/// Within so long a sender hears `unavailable`, and so long after the fault the service is back. The bars are
/// those of the long form: beside other tests, on a machine of two cores, nothing is said about time.
fn patience(bar: Duration) -> Duration {
    if is_long() { bar } else { 4 * bar }
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    UNLIMITED.iter().copied().chain(more.iter().copied()).collect()
}

/// One who sends and takes the time.
struct Probe {
    client: Client,
    sent: u64,
}

impl Probe {
    async fn new(server: &Server) -> Self {
        Self { client: server.v1("probe").await, sent: 0 }
    }

    /// What one message is answered with, and after how long.
    async fn send(&mut self) -> (String, Duration) {
        let began = Instant::now();
        let id = self.sent.to_string();
        self.client
            .send(json!({ "type": "text", "to_user_openid": "nobody", "client_msg_id": id, "message": id }))
            .await;
        let Said::Frame(answer) = self.client.next().await else { panic!("the probe's session has ended") };
        let word = answer["error"].as_str().unwrap_or("ack").to_owned();
        if word == "ack" {
            self.sent += 1;
        }
        (word, began.elapsed())
    }
}

async fn suffer(
    name: &str,
    server: &Server,
    reads_go_on: bool,
    mut strike: impl FnMut(),
    mend: impl FnOnce(),
) {
    let fleet = Fleet::start(server, Plan { pace: Duration::from_millis(10), ..Plan::default() });
    fleet.goes_on(50).await;
    let mut probe = Probe::new(server).await;
    let reader = server.http_as("user0").await;
    strike();
    let (began, mut slowest, mut refused) = (Instant::now(), Duration::ZERO, 0);
    while began.elapsed() < fault() {
        let (word, took) = probe.send().await;
        slowest = slowest.max(took);
        refused += usize::from(word == "unavailable");
        assert!(word == "ack" || word == "unavailable", "{word}");
        if reads_go_on {
            assert_eq!(reader.get("/v1/messages?peer=user1").await.0, 200, "reading stopped");
            assert_eq!(reader.get("/v1/unread").await.0, 200, "reading stopped");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    mend();
    let began = Instant::now();
    while probe.send().await.0 != "ack" {
        assert!(began.elapsed() < patience(Duration::from_secs(5)), "the service does not come back");
    }
    let back = began.elapsed();
    fleet.goes_on(20).await;
    let report = fleet.finish(server).await;
    let (slowest_ms, back_ms) = (slowest.as_millis(), back.as_millis());
    figure(
        name,
        format!(
            "{refused} refusals, the slowest answer after {slowest_ms} ms, back {back_ms} ms after the fault; {report}"
        ),
    );
    assert!(report.is_clean(), "{report}");
    assert!(refused > 0, "nobody noticed the fault");
    assert!(slowest <= patience(Duration::from_secs(3)), "{slowest:?}");
}

#[actix_web::test]
async fn postgres_stopped_and_started() {
    let Some(postgres) = Postgres::start() else { return };
    let url = format!("postgres://postgres@{}/postgres", postgres.address());
    let server = Server::with_all(&with(&[("database.url", &url)])).await;
    suffer("PostgreSQL stopped", &server, false, || postgres.stop(), || postgres.resume()).await;
}

/// A server behind PgBouncer, and what stands behind it.
async fn behind_pgbouncer() -> Option<(Server, PgBouncer, Wire, Postgres)> {
    let program = pgbouncer::program().inspect_err(|why| skipped(why)).ok()?;
    let postgres = Postgres::start()?;
    let url = format!("postgres://postgres@{}/postgres", postgres.address());
    let mut admin = PgConnection::establish(&url).unwrap();
    admin.batch_execute("ALTER ROLE postgres SET statement_timeout = '2s'").unwrap();
    let wire = Wire::to(postgres.address());
    let pooler = PgBouncer::before(&format!("postgres://postgres@{}/postgres", wire.at), program);
    let server = Server::with_all(&with(&[
        ("database.url", &pooler.url("postgres")),
        ("database.prepared_statements", "false"),
    ]))
    .await;
    Some((server, pooler, wire, postgres))
}

#[actix_web::test]
async fn pgbouncer_stopped_and_started() {
    let Some((server, pooler, _wire, _postgres)) = behind_pgbouncer().await else { return };
    let pooler = RefCell::new(pooler);
    suffer(
        "PgBouncer stopped",
        &server,
        false,
        || pooler.borrow_mut().stop(),
        || pooler.borrow_mut().start(),
    )
    .await;
}

#[actix_web::test]
async fn postgres_stopped_and_started_behind_pgbouncer() {
    let Some((server, _pooler, _wire, postgres)) = behind_pgbouncer().await else { return };
    suffer("PostgreSQL stopped behind PgBouncer", &server, false, || postgres.stop(), || postgres.resume())
        .await;
}

#[actix_web::test]
async fn postgres_behind_pgbouncer_and_a_wire_that_swallows_everything() {
    let Some((server, _pooler, wire, _postgres)) = behind_pgbouncer().await else { return };
    suffer("PostgreSQL behind PgBouncer, packets swallowed", &server, false, || wire.cut(), || wire.mend())
        .await;
}

#[actix_web::test]
async fn every_backend_terminated_again_and_again() {
    let Some((server, database)) = Server::on_postgres_with(&UNLIMITED).await else { return };
    let fleet = Fleet::start(&server, Plan::default());
    let mut admin = PgConnection::establish(&std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap()).unwrap();
    let (end, mut rounds) = (Instant::now() + fault(), 0);
    while Instant::now() < end {
        rounds += 1;
        fleet.goes_on(20).await;
        admin
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
            ))
            .unwrap();
    }
    fleet.goes_on(20).await;
    let report = fleet.finish(&server).await;
    figure("PostgreSQL, all backends terminated", format!("{rounds} times; {report}"));
    assert!(report.is_clean(), "{report}");
}

#[actix_web::test]
async fn postgres_behind_a_wire_that_swallows_everything() {
    let Some(postgres) = Postgres::start() else { return };
    let wire = Wire::to(postgres.address());
    let url = format!("postgres://postgres@{}/postgres", wire.at);
    let server = Server::with_all(&with(&[("database.url", &url)])).await;
    suffer("PostgreSQL, packets swallowed", &server, false, || wire.cut(), || wire.mend()).await;
}

/// Whatever the number of connections that notice, and of calls that are refused.
#[actix_web::test]
async fn a_database_that_is_away_is_told_in_few_lines() {
    let Some(postgres) = Postgres::start() else { return };
    let server = Server::with_all(&with(&[
        ("database.url", &postgres.url()),
        ("database.readers", "32"),
        ("database.lanes", "8"),
    ]))
    .await;
    let fleet = Fleet::start(&server, Plan { pace: Duration::from_millis(10), ..Plan::default() });
    fleet.goes_on(50).await;
    let readers = futures_util::future::join_all(
        (0..32).map(|n| server.http_as(["user0", "user1", "user2", "user3"][n % 4])),
    )
    .await;
    postgres.stop();
    let began = Instant::now();
    while began.elapsed() < fault() {
        let asked = futures_util::future::join_all(readers.iter().map(|http| http.get("/v1/unread"))).await;
        assert!(asked.iter().all(|(status, _)| *status == 503));
    }
    postgres.resume();
    fleet.goes_on(20).await;
    let report = fleet.finish(&server).await;
    assert!(report.is_clean(), "{report}");
    let log = server.log();
    let lines = |word: &str| log.lines().filter(|line| line.contains(word)).count();
    let minutes = usize::try_from(began.elapsed().as_secs() / 60).unwrap();
    assert!((1..=1 + minutes).contains(&lines("the database cannot be reached")), "{log}");
    assert_eq!(lines("the database answers again"), 1, "{log}");
    // Of what reads of its own there may be a word, too: revocations, and one read that was under way.
    let rest = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).count()
        - lines("cannot be reached");
    assert!(rest <= 3, "{rest} more: {log}");
}

/// PostgreSQL warns while a connection is made, and libpq would print that on standard error.
#[actix_web::test]
async fn what_libpq_prints_is_a_log_line_and_said_once() {
    let Some((url, name)) = Server::fresh_postgres() else { return };
    let mut admin = PgConnection::establish(&std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap()).unwrap();
    admin
        .batch_execute(&format!("ALTER DATABASE {name} SET default_text_search_config = 'missing'"))
        .unwrap();
    let server =
        Server::with_all(&with(&[("database.url", &url), ("log.format", "json"), ("database.readers", "8")]))
            .await;
    server.v1("alice").await.say("bob", "1", "x").await;
    let log = server.log();
    assert_eq!(log.matches("default_text_search_config").count(), 1, "{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "a bare line: {line}");
    }
}

#[actix_web::test]
async fn a_full_disk_stops_writing_and_not_reading() {
    let Some(disk) = Disk::tmpfs(24) else { return };
    let url = format!("sqlite://{}/hongyan.db", disk.path().display());
    let server = Server::with_all(&with(&[("database.url", &url)])).await;
    let filler = disk.path().join("filler");
    let fill = || {
        let mut file = OpenOptions::new().create(true).append(true).open(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    suffer("SQLite, disk full", &server, true, fill, || std::fs::remove_file(&filler).unwrap()).await;
}

#[actix_web::test]
async fn a_disk_that_fails_every_write() {
    let Some(files) = Files::new() else { return };
    let mut server = Server::with(UNLIMITED).await;
    files.carry(&mut server).await;
    suffer("SQLite, EIO", &server, true, || files.fail(true), || files.fail(false)).await;
}
