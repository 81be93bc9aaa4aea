//! Overview of a user's conversations: plain values that the store answers with.

use super::cursor::SyncCursor;
use super::{Conversation, Message};
use crate::ids::{Address, Seq};

/// One conversation as one of its members sees it. Every seq means "up to this one, itself included".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub conversation: Conversation,
    pub last_seq: Seq,
    pub cleared_seq: Seq,
    pub read_seq: Seq,
    pub recv_seq: Seq,
    /// Marks of the other one of a direct conversation; zero until they have sent something (a stranger does
    /// not learn that you read them).
    pub peer_read_seq: Seq,
    pub peer_recv_seq: Seq,
    pub unread: i64,
    /// The member wants no notices of it.
    pub muted: bool,
    /// The member wants it before the others.
    pub pinned: bool,
}

/// Where a page of the conversation list ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlace {
    /// When its last message was stored, by the store's own time.
    pub last_at: i64,
    pub address: Address,
}

/// A conversation with the messages of it that somebody missed, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub overview: Overview,
    pub messages: Vec<Message>,
    /// Named by the asker: more follow. Else: older ones are in history.
    pub has_more: bool,
}

/// What somebody missed, or the first part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncPage {
    pub conversations: Vec<Missed>,
    /// Ask again, with this cursor.
    pub has_more: bool,
    /// All that changed before the first of these answers has been told.
    pub caught_up: bool,
    pub cursor: SyncCursor,
}
