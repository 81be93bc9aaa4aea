//! What callers are told when something is refused, over sockets and HTTP alike: each text once, under the code
//! that programs act on and that has its HTTP status ([`ErrorCode::status`]).

use std::borrow::Cow;

use super::ErrorCode;
use crate::event::Refusal;

/// A refusal as the caller sees it. The text is for people and holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", code.as_str())]
pub struct CallerError {
    pub code: ErrorCode,
    pub text: Cow<'static, str>,
    /// Milliseconds after which trying again makes sense; `None` where waiting does not help.
    pub retry_after_ms: Option<u64>,
}

impl CallerError {
    /// One whose text says what was given or is allowed.
    pub fn worded(code: ErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: Cow::Owned(text.into()), retry_after_ms: None }
    }

    /// The same, to be tried again after so many milliseconds.
    #[must_use]
    pub fn after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

/// The wait that is asked for where nobody knows how long something will be away.
const WAIT_WHEN_AWAY_MS: u64 = 1_000;

/// Declares the table: texts by the code that goes with them, and the wait that is asked for where it is always the
/// same.
macro_rules! errors {
    ($($code:ident { $($name:ident: $text:literal $(=> $wait:expr)?,)+ })+) => {
        $($(
            pub const $name: CallerError = CallerError {
                code: ErrorCode::$code,
                text: Cow::Borrowed($text),
                retry_after_ms: errors!(@wait $($wait)?),
            };
        )+)+

        #[cfg(test)]
        const ALL: &[CallerError] = &[$($($name,)+)+];
    };
    (@wait) => { None };
    (@wait $wait:expr) => { Some($wait) };
}

errors! {
    BadRequest {
        BEARER_ALONE: "a bearer subprotocol needs hongyan.v1 beside it",
        BLOCKS_ONESELF: "cannot block yourself",
        BODY_CUT: "the body did not come whole",
        BODY_LATE: "the body did not come in time",
        BODY_MISFIT: "the body lacks a field, or one of them has a value of the wrong kind",
        BODY_NO_JSON: "the body is not JSON",
        BODY_NO_OBJECT: "the body is not a JSON object",
        CODE_EMPTY: "the code is empty",
        CODE_MISSING: "code is missing",
        CURSOR_FOREIGN: "the cursor is none that this server gave",
        FOR_S_OUT_OF_RANGE: "for_s must be from 1 to a hundred years",
        GRANT_ID_MALFORMED: "id must be [A-Za-z0-9_-]{1,64}",
        LIMIT_OUT_OF_RANGE: "limit must be from 1 to 100",
        OPENIDS_MALFORMED: "openids must be 1 to 100 of [A-Za-z0-9_-]{1,64}, separated by commas",
        PATH_MALFORMED: "the path is malformed",
        PATH_NO_OPENID: "the path is no openid",
        PEER_MALFORMED: "peer must be [A-Za-z0-9_-]{1,64}",
        QUERY_MISFIT: "the query lacks a parameter, or one of them has a value of the wrong kind",
        QUERY_UNREADABLE: "the query cannot be read",
        QUIET_HOURS_MALFORMED: "from and to must be HH:MM, utc_offset_minutes from -720 to 840",
        REASON_MALFORMED: "reason must be one line of at most 500 characters",
        TARGET_MALFORMED: "of is no target of an act",
        TO_MISSING: "to_user_openid is missing",
        TO_NO_OPENID: "to_user_openid is no openid",
        TWO_ENDS: "until and for_s exclude each other",
        UNTIL_OUT_OF_RANGE: "until must be in the future, and within a hundred years",
        WEBSOCKET_ONLY: "this path takes WebSocket connections only: a GET with an upgrade, version 13 and a key",
    }
    BadFrame {
        CLIENT_MSG_ID_MISSING: "client_msg_id is missing",
        MESSAGE_MISSING: "message is missing",
        NO_CHAT_OPEN: "to_user_openid is missing, and no chat is open",
        TYPE_MISSING: "type is missing",
        TYPE_RESERVED: "this type is not a message",
        TYPE_UNKNOWN: "unknown type",
    }
    Unauthorized {
        CREDENTIAL_MISSING: "neither a token nor a code is given",
        KEY_MISSING: "send the secret of a key of admin.keys as Authorization: Bearer",
        TOKEN_INVALID: "the token is not valid: log in again",
        TOKEN_MISSING: "log in, and send the token as Authorization: Bearer",
    }
    BadCode {
        CODE_REFUSED: "the code is malformed, expired or used: call wx.login again",
    }
    OpenidMismatch {
        PATH_OF_ANOTHER: "the path names another user than the one who logged in",
    }
    SenderMismatch {
        SENDER_IS_ANOTHER: "from_user_openid is not who logged in",
    }
    Blocked {
        BLOCKED_BY_PEER: "the recipient takes nothing from you",
    }
    BlockedByWechat {
        BLOCKED_BY_WECHAT: "WeChat blocked this user",
    }
    Banned {
        BANNED: "this user is banned",
    }
    Forbidden {
        BAN_FOR_GOOD: "a ban for good takes the scope manage; with moderate it has an end",
    }
    ContentRefused {
        CONTENT_REFUSED: "this may not be said here",
    }
    NotFound {
        CONVERSATION_UNKNOWN: "you have no conversation with this user",
        MESSAGE_UNKNOWN: "there is no such message of yours",
        METHOD_UNKNOWN: "this path does not take this method",
        PATH_UNKNOWN: "there is nothing at this path",
        QUOTED_UNKNOWN: "there is no such message to quote",
        REVIEW_UNKNOWN: "there is no such review",
        TEMPLATE_UNKNOWN: "this server sends no notices by that template",
        USER_UNKNOWN: "nobody has seen this user here",
    }
    Conflict {
        CLIENT_MSG_ID_USED: "this client_msg_id was used for another message",
        RECALLED_ALREADY: "it was recalled already",
    }
    RecallExpired {
        RECALL_EXPIRED: "the message is too old to be recalled",
    }
    TooLarge {
        LIST_FULL: "the list is full: take somebody off it first",
        PINS_FULL: "too many are pinned: unpin one first",
    }
    RateLimited {
        TOO_MANY_ANSWER_BYTES: "too many bytes of answers",
        BAD_CODES_OF_ADDRESS: "too many bad codes from this address",
        TOO_MANY_CALLS: "too many calls: wait a little",
        CONNECTIONS_OF_ADDRESS: "too many connections from this address",
        TOO_MANY_CONTROL_FRAMES: "too many control frames",
        DEVICE_REPLACED: "this device was connected anew too often",
        TOO_MANY_FRAME_BYTES: "too many bytes: this frame was not read",
        HANDSHAKES_OF_ADDRESS: "too many logins and handshakes from this address",
        TOO_MANY_MESSAGES: "too many messages",
        SESSIONS_OF_ADDRESS: "too many sessions from this address" => WAIT_WHEN_AWAY_MS,
        PRESENCE_UNDER_WAY: "the answer to an earlier presence is on its way" => WAIT_WHEN_AWAY_MS,
        SYNC_UNDER_WAY: "the answer to an earlier sync is on its way" => WAIT_WHEN_AWAY_MS,
        TOO_FAST: "too fast",
        WECHAT_WAIT: "WeChat asks to wait",
    }
    Internal {
        INTERNAL: "the server failed",
    }
    Unavailable {
        TOO_MANY_CONNECTIONS: "too many connections",
        TOO_MANY_HANDSHAKES: "too many connect at once",
        SERVER_LEAVING: "the server is leaving" => WAIT_WHEN_AWAY_MS,
        NOT_STORED: "not stored for certain: send it again under the same client_msg_id" => WAIT_WHEN_AWAY_MS,
        PRESENCE_UNAVAILABLE: "the server cannot tell now who is there: ask again" => WAIT_WHEN_AWAY_MS,
        SERVER_BUSY: "the server is busy: send it again under the same client_msg_id" => WAIT_WHEN_AWAY_MS,
        SERVER_FULL: "the server is full" => WAIT_WHEN_AWAY_MS,
        SYNC_UNAVAILABLE: "the server cannot tell now what was missed: ask again" => WAIT_WHEN_AWAY_MS,
        UNAVAILABLE: "the server cannot do this now" => WAIT_WHEN_AWAY_MS,
    }
    WechatUnavailable {
        WECHAT_UNAVAILABLE: "WeChat does not answer" => WAIT_WHEN_AWAY_MS,
    }
}

