//! What somebody finds who was away.

use std::collections::BTreeMap;

use super::*;
use crate::event::overview::Missed;

on_both!(
    what_is_named_follows_what_one_has,
    what_changed_since_is_found_and_nothing_else,
    a_full_answer_goes_on_where_it_ended,
    what_moves_while_a_walk_goes_on_is_told_after_it,
    a_conversation_that_alone_is_too_large_comes_in_parts,
    what_is_too_large_gets_through_beside_those_named,
    whoever_asks_on_has_everything_soon,
    strangers_marks_change_nothing_that_one_sees,
    a_cursor_from_the_future_shows_everything,
);

fn seqs(missed: &Missed) -> Vec<i64> {
    missed.messages.iter().map(|m| m.seq.get()).collect()
}

fn peers(page: &SyncPage) -> Vec<&str> {
    page.conversations.iter().map(|c| c.overview.peer.as_str()).collect()
}

/// As if so much time had passed since everything that is stored.
fn age(db: &Db, ms: i64) {
    db.exec(&format!("UPDATE members SET shown_at = shown_at - {ms}, kept_at = kept_at - {ms}"));
}

async fn what_is_named_follows_what_one_has(db: &mut Db) {
    let mut rig = db.open();
    for n in 0..50 {
        rig.send("a", "me", &n.to_string()).await;
    }
    rig.send("me", "b", "hi").await;
    let cursor = rig.sync("me", None, &[], 1).await.cursor;
    let page = rig.sync("me", Some(cursor), &[("b", 1), ("a", 7), ("nobody", 3)], 40).await;
    assert_eq!(peers(&page), ["b", "a", "nobody"]);
    let [b, a, nobody] = page.conversations.as_slice() else { panic!() };
    assert_eq!((seqs(b), b.has_more, b.overview.last_seq), (vec![], false, s(1)));
    assert_eq!((seqs(a), a.has_more, a.overview.unread), ((8..48).collect(), true, 50));
    assert_eq!((nobody.messages.len(), nobody.overview.last_seq, nobody.overview.unread), (0, s(0), 0));
    assert!(page.has_more);
    let page = rig.sync("me", Some(page.cursor), &[("a", 47)], 40).await;
    assert_eq!((seqs(&page.conversations[0]), page.conversations[0].has_more), ((48..51).collect(), false));
    // Never below what was cleared.
    rig.clear("me", "a", Some(49)).await.unwrap();
    let page = rig.sync("me", None, &[("a", 3)], 40).await;
    assert_eq!((seqs(&page.conversations[0]), page.conversations[0].overview.cleared_seq), (vec![50], s(49)));
}

async fn what_changed_since_is_found_and_nothing_else(db: &mut Db) {
    let mut rig = db.open();
    for peer in ["a", "b", "c", "d", "me"] {
        rig.send(peer, "me", "1").await;
        rig.send("me", peer, "2").await;
    }
    age(db, 100_000);
    let first = rig.sync("me", None, &[], 20).await;
    assert!(!first.has_more);
    let mut all = peers(&first);
    all.sort_unstable();
    assert_eq!(all, ["a", "b", "c", "d", "me"]);
    assert!(first.conversations.iter().all(|c| c.overview.peer == o("me") || seqs(c) == [1, 2]));
    let since = || Some(first.cursor.clone());
    assert!(rig.sync("me", since(), &[], 20).await.conversations.is_empty());
    // Each kind of change, by either side.
    let mark = |receipt| Write::Mark(Mark { receipt, answer: Answer::Nobody });
    rig.send("a", "me", "3").await;
    assert_eq!(peers(&rig.sync("me", since(), &[], 20).await), ["a"]);
    age(db, 100_000);
    rig.send("new", "me", "1").await;
    assert_eq!(peers(&rig.sync("me", since(), &[], 20).await), ["new"]);
    age(db, 100_000);
    rig.outcome(mark(recv("b", "me", 2))).await;
    let page = rig.sync("me", since(), &[], 20).await;
    assert_eq!((peers(&page), page.conversations[0].overview.peer_recv_seq), (vec!["b"], s(2)));
    age(db, 100_000);
    rig.outcome(mark(read("me", "c", 2))).await;
    assert_eq!(peers(&rig.sync("me", since(), &[], 20).await), ["c"]);
    age(db, 100_000);
    rig.clear("me", "d", None).await.unwrap();
    rig.event().await;
    let page = rig.sync("me", since(), &[], 20).await;
    assert_eq!((peers(&page), seqs(&page.conversations[0]), page.conversations[0].overview.cleared_seq), (vec!["d"], vec![], s(2)));
    age(db, 100_000);
    rig.outcome(recall("a", "me", 3)).await;
    let page = rig.sync("me", since(), &[], 2).await;
    assert_eq!((peers(&page), seqs(&page.conversations[0]), page.conversations[0].has_more), (vec!["a"], vec![3, 4], true));
    assert!(page.conversations[0].messages[0].recalled && page.conversations[0].messages[1].target == Some(s(3)));
    // What somebody else cleared is nobody's business.
    age(db, 100_000);
    rig.clear("b", "me", None).await.unwrap();
    assert!(rig.sync("me", since(), &[], 20).await.conversations.is_empty());
}

