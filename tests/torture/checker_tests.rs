//! The checker against a small story: as it is nothing is wrong with it, and each change breaks one invariant
//! and no other. I1 to I8, I11.

use crate::checker::Invariant::{I1, I2, I3, I4, I5, I6, I7, I8, I11};
use crate::faulty::{Fault, Sim};
use crate::log::{Entry, Key, Message, Via, What};
use crate::story::{BOB, PHONE, Story, TABLET, story};

#[test]
fn nothing_is_wrong_with_the_story() {
    let report = story().report();
    assert!(report.is_clean(), "{report}");
    assert!(
        report.to_string().starts_with("checked 12 messages, 12 acks, 3 retries: 0 violations (3 clients, "),
        "{report}"
    );
}

#[test]
fn an_acked_message_that_history_lacks() {
    let mut story = story();
    let next = story.last_seq() + 1;
    story.sent(PHONE, "lost");
    story.acked(PHONE, "lost", next);
    story.breaks(I1);
}

#[test]
fn an_ack_of_other_content_or_another_time_than_history_has() {
    let mut other = story();
    let mut changed = 0;
    let (first, key) = (other.stored(1), Key::Message("m1".to_owned()));
    other.change(PHONE, |entry| {
        if matches!(entry.what, What::Refused { ref error, .. } if error == "conflict") {
            let (seq, sent_at) = (first.seq, first.sent_at);
            entry.what = What::Acked { peer: "bob".into(), key: key.clone(), seq, sent_at, duplicate: true };
            changed += 1;
        }
    });
    assert_eq!(changed, 1);
    other.breaks(I1);
    let mut late = story();
    late.change(PHONE, |entry| match &mut entry.what {
        What::Acked { key: Key::Message(id), sent_at, .. } if id == "m8" => *sent_at += 1,
        _ => {}
    });
    late.breaks(I1);
}

