//! What one user may draw from the server: pages that end, answers that are counted, and nothing kept for who
//! does not read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Http, Raw, Server};

/// Of a page with all that stands around its entries.
const PAGE_BYTES: usize = (256 << 10) + 1_024;

/// Fields of 15 KB, 8 of them text.
fn large(client_msg_id: usize, peer: &str) -> Value {
    let id = client_msg_id.to_string();
    json!({ "type": "text", "to_user_openid": peer, "client_msg_id": id, "message": "x".repeat(8_000), "more": "y".repeat(7_000) })
}

async fn page(http: &Http, path: &str) -> Value {
    let text = http.text(path).await;
    assert!(text.len() <= PAGE_BYTES, "{path}: {} bytes", text.len());
    serde_json::from_str(&text).unwrap()
}

fn seqs(page: &Value) -> Vec<i64> {
    page["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_i64().unwrap()).collect()
}

#[actix_web::test]
async fn history_ends_at_256_kib_and_goes_on_both_ways() {
    let server = Server::with([("limits.messages_per_second", "0")]).await;
    let mut ann = server.v1("ann").await;
    for n in 0..60 {
        ann.send(large(n, "ben")).await;
        ann.expect("ack").await;
    }
    let ben = server.http_as("ben").await;
    let all: Vec<i64> = (1..=60).collect();
    let (mut down, mut below) = (Vec::new(), String::new());
    loop {
        let page = page(&ben, &format!("/v1/messages?peer=ann&limit=100{below}")).await;
        let seqs = seqs(&page);
        assert!(seqs.len() >= 10 || page["has_more"] == false, "a page is as full as it may be");
        below = format!("&before_seq={}", seqs[0]);
        down.splice(0..0, seqs);
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(down, all);
    let (mut up, mut above) = (Vec::new(), 0);
    loop {
        let page =
            page(&ben, &format!("/v1/messages?peer=ann&limit=100&after_seq={above}&before_seq=61")).await;
        up.extend(seqs(&page));
        above = *up.last().unwrap();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(up, all);
}

#[actix_web::test]
async fn the_list_and_unread_end_at_256_kib() {
    let server = Server::with([]).await;
    let names: BTreeSet<String> = (0..40).map(|n| format!("u{n}")).collect();
    for name in &names {
        let mut sender = server.v1(name).await;
        sender.send(large(0, "ben")).await;
        sender.expect("ack").await;
    }
    let ben = server.http_as("ben").await;
    let (mut listed, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = page(&ben, &format!("/v1/conversations?limit=100{cursor}")).await;
        listed.extend(
            page["conversations"].as_array().unwrap().iter().map(|c| c["peer"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((listed.len(), listed.into_iter().collect::<BTreeSet<_>>()), (40, names));
    assert!((3..=4).contains(&pages), "{pages}");
    let unread = page(&ben, "/v1/unread").await;
    assert_eq!((&unread["total"], &unread["has_more"]), (&json!(40), &json!(true)));
}

#[actix_web::test]
async fn bytes_of_answers_are_counted_by_user_over_http_and_by_sync() {
    // At once 16 times as much.
    let server =
        Server::with([("limits.answer_bytes_per_second", "65536"), ("limits.messages_per_second", "0")])
            .await;
    let mut ann = server.v1("ann").await;
    for n in 0..20 {
        ann.send(large(n, "ben")).await;
        ann.expect("ack").await;
    }
    let mut session = server.v1("ben").await;
    let ben = server.http_as("ben").await;
    let mut answered = 0;
    let wait = loop {
        let (status, body) = ben.get("/v1/messages?peer=ann&limit=100").await;
        if status == 429 {
            assert_eq!(body["error"], "rate_limited");
            break body["retry_after_ms"].as_u64().unwrap();
        }
        answered += 1;
        assert!(answered <= 20, "5 MB are never too much");
    };
    assert!(answered >= 4 && (1..=4_000).contains(&wait), "{answered} answers, then {wait} ms");
    session.send(json!({ "type": "sync", "id": "s" })).await;
    let refused = session.expect_error("rate_limited").await;
    assert_eq!(refused["id"], "s");
    assert!(refused["retry_after_ms"].as_u64().unwrap() >= 1);
    session.nothing_came().await;
    let ann = server.http_as("ann").await;
    assert_eq!(ann.get("/v1/messages?peer=ben").await.0, 200, "others have budgets of their own");
    crate::harness::eventually("an end of the wait", async || {
        (ben.get("/v1/unread").await.0 == 200).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn small_syncs_are_counted_too() {
    let server =
        Server::with([("limits.answer_bytes_per_second", "16384"), ("limits.controls_per_second", "0")])
            .await;
    let mut ann = server.v1("ann").await;
    let mut answered = 0;
    loop {
        ann.send(json!({ "type": "sync", "id": "s" })).await;
        let crate::harness::Said::Frame(frame) = ann.next().await else { panic!("closed") };
        if frame["type"] == "error" {
            assert_eq!(frame["error"], "rate_limited");
            break;
        }
        answered += 1;
        assert!(answered < 1_000, "nothing counts them");
    }
    assert!(answered >= 16, "{answered}");
}

#[actix_web::test]
async fn an_answer_that_nobody_reads_is_let_go() {
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::with([
            ("server.transport", transport),
            ("limits.http_write_ms", "300"),
            ("limits.messages_per_second", "0"),
        ])
        .await;
        let mut ann = server.v1("ann").await;
        for n in 0..20 {
            ann.send(large(n, "ben")).await;
            ann.expect("ack").await;
        }
        let ben = server.http_as("ben").await;
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut raw = Raw::connect_narrow(&server.at).await;
            let token = ben.token();
            let ask = format!(
                "GET /v1/messages?peer=ann&limit=100 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            raw.send(ask.repeat(3).as_bytes()).await;
            held.push(raw);
        }
        server.metric_becomes("hongyan_connections", 10.0).await;
        server.metric_becomes("hongyan_connections", 0.0).await;
        // A session that does not read is none of these: it has bounds of its own.
        ann.nothing_came().await;
        drop(held);
    }
}
