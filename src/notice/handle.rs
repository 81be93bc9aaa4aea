//! How the rest of the server reaches the Notifier. Nothing here waits for WeChat, and nothing for the store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::Addr;
use tokio::time::timeout;

use super::actor::{Changed, Leave, Notifier, Stored};
use super::schedule::Pair;
use crate::event::{CommitSubscriber, Delivered, Event};
use crate::ids::{OpenId, Seq};
use crate::metrics::{Metrics, NoticeResult};
use crate::wechat::push::SubscribeChange;

/// How long notices under way may take when the server leaves. What is not settled by then is never told
/// again.
pub const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// How things stand with notices, for operators.
#[derive(Debug, Default)]
pub struct Standing(Mutex<Seen>);

#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Conversations that wait for their time.
    pub pending: usize,
    /// Notices under way to WeChat.
    pub in_flight: usize,
    /// Set while nothing is sent: WeChat's code, and what to do about it.
    pub rests: Option<(i32, &'static str)>,
}

impl Standing {
    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, seen: Seen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

/// The Notifier's address.
#[derive(Clone)]
pub struct NotifierHandle {
    pub(super) notifier: Addr<Notifier>,
    pub(super) standing: Arc<Standing>,
    pub(super) metrics: Metrics,
}

impl NotifierHandle {
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// WeChat tells what users did about subscribe messages.
    pub fn changed(&self, changes: Vec<SubscribeChange>) {
        self.notifier.do_send(Changed(changes));
    }

    /// Nothing more is sent. Ready once what is under way is settled, or its time is over.
    pub async fn leave(&self) {
        let _ = timeout(LEAVE_TIMEOUT, self.notifier.send(Leave)).await;
    }
}

/// Hears of every message to another user, and again where it is repeated: the node that stored it may have
/// died before its Notifier heard of it. Where the Notifier does not keep up, a message draws no notice.
impl CommitSubscriber for NotifierHandle {
    fn committed(&self, commit: &Arc<Delivered>) {
        for (recipient, peer, seq) in commit.events.iter().filter_map(unread) {
            let pair = Pair { recipient: recipient.clone(), peer: peer.clone() };
            if self.notifier.try_send(Stored { pair, seq, at: commit.since }).is_err() {
                self.metrics.notices.inc(NoticeResult::Full);
            }
        }
    }
}

/// The recipient, the sender and the place of a message of which somebody may be told.
fn unread(event: &Event) -> Option<(&OpenId, &OpenId, Seq)> {
    let (draft, seq, is_recall) = match event {
        Event::Appended { draft, seq, .. } => (draft, *seq, draft.target.is_some()),
        Event::Repeated { draft, stored, quiet: false, .. } => {
            (draft, stored.seq, stored.target.is_some() || stored.recalled)
        }
        _ => return None,
    };
    (!is_recall && draft.sender != draft.peer).then_some((&draft.peer, &draft.sender, seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Draft, Message, RequestState};
    use crate::ids::{Kind, SessionId};

    fn id(text: &str) -> OpenId {
        OpenId::parse(text).unwrap()
    }

    fn draft() -> Draft {
        Draft {
            session: SessionId::fresh(),
            request_id: None,
            sender: id("alice"),
            peer: id("bob"),
            client_msg_id: None,
            kind: Kind::parse("text").unwrap(),
            body: "{}".into(),
            target: None,
        }
    }

    fn appended(draft: Draft) -> Event {
        Event::Appended { draft, seq: Seq::ZERO.next(), sent_at: 5, request: RequestState::Answered }
    }

    fn repeated(draft: Draft, quiet: bool) -> Event {
        let Draft { sender, kind, body, target, .. } = draft.clone();
        let stored = Message {
            seq: Seq::ZERO.next(),
            sender,
            kind,
            body,
            sent_at: 5,
            client_msg_id: None,
            recalled: false,
            target,
        };
        Event::Repeated { draft, stored, quiet, request: RequestState::Open }
    }

    #[test]
    fn a_message_and_its_repeat_reach_the_notifier() {
        let (recipient, sender) = (id("bob"), id("alice"));
        for event in [appended(draft()), repeated(draft(), false)] {
            assert_eq!(unread(&event), Some((&recipient, &sender, Seq::ZERO.next())));
        }
        // Not one that the recipient has blocked, nor a recall, nor what somebody writes to themselves.
        assert_eq!(unread(&repeated(draft(), true)), None);
        let recall = Draft { kind: Kind::recall(), target: Some(Seq::ZERO.next()), ..draft() };
        let to_self = Draft { peer: id("alice"), ..draft() };
        for draft in [recall, to_self] {
            assert_eq!(unread(&appended(draft.clone())), None);
            assert_eq!(unread(&repeated(draft, false)), None);
        }
    }
}
