//! What the store is asked: writes, which are committed in the order they came and answered after that, and reads.

use tokio::sync::oneshot;

use crate::event::{Asker, Draft, Message, Refusal};
use crate::ids::{OpenId, Seq};

/// Something to be made durable. Writes of one conversation are done in the order in which they are submitted.
#[derive(Debug)]
pub enum Write {
    Append(Append),
    MarkRead(MarkRead),
    Clear(Clear),
    Revoke(Revoke),
}

/// Stores one message once: a repeat of (conversation, sender, client_msg_id) answers with the first one.
#[derive(Debug)]
pub struct Append {
    pub draft: Draft,
    /// Set when the sender is past the rate limit: only a repeat is answered, anything else refused with this wait.
    pub over_rate_ms: Option<u64>,
}

/// Moves a read mark up to `seq`, clamped to the last seq; a mark never goes back. Without a conversation it does nothing.
#[derive(Debug)]
pub struct MarkRead {
    pub openid: OpenId,
    pub peer: OpenId,
    pub seq: Seq,
    pub answer: Answer,
}

/// Clears the caller's own view up to `up_to` (`None`: the last seq), which is clamped and never goes back.
#[derive(Debug)]
pub struct Clear {
    pub openid: OpenId,
    pub peer: OpenId,
    pub up_to: Option<Seq>,
    pub answer: Answer,
}

/// Adds one revocation to the log that every node follows. Calls ask for it, never a session: there is no event for one done.
#[derive(Debug)]
pub struct Revoke {
    pub openid: OpenId,
    pub what: Revoked,
    pub answer: Answer,
}

/// Who is told, after the commit.
#[derive(Debug)]
pub enum Answer {
    Nobody,
    /// A session, through the event.
    Session(Asker),
    /// A call that waits.
    Caller(oneshot::Sender<Result<(), Refusal>>),
}

/// What a revocation takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// One token, named by its issue time in Unix milliseconds, and its sessions.
    Token { issued_ms: i64 },
    /// Every token issued until then, and all sessions.
    AllTokens,
    /// The live sessions only; the user may come back.
    Sessions,
    /// Every token and session, and the right to log in.
    Access,
    /// Gives the right to log in back; tokens from before stay dead.
    Nothing,
}

/// One entry of the revocation log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Grows with the log; two nodes may commit out of order, so readers overlap by time (see [`RevocationsSince`]).
    pub id: i64,
    pub openid: OpenId,
    pub what: Revoked,
    /// Unix milliseconds at the node that wrote it.
    pub at: i64,
}

/// A read. Every answer is what is committed at that moment.
pub trait Query: Send + 'static {
    type Answer: Send + 'static;

    /// Answers from the tables, on a reading thread. Only the store calls it.
    #[doc(hidden)]
    fn run(&self, conn: &mut super::conn::Conn) -> diesel::QueryResult<Self::Answer>;
}

/// One page of a user's conversations, the one with the newest message first; those with nothing above the cleared mark are left out.
#[derive(Debug)]
pub struct Conversations {
    pub openid: OpenId,
    pub limit: usize,
    pub after: Option<ListPlace>,
}

/// Where a page of the conversation list ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlace {
    pub sent_at: i64,
    pub peer: OpenId,
}

#[derive(Debug)]
pub struct ConversationPage {
    pub conversations: Vec<Overview>,
    /// Set when there are more.
    pub next: Option<ListPlace>,
}

/// One conversation as one of its members sees it.
#[derive(Debug, Clone)]
pub struct Overview {
    pub peer: OpenId,
    pub last_seq: Seq,
    pub cleared_seq: Seq,
    pub read_seq: Seq,
    pub recv_seq: Seq,
    /// The peer's marks; zero until the peer has sent something (a stranger does not learn that you read him).
    pub peer_read_seq: Seq,
    pub peer_recv_seq: Seq,
    pub unread: i64,
    pub last_message: Option<Message>,
}

/// A stretch of one conversation, ascending, never below the caller's cleared mark. An unknown peer gives an empty page.
#[derive(Debug)]
pub struct History {
    pub openid: OpenId,
    pub peer: OpenId,
    pub window: Window,
    pub limit: usize,
}

/// Which stretch. All bounds are exclusive.
#[derive(Debug, Clone, Copy)]
pub enum Window {
    Newest,
    /// The last ones below it.
    Before(Seq),
    /// The first ones above it.
    After(Seq),
    /// The first ones in between.
    Between {
        after: Seq,
        before: Seq,
    },
}

#[derive(Debug)]
pub struct HistoryPage {
    pub messages: Vec<Message>,
    /// Whether more stand in the direction of the window.
    pub has_more: bool,
}

/// The unread messages of a user: an exact total, and the conversations that have some, the one with the newest message first.
#[derive(Debug)]
pub struct Unread {
    pub openid: OpenId,
    /// How many conversations are listed at most.
    pub limit: usize,
}

#[derive(Debug)]
pub struct UnreadSummary {
    pub total: i64,
    pub conversations: Vec<Overview>,
    pub has_more: bool,
}

/// The revocations written at or after `at` (Unix milliseconds), by id.
#[derive(Debug)]
pub struct RevocationsSince {
    pub at: i64,
}

/// Every decision on the right to log in ([`Revoked::Access`], [`Revoked::Nothing`]) ever made, by id.
#[derive(Debug)]
pub struct AccessDecisions;

/// Whether the database answers.
#[derive(Debug)]
pub struct Ping;
