//! Who answers on a user's socket: the session; or one who only says why the user is not let in.

use std::sync::Arc;

use actix::Recipient;

use super::driver::{ConnectionHandler, Driver, Next};
use super::{Outcome, Session, SessionPorts};
use crate::chat::messages::Wake;
use crate::chat::outbox::Outbox;
use crate::event::revocation::Issued;
use crate::ids::{Address, Device, HttpRequestId, OpenId, SessionId};
use crate::protocol::{CallerError, ClientFeatures, Close, Dialect, outbound};

/// Who connects, and with what.
pub struct Hello {
    pub openid: OpenId,
    pub dialect: Dialect,
    pub device: Option<Device>,
    pub features: ClientFeatures,
    pub issued: Issued,
    pub open_chat: Option<Address>,
    /// The request that asks for the session.
    pub request_id: Option<HttpRequestId>,
}

/// A user who is not let in: a mini-program cannot read a failed handshake, so it is told by one error frame
/// and a close code.
pub struct Refusal {
    pub dialect: Dialect,
    pub error: CallerError,
    pub close: Close,
}

/// The [`ConnectionHandler`] of a user's socket.
pub enum ChatConnection {
    Session(Session),
    /// Is told why, and nothing else.
    Refused,
}

impl Driver {
    pub fn open(hello: Hello, ports: &Arc<SessionPorts>) -> Self {
        let dialect = hello.dialect;
        let session = Session::new(SessionId::fresh(), hello, ports.clone());
        if let Some(line) = session.trace("connected") {
            match session.features.names() {
                Some(names) => line.text("features", names).write(),
                None => line.write(),
            }
        }
        Self::new(ChatConnection::Session(session), dialect, ports.outboxes.clone())
    }

    pub fn refuse(refusal: Refusal, ports: &SessionPorts) -> Self {
        let Refusal { dialect, error, close } = refusal;
        ports.metrics.errors.inc(error.code);
        ports.metrics.session_closes.inc(close.kind());
        let mut driver = Self::new(ChatConnection::Refused, dialect, ports.outboxes.clone());
        driver.farewell(outbound::Failure { error: &error, id: None, client_msg_id: None }.encode(), close);
        driver
    }
}

impl ConnectionHandler for ChatConnection {
    fn started(&mut self, outbox: &Arc<Outbox>, wake: Recipient<Wake>) -> Next {
        match self {
            Self::Session(session) => {
                session.register(outbox, wake);
                Next::Nothing
            }
            Self::Refused => Next::Deliver,
        }
    }

    fn text(&mut self, text: &str, now: u64) -> Outcome {
        match self {
            Self::Session(session) => session.frame(text, now),
            Self::Refused => Outcome::Done,
        }
    }

    fn ended(&mut self, why: Close) {
        let Self::Session(session) = std::mem::replace(self, Self::Refused) else { return };
        if let Some(line) = session.trace("disconnected") {
            line.number("code", why.code().into()).text("reason", why.label()).write();
        }
        let request_id = session.request_id.as_ref().map_or("", HttpRequestId::as_str);
        let (openid, id, reason) = (session.openid.as_str(), session.id, why.label());
        match why {
            Close::Normal | Close::ProxyClosed | Close::Draining { .. } => {
                log::debug!(openid = openid, session:% = id, request_id, code = why.code(), reason = reason; "session ended");
            }
            _ => {
                log::info!(openid = openid, session:% = id, request_id, code = why.code(), reason = reason; "session closed")
            }
        }
        session.leave(why);
    }
}
