//! Who answers on a user's socket: the session, and its way to the chat; or one who only says why the user is
//! not let in.

use std::sync::Arc;

use actix::Recipient;

use super::driver::{ConnectionHandler, Driver, Next};
use super::{Outcome, Session, SessionEvent, Shared};
use crate::chat::messages::{Acknowledge, Connect, Disconnect, Look, OpenChat, Typing, Wake};
use crate::chat::outbox::Outbox;
use crate::event::revocation::Issued;
use crate::ids::{Device, HttpRequestId, OpenId, SessionId};
use crate::protocol::{CallerError, ClientFeatures, Close, Dialect, outbound};
use crate::store::Sight;

/// Who connects, and with what.
pub struct Hello {
    pub openid: OpenId,
    pub dialect: Dialect,
    pub device: Option<Device>,
    pub features: ClientFeatures,
    pub issued: Issued,
    pub open_chat: Option<OpenId>,
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
pub struct ChatConnection(Kind);

enum Kind {
    Session {
        session: Session,
        /// What the chat is told at the start.
        announce: Option<Box<(Option<Device>, Issued)>>,
    },
    /// Is told why, and nothing else.
    Refused,
}

impl Driver {
    pub fn open(hello: Hello, shared: &Arc<Shared>) -> Self {
        let session = Session::new(SessionId::fresh(), &hello, shared.clone());
        if let Some(line) = session.trace("connected") {
            match session.features.names() {
                Some(names) => line.text("features", names).write(),
                None => line.write(),
            }
        }
        let Hello { dialect, device, issued, .. } = hello;
        let kind = Kind::Session { session, announce: Some(Box::new((device, issued))) };
        Self::new(ChatConnection(kind), dialect, shared.outboxes.clone())
    }

    pub fn refuse(refusal: Refusal, shared: &Shared) -> Self {
        let Refusal { dialect, error, close } = refusal;
        shared.metrics.errors.inc(error.code);
        shared.metrics.session_closes.inc(close.kind());
        let mut driver = Self::new(ChatConnection(Kind::Refused), dialect, shared.outboxes.clone());
        driver.farewell(outbound::Failure { error: &error, id: None, client_msg_id: None }.encode(), close);
        driver
    }
}

impl ConnectionHandler for ChatConnection {
    /// Announces the session.
    fn started(&mut self, outbox: &Arc<Outbox>, wake: Recipient<Wake>) -> Next {
        let Kind::Session { session, announce } = &mut self.0 else { return Next::Deliver };
        if let Some(announce) = announce.take() {
            let (device, issued) = *announce;
            let (openid, dialect, open_chat) =
                (session.openid.clone(), session.dialect, session.open_chat.clone());
            session.shared.store.saw(&openid, Sight::Here);
            let (session, chat, outbox) = (session.id, &session.shared.chat, outbox.clone());
            chat.do_send(Connect { openid, session, dialect, device, issued, open_chat, outbox, wake });
        }
        Next::Nothing
    }

    fn text(&mut self, text: &str, now: u64) -> Outcome {
        match &mut self.0 {
            Kind::Session { session, .. } => session.frame(text, now),
            Kind::Refused => Outcome::Done,
        }
    }

    fn report(&mut self, news: SessionEvent) {
        let Kind::Session { session, .. } = &self.0 else { return };
        let (openid, chat, session) = (session.openid.clone(), &session.shared.chat, session.id);
        match news {
            SessionEvent::ChatOpened(peer) => chat.do_send(OpenChat { openid, session, peer }),
            SessionEvent::Foreground(attention) => chat.do_send(Look { openid, session, attention }),
            SessionEvent::Acknowledged(receipt) => chat.do_send(Acknowledge(receipt)),
            SessionEvent::Typing(peer) => chat.do_send(Typing { openid, peer }),
        }
    }

    fn ended(&mut self, why: Close) {
        let Kind::Session { session, .. } = std::mem::replace(&mut self.0, Kind::Refused) else { return };
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
        session.shared.store.saw(&session.openid, Sight::Leaves);
        session.shared.chat.do_send(Disconnect { openid: session.openid, session: id, why });
    }
}
