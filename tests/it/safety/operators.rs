//! What operators see and do.

use awc::http::Method;
use serde_json::json;

use super::*;

#[actix_web::test]
async fn what_waits_for_a_look_is_passed_or_recalled() {
    for server in Guarded::each("wechat", &[("safety.keep_text", "true")]) {
        let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
        for n in 1..=3 {
            assert_eq!(fate(&mut alice, "bob", &n.to_string(), &format!("dev-review:2000{n}")).await, "ack");
            bob.expect("text").await;
        }
        let operators = server.operators();
        let (status, page) = operators.get("/admin/v1/reviews?limit=2").await;
        let reviews = page["reviews"].as_array().unwrap();
        assert_eq!((status, reviews.len()), (200, 2), "{page}");
        let first = &reviews[0];
        assert_eq!(
            (&first["openid"], &first["peer"], &first["seq"]),
            (&json!("alice"), &json!("bob"), &json!(1))
        );
        assert_eq!(
            (&first["what"], &first["by"], &first["label"]),
            (&json!("text"), &json!("wechat"), &json!(20001))
        );
        assert_eq!(first["text"], "dev-review:20001");
        let (_, rest) = operators.get(&format!("/admin/v1/reviews?after={}", page["next"])).await;
        assert_eq!((rest["reviews"].as_array().unwrap().len(), rest.get("next")), (1, None));

        let decide = async |id: &Value, decision: &str| {
            operators.post(&format!("/admin/v1/reviews/{id}"), &json!({ "decision": decision })).await
        };
        assert_eq!(decide(&reviews[0]["id"], "pass").await.0, 204);
        assert_eq!(decide(&reviews[1]["id"], "recall").await.0, 204);
        for client in [&mut alice, &mut bob] {
            let recall = client.expect("recall").await;
            assert_eq!((&recall["target_seq"], &recall["from_user_openid"]), (&json!(2), &json!("alice")));
        }
        assert_eq!(
            server.history("bob", "alice").await,
            ["dev-review:20001", "\"text\"", "dev-review:20003", "\"recall\""]
        );
        let (_, left) = operators.get("/admin/v1/reviews").await;
        assert_eq!(
            left["reviews"].as_array().unwrap().iter().map(|r| &r["seq"]).collect::<Vec<_>>(),
            [&json!(3)]
        );
        // Once more is the same; a recall is the last word.
        assert_eq!(decide(&reviews[1]["id"], "recall").await.0, 204);
        assert_eq!(decide(&reviews[1]["id"], "pass").await.1["error"], "conflict");
        assert_eq!(
            server.findings().iter().map(|f| f.decision).collect::<Vec<_>>(),
            [Some(0), Some(1), None]
        );
        alice.nothing_came().await;
    }
}

#[actix_web::test]
async fn a_recall_by_operators_knows_no_age_and_no_block() {
    let server = Guarded::new("wechat", &[("limits.recall_within_ms", "0")]);
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    assert_eq!(fate(&mut alice, "bob", "1", "dev-review").await, "ack");
    bob.expect("text").await;
    assert_eq!(server.http_as("bob").await.call(Method::PUT, "/v1/blocks/alice", None).await.0, 204);
    let operators = server.operators();
    let id = operators.get("/admin/v1/reviews").await.1["reviews"][0]["id"].clone();
    assert_eq!(
        operators.post(&format!("/admin/v1/reviews/{id}"), &json!({ "decision": "recall" })).await.0,
        204
    );
    assert_eq!(bob.expect("recall").await["target_seq"], 1);
}

#[actix_web::test]
async fn names_are_taken_away() {
    let server = Guarded::new("wechat", &[]);
    let (alice, operators) = (server.http_as("alice").await, server.operators());
    assert_eq!(alice.put("/v1/me", &json!({ "nickname": "dev-review" })).await.0, 200);
    let review = operators.get("/admin/v1/reviews").await.1["reviews"][0].clone();
    assert_eq!((&review["what"], review.get("peer")), (&json!("nickname"), None));
    assert_eq!(
        operators
            .post(&format!("/admin/v1/reviews/{}", review["id"]), &json!({ "decision": "recall" }))
            .await
            .0,
        204
    );
    assert_eq!(alice.get("/v1/me").await.1["nickname"], "");

    let image = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==";
    assert_eq!(alice.put("/v1/me", &json!({ "nickname": "Alice", "avatar": image })).await.0, 200);
    assert_eq!(operators.delete("/admin/v1/users/alice/profile").await.0, 204);
    assert_eq!(
        alice.get("/v1/me").await.1,
        json!({ "openid": "alice", "nickname": "", "avatar": "", "presence": true })
    );
    assert_eq!(operators.delete("/admin/v1/users/nobody/profile").await.0, 204);
    assert_eq!(operators.delete("/admin/v1/users/a%20b/profile").await.0, 400);
}

#[actix_web::test]
async fn what_is_wrong_decides_nothing() {
    let server = Guarded::new("wechat", &[]);
    let mut alice = server.v1("alice").await;
    assert_eq!(fate(&mut alice, "bob", "1", "dev-review").await, "ack");
    assert_eq!(fate(&mut alice, "bob", "2", "dev-risky").await, "content_refused");
    let operators = server.operators();
    let id = operators.get("/admin/v1/reviews").await.1["reviews"][0]["id"].clone();
    let path = format!("/admin/v1/reviews/{id}");
    for wrong in [json!({}), json!({ "decision": "maybe" }), json!({ "decision": 1 })] {
        assert_eq!(operators.post(&path, &wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(operators.post("/admin/v1/reviews/999999", &json!({ "decision": "pass" })).await.0, 404);
    assert_eq!(operators.post("/admin/v1/reviews/x", &json!({ "decision": "pass" })).await.0, 400);
    assert_eq!(operators.get("/admin/v1/reviews?limit=0").await.0, 400);
    // What was refused is not there to be recalled.
    let refused = id.as_i64().unwrap() + 1;
    assert_eq!(
        operators.post(&format!("/admin/v1/reviews/{refused}"), &json!({ "decision": "recall" })).await.0,
        404
    );
    assert!(server.findings().iter().all(|finding| finding.decision.is_none()));
}
