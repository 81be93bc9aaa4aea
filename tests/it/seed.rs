//! The seed's protocol to the letter: a client written for its Node server.

use serde_json::json;

use crate::harness::{Client, Said, Server};

#[actix_web::test]
async fn two_people_talk_with_every_field_as_given() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "bob").await;
    let mut bob = server.seed("bob", "alice").await;
    alice
        .text(
            r#"{"type":"text","message":"你好 \ud83d\ude00","from_user_openid":"alice","to_user_openid":"bob","date":"2020-1-1 8:00","created_at":1577808000000,"avatar":{"u":[1,2.50,1e400]},"nick":"A"}"#,
        )
        .await;
    let text = bob.expect_text().await;
    assert!(
        text.contains(r#""created_at":1577808000000,"avatar":{"u":[1,2.50,1e400]},"nick":"A""#),
        "{text}"
    );
    assert!(
        text.contains(r#""status":200,"from_user_openid":"alice","to_user_openid":"bob","seq":1"#),
        "{text}"
    );
    assert!(text.contains(r#""message":"你好 \ud83d\ude00""#), "{text}");
    bob.send(json!({ "type": "text", "message": "hi" })).await;
    let back = alice.expect("text").await;
    assert_eq!(
        (&back["message"], &back["seq"], &back["to_user_openid"]),
        (&json!("hi"), &json!(2), &json!("alice"))
    );
}

#[actix_web::test]
async fn the_first_frame_is_the_seeds() {
    let server = Server::start().await;
    let mut alice =
        Client::connect(&format!("ws://{}/alice?to_user_openid=bob&code=dev:alice", server.at), &[], None)
            .await
            .unwrap();
    let init = alice.expect("init").await;
    assert_eq!((&init["status"], &init["data"]), (&json!(200), &json!("link ok")));
    assert_eq!((&init["openid"], &init["heartbeat_ms"]), (&json!("alice"), &json!(30_000)));
    assert!(alice.subprotocol.is_none());
}

#[actix_web::test]
async fn hearts_are_ignored_and_messages_may_have_any_type_or_none() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "bob").await;
    let mut bob = server.seed("bob", "alice").await;
    for heart in [json!({ "type": "heart" }), json!({ "type": "heart", "id": "x" })] {
        alice.send(heart).await;
    }
    alice.send(json!({ "type": "dice", "points": 6 })).await;
    alice.send(json!({ "message": "no type" })).await;
    assert_eq!(bob.expect("dice").await["points"], 6);
    assert_eq!(bob.expect("text").await["message"], "no type");
    alice.send(json!({ "type": "ack" })).await;
    // The first thing that alice hears is about the control type: their hearts and messages had no answer.
    alice.expect_error("bad_frame").await;
}

#[actix_web::test]
async fn what_comes_while_they_are_away_waits_unread() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "bob").await;
    alice.send(json!({ "type": "text", "message": "are you there?" })).await;
    let bob = server.http_as("bob").await;
    let unread = crate::harness::eventually("the message", async || {
        let (_, unread) = bob.get("/v1/unread").await;
        (unread["total"] == 1).then_some(unread)
    })
    .await;
    assert_eq!(unread["conversations"][0]["peer"], "alice");
    assert_eq!(unread["conversations"][0]["last_message"]["message"], "are you there?");
    let (_, page) = bob.get("/v1/messages?peer=alice").await;
    assert_eq!(page["messages"][0]["message"], "are you there?");
}

#[actix_web::test]
async fn an_open_chat_reads_by_itself_and_another_does_not() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "bob").await;
    let mut bob = server.seed("bob", "alice").await;
    let mut carol = server.seed("carol", "dave").await;
    let (as_bob, as_carol) = (server.http_as("bob").await, server.http_as("carol").await);
    alice.send(json!({ "message": "1" })).await;
    alice.send(json!({ "message": "2", "to_user_openid": "carol" })).await;
    bob.expect("text").await;
    carol.expect("text").await;
    crate::harness::eventually("bob's mark", async || {
        (as_bob.get("/v1/unread").await.1["total"] == 0).then_some(())
    })
    .await;
    assert_eq!(as_carol.get("/v1/unread").await.1["total"], 1);
}

#[actix_web::test]
async fn a_message_to_oneself_comes_back_and_is_never_unread() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "alice").await;
    alice.send(json!({ "message": "note" })).await;
    assert_eq!(alice.expect("text").await["seq"], 1);
    assert_eq!(server.http_as("alice").await.get("/v1/unread").await.1["total"], 0);
}

#[actix_web::test]
async fn a_second_connection_replaces_the_first() {
    let server = Server::start().await;
    let mut first = server.seed("alice", "bob").await;
    let mut second = server.seed("alice", "bob").await;
    assert_eq!(first.expect_close(4503).await, "replaced");
    let mut bob = server.seed("bob", "alice").await;
    bob.send(json!({ "message": "x" })).await;
    second.expect("text").await;
    server.metric_becomes("hongyan_sessions", 2.0).await;
}

