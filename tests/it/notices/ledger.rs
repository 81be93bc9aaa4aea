//! What users have agreed to, as their clients and WeChat tell it.

use serde_json::{Value, json};

use super::{SOON, TEMPLATE, WeChat, came_to, grants, say, server};
use crate::harness::Http;

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
    assert_eq!(bobs.get("/v1/notices").await.1, json!({ "templates": [TEMPLATE], "grants": {}, "quiet": null }));
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
    assert_eq!(grant(json!({ "template_id": TEMPLATE, "result": "accept", "id": "x".repeat(65) })).await, 400);
    for hours in [
        json!({ "from": "22:00" }),
        json!({ "from": "22:00", "to": "8:00", "utc_offset_minutes": 0 }),
        json!({ "from": "22:00", "to": "08:00", "utc_offset_minutes": 900 }),
        json!({ "from": 22, "to": "08:00", "utc_offset_minutes": 0 }),
    ] {
        assert_eq!(bobs.put("/v1/notices/quiet", &hours).await.0, 400, "{hours}");
    }
    assert_eq!(bobs.put("/v1/conversations/alice/settings", &json!({})).await.0, 400);
    assert_eq!(bobs.put("/v1/conversations/a b/settings", &json!({ "muted": true })).await.0, 400);
    assert_eq!(server.http().get("/v1/notices").await.0, 401);
}

#[actix_web::test]
async fn a_refusal_for_want_of_a_grant_empties_the_ledger() {
    let server = server([SOON]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    // She tells of prompts that WeChat knows nothing of.
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
