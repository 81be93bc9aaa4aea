//! Connections without a session: bounded in all and by address, while everybody else is served.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::harness::raw::Raw;
use crate::harness::{Client, Http, PATIENCE, Server, eventually};

/// Of so few descriptors as the tests here leave, connections without a session have no more.
const MOST_OPEN: usize = 30;

/// Keep-alive connections that asked once, one after the other, and got their answer or were closed.
async fn idle(at: &str, count: usize) -> Vec<Raw> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut raw = Raw::connect(at).await;
        raw.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut answer = [0; 4_096];
        let _ = tokio::time::timeout(PATIENCE, raw.socket.read(&mut answer))
            .await
            .expect("neither answered nor closed");
        all.push(raw);
    }
    all
}

/// Whether the server has closed it, whatever it said before.
async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut rest = [0; 4_096];
    loop {
        match tokio::time::timeout(Duration::from_millis(1), socket.read(&mut rest)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
}

/// Everything that must work whatever the public port holds.
async fn serves_everybody(server: &Server, round: usize) {
    let (status, answer) =
        server.http().post("/v1/login", &json!({ "code": format!("dev:user{round}") })).await;
    assert_eq!(status, 200, "{answer}");
    let ops = Http::new(&server.ops, None);
    assert_eq!(ops.get("/readyz").await.0, 200);
    assert!(ops.text("/metrics").await.contains("hongyan_connections "));
    let checked = server.command(&["healthcheck", "--dev", "--ops-listen", &server.ops]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // The database takes writes, and sessions come in.
    let (mut ann, mut ben) = (server.v1("ann").await, server.v1("ben").await);
    ann.say("ben", &format!("m{round}"), "still here").await;
    assert_eq!(ben.expect("text").await["client_msg_id"], format!("m{round}"));
}

#[actix_web::test]
async fn idle_connections_of_one_address_keep_nobody_out() {
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::with_descriptors(
            256,
            &[("server.transport", transport), ("limits.http_write_ms", "60000")],
        );
        let mut floods = Vec::new();
        for round in 0..6 {
            floods.extend(idle(&server.at, 356).await);
            serves_everybody(&server, round).await;
        }
        let bound = server.metric("hongyan_connections").await;
        assert!((1.0..=MOST_OPEN as f64).contains(&bound), "{transport}: {bound} of them are open");
        drop(floods);
    }
}

#[actix_web::test]
async fn neither_do_they_where_the_database_is_postgresql() {
    let Some((database, _)) = Server::fresh_postgres() else { return };
    let server = Server::with_descriptors(256, &[("database.url", &database)]);
    let mut floods = Vec::new();
    for round in 0..3 {
        floods.extend(idle(&server.at, 356).await);
        serves_everybody(&server, round).await;
    }
}

#[actix_web::test]
async fn half_a_request_is_idle_too_and_its_connections_keep_nobody_out() {
    let server = Server::with_descriptors(256, &[]);
    let mut halves = Vec::new();
    for round in 0..3 {
        for _ in 0..356 {
            let mut raw = server.raw().await;
            raw.send(b"POST /v1/login HTTP/1.1\r\nHost: t").await;
            halves.push(raw);
        }
        // While some of them are still to be taken in, one that asks may be the oldest of those that have
        // not.
        eventually("the end of those that go for others", async || {
            let mut open = Vec::new();
            for mut half in std::mem::take(&mut halves) {
                if !is_closed(&mut half.socket).await {
                    open.push(half);
                }
            }
            halves = open;
            (halves.len() <= MOST_OPEN).then_some(())
        })
        .await;
        serves_everybody(&server, round).await;
    }
}

#[actix_web::test]
async fn the_operators_port_answers_though_its_own_connections_idle() {
    let server = Server::with_descriptors(256, &[]);
    let mut held = idle(&server.ops, 300).await;
    serves_everybody(&server, 0).await;
    held.extend(idle(&server.ops, 300).await);
    serves_everybody(&server, 1).await;
}

#[actix_web::test]
async fn sessions_are_not_connections_and_stay() {
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::with_descriptors(256, &[("server.transport", transport)]);
        let mut sessions = Vec::new();
        for n in 0..60 {
            sessions.push(server.v1(&format!("u{n}")).await);
        }
        let flood = idle(&server.at, 356).await;
        serves_everybody(&server, 0).await;
        // Those of ann and ben are over.
        server.metric_becomes("hongyan_sessions", 60.0).await;
        for session in &mut sessions {
            session.send(json!({ "type": "heart", "id": "h" })).await;
            session.expect("heart").await;
        }
        drop(flood);
    }
}

#[actix_web::test]
async fn the_oldest_idle_connection_of_the_address_goes_and_a_proxy_has_no_such_bound() {
    let few = [("limits.connections", "12"), ("limits.connections_per_address", "4")];
    let server = Server::alone(&few);
    let mut held = idle(&server.at, 5).await;
    eventually("the first one's end", async || is_closed(&mut held[0].socket).await.then_some(())).await;
    for one in &mut held[1..] {
        assert!(!is_closed(&mut one.socket).await, "only the oldest has to go");
    }
    let proxied = Server::alone(&[&few[..], &[("server.trusted_proxies", "127.0.0.1")]].concat());
    let mut held = idle(&proxied.at, 12).await;
    assert_eq!(proxied.metric("hongyan_connections").await, 12.0);
    held.extend(idle(&proxied.at, 1).await);
    eventually("the first one's end", async || is_closed(&mut held[0].socket).await.then_some(())).await;
}

#[actix_web::test]
async fn who_comes_while_all_the_others_are_answered_is_told_so() {
    let server = Server::alone(&[("limits.connections", "8"), ("limits.connections_per_address", "2")]);
    // Bodies that do not come: the server waits ten seconds for them.
    let mut busy = Vec::new();
    let told = eventually("a refusal", async || {
        let mut raw = server.raw().await;
        raw.send(b"POST /v1/login HTTP/1.1\r\nHost: t\r\nContent-Length: 20\r\n\r\n").await;
        let mut answer = vec![0; 4_096];
        let read = tokio::time::timeout(Duration::from_millis(200), raw.socket.read(&mut answer)).await;
        busy.push(raw);
        let length = read.ok()?.ok().filter(|length| *length > 0)?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    })
    .await;
    assert!(told.starts_with("HTTP/1.1 429 ") && told.contains("\"rate_limited\""), "{told}");
    assert!(
        server.metric(r#"hongyan_connections_refused_total{error="too_many_from_address"}"#).await >= 1.0
    );
    drop(busy);
    eventually("room", async || {
        Client::connect(&format!("ws://{}/a?code=dev:a", server.at), &["hongyan.v1"], None).await.ok()
    })
    .await;
}
