//! Messages that quote another one of their conversation.

use diesel::RunQueryDsl as _;
use serde_json::{Value, json};

use crate::harness::{Client, Cluster, Server};

fn quoting(peer: &str, client_msg_id: &str, seq: impl Into<Value>) -> Value {
    json!({ "type": "text", "to_user_openid": peer, "client_msg_id": client_msg_id, "message": "yes", "quote": { "seq": seq.into() } })
}

async fn quotes(client: &mut Client, peer: &str, client_msg_id: &str, seq: i64) -> Value {
    client.send(quoting(peer, client_msg_id, seq)).await;
    client.expect("ack").await
}

#[actix_web::test]
async fn a_quote_shows_what_stands_there_wherever_the_message_is_read() {
    let server = Server::start().await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    let mut plain = server.seed("alice", "bob").await;
    let long = "鸿".repeat(300);
    bob.say("alice", "b1", &long).await;
    alice.expect("text").await;
    let ack = quotes(&mut alice, "bob", "a1", 1).await;
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(2), &json!(false)));

    let shown = json!({ "seq": 1, "from_user_openid": "bob", "type": "text", "message": "鸿".repeat(200) });
    assert_eq!(bob.expect("text").await["quote"], shown);
    // The seed's clients are shown the message with one more field.
    assert_eq!(plain.expect("text").await["message"], long.as_str());
    let of_bob = server.http_as("bob").await;
    let stands = async |client: &mut Client| {
        let (_, page) = of_bob.get("/v1/messages?peer=alice&after_seq=1&limit=1").await;
        client.send(json!({ "type": "sync", "id": "s" })).await;
        let synced = client.expect("sync").await;
        let of_sync = synced["conversations"][0]["messages"].as_array().unwrap();
        let of_sync = of_sync.iter().find(|message| message["seq"] == 2).unwrap();
        assert_eq!(of_sync, &page["messages"][0]);
        of_sync["quote"].clone()
    };
    assert_eq!(stands(&mut bob).await, shown);

    // A repeat is pushed as it stands, too.
    assert_eq!(quotes(&mut alice, "bob", "a1", 1).await["duplicate"], true);
    assert_eq!(bob.expect("text").await["quote"], shown);

    bob.send(json!({ "type": "recall", "to_user_openid": "alice", "target_seq": 1 })).await;
    bob.expect("ack").await;
    alice.expect("recall").await;
    let recalled = json!({ "seq": 1, "recalled": true });
    assert_eq!(stands(&mut bob).await, recalled);
    assert_eq!(quotes(&mut alice, "bob", "a2", 1).await["seq"], 4);
    assert_eq!(bob.expect("text").await["quote"], recalled);
    // What it was is in no preview: that shows what the message itself says.
    let (_, list) = of_bob.get("/v1/conversations").await;
    assert_eq!(list["conversations"][0]["last_message"]["message"], "yes");
    assert!(list["conversations"][0]["last_message"].get("quote").is_none());

    // One that quotes and is recalled itself shows neither.
    alice.send(json!({ "type": "recall", "to_user_openid": "bob", "target_seq": 4 })).await;
    alice.expect("ack").await;
    let (_, page) = of_bob.get("/v1/messages?peer=alice&after_seq=3&limit=1").await;
    assert!(page["messages"][0].get("quote").is_none(), "{page}");
}

#[actix_web::test]
async fn a_quote_is_shown_to_who_has_cleared_it_and_says_when_it_is_gone() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    alice.say("bob", "a1", "one").await;
    let bob = server.http_as("bob").await;
    assert_eq!(bob.delete("/v1/conversations/alice?up_to_seq=1").await.0, 204);
    quotes(&mut alice, "bob", "a2", 1).await;
    let seen = async || {
        let (_, page) = bob.get("/v1/messages?peer=alice").await;
        let messages = page["messages"].as_array().unwrap().clone();
        assert_eq!(messages.iter().map(|message| &message["seq"]).collect::<Vec<_>>(), [2]);
        messages[0]["quote"].clone()
    };
    assert_eq!(seen().await["message"], "one");
    // As an operator takes what is too old out of the database.
    let gone = diesel::sql_query("DELETE FROM messages WHERE seq = 1").execute(&mut server.sqlite());
    assert_eq!(gone, Ok(1));
    assert_eq!(seen().await, json!({ "seq": 1, "gone": true }));
}

#[actix_web::test]
async fn nobody_quotes_what_they_may_not_read() {
    let server = Server::with([("limits.bad_frames", "100")]).await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    bob.say("alice", "b1", "one").await;
    bob.say("carol", "c1", "a secret").await;
    bob.send(json!({ "type": "recall", "to_user_openid": "alice", "target_seq": 1 })).await;
    bob.expect("ack").await;
    bob.say("alice", "b2", "two").await;
    for kind in ["text", "recall", "text"] {
        alice.expect(kind).await;
    }
    // A seq of the future, a recall, and, to somebody unknown, what stands nowhere.
    let mut tries = vec![("bob", 9), ("bob", 2), ("carol", 1), ("nobody", 1)];
    server.http_as("alice").await.delete("/v1/conversations/bob?up_to_seq=2").await;
    alice.expect("cleared").await;
    // What she has cleared.
    tries.push(("bob", 1));
    for (n, (peer, seq)) in tries.into_iter().enumerate() {
        alice.send(quoting(peer, &format!("t{n}"), seq)).await;
        let refused = alice.expect_error("not_found").await;
        let about = (&refused["client_msg_id"], &refused["message"]);
        assert_eq!(about, (&json!(format!("t{n}")), &json!("there is no such message to quote")));
    }
    // Nothing was begun or stored by that.
    let (_, list) = server.http_as("alice").await.get("/v1/conversations").await;
    let peers: Vec<_> = list["conversations"].as_array().unwrap().iter().map(|c| &c["peer"]).collect();
    assert_eq!(peers, ["bob"]);
    assert_eq!(quotes(&mut alice, "bob", "a", 3).await["seq"], 4);

    for (n, quote) in
        [json!(3), json!({}), json!({ "seq": 0 }), json!({ "seq": -1 }), json!({ "seq": "3" }), Value::Null]
            .into_iter()
            .enumerate()
    {
        let mut frame = quoting("bob", &format!("m{n}"), 3);
        frame["quote"] = quote;
        alice.send(frame).await;
        assert_eq!(alice.expect_error("bad_frame").await["client_msg_id"], format!("m{n}"));
    }
}

#[actix_web::test]
async fn another_quote_is_another_message() {
    let server = Server::start().await;
    let mut alice = server.v1("alice").await;
    for (id, text) in [("1", "one"), ("2", "two")] {
        alice.say("bob", id, text).await;
    }
    quotes(&mut alice, "bob", "q", 1).await;
    alice.send(quoting("bob", "q", 2)).await;
    alice.expect_error("conflict").await;
    assert_eq!(quotes(&mut alice, "bob", "q", 1).await["duplicate"], true);
    alice
        .send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "q", "message": "yes" }))
        .await;
    alice.expect_error("conflict").await;
}

#[actix_web::test]
async fn a_quote_comes_from_another_node_as_it_was_stored() {
    let Some(cluster) = Cluster::start().await else { return };
    let (mut alice, mut bob) = (cluster.v1(0, "alice").await, cluster.v1(1, "bob").await);
    bob.say("alice", "b", "over there").await;
    alice.expect("text").await;
    quotes(&mut alice, "bob", "a", 1).await;
    assert_eq!(
        bob.expect("text").await["quote"],
        json!({ "seq": 1, "from_user_openid": "bob", "type": "text", "message": "over there" })
    );
}
