//! What somebody finds who was away.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::event::cursor::{ClosingWalk, SyncPlace};
use crate::event::overview::Missed;

on_both!(
    what_is_named_follows_what_one_has,
    what_changed_since_is_found_and_nothing_else,
    a_full_answer_goes_on_where_it_ended,
    what_moves_while_a_walk_goes_on_is_told_after_it,
    what_changes_within_its_step_is_told_after_a_walk_all_the_same,
    a_closing_walk_brings_what_is_newer_than_the_walk_and_ends,
    a_closing_walk_is_gone_on_with_by_its_own_session_alone,
    those_named_go_on_without_the_rest_again,
    those_named_may_leave_no_room_for_others,
    a_conversation_that_alone_is_too_large_comes_in_parts,
    what_is_too_large_gets_through_beside_those_named,
    whoever_asks_on_has_everything_soon,
    strangers_marks_change_nothing_that_one_sees,
    a_cursor_from_the_future_shows_everything,
    a_cursor_of_another_database_counts_as_none,
    what_was_stored_late_is_found_once_it_is_repeated,
    a_clock_that_was_set_back_hides_nothing,
);

fn seqs(missed: &Missed) -> Vec<i64> {
    missed.messages.iter().map(|m| m.seq.get()).collect()
}

/// Of a page of the user "me".
fn peers(page: &SyncPage) -> Vec<&str> {
    peers_of(page, "me")
}

fn peers_of<'a>(page: &'a SyncPage, who: &str) -> Vec<&'a str> {
    page.conversations.iter().map(|c| peer_of(&c.overview, who)).collect()
}

/// As if so much time had passed since everything that is stored.
fn age(db: &Db, ms: i64) {
    db.exec(&format!("UPDATE members SET changed_at = changed_at - {ms}"));
}

/// The same, and for the people who look at it.
fn age_for_all(db: &Db, ms: i64) {
    age(db, ms);
    db.exec(&format!("UPDATE messages SET sent_at = sent_at - {ms}"));
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
    assert!(
        first.conversations.iter().all(|c| c.overview.conversation == with("me", "me") || seqs(c) == [1, 2])
    );
    let since = || Some(first.cursor.clone());
    assert!(rig.sync("me", since(), &[], 20).await.conversations.is_empty());
    // Each kind of change, by either side.
    let mark = |receipt| Mark { receipt };
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
    assert_eq!(
        (peers(&page), seqs(&page.conversations[0]), page.conversations[0].overview.cleared_seq),
        (vec!["d"], vec![], s(2))
    );
    age(db, 100_000);
    rig.outcome(recall("a", "me", 3)).await;
    let page = rig.sync("me", since(), &[], 2).await;
    assert_eq!(
        (peers(&page), seqs(&page.conversations[0]), page.conversations[0].has_more),
        (vec!["a"], vec![3, 4], true)
    );
    assert!(
        page.conversations[0].messages[0].recalled && page.conversations[0].messages[1].target == Some(s(3))
    );
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
            assert!(
                missed.overview.conversation == with("me", "late") || seqs(missed) == [1, 2, 3],
                "{missed:?}"
            );
            found.push(peer_of(&missed.overview, "me").to_owned());
        }
        pages += 1;
        if !page.has_more {
            break;
        }
        since = SyncCursor::parse(&page.cursor.encode()).unwrap();
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
    assert!(first.has_more && !first.caught_up && !peers(&first).contains(&"p00"));
    rig.send("late", "me", "hi").await;
    rig.read("me", "p00", 1).await.unwrap();
    let last = rig.sync("me", Some(first.cursor), &[], 20).await;
    assert!(
        last.has_more && last.caught_up && !peers(&last).contains(&"late") && !peers(&last).contains(&"p00")
    );
    let mut after = rig.sync("me", Some(last.cursor), &[], 20).await;
    after.conversations.sort_by_key(|c| peer_of(&c.overview, "me").to_owned());
    assert_eq!((peers(&after), after.has_more), (vec!["late", "p00"], false));
    // Not more than the newest of what is older than the walk.
    assert_eq!((seqs(&after.conversations[0]), seqs(&after.conversations[1])), (vec![1], vec![1]));
}

