//! What came to whom: I6, I7.

use std::collections::{HashMap, HashSet};

use super::index::{Conversation, Index};
use super::{Found, Invariant};
use crate::log::{Message, Place, Via, What};

/// The first field in which a copy differs from history. One that came before its recall still has what
/// history has no more.
fn difference(copy: &Message, truth: &Message) -> Option<String> {
    macro_rules! differs {
        ($($field:ident)*) => {
            $(if copy.$field != truth.$field {
                return Some(format!("{} {:?} and {:?}", stringify!($field), copy.$field, truth.$field));
            })*
        };
    }
    differs!(from to sent_at client_msg_id kind target_seq);
    if copy.recalled || !truth.recalled {
        differs!(recalled content);
    }
    None
}

pub fn all_copies_agree(index: &Index<'_>, found: &mut Found) {
    for (place, conversation) in &index.conversations {
        all_views_agree(*place, &index.members(*place), conversation, found);
    }
    for (number, log) in index.logs.iter().enumerate() {
        for entry in &log.entries {
            let What::Received { message, via } = &entry.what else { continue };
            let Message { peer, seq, from, to, .. } = message;
            let mut wrong = |what: String| {
                found.add(Invariant::I6, || {
                    format!("{}, {via:?}, {seq} with {peer}: {what}", index.client(number))
                });
            };
            if Place::of(from, to) != Place::of(&log.openid, peer) {
                wrong(format!("from {from} to {to}, which is another conversation"));
                continue;
            }
            let conversation = index.conversations.get(&Place::of(from, to));
            match conversation.and_then(|c| c.by_seq.get(seq)) {
                Some(truth) => {
                    if let Some(difference) = difference(message, truth) {
                        wrong(format!("it and history differ: {difference}"));
                    }
                }
                None if conversation.is_some_and(|c| *seq <= c.hidden()) => {}
                None => wrong(format!("{:?} of {from} is not in history", message.key())),
            }
        }
    }
}

fn all_views_agree(place: Place<&str>, members: &[&str], conversation: &Conversation<'_>, found: &mut Found) {
    for view in &conversation.views {
        for message in
            view.messages.iter().filter(|m| m.peer != view.peer || Place::of(&m.from, &m.to) != place)
        {
            found.add(Invariant::I6, || {
                format!(
                    "{} sees {} with {}: from {} to {}",
                    view.openid, message.seq, view.peer, message.from, message.to
                )
            });
        }
    }
    let mut viewers: Vec<_> = conversation.views.iter().map(|view| view.openid.as_str()).collect();
    viewers.sort_unstable();
    let mut wanted = members.to_vec();
    wanted.sort_unstable();
    if viewers != wanted {
        found.add(Invariant::I6, || format!("{place:?}: views of {viewers:?}, members are {wanted:?}"));
        return;
    }
    let views = || conversation.views.iter().zip(&conversation.cleared);
    let pairs = views().flat_map(|one| views().map(move |other| (one, other)));
    for ((view, cleared), (others, others_cleared)) in
        pairs.filter(|((one, _), (other, _))| one.openid != other.openid)
    {
        let both_see_above = cleared.max(others_cleared);
        let theirs: HashMap<i64, &Message> = others.messages.iter().map(|m| (m.seq, m)).collect();
        for message in view.messages.iter().filter(|m| m.seq > *both_see_above) {
            let differs = match theirs.get(&message.seq) {
                None => Some(format!("{} does not", others.openid)),
                Some(same) => difference(message, same).map(|what| format!("the two differ: {what}")),
            };
            if let Some(what) = differs {
                found.add(Invariant::I6, || {
                    format!("{} sees {} with {}: {what}", view.openid, message.seq, view.peer)
                });
            }
        }
    }
}

pub fn who_caught_up_has_everything(index: &Index<'_>, found: &mut Found) {
    for (number, log) in index.logs.iter().enumerate().filter(|(_, log)| log.complete) {
        let mut has = HashSet::new();
        for entry in &log.entries {
            match &entry.what {
                What::Received { message, via: Via::Live | Via::Sync } => {
                    has.insert((message.peer.as_str(), message.seq))
                }
                // The client has its own from the ack.
                What::Acked { peer, seq, .. } | What::ToldStored { peer, seq, .. } => {
                    has.insert((peer.as_str(), *seq))
                }
                _ => false,
            };
        }
        for view in index.histories.views.iter().filter(|view| view.openid == log.openid) {
            for message in view.messages.iter().filter(|m| !has.contains(&(view.peer.as_str(), m.seq))) {
                found.add(Invariant::I7, || {
                    format!(
                        "{} with {}: never got {}, {:?} of {}",
                        index.client(number),
                        view.peer,
                        message.seq,
                        message.key(),
                        message.from
                    )
                });
            }
        }
    }
}
