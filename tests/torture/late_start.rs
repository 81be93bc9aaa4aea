//! A server that is started before its database waits for it; what waiting does not mend ends it at once.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Client, Http, PATIENCE, Server, eventually};
use crate::postgres::Postgres;
use crate::size::{figure, ms};

const WAITING: &str = "waiting for the database";

/// A server that may not be ready yet, on ports that were free a moment ago.
struct Begun {
    folder: TempDir,
    child: Child,
    chat: String,
    ops: String,
}

impl Begun {
    fn new(database: &str) -> Self {
        Self::run("dev", database, &[])
    }

    fn run(mode: &str, database: &str, settings: &[(&str, &str)]) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (folder, chat, ops) = (tempfile::tempdir().unwrap(), free(), free());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
        command
            .arg(mode)
            .current_dir(folder.path())
            .env("HONGYAN_DATABASE__URL", database)
            .envs(settings.iter().copied());
        command.env("HONGYAN_SERVER__LISTEN", &chat).env("HONGYAN_OPS__LISTEN", &ops);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { folder, child, chat, ops }
    }

    async fn listens(&self) {
        eventually("the ports", async || TcpStream::connect(&self.ops).ok().map(|_| ())).await;
        eventually("the wait", async || self.log().contains(WAITING).then_some(())).await;
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the server's end", async || child.try_wait().unwrap()).await
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}

#[actix_web::test]
async fn a_server_waits_for_its_database_and_lets_nobody_in_meanwhile() {
    let Some(postgres) = Postgres::made() else { return };
    let server = Begun::new(&postgres.url());
    server.listens().await;
    let (ops, chat) = (Http::new(&server.ops, None), Http::new(&server.chat, None));
    let (status, body) = ops.get("/readyz").await;
    assert_eq!((status, &body["ready"], &body["reasons"]), (503, &json!(false), &json!(["store"])));
    assert_eq!(body["details"]["database"], "unreachable");
    assert!(body["details"]["database_reason"].as_str().unwrap().contains("refused"), "{body}");
    assert_eq!((ops.get("/healthz").await.0, chat.get("/healthz").await.0), (200, 200));
    assert_eq!(ops.call(awc::http::Method::HEAD, "/readyz", None).await.0, 503);
    // Prometheus is told that it is the database, and not that nobody is there.
    let metrics = ops.text("/metrics").await;
    assert!(
        metrics.contains("\nhongyan_database_up 0\n") && metrics.contains("\nhongyan_ready 0\n"),
        "{metrics}"
    );
    let handshake =
        Client::connect(&format!("ws://{}/alice?code=dev:alice", server.chat), &["hongyan.v1"], None).await;
    assert_eq!(handshake.err(), Some(503));
    let login = chat.post("/v1/login", &json!({ "code": "dev:alice" })).await;
    assert_eq!((login.0, &login.1["error"]), (503, &json!("unavailable")));

    postgres.resume();
    let began = Instant::now();
    eventually("ready", async || server.log().contains(" ready ").then_some(())).await;
    assert_eq!(ops.get("/readyz").await.0, 200);
    let metrics = ops.text("/metrics").await;
    assert!(
        metrics.contains("\nhongyan_database_up 1\n") && metrics.contains("\nhongyan_ready 1\n"),
        "{metrics}"
    );
    figure("a server that waited for PostgreSQL", format!("ready {:.0} ms after it", ms(began.elapsed())));
    let mut alice = eventually("a session", async || {
        Client::try_connect(&format!("ws://{}/alice?code=dev:alice", server.chat), &["hongyan.v1"]).await
    })
    .await;
    alice.expect("init").await;
    assert_eq!(alice.say("bob", "1", "x").await["seq"], 1);
    assert_eq!(server.log().matches(WAITING).count(), 1, "{}", server.log());
    assert_eq!(server.log().matches("the database is there").count(), 1);
}

