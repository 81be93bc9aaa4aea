//! Handle by which the rest of the server reaches the Notifier. Nothing here waits for WeChat, and nothing
//! for the store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::Addr;
use tokio::time::timeout;

use super::actor::{Changed, Leave, Notifier, Stored};
use super::schedule::NoticeKey;
use crate::event::{CommitSubscriber, Delivered, Event};
use crate::ids::Seq;
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
        for (key, seq) in commit.events.iter().flat_map(unread) {
            if self.notifier.try_send(Stored { key, seq, at: commit.since }).is_err() {
                self.metrics.notices.inc(NoticeResult::Full);
            }
        }
    }
}

/// Who may be told of a message, all but its sender, and the message's place.
fn unread(event: &Event) -> impl Iterator<Item = (NoticeKey, Seq)> {
    let told = match event {
        Event::Appended { draft, audience, seq, .. } if draft.target.is_none() => {
            Some((draft, audience, *seq))
        }
        Event::Repeated { draft, audience, stored, .. } if stored.target.is_none() && !stored.recalled => {
            Some((draft, audience, stored.seq))
        }
        _ => None,
    };
    told.into_iter().flat_map(|(draft, audience, seq)| {
        audience.others(&draft.sender).map(move |recipient| {
            let (recipient, conversation) = (recipient.clone(), draft.conversation.clone());
            (NoticeKey { recipient, conversation }, seq)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Audience, Conversation, Draft, Message, RequestState};
    use crate::ids::{Kind, OpenId, SessionId};

    fn id(text: &str) -> OpenId {
        OpenId::parse(text).unwrap()
    }

    fn draft() -> Draft {
        Draft {
            session: SessionId::fresh(),
            request_id: None,
            sender: id("alice"),
            conversation: Conversation::direct(id("alice"), id("bob")),
            client_msg_id: None,
            kind: Kind::parse("text").unwrap(),
            body: "{}".into(),
            target: None,
            quote: None,
        }
    }

    fn audience(draft: &Draft) -> Audience {
        Audience::both(&draft.sender, draft.conversation.peer(&draft.sender).unwrap())
    }

    fn appended(draft: Draft) -> Event {
        let (audience, request) = (audience(&draft), RequestState::Answered);
        Event::Appended { draft, audience, seq: Seq::ZERO.next(), sent_at: 5, quote: None, request }
    }

    fn repeated(draft: Draft, audience: Audience) -> Event {
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
            quote: None,
        };
        Event::Repeated { draft, audience, stored, request: RequestState::Open }
    }

    #[test]
    fn a_message_and_its_repeat_reach_the_notifier() {
        let told = |event: &Event| unread(event).collect::<Vec<_>>();
        let key = NoticeKey { recipient: id("bob"), conversation: draft().conversation };
        for event in [appended(draft()), repeated(draft(), audience(&draft()))] {
            assert_eq!(told(&event), [(key.clone(), Seq::ZERO.next())]);
        }
        // Not one that the recipient has blocked, nor a recall, nor what somebody writes to themselves.
        assert_eq!(told(&repeated(draft(), Audience::nobody())), []);
        let recall = Draft { kind: Kind::recall(), target: Some(Seq::ZERO.next()), ..draft() };
        let to_self = Draft { conversation: Conversation::direct(id("alice"), id("alice")), ..draft() };
        for draft in [recall, to_self] {
            assert_eq!(told(&appended(draft.clone())), []);
            let audience = audience(&draft);
            assert_eq!(told(&repeated(draft, audience)), []);
        }
    }
}
