//! A small story with every feature in it, told by the model, for tests to change.

use crate::checker::{Invariant, Report, check};
use crate::faulty::{Fault, Sim};
use crate::log::{Entry, Histories, Key, Log, Message, Via, View, What};

pub const PHONE: usize = 0;
pub const TABLET: usize = 1;
pub const BOB: usize = 2;

pub struct Story {
    pub logs: Vec<Log>,
    pub histories: Histories,
}

/// Alice has two devices, Bob one. Every feature is in it.
pub fn story() -> Story {
    let mut sim = Sim::new(Fault::None, &[("alice", "phone"), ("alice", "tablet"), ("bob", "phone")]);
    (0..3).for_each(|client| sim.connect(client));
    let send = |sim: &mut Sim, client, peer: &str, id: &str| {
        sim.send(client, peer, id, &format!(r#"{{"message":"{id}"}}"#))
    };
    send(&mut sim, PHONE, "bob", "m1");
    send(&mut sim, PHONE, "bob", "m2");
    sim.commit();
    send(&mut sim, BOB, "alice", "b3");
    send(&mut sim, PHONE, "bob", "m1");
    sim.commit();
    sim.send(PHONE, "bob", "m1", r#"{"message":"something else"}"#);
    sim.commit();
    send(&mut sim, PHONE, "bob", "m4");
    sim.roll_back();
    send(&mut sim, PHONE, "bob", "m4");
    sim.commit();
    sim.read(BOB, "alice", 2);
    sim.recall(PHONE, "bob", 2);
    send(&mut sim, PHONE, "alice", "note");
    sim.commit();
    sim.read(TABLET, "alice", 1);
    // Stored, and the ack is lost.
    send(&mut sim, BOB, "alice", "b6");
    sim.disconnect(BOB);
    sim.commit();
    send(&mut sim, TABLET, "bob", "m7");
    sim.commit();
    sim.crash();
    (0..3).for_each(|client| sim.connect(client));
    sim.read(PHONE, "bob", 6);
    sim.clear(BOB, "alice");
    for id in ["m8", "m9", "m10"] {
        send(&mut sim, PHONE, "bob", id);
    }
    sim.commit();
    sim.recall(PHONE, "bob", 9);
    sim.read(BOB, "alice", 8);
    sim.commit();
    let (logs, histories) = sim.finish();
    Story { logs, histories }
}

impl Story {
    pub fn report(&self) -> Report {
        check(&self.logs, &self.histories)
    }

    #[track_caller]
    pub fn breaks(&self, invariant: Invariant) {
        let report = self.report();
        assert_eq!(report.broken(), [invariant], "{report}");
    }

    #[track_caller]
    pub fn is_clean(&self) {
        let report = self.report();
        assert!(report.is_clean(), "{report}");
    }

    pub fn view(&mut self, openid: &str, peer: &str) -> &mut View {
        self.histories.views.iter_mut().find(|view| view.openid == openid && view.peer == peer).unwrap()
    }

    pub fn last_seq(&mut self) -> i64 {
        self.view("alice", "bob").messages.last().unwrap().seq
    }

    /// Whatever stands in history of what Alice wrote to Bob at that seq.
    pub fn stored(&mut self, seq: i64) -> Message {
        self.view("alice", "bob").messages.iter().find(|m| m.seq == seq).unwrap().clone()
    }

    /// History at the end has one more from Alice to Bob, and everybody got it.
    pub fn add(&mut self, id: Option<&str>, seq: i64) -> Message {
        let message = Message {
            peer: "bob".into(),
            seq,
            from: "alice".into(),
            to: "bob".into(),
            sent_at: 9_000 + seq,
            client_msg_id: id.map(str::to_owned),
            kind: "text".into(),
            content: Some(r#"{"message":"hi"}"#.into()),
            recalled: false,
            target_seq: None,
        };
        for log in &mut self.logs {
            log.entries.retain(|entry| !matches!(entry.what, What::UnreadAnswered { .. }));
            let peer = if log.openid == "alice" { "bob" } else { "alice" };
            log.push(What::Received {
                message: Message { peer: peer.into(), ..message.clone() },
                via: Via::Live,
            });
        }
        for view in self.histories.views.iter_mut().filter(|view| view.openid != view.peer) {
            view.messages.push(Message { peer: view.peer.clone(), ..message.clone() });
            view.messages.sort_by_key(|m| m.seq);
            let marks = view.overview.as_mut().unwrap();
            let unread = if view.openid == "bob" {
                marks.unread + seq.max(marks.last_seq) - marks.last_seq
            } else {
                0
            };
            *self.histories.totals.get_mut(&view.openid).unwrap() += unread - marks.unread;
            (marks.last_seq, marks.unread) = (seq.max(marks.last_seq), unread);
        }
        message
    }

    pub fn sent(&mut self, client: usize, id: &str) {
        let (peer, key) = (self.peer(client), Key::Message(id.to_owned()));
        self.logs[client].push(What::Sent {
            peer,
            key,
            kind: "text".into(),
            content: r#"{"message":"hi"}"#.into(),
        });
    }

    pub fn acked(&mut self, client: usize, id: &str, seq: i64) {
        let (peer, key) = (self.peer(client), Key::Message(id.to_owned()));
        self.logs[client].push(What::Acked { peer, key, seq, sent_at: 9_000 + seq, duplicate: false });
    }

    pub fn peer(&self, client: usize) -> String {
        if client == BOB { "alice".into() } else { "bob".into() }
    }

    /// Every entry of a client that this changes, changed.
    pub fn change(&mut self, client: usize, change: impl FnMut(&mut Entry)) {
        self.logs[client].entries.iter_mut().for_each(change);
    }
}
