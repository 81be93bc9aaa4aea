//! msgSecCheck: what WeChat says of a text, in what order messages leave, and what it is asked at all.

use serde_json::json;

use super::*;
use crate::harness::eventually;

#[actix_web::test]
async fn what_wechat_calls_risky_is_refused_and_noted() {
    let server = Guarded::new("local+wechat", &[("safety.keep_text", "true")]);
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    assert_eq!(fate(&mut alice, "bob", "1", "hello").await, "ack");
    assert_eq!(bob.expect("text").await["message"], "hello");
    for (n, label) in [10001, 20001, 20002, 20003, 20006, 20008, 20012, 20013, 21000].into_iter().enumerate()
    {
        assert_eq!(
            fate(&mut alice, "bob", &format!("r{n}"), &format!("dev-risky:{label}")).await,
            "content_refused"
        );
    }
    assert_eq!(
        fate(&mut alice, "bob", "d", "dev-risky:20006 dev-detail").await,
        "content_refused",
        "told by the details alone"
    );
    assert_eq!(fate(&mut alice, "bob", "l", "badword").await, "content_refused");
    assert_eq!(server.asked().await, 11, "what is listed is not asked about");
    assert_eq!(server.history("bob", "alice").await, ["hello"]);
    bob.nothing_came().await;

    let findings = server.findings();
    let labels: Vec<_> = findings.iter().map(|finding| finding.label).collect();
    assert_eq!(labels, [10001, 20001, 20002, 20003, 20006, 20008, 20012, 20013, 21000, 20006, 0]);
    assert!(findings.iter().all(|finding| finding.outcome == REFUSED && finding.seq.is_none()));
    assert!(findings[..10].iter().all(|finding| finding.found_by == 1 && finding.trace_id.is_some()));
    assert_eq!(findings[2].content.as_deref(), Some("dev-risky:20002"));
}

#[actix_web::test]
async fn what_wechat_would_look_at_passes_or_not_as_the_operator_wants() {
    for (review, wanted) in [("pass", "ack"), ("refuse", "content_refused")] {
        let server = Guarded::new("wechat", &[("safety.review", review)]);
        let mut alice = server.v1("alice").await;
        assert_eq!(fate(&mut alice, "bob", "1", "dev-review:20003").await, wanted);
        assert_eq!(fate(&mut alice, "bob", "2", "badword").await, "ack", "the list is not asked");
        let [finding] = &server.findings()[..] else { panic!("one finding") };
        let (outcome, seq) = if review == "pass" { (REVIEW, Some(1)) } else { (REFUSED, None) };
        assert_eq!(
            (finding.outcome, finding.seq, finding.label, finding.content.as_deref()),
            (outcome, seq, 20003, None)
        );
    }
}

#[actix_web::test]
async fn a_long_text_is_asked_in_pieces_and_the_worst_counts() {
    let server = Guarded::new("wechat", &[("limits.message_bytes", "16384"), ("safety.cache_entries", "0")]);
    let mut alice = server.v1("alice").await;
    let long = |at: usize, word: &str| format!("{}{word}{}", "字".repeat(at), "。".repeat(5_000 - at));
    assert_eq!(fate(&mut alice, "bob", "1", &long(10, "")).await, "ack");
    assert_eq!(server.asked().await, 3);
    // In the first piece, over the first cut, in the last.
    for (n, at) in [100, 2_495, 4_980].into_iter().enumerate() {
        assert_eq!(
            fate(&mut alice, "bob", &format!("r{n}"), &long(at, " dev-risky ")).await,
            "content_refused",
            "{at}"
        );
    }
    assert_eq!(server.asked().await, 12);
}

#[actix_web::test]
async fn one_conversation_keeps_its_order_and_holds_up_no_other() {
    let server = Guarded::new("wechat", &[("safety.timeout_ms", "30000")]);
    let (mut alice, mut bob, mut carol) =
        (server.v1("alice").await, server.v1("bob").await, server.v1("carol").await);
    for (id, message) in
        [("1", "dev-slow:1500"), ("2", "dev-slow:500"), ("3", "three"), ("4", "dev-risky"), ("5", "five")]
    {
        alice.send(text("bob", id, message)).await;
    }
    // While the first of those is under way, what others write is through.
    assert_eq!(fate(&mut carol, "bob", "c", "hello").await, "ack");
    assert_eq!(fate(&mut bob, "alice", "b", "the other way").await, "ack");
    alice.send(text("carol", "6", "elsewhere")).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(answer(&mut alice).await);
    }
    let answers: Vec<_> = answers.iter().map(|(id, word)| (id.as_str(), word.as_str())).collect();
    assert_eq!(
        answers,
        [("6", "ack"), ("1", "ack"), ("2", "ack"), ("3", "ack"), ("4", "content_refused"), ("5", "ack")]
    );
    let of_alice = ["dev-slow:1500", "dev-slow:500", "three", "five"];
    assert_eq!(
        server.history("bob", "alice").await.into_iter().filter(|m| m != "the other way").collect::<Vec<_>>(),
        of_alice
    );
}