async fn a_full_answer_goes_on_where_it_ended(db: &mut Db) {
    let mut rig = db.open();
    let text = "x".repeat(900);
    for n in 0..30 {
        for _ in 0..3 {
            rig.send(&format!("p{n:02}"), "me", &text).await;
        }
    }
    age(db, 100_000);
    let (mut since, mut found, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = rig.sync("me", since, &[], 20).await;
        let bytes: usize = page.conversations.iter().flat_map(|c| &c.messages).map(|m| m.body.len()).sum();
        assert!(bytes <= BOUNDS.answer_bytes, "{bytes}");
        if pages == 2 {
            rig.send("late", "me", "hi").await;
        }
        for missed in &page.conversations {
            assert!(missed.overview.peer == o("late") || seqs(missed) == [1, 2, 3], "{missed:?}");
            found.push(missed.overview.peer.to_string());
        }
        pages += 1;
        if !page.has_more {
            break;
        }
        since = Some(SyncCursor::parse(&page.cursor.encode()).unwrap());
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 31);
    assert!(pages >= 9, "{pages}");
}

async fn what_moves_while_a_walk_goes_on_is_told_after_it(db: &mut Db) {
    let mut rig = db.open();
    let text = "x".repeat(900);
    for n in 0..12 {
        rig.send(&format!("p{n:02}"), "me", &text).await;
    }
    age(db, 100_000);
    let first = rig.sync("me", None, &[], 20).await;
    assert!(first.has_more && first.cursor.rest.is_some() && !peers(&first).contains(&"p00"));
    rig.send("late", "me", "hi").await;
    rig.read("me", "p00", 1).await.unwrap();
    let last = rig.sync("me", Some(first.cursor), &[], 20).await;
    assert!(last.has_more && !peers(&last).contains(&"late") && !peers(&last).contains(&"p00"));
    let mut after = rig.sync("me", Some(last.cursor), &[], 20).await;
    after.conversations.sort_by_key(|c| c.overview.peer.to_string());
    assert_eq!((peers(&after), after.has_more), (vec!["late", "p00"], false));
}

async fn a_conversation_that_alone_is_too_large_comes_in_parts(db: &mut Db) {
    let mut rig = db.open();
    let text = "x".repeat(900);
    for _ in 0..30 {
        rig.send("a", "me", &text).await;
    }
    // Not named: its newest messages, as many as fit.
    let page = rig.sync("me", None, &[], 200).await;
    let missed = &page.conversations[0];
    assert!((5..30).contains(&missed.messages.len()) && missed.has_more);
    assert_eq!(missed.messages.last().map(|m| m.seq), Some(s(30)));
    assert!(seqs(missed).windows(2).all(|w| w[0] + 1 == w[1]));
    // Named: all, in order, from answer to answer.
    let (mut have, mut since) = (0, None);
    loop {
        let page = rig.sync("me", since, &[("a", have)], 200).await;
        let missed = &page.conversations[0];
        assert_eq!(seqs(missed), (have + 1..=have + missed.messages.len() as i64).collect::<Vec<_>>());
        have += missed.messages.len() as i64;
        if !page.has_more {
            break;
        }
        since = Some(page.cursor);
    }
    assert_eq!(have, 30);
    // A message larger than the whole answer comes all the same.
    rig.send("a", "me", &"y".repeat(2 * BOUNDS.answer_bytes)).await;
    assert_eq!(seqs(&rig.sync("me", None, &[("a", 30)], 9).await.conversations[0]), [31]);
    assert_eq!(seqs(&rig.sync("me", None, &[], 9).await.conversations[0]), [31]);
}

