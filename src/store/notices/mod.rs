//! Notices to those who are away: the ledger of grants, what was sent, and who wants to be left alone.

use crate::event::Conversation;
use crate::ids::{OpenId, Seq, TemplateId};

mod commands;
mod queries;
pub(in crate::store) mod views;

/// How many grants of one user and template are kept at most.
pub const GRANTS: u32 = 100;

/// Changes how many messages of a template a user has agreed to.
#[derive(Debug)]
pub struct GrantChange {
    pub openid: OpenId,
    pub template: TemplateId,
    pub change: Granted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// They accepted a prompt: one more, [`GRANTS`] in all. The client and WeChat both tell it, and name it
    /// differently: what one tells within minutes of the other is taken for the same. Told again under the
    /// same name by the same, it does nothing.
    Accepted { by: Teller, key: String },
    /// WeChat says that there are none.
    Emptied,
}

/// Who tells that a prompt was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller {
    Client,
    WeChat,
}

/// Takes one grant to tell `openid` of what was written in a conversation, if that is still right at this moment
/// and nobody else tells them.
///
/// They are told once a stretch of unread messages: again only when they have read, cleared or answered what
/// they were told of. So an outcome that is unknown is never tried again.
#[derive(Debug)]
pub struct Reserve {
    pub openid: OpenId,
    pub conversation: Conversation,
    pub template: TemplateId,
    /// The message that asks for it, which must be unread.
    pub up_to: Seq,
    /// Who sends it.
    pub node: String,
    /// Whether it may be a conversation in which `openid` has never written.
    pub strangers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// To be settled under this id. `unread`: how many messages they have not read.
    Reserved {
        id: i64,
        unread: i64,
    },
    NotUnread,
    AlreadyTold,
    NoGrant,
    Muted,
    /// `openid` has never written there.
    Stranger,
}

/// Says what became of a reservation. Of anything but a reservation that is open it does nothing.
#[derive(Debug)]
pub struct Settle {
    pub id: i64,
    pub outcome: NoticeOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeOutcome {
    Sent {
        msgid: Option<String>,
    },
    /// Surely not sent: the grant is there again, and they may still be told.
    Returned,
    /// WeChat refused it, with this code.
    Failed {
        code: i32,
    },
    Unknown,
}

/// Reservations from before this time (Unix milliseconds) are [`NoticeOutcome::Unknown`]: whoever made them
/// has died or forgotten them.
#[derive(Debug)]
pub struct Abandon {
    pub reserved_before: i64,
}

/// Changes the settings of a user for one of their conversations; `None` stays as it is. Without the
/// conversation: [`crate::event::Refusal::NotFound`]. With as many pinned as there may be:
/// [`crate::event::Refusal::TooMany`].
#[derive(Debug)]
pub struct ConversationSettings {
    pub openid: OpenId,
    pub conversation: Conversation,
    pub muted: Option<bool>,
    pub pinned: Option<bool>,
    /// How many conversations the user may have pinned; 0: no limit.
    pub pinned_limit: u32,
}

/// Sets when a user is left alone; `None`: never.
#[derive(Debug)]
pub struct QuietHours {
    pub openid: OpenId,
    pub quiet: Option<Quiet>,
}

/// Hours of every day, by the user's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Minutes since midnight, of the first quiet one …
    pub from_minute: u16,
    /// … and of the first that is not; less than `from_minute` where midnight is in between.
    pub to_minute: u16,
    pub utc_offset_minutes: i16,
}

/// How it stands with those who may have to be told, each of (recipient, conversation, the message that asks for it).
/// Those to whom that message is no longer unread are left out.
#[derive(Debug)]
pub struct NoticeCandidates {
    pub template: TemplateId,
    pub of: Vec<(OpenId, Conversation, Seq)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub recipient: OpenId,
    pub conversation: Conversation,
    pub unread: i64,
    /// When the newest message was sent, Unix milliseconds.
    pub newest: i64,
    /// Of the other one of a direct conversation; empty where they have set none.
    pub nickname: String,
    pub granted: bool,
    pub muted: bool,
    /// Whether the recipient has ever written there.
    pub has_written: bool,
    /// The recipient's.
    pub quiet: Option<Quiet>,
}

/// What a user has agreed to, and when they are left alone.
#[derive(Debug)]
pub struct NoticeState {
    pub openid: OpenId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeStanding {
    /// By template; none that is at 0.
    pub grants: Vec<(TemplateId, u32)>,
    pub quiet: Option<Quiet>,
}

/// Who has a grant and has not been told of what they have not read, the newest of it sent at or after `at`
/// (Unix milliseconds): what was not done when a process ended. A page looks at so many users who have a
/// grant.
#[derive(Debug)]
pub struct UntoldSince {
    pub template: TemplateId,
    pub at: i64,
    pub limit: usize,
    pub after: Option<OpenId>,
    /// Whether conversations count in which the user has not written.
    pub strangers: bool,
}

#[derive(Debug)]
pub struct UntoldPage {
    /// Recipient, conversation, last seq.
    pub untold: Vec<(OpenId, Conversation, Seq)>,
    /// Set when there are more users.
    pub next: Option<OpenId>,
}
