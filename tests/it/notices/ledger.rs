//! What users have agreed to, as their clients and WeChat tell it.

use serde_json::{Value, json};

use super::{SOON, TEMPLATE, WeChat, came_to, grants, say, server};
use crate::harness::{Http, Server, eventually};

async fn report(user: &Http, result: &str, id: Option<&str>) -> u16 {
    let mut body = json!({ "template_id": TEMPLATE, "result": result });
    if let Some(id) = id {
        body["id"] = json!(id);
    }
    user.post("/v1/notices/grants", &body).await.0
}

#[actix_web::test]
async fn each_accept_is_one_notice_and_each_report_counts_once() {
    let server = server([SOON]).await;
    let bobs = server.http_as("bob").await;
    assert_eq!(
        bobs.get("/v1/notices").await.1,
        json!({ "templates": [TEMPLATE], "grants": {}, "quiet": null })
    );
    for id in [Some("first"), Some("first"), Some("second"), None, None] {
        assert_eq!(report(&bobs, "accept", id).await, 204);
    }
    assert_eq!(grants(&bobs).await, 4);
    for result in ["ban", "filter"] {
        assert_eq!(report(&bobs, result, None).await, 204);
    }
    assert_eq!(grants(&bobs).await, 4);
    assert_eq!(report(&bobs, "reject", None).await, 204);
    assert_eq!(grants(&bobs).await, 0);
    assert_eq!(grants(&server.http_as("carol").await).await, 0);
}

#[actix_web::test]
async fn what_is_wrong_is_refused() {
    let server = server([SOON]).await;
    let bobs = server.http_as("bob").await;
    let grant = |body: Value| {
        let bobs = &bobs;
        async move { bobs.post("/v1/notices/grants", &body).await.0 }
    };
    assert_eq!(grant(json!({ "template_id": "another", "result": "accept" })).await, 404);
    assert_eq!(grant(json!({ "template_id": TEMPLATE, "result": "maybe" })).await, 400);
    assert_eq!(grant(json!({ "template_id": TEMPLATE })).await, 400);
    assert_eq!(grant(json!({ "template_id": TEMPLATE, "result": "accept", "id": "a b" })).await, 400);
    assert_eq!(
        grant(json!({ "template_id": TEMPLATE, "result": "accept", "id": "x".repeat(65) })).await,
        400
    );
    for hours in [
        json!({}),
        json!({ "from": "22:00" }),
        json!({ "from": "22:00", "to": "8:00", "utc_offset_minutes": 0 }),
        json!({ "from": "22:00", "to": "08:00", "utc_offset_minutes": 900 }),
        json!({ "from": 22, "to": "08:00", "utc_offset_minutes": 0 }),
    ] {
        assert_eq!(bobs.put("/v1/notices/quiet", &hours).await.0, 400, "{hours}");
    }
    assert_eq!(bobs.put("/v1/conversations/alice/settings", &json!({})).await.0, 400);
    assert_eq!(bobs.put("/v1/conversations/a%20b/settings", &json!({ "muted": true })).await.0, 400);
    assert_eq!(server.http().get("/v1/notices").await.0, 401);
}

