//! What WeChat may answer, or not answer at all.

use std::time::Duration;

use serde_json::{Value, json};

use super::{SOON, TEMPLATE, WeChat, came_to, grants, say, server};
use crate::harness::{Client, Http, Server, eventually};

async fn detail(server: &Server) -> Value {
    let (status, body) = Http::new(&server.ops, None).get("/readyz").await;
    assert_eq!(status, 200, "the node serves all the same: {body}");
    body["details"]["notices"].clone()
}

async fn refusing(code: i64) -> (Server, WeChat, Http, Client) {
    let server = server([SOON]).await;
    let (wechat, bobs, alice) = (WeChat::of(&server), server.http_as("bob").await, server.v1("alice").await);
    wechat.accept(&bobs, "bob").await;
    wechat.control(json!({ "errcodes": { "subscribe_send": code } })).await;
    (server, wechat, bobs, alice)
}

#[actix_web::test]
async fn a_wrong_setting_uses_up_nothing_and_is_not_tried_again_and_again() {
    for code in [40037, 41030, 40013, 48001, 45009, 45011] {
        let (server, wechat, bobs, mut alice) = refusing(code).await;
        say(&mut alice, "m1").await;
        came_to(&server, "refused_for_settings", 1).await;
        let seen = detail(&server).await;
        assert_eq!(
            (&seen["state"], &seen["errcode"], &seen["pending"]),
            (&json!("resting"), &json!(code), &json!(1)),
            "{code}"
        );
        assert!(seen["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
        assert_eq!(server.metric("hongyan_notices_resting").await as i64, 1);
        eventually("the grant is back", async || (grants(&bobs).await == 1).then_some(())).await;
        // Whom else it would be for waits as well.
        wechat.accept(&server.http_as("carol").await, "carol").await;
        alice.say("carol", "m1", "x").await;
        assert!(wechat.asked().await <= 2, "{code}");

        // Once it is mended, both are told.
        wechat.control(json!({ "errcodes": {} })).await;
        wechat.shows(2).await;
        eventually("no rest", async || (detail(&server).await["state"] == "ok").then_some(())).await;
        assert_eq!(grants(&bobs).await, 0, "{code}");
    }
}

/// One user's openid or name must not stop the notices of all others.
#[actix_web::test]
async fn what_may_be_one_users_fault_stops_all_only_when_it_is_not() {
    for code in [40003, 47003] {
        let (server, wechat, bobs, mut alice) = refusing(code).await;
        say(&mut alice, "m1").await;
        came_to(&server, "refused", 1).await;
        eventually("the grant is back", async || (grants(&bobs).await == 1).then_some(())).await;
        assert_eq!((&detail(&server).await["state"], wechat.asked().await), (&json!("ok"), 1), "{code}");
        for user in ["carol", "dave"] {
            wechat.accept(&server.http_as(user).await, user).await;
            alice.say(user, "m1", "x").await;
        }
        came_to(&server, "refused", 3).await;
        eventually("a rest", async || (detail(&server).await["errcode"] == code).then_some(())).await;
    }
}

#[actix_web::test]
async fn a_refusal_that_nobody_knows_spends_the_grant_and_is_final() {
    let (server, wechat, bobs, mut alice) = refusing(99_999).await;
    say(&mut alice, "m1").await;
    came_to(&server, "refused", 1).await;
    wechat.control(json!({ "errcodes": {} })).await;
    say(&mut alice, "m2").await;
    came_to(&server, "no_grant", 1).await;
    assert_eq!((wechat.asked().await, wechat.shown().await.len(), grants(&bobs).await), (1, 0, 0));
}

#[actix_web::test]
async fn busy_is_tried_again_a_few_times_and_uses_up_nothing() {
    let (server, wechat, bobs, mut alice) = refusing(-1).await;
    say(&mut alice, "m1").await;
    came_to(&server, "not_sent", 4).await;
    server.metric_becomes("hongyan_notices_pending", 0.0).await;
    assert_eq!((wechat.asked().await, grants(&bobs).await), (4, 1));
    // It was given up, and not for good.
    wechat.control(json!({ "errcodes": {} })).await;
    say(&mut alice, "m2").await;
    wechat.shows(1).await;
}

#[actix_web::test]
async fn an_access_token_that_ended_is_renewed_and_the_notice_sent_once() {
    for code in [40001, 40014, 42001] {
        let server = server([SOON]).await;
        let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
        wechat.accept(&bobs, "bob").await;
        wechat.accept(&bobs, "bob").await;
        let mut alice = server.v1("alice").await;
        say(&mut alice, "m1").await;
        wechat.shows(1).await;
        wechat.control(json!({ "end_token": code })).await;
        assert_eq!(bobs.post("/v1/read", &json!({ "peer": "alice", "seq": 1 })).await.0, 204);
        say(&mut alice, "m2").await;
        wechat.shows(2).await;
        came_to(&server, "sent", 2).await;
        assert_eq!(grants(&bobs).await, 0, "{code}");
    }
}

/// WeChat took it, and its answer is lost: it may have gone out, so it never goes again.
#[actix_web::test]
async fn an_unknown_outcome_is_never_tried_again() {
    let server = server([SOON, ("wechat.timeout_ms", "1000")]).await;
    let wechat = WeChat::of(&server);
    let mut alice = server.v1("alice").await;
    for (n, user) in ["dev-cut", "dev-500", "dev-garbage", "dev-hang"].into_iter().enumerate() {
        let http = server.http_as(user).await;
        wechat.accept(&http, user).await;
        wechat.accept(&http, user).await;
        alice.say(user, "m1", "x").await;
        came_to(&server, "unknown", n + 1).await;
        assert_eq!((wechat.asked().await, grants(&http).await), (n as u64 + 1, 1), "{user}");
        alice.say(user, "m2", "x").await;
        came_to(&server, "told", n + 1).await;
        assert_eq!(wechat.asked().await, n as u64 + 1, "{user}");
    }
    assert_eq!(wechat.shown().await.len(), 1, "the one whose answer was cut off");
}

/// Nobody listens where WeChat should be: what was surely not sent is tried again a few times, uses nothing
/// up, and no chat waits for it.
#[actix_web::test]
async fn while_wechat_is_away_chats_go_on() {
    let server = server([SOON, ("wechat.api_base", "http://127.0.0.1:1")]).await;
    let token = |openid: &str| {
        String::from_utf8(server.command(&["token", "--dev", openid]).stdout).unwrap().trim().to_owned()
    };
    let bobs = Http::new(&server.at, Some(&token("bob")));
    assert_eq!(
        bobs.post("/v1/notices/grants", &json!({ "template_id": TEMPLATE, "result": "accept" })).await.0,
        204
    );
    let url = format!("ws://{}/alice?device=d", server.at);
    let mut alice = Client::connect(&url, &["hongyan.v1"], Some(&token("alice"))).await.unwrap();
    alice.expect("init").await;
    say(&mut alice, "m1").await;
    came_to(&server, "not_sent", 4).await;
    assert_eq!(grants(&bobs).await, 1);
}

/// As many notices as may be under way hang at WeChat; messages are acked and pushed as ever.
#[actix_web::test]
async fn a_wechat_that_hangs_holds_up_no_message() {
    let server = server([
        SOON,
        ("wechat.timeout_ms", "20000"),
        ("notice.in_flight", "2"),
        ("limits.messages_per_second", "0"),
    ])
    .await;
    let wechat = WeChat::of(&server);
    for user in ["bob", "carol", "dave"] {
        wechat.accept(&server.http_as(user).await, user).await;
    }
    wechat.control(json!({ "outage": "hang", "only": ["subscribe_send"] })).await;
    let mut alice = server.v1("alice").await;
    for user in ["bob", "carol", "dave"] {
        alice.say(user, "m1", "x").await;
    }
    server.metric_becomes("hongyan_notices_in_flight", 2.0).await;
    server.metric_becomes("hongyan_notices_pending", 1.0).await;
    let mut bob = server.v1("bob").await;
    for n in 0..50 {
        alice.say("bob", &n.to_string(), "x").await;
        bob.expect("text").await;
    }
    assert_eq!(
        server.metric("hongyan_notices_in_flight").await as i64,
        2,
        "they still hang: nothing waited for them"
    );
}

#[actix_web::test]
async fn what_has_no_room_is_not_judged() {
    let server = server([("notice.delay_ms", "60000"), ("notice.pending", "1")]).await;
    let mut alice = server.v1("alice").await;
    for user in ["bob", "carol", "bob"] {
        alice.say(user, &format!("{:x}", rand::random::<u64>()), "x").await;
    }
    came_to(&server, "full", 1).await;
    tokio::time::timeout(Duration::from_secs(20), server.metric_becomes("hongyan_notices_pending", 1.0))
        .await
        .unwrap();
}
