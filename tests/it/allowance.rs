//! Bytes that a user may have stored in a day.

use serde_json::{Value, json};

use crate::harness::{Client, Said, Server, eventually};

/// Three texts of 8 000 characters go in, and some that are short.
const SETTINGS: [(&str, &str); 3] =
    [("limits.bytes_per_day", "26000"), ("safety.mode", "off"), ("limits.message_burst", "0")];

fn text(id: &str, message: &str) -> Value {
    json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": id, "message": message })
}

async fn is_told_to_wait_until_the_day_ends(client: &mut Client) {
    let wait = client.expect_error("rate_limited").await["retry_after_ms"].as_u64().unwrap();
    assert!((1..=86_400_000).contains(&wait), "{wait}");
}

async fn both(more: &[(&str, &str)]) -> Vec<Server> {
    let settings = [&SETTINGS[..], more].concat();
    let postgres = Server::fresh_postgres()
        .map(|(url, _)| Server::alone(&[&settings[..], &[("database.url", &url)]].concat()));
    std::iter::once(Server::alone(&settings)).chain(postgres).collect()
}

#[actix_web::test]
async fn one_account_does_not_fill_the_disk() {
    for server in both(&[]).await {
        let (mut alice, mut carol) = (server.v1("alice").await, server.v1("carol").await);
        let long = "x".repeat(8_000);
        for n in 0..3 {
            assert_eq!(alice.say("bob", &n.to_string(), &long).await["seq"], n + 1);
        }
        alice.send(text("3", &long)).await;
        is_told_to_wait_until_the_day_ends(&mut alice).await;
        // A repeat stores nothing, however often it comes, and neither does a recall.
        for _ in 0..10 {
            assert_eq!(alice.say("bob", "0", &long).await["duplicate"], true);
        }
        alice.send(json!({ "type": "recall", "to_user_openid": "bob", "target_seq": 1 })).await;
        assert_eq!(alice.expect("ack").await["seq"], 4);
        // What a plain client sends is the same user's, and so is a name; empty messages take room as well.
        let mut plain = server.seed("alice", "bob").await;
        plain.send(json!({ "message": long })).await;
        is_told_to_wait_until_the_day_ends(&mut plain).await;
        let mut sent = 0;
        loop {
            alice.send(text(&format!("e{sent}"), "")).await;
            let Said::Frame(answer) = alice.next().await else { panic!("closed") };
            if answer["type"] != "ack" {
                assert_eq!(answer["error"], "rate_limited", "{answer}");
                break;
            }
            sent += 1;
        }
        assert!((1..20).contains(&sent), "{sent}");
        let (status, answer) =
            server.http_as("alice").await.put("/v1/me", &json!({ "nickname": "Alice" })).await;
        assert_eq!((status, &answer["error"]), (429, &json!("rate_limited")), "{answer}");
        // Nobody else is concerned.
        carol.say("bob", "0", &long).await;
    }
}

#[actix_web::test]
async fn what_is_refused_counts_with_what_is_kept_of_it() {
    let lists = tempfile::tempdir().unwrap();
    let words = lists.path().join("words");
    std::fs::write(&words, "badword\n").unwrap();
    let checked =
        [("safety.mode", "local"), ("safety.words", words.to_str().unwrap()), ("safety.keep_text", "true")];
    for server in both(&checked).await {
        let mut alice = server.v1("alice").await;
        for n in 0..3 {
            alice.send(text(&n.to_string(), &format!("{n} badword {}", "x".repeat(8_000)))).await;
            alice.expect_error("content_refused").await;
        }
        alice.send(text("3", &format!("3 badword {}", "x".repeat(8_000)))).await;
        is_told_to_wait_until_the_day_ends(&mut alice).await;
    }
}

#[actix_web::test]
async fn the_size_of_the_database_is_a_metric() {
    for server in both(&[]).await {
        eventually("the size", async || {
            (server.metric("hongyan_database_bytes").await > 10_000.0).then_some(())
        })
        .await;
    }
}
