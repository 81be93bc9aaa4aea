//! Read, received, cleared, unread: I9, I10.

use std::collections::{BTreeMap, HashMap};

use super::index::{Conversation, Index};
use super::{Found, Invariant};
use crate::log::{Log, Mark, Marks, Place, View, What};

const FIELDS: [&str; 6] =
    ["last_seq", "cleared_seq", "read_seq", "recv_seq", "peer_read_seq", "peer_recv_seq"];
const CLEARED: usize = 1;
const READ: usize = 2;
const PEER_READ: usize = 4;
/// A read that was answered: at the end that is I10's, before it is one like others.
const ANSWERED_READ: usize = 6;

fn fields(marks: &Marks) -> [i64; 6] {
    [
        marks.last_seq,
        marks.cleared_seq,
        marks.read_seq,
        marks.recv_seq,
        marks.peer_read_seq,
        marks.peer_recv_seq,
    ]
}

pub fn marks_never_go_back(index: &Index<'_>, found: &mut Found) {
    for (number, log) in index.logs.iter().enumerate() {
        receipts_rise(index, number, log, found);
    }
    told_marks_rise(index, found);
}

fn last_seq(index: &Index<'_>, place: Place<&str>) -> i64 {
    index.conversations.get(&place).map_or(0, |c| c.last_seq)
}

fn receipts_rise(index: &Index<'_>, number: usize, log: &Log, found: &mut Found) {
    let mut last = HashMap::new();
    for entry in &log.entries {
        match &entry.what {
            What::Connected { .. } | What::Disconnected => last.clear(),
            What::Receipt { from, to, mark, seq } => {
                let before = last.insert((from, to, mark), *seq).unwrap_or(0);
                let what = || format!("{}: {mark:?} {seq} from {from} to {to}", index.client(number));
                if *seq < before {
                    found.add(Invariant::I9, || format!("{}, after {before}", what()));
                }
                let place = Place::of(from, to);
                if *seq > last_seq(index, place) {
                    found.add(Invariant::I9, || format!("{}, past the last seq", what()));
                }
                if !index.members(place).contains(&log.openid.as_str()) {
                    found.add(Invariant::I9, || format!("{}, which is nothing to this client", what()));
                }
            }
            What::MarkAnswered { peer, mark, seq }
                if *seq > last_seq(index, Place::of(&log.openid, peer)) =>
            {
                found.add(Invariant::I9, || {
                    format!("{}: {mark:?} {seq} with {peer}, past the last seq", index.client(number))
                });
            }
            _ => {}
        }
    }
}

/// What is known of a user's marks from a moment on: a field and the least that it must be.
struct Known {
    at: u64,
    field: usize,
    seq: i64,
}

/// An answer with marks: what was known when it was asked for must show in it.
struct Told<'a> {
    asked: u64,
    marks: &'a Marks,
}

#[derive(Default)]
struct Sweep<'a> {
    known: Vec<Known>,
    told: Vec<Told<'a>>,
}

fn told_marks_rise(index: &Index<'_>, found: &mut Found) {
    let mut sweeps = BTreeMap::<(&str, &str), Sweep<'_>>::new();
    for log in index.logs {
        let me = log.openid.as_str();
        for entry in &log.entries {
            let known = |field, seq: &i64| Known { at: entry.at, field, seq: *seq };
            match &entry.what {
                What::MarkAnswered { peer, mark: Mark::Read, seq } => {
                    sweeps.entry((me, peer)).or_default().known.push(known(ANSWERED_READ, seq));
                }
                What::MarkAnswered { peer, mark: Mark::Cleared, seq } => {
                    sweeps.entry((me, peer)).or_default().known.push(known(CLEARED, seq));
                }
                // Reads are told once they are committed. `recv` promises nothing, so that it may be told
                // first and lost.
                What::Receipt { from, to, mark: Mark::Read, seq } if from == me => {
                    sweeps.entry((me, to)).or_default().known.push(known(READ, seq));
                }
                What::Receipt { from, to, mark: Mark::Read, seq } => {
                    let address = Place::of(from, to).address(me);
                    sweeps.entry((me, address)).or_default().known.push(known(PEER_READ, seq));
                }
                What::SyncMarks { peer, asked, marks } => {
                    let sweep = sweeps.entry((me, peer)).or_default();
                    sweep
                        .known
                        .extend(fields(marks).iter().enumerate().map(|(field, seq)| known(field, seq)));
                    sweep.told.push(Told { asked: *asked, marks });
                }
                _ => {}
            }
        }
    }
    for view in &index.histories.views {
        if let Some(marks) = &view.overview {
            sweeps.entry((&view.openid, &view.peer)).or_default().told.push(Told { asked: u64::MAX, marks });
        }
    }
    for ((openid, peer), sweep) in sweeps {
        sweep.check(last_seq(index, Place::of(openid, peer)), |what| {
            found.add(Invariant::I9, || format!("{openid} with {peer}: {what}"))
        });
    }
}

