//! WeChat does not judge: it is away, it is asked too much, or it does not know the user.

use std::time::Instant;

use diesel::connection::SimpleConnection as _;
use serde_json::json;

use super::*;

#[actix_web::test]
async fn while_wechat_is_away_texts_fare_as_the_operator_wants() {
    for (on_outage, plain, listed) in [
        ("open", "ack", "ack"),
        ("local", "ack", "content_refused"),
        ("closed", "unavailable", "unavailable"),
    ] {
        let settings =
            [("safety.on_outage", on_outage), ("safety.timeout_ms", "300"), ("safety.breaker_failures", "0")];
        let server = Guarded::new("wechat", &settings);
        let mut alice = server.v1("alice").await;
        for (n, outage) in ["busy", "status", "hang", "cut", "garbage"].into_iter().enumerate() {
            server.control(json!({ "outage": outage, "only": ["msg_sec_check"] })).await;
            assert_eq!(
                fate(&mut alice, "bob", &format!("p{n}"), &format!("hello {n}")).await,
                plain,
                "{on_outage}, {outage}"
            );
            assert_eq!(
                fate(&mut alice, "bob", &format!("l{n}"), &format!("badword {n}")).await,
                listed,
                "{on_outage}, {outage}"
            );
        }
        server.control(json!({ "outage": "none" })).await;
        assert_eq!(fate(&mut alice, "bob", "r", "dev-risky").await, "content_refused");
        // Sent again under its id, what was not judged gets its verdict.
        if on_outage == "closed" {
            assert_eq!(fate(&mut alice, "bob", "p0", "hello 0").await, "ack");
        }
        let unchecked =
            server.findings().iter().filter(|f| f.outcome == UNCHECKED && f.seq.is_some()).count();
        assert_eq!(
            unchecked,
            if on_outage == "open" {
                10
            } else if on_outage == "local" {
                5
            } else {
                0
            },
            "{on_outage}"
        );
        let ready = Http::new(&server.ops, None).get("/readyz").await;
        assert_eq!((ready.0, &ready.1["details"]["safety"]["mode"]), (200, &json!("wechat")));
        assert!(ready.1["details"]["safety"]["last_failure"]["what"].is_string(), "{}", ready.1);
    }
}

#[actix_web::test]
async fn an_unavailable_says_when_to_come_again() {
    let server = Guarded::new("wechat", &[("safety.on_outage", "closed")]);
    server.control(json!({ "outage": "status", "only": ["msg_sec_check"] })).await;
    let mut alice = server.v1("alice").await;
    alice.send(text("bob", "1", "hello")).await;
    let error = alice.expect_error("unavailable").await;
    assert!(error["retry_after_ms"].as_u64().unwrap() > 0);
    assert!(server.findings().is_empty());
}

#[actix_web::test]
async fn every_errcode_has_its_consequence() {
    let server = Guarded::new(
        "wechat",
        &[("safety.on_outage", "closed"), ("safety.on_inactive", "open"), ("safety.breaker_failures", "0")],
    );
    let mut alice = server.v1("alice").await;
    for (code, wanted) in [
        (-1, "unavailable"),
        (40129, "unavailable"),
        (44002, "unavailable"),
        (45009, "unavailable"),
        (45011, "unavailable"),
        (47001, "unavailable"),
        // About the user alone.
        (61010, "ack"),
        (43104, "ack"),
        (40003, "ack"),
        // About the token; one more is asked for, once.
        (40014, "unavailable"),
    ] {
        assert_eq!(
            fate(&mut alice, "bob", &format!("c{code}"), &format!("dev-errcode:{code}")).await,
            wanted,
            "{code}"
        );
    }
}

#[actix_web::test]
async fn a_token_that_is_over_is_replaced_without_a_word() {
    for code in [40001, 42001] {
        let server = Guarded::new("wechat", &[("safety.on_outage", "closed")]);
        let mut alice = server.v1("alice").await;
        assert_eq!(fate(&mut alice, "bob", "1", "before").await, "ack");
        server.control(json!({ "end_token": code })).await;
        assert_eq!(fate(&mut alice, "bob", "2", "after").await, "ack", "{code}");
    }
}

#[actix_web::test]
async fn who_was_not_in_the_mini_program_is_judged_as_the_operator_wants() {
    for (on_inactive, plain, listed) in [
        ("open", "ack", "ack"),
        ("local", "ack", "content_refused"),
        ("closed", "content_refused", "content_refused"),
    ] {
        let server =
            Guarded::new("wechat", &[("safety.on_inactive", on_inactive), ("safety.on_outage", "closed")]);
        let mut idle = server.v1("dev-inactive").await;
        assert_eq!(fate(&mut idle, "bob", "1", "hello").await, plain, "{on_inactive}");
        assert_eq!(fate(&mut idle, "bob", "2", "badword").await, listed, "{on_inactive}");
        // What nobody judged is not remembered: an active one is asked about anew.
        let mut alice = server.v1("alice").await;
        assert_eq!(fate(&mut alice, "bob", "1", "hello").await, "ack");
        assert_eq!(server.asked().await, 3);
        let mut foreign = server.v1("dev-foreign").await;
        assert_eq!(fate(&mut foreign, "bob", "1", "from elsewhere").await, plain, "{on_inactive}");
        let ready = server.readyz().await.1;
        assert!(ready["details"]["safety"].get("last_failure").is_none(), "that is no outage: {ready}");
    }
}

