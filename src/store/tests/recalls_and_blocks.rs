//! Taking messages back, marks of delivery, and blocklists.

use super::*;

on_both!(
    a_recall_is_a_message_of_its_own_and_overwrites_its_target,
    what_cannot_be_recalled,
    recalls_in_one_batch,
    a_repeat_behind_a_recall_in_one_batch_is_one_of_a_recalled_message,
    marks_of_delivery_are_their_own,
    the_peer_learns_of_marks_only_where_it_may,
    who_is_blocked_is_refused,
    a_blocklist_is_bounded_and_paged,
    typing_passes_within_a_conversation,
    nothing_of_a_recalled_text_is_left_in_the_tables,
);

async fn a_recall_is_a_message_of_its_own_and_overwrites_its_target(db: &mut Db) {
    let mut rig = db.open();
    for text in ["one", "two", "three"] {
        rig.outcome(append("a", "b", Some(text), text)).await;
    }
    let Event::Appended { draft, seq, sent_at, .. } = rig.outcome(recall("a", "b", 2)).await else {
        panic!()
    };
    assert_eq!((seq, draft.target), (s(4), Some(s(2))));
    let page = rig
        .store
        .ask(History { openid: o("b"), conversation: with("b", "a"), window: Window::Newest, limit: 9 })
        .await
        .unwrap();
    let [one, two, _, event] = page.messages.as_slice() else { panic!() };
    assert_eq!((one.recalled, two.recalled, &*two.body, two.kind.as_str()), (false, true, "{}", "text"));
    assert_eq!(two.client_msg_id, ClientMsgId::parse("two").ok());
    assert_eq!(
        (event.target, event.kind.as_str(), event.sent_at, event.recalled),
        (Some(s(2)), "recall", sent_at, false)
    );
    // Neither the recall nor what it recalled is unread, and the sender's own place is where it was.
    assert_eq!(rig.unread("b").await.0, 2);
    rig.outcome(append("b", "a", None, "hm")).await;
    rig.outcome(recall("b", "a", 5)).await;
    assert_eq!(rig.unread("a").await.0, 0);
    // Again: the first one's place, however often. The recalled message itself is a repeat, whatever it says
    // now.
    for _ in 0..2 {
        assert!(
            matches!(rig.outcome(recall("a", "b", 2)).await, Event::Repeated { stored, .. } if stored.seq == s(4) && stored.target == Some(s(2)))
        );
    }
    assert!(
        matches!(rig.outcome(append("a", "b", Some("two"), "else")).await, Event::Repeated { stored, .. } if stored.recalled)
    );
    assert_eq!(rig.send("a", "b", "next").await, 7);
}

async fn what_cannot_be_recalled(db: &mut Db) {
    db.limits.recall_within_ms = 60_000;
    let mut rig = db.open();
    let refused = |event: Event, want: Refusal| matches!(event, Event::Refused { why, .. } if why == want);
    assert!(refused(rig.outcome(recall("a", "b", 1)).await, Refusal::NotFound), "no conversation");
    rig.send("a", "b", "mine").await;
    rig.send("b", "a", "yours").await;
    rig.send("a", "b", "old").await;
    assert!(refused(rig.outcome(recall("a", "b", 2)).await, Refusal::NotFound), "somebody else's");
    assert!(refused(rig.outcome(recall("a", "b", 9)).await, Refusal::NotFound), "not there");
    assert!(refused(rig.outcome(recall("a", "b", 0)).await, Refusal::NotFound));
    assert!(refused(rig.outcome(recall("a", "c", 1)).await, Refusal::NotFound), "another conversation");
    rig.outcome(recall("a", "b", 1)).await;
    assert!(refused(rig.outcome(recall("a", "b", 4)).await, Refusal::NotFound), "a recall");
    assert!(
        refused(rig.outcome(recall("b", "a", 1)).await, Refusal::NotFound),
        "somebody else's recalled one"
    );
    db.exec("UPDATE messages SET sent_at = sent_at - 60000");
    assert!(refused(rig.outcome(recall("a", "b", 3)).await, Refusal::RecallExpired));
    // What is done is acked for ever.
    assert!(matches!(rig.outcome(recall("a", "b", 1)).await, Event::Repeated { .. }));
    // Past the rate only that.
    let fast = |target| Append { admission: OVER_RATE, ..recall("a", "b", target) };
    assert!(matches!(rig.outcome(fast(1)).await, Event::Repeated { audience, .. } if audience.is_empty()));
    for target in [2, 3, 9] {
        assert!(
            refused(rig.outcome(fast(target)).await, Refusal::RateLimited { retry_after_ms: 70 }),
            "{target}"
        );
    }
}

