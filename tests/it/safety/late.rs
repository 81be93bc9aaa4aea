//! What WeChat says of a file after its message was stored.

use serde_json::json;

use super::*;
use crate::harness::eventually;

const MEDIA: (&str, &str) = ("safety.media", "true");

fn image(id: &str, name: &str) -> Value {
    json!({ "type": "image", "to_user_openid": "bob", "client_msg_id": id, "message": format!("https://files.test/{name}.png") })
}

async fn decided(server: &Guarded, wanted: (i16, i32, Option<i16>)) {
    eventually(&format!("{wanted:?}"), async || {
        let [finding] = &server.findings()[..] else { panic!("one finding: {:?}", server.findings()) };
        ((finding.outcome, finding.label, finding.decision) == wanted).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_file_that_is_found_risky_later_is_recalled_on_both_sides() {
    for server in Guarded::each("wechat", &[MEDIA]) {
        let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
        alice.send(image("1", "dev-risky:20002")).await;
        alice.expect("ack").await;
        assert_eq!(bob.expect("image").await["seq"], 1);
        for client in [&mut alice, &mut bob] {
            let recall = client.expect("recall").await;
            assert_eq!((&recall["target_seq"], &recall["from_user_openid"]), (&json!(1), &json!("alice")));
        }
        assert_eq!(
            server.history("bob", "alice").await,
            ["\"image\"", "\"recall\""],
            "nothing of it is left"
        );
        decided(&server, (PENDING, 20002, Some(1))).await;
        assert_eq!(server.asked().await, 0, "an address is no text");
    }
}

#[actix_web::test]
async fn a_file_that_is_fine_stays() {
    for server in Guarded::each("wechat", &[MEDIA]) {
        let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
        alice.send(image("1", "cat")).await;
        alice.expect("ack").await;
        bob.expect("image").await;
        decided(&server, (PENDING, 100, Some(0))).await;
        bob.nothing_came().await;
        let finding = &server.findings()[0];
        assert!(finding.seq == Some(1) && finding.trace_id.is_some() && finding.content.is_none());
    }
}

#[actix_web::test]
async fn a_file_to_be_looked_at_waits_for_an_operator_or_is_recalled() {
    for review in ["pass", "refuse"] {
        for server in Guarded::each("wechat", &[MEDIA, ("safety.review", review)]) {
            let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
            alice.send(image("1", "dev-review:20012")).await;
            alice.expect("ack").await;
            bob.expect("image").await;
            if review == "pass" {
                decided(&server, (REVIEW, 20012, None)).await;
                let operators = server.operators();
                let waiting = operators.get("/admin/v1/reviews").await.1["reviews"][0].clone();
                assert_eq!(
                    (&waiting["what"], &waiting["label"], &waiting["seq"]),
                    (&json!("media"), &json!(20012), &json!(1))
                );
                bob.nothing_came().await;
                assert_eq!(
                    operators
                        .post(
                            &format!("/admin/v1/reviews/{}", waiting["id"]),
                            &json!({ "decision": "recall" })
                        )
                        .await
                        .0,
                    204
                );
            }
            assert_eq!(bob.expect("recall").await["target_seq"], 1);
        }
    }
}

#[actix_web::test]
async fn a_result_that_comes_before_its_message_is_stored_is_not_lost() {
    let server = Guarded::new("wechat", &[MEDIA, ("safety.timeout_ms", "10000")]);
    server.control(json!({ "media_delay_ms": 0 })).await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    // Behind a slow text, the image waits for its place while the result is here already.
    alice.send(text("bob", "0", "dev-slow:1500")).await;
    alice.send(image("1", "dev-risky")).await;
    assert_eq!(bob.expect("text").await["seq"], 1);
    assert_eq!(bob.expect("image").await["seq"], 2);
    assert_eq!(bob.expect("recall").await["target_seq"], 2);
    decided(&server, (PENDING, 20002, Some(1))).await;
}

#[actix_web::test]
async fn a_file_that_cannot_be_judged_fares_as_in_an_outage() {
    for (on_outage, is_recalled) in [("open", false), ("closed", true)] {
        let server = Guarded::new(
            "wechat",
            &[MEDIA, ("safety.on_outage", on_outage), ("safety.breaker_failures", "0")],
        );
        let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
        alice.send(image("1", "dev-unfetched")).await;
        alice.expect("ack").await;
        bob.expect("image").await;
        if is_recalled {
            assert_eq!(bob.expect("recall").await["target_seq"], 1);
        }
        alice.send(image("2", "dev-500")).await;
        loop {
            match alice.next().await {
                Said::Frame(frame) if frame["type"] == "recall" => {}
                Said::Frame(frame) => {
                    let wanted = if is_recalled { json!("unavailable") } else { Value::Null };
                    assert_eq!((&frame["client_msg_id"], &frame["error"]), (&json!("2"), &wanted), "{frame}");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[actix_web::test]
async fn files_are_looked_at_only_where_that_is_wanted() {
    let server = Guarded::new("local+wechat", &[]);
    let mut alice = server.v1("alice").await;
    alice.send(image("1", "dev-risky")).await;
    alice.expect("ack").await;
    let calls = server.double().get("/__calls").await.1;
    assert_eq!((&calls["media_check_async"], &calls["msg_sec_check"]), (&json!(0), &json!(0)), "{calls}");
    // What stands beside the file is read by people, and so is checked.
    let mut captioned = image("2", "cat");
    captioned["caption"] = json!("badword");
    alice.send(captioned).await;
    alice.expect_error("content_refused").await;
}

/// A result that is here is kept: the process that heard it may die before it is done.
#[actix_web::test]
async fn a_result_outlasts_the_process_that_heard_it() {
    let mut server = Guarded::new("wechat", &[MEDIA]);
    server.control(json!({ "media_delay_ms": 600_000 })).await;
    let mut alice = server.v1("alice").await;
    alice.send(image("1", "dev-risky:20002")).await;
    alice.expect("ack").await;
    let [trace] = &server.findings()[..] else { panic!("one finding") };
    let trace_id = trace.trace_id.clone().unwrap();
    server.server.signal("KILL");
    server.server.ended().await;
    // As the process left it that was told, and had taken it up.
    let mut conn = SqliteConnection::establish(server.server.database().to_str().unwrap()).unwrap();
    diesel::sql_query(
        "INSERT INTO jobs (kind, key, payload, created_at, due_at, tries, node, until) \
         VALUES ('media_result', ?, 'recalled 20002', 0, 0, 1, 'another process', 9999999999999)",
    )
    .bind::<Text, _>(&trace_id)
    .execute(&mut conn)
    .unwrap();
    drop(conn);
    server.server.again().await;
    decided(&server, (PENDING, 20002, Some(1))).await;
    assert_eq!(server.history("bob", "alice").await, ["\"image\"", "\"recall\""]);
}
