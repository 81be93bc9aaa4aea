//! What one user, or one address, may cause at WeChat: beyond it that one alone waits.

use serde_json::json;

use super::*;

/// Calls that a text of 16 000 characters costs.
const CALLS: i64 = 7;

/// What the double says is risky, at any length.
fn long(n: usize) -> String {
    format!("{n} {}", "x".repeat(15_990))
}

#[actix_web::test]
async fn one_account_switches_nobodys_check_off() {
    // The defaults: what one account could send in half a minute would use up the quota of all.
    let server = Guarded::new("wechat", &[("limits.message_bytes", "16384"), ("safety.on_outage", "open")]);
    let (mut mallory, mut alice) = (server.v1("mallory").await, server.v1("alice").await);
    let mut acked = 0;
    for round in 0..60 {
        for n in 0..10 {
            mallory.send(text("bob", &format!("{round}-{n}"), &long(round * 10 + n))).await;
        }
        for _ in 0..10 {
            let (_, word) = answer(&mut mallory).await;
            assert!(["ack", "rate_limited"].contains(&word.as_str()), "{word}");
            acked += i64::from(word == "ack");
        }
        assert_eq!(
            fate(&mut alice, "bob", &format!("a{round}"), &format!("dev-risky {round}")).await,
            "content_refused"
        );
    }
    assert!(server.findings().iter().all(|finding| finding.openid == "alice" && finding.outcome == REFUSED));
    assert!(server.asked().await == acked * CALLS + 60, "{acked} of 600 acked");
    assert_eq!(server.metric("hongyan_safety_over_quota_total").await, 0.0);
    let limited = server.metric("hongyan_safety_verdicts_total{of=\"text\",verdict=\"rate_limited\"}").await;
    assert_eq!(limited, (600 - acked) as f64);
    assert!(server.log().contains("safety.per_minute_per_user"), "{}", server.log());

    // The wait stands beside it; what is stored already is acked all the same, and so is what costs no call.
    mallory.send(text("bob", "new", &long(1_000))).await;
    let wait = mallory.expect_error("rate_limited").await["retry_after_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&wait), "{wait}");
    assert_eq!(fate(&mut mallory, "bob", "0-0", &long(0)).await, "ack");
    assert_eq!(fate(&mut mallory, "carol", "again", &long(0)).await, "ack");
}

#[actix_web::test]
async fn files_count_as_well() {
    let settings =
        [("safety.media", "true"), ("safety.per_minute_per_user", "5"), ("safety.on_outage", "closed")];
    let server = Guarded::new("wechat", &settings);
    let (mut mallory, mut alice) = (server.v1("mallory").await, server.v1("alice").await);
    let image = |n: u32| json!({ "type": "image", "to_user_openid": "bob", "client_msg_id": n.to_string(), "message": format!("https://files.test/{n}.png") });
    for n in 0..10 {
        mallory.send(image(n)).await;
        assert_eq!(answer(&mut mallory).await.1, if n < 5 { "ack" } else { "rate_limited" }, "{n}");
    }
    alice.send(image(0)).await;
    alice.expect("ack").await;
    assert_eq!(server.double().get("/__calls").await.1["media_check_async"], 6);
}

#[actix_web::test]
async fn names_are_counted_by_user_and_by_address() {
    let settings = [
        ("safety.per_minute_per_user", "2"),
        ("safety.per_minute_per_address", "4"),
        ("safety.on_outage", "open"),
    ];
    let server = Guarded::new("wechat", &settings);
    let mut heard = Vec::new();
    for (who, name) in
        [("a", "A1"), ("a", "A2"), ("a", "A3"), ("b", "B1"), ("c", "C1"), ("d", "D1"), ("d", "A1")]
    {
        let (status, answer) = server.http_as(who).await.put("/v1/me", &json!({ "nickname": name })).await;
        if status == 429 {
            let wait = answer["retry_after_ms"].as_u64().unwrap();
            assert!(answer["error"] == "rate_limited" && (1..=60_000).contains(&wait), "{answer}");
        }
        heard.push(status);
    }
    // The third of a user, the fifth of an address; what is remembered costs nothing.
    assert_eq!(heard, [200, 200, 429, 200, 200, 429, 200]);
    assert_eq!(server.asked().await, 4);
}

#[actix_web::test]
async fn the_common_quota_is_the_second_bound_and_is_told_of() {
    let settings =
        [("safety.per_minute", "4"), ("safety.per_minute_per_user", "3"), ("safety.on_outage", "open")];
    let server = Guarded::new("wechat", &settings);
    for who in ["alice", "bob", "carol"] {
        let mut client = server.v1(who).await;
        for n in 0..2 {
            assert_eq!(fate(&mut client, "dan", &n.to_string(), &format!("{who} {n}")).await, "ack");
        }
    }
    assert_eq!(server.asked().await, 4);
    assert_eq!(server.metric("hongyan_safety_over_quota_total").await, 2.0);
    assert_eq!(
        server.log().matches("safety.per_minute is used up").count(),
        1,
        "once a minute: {}",
        server.log()
    );
    // What was not asked is not charged to its author.
    assert_eq!(
        server.metric("hongyan_safety_verdicts_total{of=\"text\",verdict=\"rate_limited\"}").await,
        0.0
    );
}
