//! The operator's own word list.

use serde_json::json;

use super::*;
use crate::harness::eventually;

#[actix_web::test]
async fn a_listed_word_is_refused_without_a_hint_and_not_stored() {
    let server = Guarded::new("local", &[]);
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.send(text("bob", "1", "what a ｂａｄ＿ｗｏｒｄ this is")).await;
    let error = alice.expect_error("content_refused").await;
    assert_eq!((&error["status"], &error["client_msg_id"]), (&json!(403), &json!("1")));
    assert!(error.get("retry_after_ms").is_none(), "waiting does not help");
    assert!(!error.to_string().contains("badword") && !error.to_string().contains("ｗ"), "{error}");
    for fine in ["to badwordville", "hello"] {
        assert_eq!(fate(&mut alice, "bob", fine.split(' ').next().unwrap(), fine).await, "ack");
        assert_eq!(bob.expect("text").await["message"], fine);
    }
    assert_eq!(server.history("alice", "bob").await, ["to badwordville", "hello"]);
    assert_eq!(server.double().get("/__calls").await.1["msg_sec_check"], 0);

    let [finding] = &server.findings()[..] else { panic!("one finding") };
    assert_eq!((finding.openid.as_str(), finding.peer.as_deref(), finding.seq), ("alice", Some("bob"), None));
    assert_eq!(
        (finding.outcome, finding.found_by, finding.content.as_deref(), finding.hash.len()),
        (REFUSED, 0, None, 32)
    );
    assert!(!server.log().contains("badword"), "{}", server.log());
}

#[actix_web::test]
async fn every_text_of_a_message_is_looked_at_and_so_are_plain_clients() {
    let server = Guarded::new("local", &[("safety.keep_text", "true")]);
    std::fs::write(server.lists().join("words"), "badword\n坏词\n").unwrap();
    eventually("the list", async || {
        (server.readyz().await.1["details"]["safety"]["words"] == 2).then_some(())
    })
    .await;
    let mut plain = server.seed("alice", "bob").await;
    for frame in [
        json!({ "message": "badword" }),
        json!({ "type": "card", "message": "hello", "title": "b a d w o r d" }),
        // Deeper, in an array, as a name, as a type of one's own, in two fields either way round, behind a
        // number that is too large.
        json!({ "message": "hello", "deep": { "x": [1, { "y": "badword" }] } }),
        json!({ "message": "hello", "deep": { "badword": 1 } }),
        json!({ "message": "hello", "badword": 1 }),
        json!({ "type": "badword", "n": 1 }),
        json!({ "message": "坏", "title": "词" }),
        json!({ "message": "词", "title": "坏" }),
        // What is no address, though it begins like one.
        json!({ "type": "image", "message": "https://a/ badword" }),
        json!({ "type": "image", "message": "https://a/坏词" }),
        json!({ "type": "voice", "message": "badword" }),
        json!({ "type": "video", "message": "https://a/badword" }),
    ] {
        plain.send(frame).await;
        plain.expect_error("content_refused").await;
    }
    plain.text(r#"{"message":"hello","n":1e999,"deep":{"a":"badword","a":""}}"#).await;
    plain.expect_error("content_refused").await;
    let kept: Vec<_> = server.findings().into_iter().map(|finding| finding.content.unwrap()).collect();
    assert_eq!(kept[..3], ["badword", "hello\nb a d w o r d", "hello\nbadword"]);
    // No client shows these.
    plain.send(json!({ "message": "hello", "client_msg_id": "badword" })).await;
    eventually("the message", async || (!server.history("alice", "bob").await.is_empty()).then_some(()))
        .await;
    assert_eq!(server.history("alice", "bob").await, ["hello"]);
    plain.send(json!({ "type": "image", "message": "https://a/badword.png" })).await;
    eventually("the image", async || (server.history("alice", "bob").await.len() == 2).then_some(())).await;
}

#[actix_web::test]
async fn what_was_stored_before_is_acked_whatever_the_list_says_now() {
    let server = Guarded::new("local", &[]);
    let mut alice = server.v1("alice").await;
    let first = alice.say("bob", "1", "newword").await;
    std::fs::write(server.lists().join("words"), "newword\n").unwrap();
    let mut n = 1;
    eventually("the new list", async || {
        n += 1;
        (fate(&mut alice, "bob", &n.to_string(), "newword").await == "content_refused").then_some(())
    })
    .await;
    let again = alice.say("bob", "1", "newword").await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&first["seq"], &json!(true)));
    assert!(server.findings().iter().all(|finding| finding.seq.is_none()), "of a repeat nothing is noted");
}