#[test]
fn an_acked_recall_that_left_its_target() {
    let mut story = story();
    for view in &mut story.histories.views {
        for target in view.messages.iter_mut().filter(|m| m.seq == 2 && m.recalled) {
            (target.recalled, target.content) = (false, Some(r#"{"message":"m2"}"#.into()));
        }
    }
    // Who caught up later saw it recalled.
    story.logs.iter_mut().for_each(|log| {
        log.entries.retain(|entry| !matches!(&entry.what, What::Received { message, .. } if message.recalled && message.seq == 2));
    });
    story.breaks(I1);
}

#[test]
fn an_id_that_stands_twice() {
    let mut story = story();
    let next = story.last_seq() + 1;
    story.sent(PHONE, "twice");
    story.acked(PHONE, "twice", next);
    story.add(Some("twice"), next);
    story.add(Some("twice"), next + 1);
    story.breaks(I2);
}

#[test]
fn what_was_unavailable_may_be_told_of_late_and_once() {
    let late = |is_refused: bool, told: usize| {
        let mut story = story();
        let next = story.last_seq() + 1;
        story.sent(PHONE, "late");
        let (peer, key) = (story.peer(PHONE), Key::Message("late".to_owned()));
        if is_refused {
            story.logs[PHONE].push(What::Refused {
                peer: peer.clone(),
                key: key.clone(),
                error: "unavailable".into(),
            });
        }
        for _ in 0..told {
            let (peer, key) = (peer.clone(), key.clone());
            story.logs[PHONE].push(What::ToldStored {
                peer,
                key,
                seq: next,
                sent_at: 9_000 + next,
                duplicate: false,
            });
        }
        story.add(Some("late"), next);
        story
    };
    late(true, 1).is_clean();
    late(true, 2).breaks(I3);
    late(false, 1).breaks(I3);
}

#[test]
fn what_nobody_sent() {
    let mut phantom = story();
    let next = phantom.last_seq() + 1;
    phantom.add(Some("phantom"), next);
    phantom.breaks(I3);
    let mut altered = story();
    altered.logs[PHONE].push(What::Sent {
        peer: "bob".into(),
        key: Key::Message("altered".into()),
        kind: "text".into(),
        content: r#"{"message":"ho"}"#.into(),
    });
    altered.add(Some("altered"), next);
    altered.breaks(I3);
    let mut unasked = story();
    unasked.acked(PHONE, "unasked", next);
    unasked.breaks(I3);
    let mut unrecalled = story();
    for view in &mut unrecalled.histories.views {
        view.messages.iter_mut().filter(|m| m.seq == 8).for_each(|m| (m.recalled, m.content) = (true, None));
    }
    unrecalled.breaks(I3);
    let mut content_left = story();
    for view in content_left.histories.views.iter_mut() {
        view.messages
            .iter_mut()
            .filter(|m| m.recalled)
            .for_each(|m| m.content = Some(r#"{"message":"m9"}"#.into()));
    }
    for log in &mut content_left.logs {
        log.entries
            .retain(|entry| !matches!(&entry.what, What::Received { message, .. } if message.recalled));
        log.complete = false;
    }
    content_left.breaks(I3);
}

#[test]
fn a_plain_message_that_is_there_more_often_than_it_was_sent() {
    let mut story = story();
    let next = story.last_seq() + 1;
    let plain = What::Sent {
        peer: "bob".into(),
        key: Key::Plain,
        kind: "text".into(),
        content: r#"{"message":"hi"}"#.into(),
    };
    for seq in [next, next + 1] {
        story.logs[TABLET].push(plain.clone());
        story.add(None, seq);
    }
    story.is_clean();
    story.add(None, next + 2);
    story.breaks(I3);
}

/// Where two came live to Bob from Alice on one connection, one behind the other, each sent once.
fn two_live_to_bob(story: &Story) -> [usize; 2] {
    let entries = &story.logs[BOB].entries;
    let mut before = None;
    for (at, entry) in entries.iter().enumerate() {
        match (&entry.what, before) {
            (What::Connected { .. }, _) => before = None,
            (What::Received { message, via: Via::Live }, _)
                if ["m1", "m4"].map(Some).contains(&message.client_msg_id.as_deref()) => {}
            (What::Received { message, via: Via::Live }, None) if message.peer == "alice" => {
                before = Some(at)
            }
            (What::Received { message, via: Via::Live }, Some(before)) if message.peer == "alice" => {
                return [before, at];
            }
            _ => {}
        }
    }
    panic!("there are none");
}

#[test]
fn live_frames_that_step_back() {
    let mut story = story();
    let [one, other] = two_live_to_bob(&story);
    let entries = &mut story.logs[BOB].entries;
    let swapped = entries[one].what.clone();
    entries[one].what = std::mem::replace(&mut entries[other].what, swapped);
    story.breaks(I11);
    // On another connection it is another order.
    let at = story.logs[BOB].entries[other].at;
    let reconnect =
        [What::Disconnected, What::Connected { session: "later".into() }].map(|what| Entry { at, what });
    story.logs[BOB].entries.splice(other..other, reconnect);
    story.is_clean();
}

#[test]
fn a_hole() {
    let mut hole = story();
    let next = hole.last_seq() + 1;
    hole.sent(PHONE, "after a hole");
    hole.add(Some("after a hole"), next + 1);
    hole.breaks(I4);
    let mut shown = story();
    let cleared = shown.stored(7);
    shown.view("bob", "alice").messages.insert(0, Message { peer: "alice".into(), ..cleared });
    shown.breaks(I4);
    let mut cut_off = story();
    cut_off.view("alice", "alice").overview.as_mut().unwrap().last_seq += 1;
    cut_off.breaks(I4);
}

#[test]
fn a_seq_that_was_given_twice() {
    let mut story = story();
    let next = story.last_seq() + 1;
    for id in ["one", "two"] {
        story.sent(PHONE, id);
        story.add(Some(id), next);
    }
    assert!(story.report().broken().contains(&I4), "{}", story.report());
}

#[test]
fn what_was_sent_later_stands_before_what_was_acked() {
    for later in [PHONE, TABLET] {
        let mut story = story();
        let next = story.last_seq() + 1;
        story.sent(PHONE, "first");
        story.acked(PHONE, "first", next + 1);
        story.sent(later, "second");
        story.acked(later, "second", next);
        story.add(Some("second"), next);
        story.add(Some("first"), next + 1);
        story.breaks(I5);
    }
}

#[test]
fn what_one_session_sent_stands_in_another_order() {
    for acked in [true, false] {
        let mut story = story();
        let next = story.last_seq() + 1;
        story.sent(PHONE, "first");
        story.sent(PHONE, "second");
        if acked {
            story.acked(PHONE, "second", next);
            story.acked(PHONE, "first", next + 1);
        }
        story.add(Some("second"), next);
        story.add(Some("first"), next + 1);
        story.breaks(I5);
    }
}

#[test]
fn a_retry_may_stand_behind_what_was_sent_after_the_first_attempt() {
    let mut story = story();
    let next = story.last_seq() + 1;
    story.sent(PHONE, "first");
    story.sent(PHONE, "second");
    let key = Key::Message("first".to_owned());
    story.logs[PHONE].push(What::Refused { peer: "bob".into(), key, error: "unavailable".into() });
    story.acked(PHONE, "second", next);
    story.sent(PHONE, "first");
    story.acked(PHONE, "first", next + 1);
    story.add(Some("second"), next);
    story.add(Some("first"), next + 1);
    story.is_clean();
}

/// The second attempt was refused at once, before the first was stored: the refusal came first.
#[test]
fn a_refusal_may_overtake_an_ack() {
    let mut story = story();
    let next = story.last_seq() + 1;
    story.sent(PHONE, "first");
    story.sent(PHONE, "second");
    story.sent(PHONE, "first");
    let key = Key::Message("first".to_owned());
    story.logs[PHONE].push(What::Refused { peer: "bob".into(), key, error: "unavailable".into() });
    story.acked(PHONE, "first", next);
    story.acked(PHONE, "second", next + 1);
    story.add(Some("first"), next);
    story.add(Some("second"), next + 1);
    story.is_clean();
}

#[test]
fn a_retry_may_carry_another_time() {
    let mut story = story();
    let next = story.last_seq() + 1;
    for (date, duplicate) in [("a", false), ("b", true)] {
        let (peer, key) = ("bob".to_owned(), Key::Message("dated".to_owned()));
        let content = format!(r#"{{"created_at":1,"date":"{date}","message":"hi"}}"#);
        story.logs[PHONE].push(What::Sent {
            peer: peer.clone(),
            key: key.clone(),
            kind: "text".into(),
            content,
        });
        story.logs[PHONE].push(What::Acked { peer, key, seq: next, sent_at: 9_000 + next, duplicate });
    }
    story.add(Some("dated"), next);
    let content = |date: &str| Some(format!(r#"{{"created_at":1,"date":"{date}","message":"hi"}}"#));
    let rewrite = |story: &mut Story, date: &str| {
        let copies = story.logs.iter_mut().flat_map(|log| &mut log.entries).filter_map(|entry| {
            match &mut entry.what {
                What::Received { message, .. } => Some(message),
                _ => None,
            }
        });
        let stored = story.histories.views.iter_mut().flat_map(|view| &mut view.messages);
        copies
            .chain(stored)
            .filter(|m| m.client_msg_id.as_deref() == Some("dated"))
            .for_each(|m| m.content = content(date));
    };
    rewrite(&mut story, "a");
    story.is_clean();
    rewrite(&mut story, "c");
    story.breaks(I3);
}

#[test]
fn two_sides_or_a_copy_that_differ() {
    let mut side = story();
    side.view("bob", "alice").messages.last_mut().unwrap().sent_at += 1;
    side.breaks(I6);
    let mut elsewhere = story();
    elsewhere.view("bob", "alice").messages[0].peer = "carol".into();
    elsewhere.breaks(I6);
    let mut missing = story();
    missing.view("bob", "alice").messages.pop();
    assert!(missing.report().broken().contains(&I6), "{}", missing.report());
    let mut copy = story();
    copy.change(BOB, |entry| match &mut entry.what {
        What::Received { message, .. } if message.seq == 10 => {
            message.content = Some(r#"{"message":"M10"}"#.into())
        }
        _ => {}
    });
    copy.breaks(I6);
    let mut never_stored = story();
    let message = Message { seq: 99, peer: "alice".into(), ..never_stored.stored(10) };
    never_stored.logs[BOB].push(What::Received { message: message.clone(), via: Via::History });
    never_stored.breaks(I6);
    let mut strangers = story();
    let message =
        Message { seq: 1, peer: "carol".into(), from: "carol".into(), to: "dave".into(), ..message };
    strangers.logs[BOB].push(What::Received { message, via: Via::Live });
    strangers.breaks(I6);
    let mut one_view = story();
    one_view.histories.views.retain(|view| view.openid != "bob");
    one_view.histories.totals.remove("bob");
    assert!(one_view.report().broken().contains(&I6), "{}", one_view.report());
}

#[test]
fn every_field_of_a_copy_counts() {
    let changes: [fn(&mut Message); 7] = [
        |m| std::mem::swap(&mut m.from, &mut m.to),
        |m| m.sent_at -= 1,
        |m| m.client_msg_id = None,
        |m| m.kind = "image".into(),
        |m| m.content = None,
        |m| m.recalled = true,
        |m| m.target_seq = Some(1),
    ];
    for change in changes {
        let mut story = story();
        let mut message = Message { peer: "alice".into(), ..story.stored(10) };
        change(&mut message);
        story.logs[BOB].push(What::Received { message, via: Via::Live });
        story.breaks(I6);
    }
}

#[test]
fn a_copy_may_have_what_was_recalled_later_and_no_other_may() {
    let mut story = story();
    let recalled = story.stored(9);
    let before = Message { recalled: false, content: Some(r#"{"message":"m9"}"#.into()), ..recalled.clone() };
    story.logs[TABLET].push(What::Received { message: before, via: Via::History });
    story.logs[TABLET].push(What::Received { message: recalled, via: Via::History });
    story.is_clean();
    let emptied = Message { recalled: true, content: None, ..story.stored(10) };
    story.logs[TABLET].push(What::Received { message: emptied, via: Via::History });
    story.breaks(I6);
}

#[test]
fn what_never_came_to_one_who_caught_up() {
    let mut story = story();
    let before = story.logs[BOB].entries.len();
    story.logs[BOB]
        .entries
        .retain(|entry| !matches!(&entry.what, What::Received { message, .. } if message.seq == 10));
    assert_eq!(story.logs[BOB].entries.len(), before - 1);
    story.breaks(I7);
    let message = Message { peer: "alice".into(), ..story.stored(10) };
    story.logs[BOB].push(What::Received { message, via: Via::History });
    story.breaks(I7);
    story.logs[BOB].complete = false;
    story.is_clean();
}

#[test]
fn acks_of_one_message_that_differ() {
    let mut moved = story();
    moved.logs[PHONE].push(What::Sent {
        peer: "bob".into(),
        key: Key::Message("m10".into()),
        kind: "text".into(),
        content: r#"{"message":"m10"}"#.into(),
    });
    let mut two_firsts = story();
    let (again, sent_at) = (moved.logs[PHONE].entries.last().unwrap().clone(), two_firsts.stored(10).sent_at);
    two_firsts.logs[PHONE].entries.push(again);
    let key = Key::Message("m10".to_owned());
    two_firsts.logs[PHONE].push(What::Acked { peer: "bob".into(), key, seq: 10, sent_at, duplicate: false });
    two_firsts.breaks(I8);
    moved.logs[PHONE].push(What::Acked {
        peer: "bob".into(),
        key: Key::Message("m10".into()),
        seq: 1,
        sent_at: moved.histories.views[0].messages[0].sent_at,
        duplicate: true,
    });
    moved.breaks(I8);
}

/// A group of three on three devices: one is away while the others write.
fn group() -> Story {
    let mut sim = Sim::new(Fault::None, &[("alice", "phone"), ("bob", "phone"), ("carol", "phone")]);
    sim.group("g:team", &["alice", "bob", "carol"]);
    (0..2).for_each(|client| sim.connect(client));
    for (client, id) in [(0, "a1"), (1, "b2"), (0, "a3"), (1, "b4")] {
        sim.send(client, "g:team", id, r#"{"message":"hi"}"#);
        sim.commit();
    }
    sim.connect(2);
    sim.recall(0, "g:team", 3);
    sim.read(2, "g:team", 2);
    sim.send(2, "g:team", "c6", r#"{"message":"hi"}"#);
    sim.send(1, "alice", "d1", r#"{"message":"hi"}"#);
    sim.commit();
    let (logs, histories) = sim.finish();
    Story { logs, histories }
}

#[test]
fn a_group_has_a_view_for_each_member() {
    let story = group();
    assert_eq!(story.histories.views.len(), 5);
    story.is_clean();
    for left_out in ["alice", "carol"] {
        let mut story = group();
        story.histories.views.retain(|view| view.openid != left_out || view.peer != "g:team");
        story.histories.totals.remove(left_out);
        story.logs.iter_mut().for_each(|log| {
            log.entries.retain(|entry| !matches!(entry.what, What::UnreadAnswered { .. }));
        });
        story.breaks(I6);
    }
}

#[test]
fn a_message_that_one_member_of_a_group_sees_otherwise() {
    for member in ["alice", "bob", "carol"] {
        let mut story = group();
        let view = story.view(member, "g:team");
        view.messages.iter_mut().find(|m| m.seq == 2).unwrap().sent_at += 1;
        let report = story.report();
        assert!(report.broken().contains(&I6), "{report}");
    }
}

#[test]
fn a_message_of_a_group_that_never_came_to_one_member() {
    let mut story = group();
    story.logs[2].entries.retain(
        |entry| !matches!(&entry.what, What::Received { message, .. } if message.peer == "g:team" && message.seq == 4),
    );
    story.breaks(I7);
}
