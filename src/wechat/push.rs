//! What WeChat tells by itself: is it WeChat, and what does it say. Plain: no clock, no network.

use super::Suggest;
use crate::ids::OpenId;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// The result of a media check.
    MediaChecked { trace_id: String, appid: String, suggest: Suggest, label: i32 },
    /// WeChat could not judge it, for example because it could not fetch it.
    MediaUnchecked { trace_id: String, appid: String, code: i64 },
    /// What users did about subscribe messages, or what became of one; never empty.
    Subscribe(Vec<SubscribeChange>),
    /// Anything else.
    Other { event: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeChange {
    pub openid: OpenId,
    pub template_id: String,
    pub action: SubscribeAction,
    /// The same whenever WeChat tells this again, and of no other change.
    pub key: String,
    /// When it was, in Unix seconds.
    pub at_s: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscribeAction {
    /// She accepted a prompt: one message may be sent.
    Accepted,
    /// She declined a prompt.
    Rejected,
    /// She took the template away in WeChat's settings.
    Removed,
    /// A message reached her (code 0), or did not.
    Sent { code: i64, msgid: String },
}