#[actix_web::test]
async fn a_list_is_read_anew_while_messages_come() {
    let server = Guarded::new("local", &[]);
    let (mut alice, mut carol) = (server.v1("alice").await, server.v1("carol").await);
    let write = |list: &str| std::fs::write(server.lists().join("words"), list).unwrap();
    let mut sent = 0;
    let mut hear = async |word: &str| {
        sent += 1;
        fate(&mut alice, "bob", &sent.to_string(), word).await
    };
    for n in 0..300 {
        carol.send(text("bob", &n.to_string(), "under way all the time")).await;
    }
    write("two\n");
    eventually("the second list", async || (hear("two").await == "content_refused").then_some(())).await;
    // A bad list is no list: it is said once, and the one before holds.
    write("...\n");
    let said = "the word list cannot be read; the one before holds";
    eventually("a word on the bad one", async || {
        assert_eq!((hear("two").await.as_str(), hear("three").await.as_str()), ("content_refused", "ack"));
        server.log().contains(said).then_some(())
    })
    .await;
    write("three\n");
    eventually("the last list", async || (hear("three").await == "content_refused").then_some(())).await;
    assert_eq!(hear("two").await, "ack");
    assert_eq!(server.log().matches(said).count(), 1);
    assert_eq!(server.readyz().await.1["details"]["safety"]["words"], 1);
    for n in 0..300 {
        assert_eq!(answer(&mut carol).await, (n.to_string(), "ack".to_owned()));
    }
}

#[actix_web::test]
async fn on_sighup_a_server_reads_its_list_and_one_in_a_terminal_ends() {
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words");
    std::fs::write(&words, "badword\n").unwrap();
    let settings = [("safety.mode", "local"), ("safety.words", words.to_str().unwrap())];
    let server = Server::serving(&settings);
    let read = "the word list was read anew";
    for times in 1..=2 {
        server.signal("HUP");
        eventually("a word on the list", async || {
            (server.log().matches(read).count() == times).then_some(())
        })
        .await;
    }
    assert_eq!(Http::new(&server.ops, None).get("/readyz").await.0, 200);
    let mut dev = Server::alone(&settings);
    dev.signal("HUP");
    assert_eq!(dev.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn without_a_list_that_can_be_read_there_is_no_start() {
    let server = Guarded::new("local", &[]);
    for (file, text) in [("words", Some("ok\n--\n")), ("words", None), ("exceptions", None)] {
        match text {
            Some(text) => std::fs::write(server.lists().join(file), text).unwrap(),
            None => std::fs::remove_file(server.lists().join(file)).unwrap(),
        }
        let ended = server.command(&["dev", "--set", "database.url=sqlite://other.db"]);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("safety.{file}")) && !told.contains("ok\n"), "{told}");
        std::fs::write(server.lists().join(file), "ok\n").unwrap();
    }
}

#[actix_web::test]
async fn nicknames_are_looked_at() {
    let server = Guarded::new("local", &[]);
    let alice = server.http_as("alice").await;
    assert_eq!(alice.put("/v1/me", &json!({ "nickname": "Alice" })).await.0, 200);
    let (status, answer) = alice.put("/v1/me", &json!({ "nickname": "B.A.D.W.O.R.D" })).await;
    assert_eq!((status, &answer["error"]), (403, &json!("content_refused")), "{answer}");
    assert_eq!(alice.get("/v1/me").await.1["nickname"], "Alice");
    let [finding] = &server.findings()[..] else { panic!("one finding") };
    assert_eq!((finding.openid.as_str(), finding.peer.as_deref(), finding.outcome), ("alice", None, REFUSED));
    assert_eq!(alice.put("/v1/me", &json!({ "nickname": "" })).await.0, 200);
}
