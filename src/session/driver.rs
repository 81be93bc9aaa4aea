//! What every transport of a session does with what comes in and what goes out: the transports only move bytes.

use std::rc::Rc;
use std::sync::Arc;

use actix::Recipient;
use actix_http::ws::{CloseCode, CloseReason, Message};
use bytes::Bytes;
use bytestring::ByteString;

use super::catch_up::{Answered, Ask, CatchUp};
use super::gate::Gate;
use super::incoming::Incoming;
use super::{News, Outcome, Session, Shared};
use crate::chat::messages::{Acknowledge, Connect, Disconnect, Look, OpenChat, Typing, Wake};
use crate::chat::outbox::{Outbox, Pushed, monotonic_ms};
use crate::ids::{Device, OpenId, SessionId};
use crate::metrics::{CloseLabel, ErrorLabel};
use crate::protocol::{Close, Dialect, Word, outbound};

/// Bytes handed to a transport in one go. It buffers them whole, so this is what a socket costs beside its outbox.
const TAKE_BYTES: usize = 64 * 1024;

/// When to ask again what was missed, while an earlier answer is on its way.
const SYNC_AGAIN_MS: u64 = 1_000;

/// How long a peer may take to answer a close.
pub const CLOSE_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// Who connects, and with what.
pub struct Hello {
    pub openid: OpenId,
    pub dialect: Dialect,
    pub device: Option<Device>,
    pub issued_ms: i64,
    pub open_chat: Option<OpenId>,
}

/// A user who is not let in: a mini-program cannot read a failed handshake, so it is told by one error frame and a close code.
pub struct Refusal {
    pub dialect: Dialect,
    pub word: Word,
    pub why: String,
    pub close: Close,
    pub retry_after_ms: Option<u64>,
}

/// A session and its way to the chat.
pub struct Driver {
    role: Role,
    dialect: Dialect,
    outbox: Arc<Outbox>,
    gate: Rc<Gate>,
    shared: Arc<Shared>,
    catch_up: CatchUp,
    /// The answer to the last ping; older ones need none (RFC 6455 §5.5.3).
    pong: Option<Bytes>,
    /// The first frame, `init` or a refusal, is on its way: what the peer sent meanwhile may be read.
    begun: bool,
    /// What comes in is no longer looked at.
    deaf: bool,
    end: End,
}

enum Role {
    Session {
        session: Session,
        /// What the chat is told at the start.
        announce: Option<Box<(Option<Device>, i64)>>,
    },
    /// Is told why, and nothing else.
    Refused,
}

enum End {
    Open,
    /// The peer's close is to be answered.
    Answering(Option<CloseReason>),
    /// Our close is out.
    Closed(Close),
}

/// What a transport does next.
#[must_use]
pub enum Next {
    Nothing,
    /// Take what goes out: [`Driver::outgoing`].
    Deliver,
    /// Ask, and hand the answer to [`Driver::answered`].
    Ask(Box<Ask>),
    /// The peer has answered our close.
    Stop,
}

/// What goes out, in order.
#[derive(Debug, Default)]
pub struct Outgoing {
    pub messages: Vec<Message>,
    /// There is more: come back once these are written.
    pub more: bool,
    pub then: Then,
}

/// What follows once the messages are written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    #[default]
    Stay,
    /// Our close is among them: the peer has [`CLOSE_WAIT`] to answer it.
    AwaitClose,
    /// The closing handshake is complete.
    Stop,
}

impl Driver {
    pub fn open(hello: Hello, shared: &Arc<Shared>) -> Self {
        let Hello { openid, dialect, device, issued_ms, open_chat } = hello;
        let session = Session::new(SessionId::fresh(), openid, dialect, open_chat, shared.clone());
        Self::new(Role::Session { session, announce: Some(Box::new((device, issued_ms))) }, dialect, shared)
    }

