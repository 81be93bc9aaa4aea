//! What the store is asked: writes, which are committed in the order they came and answered after that, and
//! reads.

use std::sync::Arc;

use crate::event::cursor::{SessionTag, SyncCursor};
use crate::event::overview::{ListPlace, Overview};
use crate::event::revocation::{Revocation, Revoked};
use crate::event::{Committed, Conversation, Draft, Finding, Message, Receipt, Refusal};
use crate::ids::{OpenId, RequestId, Seq};
use crate::profile::{Avatar, AvatarId, Nickname};
use crate::store::Charge;

mod notices;
mod operators;
mod safety;

pub use super::command::{Command, PendingReply, QueuedCommand};
pub use notices::*;
pub use operators::*;
pub use safety::*;

/// Here and not beside the type: fuzzers build `event` without actors.
impl actix::Message for Committed {
    type Result = ();
}

/// Something to be made durable. Writes of one conversation are done in the order in which they are
/// submitted.
#[derive(Debug, Clone)]
pub enum Write {
    Append(Append),
    Mark(Mark),
    Clear(Clear),
    Block(Block),
    Command(Arc<QueuedCommand>),
}

/// What can be handed in to be made durable.
pub trait Submit {
    /// Outcome that the caller hears.
    type Reply: Send + 'static;

    fn into_write(self) -> Write;
}

impl<C: Command> Submit for C {
    type Reply = C::Reply;

    fn into_write(self) -> Write {
        Write::Command(Arc::new(QueuedCommand { command: Box::new(self), place: None }))
    }
}

macro_rules! submit {
    ($($kind:ident),+) => {$(
        impl Submit for $kind {
            type Reply = ();

            fn into_write(self) -> Write {
                Write::$kind(self)
            }
        }
    )+};
}

submit!(Append, Mark, Clear, Block);

/// Who hears what became of a write, after the commit.
#[derive(Debug)]
pub enum Reply {
    /// Nobody but through the event.
    Nobody,
    /// The session of the receipt, through the event.
    Session(RequestId),
    /// A call that waits.
    Caller(PendingReply),
}

/// Stores one message once: a repeat of (conversation, sender, client_msg_id) answers with the first one. A
/// recall is a message whose repeat is known by its target; it overwrites what the target said.
#[derive(Debug, Clone)]
pub struct Append {
    pub draft: Draft,
    pub admission: Admission,
    /// What a check of it has found, which is kept with it: with its seq where it is stored now, without one
    /// where it is refused. A repeat was told of before.
    pub finding: Option<Box<Finding>>,
    /// What was set aside for it of its sender's bytes. None: nothing is counted.
    pub charge: Option<Charge>,
}

/// What may become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Stored if it is new.
    Open,
    /// Only a repeat of what is stored is answered, and quietly. Anything else is refused with this.
    RepeatsOnly(Refusal),
    /// The operator's own recall, of a message of any age, whoever has blocked whom. The sender is the
    /// target's.
    Moderator,
}

/// Moves a mark up to the receipt's seq, clamped to the last seq; a mark never goes back. Without a
/// conversation it does nothing.
#[derive(Debug, Clone)]
pub struct Mark {
    pub receipt: Receipt,
}

/// Clears the caller's own view up to `up_to` (`None`: the last seq), which is clamped and never goes back.
#[derive(Debug, Clone)]
pub struct Clear {
    pub openid: OpenId,
    pub conversation: Conversation,
    pub up_to: Option<Seq>,
}

/// From the commit on, what `peer` writes to `openid` is refused; or no longer.
#[derive(Debug, Clone)]
pub struct Block {
    pub openid: OpenId,
    pub peer: OpenId,
    pub change: BlockChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockChange {
    Block,
    Unblock,
}

/// Adds one revocation to the log that every node follows. Calls ask for it, never a session: there is no
/// event for one done.
#[derive(Debug)]
pub struct Revoke {
    pub openid: OpenId,
    pub what: Revoked,
    /// Of an operator's decision, why and by whom.
    pub decision: Option<Box<BanDecision>>,
}

/// Changes what a user shows of themself. An avatar that nobody shows any more is gone with the same commit.
#[derive(Debug)]
pub struct ProfileChange {
    pub openid: OpenId,
    pub nickname: Option<Nickname>,
    pub avatar: AvatarChange,
}

#[derive(Debug, Clone)]
pub enum AvatarChange {
    Keep,
    Remove,
    Set(Avatar),
}

/// A read. Every answer is what is committed at that moment.
pub trait Query: Send + 'static {
    type Answer: Send + 'static;

    /// Answers from the tables, on a reading thread. Only the store calls it.
    #[doc(hidden)]
    fn run(&self, conn: &mut super::conn::Conn) -> diesel::QueryResult<Self::Answer>;
}

/// One page of a user's conversations, the one with the newest message first; those with nothing above the
/// cleared mark are left out.
#[derive(Debug)]
pub struct Conversations {
    pub openid: OpenId,
    pub limit: usize,
    pub after: Option<ListPlace>,
}

#[derive(Debug)]
pub struct ConversationPage {
    pub conversations: Vec<Listed>,
    /// Set when there are more.
    pub next: Option<ListPlace>,
}

/// A conversation in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    pub overview: Overview,
    /// None where all is cleared.
    pub last_message: Option<Message>,
    /// What lists are ordered by: when the last message was stored, by the store's own time.
    pub last_at: i64,
}

