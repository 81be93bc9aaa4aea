//! Error codes, with their HTTP statuses.

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

/// Code of an error that clients can act on (docs/PROTOCOL.md, "Words of `error`").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, VariantArray, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ErrorCode {
    BadRequest,
    BadFrame,
    Unauthorized,
    BadCode,
    OpenidMismatch,
    SenderMismatch,
    Blocked,
    BlockedByWechat,
    Banned,
    Forbidden,
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

impl ErrorCode {
    pub const ALL: &[Self] = Self::VARIANTS;

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The HTTP status that goes with the code.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadFrame => 400,
            Self::Unauthorized | Self::BadCode => 401,
            Self::OpenidMismatch
            | Self::SenderMismatch
            | Self::Blocked
            | Self::BlockedByWechat
            | Self::Banned
            | Self::Forbidden
            | Self::ContentRefused => 403,
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
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