/// Twelve people who have each written three times, of which no answer holds more than a part.
async fn twelve_have_written(db: &mut Db) -> Rig {
    let mut rig = db.open();
    let text = "x".repeat(600);
    for n in 0..36 {
        rig.send(&format!("p{:02}", n % 12), "me", &text).await;
    }
    age_for_all(db, 100_000);
    rig
}

/// It does not move in the index then.
async fn what_changes_within_its_step_is_told_after_a_walk_all_the_same(db: &mut Db) {
    let mut rig = db.open();
    let text = "x".repeat(900);
    for n in 0..12 {
        rig.send(&format!("p{n:02}"), "me", &text).await;
    }
    age(db, 100_000);
    // Half a second less than a step ago. Where the test takes longer, it moves, and is told for that.
    db.exec("UPDATE members SET changed_at = changed_at + 96500 WHERE peer = 'p11' OR openid = 'p11'");
    let first = rig.sync("me", None, &[], 20).await;
    assert!(first.has_more && peers(&first)[0] == "p11");
    rig.send("p11", "me", "more").await;
    let last = rig.sync("me", Some(first.cursor), &[], 20).await;
    assert!(last.has_more && last.caught_up && !peers(&last).contains(&"p11"));
    let after = rig.sync("me", Some(last.cursor), &[], 20).await;
    assert_eq!((peers(&after), seqs(&after.conversations[0])), (vec!["p11"], vec![2]));
}

async fn a_closing_walk_brings_what_is_newer_than_the_walk_and_ends(db: &mut Db) {
    let mut rig = twelve_have_written(db).await;
    let (mut cursor, mut answers, mut until_caught_up) = (None, 0, 0);
    loop {
        let page = rig.sync("me", cursor, &[], 20).await;
        answers += 1;
        if until_caught_up > 0 {
            for missed in &page.conversations {
                assert!(missed.messages.iter().all(|m| m.seq.get() > 3), "{missed:?}");
                assert_eq!(missed.messages.last().map(|m| m.seq), Some(missed.overview.last_seq));
            }
        } else if page.caught_up {
            until_caught_up = answers;
        }
        // All of them write on, more than an answer holds.
        for n in 0..12 {
            rig.send(&format!("p{n:02}"), "me", &"y".repeat(1_500)).await;
        }
        cursor = Some(page.cursor);
        if !page.has_more {
            break;
        }
        assert!(answers < 40, "it does not end");
    }
    assert!(
        until_caught_up >= 2 && answers <= until_caught_up + 12,
        "{until_caught_up} of {answers} answers"
    );
    assert!(matches!(cursor, Some(SyncCursor { place: SyncPlace::Through { .. }, .. })));
    // And what the closing walk has passed, the next sync has.
    let mut found = BTreeSet::new();
    loop {
        let page = rig.sync("me", cursor, &[], 1).await;
        found.extend(peers(&page).into_iter().map(str::to_owned));
        cursor = Some(page.cursor);
        if page.caught_up {
            break;
        }
    }
    assert_eq!(found.len(), 12);
}

async fn a_closing_walk_is_gone_on_with_by_its_own_session_alone(db: &mut Db) {
    let mut rig = twelve_have_written(db).await;
    let own = SessionTag::from(SessionId::fresh());
    let mut page = rig.sync_in(own, "me", None, &[], 20).await;
    while !page.caught_up {
        page = rig.sync_in(own, "me", Some(page.cursor), &[], 20).await;
    }
    for n in 0..12 {
        rig.send(&format!("p{n:02}"), "me", &"y".repeat(3_000)).await;
    }
    page = rig.sync_in(own, "me", Some(page.cursor), &[], 20).await;
    let SyncPlace::Closing { walk: Some(ClosingWalk { told, .. }), .. } = &page.cursor.place else {
        panic!("{page:?}")
    };
    // This moves past where that walk has come to: who is connected is pushed it.
    let passed = peers(&page).into_iter().find(|peer| *peer != told.address.as_str()).unwrap().to_owned();
    rig.send(&passed, "me", "late").await;
    let after = |page: &SyncPage| {
        page.conversations
            .iter()
            .any(|c| c.overview.conversation == with("me", &passed) && seqs(c).contains(&5))
    };
    let gone_on = rig.sync_in(own, "me", Some(page.cursor.clone()), &[], 20).await;
    assert!(!after(&gone_on));
    let other = SessionTag::from(SessionId::fresh());
    let (mut cursor, mut found) = (page.cursor, false);
    for _ in 0..20 {
        let page = rig.sync_in(other, "me", Some(cursor), &[], 20).await;
        found |= after(&page);
        cursor = page.cursor;
        if !page.has_more {
            break;
        }
    }
    assert!(found && matches!(cursor.place, SyncPlace::Through { .. }));
}

