//! What is kept for later releases: types, fields, openids, and the features that both sides tell of.

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually};

const TYPES: [&str; 8] = ["group", "edit", "reaction", "readers", "presence", "stream", "deleted", "erased"];
const FIELDS: [&str; 11] = [
    "of_seq",
    "mentions",
    "quote",
    "forward",
    "forwarded",
    "media",
    "reactions",
    "edited_at",
    "edited_seq",
    "stream",
    "deleted",
];
const TRANSPORTS: [&str; 2] = ["takeover", "actix-web-actors"];

#[actix_web::test]
async fn no_client_writes_a_message_of_a_reserved_type() {
    let server = Server::with([("limits.bad_frames", "100")]).await;
    let mut plain = server.seed("alice", "bob").await;
    let mut v1 = server.v1("carol").await;
    for name in TYPES {
        plain.send(json!({ "type": name, "message": "x", "client_msg_id": name, "of_seq": 1 })).await;
        assert_eq!(plain.expect_error("bad_frame").await["client_msg_id"], name);
        v1.send(json!({ "type": name, "to_user_openid": "bob", "message": "x", "client_msg_id": name }))
            .await;
        assert_eq!(v1.expect_error("bad_frame").await["client_msg_id"], name);
    }
    let bob = server.http_as("bob").await;
    for peer in ["alice", "carol"] {
        let (_, page) = bob.get(&format!("/v1/messages?peer={peer}")).await;
        assert_eq!(page["messages"], json!([]), "{peer}");
    }
    // The sessions live on, and a plain client's own types are as free as before.
    plain.send(json!({ "type": "groups", "message": "x" })).await;
    let stored = eventually("the plain client's message", async || {
        let (_, page) = bob.get("/v1/messages?peer=alice").await;
        page["messages"].get(0).cloned()
    })
    .await;
    assert_eq!((&stored["type"], &stored["seq"]), (&json!("groups"), &json!(1)));
    assert_eq!(v1.say("bob", "c", "y").await["seq"], 1);
}

#[actix_web::test]
async fn fields_of_later_releases_are_dropped_from_every_message() {
    let server = Server::start().await;
    let mut bob = server.v1("bob").await;
    let (mut plain, mut v1) = (server.seed("alice", "bob").await, server.v1("carol").await);
    let mut frame = json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "c", "message": "x", "url": "u", "event": "e", "name": "n" });
    for field in FIELDS {
        frame[field] = json!(["of the client's own making"]);
    }
    // A v1 client quotes with it.
    let of_v1 = || {
        let mut frame = frame.clone();
        frame.as_object_mut().unwrap().remove("quote");
        frame
    };
    for (client, sender, frame) in [(&mut plain, "alice", frame.clone()), (&mut v1, "carol", of_v1())] {
        client.send(frame).await;
        let pushed = bob.expect("text").await;
        let (_, page) = server.http_as("bob").await.get(&format!("/v1/messages?peer={sender}")).await;
        for message in [&pushed, &page["messages"][0]] {
            let names: Vec<&str> = message.as_object().unwrap().keys().map(String::as_str).collect();
            let kept = ["client_msg_id", "event", "from_user_openid", "message", "name", "sent_at", "seq"];
            let kept: Vec<&str> =
                kept.into_iter().chain(["status", "to_user_openid", "type", "url"]).collect();
            assert_eq!(names, kept, "{sender}");
        }
    }
    v1.expect("ack").await;
    // They are no content: with others, or without any, it is the same message.
    v1.say("bob", "c2", "y").await;
    v1.send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "c2", "message": "y", "mentions": ["bob"] }))
        .await;
    assert_eq!(v1.expect("ack").await["duplicate"], true);
}