impl Sweep<'_> {
    fn check(mut self, last_seq: i64, mut wrong: impl FnMut(String)) {
        self.known.sort_by_key(|known| known.at);
        self.told.sort_by_key(|told| told.asked);
        let mut known = self.known.iter().peekable();
        let mut least = [0; 7];
        for Told { asked, marks } in self.told {
            while let Some(next) = known.next_if(|known| known.at < asked) {
                least[next.field] = next.seq.max(least[next.field]);
            }
            let mut least = least;
            if asked != u64::MAX {
                least[READ] = least[READ].max(least[ANSWERED_READ]);
            }
            for ((name, seq), least) in FIELDS.iter().zip(fields(marks)).zip(least) {
                if seq < least {
                    wrong(format!("{name} {seq}, after {least}"));
                }
                if seq > marks.last_seq || seq > last_seq {
                    wrong(format!("{name} {seq}, past the last seq"));
                }
            }
        }
    }
}

pub fn unread_is_exact(index: &Index<'_>, found: &mut Found) {
    let mut read = HashMap::<(&str, &str), i64>::new();
    let mut counted = Vec::new();
    for log in index.logs {
        for entry in &log.entries {
            match &entry.what {
                What::MarkAnswered { peer, mark: Mark::Read, seq } => {
                    let highest = read.entry((&log.openid, peer)).or_insert(0);
                    *highest = (*highest).max(*seq);
                }
                What::UnreadAnswered { peer, unread } => {
                    counted.push((log.openid.as_str(), peer.as_str(), *unread))
                }
                _ => {}
            }
        }
    }
    let mut expected = HashMap::new();
    let mut totals = HashMap::<&str, i64>::new();
    for conversation in index.conversations.values() {
        for (view, cleared) in conversation.views.iter().zip(&conversation.cleared) {
            let View { openid, peer, messages, overview } = view;
            let answered =
                read.get(&(openid.as_str(), peer.as_str())).copied().unwrap_or(0).min(conversation.last_seq);
            let unread =
                unread(view, conversation, *cleared, overview.map_or(answered, |marks| marks.read_seq));
            expected.insert((openid.as_str(), peer.as_str()), unread);
            *totals.entry(openid).or_default() += unread;
            match overview {
                None if messages.is_empty() => {}
                None => found.add(Invariant::I10, || {
                    format!("{openid} with {peer}: not listed, with {} messages", messages.len())
                }),
                Some(marks) => {
                    if marks.read_seq < answered {
                        found.add(Invariant::I10, || {
                            format!(
                                "{openid} with {peer}: read {answered} was answered, it is {}",
                                marks.read_seq
                            )
                        });
                    }
                    counted.push((openid, peer, marks.unread));
                }
            }
        }
    }
    for (openid, peer, unread) in counted {
        let expected = expected.get(&(openid, peer)).copied().unwrap_or(0);
        if unread != expected {
            found.add(Invariant::I10, || {
                format!("{openid} with {peer}: unread {unread}, history says {expected}")
            });
        }
    }
    for (openid, total) in &index.histories.totals {
        let expected = totals.get(openid.as_str()).copied().unwrap_or(0);
        if *total != expected {
            found.add(Invariant::I10, || format!("{openid}: unread {total} in all, history says {expected}"));
        }
    }
}

/// The rule, over the messages themselves.
fn unread(view: &View, conversation: &Conversation<'_>, cleared: i64, read: i64) -> i64 {
    if view.openid == view.peer {
        return 0;
    }
    let own = view
        .messages
        .iter()
        .filter(|m| m.from == view.openid && !m.is_recall())
        .map(|m| m.seq)
        .max()
        .unwrap_or(0);
    let floor = read.max(own).max(cleared);
    let uncounted = view.messages.iter().filter(|m| m.seq > floor && (m.is_recall() || m.recalled)).count();
    (conversation.last_seq - floor - i64::try_from(uncounted).unwrap()).max(0)
}
