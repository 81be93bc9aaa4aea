//! What can go wrong with WeChat. No error here carries a URL: the AppSecret stands in it.

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
    #[error("no connection")]
    Connect,
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
    /// Whether the same call may do better in a moment. A time-out is not tried again: the code may be used up by then, and with the
    /// wait behind it the user is better served by a fresh one.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect => true,
            Self::Status(status) => *status >= 500,
            Self::Code { code, .. } => *code == BUSY,
            Self::Timeout | Self::Body | Self::Busy => false,
        }
    }

    /// The label in metrics: one of a small set.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Status(_) => "status",
            Self::Body => "body",
            Self::Busy => "too_many",
            Self::Code { code, .. } => match *code {
                BUSY => "busy",
                40029 | 40163 | 41008 => "bad_code",
                45011 => "rate_limited",
                40226 => "blocked",
                _ => "errcode",
            },
        }
    }
}

/// "System busy, try again".
pub const BUSY: i64 = -1;

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