#[actix_web::test]
async fn a_v1_client_without_a_device_leaves_the_plain_one_alone() {
    let server = Server::start().await;
    let mut plain = server.seed("alice", "bob").await;
    let mut first = server.v1_raw("alice", "code=dev:alice").await;
    first.expect("init").await;
    let mut second = server.v1_raw("alice", "code=dev:alice").await;
    second.expect("init").await;
    assert_eq!(first.expect_close(4503).await, "replaced");
    second.say("bob", "1", "hi").await;
    assert_eq!(plain.expect("text").await["seq"], 1);
    plain.send(json!({ "message": "still here" })).await;
    assert_eq!(second.expect("text").await["seq"], 2);
}

#[actix_web::test]
async fn bad_handshakes_are_refused_with_the_seeds_words() {
    let server = Server::start().await;
    for (path, error, code, reason) in [
        ("alice?code=dev:alice", "bad_request", 4502, "参数缺失"),
        ("alice?to_user_openid=&code=dev:alice", "bad_request", 4502, "参数缺失"),
        ("alice?to_user_openid=bob", "bad_request", 4502, "参数缺失"),
        ("alice?to_user_openid=b%20b&code=dev:alice", "bad_request", 4502, "参数缺失"),
        ("healthz?to_user_openid=bob&code=dev:alice", "bad_request", 4502, "参数缺失"),
        ("alice?to_user_openid=bob&code=nonsense", "bad_code", 4501, "无权限"),
        ("alice?to_user_openid=bob&code=dev:mallory", "openid_mismatch", 4501, "无权限"),
        ("alice?to_user_openid=bob&code=dev-error:40226", "blocked_by_wechat", 4501, "无权限"),
    ] {
        let mut refused = Client::connect(&format!("ws://{}/{path}", server.at), &[], None).await.unwrap();
        refused.expect_error(error).await;
        assert_eq!(refused.expect_close(code).await, reason, "{path}");
    }
    server.metric_becomes("hongyan_sessions", 0.0).await;
}

#[actix_web::test]
async fn a_code_works_once() {
    let server = Server::start().await;
    let url = format!("ws://{}/alice?to_user_openid=bob&code=dev:alice:1", server.at);
    Client::connect(&url, &[], None).await.unwrap().expect("init").await;
    let mut again = Client::connect(&url, &[], None).await.unwrap();
    again.expect_error("bad_code").await;
    again.expect_close(4501).await;
}

#[actix_web::test]
async fn nobody_speaks_for_another() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "bob").await;
    alice.send(json!({ "message": "x", "from_user_openid": "bob" })).await;
    alice.expect_error("sender_mismatch").await;
    let (_, page) = server.http_as("bob").await.get("/v1/messages?peer=alice").await;
    assert_eq!(page["messages"], json!([]));
}

#[actix_web::test]
async fn names_that_the_server_owns_are_dropped() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "bob").await;
    let mut bob = server.seed("bob", "alice").await;
    alice.send(json!({ "message": "x", "seq": 99, "sent_at": 1, "status": 500, "recalled": true, "error": "e", "kept": 1 })).await;
    let got = bob.expect("text").await;
    assert_eq!((&got["seq"], &got["status"], &got["kept"]), (&json!(1), &json!(200), &json!(1)));
    assert!(got.get("recalled").is_none() && got.get("error").is_none() && got["sent_at"] != 1);
}

#[actix_web::test]
async fn a_goodbye_is_answered_and_leaves_the_map() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "bob").await;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    alice.message(Message::Close(Some(CloseFrame { code: 1000.into(), reason: "bye".into() }))).await;
    assert_eq!(alice.next().await, Said::Closed(1000, String::new()));
    assert_eq!(alice.next().await, Said::Gone);
    server.metric_becomes("hongyan_sessions", 0.0).await;
}

#[actix_web::test]
async fn the_transport_of_actix_web_actors_does_the_same() {
    let server = Server::with([("server.transport", "actix-web-actors")]).await;
    let mut alice = server.seed("alice", "bob").await;
    let mut bob = server.v1("bob").await;
    assert_eq!(bob.subprotocol.as_deref(), Some("hongyan.v1"));
    alice.send(json!({ "message": "x" })).await;
    assert_eq!(bob.expect("text").await["message"], "x");
    bob.say("alice", "1", "y").await;
    assert_eq!(alice.expect("text").await["seq"], 2);
    let mut newer = server.seed("alice", "bob").await;
    alice.expect_close(4503).await;
    newer.text("[]").await;
    newer.expect_error("bad_frame").await;
    let mut raw = server.raw().await;
    raw.hello("mallory", "bob").await;
    raw.send(&crate::harness::raw::header(0x81, 1 << 30)).await;
    assert_eq!(raw.close_code().await, 1009);
}
