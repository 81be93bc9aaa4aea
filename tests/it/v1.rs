//! Protocol v1: acks, idempotent sends, order, devices, limits.

use serde_json::json;

use crate::harness::{Client, Said, Server};

#[actix_web::test]
async fn an_ack_has_seq_and_time_and_echoes_the_id() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    assert_eq!(alice.subprotocol.as_deref(), Some("hongyan.v1"));
    alice.send(json!({ "type": "text", "id": "é\n1", "to_user_openid": "bob", "client_msg_id": "c1", "message": "x" })).await;
    let ack = alice.expect("ack").await;
    assert_eq!(
        (&ack["id"], &ack["client_msg_id"], &ack["to_user_openid"]),
        (&json!("é\n1"), &json!("c1"), &json!("bob"))
    );
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(1), &json!(false)));
    assert!(ack["sent_at"].as_i64().unwrap() > 1_600_000_000_000);
    alice.send(json!({ "type": "heart", "id": "h" })).await;
    let heart = alice.expect("heart").await;
    assert_eq!((&heart["id"], &heart["status"]), (&json!("h"), &json!(200)));
    assert!(heart["server_time"].as_i64().unwrap() >= ack["sent_at"].as_i64().unwrap());
}

#[actix_web::test]
async fn a_repeat_is_acked_with_the_first_ones_place() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    let mut bob = server.v1("bob").await;
    let mut plain = server.seed("bob", "alice").await;
    let first = alice.say("bob", "c1", "x").await;
    let again = alice.say("bob", "c1", "x").await;
    assert_eq!(
        (&again["seq"], &again["sent_at"], &again["duplicate"]),
        (&first["seq"], &first["sent_at"], &json!(true))
    );
    // v1 sessions get it again (a node may have died between commit and push), plain ones do not.
    assert_eq!(bob.expect("text").await["seq"], 1);
    assert_eq!(bob.expect("text").await["seq"], 1);
    bob.nothing_came().await;
    alice.say("bob", "c2", "y").await;
    assert_eq!(plain.expect("text").await["seq"], 1);
    assert_eq!(plain.expect("text").await["seq"], 2);
    let (_, page) = server.http_as("bob").await.get("/v1/messages?peer=alice").await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn the_same_id_with_other_content_is_a_conflict() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    let message = |more: serde_json::Value| {
        let mut frame = json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "c", "message": "x", "n": 1.0, "o": { "a": 1, "b": 2 } });
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        frame
    };
    alice.send(message(json!({}))).await;
    assert_eq!(alice.expect("ack").await["duplicate"], false);
    for other in
        [json!({ "message": "y" }), json!({ "type": "image" }), json!({ "n": 2 }), json!({ "more": 1 })]
    {
        alice.send(message(other)).await;
        assert_eq!(alice.expect_error("conflict").await["client_msg_id"], "c");
    }
    for same in [
        json!({ "id": "9" }),
        json!({ "date": "now" }),
        json!({ "created_at": 5 }),
        json!({ "o": { "b": 2, "a": 1 } }),
    ] {
        alice.send(message(same)).await;
        assert_eq!(alice.expect("ack").await["duplicate"], true);
    }
}

#[actix_web::test]
async fn what_is_sent_in_a_row_is_stored_and_delivered_in_that_order() {
    let server = Server::with([("limits.messages_per_second", "0")]).await;
    let mut alice = server.v1("alice").await;
    let mut bob = server.v1("bob").await;
    for n in 0..500 {
        alice.send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": n.to_string(), "message": n.to_string() })).await;
    }
    for n in 0..500 {
        let (ack, pushed) = (alice.expect("ack").await, bob.expect("text").await);
        assert_eq!((&ack["client_msg_id"], &ack["seq"]), (&json!(n.to_string()), &json!(n + 1)));
        assert_eq!((&pushed["message"], &pushed["seq"]), (&json!(n.to_string()), &json!(n + 1)));
    }
}

#[actix_web::test]
async fn all_devices_of_both_show_the_same_chat() {
    let server = Server::start().await;
    let mut phone = server.v1("alice").await;
    let mut tablet = server.v1("alice").await;
    let mut seed = server.seed("alice", "bob").await;
    let mut bob = server.v1("bob").await;
    phone.say("bob", "c", "x").await;
    for other in [&mut tablet, &mut seed, &mut bob] {
        assert_eq!(other.expect("text").await["message"], "x");
    }
    phone.nothing_came().await;
}

#[actix_web::test]
async fn a_device_is_replaced_by_itself_only() {
    let server = Server::start().await;
    let mut old = server.v1_device("alice", "phone").await;
    let mut other = server.v1_device("alice", "tablet").await;
    let mut new = server.v1_device("alice", "phone").await;
    assert_eq!(old.expect_close(4503).await, "replaced");
    other.nothing_came().await;
    new.nothing_came().await;
}

