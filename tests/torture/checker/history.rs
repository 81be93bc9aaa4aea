//! What history has against what was sent and acked: I1, I2, I3, I8.

use std::collections::HashMap;

use serde_json::Value;

use super::index::{Attempt, Conversation, Index, Write};
use super::{Found, Invariant};
use crate::log::{Key, Message, Place, What};

fn name(write: &Write<'_>) -> String {
    format!("{:?} of {} in {:?}", write.key, write.sender, write.place)
}

/// A retry may carry another time: it is the first one's that is kept.
fn same_but_for_times(a: &str, b: &str) -> bool {
    let without = |text: &str| {
        let mut value: Value = serde_json::from_str(text).unwrap();
        for field in ["date", "created_at"] {
            value.as_object_mut().unwrap().remove(field);
        }
        value
    };
    a == b || without(a) == without(b)
}

fn says(message: &Message, attempt: &Attempt<'_>, same: impl Fn(&str, &str) -> bool) -> bool {
    message.kind == attempt.kind
        && message.content.as_deref().is_some_and(|content| same(content, attempt.content))
}

pub fn acked_is_in_history(index: &Index<'_>, found: &mut Found) {
    let none = Conversation::default();
    for write in &index.writes {
        let conversation = index.conversations.get(&write.place).unwrap_or(&none);
        let Some(first) = write.acks.first().filter(|ack| ack.seq > conversation.hidden()) else { continue };
        let stored = conversation.stored(write.sender, write.key);
        let Some(message) = stored.iter().find(|m| m.seq == first.seq) else {
            let seqs: Vec<_> = stored.iter().map(|m| m.seq).collect();
            found.add(Invariant::I1, || {
                format!("{}: acked at {}, in history at {seqs:?}", name(write), first.seq)
            });
            continue;
        };
        if message.sent_at != first.sent_at {
            found.add(Invariant::I1, || {
                format!("{}: acked with time {}, in history {}", name(write), first.sent_at, message.sent_at)
            });
        }
        if message.recalled {
            continue;
        }
        for attempt in
            write.acks.iter().map(|ack| &index.attempts[ack.attempt]).filter(|attempt| attempt.sure)
        {
            if !message.is_recall() && !says(message, attempt, same_but_for_times) {
                found.add(Invariant::I1, || {
                    let Attempt { kind, content, .. } = attempt;
                    format!(
                        "{}: {kind} {content} was acked, history has {} {:?}",
                        name(write),
                        message.kind,
                        message.content
                    )
                });
            }
        }
    }
    for write in index.writes.iter().filter(|w| !w.acks.is_empty()) {
        let (Key::Recall(target), Some(conversation)) = (write.key, index.conversations.get(&write.place))
        else {
            continue;
        };
        if conversation.by_seq.get(&target).is_some_and(|m| !m.recalled) {
            found.add(Invariant::I1, || format!("{}: acked, but {target} is not recalled", name(write)));
        }
    }
}

pub fn a_key_stands_once(index: &Index<'_>, found: &mut Found) {
    for (place, conversation) in &index.conversations {
        for message in &conversation.record {
            let (sender, key) = (&message.from, message.key());
            let messages = conversation.stored(sender, key);
            if messages.len() > 1 && messages[0].seq == message.seq && key != Key::Plain {
                let seqs: Vec<_> = messages.iter().map(|m| m.seq).collect();
                found.add(Invariant::I2, || format!("{key:?} of {sender} in {place:?}: at {seqs:?}"));
            }
        }
    }
}

pub fn nothing_is_there_that_nobody_sent(index: &Index<'_>, found: &mut Found) {
    for (log, entry) in &index.unasked {
        let (What::Acked { peer, key, seq, .. } | What::ToldStored { peer, key, seq, .. }) = &entry.what
        else {
            continue;
        };
        found.add(Invariant::I3, || {
            format!("{}: an ack ({seq}) of {key:?} to {peer}, which waits for none", index.client(*log))
        });
    }
    for (place, conversation) in &index.conversations {
        let mut plain = HashMap::new();
        for message in &conversation.record {
            let Message { seq, from, kind, content, .. } = message;
            let sent = match (message.key(), content) {
                (Key::Plain, _) if message.recalled => true,
                (Key::Plain, content) => {
                    let content = content.as_deref().unwrap_or_default();
                    let there = plain.entry((from, kind, content)).or_insert(0);
                    *there += 1;
                    index.plain.get(&(*place, from, kind, content)).is_some_and(|sent| *there <= *sent)
                }
                (key, _) => index.write(*place, from, key).is_some_and(|write| {
                    let mut attempts = write.attempts.iter().map(|at| &index.attempts[*at]);
                    message.recalled
                        || message.is_recall()
                        || attempts.any(|attempt| says(message, attempt, |a, b| a == b))
                }),
            };
            if !sent {
                found.add(Invariant::I3, || {
                    format!("{place:?} {seq}: {from} sent no {:?} {kind} {content:?}", message.key())
                });
            }
            if message.recalled {
                a_recall_has_left_nothing(place, conversation, message, found);
            }
        }
    }
}

/// A recalled message has no content, and its own sender recalled it.
fn a_recall_has_left_nothing(
    place: &Place<&str>,
    conversation: &Conversation<'_>,
    message: &Message,
    found: &mut Found,
) {
    let Message { seq, from, .. } = message;
    if let Some(content) = &message.content {
        found.add(Invariant::I3, || format!("{place:?} {seq}: recalled, and still has {content}"));
    }
    if conversation.stored(from, Key::Recall(*seq)).is_empty() {
        found.add(Invariant::I3, || {
            format!("{place:?} {seq}: recalled, and no recall by {from} is in history")
        });
    }
}

pub fn all_acks_of_a_write_agree(index: &Index<'_>, found: &mut Found) {
    for write in &index.writes {
        let Some((first, more)) = write.acks.split_first() else { continue };
        for ack in more.iter().filter(|ack| (ack.seq, ack.sent_at) != (first.seq, first.sent_at)) {
            found.add(Invariant::I8, || {
                format!(
                    "{}: acked at ({}, {}), then at ({}, {})",
                    name(write),
                    first.seq,
                    first.sent_at,
                    ack.seq,
                    ack.sent_at
                )
            });
        }
        let firsts = write.acks.iter().filter(|ack| !ack.duplicate).count();
        if firsts > 1 {
            found
                .add(Invariant::I8, || format!("{}: {firsts} acks say that it is no duplicate", name(write)));
        }
    }
}