async fn those_named_go_on_without_the_rest_again(db: &mut Db) {
    let mut rig = db.open();
    for _ in 0..20 {
        rig.send("long", "me", "hi").await;
        rig.send("other", "me", "hi").await;
    }
    let (mut have, mut cursor, mut of_other) = (0, None, Vec::new());
    loop {
        let page = rig.sync("me", cursor, &[("long", have)], 4).await;
        have = page.conversations[0].messages.last().map_or(have, |m| m.seq.get());
        of_other.push(
            page.conversations
                .iter()
                .any(|c| c.overview.conversation == with("me", "other") && c.messages.len() > 1),
        );
        assert_eq!(page.caught_up, !page.conversations[0].has_more);
        cursor = Some(page.cursor);
        if !page.has_more {
            break;
        }
        age(db, 10_000);
    }
    assert_eq!((have, of_other), (20, vec![true, false, false, false, false]));
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
    assert!(
        (5..30).contains(&flood.messages.len())
            && flood.has_more
            && flood.messages.last().map(|m| m.seq) == Some(s(30))
    );
    // One larger than the whole answer too, named or not.
    rig.send("flood", "me", &"y".repeat(2 * BOUNDS.answer_bytes)).await;
    let page = rig.sync("me", None, &[("known", 1)], 200).await;
    assert_eq!((seqs(&page.conversations[1]), page.has_more), (vec![31], false));
    let page = rig.sync("me", None, &[("known", 1), ("flood", 30)], 200).await;
    assert_eq!((seqs(&page.conversations[1]), page.has_more), (vec![31], false));
}