    pub fn refuse(refusal: Refusal, shared: &Arc<Shared>) -> Self {
        let Refusal { dialect, word, why, close, retry_after_ms } = refusal;
        shared.metrics.errors.get_or_create(&ErrorLabel { error: word.as_str() }).inc();
        shared.metrics.closes.get_or_create(&CloseLabel { code: close.code(), reason: close.label() }).inc();
        let mut driver = Self::new(Role::Refused, dialect, shared);
        let frame = outbound::Failure { word, why: &why, id: None, client_msg_id: None, retry_after_ms }.encode();
        let _ = driver.outbox.push(frame);
        let _ = driver.outbox.close(close);
        driver.deaf = true;
        driver
    }

    fn new(role: Role, dialect: Dialect, shared: &Arc<Shared>) -> Self {
        let outbox = Arc::new(Outbox::new(shared.limits.outbox_bytes, monotonic_ms()));
        Self {
            role,
            dialect,
            outbox,
            gate: Gate::new(),
            shared: shared.clone(),
            catch_up: CatchUp::default(),
            pong: None,
            begun: false,
            deaf: false,
            end: End::Open,
        }
    }

    /// The credit that its reader spends.
    pub fn gate(&self) -> Rc<Gate> {
        self.gate.clone()
    }

    /// Announces the session; `wake` is how the chat reaches the transport.
    pub fn started(&mut self, wake: Recipient<Wake>) -> Next {
        let Role::Session { session, announce } = &mut self.role else { return Next::Deliver };
        if let Some(announce) = announce.take() {
            let (device, issued_ms) = *announce;
            let (openid, dialect, open_chat) = (session.openid.clone(), session.dialect, session.open_chat.clone());
            let (session, outbox) = (session.id, self.outbox.clone());
            self.shared.chat.do_send(Connect { openid, session, dialect, device, issued_ms, open_chat, outbox, wake });
        }
        Next::Nothing
    }

    pub fn incoming(&mut self, said: Incoming) -> Next {
        if self.deaf {
            self.gate.give_back(1);
            return match (&self.end, said) {
                (End::Closed(_), Incoming::Close(_)) => Next::Stop,
                _ => Next::Nothing,
            };
        }
        let now = monotonic_ms();
        self.outbox.heard(now);
        match said {
            Incoming::Text(text) => self.text(&text, now),
            Incoming::Ping(bytes) => {
                self.pong = Some(bytes);
                Next::Deliver
            }
            Incoming::Pong => Next::Nothing,
            Incoming::Close(reason) => {
                self.deaf = true;
                // RFC 6455 §5.5.1: the answer carries the same code.
                self.end = End::Answering(reason.map(|r| CloseReason { code: r.code, description: None }));
                Next::Deliver
            }
            Incoming::Fault(close) => self.close(close),
        }
    }

    fn text(&mut self, text: &str, now: u64) -> Next {
        let Role::Session { session, .. } = &mut self.role else { return Next::Nothing };
        let outcome = session.frame(text, now);
        if !matches!(outcome, Outcome::Submitted) {
            self.gate.give_back(1);
        }
        match outcome {
            Outcome::Submitted => {
                if self.gate.is_shut() {
                    self.outbox.starve();
                    self.gate.give_back(self.outbox.take_answered());
                }
                Next::Nothing
            }
            Outcome::Done => Next::Nothing,
            Outcome::Reply(frame) => self.tell(frame),
            Outcome::Tell(news) => {
                let (openid, session) = (session.openid.clone(), session.id);
                self.report(openid, session, news);
                Next::Nothing
            }
            Outcome::Sync(id, request) => {
                if let Some(ask) = self.catch_up.begin(&self.shared, session.openid.clone(), id.as_ref(), *request) {
                    return Next::Ask(Box::new(ask));
                }
                let why = "the answer to an earlier sync is on its way";
                let frame = session.failure(Word::RateLimited, why, id.as_ref(), None, Some(SYNC_AGAIN_MS));
                self.tell(frame)
            }
            Outcome::Farewell(frame, close) => {
                let told = self.tell(frame);
                let closed = self.close(close);
                if matches!(told, Next::Deliver) { told } else { closed }
            }
        }
    }

