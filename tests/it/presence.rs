//! Who is there: who may see it, when changes come, and what other nodes add.

use serde_json::{Value, json};

use crate::harness::{Client, Cluster, Said, Server};

/// What a session hears when it watches these from now on.
async fn watch(client: &mut Client, peers: &[&str]) -> Value {
    client.send(json!({ "type": "presence", "id": "p", "peers": peers })).await;
    loop {
        let mut frame = client.expect("presence").await;
        if frame["id"] == "p" {
            return frame["peers"].take();
        }
    }
}

/// Waits until changes have said all of this, in whichever frames.
async fn become_all(client: &mut Client, wanted: &[(&str, &str)]) {
    let mut missing = wanted.to_vec();
    while !missing.is_empty() {
        let frame = client.expect("presence").await;
        let rows = frame["peers"].as_array().unwrap();
        missing
            .retain(|(peer, state)| !rows.iter().any(|row| row["peer"] == *peer && row["state"] == *state));
    }
}

/// Waits until a change says this of one peer.
async fn becomes(client: &mut Client, peer: &str, state: &str) -> Value {
    loop {
        match client.next().await {
            Said::Frame(frame) if frame["type"] == "presence" => {
                assert_eq!((frame.get("id"), &frame["status"]), (None, &json!(200)));
                let rows = frame["peers"].as_array().unwrap();
                if let Some(row) = rows.iter().find(|row| row["peer"] == peer && row["state"] == state) {
                    return row.clone();
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn unknown(peer: &str) -> Value {
    json!({ "peer": peer, "state": "unknown" })
}

fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

#[actix_web::test]
async fn a_session_watches_those_who_have_written_to_its_user() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.say("bob", "1", "hello").await;
    bob.expect("text").await;
    // Alice has written to Bob, and Bob not to Alice: Bob sees Alice, and is not seen.
    assert_eq!(watch(&mut bob, &["alice"]).await, json!([{ "peer": "alice", "state": "foreground" }]));
    assert_eq!(watch(&mut alice, &["bob", "nobody"]).await, json!([unknown("bob"), unknown("nobody")]));
    bob.say("alice", "1", "hi").await;
    alice.expect("text").await;
    let known = watch(&mut alice, &["nobody", "bob"]).await;
    assert_eq!(known, json!([unknown("nobody"), { "peer": "bob", "state": "foreground" }]));

    let mut phone = server.v1("bob").await;
    phone.send(json!({ "type": "background" })).await;
    bob.send(json!({ "type": "background" })).await;
    becomes(&mut alice, "bob", "background").await;
    phone.send(json!({ "type": "foreground" })).await;
    becomes(&mut alice, "bob", "foreground").await;
    let before = now_ms();
    drop((bob, phone));
    let left = becomes(&mut alice, "bob", "away").await;
    let last_seen = left["last_seen"].as_i64().unwrap();
    assert_eq!(last_seen % 300_000, 0);
    assert!((before - 300_000..=now_ms()).contains(&last_seen), "{left}");
    // Who comes later is told the same.
    let mut tablet = server.v1("alice").await;
    let known = json!([{ "peer": "bob", "state": "away", "last_seen": last_seen }]);
    assert_eq!(watch(&mut tablet, &["bob"]).await, known);
    // Another list, or none, ends it.
    for client in [&mut alice, &mut tablet] {
        assert_eq!(watch(client, &[]).await, json!([]));
    }
    // Nobody remembers it here by now: it is what the database has.
    let stored = watch(&mut tablet, &["bob"]).await[0].take();
    let range = last_seen - 300_000..=last_seen;
    assert!(stored["last_seen"].as_i64().is_some_and(|at| range.contains(&at)), "{stored}");
    let mut bob = server.v1("bob").await;
    becomes(&mut tablet, "bob", "foreground").await;
    alice.nothing_came().await;
    // Who never said that they are in the background is not.
    assert_eq!(watch(&mut bob, &["alice"]).await, json!([{ "peer": "alice", "state": "foreground" }]));
}

#[actix_web::test]
async fn who_blocks_hides_or_never_wrote_looks_like_nobody() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    let (mut bob, mut carol, dan) =
        (server.v1("bob").await, server.v1("carol").await, server.v1("dan").await);
    for friend in [&mut bob, &mut carol] {
        friend.say("alice", "1", "hi").await;
        alice.expect("text").await;
    }
    let shown = |peer: &str| json!({ "peer": peer, "state": "foreground" });
    let peers = ["bob", "carol", "dan", "nobody"];
    let known = watch(&mut alice, &peers).await;
    assert_eq!(known, json!([shown("bob"), shown("carol"), unknown("dan"), unknown("nobody")]));

    let (as_bob, as_carol) = (server.http_as("bob").await, server.http_as("carol").await);
    // To the one who is blocked alone.
    carol.say("bob", "1", "hi").await;
    bob.expect("text").await;
    assert_eq!(watch(&mut bob, &["carol"]).await, json!([shown("carol")]));
    assert_eq!(as_bob.put("/v1/blocks/alice", &Value::Null).await.0, 204);
    assert_eq!(alice.expect("presence").await["peers"], json!([unknown("bob")]));
    assert_eq!(as_carol.get("/v1/me").await.1["presence"], true);
    let (status, me) = as_carol.put("/v1/me", &json!({ "presence": false })).await;
    assert_eq!((status, &me["presence"], &me["nickname"]), (200, &json!(false), &json!("")));
    assert_eq!(alice.expect("presence").await["peers"], json!([unknown("carol")]));
    assert_eq!(bob.expect("presence").await["peers"], json!([unknown("carol")]));
    assert_eq!(as_carol.get("/v1/me").await.1["presence"], false);
    assert_eq!(as_bob.get("/v1/users?openids=carol").await.1["users"][0].get("presence"), None);

    // The bytes are the same but for the names.
    alice.send(json!({ "type": "presence", "peers": peers })).await;
    assert_eq!(
        alice.expect_text().await,
        r#"{"type":"presence","status":200,"peers":[{"peer":"bob","state":"unknown"},{"peer":"carol","state":"unknown"},{"peer":"dan","state":"unknown"},{"peer":"nobody","state":"unknown"}]}"#
    );
    // Nothing comes of what they do, though alice has asked for it.
    drop(dan);
    carol.send(json!({ "type": "background" })).await;
    carol.nothing_came().await;
    assert_eq!(as_carol.put("/v1/me", &json!({ "nickname": "C" })).await.1["presence"], false);
    assert_eq!(as_carol.put("/v1/me", &json!({ "presence": true })).await.1["nickname"], "C");
    assert_eq!(as_bob.delete("/v1/blocks/alice").await.0, 204);
    assert_eq!(watch(&mut bob, &["carol"]).await, json!([{ "peer": "carol", "state": "background" }]));
    alice.nothing_came().await;
    // Shown again to one who asks again.
    let known = watch(&mut alice, &peers).await;
    assert_eq!(
        known,
        json!([shown("bob"), { "peer": "carol", "state": "background" }, unknown("dan"), unknown("nobody")])
    );
}

#[actix_web::test]
async fn a_presence_frame_that_is_wrong_or_too_fast_is_refused() {
    let server = Server::with([("limits.bad_frames", "100"), ("limits.controls_per_second", "3")]).await;
    let mut alice = server.v1("alice").await;
    let many: Vec<String> = (0..201).map(|n| format!("u{n}")).collect();
    for peers in
        [json!(null), json!("bob"), json!(["bob", "bob"]), json!(["g:team"]), json!([1]), json!(many)]
    {
        alice.send(json!({ "type": "presence", "id": "p", "peers": peers })).await;
        assert_eq!(alice.expect_error("bad_frame").await["id"], "p");
    }
    alice.send(json!({ "type": "presence", "id": "p" })).await;
    alice.expect_error("bad_frame").await;
    let most = &many[..200];
    for n in 0..4 {
        alice.send(json!({ "type": "presence", "id": n.to_string(), "peers": most })).await;
    }
    let mut refused = 0;
    for _ in 0..4 {
        match alice.next().await {
            Said::Frame(frame) if frame["type"] == "presence" => {
                assert_eq!(frame["peers"].as_array().unwrap().len(), 200)
            }
            Said::Frame(frame) if frame["error"] == "rate_limited" => {
                assert!(frame["retry_after_ms"].is_u64(), "{frame}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
}

/// Alice with Bob, who has written to her, on other nodes.
async fn on_two_nodes(cluster: &Cluster) -> (Client, Client) {
    let (mut alice, mut bob) = (cluster.v1(0, "alice").await, cluster.v1(1, "bob").await);
    bob.say("alice", "1", "hi").await;
    alice.expect("text").await;
    (alice, bob)
}

#[actix_web::test]
async fn others_on_other_nodes_are_seen_within_a_second_and_change_within_some() {
    let Some(cluster) = Cluster::start().await else { return };
    let (mut alice, mut bob) = on_two_nodes(&cluster).await;
    let mut carol = cluster.v1(2, "carol").await;
    carol.say("alice", "1", "hi").await;
    alice.expect("text").await;
    drop(carol);
    assert_eq!(watch(&mut alice, &["bob", "carol"]).await, json!([unknown("bob"), unknown("carol")]));
    become_all(&mut alice, &[("bob", "foreground"), ("carol", "away")]).await;
    // Another session of this node knows it at once.
    let mut tablet = cluster.v1(0, "alice").await;
    assert_eq!(watch(&mut tablet, &["bob"]).await, json!([{ "peer": "bob", "state": "foreground" }]));
    let mut phone = cluster.v1(2, "bob").await;
    bob.send(json!({ "type": "background" })).await;
    phone.send(json!({ "type": "background" })).await;
    becomes(&mut alice, "bob", "background").await;
    drop(bob);
    phone.send(json!({ "type": "foreground" })).await;
    becomes(&mut alice, "bob", "foreground").await;
    drop(phone);
    assert!(becomes(&mut alice, "bob", "away").await["last_seen"].is_i64());

    // A block at one node is heard at another.
    let _bob = cluster.v1(1, "bob").await;
    becomes(&mut alice, "bob", "foreground").await;
    assert_eq!(cluster.nodes[2].http_as("bob").await.put("/v1/blocks/alice", &Value::Null).await.0, 204);
    becomes(&mut alice, "bob", "unknown").await;
}

#[actix_web::test]
async fn without_nats_only_who_is_on_this_node_is_known() {
    let Some(mut cluster) = Cluster::of(2, &[]).await else { return };
    let (mut alice, _bob) = on_two_nodes(&cluster).await;
    let mut carol = cluster.v1(0, "carol").await;
    carol.say("alice", "1", "hi").await;
    alice.expect("text").await;
    watch(&mut alice, &["bob", "carol"]).await;
    becomes(&mut alice, "bob", "foreground").await;
    cluster.nats.kill();
    becomes(&mut alice, "bob", "unknown").await;
    let known = watch(&mut alice, &["bob", "carol", "nobody"]).await;
    assert_eq!(known, json!([unknown("bob"), { "peer": "carol", "state": "foreground" }, unknown("nobody")]));
    cluster.nats.resume();
    becomes(&mut alice, "bob", "foreground").await;
    // A node that dies takes its users with it.
    cluster.nodes[1].signal("KILL");
    becomes(&mut alice, "bob", "away").await;
}
