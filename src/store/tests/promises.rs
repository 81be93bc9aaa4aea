//! What holds whatever the database.

use super::*;
use crate::ids::Address;

on_both!(
    a_message_is_stored_once,
    other_content_under_the_same_id_is_a_conflict,
    a_repeat_of_a_recalled_message_is_no_conflict,
    one_order_without_holes,
    a_batch_with_repeats_inside,
    past_the_rate_only_repeats_are_answered,
    new_conversations_are_limited,
    a_group_is_not_found,
    one_bad_write_leaves_its_neighbours_alone,
    read_marks_are_clamped_and_never_go_back,
    unread_follows_the_rule,
    a_huge_backlog_is_not_walked,
    clearing_hides_until_a_message_follows,
    the_list_is_newest_first_and_pages,
    every_window_of_history,
    a_stranger_does_not_learn_that_you_read,
    revocations_are_followed,
    the_queue_is_bounded,
    after_the_drain_nothing_is_accepted,
    what_was_stored_is_there_after_a_restart,
    migrating_twice_changes_nothing,
);

async fn a_group_is_not_found(db: &mut Db) {
    let mut rig = db.open();
    let (openid, conversation) = (o("a"), Conversation::of(&o("a"), Address::parse("g:team").unwrap()));
    let mut to_group = append("a", "b", Some("m"), "hi");
    to_group.draft.conversation = conversation.clone();
    let not_found = |event: Event| matches!(event, Event::Refused { why: Refusal::NotFound, .. });
    // Beside one that is stored.
    rig.submit(append("a", "b", Some("m"), "hi"));
    rig.submit(to_group.clone());
    for _ in 0..2 {
        match rig.event().await {
            Event::Appended { draft, .. } => assert_eq!(draft.conversation, with("a", "b")),
            event => assert!(not_found(event)),
        }
    }
    to_group.draft.target = Some(s(1));
    assert!(not_found(rig.outcome(to_group).await));
    let receipt = Receipt { conversation: conversation.clone(), ..read("a", "b", 1) };
    assert_eq!(rig.call(Mark { receipt }).await, Err(Refusal::NotFound));
    let clear = Clear { openid: openid.clone(), conversation: conversation.clone(), up_to: None };
    assert_eq!(rig.call(clear).await, Err(Refusal::NotFound));
    let settings = ConversationSettings {
        openid: openid.clone(),
        conversation: conversation.clone(),
        muted: Some(true),
        pinned: Some(true),
        pinned_limit: 1,
    };
    assert_eq!(rig.call(settings).await, Err(Refusal::NotFound));
    let page = rig.store.ask(History {
        openid: openid.clone(),
        conversation: conversation.clone(),
        window: Window::Newest,
        limit: 9,
    });
    assert!(page.await.unwrap().messages.is_empty());
    let typing = rig.store.ask(TypingAudience { openid, conversation }).await.unwrap();
    assert!(typing.is_empty());
    assert_eq!(db.numbers("SELECT count(*) AS number FROM members"), [2]);
    assert_eq!(db.numbers("SELECT count(*) AS number FROM conversations WHERE address LIKE 'g:%'"), [0]);
}

