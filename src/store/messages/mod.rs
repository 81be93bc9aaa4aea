//! Messages: stored once each, and read as stretches of a conversation.

use crate::event::{Conversation, Draft, Finding, Message, Refusal};
use crate::ids::{OpenId, Seq};
use crate::store::Charge;

pub(in crate::store) mod allowance;
pub(in crate::store) mod content;
mod queries;
pub(in crate::store) mod quotes;
pub(in crate::store) mod rows;

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
