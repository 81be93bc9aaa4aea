//! The words of `error`, with their HTTP statuses.

use serde::Serialize;

/// What went wrong, in one word that clients can act on (docs/PROTOCOL.md, "Words of `error`").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    BadRequest,
    BadFrame,
    Unauthorized,
    BadCode,
    OpenidMismatch,
    SenderMismatch,
    Blocked,
    BlockedByWechat,
    Banned,
    ContentRefused,
    NotFound,
    Conflict,
    RecallExpired,
    TooLarge,
    RateLimited,
    Internal,
    Unavailable,
    WechatUnavailable,
}

impl Word {
    pub const ALL: [Self; 18] = [
        Self::BadRequest,
        Self::BadFrame,
        Self::Unauthorized,
        Self::BadCode,
        Self::OpenidMismatch,
        Self::SenderMismatch,
        Self::Blocked,
        Self::BlockedByWechat,
        Self::Banned,
        Self::ContentRefused,
        Self::NotFound,
        Self::Conflict,
        Self::RecallExpired,
        Self::TooLarge,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
        Self::WechatUnavailable,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::BadFrame => "bad_frame",
            Self::Unauthorized => "unauthorized",
            Self::BadCode => "bad_code",
            Self::OpenidMismatch => "openid_mismatch",
            Self::SenderMismatch => "sender_mismatch",
            Self::Blocked => "blocked",
            Self::BlockedByWechat => "blocked_by_wechat",
            Self::Banned => "banned",
            Self::ContentRefused => "content_refused",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::RecallExpired => "recall_expired",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::WechatUnavailable => "wechat_unavailable",
        }
    }

    /// The HTTP status that goes with the word.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadFrame => 400,
            Self::Unauthorized | Self::BadCode => 401,
            Self::OpenidMismatch | Self::SenderMismatch | Self::Blocked | Self::BlockedByWechat | Self::Banned | Self::ContentRefused => {
                403
            }
            Self::NotFound => 404,
            Self::Conflict | Self::RecallExpired => 409,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable | Self::WechatUnavailable => 503,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_spelling_is_the_serde_spelling() {
        for word in Word::ALL {
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
    }
}