async fn what_is_too_large_gets_through_beside_those_named(db: &mut Db) {
    let mut rig = db.open();
    rig.send("known", "me", "hi").await;
    for _ in 0..30 {
        rig.send("flood", "me", &"x".repeat(900)).await;
    }
    let page = rig.sync("me", None, &[("known", 1)], 200).await;
    assert_eq!((peers(&page), page.has_more), (vec!["known", "flood"], false));
    let flood = &page.conversations[1];
    assert!((5..30).contains(&flood.messages.len()) && flood.has_more && flood.messages.last().map(|m| m.seq) == Some(s(30)));
    // One larger than the whole answer too, named or not.
    rig.send("flood", "me", &"y".repeat(2 * BOUNDS.answer_bytes)).await;
    let page = rig.sync("me", None, &[("known", 1)], 200).await;
    assert_eq!((seqs(&page.conversations[1]), page.has_more), (vec![31], false));
    let page = rig.sync("me", None, &[("known", 1), ("flood", 30)], 200).await;
    assert_eq!((seqs(&page.conversations[1]), page.has_more), (vec![31], false));
}

/// Someone who does as the protocol says, whatever is in store and however much of it is written while she asks.
async fn whoever_asks_on_has_everything_soon(db: &mut Db) {
    let mut rig = db.open();
    for round in 0..20 {
        let me = format!("me{round}");
        let peers = rand::random_range(1..12);
        let (mut has, mut cursor, mut asks) = (BTreeMap::<String, i64>::new(), None, 0);
        let limit = rand::random_range(1..30);
        loop {
            for _ in 0..rand::random_range(0..if asks == 0 { 60 } else { 2 }) {
                let length = if rand::random_ratio(1, 20) { 12_000 } else { rand::random_range(1..900) };
                rig.send(&format!("p{}", rand::random_range(0..peers)), &me, &"x".repeat(length)).await;
            }
            let named: Vec<_> = has.iter().map(|(peer, seq)| (peer.as_str(), *seq)).collect();
            let page = rig.sync(&me, cursor, &named, limit).await;
            for missed in &page.conversations {
                if let Some(last) = missed.messages.last() {
                    has.insert(missed.overview.peer.to_string(), last.seq.get());
                }
            }
            asks += 1;
            assert!(asks < 40, "{me} asked {asks} times of {peers} peers, {limit} messages each: {page:?}");
            cursor = Some(page.cursor);
            if !page.has_more {
                break;
            }
        }
        for n in 0..peers {
            let peer = format!("p{n}");
            let last = rig.history(&me, &peer, Window::Newest, 1).await.0.last().copied();
            assert_eq!(has.get(&peer).copied(), last, "{me} and {peer}");
        }
    }
}

async fn strangers_marks_change_nothing_that_one_sees(db: &mut Db) {
    let mut rig = db.open();
    rig.send("me", "a", "hi").await;
    age(db, 100_000);
    let since = rig.sync("me", None, &[], 20).await.cursor;
    let mark = |receipt| Write::Mark(Mark { receipt, answer: Answer::Nobody });
    rig.outcome(mark(read("a", "me", 1))).await;
    assert!(rig.sync("me", Some(since.clone()), &[], 20).await.conversations.is_empty());
    rig.send("a", "me", "hello").await;
    age(db, 100_000);
    rig.block("me", "a", BlockChange::Block).await.unwrap();
    rig.outcome(mark(read("a", "me", 2))).await;
    assert!(rig.sync("me", Some(since), &[], 20).await.conversations.is_empty());
}

async fn a_cursor_from_the_future_shows_everything(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "me", "hi").await;
    age(db, 100_000);
    let cursor = rig.sync("me", None, &[], 20).await.cursor;
    let future = SyncCursor { began: cursor.began + 86_400_000, rest: None };
    let page = rig.sync("me", Some(future), &[], 20).await;
    assert_eq!(peers(&page), ["a"]);
    assert!(page.cursor.began < cursor.began + 80_000_000);
}
