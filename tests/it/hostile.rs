//! Hostile clients: each meets its documented end, memory stays flat, and other users do not notice.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::raw::{frame, header};
use crate::harness::{Server, eventually};

const MIB: usize = 1 << 20;

/// Two users who talk while something goes on; the server's memory must stay within `growth`.
struct Neighbours<'a> {
    server: &'a Server,
    before: usize,
}

impl<'a> Neighbours<'a> {
    async fn of(server: &'a Server) -> Self {
        let neighbours = Self { server, before: 0 };
        neighbours.talk().await;
        Self { before: server.memory(), ..neighbours }
    }

    async fn talk(&self) {
        let (mut ann, mut ben) = (self.server.v1("ann").await, self.server.v1("ben").await);
        for _ in 0..5 {
            let id = format!("{:x}", rand::random::<u64>());
            ann.say("ben", &id, "still here").await;
            assert_eq!(ben.expect("text").await["client_msg_id"], id);
        }
    }

    async fn did_not_notice(&self, growth: usize) {
        self.talk().await;
        let now = self.server.memory();
        assert!(now < self.before + growth, "memory grew from {} to {now}", self.before);
    }
}

/// What broken framing meets.
#[actix_web::test]
async fn every_broken_frame_has_its_close_code() {
    let server = Server::start().await;
    let neighbours = Neighbours::of(&server).await;
    let fragment = |first: u8| frame(first, b"x");
    let mut many = fragment(0x01);
    many.extend((0..16).flat_map(|_| fragment(0x00)));
    let cases = [
        ("an announced giant", header(0x81, 1 << 30), 1009),
        ("the largest giant there is", header(0x81, u64::MAX >> 1), 1009),
        ("a length of 64 bits", header(0x81, u64::MAX), 1002),
        ("one byte too many", header(0x81, 65_537), 1009),
        ("17 fragments", many, 1009),
        ("a fragmented giant", [frame(0x01, &[b'x'; 40_000]), header(0x80, 40_000)].concat(), 1009),
        ("no mask", vec![0x81, 1, b'x'], 1002),
        ("a reserved bit", fragment(0xC1), 1002),
        ("a reserved opcode", fragment(0x83), 1002),
        ("a reserved control opcode", fragment(0x8B), 1002),
        ("a long ping", frame(0x89, &[0; 126]), 1002),
        ("a fragmented ping", fragment(0x09), 1002),
        ("a continuation of nothing", fragment(0x80), 1002),
        ("a text within a text", [fragment(0x01), fragment(0x81)].concat(), 1002),
        ("half a close code", fragment(0x88), 1002),
        ("a binary frame", fragment(0x82), 1003),
        ("a fragmented binary frame", fragment(0x02), 1003),
        ("no UTF-8", frame(0x81, b"\xff\xfe"), 1007),
        ("half a character", [frame(0x01, b"\xe9\x9b"), frame(0x80, b"")].concat(), 1007),
    ];
    // Side by side: each waits the time that a peer has to answer a close.
    let (server, cases) = (&server, cases.into_iter().enumerate());
    join_all(cases.map(async |(n, (what, bytes, code))| {
        let mut raw = server.raw().await;
        raw.hello(&format!("mallory{n}"), "ann").await;
        raw.send(&bytes).await;
        assert_eq!(raw.close_code().await, code, "{what}");
        raw.ended().await;
    }))
    .await;
    neighbours.did_not_notice(16 * MIB).await;
}

#[actix_web::test]
async fn bytes_behind_an_announced_giant_are_not_kept() {
    let server = Server::start().await;
    let neighbours = Neighbours::of(&server).await;
    let mut bombers = Vec::new();
    for n in 0..8 {
        let mut raw = server.raw().await;
        raw.hello(&format!("mallory{n}"), "ann").await;
        raw.send(&header(0x81, 1 << 30)).await;
        for _ in 0..64 {
            raw.send(&[b'x'; 65_536]).await;
        }
        bombers.push(raw);
    }
    neighbours.did_not_notice(16 * MIB).await;
}

#[actix_web::test]
async fn fragments_are_made_whole_around_pings() {
    let server = Server::start().await;
    let mut bob = server.seed("bob", "mallory").await;
    let mut raw = server.raw().await;
    raw.hello("mallory", "bob").await;
    let text = "{\"message\":\"雪\"}".as_bytes();
    let cut = text.iter().position(|b| *b == 0xe9).unwrap() + 1;
    let bytes =
        [frame(0x01, &text[..cut]), frame(0x89, b"p"), frame(0x00, b""), frame(0x80, &text[cut..])].concat();
    for byte in bytes {
        raw.send(&[byte]).await;
    }
    assert_eq!(raw.frame().await.unwrap(), (0xA, b"p".to_vec()));
    assert_eq!(bob.expect("text").await["message"], "雪");
}