    fn report(&self, openid: OpenId, session: SessionId, news: News) {
        let chat = &self.shared.chat;
        match news {
            News::Opened(peer) => chat.do_send(OpenChat { openid, session, peer }),
            News::Looks(attention) => chat.do_send(Look { openid, session, attention }),
            News::Acknowledged(receipt) => chat.do_send(Acknowledge(receipt)),
            News::Types(peer) => chat.do_send(Typing { openid, peer }),
        }
    }

    /// The answer to a [`Next::Ask`] has come: it goes out with [`Driver::outgoing`].
    pub fn answered(&mut self, answered: Answered) {
        self.catch_up.answered(answered);
    }

    fn tell(&self, frame: ByteString) -> Next {
        after(self.outbox.push(frame))
    }

    /// Ends the session after what is queued for it.
    fn close(&mut self, close: Close) -> Next {
        self.deaf = true;
        after(self.outbox.close(close))
    }

    /// What is to be written now. Empty once our close was given out.
    pub fn outgoing(&mut self) -> Outgoing {
        if matches!(self.end, End::Closed(_)) {
            return Outgoing::default();
        }
        let taken = self.outbox.take(TAKE_BYTES);
        if !self.begun && !taken.frames.is_empty() {
            self.begun = true;
            self.gate.open();
        }
        self.gate.give_back(self.outbox.take_answered());
        let mut messages = Vec::with_capacity(taken.frames.len() + 1);
        messages.extend(self.pong.take().map(Message::Pong));
        if taken.ping {
            messages.push(Message::Ping(Bytes::new()));
        }
        messages.extend(taken.frames.into_iter().map(Message::Text));
        if taken.close.is_none() {
            messages.extend(self.catch_up.take().map(Message::Text));
        }
        let end = std::mem::replace(&mut self.end, End::Open);
        let then = match (end, taken.close) {
            (End::Answering(reason), _) => {
                messages.push(Message::Close(reason));
                self.end = End::Closed(Close::Normal);
                Then::Stop
            }
            (_, Some(close)) if !taken.more => {
                let (code, description) = (CloseCode::from(close.code()), Some(close.reason(self.dialect)));
                messages.push(Message::Close(Some(CloseReason { code, description })));
                self.end = End::Closed(close);
                self.deaf = true;
                Then::AwaitClose
            }
            _ => Then::Stay,
        };
        Outgoing { messages, more: taken.more || self.catch_up.has_more(), then }
    }

    /// The transport was woken and cannot write now: answers that came give their credit back, and a session that is to end hears
    /// nothing more.
    pub fn stuck(&mut self) {
        self.gate.give_back(self.outbox.take_answered());
        self.deaf |= self.is_ending();
    }

    /// Whether the session is to end, though what is queued before its close may not be out yet.
    pub fn is_ending(&self) -> bool {
        self.outbox.ordered().is_some()
    }
}

/// The transport has ended, if by a panic: the chat is told.
impl Drop for Driver {
    fn drop(&mut self) {
        let Role::Session { session, .. } = std::mem::replace(&mut self.role, Role::Refused) else { return };
        let why = match &self.end {
            End::Closed(close) => close.clone(),
            _ => self.outbox.ordered().unwrap_or(Close::Normal),
        };
        let _ = self.outbox.close(Close::Normal);
        let (openid, id, reason) = (session.openid.as_str(), session.id, why.label());
        match why {
            Close::Normal | Close::Draining { .. } => log::debug!(openid = openid, session:% = id; "session ended"),
            _ => log::info!(openid = openid, session:% = id, code = why.code(), reason = reason; "session closed"),
        }
        self.shared.chat.do_send(Disconnect { openid: session.openid, session: id, why });
    }
}

fn after(pushed: Pushed) -> Next {
    match pushed {
        Pushed::Wake | Pushed::Overflow => Next::Deliver,
        Pushed::Queued | Pushed::Closed => Next::Nothing,
    }
}
