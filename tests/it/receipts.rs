//! Receipts, recalls, typing, and who does not want to hear of them.

use serde_json::json;

use crate::harness::{Server, eventually};

#[actix_web::test]
async fn receipts_reach_the_peer_and_ones_other_devices() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    let (mut phone, mut tablet) = (server.v1("bob").await, server.v1("bob").await);
    let mut plain = server.seed("alice", "carol").await;
    phone.say("alice", "0", "hello").await;
    for session in [&mut alice, &mut tablet, &mut plain] {
        session.expect("text").await;
    }
    alice.say("bob", "1", "hi").await;
    for session in [&mut phone, &mut tablet, &mut plain] {
        session.expect("text").await;
    }
    phone.send(json!({ "type": "recv", "to_user_openid": "alice", "seq": 2 })).await;
    for session in [&mut alice, &mut tablet] {
        let receipt = session.expect("recv").await;
        assert_eq!(
            (&receipt["from_user_openid"], &receipt["to_user_openid"], &receipt["seq"]),
            (&json!("bob"), &json!("alice"), &json!(2))
        );
    }
    phone.send(json!({ "type": "read", "id": "r", "to_user_openid": "alice", "seq": 99 })).await;
    assert_eq!(phone.expect("read").await["id"], "r");
    for session in [&mut alice, &mut tablet] {
        let receipt = session.expect("read").await;
        assert_eq!((&receipt["seq"], receipt.get("id")), (&json!(2), None));
    }
    // A mark that does not move is nobody's news.
    phone.send(json!({ "type": "read", "id": "again", "to_user_openid": "alice", "seq": 1 })).await;
    assert_eq!(phone.expect("read").await["seq"], 2);
    for session in [&mut alice, &mut tablet, &mut phone] {
        session.nothing_came().await;
    }
    plain.send(json!({ "message": "only messages come here" })).await;
    let (_, list) = server.http_as("alice").await.get("/v1/conversations").await;
    let bob = list["conversations"].as_array().unwrap().iter().find(|c| c["peer"] == "bob").unwrap();
    assert_eq!((&bob["peer_read_seq"], &bob["peer_recv_seq"]), (&json!(2), &json!(2)));
}

#[actix_web::test]
async fn a_stranger_does_not_learn_that_you_read() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.say("bob", "1", "buy this").await;
    bob.expect("text").await;
    bob.send(json!({ "type": "read", "id": "r", "to_user_openid": "alice", "seq": 1 })).await;
    bob.expect("read").await;
    alice.nothing_came().await;
    bob.say("alice", "1", "no").await;
    alice.expect("text").await;
    bob.send(json!({ "type": "recv", "to_user_openid": "alice", "seq": 2 })).await;
    assert_eq!(alice.expect("recv").await["seq"], 2);
}

#[actix_web::test]
async fn reading_over_http_is_told_as_well() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    bob.say("alice", "1", "hello").await;
    alice.expect("text").await;
    alice.say("bob", "2", "hi").await;
    bob.expect("text").await;
    let (status, _) =
        server.http_as("bob").await.post("/v1/read", &json!({ "peer": "alice", "seq": 2 })).await;
    assert_eq!(
        (status, &alice.expect("read").await["seq"], &bob.expect("read").await["seq"]),
        (204, &json!(2), &json!(2))
    );
}

#[actix_web::test]
async fn a_recall_overwrites_for_everybody_online_or_not() {
    let server = Server::start().await;
    let (mut alice, mut tablet) = (server.v1("alice").await, server.v1("alice").await);
    let mut plain = server.seed("bob", "carol").await;
    alice.say("bob", "1", "canary-text").await;
    for session in [&mut tablet, &mut plain] {
        session.expect("text").await;
    }
    alice.send(json!({ "type": "recall", "id": "r", "to_user_openid": "bob", "target_seq": 1 })).await;
    let ack = alice.expect("ack").await;
    assert_eq!(
        (&ack["id"], &ack["seq"], &ack["duplicate"], &ack["to_user_openid"]),
        (&json!("r"), &json!(2), &json!(false), &json!("bob"))
    );
    for session in [&mut tablet, &mut plain] {
        let recall = session.expect("recall").await;
        assert_eq!(
            (&recall["seq"], &recall["target_seq"], &recall["from_user_openid"]),
            (&json!(2), &json!(1), &json!("alice"))
        );
    }
    alice.send(json!({ "type": "recall", "to_user_openid": "bob", "target_seq": 1 })).await;
    let again = alice.expect("ack").await;
    assert_eq!(
        (&again["seq"], &again["sent_at"], &again["duplicate"]),
        (&json!(2), &ack["sent_at"], &json!(true))
    );
    let http = server.http_as("bob").await;
    let (_, page) = http.get("/v1/messages?peer=alice").await;
    assert!(!page.to_string().contains("canary-text"), "{page}");
    assert_eq!(
        (&page["messages"][0]["recalled"], &page["messages"][0]["client_msg_id"]),
        (&json!(true), &json!("1"))
    );
    assert_eq!(
        (&page["messages"][1]["type"], &page["messages"][1]["target_seq"]),
        (&json!("recall"), &json!(1))
    );
    assert_eq!(http.get("/v1/unread").await.1["total"], 0);
    // A repeat of what was recalled is acked as what it was.
    assert_eq!(alice.say("bob", "1", "canary-text").await["duplicate"], true);
}