#[actix_web::test]
async fn beyond_eight_sessions_the_oldest_goes() {
    let server = Server::start().await;
    let mut sessions = Vec::new();
    for _ in 0..9 {
        sessions.push(server.v1("alice").await);
    }
    sessions[0].expect_close(4503).await;
    for session in &mut sessions[1..] {
        session.nothing_came().await;
    }
}

#[actix_web::test]
async fn taking_a_device_over_again_and_again_is_slowed() {
    let server = Server::start().await;
    let mut kept = server.v1_device("alice", "d").await;
    for _ in 0..5 {
        kept = server.v1_device("alice", "d").await;
    }
    let mut refused = server.v1_raw("alice", "code=dev:alice&device=d").await;
    refused.expect_error("rate_limited").await;
    assert!(refused.expect_close(4005).await.contains("retry_ms="));
    kept.nothing_came().await;
}

#[actix_web::test]
async fn bad_frames_are_named_and_the_tenth_ends_the_session() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    for bad in [
        r#"{"type":"nonsense","id":"1"}"#,
        r#"{"id":"1"}"#,
        r#"{"type":"text","id":"1","to_user_openid":"bob","message":"x"}"#,
        r#"{"type":"text","id":"1","to_user_openid":"bob","client_msg_id":"c"}"#,
        r#"{"type":"text","id":"1","client_msg_id":"c","message":"x"}"#,
        r#"{"type":"recall","id":"1","to_user_openid":"bob","target_seq":-1}"#,
        r#"{"type":"sync","id":"1","limit":0}"#,
        r#"{"type":"read","id":"1","to_user_openid":"bob","seq":-1}"#,
        r#"{"type":"open","id":"1"}"#,
    ] {
        alice.text(bad).await;
        assert_eq!(alice.expect_error("bad_frame").await["id"], "1", "{bad}");
    }
    alice.text("{}").await;
    alice.expect_error("bad_frame").await;
    alice.expect_close(4506).await;
}

#[actix_web::test]
async fn sizes_are_refused_by_name_and_nothing_is_stored() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    alice.say("bob", "fits", &"x".repeat(8_192)).await;
    for (id, message, extra) in
        [("m", "x".repeat(8_193), String::new()), ("f", "x".into(), "y".repeat(16_384))]
    {
        alice.send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": id, "message": message, "extra": extra })).await;
        assert_eq!(alice.expect_error("too_large").await["client_msg_id"], id);
    }
    let (_, page) = server.http_as("alice").await.get("/v1/messages?peer=bob").await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn repeats_past_the_rate_are_acked_and_reach_nobody_again() {
    let server = Server::with([("limits.messages_per_second", "1"), ("limits.message_burst", "3")]).await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    for n in 0..200 {
        assert_eq!(alice.say("bob", "1", "x").await["duplicate"], n > 0);
    }
    // The first, the repeats within the burst, and one for each second that this took.
    let pushed = server.metric("hongyan_messages_out_total").await;
    assert!(pushed < 100.0, "{pushed}");
    assert_eq!(bob.expect("text").await["seq"], 1);
}

#[actix_web::test]
async fn a_user_may_send_so_fast_and_a_repeat_is_acked_all_the_same() {
    let server = Server::with([("limits.messages_per_second", "1"), ("limits.message_burst", "3")]).await;
    let mut alice = server.v1("alice").await;
    let mut tablet = server.v1("alice").await;
    for n in 0..3 {
        alice.say("bob", &n.to_string(), "x").await;
        tablet.expect("text").await;
    }
    tablet
        .send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "new", "message": "x" }))
        .await;
    let error = tablet.expect_error("rate_limited").await;
    assert!(error["retry_after_ms"].as_u64().unwrap() <= 1_000, "{error}");
    assert_eq!(alice.say("bob", "0", "x").await["duplicate"], true);
    let mut plain = server.seed("alice", "bob").await;
    plain.send(json!({ "message": "no id" })).await;
    plain.expect_error("rate_limited").await;
}

#[actix_web::test]
async fn control_frames_have_a_rate_of_their_own() {
    let server = Server::with([("limits.controls_per_second", "2")]).await;
    let mut alice = server.v1("alice").await;
    for n in 0..3 {
        alice.send(json!({ "type": "heart", "id": n.to_string() })).await;
    }
    alice.expect("heart").await;
    alice.expect("heart").await;
    assert_eq!(alice.expect_error("rate_limited").await["id"], "2");
    let mut plain = server.seed("bob", "alice").await;
    for _ in 0..9 {
        plain.send(json!({ "type": "heart" })).await;
    }
    plain.send(json!({ "message": "x" })).await;
    alice.expect("text").await;
}

