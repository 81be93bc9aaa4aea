//! Words of refused writes, as a session is told of them.

use crate::event::Refusal;
use crate::protocol::ErrorCode;

/// The error frame of a refusal.
pub(super) struct Wording {
    pub word: ErrorCode,
    pub text: &'static str,
    pub retry_after_ms: Option<u64>,
}

impl From<Refusal> for Wording {
    fn from(why: Refusal) -> Self {
        let (word, text, retry_after_ms) = match why {
            Refusal::Conflict => {
                (ErrorCode::Conflict, "this client_msg_id was used for another message", None)
            }
            Refusal::RateLimited { retry_after_ms } => {
                (ErrorCode::RateLimited, "too fast", Some(retry_after_ms))
            }
            Refusal::Blocked => (ErrorCode::Blocked, "the recipient takes nothing from you", None),
            Refusal::NotFound => (ErrorCode::NotFound, "there is no such message of yours", None),
            Refusal::RecallExpired => {
                (ErrorCode::RecallExpired, "the message is too old to be recalled", None)
            }
            Refusal::TooMany => (ErrorCode::TooLarge, "the list is full", None),
            Refusal::ContentRefused => (ErrorCode::ContentRefused, "this may not be said here", None),
            Refusal::Unavailable => (
                ErrorCode::Unavailable,
                "not stored for certain: send it again under the same client_msg_id",
                Some(1_000),
            ),
        };
        Self { word, text, retry_after_ms }
    }
}