#[actix_web::test]
async fn what_is_not_ones_own_or_too_old_stays() {
    let server = Server::with([("limits.recall_within_ms", "0")]).await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.say("bob", "1", "x").await;
    bob.expect("text").await;
    for (peer, target) in [("alice", 1), ("alice", 7), ("nobody", 1)] {
        bob.send(json!({ "type": "recall", "id": "r", "to_user_openid": peer, "target_seq": target })).await;
        assert_eq!(bob.expect_error("not_found").await["id"], "r");
    }
    alice.send(json!({ "type": "recall", "id": "late", "to_user_openid": "bob", "target_seq": 1 })).await;
    assert_eq!(alice.expect_error("recall_expired").await["status"], 409);
}

#[actix_web::test]
async fn typing_passes_once_a_second_to_who_talks_with_her() {
    let server = Server::start().await;
    let (mut alice, mut bob, mut carol) =
        (server.v1("alice").await, server.v1("bob").await, server.v1("carol").await);
    alice.say("bob", "1", "x").await;
    bob.expect("text").await;
    for _ in 0..5 {
        alice.send(json!({ "type": "typing", "to_user_openid": "bob" })).await;
    }
    alice.send(json!({ "type": "typing", "to_user_openid": "carol" })).await;
    let sign = bob.expect("typing").await;
    assert_eq!((&sign["from_user_openid"], &sign["to_user_openid"]), (&json!("alice"), &json!("bob")));
    // The store has answered for the last one once it has answered this.
    alice.say("bob", "2", "y").await;
    bob.expect("text").await;
    bob.nothing_came().await;
    carol.nothing_came().await;
    let (_, page) = server.http_as("bob").await.get("/v1/messages?peer=alice").await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn who_is_blocked_gets_nothing_through() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.say("bob", "1", "before").await;
    bob.expect("text").await;
    bob.say("alice", "1", "hm").await;
    alice.expect("text").await;
    let http = server.http_as("bob").await;
    for _ in 0..2 {
        assert_eq!(http.call(awc::http::Method::PUT, "/v1/blocks/alice", None).await.0, 204);
    }
    alice
        .send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "2", "message": "after" }))
        .await;
    let refused = alice.expect_error("blocked").await;
    assert_eq!((&refused["status"], &refused["client_msg_id"]), (&json!(403), &json!("2")));
    alice.send(json!({ "type": "recall", "to_user_openid": "bob", "target_seq": 1 })).await;
    alice.expect_error("blocked").await;
    alice.send(json!({ "type": "typing", "to_user_openid": "bob" })).await;
    alice.send(json!({ "type": "read", "id": "r", "to_user_openid": "bob", "seq": 2 })).await;
    alice.expect("read").await;
    assert_eq!(alice.say("bob", "1", "before").await["duplicate"], true);
    bob.nothing_came().await;
    let (_, list) = http.get("/v1/blocks").await;
    assert_eq!(
        (&list["blocks"][0]["openid"], list["blocks"].as_array().unwrap().len(), list.get("next_cursor")),
        (&json!("alice"), 1, None)
    );
    assert!(list["blocks"][0]["blocked_at"].as_i64().unwrap() > 1_600_000_000_000);
    // Their own list is empty, and bob may write to them.
    assert_eq!(server.http_as("alice").await.get("/v1/blocks").await.1["blocks"], json!([]));
    bob.say("alice", "2", "still here").await;
    alice.expect("text").await;
    assert_eq!(http.delete("/v1/blocks/alice").await.0, 204);
    assert_eq!(alice.say("bob", "2", "after").await["seq"], 4);
    assert_eq!(bob.expect("text").await["message"], "after");
    assert_eq!(http.call(awc::http::Method::PUT, "/v1/blocks/bob", None).await.0, 400);
    assert_eq!(http.call(awc::http::Method::PUT, "/v1/blocks/v1", None).await.0, 400);
}

#[actix_web::test]
async fn a_session_in_the_background_gets_its_frames_and_is_counted() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    bob.send(json!({ "type": "background" })).await;
    server.metric_becomes("hongyan_sessions_in_background", 1.0).await;
    alice.say("bob", "1", "x").await;
    bob.expect("text").await;
    bob.send(json!({ "type": "foreground" })).await;
    server.metric_becomes("hongyan_sessions_in_background", 0.0).await;
    bob.send(json!({ "type": "background" })).await;
    drop(bob);
    eventually("the count without bob", async || {
        (server.metric("hongyan_sessions").await < 2.0).then_some(())
    })
    .await;
    server.metric_becomes("hongyan_sessions_in_background", 0.0).await;
}

#[actix_web::test]
async fn what_one_clears_all_their_devices_learn() {
    let server = Server::start().await;
    let (mut alice, mut phone, mut tablet) =
        (server.v1("alice").await, server.v1("bob").await, server.v1("bob").await);
    alice.say("bob", "1", "x").await;
    for session in [&mut phone, &mut tablet] {
        session.expect("text").await;
    }
    assert_eq!(server.http_as("bob").await.delete("/v1/conversations/alice").await.0, 204);
    for session in [&mut phone, &mut tablet] {
        let cleared = session.expect("cleared").await;
        assert_eq!((&cleared["peer"], &cleared["seq"]), (&json!("alice"), &json!(1)));
    }
    alice.nothing_came().await;
}