async fn recalls_in_one_batch(db: &mut Db) {
    let mut rig = db.open();
    for n in 0..3 {
        rig.send("a", "b", &n.to_string()).await;
    }
    // Submitted together: what follows the first is one batch, or two.
    rig.submit(append("a", "b", None, "to fill the first batch"));
    for write in [
        recall("a", "b", 2),
        append("b", "a", Some("m"), "x"),
        recall("a", "b", 2),
        recall("b", "a", 2),
        recall("a", "b", 3),
    ] {
        rig.submit(write);
    }
    rig.event().await;
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(5)));
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(6)));
    assert!(
        matches!(rig.event().await, Event::Repeated { stored, .. } if stored.seq == s(5) && stored.target == Some(s(2)))
    );
    assert!(matches!(rig.event().await, Event::Refused { why: Refusal::NotFound, .. }));
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(7)));
    assert_eq!(rig.history("a", "b", Window::Newest, 9).await.0, [1, 2, 3, 4, 5, 6, 7]);
}

async fn a_repeat_behind_a_recall_in_one_batch_is_one_of_a_recalled_message(db: &mut Db) {
    let mut rig = db.open();
    rig.outcome(append("a", "b", Some("m"), "secret")).await;
    // Submitted together: what follows the first is one batch, or two.
    for write in [
        append("a", "b", None, "to fill the first batch"),
        append("a", "b", Some("m"), "secret"),
        recall("a", "b", 1),
    ] {
        rig.submit(write);
    }
    rig.submit(append("a", "b", Some("m"), "secret"));
    rig.submit(append("a", "b", Some("m"), "else"));
    rig.event().await;
    assert!(
        matches!(rig.event().await, Event::Repeated { stored, .. } if !stored.recalled && stored.body.contains("secret"))
    );
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(3)));
    for _ in 0..2 {
        assert!(
            matches!(rig.event().await, Event::Repeated { stored, .. } if stored.recalled && &*stored.body == "{}")
        );
    }
}

async fn marks_of_delivery_are_their_own(db: &mut Db) {
    let mut rig = db.open();
    for n in 0..3 {
        rig.send("a", "b", &n.to_string()).await;
    }
    let mark = |receipt| Mark { receipt };
    assert!(
        matches!(rig.outcome(mark(recv("b", "a", 2))).await, Event::Marked { receipt, audience, .. } if !audience.is_empty() && receipt.seq == s(2))
    );
    rig.submit(mark(recv("b", "a", 1)));
    assert!(
        matches!(rig.outcome(mark(recv("b", "a", 99))).await, Event::Marked { receipt, audience, .. } if !audience.is_empty() && receipt.seq == s(3))
    );
    let overview = &rig.list("b", 9, None).await.conversations[0].overview;
    assert_eq!((overview.recv_seq, overview.read_seq, overview.unread), (s(3), s(0), 3));
    // In one batch with a read mark, each moves by itself.
    rig.send("a", "b", "more").await;
    rig.submit(mark(read("b", "a", 1)));
    rig.submit(mark(recv("b", "a", 4)));
    for (kind, seq) in [(ReceiptKind::Read, 1), (ReceiptKind::Recv, 4)] {
        assert!(
            matches!(rig.event().await, Event::Marked { receipt, .. } if receipt.kind == kind && receipt.seq == s(seq))
        );
    }
}