#[actix_web::test]
async fn a_refusal_for_want_of_a_grant_empties_the_ledger() {
    let server = server([SOON]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    // They tell of prompts that WeChat knows nothing of.
    for _ in 0..3 {
        assert_eq!(report(&bobs, "accept", None).await, 204);
    }
    let mut alice = server.v1("alice").await;
    say(&mut alice, "m1").await;
    came_to(&server, "no_grant_at_wechat", 1).await;
    assert_eq!(grants(&bobs).await, 0);
    say(&mut alice, "m2").await;
    came_to(&server, "no_grant", 1).await;
    assert_eq!((wechat.asked().await, wechat.shown().await.len()), (1, 0));
}

#[actix_web::test]
async fn who_has_agreed_to_nothing_costs_wechat_no_call() {
    let server = server([SOON]).await;
    say(&mut server.v1("alice").await, "m1").await;
    came_to(&server, "no_grant", 1).await;
    assert_eq!(WeChat::of(&server).asked().await, 0);
}

/// A server that WeChat's double pushes its events to, as it does under `dev`.
async fn pushed() -> (Server, WeChat, Http) {
    let server = server([SOON]).await;
    let wechat = WeChat::of(&server);
    let bobs = server.http_as("bob").await;
    (server, wechat, bobs)
}

/// On bob's phone, and pushed.
async fn answers(wechat: &WeChat, result: &str) {
    let answer = json!({ "openid": "bob", "template_id": TEMPLATE, "result": result });
    assert_eq!(wechat.0.post("/__subscribe", &answer).await.0, 204);
}

async fn grants_become(user: &Http, count: u64) {
    eventually(&format!("{count} grants"), async || (grants(user).await == count).then_some(())).await;
}

/// How many events of WeChat's were taken.
async fn events_taken(server: &Server, count: usize) {
    server
        .metric_becomes("hongyan_http_responses_total{route=\"/wechat/events\",status=\"200\"}", count as f64)
        .await;
}

#[actix_web::test]
async fn an_accepted_prompt_counts_once_though_client_and_wechat_both_tell_of_it() {
    let (_server, wechat, bobs) = pushed().await;
    // WeChat first.
    answers(&wechat, "accept").await;
    grants_become(&bobs, 1).await;
    assert_eq!(report(&bobs, "accept", Some("one")).await, 204);
    assert_eq!(grants(&bobs).await, 1);
    // Told again by the client, it is still the same.
    assert_eq!(report(&bobs, "accept", Some("one")).await, 204);
    assert_eq!(grants(&bobs).await, 1);
    // The client first, and of another prompt.
    assert_eq!(report(&bobs, "accept", Some("two")).await, 204);
    assert_eq!(grants(&bobs).await, 2);
    let told = json!({
        "ToUserName": "gh_double", "FromUserName": "bob", "CreateTime": 1_700_000_000, "MsgType": "event", "Event": "subscribe_msg_popup_event",
        "List": [{ "TemplateId": TEMPLATE, "SubscribeStatusString": "accept", "PopupScene": "0" }],
    });
    assert_eq!(wechat.0.post("/__push", &told).await.1["outcome"], "success");
    // A third that only the client tells of: had the second been counted twice, there would be four.
    assert_eq!(report(&bobs, "accept", Some("three")).await, 204);
    assert_eq!(grants(&bobs).await, 3);
}

#[actix_web::test]
async fn what_wechat_tells_corrects_the_ledger() {
    let (server, wechat, bobs) = pushed().await;
    for (result, outcome) in [("reject", "declined"), ("remove", "taken away")] {
        for id in ["a", "b", "c"] {
            assert_eq!(report(&bobs, "accept", Some(&format!("{id}-{result}"))).await, 204);
        }
        assert_eq!(grants(&bobs).await, 3, "{outcome}");
        answers(&wechat, result).await;
        grants_become(&bobs, 0).await;
    }
    // Of another template nothing is kept.
    let answer = json!({ "openid": "bob", "template_id": "of-somebody-else", "result": "accept" });
    assert_eq!(wechat.0.post("/__subscribe", &answer).await.0, 204);
    events_taken(&server, 3).await;
    assert_eq!(bobs.get("/v1/notices").await.1["grants"], json!({}));
}

#[actix_web::test]
async fn a_notice_that_did_not_reach_them_empties_the_ledger() {
    let (server, wechat, bobs) = pushed().await;
    let mut alice = server.v1("alice").await;
    for (name, left) in [("alice", 2), ("dev-delivery:2", 0)] {
        super::name(&server.http_as("alice").await, name).await;
        for _ in 0..3 - grants(&bobs).await {
            wechat.accept(&bobs, "bob").await;
        }
        let ack = alice.say("bob", name, "x").await;
        grants_become(&bobs, left).await;
        assert_eq!(bobs.post("/v1/read", &json!({ "peer": "alice", "seq": ack["seq"] })).await.0, 204);
    }
    events_taken(&server, 2).await;
    came_to(&server, "sent", 2).await;
    assert_eq!(grants(&bobs).await, 0);
}