async fn a_message_is_stored_once(db: &mut Db) {
    let mut rig = db.open();
    let Event::Appended { seq, sent_at, .. } = rig.outcome(append("a", "b", Some("m1"), "hi")).await else {
        panic!()
    };
    assert_eq!(seq, s(1));
    for _ in 0..2 {
        let Event::Repeated { stored, .. } = rig.outcome(append("a", "b", Some("m1"), "hi")).await else {
            panic!()
        };
        assert_eq!((stored.seq, stored.sent_at, &*stored.body), (seq, sent_at, r#"{"message":"hi"}"#));
    }
    // The key is the sender's own, and of this conversation.
    assert!(
        matches!(rig.outcome(append("b", "a", Some("m1"), "hi")).await, Event::Appended { seq, .. } if seq == s(2))
    );
    assert!(
        matches!(rig.outcome(append("a", "c", Some("m1"), "hi")).await, Event::Appended { seq, .. } if seq == s(1))
    );
    // Without a key every message is another one.
    assert_eq!((rig.send("a", "b", "x").await, rig.send("a", "b", "x").await), (3, 4));
    assert_eq!(rig.history("b", "a", Window::Newest, 10).await, (vec![1, 2, 3, 4], false));
}

async fn other_content_under_the_same_id_is_a_conflict(db: &mut Db) {
    let mut rig = db.open();
    rig.outcome(append("a", "b", Some("m"), "hi")).await;
    assert!(matches!(
        rig.outcome(append("a", "b", Some("m"), "ho")).await,
        Event::Refused { why: Refusal::Conflict, .. }
    ));
    let mut other = append("a", "b", Some("m"), "hi");
    other.draft.kind = Kind::parse("image").unwrap();
    assert!(matches!(rig.outcome(other).await, Event::Refused { why: Refusal::Conflict, .. }));
    let same = r#"{ "date":"later", "created_at":5, "id":"7", "message":"\u0068i" }"#;
    let again = Append {
        draft: draft("a", "b", Some("m"), same.into()),
        admission: Admission::Open,
        finding: None,
        charge: None,
    };
    assert!(
        matches!(rig.outcome(again).await, Event::Repeated { stored, .. } if &*stored.body == r#"{"message":"hi"}"#)
    );
}

async fn a_repeat_of_a_recalled_message_is_no_conflict(db: &mut Db) {
    let mut rig = db.open();
    rig.outcome(append("a", "b", Some("m"), "hi")).await;
    db.exec("UPDATE messages SET recalled = TRUE, body = '{}'");
    assert!(
        matches!(rig.outcome(append("a", "b", Some("m"), "hi")).await, Event::Repeated { stored, .. } if stored.recalled)
    );
}

async fn one_order_without_holes(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..600 {
        rig.submit(append(
            if i % 3 == 0 { "b" } else { "a" },
            if i % 3 == 0 { "a" } else { "b" },
            Some(&format!("m{i}")),
            &i.to_string(),
        ));
    }
    for i in 0..600 {
        match rig.event().await {
            Event::Appended { draft, seq, .. } => {
                assert_eq!((seq.get(), &*draft.body), (i + 1, &*format!(r#"{{"message":"{i}"}}"#)));
            }
            other => panic!("{other:?}"),
        }
    }
    let page = rig
        .store
        .ask(History {
            openid: o("a"),
            conversation: with("a", "b"),
            window: Window::After(s(0)),
            limit: 600,
        })
        .await
        .unwrap();
    assert!(
        page.messages
            .iter()
            .enumerate()
            .all(|(i, m)| m.seq.get() == i as i64 + 1 && *m.body == *format!(r#"{{"message":"{i}"}}"#))
    );
    assert_eq!(page.messages.len(), 600);
}

async fn a_batch_with_repeats_inside(db: &mut Db) {
    let mut rig = db.open();
    // Submitted together: what follows the first is one batch, or two.
    for (id, text) in [("x", "0"), ("m", "1"), ("m", "1"), ("m", "2"), ("n", "3")] {
        rig.submit(append("a", "b", Some(id), text));
    }
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(1)));
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(2)));
    assert!(matches!(rig.event().await, Event::Repeated { stored, .. } if stored.seq == s(2)));
    assert!(matches!(rig.event().await, Event::Refused { why: Refusal::Conflict, .. }));
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(3)));
}

async fn past_the_rate_only_repeats_are_answered(db: &mut Db) {
    let mut rig = db.open();
    let fast = |to, id, text| Append { admission: OVER_RATE, ..append("a", to, Some(id), text) };
    let limited = |event: &Event| {
        matches!(event, Event::Refused { why: Refusal::RateLimited { retry_after_ms: 70 }, .. })
    };
    rig.outcome(append("a", "b", Some("m"), "hi")).await;
    assert!(
        matches!(rig.outcome(fast("b", "m", "hi")).await, Event::Repeated { stored, .. } if stored.seq == s(1))
    );
    assert!(limited(&rig.outcome(fast("b", "n", "hi")).await));
    assert!(limited(&rig.outcome(fast("new", "n", "hi")).await));
    assert!(rig.list("new", 10, None).await.conversations.is_empty());
    // In one batch: refused before the first, a repeat after it.
    rig.submit(append("a", "b", None, "to fill the first batch"));
    rig.submit(fast("b", "p", "hi"));
    rig.submit(append("a", "b", Some("p"), "hi"));
    rig.submit(fast("b", "p", "hi"));
    rig.event().await;
    assert!(limited(&rig.event().await));
    let Event::Appended { seq, .. } = rig.event().await else { panic!() };
    assert!(matches!(rig.event().await, Event::Repeated { stored, .. } if stored.seq == seq));
}

async fn new_conversations_are_limited(db: &mut Db) {
    db.limits.new_conversations_per_day = 3;
    let mut rig = db.open();
    for peer in ["p0", "p1", "p2", "p3", "p4"] {
        rig.submit(append("a", peer, None, "hi"));
    }
    let mut stored = 0;
    for _ in 0..5 {
        match rig.event().await {
            Event::Appended { .. } => stored += 1,
            Event::Refused { why: Refusal::RateLimited { retry_after_ms }, .. } => {
                assert!((86_390_000..=86_400_000).contains(&retry_after_ms), "{retry_after_ms}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stored, 3);
    // Others may still begin, and what has begun goes on.
    rig.send("q", "a", "hi").await;
    rig.send("a", "q", "hi").await;
    // The wait is what it says: a day after the third newest, one more may begin.
    db.exec("UPDATE conversations SET created_at = created_at - 86400000 + 60000 WHERE created_by = 'a'");
    let refused = rig.outcome(append("a", "p9", None, "hi")).await;
    assert!(
        matches!(refused, Event::Refused { why: Refusal::RateLimited { retry_after_ms: 1..=60_000 }, .. }),
        "{refused:?}"
    );
    db.exec("UPDATE conversations SET created_at = created_at - 60000 WHERE created_by = 'a'");
    rig.send("a", "p9", "hi").await;
}

async fn one_bad_write_leaves_its_neighbours_alone(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "first").await;
    db.exec(match &db.config.url {
        DatabaseUrl::Sqlite(_) => {
            "CREATE TRIGGER poison BEFORE INSERT ON messages WHEN NEW.body LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        DatabaseUrl::Postgres(_) => {
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
             CREATE TRIGGER poison BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.body LIKE '%poison%') EXECUTE FUNCTION poison()"
        }
    });
    for text in ["1", "2", "poison", "3", "4"] {
        rig.submit(append("a", "b", None, text));
    }
    let mut seqs = Vec::new();
    for _ in 0..5 {
        match rig.event().await {
            Event::Appended { seq, .. } => seqs.push(seq.get()),
            Event::Refused { why: Refusal::Unavailable, draft } => assert!(draft.body.contains("poison")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seqs, [2, 3, 4, 5]);
}

async fn read_marks_are_clamped_and_never_go_back(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..3 {
        rig.send("a", "b", &i.to_string()).await;
    }
    rig.read("b", "a", 2).await.unwrap();
    assert!(
        matches!(rig.event().await, Event::Marked { receipt, request_id: None, .. } if receipt.seq == s(2))
    );
    rig.read("b", "a", 1).await.unwrap();
    let id = RequestId::parse("\"r\"", "r").unwrap();
    let ask = |rig: &Rig, seq| {
        let receipt = Receipt { session: Some(SessionId::fresh()), ..read("b", "a", seq) };
        rig.submit_for(Mark { receipt }, Reply::Session(id.clone()));
    };
    let stands = |event: Event, seq, has_moved| matches!(event, Event::Marked { receipt, audience, request_id: Some(_) } if receipt.seq == s(seq) && audience.is_empty() != has_moved);
    // The one before moved nothing and nobody asked, so this is the next event.
    ask(&rig, 1);
    assert!(stands(rig.event().await, 2, false));
    ask(&rig, 99);
    assert!(stands(rig.event().await, 3, true));
    assert_eq!(rig.list("b", 1, None).await.conversations[0].overview.read_seq, s(3));
    // A message that comes later is not read by a mark from before.
    rig.send("a", "b", "later").await;
    assert_eq!(rig.unread("b").await, (1, vec![("a".into(), 1)]));
    // Several in one batch.
    for seq in [4, 3, 4] {
        ask(&rig, seq);
    }
    for has_moved in [true, false, false] {
        assert!(stands(rig.event().await, 4, has_moved));
    }
    rig.read("b", "nobody", 5).await.unwrap();
    rig.read("nobody", "a", 5).await.unwrap();
}

async fn unread_follows_the_rule(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..10 {
        rig.send("a", "b", &i.to_string()).await;
    }
    assert_eq!(rig.unread("b").await, (10, vec![("a".into(), 10)]));
    assert_eq!(rig.unread("a").await, (0, vec![]));
    rig.read("b", "a", 4).await.unwrap();
    rig.event().await;
    assert_eq!(rig.unread("b").await.0, 6);
    // 11 recalls 7: neither counts. 3 was read before it was recalled, so it is off already.
    rig.outcome(recall("a", "b", 7)).await;
    rig.outcome(recall("a", "b", 3)).await;
    assert_eq!(rig.unread("b").await.0, 5);
    assert_eq!(rig.list("b", 9, None).await.conversations[0].overview.unread, 5);
    // The mark passes one that was recalled, and one that was not.
    rig.read("b", "a", 8).await.unwrap();
    rig.event().await;
    assert_eq!(rig.unread("b").await.0, 2);
    // The same after a restart.
    drop(rig);
    let mut rig = reopened(db).await;
    rig.outcome(recall("a", "b", 9)).await;
    assert_eq!(rig.unread("b").await.0, 1);
    // One's own message says that one has seen what came before.
    rig.send("b", "a", "yes").await;
    assert_eq!((rig.unread("b").await.0, rig.unread("a").await.0), (0, 1));
    rig.send("c", "b", "hello").await;
    rig.send("a", "b", "more").await;
    assert_eq!(rig.unread("b").await, (2, vec![("a".into(), 1), ("c".into(), 1)]));
    let one = rig.store.ask(Unread { openid: o("b"), kinds: Kinds::Direct, limit: 1 }).await.unwrap();
    assert_eq!((one.total, one.conversations.len(), one.has_more), (2, 1, true));
    let none = rig.store.ask(Unread { openid: o("b"), kinds: Kinds::Direct, limit: 0 }).await.unwrap();
    assert_eq!((none.total, none.conversations.len(), none.has_more), (2, 0, true));
    // With oneself nothing is ever unread.
    rig.send("b", "b", "note").await;
    assert_eq!(rig.unread("b").await.0, 2);
    rig.read("b", "b", 1).await.unwrap();
    assert_eq!(rig.list("b", 9, None).await.conversations.len(), 3);
}

async fn a_huge_backlog_is_not_walked(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "first").await;
    let series = match &db.config.url {
        DatabaseUrl::Sqlite(_) => {
            "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n"
        }
        DatabaseUrl::Postgres(_) => "SELECT i FROM generate_series(2, 100000) AS g (i)",
    };
    db.exec(&format!(
        "INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at) \
         SELECT (SELECT max(id) FROM conversations), n.i, 'a', 'text', '{{}}', n.i, n.i FROM ({series}) n"
    ));
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(rig.unread("b").await.0, 100_000);
    }
    // Walking it takes ten times as long, twenty times.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

async fn clearing_hides_until_a_message_follows(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..4 {
        rig.send("a", "b", &i.to_string()).await;
    }
    rig.clear("b", "a", Some(2)).await.unwrap();
    assert!(matches!(rig.event().await, Event::Cleared { seq, .. } if seq == s(2)));
    assert_eq!(rig.history("b", "a", Window::Newest, 9).await, (vec![3, 4], false));
    assert_eq!(rig.history("a", "b", Window::Newest, 9).await.0.len(), 4);
    assert_eq!(rig.unread("b").await.0, 2);
    rig.clear("b", "a", None).await.unwrap();
    rig.clear("b", "a", Some(1)).await.unwrap();
    assert!(matches!(rig.event().await, Event::Cleared { seq, .. } if seq == s(4)));
    assert!(rig.list("b", 9, None).await.conversations.is_empty());
    assert_eq!(rig.list("a", 9, None).await.conversations.len(), 1);
    // It costs nothing in either list any more.
    let listed =
        "SELECT count(*) AS number FROM members WHERE openid = 'b' AND (last_at > 0 OR may_have_unread)";
    assert_eq!(db.numbers(listed), [0]);
    assert_eq!(
        (rig.unread("b").await.0, rig.history("b", "a", Window::After(s(0)), 9).await),
        (0, (vec![], false))
    );
    assert_eq!(rig.send("a", "b", "again").await, 5);
    let list = rig.list("b", 9, None).await.conversations;
    assert_eq!((list[0].overview.unread, list[0].overview.cleared_seq), (1, s(4)));
    rig.clear("b", "nobody", None).await.unwrap();
}

async fn the_list_is_newest_first_and_pages(db: &mut Db) {
    let mut rig = db.open();
    for peer in ["p1", "p2", "p3", "p4", "p5"] {
        rig.send(peer, "me", "hi").await;
    }
    // p3 and p4 at the same time: then by name.
    for (peer, at) in [("p1", 50), ("p2", 10), ("p3", 30), ("p4", 30), ("p5", 20)] {
        db.exec(&format!(
            "UPDATE messages SET stored_at = {at} WHERE sender = '{peer}'; UPDATE members SET last_at = {at} WHERE peer = '{peer}'"
        ));
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = rig.list("me", 2, after).await;
        assert!(page.conversations.iter().all(|c| c.overview.unread == 1
            && c.last_message.as_ref().is_some_and(|m| m.sender.as_str() == peer_of(&c.overview, "me"))));
        seen.extend(page.conversations.iter().map(|c| peer_of(&c.overview, "me").to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["p1", "p3", "p4", "p5", "p2"]);
    // What stands in the index is a step of seconds old, and says nothing of the order within it.
    db.exec("UPDATE members SET last_at = 5; UPDATE members SET last_at = 10 WHERE peer = 'p2'");
    let mut after = None;
    for pages in [["p1", "p3"].as_slice(), &["p4", "p5"], &["p2"]] {
        let page = rig.list("me", 2, after).await;
        assert_eq!(page.conversations.iter().map(|c| peer_of(&c.overview, "me")).collect::<Vec<_>>(), pages);
        after = page.next;
    }
    assert_eq!(after, None);
    assert_eq!(rig.list("me", 5, None).await.next, None);
    assert!(rig.list("nobody", 5, None).await.conversations.is_empty());
}

async fn every_window_of_history(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..9 {
        rig.send("a", "b", &i.to_string()).await;
    }
    assert_eq!(rig.history("b", "a", Window::Newest, 3).await, (vec![7, 8, 9], true));
    assert_eq!(rig.history("b", "a", Window::Before(s(4)), 3).await, (vec![1, 2, 3], false));
    assert_eq!(rig.history("b", "a", Window::Before(s(5)), 3).await, (vec![2, 3, 4], true));
    assert_eq!(rig.history("b", "a", Window::After(s(6)), 3).await, (vec![7, 8, 9], false));
    assert_eq!(rig.history("b", "a", Window::After(s(5)), 3).await, (vec![6, 7, 8], true));
    assert_eq!(
        rig.history("b", "a", Window::Between { after: s(2), before: s(6) }, 2).await,
        (vec![3, 4], true)
    );
    assert_eq!(
        rig.history("b", "a", Window::Between { after: s(2), before: s(6) }, 3).await,
        (vec![3, 4, 5], false)
    );
    assert_eq!(rig.history("b", "nobody", Window::Newest, 3).await, (vec![], false));
    assert_eq!(rig.history("c", "a", Window::Newest, 3).await, (vec![], false));
}

async fn a_stranger_does_not_learn_that_you_read(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "hi").await;
    rig.read("b", "a", 1).await.unwrap();
    rig.event().await;
    assert_eq!(rig.list("a", 1, None).await.conversations[0].overview.peer_read_seq, s(0));
    rig.send("b", "a", "hello").await;
    assert_eq!(rig.list("a", 1, None).await.conversations[0].overview.peer_read_seq, s(1));
}

async fn revocations_are_followed(db: &mut Db) {
    let rig = db.open();
    let all = [
        Revoked::Token { issued_ms: 5 },
        Revoked::AllTokens,
        Revoked::Sessions,
        Revoked::Access { until: None },
        Revoked::Nothing,
    ];
    let before = now_ms();
    for what in all {
        rig.call(Revoke { openid: o("a"), what, decision: None }).await.unwrap();
    }
    // The command line writes beside a server that runs.
    crate::store::operate(&db.config, &ban(&o("b"), None)).unwrap();
    let after = |id, missing| rig.store.revocations(LogQuestion::After { id, missing });
    let LogPage { now, newest, entries: log, has_more } = after(0, Vec::new()).await.unwrap();
    assert!((before - 60_000..=now_ms() + 60_000).contains(&now) && !has_more);
    assert_eq!(log.iter().take(5).map(|r| r.what).collect::<Vec<_>>(), all);
    assert_eq!((log.len(), &log[5].openid), (6, &o("b")));
    assert!(log.windows(2).all(|two| two[0].id < two[1].id));
    assert_eq!(newest, log[5].id);
    assert!(after(newest, Vec::new()).await.unwrap().entries.is_empty());
    let ids = |page: LogPage| page.entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(
        ids(after(log[3].id, vec![log[0].id, i64::MAX]).await.unwrap()),
        [log[0].id, log[4].id, log[5].id]
    );
    let in_force =
        |lifetime_ms, newest_ids| rig.store.revocations(LogQuestion::InForce { lifetime_ms, newest_ids });
    assert_eq!(in_force(600_000, 0).await.unwrap().entries, log);
    assert_eq!(ids(in_force(-600_000, 0).await.unwrap()), [log[3].id, log[4].id, log[5].id]);
    assert_eq!(ids(in_force(-600_000, 4).await.unwrap()), [log[2].id, log[3].id, log[4].id, log[5].id]);
    rig.store.ask(Ping).await.unwrap();
}

async fn the_queue_is_bounded(db: &mut Db) {
    db.limits.writes_in_flight = 3;
    let mut rig = db.open();
    for i in 0..3 {
        rig.submit(append("a", "b", None, &i.to_string()));
    }
    assert!(rig.store.submit(append("a", "b", None, "4"), Reply::Nobody).is_err());
    let mut held = Vec::new();
    while held.iter().map(|c: &Committed| c.events.len()).sum::<usize>() < 3 {
        held.push(rig.events.recv().await.unwrap());
    }
    // Committed, but not delivered yet: the places are still taken.
    assert!(rig.store.submit(append("a", "b", None, "4"), Reply::Nobody).is_err());
    drop(held);
    assert_eq!(rig.send("a", "b", "4").await, 4);
    assert!(rig.metrics.encode().contains("hongyan_batch_writes_count"));
}

async fn after_the_drain_nothing_is_accepted(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..100 {
        rig.submit(append("a", "b", None, &i.to_string()));
    }
    assert!(rig.store.drain(Duration::from_secs(10)).await);
    assert!(rig.store.submit(append("a", "b", None, "late"), Reply::Nobody).is_err());
    for _ in 0..100 {
        assert!(matches!(rig.event().await, Event::Appended { .. }));
    }
}

async fn what_was_stored_is_there_after_a_restart(db: &mut Db) {
    let mut rig = db.open();
    rig.outcome(append("a", "b", Some("m"), "hi")).await;
    rig.read("b", "a", 1).await.unwrap();
    drop(rig);
    let mut rig = reopened(db).await;
    assert!(matches!(rig.outcome(append("a", "b", Some("m"), "hi")).await, Event::Repeated { .. }));
    assert_eq!(rig.send("b", "a", "next").await, 2);
    assert_eq!(rig.list("b", 1, None).await.conversations[0].overview.read_seq, s(1));
}

async fn migrating_twice_changes_nothing(db: &mut Db) {
    crate::store::migrate(&db.config).unwrap();
    let mut rig = reopened(db).await;
    rig.send("a", "b", "x").await;
    crate::store::migrate(&db.config).unwrap();
    assert_eq!(rig.send("a", "b", "x").await, 2);
}
