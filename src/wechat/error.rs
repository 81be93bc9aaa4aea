//! Errors of calls to WeChat. No error here carries a URL: the AppSecret stands in it.

use crate::metrics::WeChatResult;

/// Why a code gave no openid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    #[error("the code is malformed, expired or used")]
    BadCode,
    #[error("WeChat asks to wait")]
    RateLimited { retry_after_ms: u64 },
    #[error("WeChat blocked this user")]
    Blocked,
    #[error("WeChat cannot be reached or is misconfigured")]
    Unavailable,
}

/// Why a call to WeChat gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// None was made, so nothing was asked.
    #[error("no connection")]
    Connect,
    /// One was made and broke off before the answer; it may have been heard.
    #[error("the connection broke off")]
    Broken,
    #[error("no answer in time")]
    Timeout,
    #[error("HTTP {0}")]
    Status(u16),
    #[error("an answer that cannot be read")]
    Body,
    /// `rid` is WeChat's name of the request, for its support.
    #[error("errcode {code} (rid {rid})")]
    Code { code: i64, rid: String },
    #[error("too many calls at once")]
    Busy,
}

impl Failure {
    /// Whether the same call may do better in a moment. A time-out is not tried again: the code may be used
    /// up by then, and with the wait behind it the user is better served by a fresh one.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect | Self::Broken => true,
            Self::Status(status) => *status >= 500,
            Self::Code { code, .. } => *code == BUSY,
            Self::Timeout | Self::Body | Self::Busy => false,
        }
    }

    /// Whether it is the access_token that was refused.
    pub fn is_of_token(&self) -> bool {
        matches!(self, Self::Code { code: TOKEN_INVALID | TOKEN_MALFORMED | TOKEN_EXPIRED, .. })
    }

    /// The result in metrics.
    pub fn result(&self) -> WeChatResult {
        match self {
            Self::Connect => WeChatResult::Connect,
            Self::Broken => WeChatResult::Broken,
            Self::Timeout => WeChatResult::Timeout,
            Self::Status(_) => WeChatResult::Status,
            Self::Body => WeChatResult::Body,
            Self::Busy => WeChatResult::TooMany,
            Self::Code { code, .. } => match *code {
                BUSY => WeChatResult::Busy,
                40029 | 40163 | 41008 => WeChatResult::BadCode,
                45009 | 45011 => WeChatResult::RateLimited,
                40226 => WeChatResult::Blocked,
                TOKEN_INVALID | TOKEN_MALFORMED | TOKEN_EXPIRED => WeChatResult::BadToken,
                INACTIVE => WeChatResult::Inactive,
                NO_GRANT => WeChatResult::NoGrant,
                _ => WeChatResult::Errcode,
            },
        }
    }
}

/// "System busy, try again".
pub const BUSY: i64 = -1;
pub const TOKEN_INVALID: i64 = 40001;
const TOKEN_MALFORMED: i64 = 40014;
const TOKEN_EXPIRED: i64 = 42001;
/// This user has not been in the mini-program for two hours: WeChat judges no text of theirs.
pub const INACTIVE: i64 = 61010;
/// This user has refused the template, or all that they accepted is used up.
pub const NO_GRANT: i64 = 43101;

/// Why a message was not sent, or what is not known of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// It surely never went out, for no fault of its own: it may be sent again.
    #[error("not sent: {0}")]
    NotSent(Failure),
    /// WeChat refused it, and used nothing up.
    #[error("refused: errcode {code} (rid {rid})")]
    Refused { code: i64, rid: String },
    /// It may have gone out: sent again, it might be there twice.
    #[error("unknown: {0}")]
    Unknown(Failure),
}

impl From<Failure> for SendFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            failure if failure.is_of_token() => Self::NotSent(failure),
            Failure::Code { code, rid } => Self::Refused { code, rid },
            Failure::Connect | Failure::Busy => Self::NotSent(failure),
            // The server did not take the request for one of its own; a 5xx may come from a proxy that had
            // passed it on.
            Failure::Status(status) if status < 500 => Self::NotSent(failure),
            Failure::Broken | Failure::Timeout | Failure::Status(_) | Failure::Body => Self::Unknown(failure),
        }
    }
}

impl From<SendFailure> for Failure {
    fn from(failure: SendFailure) -> Self {
        match failure {
            SendFailure::NotSent(failure) | SendFailure::Unknown(failure) => failure,
            SendFailure::Refused { code, rid } => Self::Code { code, rid },
        }
    }
}

impl From<&Failure> for LoginRefused {
    fn from(failure: &Failure) -> Self {
        let Failure::Code { code, .. } = failure else { return Self::Unavailable };
        match *code {
            40029 | 40163 | 41008 => Self::BadCode,
            // A hundred a minute and user.
            45011 => Self::RateLimited { retry_after_ms: 60_000 },
            40226 => Self::Blocked,
            _ => Self::Unavailable,
        }
    }
}
