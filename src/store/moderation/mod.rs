//! Findings of content checks, and what operators decide about them.

use crate::event::{By, Conversation, Finding, Found, Source};
use crate::ids::{OpenId, Seq};

mod codes;
mod commands;
mod queries;

pub(in crate::store) use commands::{has_before, keep, lock};

/// Keeps a finding about a name. One about a message comes with the message, see [`Append`](crate::store::messages::Append).
#[derive(Debug)]
pub struct Audit {
    pub openid: OpenId,
    pub finding: Box<Finding>,
}

/// Notes what was decided on a finding. A recall is final; it is [`crate::event::Refusal::Conflict`] to pass
/// it afterwards.
#[derive(Debug)]
pub struct Decide {
    pub audit: i64,
    pub decision: Decision,
    /// WeChat's, where it is known only now; or 0.
    pub label: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Passed,
    /// Taken away: the message was recalled, or the name removed.
    Recalled,
    /// The result of a check of media is here, and somebody should look at it: what was pending waits for
    /// review now.
    Queued,
}

/// Takes out so many entries of a log from before a time (Unix milliseconds).
#[derive(Debug)]
pub struct Prune {
    pub log: PrunedLog,
    pub before: i64,
    pub rows: i64,
}

/// A log that is kept for some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrunedLog {
    /// Findings of checks, but none that somebody is still to look at.
    Findings,
    /// What operators did.
    Acts,
}

/// The message that WeChat's check of this name was about, if it was stored.
#[derive(Debug)]
pub struct MessageOfTrace {
    pub trace_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedMessage {
    pub audit: i64,
    pub sender: OpenId,
    pub conversation: Conversation,
    pub seq: Seq,
    pub source: Source,
    pub outcome: Found,
}

/// What somebody should look at: findings [`Found::Review`] that are not decided, of messages that are stored
/// and of names, by id.
#[derive(Debug)]
pub struct Reviews {
    pub limit: usize,
    pub after: Option<i64>,
}

#[derive(Debug)]
pub struct ReviewPage {
    pub reviews: Vec<Review>,
    /// Whether more follow the last one.
    pub has_more: bool,
}

/// One finding, whatever came of it, with what was decided on it.
#[derive(Debug)]
pub struct ReviewById {
    pub audit: i64,
}

/// A finding as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub audit: i64,
    /// Unix milliseconds.
    pub at: i64,
    pub openid: OpenId,
    /// None of a name.
    pub conversation: Option<Conversation>,
    /// None where nothing was stored.
    pub seq: Option<Seq>,
    pub source: Source,
    pub outcome: Found,
    pub by: By,
    pub label: i32,
    pub trace_id: String,
    pub text: Option<String>,
    pub decision: Option<Decision>,
}