#[actix_web::test]
async fn strangers_can_be_written_to_only_so_often_a_day() {
    let server = Server::with([("limits.new_conversations_per_day", "2")]).await;
    let mut alice = server.v1("alice").await;
    for peer in ["a", "b"] {
        alice.say(peer, "1", "x").await;
    }
    alice.send(json!({ "type": "text", "to_user_openid": "c", "client_msg_id": "1", "message": "x" })).await;
    assert!(alice.expect_error("rate_limited").await["retry_after_ms"].as_u64().unwrap() > 3_600_000);
    alice.say("a", "2", "x").await;
    let mut bob = server.v1("bob").await;
    bob.say("alice", "1", "whoever is written to may answer").await;
    alice.expect("text").await;
    alice.say("bob", "1", "x").await;
}

#[actix_web::test]
async fn a_read_mark_is_echoed_after_its_commit() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    for n in 0..3 {
        alice.say("bob", &n.to_string(), "x").await;
        bob.expect("text").await;
    }
    bob.send(json!({ "type": "read", "id": "r", "to_user_openid": "alice", "seq": 2 })).await;
    let echo = bob.expect("read").await;
    assert_eq!(
        (&echo["id"], &echo["seq"], &echo["from_user_openid"]),
        (&json!("r"), &json!(2), &json!("bob"))
    );
    let http = server.http_as("bob").await;
    assert_eq!(http.get("/v1/unread").await.1["total"], 1);
    bob.send(json!({ "type": "read", "id": "far", "to_user_openid": "alice", "seq": 99 })).await;
    assert_eq!(bob.expect("read").await["seq"], 3);
    bob.send(json!({ "type": "read", "id": "back", "to_user_openid": "alice", "seq": 1 })).await;
    assert_eq!(bob.expect("read").await["seq"], 3);
    assert_eq!(http.get("/v1/unread").await.1["total"], 0);
    bob.send(json!({ "type": "read", "id": "nobody", "to_user_openid": "nobody", "seq": 1 })).await;
    assert_eq!(bob.expect("read").await["seq"], 0);
}

#[actix_web::test]
async fn messages_without_a_recipient_go_to_the_open_chat() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.send(json!({ "type": "open", "to_user_openid": "bob" })).await;
    alice.send(json!({ "type": "text", "client_msg_id": "1", "message": "to the open chat" })).await;
    assert_eq!(alice.expect("ack").await["to_user_openid"], "bob");
    assert_eq!(bob.expect("text").await["message"], "to the open chat");
    alice.send(json!({ "type": "open", "to_user_openid": null })).await;
    alice.send(json!({ "type": "text", "client_msg_id": "2", "message": "to nobody" })).await;
    alice.expect_error("bad_frame").await;
}

#[actix_web::test]
async fn credentials_are_tried_in_order_and_never_skipped() {
    let server = Server::start().await;
    let token = server.http_as("alice").await.token().to_owned();
    let url = |query: &str| format!("ws://{}/alice?{query}", server.at);
    let bearer = format!("bearer.{token}");
    // By header, by subprotocol; only hongyan.v1 is ever selected.
    Client::connect(&url(""), &["hongyan.v1"], Some(&token)).await.unwrap().expect("init").await;
    let mut browser = Client::connect(&url(""), &["hongyan.v1", &bearer], None).await.unwrap();
    browser.expect("init").await;
    assert_eq!(browser.subprotocol.as_deref(), Some("hongyan.v1"));
    Client::connect(&url("to_user_openid=bob"), &[], Some(&token)).await.unwrap().expect("init").await;
    // A bad one decides, though a good one follows.
    for (protocols, header) in
        [(vec!["hongyan.v1", bearer.as_str()], Some("bad")), (vec!["hongyan.v1", "bearer.bad"], None)]
    {
        let mut refused = Client::connect(&url("code=dev:alice"), &protocols, header).await.unwrap();
        refused.expect_error("unauthorized").await;
        assert_eq!(refused.expect_close(4501).await, "unauthorized");
    }
    let mut none = Client::connect(&url(""), &["hongyan.v1"], None).await.unwrap();
    none.expect_error("unauthorized").await;
    none.expect_close(4501).await;
    // Without hongyan.v1 nothing could be selected: plain HTTP.
    assert_eq!(Client::connect(&url(""), &[&bearer], None).await.err(), Some(400));
    let mut other =
        Client::connect(&format!("ws://{}/bob?", server.at), &["hongyan.v1"], Some(&token)).await.unwrap();
    other.expect_error("openid_mismatch").await;
    assert_eq!(other.next().await, Said::Closed(4501, "openid_mismatch".into()));
}
