//! What the chat is told.

use std::sync::Arc;

use actix::{Message, Recipient};

use super::outbox::Outbox;
use crate::event::Receipt;
use crate::ids::{Device, OpenId, SessionId};
use crate::protocol::inbound::Attention;
use crate::protocol::{Close, Dialect};

/// A session announces itself. The first frame in its outbox is then `init`; or, where its label was taken over too often,
/// an error and the order to close.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Connect {
    pub openid: OpenId,
    pub session: SessionId,
    pub dialect: Dialect,
    /// `None`: the label that a user's sessions of one dialect share that have none of their own.
    pub device: Option<Device>,
    /// The issue time of the token that it logged in with, Unix milliseconds; of the login itself where a code was used.
    pub issued_ms: i64,
    pub open_chat: Option<OpenId>,
    pub outbox: Arc<Outbox>,
    pub wake: Recipient<Wake>,
}

/// Tells a session to look into its outbox.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct Wake;

/// A session is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Disconnect {
    pub openid: OpenId,
    pub session: SessionId,
    pub why: Close,
}

/// Which chat is on a session's screen.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OpenChat {
    pub openid: OpenId,
    pub session: SessionId,
    pub peer: Option<OpenId>,
}

/// Whether the user looks at the app on this session's device.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Look {
    pub openid: OpenId,
    pub session: SessionId,
    pub attention: Attention,
}

/// A session has received or read something, and waits for no answer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Acknowledge(pub Receipt);

/// `openid` types something to `peer`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Typing {
    pub openid: OpenId,
    pub peer: OpenId,
}

/// Closes live sessions of a user.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct EndSessions {
    pub openid: OpenId,
    pub which: Which,
    pub close: Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    All,
    /// Those that logged in at or before this time (Unix milliseconds).
    LoggedInUntil(i64),
    /// Those of the token with this issue time.
    Token(i64),
}

/// Closes every session with 4001, its `retry_ms` spread over `spread_ms`; answers how many there were.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct DrainSessions {
    pub spread_ms: u64,
}

/// How many sessions are in the map.
#[derive(Message, Clone, Copy)]
#[rtype(result = "usize")]
pub struct CountSessions;