#[actix_web::test]
async fn admin_and_system_are_nobody() {
    let server = Server::with([("limits.bad_frames", "100")]).await;
    let alice = server.http_as("alice").await;
    let (mut plain, mut v1) = (server.seed("alice", "bob").await, server.v1("alice").await);
    for name in ["admin", "system"] {
        let mut refused = server.v1_raw(name, "code=dev:alice").await;
        refused.expect_error("bad_request").await;
        assert_eq!(refused.expect_close(4502).await, "bad_request");
        let url = format!("ws://{}/{name}?to_user_openid=bob&code=dev:alice", server.at);
        let mut refused = Client::connect(&url, &[], None).await.unwrap();
        refused.expect_error("bad_request").await;
        assert_eq!(refused.expect_close(4502).await, "参数缺失");

        let (status, body) = server.http().post("/v1/login", &json!({ "code": format!("dev:{name}") })).await;
        assert!(status >= 400 && body["token"].is_null(), "{status} {body}");
        assert_eq!(alice.get(&format!("/{name}")).await.0, 404);
        assert_eq!(alice.get(&format!("/v1/messages?peer={name}")).await.0, 400);
        assert_eq!(alice.put(&format!("/v1/blocks/{name}"), &Value::Null).await.0, 400);
        for client in [&mut plain, &mut v1] {
            client
                .send(json!({ "type": "text", "to_user_openid": name, "client_msg_id": "c", "message": "x" }))
                .await;
            client.expect_error("bad_frame").await;
        }
    }
    assert_eq!(server.seed("administrator", "System").await.subprotocol, None);
}

#[actix_web::test]
async fn features_are_told_to_v1_sessions_and_taken_from_them() {
    for transport in TRANSPORTS {
        let server = Server::with([("server.transport", transport), ("log.format", "json")]).await;
        let token = server.http_as("alice").await.token().to_owned();
        let long = format!("groups,{}", "x".repeat(3_000));
        for features in ["groups,presence", "", "polls,,%00", &long] {
            let of_code = server.v1_raw("alice", &format!("code=dev:alice&features={features}")).await;
            let url = format!("ws://{}/alice?features={features}", server.at);
            let bearer = format!("bearer.{token}");
            let of_header = Client::connect(&url, &["hongyan.v1"], Some(&token)).await.unwrap();
            let of_subprotocol = Client::connect(&url, &["hongyan.v1", &bearer], None).await.unwrap();
            for mut client in [of_code, of_header, of_subprotocol] {
                let init = client.expect_text().await;
                assert!(
                    init.ends_with(r#""message_burst":40},"features":["presence"]}"#),
                    "{transport} {init}"
                );
            }
            let url = format!("{url}&to_user_openid=bob&code=dev:alice");
            let mut plain = Client::connect(&url, &[], None).await.unwrap();
            let init = plain.expect_text().await;
            assert!(init.ends_with(r#""message_burst":40}}"#), "{transport} {init}");
        }
    }
}

#[actix_web::test]
async fn a_session_keeps_the_features_that_are_known() {
    for transport in TRANSPORTS {
        let server = Server::with([("server.transport", transport), ("log.format", "json")]).await;
        assert!(server.command(&["trace", "alice"]).status.success());
        let traced = async |msg: &str, count: usize| {
            eventually(msg, async || {
                let log = server.log();
                let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                let lines: Vec<Value> = lines.filter(|line| line["msg"] == msg).collect();
                (lines.len() == count).then_some(lines)
            })
            .await
        };
        traced("trace begins", 1).await;
        let url = format!("ws://{}/alice?to_user_openid=bob&code=dev:alice&features=groups", server.at);
        let cases = [
            ("groups,presence", json!("groups,presence")),
            ("polls,presence", json!("presence")),
            ("polls", Value::Null),
        ];
        for (count, (features, kept)) in cases.into_iter().enumerate() {
            let query = format!("code=dev:alice&device=d{count}&features={features}");
            server.v1_raw("alice", &query).await.expect("init").await;
            let lines = traced("connected", count + 1).await;
            assert_eq!(lines[count]["features"], kept, "{transport} {features}");
        }
        Client::connect(&url, &[], None).await.unwrap().expect("init").await;
        assert_eq!(traced("connected", 4).await[3]["features"], Value::Null, "{transport}: a plain client");
    }
}