async fn the_peer_learns_of_marks_only_where_it_may(db: &mut Db) {
    let mut rig = db.open();
    let mark = |receipt| Mark { receipt };
    let told = |event: Event| matches!(event, Event::Marked { receipt, audience, .. } if audience.others(&receipt.openid).next().is_some());
    rig.send("a", "b", "1").await;
    assert!(!told(rig.outcome(mark(read("b", "a", 1))).await), "b has never written to a");
    let marks = async |rig: &Rig| {
        let page = rig.sync("a", None, &[("b", 9)], 1).await;
        let overview = &page.conversations[0].overview;
        (overview.peer_read_seq.get(), overview.peer_recv_seq.get())
    };
    assert_eq!(marks(&rig).await, (0, 0));
    rig.send("b", "a", "2").await;
    assert!(told(rig.outcome(mark(recv("b", "a", 2))).await));
    assert_eq!(marks(&rig).await, (1, 2));
    // In the batch of the first message to them, a mark behind it is theirs to see.
    rig.send("c", "d", "1").await;
    rig.submit(append("c", "d", None, "to fill the first batch"));
    rig.submit(append("d", "c", None, "3"));
    rig.submit(mark(read("d", "c", 3)));
    rig.event().await;
    rig.event().await;
    assert!(told(rig.event().await));
    // Never one who has blocked them.
    rig.block("a", "b", BlockChange::Block).await.unwrap();
    rig.send("a", "b", "3").await;
    assert!(!told(rig.outcome(mark(read("b", "a", 3))).await));
    // With oneself there is no other.
    rig.send("b", "b", "note").await;
    rig.outcome(mark(read("b", "b", 1))).await;
}

async fn who_is_blocked_is_refused(db: &mut Db) {
    let mut rig = db.open();
    let blocked = |event: Event| matches!(event, Event::Refused { why: Refusal::Blocked, .. });
    rig.outcome(append("a", "b", Some("before"), "x")).await;
    rig.block("b", "a", BlockChange::Block).await.unwrap();
    rig.block("b", "a", BlockChange::Block).await.unwrap();
    assert!(blocked(rig.outcome(append("a", "b", Some("m"), "x")).await));
    assert!(blocked(rig.outcome(append("a", "b", None, "x")).await));
    assert!(blocked(rig.outcome(recall("a", "b", 1)).await));
    // What was stored before is acked, and not pushed again.
    assert!(matches!(
        rig.outcome(append("a", "b", Some("before"), "x")).await,
        Event::Repeated { audience, .. } if audience.is_empty()
    ));
    assert!(matches!(
        rig.outcome(append("a", "b", Some("before"), "y")).await,
        Event::Refused { why: Refusal::Conflict, .. }
    ));
    // The other way nothing is blocked.
    assert_eq!(rig.send("b", "a", "still").await, 2);
    rig.submit(append("b", "a", None, "to fill the first batch"));
    for _ in 0..2 {
        rig.submit(append("a", "b", Some("twice"), "x"));
    }
    rig.event().await;
    assert!(blocked(rig.event().await) && blocked(rig.event().await));
    rig.block("b", "a", BlockChange::Unblock).await.unwrap();
    assert!(
        matches!(rig.outcome(append("a", "b", Some("m"), "x")).await, Event::Appended { seq, .. } if seq == s(4))
    );
    // Before there is a conversation, none is made.
    rig.block("b", "new", BlockChange::Block).await.unwrap();
    assert!(blocked(rig.outcome(append("new", "b", None, "x")).await));
    assert!(rig.list("new", 9, None).await.conversations.is_empty());
    assert_eq!(rig.send("b", "new", "hello").await, 1);
    assert!(blocked(rig.outcome(append("new", "b", None, "x")).await));
    rig.block("b", "new", BlockChange::Unblock).await.unwrap();
    drop(rig);
    // After a restart it is as it was.
    let mut rig = reopened(db).await;
    assert_eq!(rig.send("new", "b", "x").await, 2);
    rig.block("b", "a", BlockChange::Block).await.unwrap();
    drop(rig);
    assert!(blocked(reopened(db).await.outcome(append("a", "b", None, "x")).await));
}

