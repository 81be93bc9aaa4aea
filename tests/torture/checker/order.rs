//! Places in a conversation: I4, I5, I11.

use std::collections::HashMap;

use super::index::{Answer, Index};
use super::{Found, Invariant};
use crate::log::{Key, Message, Place, Via, What};

pub fn seqs_are_dense(index: &Index<'_>, found: &mut Found) {
    for conversation in index.conversations.values() {
        for (view, cleared) in conversation.views.iter().zip(&conversation.cleared) {
            let mut last = *cleared;
            for message in &view.messages {
                if message.seq != last + 1 {
                    found.add(Invariant::I4, || {
                        format!(
                            "{} sees {} with {}: {} follows {last}",
                            view.openid, view.peer, message.seq, message.seq
                        )
                    });
                }
                last = message.seq;
            }
            if let Some(marks) = view.overview.filter(|marks| marks.last_seq != last) {
                found.add(Invariant::I4, || {
                    format!("{} with {}: ends at {last}, last_seq {}", view.openid, view.peer, marks.last_seq)
                });
            }
        }
    }
}

pub fn the_order_is_the_order_of_sending(index: &Index<'_>, found: &mut Found) {
    after_what_was_acked(index, found);
    as_one_session_sent(index, found);
}

/// The seq of a write, where it is known.
fn seq_of(index: &Index<'_>, write: usize) -> Option<i64> {
    let write = &index.writes[write];
    let stored =
        index.conversations.get(&write.place).and_then(|c| c.stored(write.sender, write.key).first());
    stored.map(|m| m.seq).or_else(|| write.acks.first().map(|ack| ack.seq))
}

/// Whatever its retries did: what was first sent after an ack cannot have been stored before it.
fn after_what_was_acked(index: &Index<'_>, found: &mut Found) {
    let mut acked = HashMap::<_, Vec<(u64, i64)>>::new();
    for write in &index.writes {
        acked.entry(write.place).or_default().extend(write.acks.iter().map(|ack| (ack.at, ack.seq)));
    }
    for acks in acked.values_mut() {
        acks.sort_unstable();
        // From here on: the highest seq acked until then.
        let mut highest = i64::MIN;
        for (_, seq) in acks {
            highest = highest.max(*seq);
            *seq = highest;
        }
    }
    for (number, write) in index.writes.iter().enumerate() {
        let before = &acked[&write.place];
        let before = before
            .partition_point(|(at, _)| *at < write.first_sent)
            .checked_sub(1)
            .map(|last| before[last].1);
        if let (Some(before), Some(seq)) = (before, seq_of(index, number))
            && seq <= before
        {
            found.add(Invariant::I5, || {
                format!(
                    "{:?} of {} in {:?}: at {seq}, sent after {before} was acked",
                    write.key, write.sender, write.place
                )
            });
        }
    }
}

/// Compares only what is known to have been stored by an attempt of that session: its ack says that it is the
/// first, or it is the only attempt ever made, and history has it. A retry is stored where the retry stands,
/// which may be behind what was sent after the first.
fn as_one_session_sent(index: &Index<'_>, found: &mut Found) {
    let mut last = HashMap::new();
    for attempt in &index.attempts {
        let write = &index.writes[attempt.write];
        let seq = match attempt.answer {
            _ if !attempt.sure || matches!(write.key, Key::Recall(_)) => None,
            Answer::Acked { seq, duplicate: false } => Some(seq),
            Answer::Open if write.attempts.len() == 1 => seq_of(index, attempt.write),
            _ => None,
        };
        let Some(seq) = seq else { continue };
        let before = last.entry((attempt.log, attempt.connection, write.place)).or_insert((0, attempt.write));
        if seq <= before.0 && attempt.write != before.1 {
            found.add(Invariant::I5, || {
                let (client, connection) = (index.client(attempt.log), attempt.connection);
                format!(
                    "{client}, connection {connection}: {:?} in {:?} at {seq}, sent after what is at {}",
                    write.key, write.place, before.0
                )
            });
        }
        *before = (*before).max((seq, attempt.write));
    }
}

/// All logs are of v1 sessions. What is sent again is pushed again.
pub fn live_frames_come_in_order(index: &Index<'_>, found: &mut Found) {
    let was_sent_again = |message: &Message, at: u64| {
        let write = index.write(Place::of(&message.from, &message.to), &message.from, message.key());
        write.is_some_and(|write| {
            write.attempts.iter().filter(|attempt| index.attempts[**attempt].at < at).count() > 1
        })
    };
    for (number, log) in index.logs.iter().enumerate() {
        let mut last = HashMap::new();
        for entry in &log.entries {
            match &entry.what {
                What::Connected { .. } | What::Disconnected => last.clear(),
                What::Received { message, via: Via::Live } if !was_sent_again(message, entry.at) => {
                    let before = last.insert(message.peer.as_str(), message.seq).unwrap_or(0);
                    if message.seq <= before {
                        found.add(Invariant::I11, || {
                            format!(
                                "{}, live with {}: {} came after {before}",
                                index.client(number),
                                message.peer,
                                message.seq
                            )
                        });
                    }
                }
                _ => {}
            }
        }
    }
}