#[actix_web::test]
async fn bad_json_is_a_bad_frame() {
    let server = Server::with([("limits.bad_frames", "1000")]).await;
    let neighbours = Neighbours::of(&server).await;
    let mut mallory = server.seed("mallory", "ann").await;
    let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    for bad in [
        deep(32_000),
        deep(33),
        "{\"a\":".repeat(10_000),
        "not json".into(),
        "[]".into(),
        "null".into(),
        "\"text\"".into(),
        "{\"type\":5}".into(),
        "{\"type\":[]}".into(),
        "{\"type\":\"heart\",\"type\":\"text\"}".into(),
        "{\"message\":\"a\",\"message\":\"b\"}".into(),
        "{\"message\":\"\\ud800\"}".into(),
        "{\"message\":\"\\udc00\\ud800\"}".into(),
        "{\"message\":\"\\u0000\"}".into(),
        "{\"a\\u0000\":1}".into(),
        "{\"message\":7}".into(),
        "{\"to_user_openid\":{}}".into(),
        format!("{{\"to_user_openid\":\"{}\"}}", "x".repeat(65)),
        format!("{{\"client_msg_id\":\"{}\"}}", "x".repeat(65)),
        format!("{{\"type\":\"{}\"}}", "x".repeat(33)),
        String::new(),
    ] {
        mallory.text(&bad).await;
        mallory.expect_error("bad_frame").await;
    }
    let mut v1 = server.v1("mallory").await;
    v1.send(json!({ "type": "heart", "id": "x".repeat(65) })).await;
    v1.expect_error("bad_frame").await;
    v1.send(json!({ "type": "heart", "id": 5 })).await;
    v1.expect_error("bad_frame").await;
    neighbours.did_not_notice(16 * MIB).await;
}

#[actix_web::test]
async fn who_does_not_read_is_closed_and_costs_nothing() {
    let server = Server::with([
        ("limits.messages_per_second", "0"),
        ("limits.bytes_per_day", "0"),
        ("limits.writes_in_flight", "1000"),
    ])
    .await;
    let neighbours = Neighbours::of(&server).await;
    let mut deaf = server.raw().await;
    deaf.hello("mallory", "ann").await;
    let mut flood = server.v1("flood").await;
    let text = "x".repeat(8_000);
    let mut sent = 0;
    // Until the server has given the deaf one up; a bound, so that the test ends if it never does.
    while server.metric(r#"hongyan_session_closes_total{code="4002",reason="slow_consumer"}"#).await < 1.0 {
        assert!(sent < 20_000, "160 MB, and it is still not given up");
        for _ in 0..50 {
            sent += 1;
            flood.send(json!({ "type": "text", "to_user_openid": "mallory", "client_msg_id": sent.to_string(), "message": text })).await;
        }
        for _ in 0..50 {
            flood.expect("ack").await;
        }
    }
    neighbours.did_not_notice(32 * MIB).await;
    // Nothing is lost: it waits in the history.
    let http = server.http_as("mallory").await;
    assert_eq!(http.get("/v1/unread").await.1["total"], sent);
}

