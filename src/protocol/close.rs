//! The close codes of docs/PROTOCOL.md: 4000–4499 mean "reconnect", 4500–4999 "do not, by yourself".

use super::{Dialect, ErrorCode};

/// Why the server closes a session.
#[derive(Debug, Clone, PartialEq, Eq, strum::EnumDiscriminants)]
#[strum_discriminants(
    name(CloseKind),
    doc = "A close without what comes with it.",
    derive(Hash, strum::VariantArray, strum::IntoStaticStr),
    strum(serialize_all = "snake_case")
)]
pub enum Close {
    /// The peer said farewell, or went without one.
    Normal,
    /// The node is leaving; the client comes back after this many milliseconds.
    Draining {
        retry_ms: u64,
    },
    SlowConsumer,
    HeartbeatTimeout,
    Internal,
    Overloaded {
        error: ErrorCode,
        retry_ms: u64,
    },
    /// Not with these credentials: `unauthorized`, `bad_code`, `openid_mismatch`, `blocked_by_wechat`.
    Refused {
        error: ErrorCode,
    },
    BadRequest,
    Replaced,
    Kicked,
    Banned,
    TooManyErrors,
    /// A proxy between ended the connection: its Close has no mask, which a client's always has.
    ProxyClosed,
    /// RFC 6455 §7.4.1.
    FrameTooBig,
    /// RFC 6455 §7.4.1: not UTF-8 in a text frame.
    InvalidUtf8,
    /// RFC 6455 §7.4.1: a frame that breaks the framing rules.
    ProtocolError,
    /// RFC 6455 §7.4.1: a binary frame.
    Unsupported,
}

impl CloseKind {
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::ProxyClosed => 1001,
            Self::ProtocolError => 1002,
            Self::Unsupported => 1003,
            Self::InvalidUtf8 => 1007,
            Self::FrameTooBig => 1009,
            Self::Draining => 4001,
            Self::SlowConsumer => 4002,
            Self::HeartbeatTimeout => 4003,
            Self::Internal => 4004,
            Self::Overloaded => 4005,
            Self::Refused => 4501,
            Self::BadRequest => 4502,
            Self::Replaced => 4503,
            Self::Kicked => 4504,
            Self::Banned => 4505,
            Self::TooManyErrors => 4506,
        }
    }
}

impl Close {
    pub fn kind(&self) -> CloseKind {
        self.into()
    }

    pub fn code(&self) -> u16 {
        self.kind().code()
    }

    /// The reason on the wire, under 124 bytes (RFC 6455 §5.5). A plain client gets the seed's own words.
    pub fn reason(&self, dialect: Dialect) -> String {
        match (self, dialect) {
            (Self::Refused { .. }, Dialect::Plain) => "无权限".into(),
            (Self::BadRequest, Dialect::Plain) => "参数缺失".into(),
            (Self::Refused { error }, Dialect::V1) => error.as_str().into(),
            (Self::Draining { retry_ms }, _) => format!("draining retry_ms={retry_ms}"),
            (Self::Overloaded { retry_ms, .. }, _) => format!("overloaded retry_ms={retry_ms}"),
            _ => self.label().into(),
        }
    }

    /// The name in metrics and logs.
    pub fn label(&self) -> &'static str {
        self.kind().into()
    }

    /// The close that goes with a refusal of the handshake.
    pub fn of_refusal(error: ErrorCode, retry_after_ms: Option<u64>) -> Self {
        match error {
            ErrorCode::BadRequest => Self::BadRequest,
            ErrorCode::Banned => Self::Banned,
            ErrorCode::Unauthorized
            | ErrorCode::BadCode
            | ErrorCode::OpenidMismatch
            | ErrorCode::BlockedByWechat => Self::Refused { error },
            _ => Self::Overloaded { error, retry_ms: retry_after_ms.unwrap_or(1_000) },
        }
    }
}