/// A stretch of one conversation, ascending, never below the caller's cleared mark. One that has not begun
/// gives an empty page.
#[derive(Debug)]
pub struct History {
    pub openid: OpenId,
    pub conversation: Conversation,
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

/// The unread messages of a user: an exact total, and the conversations that have some, the one with the
/// newest message first.
#[derive(Debug)]
pub struct Unread {
    pub openid: OpenId,
    /// How many conversations are listed at most.
    pub limit: usize,
}

#[derive(Debug)]
pub struct UnreadSummary {
    pub total: i64,
    pub conversations: Vec<Listed>,
    pub has_more: bool,
}

/// What somebody missed: the conversations named, each with what follows the seq that they have, then those
/// that changed, the one with the newest change first, each with its newest messages.
#[derive(Debug)]
pub struct Sync {
    pub openid: OpenId,
    /// The cursor of an earlier answer. Without one, or with one from a future that the clock has left,
    /// everything is new.
    pub since: Option<SyncCursor>,
    /// Who asks: what changes is pushed there since before the first answer.
    pub session: SessionTag,
    pub named: Vec<(Conversation, Seq)>,
    /// Messages of one conversation at most.
    pub limit: usize,
    /// Of conversations that are not named: only messages sent at or after this time (Unix milliseconds), and
    /// those between.
    pub sent_since: Option<i64>,
    /// How much one answer may hold, in bytes, and what each part of it is taken for.
    pub bounds: SyncBounds,
}

/// How large an answer may become on its way.
#[derive(Debug, Clone, Copy)]
pub struct SyncBounds {
    pub answer_bytes: usize,
    /// The most that a message takes beside what its sender gave.
    pub message_bytes: fn(&Message) -> usize,
    /// The most that a conversation takes beside its messages.
    pub conversation_bytes: usize,
}

/// Which of these users has a conversation that changed for them in the last `ago_ms` milliseconds. On
/// PostgreSQL only: a SQLite file has one node, which needs no hints, and the answer is nobody.
#[derive(Debug)]
pub struct ChangedUsers {
    pub openids: Vec<OpenId>,
    pub ago_ms: u64,
}

#[derive(Debug)]
pub struct Changed {
    /// The store's own time.
    pub now: i64,
    pub users: Vec<OpenId>,
}

/// Users who are traced now.
#[derive(Debug)]
pub struct TracedUsers;

/// Questions for a user's live sessions that this node has not answered.
#[derive(Debug)]
pub struct OpenQuestions {
    pub node: String,
}

/// Writes that this node lives, and tells which others the database shows alive. On PostgreSQL only, as
/// [`ChangedUsers`].
#[derive(Debug)]
pub struct WriteHeartbeat {
    pub node: String,
    pub version: &'static str,
    /// Whether NATS does not answer this node.
    pub cut_off: bool,
    /// How it stands, as JSON.
    pub status: String,
}

/// Another node that the database shows alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveNode {
    pub name: String,
    /// Milliseconds since its heartbeat.
    pub age_ms: u64,
    /// Whether it says that NATS does not answer it.
    pub cut_off: bool,
}

/// Takes this node's heartbeat away: it leaves in order.
#[derive(Debug)]
pub struct RemoveHeartbeat {
    pub node: String,
}

/// Takes or renews what only one node does at a time, for so long by the database's clock; whether `node` has
/// it. A SQLite file has one node, which has everything.
#[derive(Debug)]
pub struct TakeLease {
    pub what: &'static str,
    pub node: String,
    pub for_ms: i64,
}

/// Gives a lease back before its end, if `node` has it.
#[derive(Debug)]
pub struct ReleaseLease {
    pub what: &'static str,
    pub node: String,
}

/// Who may be shown that `openid` types in a conversation: of a direct one the other, once it has begun and
/// unless they have blocked `openid`.
#[derive(Debug)]
pub struct TypingAudience {
    pub openid: OpenId,
    pub conversation: Conversation,
}

/// Whom a user has blocked, by openid.
#[derive(Debug)]
pub struct Blocks {
    pub openid: OpenId,
    pub limit: usize,
    pub after: Option<OpenId>,
}

#[derive(Debug)]
pub struct BlockPage {
    pub blocks: Vec<Blocked>,
    /// Whether more follow the last one.
    pub has_more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    pub peer: OpenId,
    /// Unix milliseconds.
    pub at: i64,
}

/// What these users show of themselves. Who is not among the answers has set nothing.
#[derive(Debug)]
pub struct Profiles {
    pub openids: Vec<OpenId>,
}

/// The bytes of an avatar that somebody shows.
#[derive(Debug)]
pub struct AvatarBytes {
    pub id: AvatarId,
}

/// A question to the log of revocations.
#[derive(Debug)]
pub enum LogQuestion {
    /// What still matters: every decision on the right to log in ([`Revoked::Access`], [`Revoked::Nothing`],
    /// [`Revoked::Lapsed`]) ever made, what was written in the last `lifetime_ms` milliseconds, and the
    /// entries of the `newest_ids` highest ids.
    InForce { lifetime_ms: i64, newest_ids: i64 },
    /// The entries above `id`, and those of `missing` that have come.
    After { id: i64, missing: Vec<i64> },
}

/// Entries of the log of revocations, by id.
#[derive(Debug)]
pub struct LogPage {
    /// The database's clock, Unix milliseconds, before the entries were read.
    pub now: i64,
    /// The highest id that was committed then; 0 where there is none.
    pub newest: i64,
    pub entries: Vec<Revocation>,
    /// Whether more follow above the last one.
    pub has_more: bool,
}

/// Whether the database answers.
#[derive(Debug)]
pub struct Ping;