#[actix_web::test]
async fn who_is_ended_while_it_does_not_read_is_gone_soon() {
    let server = Server::with([
        ("limits.messages_per_second", "0"),
        ("limits.bytes_per_day", "0"),
        ("session.outbox_bytes", "134217728"),
        ("session.outboxes_bytes", "134217728"),
    ])
    .await;
    let mut deaf = server.raw().await;
    deaf.hello("mallory", "ann").await;
    let mut flood = server.v1("flood").await;
    let text = "x".repeat(8_000);
    // More than the kernel keeps for a socket, less than the outbox does.
    for n in 0..4_000 {
        flood.send(json!({ "type": "text", "to_user_openid": "mallory", "client_msg_id": n.to_string(), "message": text })).await;
        flood.expect("ack").await;
    }
    let _newer = server.seed("mallory", "ann").await;
    server.metric_becomes(r#"hongyan_session_closes_total{code="4503",reason="replaced"}"#, 1.0).await;
    drop(deaf);
}

#[actix_web::test]
async fn a_flood_without_reading_holds_up_only_its_sender() {
    let server = Server::with([("limits.messages_per_second", "0")]).await;
    let neighbours = Neighbours::of(&server).await;
    let mut flood = server.raw().await;
    flood.hello("mallory", "void").await;
    let message = frame(0x81, br#"{"message":"flood"}"#);
    let burst = message.repeat(20_000);
    flood.send(&burst).await;
    flood.send(&frame(0x89, &[7; 100]).repeat(20_000)).await;
    neighbours.did_not_notice(32 * MIB).await;
    drop(flood);
    server.metric_becomes("hongyan_sessions", 0.0).await;
}

#[actix_web::test]
async fn slow_and_endless_headers_are_dropped() {
    let server = Server::start().await;
    let neighbours = Neighbours::of(&server).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut raw = server.raw().await;
        raw.send(b"GET /alice HTTP/1.1\r\nHost: t").await;
        slow.push(raw);
    }
    let mut endless = server.raw().await;
    endless.send(b"GET /alice HTTP/1.1\r\n").await;
    for n in 0..4_000 {
        if !endless.send(format!("X-{n}: {}\r\n", "x".repeat(200)).as_bytes()).await {
            break;
        }
    }
    endless.ended().await;
    neighbours.did_not_notice(16 * MIB).await;
    for mut raw in slow {
        raw.ended().await;
    }
}

#[actix_web::test]
async fn a_body_of_unknown_length_ends_its_connection() {
    let server = Server::start().await;
    for path in ["/v1/login", "/healthz", "/nowhere/at/all"] {
        let mut raw = server.raw().await;
        raw.send(
            format!("POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes(),
        )
        .await;
        let chunk = [b"400\r\n".as_slice(), &[b'x'; 1024], b"\r\n"].concat();
        let began = std::time::Instant::now();
        while raw.send(&chunk).await {
            assert!(began.elapsed().as_secs() < 30, "{path} is still being read");
        }
    }
}

#[actix_web::test]
async fn only_a_plain_upgrade_is_one() {
    let server = Server::start().await;
    for lines in [
        "Upgrade: foo, websocket",
        "Upgrade: websocket, foo",
        "Upgrade: websocket\r\nTransfer-Encoding: chunked",
    ] {
        let mut raw = server.raw().await;
        raw.send(
            format!(
                "GET /a?to_user_openid=b&code=dev:a HTTP/1.1\r\nHost: t\r\n{lines}\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 400"), "{lines}: {head}");
    }
}

#[actix_web::test]
async fn init_is_the_first_frame_whatever_came_with_the_handshake() {
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::with([("server.transport", transport)]).await;
        for n in 0..20 {
            let mut raw = server.raw().await;
            let head = format!(
                "GET /a{n}?to_user_openid=b&code=dev:a{n} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: hongyan.v1\r\n\r\n"
            );
            raw.send(&[head.as_bytes(), &frame(0x81, br#"{"type":"heart","id":"z"}"#)].concat()).await;
            raw.head().await;
            let (_, first) = raw.frame().await.unwrap();
            assert!(
                first.starts_with(b"{\"type\":\"init\""),
                "{transport}: {}",
                String::from_utf8_lossy(&first)
            );
            let (_, second) = raw.frame().await.unwrap();
            assert!(second.starts_with(b"{\"type\":\"heart\""));
        }
    }
}

#[actix_web::test]
async fn one_address_has_so_many_handshakes_and_sessions() {
    let server = Server::with([
        ("limits.handshakes_per_second_per_address", "5"),
        ("limits.sessions_per_address", "3"),
    ])
    .await;
    let mut statuses = Vec::new();
    let mut open = Vec::new();
    for n in 0..30 {
        let url = format!("ws://{}/u{n}?to_user_openid=x&code=dev:u{n}", server.at);
        match crate::harness::Client::connect(&url, &[], None).await {
            Ok(client) => open.push(client),
            Err(status) => statuses.push(status),
        }
    }
    assert_eq!(open.len(), 3);
    assert!(statuses.iter().all(|status| *status == 429), "{statuses:?}");
    drop(open);
    // A seat is given back with its session.
    eventually("a seat", async || {
        let url = format!("ws://{}/late?to_user_openid=x&code=dev:late", server.at);
        crate::harness::Client::connect(&url, &[], None).await.ok()
    })
    .await;
}

#[actix_web::test]
async fn handshakes_of_all_addresses_take_turns_and_a_turn_too_far_away_is_refused() {
    for transport in ["takeover", "actix-web-actors"] {
        let server =
            Server::with([("server.transport", transport), ("limits.handshakes_per_second", "2")]).await;
        let began = Instant::now();
        let all = join_all((0..30).map(async |n| {
            let url = format!("ws://{}/u{n}?code=dev:u{n}", server.at);
            crate::harness::Client::connect(&url, &["hongyan.v1"], None).await
        }));
        let (opened, refused): (Vec<_>, Vec<_>) = all.await.into_iter().partition(Result::is_ok);
        let (took, turns) = (began.elapsed(), opened.len() as u32 - 1);
        assert!(
            took + Duration::from_millis(20) >= turns * Duration::from_millis(500),
            "{turns} turns in {took:?}"
        );
        let statuses: Vec<_> = refused.into_iter().filter_map(Result::err).collect();
        assert!(
            !statuses.is_empty() && statuses.iter().all(|status| *status == 503),
            "{transport}: {statuses:?}"
        );
        for mut client in opened.into_iter().flatten() {
            client.expect("init").await;
        }
    }
}

#[actix_web::test]
async fn what_was_asked_before_an_upgrade_is_answered_before_it() {
    let server = Server::start().await;
    for (openid, status) in [("bob", "HTTP/1.1 101 "), ("a/b", "HTTP/1.1 404 ")] {
        let mut raw = server.raw().await;
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let both = format!(
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /{openid}?to_user_openid=ann&code=dev:bob HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\r\n"
        );
        raw.send(both.as_bytes()).await;
        let health = raw.head().await;
        assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
        let after_its_body = raw.head().await;
        assert!(after_its_body.contains(status), "{after_its_body}");
    }
}

#[actix_web::test]
async fn strangers_take_no_turn_from_those_who_log_in() {
    for transport in ["takeover", "actix-web-actors"] {
        let server =
            Server::with([("server.transport", transport), ("limits.handshakes_per_second", "1")]).await;
        let strangers = join_all((0..10).map(async |n| {
            let url = format!("ws://{}/u{n}", server.at);
            crate::harness::Client::connect(&url, &["hongyan.v1", "bearer.made-up"], None).await
        }));
        for stranger in strangers.await {
            stranger.unwrap().expect("error").await;
        }
        server.v1("ann").await;
    }
}

#[actix_web::test]
async fn a_full_house_says_so_and_keeps_its_health_checks() {
    let server = Server::with([("limits.sessions", "4")]).await;
    let mut seated = Vec::new();
    for n in 0..4 {
        seated.push(server.v1(&format!("u{n}")).await);
    }
    let url = format!("ws://{}/late?code=dev:late", server.at);
    assert_eq!(crate::harness::Client::connect(&url, &["hongyan.v1"], None).await.err(), Some(503));
    assert_eq!(server.http().get("/healthz").await.0, 200);
    seated[0].nothing_came().await;
}

#[actix_web::test]
async fn what_ends_in_the_middle_leaves_nothing_behind() {
    let server = Server::start().await;
    let neighbours = Neighbours::of(&server).await;
    for n in 0..200 {
        let mut raw = server.raw().await;
        if n % 2 == 0 {
            raw.hello(&format!("m{n}"), "ann").await;
            raw.send(&header(0x81, 1_000)).await;
            raw.send(b"half").await;
        } else {
            raw.send(b"GET /x?to_user_openid=y&code=dev:x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
        }
    }
    server.metric_becomes("hongyan_sessions", 0.0).await;
    neighbours.did_not_notice(16 * MIB).await;
}

/// Caddy's Close at its reload: 1001, and no mask.
#[actix_web::test]
async fn a_proxys_close_is_not_held_against_the_user() {
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::alone(&[("server.transport", transport)]);
        let mut behind = server.raw().await;
        behind.hello("alice", "bob").await;
        behind.send(&[0x88, 0x02, 0x03, 0xE9]).await;
        assert_eq!(behind.close_code().await, 1001);
        server
            .metric_becomes("hongyan_session_closes_total{code=\"1001\",reason=\"proxy_closed\"}", 1.0)
            .await;
        assert!(
            server.metric("hongyan_session_closes_total{code=\"1002\",reason=\"protocol_error\"}").await
                < 1.0
        );
        assert!(!server.log().contains("session closed"), "{}", server.log());
    }
}
