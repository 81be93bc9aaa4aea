//! The same for I9 and I10; what a report says; how many entries it takes.

use crate::checker::Invariant::{I6, I9, I10};
use crate::checker::check;
use crate::log::{Groups, Histories, Key, Log, Mark, Marks, Message, Via, View, What, stamp};
use crate::story::{BOB, PHONE, Story, TABLET, story};

#[test]
fn marks_that_go_back_or_too_far() {
    let receipt = |seq| What::Receipt { from: "bob".into(), to: "alice".into(), mark: Mark::Recv, seq };
    let mut back = story();
    back.logs[TABLET].push(receipt(4));
    back.logs[TABLET].push(receipt(4));
    back.is_clean();
    // On another connection it may begin anew.
    back.logs[TABLET].push(What::Disconnected);
    back.logs[TABLET].push(receipt(3));
    back.is_clean();
    back.logs[TABLET].push(receipt(2));
    back.breaks(I9);
    let mut far = story();
    far.logs[TABLET].push(receipt(99));
    far.breaks(I9);
    let mut listed = story();
    listed.view("alice", "bob").overview.as_mut().unwrap().recv_seq = 99;
    listed.breaks(I9);
    let mut leaked = story();
    leaked.logs[BOB].push(What::Receipt {
        from: "carol".into(),
        to: "alice".into(),
        mark: Mark::Read,
        seq: 0,
    });
    leaked.breaks(I9);
}

#[test]
fn answers_that_know_less_than_was_told_before_they_were_asked_for() {
    let marks = |story: &mut Story| story.view("alice", "bob").overview.unwrap();
    let answer = |asked, marks: Marks| What::SyncMarks { peer: "bob".into(), asked, marks };
    let mut at_once = story();
    let before = stamp();
    let now = marks(&mut at_once);
    at_once.logs[TABLET].push(answer(stamp(), now));
    // This one was asked for before the other came, so it may be older.
    at_once.logs[PHONE].push(answer(before, Marks { recv_seq: 0, ..now }));
    at_once.is_clean();
    at_once.logs[PHONE].push(answer(stamp(), Marks { peer_read_seq: now.peer_read_seq - 1, ..now }));
    at_once.breaks(I9);
    let mut lost = story();
    lost.view("bob", "alice").overview.as_mut().unwrap().peer_read_seq -= 1;
    lost.breaks(I9);
    let mut read = story();
    let more = Marks { read_seq: 7, ..marks(&mut read) };
    read.logs[PHONE].push(answer(stamp(), more));
    read.breaks(I9);
    let mut answered = story();
    answered.logs[PHONE].push(What::MarkAnswered { peer: "bob".into(), mark: Mark::Read, seq: 6 });
    let less = Marks { read_seq: 5, ..marks(&mut answered) };
    answered.logs[PHONE].push(answer(stamp(), less));
    answered.breaks(I9);
    let mut cleared = story();
    cleared.logs[BOB].push(What::MarkAnswered { peer: "alice".into(), mark: Mark::Cleared, seq: 9 });
    cleared.breaks(I9);
    let mut answered_too_far = story();
    answered_too_far.logs[PHONE].push(What::MarkAnswered { peer: "bob".into(), mark: Mark::Read, seq: 99 });
    assert!(answered_too_far.report().broken().contains(&I9), "{}", answered_too_far.report());
}

#[test]
fn unread_that_is_not_what_history_says() {
    let mut total = story();
    *total.histories.totals.get_mut("bob").unwrap() += 1;
    total.breaks(I10);
    let mut listed = story();
    listed.view("bob", "alice").overview.as_mut().unwrap().unread += 1;
    listed.breaks(I10);
    let mut counted = story();
    counted.logs[BOB].push(What::UnreadAnswered { peer: "alice".into(), unread: 5 });
    counted.breaks(I10);
    let mut of_oneself = story();
    of_oneself.logs[PHONE].push(What::UnreadAnswered { peer: "alice".into(), unread: 1 });
    of_oneself.breaks(I10);
    let mut lost = story();
    lost.logs[BOB].push(What::MarkAnswered { peer: "alice".into(), mark: Mark::Read, seq: 9 });
    lost.breaks(I10);
    let mut unlisted = story();
    unlisted.view("alice", "alice").overview = None;
    unlisted.breaks(I10);
}