async fn a_blocklist_is_bounded_and_paged(db: &mut Db) {
    db.limits.blocks_per_user = 3;
    let mut rig = db.open();
    for peer in ["p2", "p1", "p3", "p1"] {
        rig.block("a", peer, BlockChange::Block).await.unwrap();
    }
    assert_eq!(rig.block("a", "p4", BlockChange::Block).await, Err(Refusal::TooMany));
    let page = async |rig: &Rig, limit, after: Option<&str>| {
        let page = rig.store.ask(Blocks { openid: o("a"), limit, after: after.map(o) }).await.unwrap();
        (page.blocks.iter().map(|b| b.peer.to_string()).collect::<Vec<_>>().join(" "), page.has_more)
    };
    assert_eq!(page(&rig, 2, None).await, ("p1 p2".into(), true));
    assert_eq!(page(&rig, 2, Some("p2")).await, ("p3".into(), false));
    rig.block("a", "p1", BlockChange::Unblock).await.unwrap();
    rig.block("a", "nobody", BlockChange::Unblock).await.unwrap();
    rig.block("a", "p4", BlockChange::Block).await.unwrap();
    assert_eq!(page(&rig, 9, None).await, ("p2 p3 p4".into(), false));
    // Submitted together, the last word about somebody holds.
    for (peer, first) in [("p", BlockChange::Block), ("q", BlockChange::Unblock)] {
        let other = if first == BlockChange::Block { BlockChange::Unblock } else { BlockChange::Block };
        let changes = [first, other, first];
        for change in changes {
            rig.submit(Block { openid: o("c"), peer: o(peer), change });
        }
        for _ in changes.iter().filter(|change| **change == BlockChange::Block) {
            assert!(matches!(rig.event().await, Event::PresenceWithdrawn { .. }));
        }
        rig.block("c", peer, other).await.unwrap();
    }
    let page = rig.store.ask(Blocks { openid: o("c"), limit: 9, after: None }).await.unwrap();
    assert_eq!(page.blocks.iter().map(|b| b.peer.as_str()).collect::<Vec<_>>(), ["q"]);
}

async fn typing_passes_within_a_conversation(db: &mut Db) {
    let mut rig = db.open();
    let may = async |rig: &Rig, who, peer| {
        let (openid, conversation) = (o(who), with(who, peer));
        let audience = rig.store.ask(TypingAudience { openid, conversation }).await.unwrap();
        assert!(audience.is_empty() || audience == Audience::only(&o(peer)));
        !audience.is_empty()
    };
    assert!(!may(&rig, "a", "b").await);
    rig.send("a", "b", "hi").await;
    assert!(may(&rig, "a", "b").await && may(&rig, "b", "a").await);
    rig.block("b", "a", BlockChange::Block).await.unwrap();
    assert!(!may(&rig, "a", "b").await && may(&rig, "b", "a").await);
}

async fn nothing_of_a_recalled_text_is_left_in_the_tables(db: &mut Db) {
    let mut rig = db.open();
    let canary = "canary-".to_owned() + &"k".repeat(9_000);
    rig.outcome(append("a", "b", Some("m"), &canary)).await;
    rig.outcome(append("a", "b", Some("n"), "canary-short")).await;
    rig.outcome(recall("a", "b", 1)).await;
    rig.outcome(recall("a", "b", 2)).await;
    if let DatabaseUrl::Sqlite(path) = &db.config.url {
        assert!(rig.store.drain(Duration::from_secs(10)).await, "the log was not moved into the file");
        let bytes = std::fs::read(path).unwrap();
        assert!(!bytes.windows(7).any(|w| w == b"canary-"));
    }
    let page = rig
        .store
        .ask(History { openid: o("a"), conversation: with("a", "b"), window: Window::Newest, limit: 9 })
        .await
        .unwrap();
    assert!(page.messages.iter().all(|m| &*m.body == "{}"));
}
