//! What a client that was away finds with one question.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

/// All of one answer: its conversations, frame by frame, and the last frame.
async fn ask(client: &mut Client, question: Value) -> (Vec<Value>, Value) {
    let mut frame = json!({ "type": "sync" });
    frame.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    client.send(frame).await;
    let mut conversations = Vec::new();
    loop {
        let text = client.expect_text().await;
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["type"] != "sync" {
            continue;
        }
        assert!(text.len() <= 64 * 1024, "{}", text.len());
        conversations.extend(frame["conversations"].as_array().unwrap().clone());
        if frame.get("cursor").is_some() {
            return (conversations, frame);
        }
    }
}

fn seqs(conversations: &[Value], peer: &str) -> Vec<i64> {
    let messages =
        conversations.iter().filter(|c| c["peer"] == peer).flat_map(|c| c["messages"].as_array().unwrap());
    messages.map(|m| m["seq"].as_i64().unwrap()).collect()
}

#[actix_web::test]
async fn one_question_brings_everything_that_was_missed() {
    let server = Server::start().await;
    let (mut alice, mut carol) = (server.v1("alice").await, server.v1("carol").await);
    let mut bob = server.v1("bob").await;
    alice.say("bob", "1", "seen").await;
    bob.expect("text").await;
    let (_, last) = ask(&mut bob, json!({ "id": "q" })).await;
    assert_eq!((&last["id"], &last["has_more"], &last["status"]), (&json!("q"), &json!(false), &json!(200)));
    drop(bob);
    alice.say("bob", "2", "missed").await;
    carol.say("bob", "1", "a stranger").await;
    let mut bob = server.v1("bob").await;
    let question = json!({ "since": last["cursor"], "conversations": { "alice": 1 }, "limit": 5 });
    let (found, last) = ask(&mut bob, question).await;
    assert_eq!(
        (seqs(&found, "alice"), seqs(&found, "carol"), last["has_more"].as_bool()),
        (vec![2], vec![1], Some(false))
    );
    let of = |peer: &str| found.iter().find(|c| c["peer"] == peer).unwrap().clone();
    assert_eq!(
        (&of("alice")["unread"], &of("alice")["last_seq"], &of("carol")["unread"]),
        (&json!(2), &json!(2), &json!(1))
    );
    let missed = &of("alice")["messages"][0];
    assert_eq!(
        (&missed["message"], &missed["from_user_openid"], &missed["to_user_openid"]),
        (&json!("missed"), &json!("alice"), &json!("bob"))
    );
}

#[actix_web::test]
async fn a_large_answer_comes_in_frames_and_trips_no_limit() {
    let server = Server::with([("limits.messages_per_second", "0"), ("session.outbox_bytes", "65536")]).await;
    let mut alice = server.v1("alice").await;
    let text = "x".repeat(8_000);
    for n in 0..100 {
        alice.say("bob", &n.to_string(), &text).await;
    }
    let mut bob = server.v1("bob").await;
    let (mut have, mut since, mut answers) = (0, Value::Null, 0);
    loop {
        let (found, last) =
            ask(&mut bob, json!({ "since": since, "conversations": { "alice": have }, "limit": 200 })).await;
        let seqs = seqs(&found, "alice");
        assert_eq!(seqs, (have + 1..=have + seqs.len() as i64).collect::<Vec<_>>());
        have += seqs.len() as i64;
        answers += 1;
        if last["has_more"] == false {
            break;
        }
        since = last["cursor"].clone();
    }
    assert_eq!((have, answers), (100, 4), "4 × 256 KiB hold 800 KiB");
    bob.nothing_came().await;
}

#[actix_web::test]
async fn a_sync_that_asks_for_nonsense_is_a_bad_frame() {
    let server = Server::with([("limits.bad_frames", "100")]).await;
    let mut alice = server.v1("alice").await;
    let many: serde_json::Map<_, _> = (0..201).map(|n| (format!("p{n}"), json!(1))).collect();
    for bad in [
        json!({ "since": "nonsense" }),
        json!({ "since": 5 }),
        json!({ "conversations": [] }),
        json!({ "conversations": { "a b": 1 } }),
        json!({ "conversations": { "a": -1 } }),
        json!({ "conversations": many }),
        json!({ "limit": 0 }),
        json!({ "limit": 201 }),
    ] {
        let mut frame = json!({ "type": "sync", "id": "s" });
        frame.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        alice.send(frame).await;
        assert_eq!(alice.expect_error("bad_frame").await["id"], "s", "{bad:.60}");
    }
    let (found, _) = ask(&mut alice, json!({ "since": null, "conversations": { "nobody": 7 } })).await;
    assert_eq!(
        (&found[0]["peer"], &found[0]["last_seq"], &found[0]["messages"]),
        (&json!("nobody"), &json!(0), &json!([]))
    );
}

#[actix_web::test]
async fn two_syncs_at_once_are_one_and_a_refusal() {
    let server = Server::with([("limits.messages_per_second", "0")]).await;
    let mut alice = server.v1("alice").await;
    for n in 0..50 {
        alice.say("bob", &n.to_string(), &"x".repeat(8_000)).await;
    }
    let mut bob = server.v1("bob").await;
    for id in ["1", "2"] {
        bob.send(json!({ "type": "sync", "id": id, "conversations": { "alice": 0 }, "limit": 200 })).await;
    }
    let mut answered = 0;
    let mut refused = 0;
    while answered + refused < 2 {
        let frame: Value = serde_json::from_str(&bob.expect_text().await).unwrap();
        match (frame["type"].as_str(), frame["id"].as_str()) {
            (Some("error"), Some("2")) => {
                assert_eq!(frame["error"], "rate_limited");
                refused += 1;
            }
            (Some("sync"), Some(id)) => answered += usize::from(frame.get("cursor").is_some() && id != "3"),
            other => panic!("{other:?}"),
        }
    }
    // By then the first has been told whole, or both were one after the other.
    let (found, _) = ask(&mut bob, json!({ "id": "3", "conversations": { "alice": 49 } })).await;
    assert_eq!(seqs(&found, "alice"), [50]);
}