pub fn body_too_large(kib: usize) -> CallerError {
    CallerError::worded(ErrorCode::TooLarge, format!("the body is larger than {kib} KiB"))
}

pub fn message_too_long(bytes: usize) -> CallerError {
    CallerError::worded(ErrorCode::TooLarge, format!("message is longer than {bytes} bytes"))
}

pub fn fields_too_long(bytes: usize) -> CallerError {
    CallerError::worded(ErrorCode::TooLarge, format!("the fields are longer than {bytes} bytes"))
}

pub fn scope_missing(takes: &str) -> CallerError {
    CallerError::worded(ErrorCode::Forbidden, format!("this key lacks a scope: the call takes {takes}"))
}

impl From<Refusal> for CallerError {
    fn from(why: Refusal) -> Self {
        match why {
            Refusal::Conflict => CLIENT_MSG_ID_USED,
            Refusal::RateLimited { retry_after_ms } => TOO_FAST.after(retry_after_ms),
            Refusal::Blocked => BLOCKED_BY_PEER,
            Refusal::NotFound => MESSAGE_UNKNOWN,
            Refusal::NothingToQuote => QUOTED_UNKNOWN,
            Refusal::RecallExpired => RECALL_EXPIRED,
            Refusal::TooMany => LIST_FULL,
            Refusal::ContentRefused => CONTENT_REFUSED,
            Refusal::Unavailable => NOT_STORED,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_text_stands_once() {
        let texts: BTreeSet<&str> = ALL.iter().map(|error| &*error.text).collect();
        assert_eq!(texts.len(), ALL.len());
    }

    #[test]
    fn every_code_has_a_text() {
        let worded = [body_too_large(1), message_too_long(1), fields_too_long(1), scope_missing("x")];
        let codes: Vec<ErrorCode> = ALL.iter().chain(&worded).map(|error| error.code).collect();
        assert!(ErrorCode::ALL.iter().all(|code| codes.contains(code)));
    }
}
