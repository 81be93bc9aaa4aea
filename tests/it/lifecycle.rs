//! Start, stop, restart, and what operators see of it.

use serde_json::{Value, json};

use crate::harness::{Client, Http, Said, Server, eventually};

#[actix_web::test]
async fn sigterm_says_farewell_and_loses_nothing() {
    let mut server = Server::with([("session.drain_spread_ms", "5000")]).await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.seed("bob", "alice").await);
    let ack = alice.say("bob", "1", "x").await;
    bob.expect("text").await;
    server.signal("TERM");
    for session in [&mut alice, &mut bob] {
        let reason = session.expect_close(4001).await;
        let retry: u64 = reason.strip_prefix("draining retry_ms=").unwrap().parse().unwrap();
        assert!(retry <= 5_000);
    }
    assert_eq!(server.ended().await.code(), Some(0));
    server.again().await;
    let (_, page) = server.http_as("bob").await.get("/v1/messages?peer=alice").await;
    assert_eq!(
        (&page["messages"][0]["seq"], &page["messages"][0]["sent_at"]),
        (&ack["seq"], &ack["sent_at"])
    );
}

#[actix_web::test]
async fn a_draining_server_is_not_ready_and_takes_nobody() {
    let mut server = Server::start().await;
    let ops = Http::new(&server.ops, None);
    assert_eq!(ops.get("/readyz").await.0, 200);
    // One that never answers the close keeps the server from ending at once.
    let mut stubborn = server.raw().await;
    stubborn.hello("alice", "bob").await;
    server.signal("INT");
    let (_, body) =
        eventually("not ready", async || Some(ops.get("/readyz").await).filter(|(status, _)| *status == 503))
            .await;
    assert_eq!(body["reasons"], json!(["draining"]));
    let url = format!("ws://{}/bob?to_user_openid=alice&code=dev:bob", server.at);
    assert_eq!(Client::connect(&url, &[], None).await.err(), Some(503));
    assert_eq!(stubborn.close_code().await, 4001);
    assert_eq!(server.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn a_handshake_under_way_when_the_server_leaves_is_told_too() {
    let mut server = Server::start().await;
    // One that never answers the close keeps the server from ending at once.
    let mut stubborn = server.raw().await;
    stubborn.hello("alice", "bob").await;
    let url = format!("ws://{}/bob?to_user_openid=alice&code=dev-slow:800:bob", server.at);
    let late = actix_web::rt::spawn(async move { Client::connect(&url, &[], None).await.unwrap() });
    let double = Http::new(&server.double, None);
    eventually("bob at WeChat", async || (double.get("/__calls").await.1["code2session"] == 2).then_some(()))
        .await;
    server.signal("TERM");
    let mut late = late.await.unwrap();
    late.expect("init").await;
    late.expect_close(4001).await;
    assert_eq!(server.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn what_was_acked_outlives_a_kill() {
    let mut server = Server::with([("limits.messages_per_second", "0")]).await;
    let mut alice = server.v1("alice").await;
    for n in 0..200 {
        alice.send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": n.to_string(), "message": "x" })).await;
    }
    for _ in 0..100 {
        alice.expect("ack").await;
    }
    server.signal("KILL");
    let mut acked = 100;
    while let Said::Frame(frame) = alice.next().await {
        assert_eq!(frame["type"], "ack");
        acked += 1;
    }
    server.again().await;
    let http = server.http_as("bob").await;
    assert!(http.get("/v1/unread").await.1["total"].as_i64().unwrap() >= acked);
    // What was not acked is sent again under its id, and is there once.
    let mut alice = server.v1("alice").await;
    for n in 0..200 {
        alice.say("bob", &n.to_string(), "x").await;
    }
    assert_eq!(http_again(&server).await, 200);
}

async fn http_again(server: &Server) -> i64 {
    server.http_as("bob").await.get("/v1/unread").await.1["total"].as_i64().unwrap()
}

#[actix_web::test]
async fn a_second_server_on_the_same_data_or_port_says_what_is_wrong() {
    let server = Server::start().await;
    let second = server.command(&["dev"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(said.contains("hongyan.db"), "{said}");
    let port = server.command(&["dev", "--listen", &server.at, "--database-url", "sqlite://other.db"]);
    let said = String::from_utf8_lossy(&port.stderr).into_owned();
    assert_eq!(port.status.code(), Some(1));
    assert!(said.contains("in use") && said.contains(&server.at), "{said}");
}

#[actix_web::test]
async fn a_unix_socket_takes_the_place_of_one_that_nobody_listens_on_and_of_nothing_else() {
    use std::os::unix::net::{UnixDatagram, UnixListener};
    let server = Server::start().await;
    let at = |name: &str| server.folder().join(name);
    let refused = |name: &str| {
        let listen = format!("unix:{}", at(name).display());
        let out = server.command(&["dev", "--listen", &listen, "--database-url", "sqlite://other.db"]);
        assert_eq!(out.status.code(), Some(1), "{name}");
        String::from_utf8(out.stderr).unwrap()
    };
    std::fs::write(at("file"), "precious").unwrap();
    std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
    std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    for name in ["file", "link", "dangling", "folder"] {
        let said = refused(name);
        assert!(said.contains("is no socket") && said.lines().count() == 1, "{name}: {said}");
    }
    assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "precious");
    assert!(at("link").is_symlink() && at("dangling").is_symlink() && at("folder").is_dir());
    let _somebody = UnixListener::bind(at("somebody")).unwrap();
    assert!(refused("somebody").contains("in use"));
    let _datagrams = UnixDatagram::bind(at("datagrams")).unwrap();
    refused("datagrams");
    assert!(at("somebody").exists() && at("datagrams").exists());

    drop(UnixListener::bind(at("stale")).unwrap());
    let served = Server::alone(&[("server.listen", &format!("unix:{}", at("stale").display()))]);
    assert!(std::os::unix::net::UnixStream::connect(at("stale")).is_ok());
    drop(served);
}

#[actix_web::test]
async fn an_idle_connection_is_kept_longer_than_proxies_keep_it() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::alone(&[("server.transport", transport)]);
        let mut socket = tokio::net::TcpStream::connect(&server.at).await.unwrap();
        // Longer than the five seconds that HTTP servers keep by default.
        for wait in [0, 6] {
            tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
            socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut answer = [0; 12];
            socket.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200", "{transport}");
            let mut rest = vec![0; 4096];
            assert!(socket.read(&mut rest).await.unwrap() > 0);
        }
        // It does not hold up a stop.
        let mut server = server;
        let began = std::time::Instant::now();
        server.signal("TERM");
        assert_eq!(server.ended().await.code(), Some(0));
        assert!(began.elapsed().as_secs() < 10, "{transport}: {:?}", began.elapsed());
    }
}

#[actix_web::test]
async fn operators_may_ask_by_head_and_for_either_format_of_metrics() {
    let server = Server::start().await;
    let ops = Http::new(&server.ops, None);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let head = ops.fetch(awc::http::Method::HEAD, path, &[]).await;
        let get = ops.fetch(awc::http::Method::GET, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
    assert_eq!(server.http().call(awc::http::Method::HEAD, "/healthz", None).await.0, 200);
    let metrics =
        async |accept: &str| ops.fetch(awc::http::Method::GET, "/metrics", &[("accept", accept)]).await;
    let plain = metrics("*/*").await;
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!String::from_utf8_lossy(&plain.body).contains("# EOF"));
    let asked =
        metrics("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3").await;
    assert_eq!(asked.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(asked.body.ends_with(b"# EOF\n"));
}

#[actix_web::test]
async fn dev_stays_on_this_machine() {
    let server = Server::start().await;
    let out = server.command(&["dev", "--listen", "0.0.0.0:0"]);
    assert_eq!(out.status.code(), Some(2), "{}", String::from_utf8_lossy(&out.stderr));
}

#[actix_web::test]
async fn a_backup_under_load_is_whole() {
    let server = Server::with([("limits.messages_per_second", "0")]).await;
    let mut alice = server.v1("alice").await;
    for n in 0..300 {
        alice.send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": n.to_string(), "message": "x" })).await;
    }
    let out = server.command(&["backup", "--dev", "copy.db"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for _ in 0..300 {
        alice.expect("ack").await;
    }
    let copy = server.folder().join("copy.db");
    use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};
    let mut conn = SqliteConnection::establish(copy.to_str().unwrap()).unwrap();
    let sound: String =
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("(SELECT * FROM pragma_integrity_check)"))
            .get_result(&mut conn)
            .unwrap();
    assert_eq!(sound, "ok");
    assert!(
        !server.command(&["backup", "--dev", "copy.db"]).status.success(),
        "an existing file is never overwritten"
    );
}

#[actix_web::test]
async fn operators_see_health_metrics_and_one_line_an_event() {
    let server = Server::with([("log.format", "json")]).await;
    let ops = Http::new(&server.ops, None);
    let mut alice = server.v1("alice").await;
    alice.say("bob", "1", "x").await;
    alice.say("bob", "1", "x").await;
    alice.text("{").await;
    alice.expect_error("bad_frame").await;
    assert_eq!(ops.get("/healthz").await.0, 200);
    for (name, value) in [
        ("hongyan_sessions", 1.0),
        ("hongyan_users", 1.0),
        ("hongyan_messages_in_total", 2.0),
        ("hongyan_acks_total", 2.0),
        ("hongyan_duplicates_total", 1.0),
        (r#"hongyan_errors_total{error="bad_frame"}"#, 1.0),
        (r#"hongyan_sessions_opened_total{dialect="v1"}"#, 1.0),
        (r#"hongyan_wechat_calls_total{call="code2session",result="ok"}"#, 1.0),
        ("hongyan_writes_in_flight", 0.0),
    ] {
        server.metric_becomes(name, value).await;
    }
    assert!(server.metric("hongyan_commit_seconds_count").await >= 2.0);
    assert!(server.command(&["healthcheck", "--dev", "--ops-listen", &server.ops]).status.success());
    server.command(&["kick", "--dev", "alice"]);
    alice.expect_close(4504).await;
    let log = server.log();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["level"].is_string() && event["ts"].is_string(), "{line}");
    }
    eventually("the line of the close", async || server.log().contains("\"code\":4504").then_some(())).await;
}