#[actix_web::test]
async fn after_failures_wechat_is_left_alone_for_a_while() {
    let settings = [
        ("safety.on_outage", "open"),
        ("safety.breaker_failures", "3"),
        ("safety.breaker_rest_ms", "1000"),
        ("safety.timeout_ms", "2000"),
    ];
    let server = Guarded::new("wechat", &settings);
    let mut alice = server.v1("alice").await;
    server.control(json!({ "outage": "status", "only": ["msg_sec_check"] })).await;
    for n in 0..10 {
        assert_eq!(fate(&mut alice, "bob", &n.to_string(), &format!("hello {n}")).await, "ack");
    }
    assert!(server.asked().await < 6, "three, and one for each second since");
    assert_eq!(server.metric("hongyan_safety_resting").await, 1.0);
    let ready = server.readyz().await;
    assert_eq!((ready.0, &ready.1["details"]["safety"]["breaker"]), (200, &json!("open")));
    server.control(json!({ "outage": "none" })).await;
    let mut n = 10;
    crate::harness::eventually("WeChat is asked again", async || {
        n += 1;
        (fate(&mut alice, "bob", &n.to_string(), &format!("dev-risky {n}")).await == "content_refused")
            .then_some(())
    })
    .await;
    assert_eq!(server.metric("hongyan_safety_resting").await, 0.0);
    assert_eq!(server.readyz().await.1["details"]["safety"]["breaker"], "closed");
    let log = server.log();
    assert_eq!(
        (
            log.matches("WeChat does not check texts").count(),
            log.matches("WeChat checks texts again").count()
        ),
        (1, 1),
        "{log}"
    );
}

#[actix_web::test]
async fn beyond_the_quota_nothing_is_asked() {
    for (on_outage, wanted) in [("open", "ack"), ("closed", "unavailable")] {
        let server = Guarded::new("wechat", &[("safety.per_minute", "3"), ("safety.on_outage", on_outage)]);
        server.control(json!({ "checks_per_minute": 3 })).await;
        let mut alice = server.v1("alice").await;
        for n in 0..3 {
            assert_eq!(fate(&mut alice, "bob", &n.to_string(), &format!("hello {n}")).await, "ack");
        }
        for n in 3..6 {
            assert_eq!(fate(&mut alice, "bob", &n.to_string(), &format!("hello {n}")).await, wanted);
        }
        assert_eq!(
            fate(&mut alice, "bob", "again", "hello 1").await,
            "ack",
            "what is remembered costs nothing"
        );
        assert_eq!(server.asked().await, 3, "no error is burnt");
        assert_eq!(server.metric("hongyan_safety_over_quota_total").await, 3.0);
    }
}

#[actix_web::test]
async fn a_call_that_hangs_holds_up_its_own_conversation_alone() {
    let server = Guarded::new("wechat", &[("safety.on_outage", "closed"), ("safety.timeout_ms", "3000")]);
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.say("carol", "0", "before").await;
    alice.send(text("bob", "1", "dev-hang")).await;
    alice.send(text("bob", "2", "behind it")).await;
    for n in 0..50 {
        assert_eq!(fate(&mut bob, "alice", &n.to_string(), &format!("hello {n}")).await, "ack");
    }
    assert_eq!(fate(&mut alice, "carol", "3", "elsewhere").await, "ack");
    assert_eq!(answer(&mut alice).await, ("1".into(), "unavailable".into()));
    assert_eq!(answer(&mut alice).await, ("2".into(), "ack".into()));
}

/// The file is locked, so that the first message stays in the store and the next ones find no place there.
#[actix_web::test]
async fn a_checked_message_that_the_store_has_no_room_for_is_refused_at_once() {
    let server = Guarded::new("wechat", &[("limits.writes_in_flight", "1")]);
    let mut alice = server.v1("alice").await;
    assert_eq!(fate(&mut alice, "bob", "0", "hello").await, "ack");
    let mut other = server.sqlite();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    alice.send(text("bob", "stored", "hello 1")).await;
    let begun = Instant::now();
    // More than a session may have under way at once: each answer gives its place back.
    for n in 0..40 {
        let id = n.to_string();
        assert_eq!(fate(&mut alice, "bob", &id, &format!("full {n}")).await, "unavailable");
    }
    assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(answer(&mut alice).await, ("stored".to_owned(), "ack".to_owned()));
    assert_eq!(server.history("alice", "bob").await, ["hello", "hello 1"]);
}