#[actix_web::test]
async fn a_recall_and_what_is_over_the_rate_keep_their_places() {
    let server = Guarded::new(
        "wechat",
        &[("limits.message_burst", "3"), ("limits.messages_per_second", "1"), ("safety.timeout_ms", "30000")],
    );
    let mut alice = server.v1("alice").await;
    let seq = alice.say("bob", "1", "first").await["seq"].clone();
    alice.send(text("bob", "2", "dev-slow:700")).await;
    alice.send(json!({ "type": "recall", "id": "r", "to_user_openid": "bob", "target_seq": seq })).await;
    // Past the rate: a repeat is acked, and something new is not; neither is asked about.
    alice.send(text("bob", "1", "first")).await;
    alice.send(text("bob", "3", "too fast")).await;
    let mut heard = Vec::new();
    for _ in 0..4 {
        match alice.next().await {
            Said::Frame(frame) => {
                heard.push((frame["type"].clone(), frame["error"].clone(), frame["client_msg_id"].clone()))
            }
            other => panic!("{other:?}"),
        }
    }
    let ack = |id: Value| (json!("ack"), Value::Null, id);
    assert_eq!(
        heard,
        [
            ack(json!("2")),
            ack(Value::Null),
            ack(json!("1")),
            (json!("error"), json!("rate_limited"), json!("3"))
        ]
    );
    assert_eq!(server.asked().await, 2);
}

#[actix_web::test]
async fn the_same_text_is_asked_about_once() {
    let server = Guarded::new("wechat", &[]);
    let (mut alice, mut carol) = (server.v1("alice").await, server.v1("carol").await);
    for n in 0..3 {
        assert_eq!(fate(&mut alice, "bob", &n.to_string(), "ok").await, "ack");
        assert_eq!(fate(&mut carol, "bob", &n.to_string(), "dev-risky").await, "content_refused");
    }
    assert_eq!(server.asked().await, 2);
    // A name is another scene.
    assert_eq!(server.http_as("alice").await.put("/v1/me", &json!({ "nickname": "ok" })).await.0, 200);
    assert_eq!(server.asked().await, 3);
    assert_eq!(server.metric("hongyan_safety_remembered_total").await, 4.0);
}

#[actix_web::test]
async fn a_blank_message_is_not_asked_about() {
    let server = Guarded::new("local+wechat", &[]);
    let mut alice = server.v1("alice").await;
    assert_eq!(fate(&mut alice, "bob", "1", "").await, "ack");
    assert_eq!(fate(&mut alice, "bob", "2", " \n\u{3000}").await, "ack");
    assert_eq!(server.asked().await, 0);
    assert!(server.findings().is_empty());
}

#[actix_web::test]
async fn nicknames_are_asked_about_too() {
    let server = Guarded::new("local+wechat", &[("safety.on_outage", "closed")]);
    let alice = server.http_as("alice").await;
    for (name, status, word) in [
        ("Alice", 200, Value::Null),
        ("dev-review", 200, Value::Null),
        ("dev-risky:20002", 403, json!("content_refused")),
        ("badword", 403, json!("content_refused")),
        ("dev-500", 503, json!("unavailable")),
    ] {
        let (got, answer) = alice.put("/v1/me", &json!({ "nickname": name })).await;
        assert_eq!((got, &answer["error"]), (status, &word), "{name}: {answer}");
    }
    assert_eq!(alice.get("/v1/me").await.1["nickname"], "dev-review");
    let found: Vec<_> = server.findings().into_iter().map(|f| (f.outcome, f.label, f.found_by)).collect();
    assert_eq!(found, [(REVIEW, 20012, 1), (REFUSED, 20002, 1), (REFUSED, 0, 0)]);
}

#[actix_web::test]
async fn what_is_being_checked_when_the_server_leaves_is_stored() {
    let mut server = Guarded::new("wechat", &[]);
    let mut alice = server.v1("alice").await;
    alice.say("bob", "0", "before").await;
    alice.send(text("bob", "1", "dev-slow:800")).await;
    eventually("the check", async || (server.asked().await == 2).then_some(())).await;
    server.signal("TERM");
    // Gone at once, so that nothing but the check is waited for.
    alice.expect_close(4001).await;
    drop(alice);
    assert!(server.server.ended().await.success());
    server.server.again().await;
    assert_eq!(server.history("bob", "alice").await, ["before", "dev-slow:800"]);
}

#[actix_web::test]
async fn more_than_may_wait_is_told_to_come_again() {
    let server = Guarded::new("wechat", &[("safety.in_flight", "2"), ("safety.timeout_ms", "30000")]);
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.say("bob", "0", "before").await;
    for id in ["1", "2", "3"] {
        alice.send(text("bob", id, "dev-slow:1000")).await;
    }
    assert_eq!(answer(&mut alice).await, ("3".into(), "unavailable".into()));
    assert_eq!(answer(&mut alice).await, ("1".into(), "ack".into()));
    assert_eq!(answer(&mut alice).await, ("2".into(), "ack".into()));
    eventually("places", async || (fate(&mut bob, "alice", "b", "hi").await == "ack").then_some(())).await;
}