#[test]
fn the_rule_of_unread_is_followed_by_hand() {
    // Bob cleared 7, read 8; 9 is recalled, 10 counts, 11 is the recall.
    let mut story = story();
    assert_eq!(story.view("bob", "alice").overview.unwrap().unread, 1);
    assert_eq!(story.view("alice", "bob").overview.unwrap().unread, 0);
}

#[test]
fn a_report_keeps_a_few_of_each_and_counts_all() {
    let mut story = story();
    for n in 0..1_234 {
        story.logs[BOB].push(What::UnreadAnswered { peer: "alice".into(), unread: 100 + n });
    }
    let message = Message { seq: 99, peer: "alice".into(), ..story.stored(10) };
    story.logs[BOB].push(What::Received { message, via: Via::Live });
    let report = story.report();
    assert_eq!((report.totals[&I10], report.totals[&I6], report.violations.len()), (1_234, 1, 6));
    let text = report.to_string();
    assert!(
        text.contains(": 1 235 violations (")
            && text.contains("\nI6: 1\n")
            && text.contains("\nI10: 1 234\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 9, "{text}");
    assert!(text.contains("bob with alice: unread 100, history says 1"), "{text}");
}

/// Anything that is not near-linear takes minutes here.
#[test]
fn half_a_million_entries_are_checked() {
    const MESSAGES: i64 = 125_000;
    let (mut alice, mut bob) = (Log::new("alice", "phone"), Log::new("bob", "phone"));
    let (mut of_alice, mut of_bob) = (Vec::new(), Vec::new());
    for seq in 1..=MESSAGES {
        // A plain one now and then: they all share one key.
        let id = (seq % 3 > 0).then(|| format!("m{seq}"));
        let content = format!(r#"{{"message":"{seq}"}}"#);
        let key = id.clone().map_or(Key::Plain, Key::Message);
        alice.push(What::Sent {
            peer: "bob".into(),
            key: key.clone(),
            kind: "text".into(),
            content: content.clone(),
        });
        if key != Key::Plain {
            alice.push(What::Acked { peer: "bob".into(), key, seq, sent_at: seq, duplicate: false });
        }
        let message = Message {
            peer: "bob".into(),
            seq,
            from: "alice".into(),
            to: "bob".into(),
            sent_at: seq,
            client_msg_id: id,
            kind: "text".into(),
            content: Some(content),
            recalled: false,
            target_seq: None,
        };
        let seen = Message { peer: "alice".into(), ..message.clone() };
        bob.push(What::Received { message: seen.clone(), via: Via::Live });
        bob.push(What::MarkAnswered { peer: "alice".into(), mark: Mark::Read, seq });
        alice.push(What::Receipt { from: "bob".into(), to: "alice".into(), mark: Mark::Read, seq });
        of_alice.push(message);
        of_bob.push(seen);
    }
    bob.complete = true;
    let marks = Marks { last_seq: MESSAGES, ..Marks::default() };
    let view = |openid: &str, peer: &str, messages, marks| View {
        openid: openid.into(),
        peer: peer.into(),
        messages,
        overview: Some(marks),
    };
    let histories = Histories {
        groups: Groups::new(),
        views: vec![
            view("alice", "bob", of_alice, Marks { peer_read_seq: MESSAGES, ..marks }),
            view("bob", "alice", of_bob, Marks { read_seq: MESSAGES, ..marks }),
        ],
        totals: [("alice".to_owned(), 0), ("bob".to_owned(), 0)].into(),
    };
    let report = check(&[alice, bob], &histories);
    assert!(report.is_clean() && report.counts.entries > 500_000, "{report}");
}
