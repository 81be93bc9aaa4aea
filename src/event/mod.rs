//! Events of a conversation: plain values that the store emits after a commit and the chat delivers. They
//! stand between the two modules, so that neither depends on the other.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::Arc;
use std::time::Instant;

use crate::ids::{ClientMsgId, Kind, OpenId, RequestId, Seq, SessionId};

mod conversation;
mod finding;
mod live;
mod presence;
mod quote;
pub mod body;
pub mod cursor;
pub mod overview;
pub mod revocation;

pub use conversation::{Audience, Conversation, DirectPair};
pub use finding::{By, Finding, Found, Source};
pub use live::LiveSession;
pub use presence::{LastSeen, Presence};
pub use quote::{Quote, Quoted};

/// What a sender handed in, on its way to the store and back.
#[derive(Debug, Clone)]
pub struct Draft {
    pub session: SessionId,
    pub request_id: Option<RequestId>,
    pub sender: OpenId,
    pub conversation: Conversation,
    pub client_msg_id: Option<ClientMsgId>,
    pub kind: Kind,
    /// A JSON object: the sender's further fields as given (`message`, `client_msg_id`, `date`, `created_at`,
    /// …), without `type`, `from_user_openid`, `to_user_openid` and the names that the server owns.
    pub body: Box<str>,
    /// Set on a recall: the message that it recalls.
    pub target: Option<Seq>,
    /// The message that this one quotes.
    pub quote: Option<Seq>,
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
    /// What it quotes, as that stands now.
    pub quote: Option<Box<Quote>>,
}

impl Message {
    /// What a message of the type `text` says.
    pub fn text(&self) -> Option<String> {
        let fields = (self.kind.as_str() == "text").then(|| body::fields(&self.body)).flatten()?;
        let (_, message) = fields.into_iter().find(|(name, _)| name == "message")?;
        body::string(message).map(|text| text.into_owned())
    }
}

/// Why a write was not done. Nothing of it is stored, but for [`Refusal::Unavailable`], where that may be
/// unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The same (conversation, sender, client_msg_id) is stored with other content.
    Conflict,
    /// Too fast, or too many new conversations: wait this many milliseconds.
    RateLimited { retry_after_ms: u64 },
    /// The recipient has blocked the sender.
    Blocked,
    /// There is no such message of the sender's own to recall.
    NotFound,
    /// There is no message at the seq that is quoted, or none that the sender may read.
    NothingToQuote,
    /// The message is older than the window in which it may be recalled.
    RecallExpired,
    /// The blocklist is full.
    TooMany,
    /// What it says may not be said here.
    ContentRefused,
    /// The store is down, full or overloaded: send again under the same client_msg_id.
    Unavailable,
}

/// State of the frame by which a session sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// It has no answer yet.
    Open,
    /// It was answered with [`Refusal::Unavailable`] at the deadline: the outcome is news to the session, and
    /// no answer.
    Answered,
}

/// One step of a conversation, in commit order. All that are durable and concern more than their user name whom
/// they are told to; the answer to the session that asked is apart from that.
#[derive(Debug)]
pub enum Event {
    /// Stored now for the first time, durable.
    Appended {
        draft: Draft,
        audience: Audience,
        seq: Seq,
        sent_at: i64,
        /// What it quotes, as that stood at the commit.
        quote: Option<Box<Quote>>,
        request: RequestState,
    },
    /// Stored before; `stored` is the first one. It is pushed to nobody where it would have been refused as a
    /// new message, or where the recipient has blocked the sender.
    Repeated { draft: Draft, audience: Audience, stored: Message, request: RequestState },
    /// Not stored (but see [`Refusal::Unavailable`]).
    Refused { draft: Draft, why: Refusal },
    /// A mark stands where the receipt says, durable. One that has not moved is told to nobody.
    Marked { receipt: Receipt, audience: Audience, request_id: Option<RequestId> },
    /// A receipt that nobody waits for was accepted and then not written; it is to be handed in again.
    MarkUnstored(Receipt),
    /// A receipt that a session waits for was not written.
    MarkRefused { receipt: Receipt, request_id: RequestId, why: Refusal },
    /// `openid` has cleared their own view of a conversation up to `seq`. They alone are told.
    Cleared { openid: OpenId, conversation: Conversation, seq: Seq },
    /// `openid` has changed their settings of a conversation to these. They alone are told.
    Settings { openid: OpenId, conversation: Conversation, settings: MemberSettings },
    /// `openid` does not show their presence any more: to the user that they have blocked, or to nobody.
    PresenceWithdrawn { openid: OpenId, from: Option<OpenId> },
}

/// Settings of a member for a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberSettings {
    /// No notices of it.
    pub muted: bool,
    /// Shown before the others.
    pub pinned: bool,
}

/// `openid` has received or read a conversation up to `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub kind: ReceiptKind,
    pub openid: OpenId,
    pub conversation: Conversation,
    pub seq: Seq,
    /// Whose word it is; a call is no session, and for plain clients the server itself decides.
    pub session: Option<SessionId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReceiptKind {
    /// A device of the user has it.
    Recv,
    /// The user has seen it.
    Read,
}

/// Everything that one commit did, in order. The chat holds it until it has delivered it, and with it the
/// writes' places in the store's queue: a slow chat slows the senders instead of filling the memory.
#[derive(Debug)]
pub struct Committed {
    pub events: Vec<Event>,
    /// None where the writes keep their places, or gave them back before.
    pub places: Option<Places>,
}

/// Events of one commit, once the hub has delivered them on this node.
#[derive(Debug)]
pub struct Delivered {
    pub events: Vec<Event>,
    /// Before the first of them was pushed: what is heard of a user later was heard after that.
    pub since: Instant,
}

/// Consumer of commits behind the hub. The hub is the first consumer of every commit and hands it on when its
/// own sessions have it, so what a subscriber tells others never overtakes what was told here.
pub trait CommitSubscriber: Send {
    /// Takes one commit, in commit order. Called on the hub's thread, and so never waits: what a subscriber
    /// has no room for ends by a bound of its own.
    fn committed(&self, commit: &Arc<Delivered>);
}

/// Places in a bounded queue, given back when dropped.
pub type Places = tokio::sync::OwnedSemaphorePermit;