/// Someone who does as the protocol says, whatever is in store and however much of it is written, and pushed,
/// while the answers come.
async fn whoever_asks_on_has_everything_soon(db: &mut Db) {
    let mut rig = db.open();
    for round in 0..20 {
        let me = format!("me{round}");
        let peers = rand::random_range(1..12);
        let (mut has, mut cursor, mut asks) = (BTreeMap::<String, i64>::new(), None, 0);
        let limit = rand::random_range(1..30);
        loop {
            for _ in 0..rand::random_range(0..if asks == 0 { 60 } else { limit.min(5) + 1 }) {
                let length = if rand::random_ratio(1, 20) { 12_000 } else { rand::random_range(1..900) };
                let peer = format!("p{}", rand::random_range(0..peers));
                let seq = rig.send(&peer, &me, &"x".repeat(length)).await;
                // A hole shows, and is asked for by name.
                if asks > 0 {
                    has.entry(peer)
                        .and_modify(|has| *has += i64::from(*has + 1 == seq))
                        .or_insert(i64::from(seq == 1));
                }
            }
            let named: Vec<_> = has.iter().map(|(peer, seq)| (peer.as_str(), *seq)).collect();
            let page = rig.sync(&me, cursor, &named, limit).await;
            for missed in &page.conversations {
                if let Some(last) = missed.messages.last() {
                    has.insert(peer_of(&missed.overview, &me).to_owned(), last.seq.get());
                }
            }
            asks += 1;
            assert!(asks < 100, "{me} asked {asks} times of {peers} peers, {limit} messages each: {page:?}");
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

async fn those_named_may_leave_no_room_for_others(db: &mut Db) {
    let mut rig = db.open();
    rig.send("long", "me", &"x".repeat(BOUNDS.answer_bytes - 450)).await;
    rig.send("other", "me", "hi").await;
    let page = rig.sync("me", None, &[("long", 0)], 20).await;
    assert_eq!((peers(&page), page.has_more, page.caught_up), (vec!["long"], true, false));
    let page = rig.sync("me", Some(page.cursor), &[("long", 1)], 20).await;
    assert_eq!((peers(&page), page.has_more, page.caught_up), (vec!["long", "other"], false, true));
}

async fn strangers_marks_change_nothing_that_one_sees(db: &mut Db) {
    let mut rig = db.open();
    rig.send("me", "a", "hi").await;
    age(db, 100_000);
    let since = rig.sync("me", None, &[], 20).await.cursor;
    let mark = |receipt| Mark { receipt };
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
    let place = SyncPlace::Through { began: cursor.place.latest() + 86_400_000 };
    let future = SyncCursor { place, ..cursor };
    let page = rig.sync("me", Some(future), &[], 20).await;
    assert_eq!(peers(&page), ["a"]);
    assert!(page.cursor.place.latest() < cursor.place.latest() + 80_000_000);
}

async fn a_cursor_of_another_database_counts_as_none(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "me", "hi").await;
    age(db, 100_000);
    let cursor = rig.sync("me", None, &[], 20).await.cursor;
    assert!(rig.sync("me", Some(cursor.clone()), &[], 20).await.conversations.is_empty());
    let generation = DatabaseGeneration::of_number(cursor.generation.number() + 1);
    let page = rig.sync("me", Some(SyncCursor { generation, ..cursor.clone() }), &[], 20).await;
    assert_eq!((peers(&page), page.cursor.generation), (vec!["a"], cursor.generation));
    // It stays what it is over a restart.
    assert_eq!(cursor.generation, rig.store.look_at_generation().await.unwrap());
    drop(rig);
    assert_eq!(cursor.generation, reopened(db).await.store.generation());
}

async fn what_was_stored_late_is_found_once_it_is_repeated(db: &mut Db) {
    let mut rig = db.open();
    for peer in ["me", "other"] {
        rig.outcome(append("a", peer, Some("1"), "hi")).await;
    }
    rig.outcome(recall("a", "other", 1)).await;
    // As if the commit had taken so long, and these had asked meanwhile.
    age(db, 100_000);
    let since = rig.sync("me", None, &[], 20).await.cursor;
    let own = rig.sync("a", None, &[], 20).await.cursor;
    assert!(rig.sync("me", Some(since.clone()), &[], 20).await.conversations.is_empty());
    // Past the sender's rate, too: it is acked, and so the last time that it is sent.
    rig.outcome(Append { admission: OVER_RATE, ..append("a", "me", Some("1"), "hi") }).await;
    assert_eq!(peers(&rig.sync("me", Some(since.clone()), &[], 20).await), ["a"]);
    assert_eq!(peers_of(&rig.sync("a", Some(own.clone()), &[], 20).await, "a"), ["me"]);
    rig.outcome(recall("a", "other", 1)).await;
    assert_eq!(rig.sync("a", Some(own), &[], 20).await.conversations.len(), 2);
    // Who has blocked the sender is told nothing.
    age(db, 100_000);
    rig.block("me", "a", BlockChange::Block).await.unwrap();
    rig.outcome(append("a", "me", Some("1"), "hi")).await;
    assert!(rig.sync("me", Some(since), &[], 20).await.conversations.is_empty());
}

async fn a_clock_that_was_set_back_hides_nothing(db: &mut Db) {
    let hour = 3_600_000;
    let mut rig = db.open();
    rig.send("a", "me", "1").await;
    let of = |page: &SyncPage| page.cursor.place.latest();
    // Nobody has written for an hour. No cursor says more than that, for by the next change the clock may
    // have gone back so far.
    db.exec(&format!("UPDATE store_clock SET reached = reached - {hour}"));
    age(db, hour);
    let idle = rig.sync("me", None, &[], 20).await;
    // The clock was an hour ahead, and is right again.
    db.exec(&format!("UPDATE store_clock SET reached = reached + {}", 2 * hour));
    let ahead = rig.sync("me", None, &[], 20).await;
    assert!((hour - 60_000..hour + 60_000).contains(&(of(&ahead) - of(&idle) - hour)), "{idle:?} {ahead:?}");
    drop(rig);
    let mut rig = reopened(db).await;
    for peer in ["b", "c"] {
        rig.send(peer, "me", "1").await;
        let page = rig.sync("me", Some(ahead.cursor.clone()), &[], 20).await;
        assert!(peers(&page).contains(&peer), "{page:?}");
        assert!(of(&page) >= of(&ahead));
    }
}
