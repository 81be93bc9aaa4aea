//! The calls under /v1.

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::{Http, Server};

fn seqs(page: &Value) -> Vec<i64> {
    page["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_i64().unwrap()).collect()
}

/// Ten messages from alice to bob.
async fn ten() -> (Server, Http, Http) {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    for n in 1..=10 {
        alice.say("bob", &n.to_string(), &format!("m{n}")).await;
    }
    let (alice, bob) = (server.http_as("alice").await, server.http_as("bob").await);
    (server, alice, bob)
}

#[actix_web::test]
async fn history_pages_both_ways() {
    let (_server, alice, bob) = ten().await;
    for (query, want, more) in [
        ("", (1..=10).collect::<Vec<_>>(), false),
        ("&limit=3", vec![8, 9, 10], true),
        ("&before_seq=8&limit=3", vec![5, 6, 7], true),
        ("&before_seq=3", vec![1, 2], false),
        ("&after_seq=0&limit=2", vec![1, 2], true),
        ("&after_seq=8", vec![9, 10], false),
        ("&after_seq=2&before_seq=6", vec![3, 4, 5], false),
        ("&after_seq=2&before_seq=6&limit=2", vec![3, 4], true),
        ("&after_seq=10", vec![], false),
    ] {
        let (status, page) = bob.get(&format!("/v1/messages?peer=alice{query}")).await;
        assert_eq!((status, seqs(&page), &page["has_more"]), (200, want, &json!(more)), "{query}");
    }
    assert_eq!(
        alice.get("/v1/messages?peer=bob").await.1["messages"],
        bob.get("/v1/messages?peer=alice").await.1["messages"]
    );
    assert_eq!(seqs(&bob.get("/v1/messages?peer=nobody").await.1), Vec::<i64>::new());
    for bad in [
        "",
        "?peer=a%20b",
        "?peer=alice&limit=0",
        "?peer=alice&limit=101",
        "?peer=alice&before_seq=-1",
        "?peer=alice&after_seq=x",
    ] {
        let (status, body) = bob.get(&format!("/v1/messages{bad}")).await;
        assert_eq!((status, &body["error"]), (400, &json!("bad_request")), "{bad}");
    }
}

#[actix_web::test]
async fn unread_is_exact_and_marks_never_go_back() {
    let (server, alice, bob) = ten().await;
    let unread = async |http: &Http| http.get("/v1/unread").await.1["total"].as_i64().unwrap();
    assert_eq!((unread(&bob).await, unread(&alice).await), (10, 0));
    for (seq, left) in [(4, 6), (2, 6), (999, 0)] {
        assert_eq!(bob.post("/v1/read", &json!({ "peer": "alice", "seq": seq })).await.0, 204);
        assert_eq!(unread(&bob).await, left, "{seq}");
    }
    server.v1("alice").await.say("bob", "11", "x").await;
    assert_eq!(unread(&bob).await, 1);
    server.v1("bob").await.say("alice", "1", "my own next message reads").await;
    assert_eq!((unread(&bob).await, unread(&alice).await), (0, 1));
    assert_eq!(bob.post("/v1/read", &json!({ "peer": "alice", "seq": -1 })).await.0, 400);
    assert_eq!(bob.post("/v1/read", &json!({ "peer": "stranger", "seq": 1 })).await.0, 204);
}

#[actix_web::test]
async fn the_list_is_newest_first_and_pages_to_its_end() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    for n in 0..7 {
        alice.say(&format!("p{n}"), "1", "x").await;
    }
    alice.say("p2", "2", "newest").await;
    let http = server.http_as("alice").await;
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = http.get(&format!("/v1/conversations?limit=3{cursor}")).await;
        assert_eq!(status, 200);
        listed.extend(
            page["conversations"].as_array().unwrap().iter().map(|c| c["peer"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed[0], "p2");
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(sorted, (0..7).map(|n| format!("p{n}")).collect::<Vec<_>>());
    assert_eq!(http.get("/v1/conversations?cursor=!!").await.0, 400);
    let (_, page) = http.get("/v1/conversations?limit=1").await;
    let first = &page["conversations"][0];
    assert_eq!(
        (&first["last_seq"], &first["unread"], &first["last_message"]["message"]),
        (&json!(2), &json!(0), &json!("newest"))
    );
}

#[actix_web::test]
async fn clearing_is_of_ones_own_view_and_told_to_ones_own_sessions() {
    let (server, alice, bob) = ten().await;
    let mut session = server.v1("bob").await;
    assert_eq!(bob.delete("/v1/conversations/alice?up_to_seq=4").await.0, 204);
    let cleared = session.expect("cleared").await;
    assert_eq!((&cleared["peer"], &cleared["seq"]), (&json!("alice"), &json!(4)));
    assert_eq!(seqs(&bob.get("/v1/messages?peer=alice").await.1), (5..=10).collect::<Vec<_>>());
    assert_eq!(bob.get("/v1/unread").await.1["total"], 6);
    assert_eq!(bob.delete("/v1/conversations/alice").await.0, 204);
    assert_eq!(session.expect("cleared").await["seq"], 10);
    assert_eq!(bob.get("/v1/conversations").await.1["conversations"], json!([]));
    assert_eq!(seqs(&alice.get("/v1/messages?peer=bob").await.1).len(), 10);
    server.v1("alice").await.say("bob", "11", "back").await;
    assert_eq!(bob.get("/v1/conversations").await.1["conversations"][0]["peer"], "alice");
    assert_eq!(bob.delete("/v1/conversations/nobody").await.0, 204);
}

#[actix_web::test]
async fn what_is_wrong_is_told_in_json_with_its_word() {
    let server = Server::with([("limits.http_per_second", "1"), ("limits.http_burst", "5")]).await;
    let http = server.http();
    for (method, path, body, status, error) in [
        (Method::GET, "/v1/unread", None, 401, "unauthorized"),
        (Method::GET, "/v1/nothing", None, 404, "not_found"),
        (Method::GET, "/a/b", None, 404, "not_found"),
        (Method::GET, "/alice", None, 400, "bad_request"),
        (Method::POST, "/v1/login", Some("{".to_owned()), 400, "bad_request"),
        (Method::POST, "/v1/login", Some("x".repeat(100_000)), 413, "too_large"),
    ] {
        let (got, body) = http.call(method, path, body).await;
        assert_eq!((got, &body["error"], &body["status"]), (status, &json!(error), &json!(status)), "{path}");
    }
    let alice = server.http_as("alice").await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let (status, body) = alice.get("/v1/unread").await;
        if status == 429 {
            assert!(body["retry_after_ms"].as_u64().unwrap() > 0);
        }
        statuses.push(status);
    }
    assert!(statuses.starts_with(&[200; 5]) && statuses.contains(&429), "{statuses:?}");
}

#[actix_web::test]
async fn the_document_is_served() {
    let server = Server::start().await;
    let (status, document) = server.http().get("/v1/openapi.json").await;
    assert_eq!(status, 200);
    for path in [
        "/v1/login",
        "/v1/logout",
        "/v1/conversations",
        "/v1/messages",
        "/v1/unread",
        "/v1/read",
        "/v1/conversations/{peer}",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}
