//! The same over the socket: a stranger's frames are answered as if there were nobody.

use serde_json::{Value, json};

use crate::harness::{Client, Said};
use crate::size::figure;
use crate::who_may_see::{CANARY, House, UNKNOWN};

/// Frames about somebody.
fn frames(name: &str, cursor: &Value) -> Vec<Value> {
    let mut frames = vec![
        json!({ "type": "read", "id": "1", "to_user_openid": name, "seq": 2 }),
        json!({ "type": "read", "to_user_openid": name, "seq": 4 }),
        json!({ "type": "recv", "to_user_openid": name, "seq": 3 }),
        json!({ "type": "typing", "to_user_openid": name }),
        json!({ "type": "open", "to_user_openid": name }),
        json!({ "type": "presence", "id": "0", "peers": [name] }),
        json!({ "type": "presence", "id": "0", "peers": ["bob", name] }),
        json!({ "type": "background" }),
        json!({ "type": "foreground" }),
        json!({ "type": "sync", "id": "2", "conversations": { name: 0 } }),
        json!({ "type": "sync", "id": "3", "conversations": { name: 4, "bob": 1 }, "limit": 200 }),
        json!({ "type": "sync", "id": "4", "since": cursor }),
        json!({ "type": "sync", "id": "5", "since": "0", "conversations": { name: 99 } }),
        json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "m", "message": "x", "from_user_openid": name }),
    ];
    // The seqs of what alice and bob wrote, and one that is not there.
    frames.extend((1..=5).map(
        |seq| json!({ "type": "recall", "to_user_openid": name, "target_seq": seq, "id": seq.to_string() }),
    ));
    frames
}

/// What comes up to a frame's own answer, where it has one, and up to a heart's; with the times taken out and
/// one name for both.
async fn answers(client: &mut Client, frame: &Value) -> Vec<Value> {
    client.send(frame.clone()).await;
    client.send(json!({ "type": "heart", "id": "end" })).await;
    let is_own = |said: &Value| {
        ["id", "client_msg_id"].iter().any(|key| frame[key].is_string() && said[key] == frame[key])
    };
    let mut is_answered = !is_own(frame);
    let (mut is_over, mut said) = (false, Vec::new());
    while !is_answered || !is_over {
        match client.next().await {
            Said::Frame(frame) if frame["id"] == "end" => is_over = true,
            Said::Frame(mut frame) => {
                is_answered |= is_own(&frame);
                for time in ["sent_at", "cursor", "server_time"] {
                    frame.as_object_mut().unwrap().remove(time);
                }
                said.push(serde_json::from_str(&frame.to_string().replace(UNKNOWN, "alice")).unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    said
}

#[actix_web::test]
async fn no_frame_shows_anybody_what_is_somebody_elses() {
    let mut house = House::furnished().await;
    house.alice.send(json!({ "type": "sync", "id": "1" })).await;
    let cursor = house.alice.expect("sync").await["cursor"].clone();
    let before = house.views().await;
    let mut carol = house.server.v1("carol").await;
    let pairs = frames("alice", &cursor).into_iter().zip(frames(UNKNOWN, &cursor));
    let mut tried = 0;
    for (known, unknown) in pairs {
        let (told, not_told) = (answers(&mut carol, &known).await, answers(&mut carol, &unknown).await);
        assert!(!format!("{told:?}").contains(CANARY), "{known}: {told:?}");
        assert_eq!(told, not_told, "{known} tells alice from somebody unknown");
        tried += 1;
    }
    house.is_untouched(&before).await;

    // What alice and bob do is not told to carol, who has alice's chat open.
    carol.send(json!({ "type": "open", "to_user_openid": "alice" })).await;
    house.alice.say("bob", "live", CANARY).await;
    house.bob.expect("text").await;
    house.bob.send(json!({ "type": "typing", "to_user_openid": "alice" })).await;
    house.alice.expect("typing").await;
    house.bob.send(json!({ "type": "read", "id": "r", "to_user_openid": "alice", "seq": 5 })).await;
    house.bob.expect("read").await;
    house.alice.expect("read").await;
    house
        .alice
        .send(json!({ "type": "recall", "to_user_openid": "bob", "target_seq": 5, "id": "back" }))
        .await;
    house.alice.expect("ack").await;
    house.bob.expect("recall").await;
    carol.nothing_came().await;

    // A stranger may write, and learns by it neither who is there nor that they were read, not even under an
    // id that alice has used.
    let text = |to: &str| json!({ "type": "text", "to_user_openid": to, "client_msg_id": format!("{CANARY}-1"), "message": "hello" });
    assert_eq!(answers(&mut carol, &text("alice")).await, answers(&mut carol, &text(UNKNOWN)).await);
    house.alice.expect("text").await;
    house.alice.send(json!({ "type": "read", "id": "r", "to_user_openid": "carol", "seq": 1 })).await;
    house.alice.expect("read").await;
    let view = |name: &str| json!({ "type": "sync", "id": "s", "conversations": { name: 1 }, "limit": 1 });
    let (known, unknown) =
        (answers(&mut carol, &view("alice")).await, answers(&mut carol, &view(UNKNOWN)).await);
    assert!(!known.iter().chain(&unknown).any(|frame| frame["type"] == "read"), "{known:?} {unknown:?}");
    let marks = |answers: &[Value]| {
        let sync = answers.iter().find(|frame| frame["type"] == "sync").unwrap();
        sync["conversations"][0].clone()
    };
    assert_eq!(marks(&known), marks(&unknown), "carol learns that alice has read it");

    // A message of alice's to carol is not carol's to take back, as one that is not there is not.
    house.alice.say("carol", "reply", "hello").await;
    carol.expect("text").await;
    let recall =
        |seq: i64| json!({ "type": "recall", "to_user_openid": "alice", "target_seq": seq, "id": "r" });
    assert_eq!(answers(&mut carol, &recall(2)).await, answers(&mut carol, &recall(99)).await);
    figure(
        "who may see",
        format!(
            "{tried} frames about alice and about somebody unknown, all answered alike, nothing of alice's shown"
        ),
    );
}

#[actix_web::test]
async fn no_handshake_lets_in_as_somebody_else() {
    let mut house = House::furnished().await;
    let before = house.views().await;
    let mut tried = 0;
    for protocols in [&[][..], &["hongyan.v1"]] {
        for credential in ["code=dev:carol", "", "code=nonsense", "code=alice", "token", "forged"] {
            let mut said = Vec::new();
            for name in ["alice", UNKNOWN] {
                let query = if credential.starts_with("code") { credential } else { "" };
                let url =
                    format!("ws://{}/{name}?to_user_openid=bob&device=alices-phone&{query}", house.server.at);
                let forged = format!("{}x", house.as_carol.token());
                let bearer = match credential {
                    "token" => Some(house.as_carol.token()),
                    "forged" => Some(forged.as_str()),
                    _ => None,
                };
                let mut client = Client::connect(&url, protocols, bearer).await.unwrap();
                let (first, second) = (client.next().await, client.next().await);
                assert!(
                    matches!((&first, &second), (Said::Frame(frame), Said::Closed(..)) if frame["type"] == "error"),
                    "{first:?} {second:?}"
                );
                said.push(format!("{first:?} {second:?}"));
                tried += 1;
            }
            assert_eq!(said[0], said[1], "{credential} tells alice from somebody unknown");
            assert!(!said[0].contains(CANARY));
        }
    }
    house.is_untouched(&before).await;
    figure("who may see", format!("{tried} handshakes to alice and to somebody unknown, all refused alike"));
}
