//! What has happened to a conversation: plain values that the store emits after a commit and the chat delivers.
//! They stand between the two rooms, so that neither knows the other.

use crate::ids::{ClientMsgId, Kind, OpenId, RequestId, Seq, SessionId};

/// What a sender handed in, on its way to the store and back.
#[derive(Debug)]
pub struct Draft {
    pub session: SessionId,
    pub request_id: Option<RequestId>,
    pub sender: OpenId,
    pub peer: OpenId,
    pub client_msg_id: Option<ClientMsgId>,
    pub kind: Kind,
    /// A JSON object: the sender's further fields as given (`message`, `client_msg_id`, `date`, `created_at`, …),
    /// without `type`, `from_user_openid`, `to_user_openid` and the names that the server owns.
    pub body: Box<str>,
}

/// A message as it stands in its conversation, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub seq: Seq,
    pub sender: OpenId,
    pub kind: Kind,
    pub body: Box<str>,
    /// The server's clock at commit, Unix milliseconds.
    pub sent_at: i64,
    pub client_msg_id: Option<ClientMsgId>,
    /// Set when the content was overwritten by a recall.
    pub recalled: bool,
    /// Set on a recall event: the message it recalls.
    pub target: Option<Seq>,
}

/// Why a write was not done. Nothing of it is stored, but for [`Refusal::Unavailable`], where that may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The same (conversation, sender, client_msg_id) is stored with other content.
    Conflict,
    /// Too fast, or too many new conversations: wait this many milliseconds.
    RateLimited { retry_after_ms: u64 },
    /// The store is down, full or overloaded: send again under the same client_msg_id.
    Unavailable,
}

/// One step of a conversation, in commit order.
#[derive(Debug)]
pub enum Event {
    /// Stored now for the first time, durable.
    Appended { draft: Draft, seq: Seq, sent_at: i64 },
    /// Stored before; `stored` is the first one. Past the sender's rate it is acked and not pushed again: or repeats would be a way to
    /// flood somebody.
    Repeated { draft: Draft, stored: Message, over_rate: bool },
    /// Not stored (but see [`Refusal::Unavailable`]).
    Refused { draft: Draft, why: Refusal },
    /// `openid` has read its conversation with `peer` up to `seq`, durable; told to `asker`, if a session asked.
    Read { openid: OpenId, peer: OpenId, seq: Seq, asker: Option<Asker> },
    /// A mark that nobody waits for was accepted and then not written; it is to be handed in again.
    ReadUnstored { openid: OpenId, peer: OpenId, seq: Seq },
    /// A mark that `asker` asked for was not written.
    ReadRefused { openid: OpenId, asker: Asker, why: Refusal },
    /// `openid` has cleared its own view of the conversation with `peer` up to `seq`.
    Cleared { openid: OpenId, peer: OpenId, seq: Seq },
}

/// The session and frame that wait for an answer.
#[derive(Debug, Clone)]
pub struct Asker {
    pub session: SessionId,
    pub request_id: Option<RequestId>,
}

/// Everything that one commit did, in order. The chat holds it until it has delivered it, and with it the writes' places in the
/// store's queue: a slow chat slows the senders instead of filling the memory.
#[derive(actix::Message, Debug)]
#[rtype(result = "()")]
pub struct Committed {
    pub events: Vec<Event>,
    pub places: Places,
}

/// Places in a bounded queue, given back when dropped.
#[derive(Debug)]
pub struct Places {
    taken: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    count: usize,
}

impl Places {
    /// Takes one place out of `limit`, or none.
    pub fn take(taken: &std::sync::Arc<std::sync::atomic::AtomicUsize>, limit: usize) -> Option<Self> {
        use std::sync::atomic::Ordering::Relaxed;
        taken.fetch_update(Relaxed, Relaxed, |n| (n < limit).then_some(n + 1)).is_ok().then(|| Self { taken: taken.clone(), count: 1 })
    }

    /// Makes these places one with `other`, which must be of the same queue.
    pub fn join(&mut self, mut other: Self) {
        self.count += std::mem::take(&mut other.count);
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.count, std::sync::atomic::Ordering::Relaxed);
    }
}