#[actix_web::test]
async fn a_database_that_takes_no_writes_yet_is_waited_for() {
    let Some((url, name)) = Server::fresh_postgres() else { return };
    let mut admin = PgConnection::establish(&std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap()).unwrap();
    admin.batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).unwrap();
    let server = Begun::new(&url);
    server.listens().await;
    let ops = Http::new(&server.ops, None);
    let (status, body) = ops.get("/readyz").await;
    assert_eq!((status, &body["details"]["database"]), (503, &json!("read_only")));
    admin.batch_execute(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).unwrap();
    eventually("ready", async || {
        (TcpStream::connect(&server.ops).is_ok() && server.log().contains(" ready ")).then_some(())
    })
    .await;
    assert_eq!(ops.get("/readyz").await.0, 200);
}

#[actix_web::test]
async fn a_signal_ends_the_wait_at_once() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut server = Begun::new("postgres://postgres@127.0.0.1:1/postgres");
        server.listens().await;
        let began = Instant::now();
        assert!(
            Command::new("kill")
                .args([&format!("-{signal}"), &server.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(server.ended().await.code(), Some(0), "{signal}");
        assert!(began.elapsed() < Duration::from_secs(8), "{signal}: {:?}", began.elapsed());
    }
}

/// `systemctl reload` sends it, and a server that left with 0 would not be started again.
#[actix_web::test]
async fn a_reload_does_not_end_the_wait_of_serve() {
    let key = format!("k1:{}", "v".repeat(40));
    let settings = [
        ("HONGYAN_WECHAT__APPID", "wx0123456789abcdef"),
        ("HONGYAN_WECHAT__SECRET", "secret"),
        ("HONGYAN_WECHAT__API_BASE", "http://127.0.0.1:1"),
        ("HONGYAN_AUTH__KEYS", &key),
    ];
    let mut server = Begun::run("serve", "postgres://postgres@127.0.0.1:1/postgres", &settings);
    server.listens().await;
    let send = |signal: &str| {
        Command::new("kill").args([signal, &server.child.id().to_string()]).status().unwrap().success()
    };
    assert!(send("-HUP"));
    let ops = Http::new(&server.ops, None);
    for _ in 0..20 {
        assert_eq!(ops.get("/healthz").await.0, 200);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // The public port tells strangers nothing of the database.
    let (status, body) = Http::new(&server.chat, None).get("/readyz").await;
    assert_eq!((status, &body["error"], &body["details"]), (503, &json!("unavailable"), &json!(null)));
    assert!(send("-TERM"));
    assert_eq!(server.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn what_waiting_does_not_mend_ends_the_start() {
    let Some((url, name)) = Server::fresh_postgres() else { return };
    for (wrong, says) in [
        (url.replace(&name, "no_such_database"), "database \"no_such_database\" does not exist"),
        (url.replace("postgres@", "no_such_role@"), "role \"no_such_role\" does not exist"),
    ] {
        let mut server = Begun::new(&wrong);
        assert_eq!(server.ended().await.code(), Some(1));
        assert!(server.log().contains(says) && !server.log().contains(WAITING), "{}", server.log());
    }
    // A command is for now: who gave it sees why it cannot be.
    let server = Server::alone(&[]);
    let began = Instant::now();
    let away = [("HONGYAN_DATABASE__URL", "postgres://postgres@127.0.0.1:1/postgres")];
    for command in [&["migrate", "--dev"][..], &["ban", "alice", "--dev"]] {
        let out = Command::new(env!("CARGO_BIN_EXE_hongyan"))
            .args(command)
            .envs(away)
            .current_dir(server.folder())
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&out.stderr).contains("cannot reach PostgreSQL"));
    }
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn the_unit_is_started_again_however_often_it_failed() {
    let unit =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/hongyan.service"))
            .unwrap();
    let section = unit.split("\n[Unit]\n").nth(1).unwrap().split("\n[").next().unwrap();
    assert!(section.lines().any(|line| line == "StartLimitIntervalSec=0"), "{section}");
}
