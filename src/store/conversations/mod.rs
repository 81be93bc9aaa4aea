//! Conversations as their members see them: lists, what is unread, what somebody missed.

use crate::event::overview::{ListPlace, Overview};
use crate::event::{Conversation, Message};
use crate::ids::{OpenId, Seq};

pub(in crate::store) mod groups;
pub(in crate::store) mod queries;
pub(in crate::store) mod steps;
pub(in crate::store) mod sync;

pub use sync::{Sync, SyncBounds};

/// Kind of a conversation between two users, or of one with oneself, as its row has it.
pub(in crate::store) const DIRECT: i16 = 0;

/// Kinds of conversations that an answer tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    Direct,
    DirectAndGroups,
}

/// Which of a user's conversations are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    All,
    Pinned,
}

/// Clears the caller's own view up to `up_to` (`None`: the last seq), which is clamped and never goes back.
#[derive(Debug, Clone)]
pub struct Clear {
    pub openid: OpenId,
    pub conversation: Conversation,
    pub up_to: Option<Seq>,
}

/// One page of a user's conversations, the one with the newest message first; those with nothing above the
/// cleared mark are left out.
#[derive(Debug)]
pub struct Conversations {
    pub openid: OpenId,
    pub kinds: Kinds,
    pub choice: Choice,
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

/// The unread messages of a user: an exact total, and the conversations that have some, the one with the
/// newest message first.
#[derive(Debug)]
pub struct Unread {
    pub openid: OpenId,
    pub kinds: Kinds,
    /// How many conversations are listed at most.
    pub limit: usize,
}

#[derive(Debug)]
pub struct UnreadSummary {
    pub total: i64,
    pub conversations: Vec<Listed>,
    pub has_more: bool,
}

/// Who may be shown that `openid` types in a conversation: of a direct one the other, once it has begun and
/// unless they have blocked `openid`.
#[derive(Debug)]
pub struct TypingAudience {
    pub openid: OpenId,
    pub conversation: Conversation,
}
