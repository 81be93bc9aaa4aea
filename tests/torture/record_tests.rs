//! Frames of the protocol, and the entries that they become.

use serde_json::{Value, json};

use crate::log::{Histories, Key, Log, Mark, Marks, Message, Via, What};
use crate::record::content;

fn recorded(sends: &[Value], came: &[Value]) -> Vec<What> {
    let mut log = Log::new("alice", "phone");
    sends.iter().for_each(|frame| log.sends(frame));
    came.iter().for_each(|frame| log.came(frame));
    assert!(log.entries.windows(2).all(|two| two[0].at < two[1].at));
    log.entries.into_iter().map(|entry| entry.what).collect()
}

fn message(more: &Value) -> Value {
    let mut frame = json!({ "type": "text", "status": 200, "from_user_openid": "bob", "to_user_openid": "alice", "seq": 3, "sent_at": 70 });
    frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    frame
}

#[test]
fn content_is_what_the_sender_gave_in_one_spelling() {
    let one: Value = serde_json::from_str(
        r#"{"type":"text","message":"x","o":{"b":2,"a":1},"id":"7","client_msg_id":"m"}"#,
    )
    .unwrap();
    let other: Value =
        serde_json::from_str(r#"{"seq":3,"o":{"a":1,"b":2},"from_user_openid":"bob","message":"\u0078"}"#)
            .unwrap();
    assert_eq!(content(&one), r#"{"message":"x","o":{"a":1,"b":2}}"#);
    assert_eq!(content(&one), content(&other));
    for field in hongyan::protocol::client_frame::SERVER_FIELDS {
        assert_eq!(content(&json!({ "message": "x", field: 1 })), r#"{"message":"x"}"#, "{field}");
    }
    assert_ne!(content(&one), content(&json!({ "message": "x", "o": { "a": 1, "b": 2 }, "date": "now" })));
}

#[test]
fn an_attempt_and_its_answer_have_the_same_key() {
    let sends = [
        json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "m1", "message": "x" }),
        json!({ "type": "image", "to_user_openid": "carol", "client_msg_id": "m2", "message": "x" }),
        json!({ "to_user_openid": "bob", "message": "x" }),
        json!({ "type": "recall", "id": "r", "to_user_openid": "bob", "target_seq": 4 }),
        json!({ "type": "heart" }),
    ];
    let came = [
        json!({ "type": "init", "session": "s1" }),
        json!({ "type": "ack", "client_msg_id": "m1", "to_user_openid": "bob", "seq": 5, "sent_at": 60, "duplicate": false }),
        json!({ "type": "error", "client_msg_id": "m2", "error": "unavailable" }),
        json!({ "type": "ack", "id": "r", "to_user_openid": "bob", "seq": 6, "sent_at": 61, "duplicate": true }),
        json!({ "type": "error", "id": "r", "error": "recall_expired" }),
        json!({ "type": "error", "error": "rate_limited" }),
        json!({ "type": "heart", "id": "h" }),
    ];
    let (bob, carol) = ("bob".to_owned(), "carol".to_owned());
    let (m1, m2) = (Key::Message("m1".to_owned()), Key::Message("m2".to_owned()));
    let x = r#"{"message":"x"}"#.to_owned();
    let expected = [
        What::Sent { peer: bob.clone(), key: m1.clone(), kind: "text".into(), content: x.clone() },
        What::Sent { peer: carol.clone(), key: m2.clone(), kind: "image".into(), content: x.clone() },
        What::Sent { peer: bob.clone(), key: Key::Plain, kind: "text".into(), content: x },
        What::Sent { peer: bob.clone(), key: Key::Recall(4), kind: "recall".into(), content: "{}".into() },
        What::Connected { session: "s1".into() },
        What::Acked { peer: bob.clone(), key: m1, seq: 5, sent_at: 60, duplicate: false },
        What::Refused { peer: carol, key: m2, error: "unavailable".into() },
        What::Acked { peer: bob.clone(), key: Key::Recall(4), seq: 6, sent_at: 61, duplicate: true },
        What::Refused { peer: bob, key: Key::Recall(4), error: "recall_expired".into() },
    ];
    assert_eq!(recorded(&sends, &came), expected);
}

#[test]
fn an_ack_without_an_id_answers_nothing() {
    let sends = [
        json!({ "type": "text", "id": "q", "to_user_openid": "bob", "client_msg_id": "m1", "message": "x" }),
    ];
    let came = [
        json!({ "type": "error", "id": "q", "client_msg_id": "m1", "error": "unavailable" }),
        json!({ "type": "ack", "client_msg_id": "m1", "to_user_openid": "bob", "seq": 5, "sent_at": 60, "duplicate": false }),
    ];
    let (peer, key) = ("bob".to_owned(), Key::Message("m1".to_owned()));
    let expected = [
        What::Refused { peer: peer.clone(), key: key.clone(), error: "unavailable".into() },
        What::ToldStored { peer, key, seq: 5, sent_at: 60, duplicate: false },
    ];
    assert_eq!(recorded(&sends, &came)[1..], expected);
}

#[test]
fn an_echo_is_told_from_a_receipt() {
    let sends = [
        json!({ "type": "read", "id": "1", "to_user_openid": "bob", "seq": 9 }),
        json!({ "type": "read", "to_user_openid": "bob", "seq": 9 }),
        json!({ "type": "recv", "to_user_openid": "bob", "seq": 9 }),
    ];
    let mark = |kind: &str, from: &str, to: &str, seq: i64| json!({ "type": kind, "from_user_openid": from, "to_user_openid": to, "seq": seq });
    let mut echo = mark("read", "alice", "bob", 7);
    echo["id"] = "1".into();
    let came = [
        echo,
        mark("read", "alice", "bob", 8),
        mark("recv", "bob", "alice", 2),
        json!({ "type": "cleared", "peer": "bob", "seq": 4 }),
        json!({ "type": "typing", "from_user_openid": "bob", "to_user_openid": "alice" }),
    ];
    let expected = [
        What::MarkAnswered { peer: "bob".into(), mark: Mark::Read, seq: 7 },
        What::Receipt { from: "alice".into(), to: "bob".into(), mark: Mark::Read, seq: 8 },
        What::Receipt { from: "bob".into(), to: "alice".into(), mark: Mark::Recv, seq: 2 },
        What::MarkAnswered { peer: "bob".into(), mark: Mark::Cleared, seq: 4 },
    ];
    assert_eq!(recorded(&sends, &came), expected);
}

#[test]
fn a_message_is_seen_from_its_readers_side() {
    let pushed = message(&json!({ "message": "x", "client_msg_id": "m" }));
    let read = Message {
        peer: "bob".into(),
        seq: 3,
        from: "bob".into(),
        to: "alice".into(),
        sent_at: 70,
        client_msg_id: Some("m".into()),
        kind: "text".into(),
        content: Some(r#"{"message":"x"}"#.into()),
        recalled: false,
        target_seq: None,
    };
    assert_eq!(recorded(&[], &[pushed]), [What::Received { message: read.clone(), via: Via::Live }]);
    assert_eq!(
        Message::read("bob", &message(&json!({ "message": "x", "client_msg_id": "m" }))),
        Message { peer: "alice".into(), ..read }
    );
}

#[test]
fn recalls_and_recalled_messages_are_known() {
    let recall = Message::read("alice", &message(&json!({ "type": "recall", "target_seq": 2 })));
    assert!(recall.is_recall() && recall.key() == Key::Recall(2) && recall.content.as_deref() == Some("{}"));
    let recalled = |more: &Value| Message::read("alice", &message(more));
    let empty = recalled(&json!({ "recalled": true, "client_msg_id": "m" }));
    assert!(
        !empty.is_recall() && empty.recalled && empty.content.is_none() && empty.key() == Key::Message("m")
    );
    // Content that a recall left must be seen.
    assert_eq!(
        recalled(&json!({ "recalled": true, "message": "x" })).content.as_deref(),
        Some(r#"{"message":"x"}"#)
    );
}

#[test]
fn a_sync_gives_marks_as_of_when_it_was_asked_for() {
    let mut log = Log::new("alice", "phone");
    log.sends(&json!({ "type": "sync", "id": "s", "conversations": { "bob": 2 } }));
    log.sends(&json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "m1", "message": "x" }));
    let told = json!({
        "peer": "bob", "last_seq": 3, "cleared_seq": 1, "read_seq": 2, "recv_seq": 3, "peer_read_seq": 1, "peer_recv_seq": 2, "unread": 1,
        "messages": [message(&json!({ "message": "x" }))], "has_more": false,
    });
    // In two frames, both with the id.
    for _ in 0..2 {
        log.came(&json!({ "type": "sync", "id": "s", "conversations": [told] }));
    }
    let marks = Marks {
        last_seq: 3,
        cleared_seq: 1,
        read_seq: 2,
        recv_seq: 3,
        peer_read_seq: 1,
        peer_recv_seq: 2,
        unread: 1,
    };
    let [sent, one, got, two, _] = &log.entries[..] else { panic!("{:?}", log.entries) };
    for entry in [one, two] {
        let What::SyncMarks { peer, asked, marks: read } = &entry.what else { panic!("{entry:?}") };
        assert!(peer == "bob" && *read == marks && *asked < sent.at && sent.at < entry.at);
    }
    assert!(matches!(&got.what, What::Received { message, via: Via::Sync } if message.seq == 3));
}

#[test]
fn pages_are_read_as_whoever_looks() {
    let page = json!({ "messages": [message(&json!({ "message": "x" })), message(&json!({ "message": "y", "seq": 4 }))], "has_more": false });
    let mut log = Log::new("alice", "phone");
    log.page(&page, Via::History);
    assert!(
        matches!(&log.entries[1].what, What::Received { message, via: Via::History } if message.seq == 4 && message.peer == "bob")
    );
    let mut histories = Histories::default();
    let overview = json!({ "last_seq": 4, "cleared_seq": 2, "read_seq": 0, "recv_seq": 0, "peer_read_seq": 0, "peer_recv_seq": 0, "unread": 0 });
    histories.add("bob", "alice", page["messages"].as_array().unwrap(), Some(&overview));
    let [view] = &histories.views[..] else { panic!() };
    assert_eq!(
        (view.messages.len(), &*view.messages[0].peer, view.overview.unwrap().cleared_seq),
        (2, "alice", 2)
    );
}
