//! What every transport of a session does with what comes in and what goes out: the transports only move
//! bytes, and a [`ConnectionHandler`] says what a text leads to.

use std::rc::Rc;
use std::sync::Arc;

use actix::Recipient;
use actix_http::ws::{CloseCode, CloseReason, Message};
use bytes::Bytes;
use bytestring::ByteString;

use super::Outcome;
use super::connection::ChatConnection;
use super::gate::Gate;
use super::message_stream::SocketEvent;
use super::sync_reply::{Answered, Ask, SyncReply};
use crate::chat::messages::Wake;
use crate::chat::outbox::{Bounds, Outbox, Pushed, monotonic_ms};
use crate::protocol::{Close, Dialect};

/// Bytes handed to a transport in one go. It buffers them whole, so this is what a socket costs beside its
/// outbox.
const TAKE_BYTES: usize = 64 * 1024;

/// How long a peer may take to answer a close.
pub const CLOSE_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// Who answers on the server's side of a socket.
pub trait ConnectionHandler: Unpin + 'static {
    /// The transport runs; `wake` is how others reach it once they have put something into the outbox.
    fn started(&mut self, outbox: &Arc<Outbox>, wake: Recipient<Wake>) -> Next;

    /// What one whole text leads to. `now` is monotonic, in milliseconds.
    fn text(&mut self, text: &str, now: u64) -> Outcome;

    /// The transport has ended, if by a panic.
    fn ended(&mut self, _why: Close) {}
}

/// What a transport asks, and its way to those who have something for it.
pub struct Driver<H: ConnectionHandler = ChatConnection> {
    handler: H,
    dialect: Dialect,
    outbox: Arc<Outbox>,
    gate: Rc<Gate>,
    sync_reply: SyncReply,
    /// The answer to the last ping; older ones need none (RFC 6455 §5.5.3).
    pong: Option<Bytes>,
    /// The first frame, `init` or a refusal, is on its way: what the peer sent meanwhile may be read.
    handshake_sent: bool,
    /// What comes in is no longer looked at.
    read_closed: bool,
    end: End,
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

impl<H: ConnectionHandler> Driver<H> {
    /// Reads nothing before the first frame is out, or [`Gate::open`] is called.
    pub fn new(handler: H, dialect: Dialect, bounds: Arc<Bounds>) -> Self {
        let outbox = Arc::new(Outbox::new(bounds, monotonic_ms()));
        Self {
            handler,
            dialect,
            outbox,
            gate: Gate::new(),
            sync_reply: SyncReply::default(),
            pong: None,
            handshake_sent: false,
            read_closed: false,
            end: End::Open,
        }
    }

    /// Says one thing and ends.
    pub(super) fn farewell(&mut self, frame: ByteString, close: Close) {
        let _ = self.tell(frame);
        let _ = self.close(close);
    }

    /// The credit that its reader spends.
    pub fn gate(&self) -> Rc<Gate> {
        self.gate.clone()
    }

    /// Tells its handler that the transport runs.
    pub fn started(&mut self, wake: Recipient<Wake>) -> Next {
        self.handler.started(&self.outbox, wake)
    }

    pub fn received(&mut self, said: SocketEvent) -> Next {
        if self.read_closed {
            self.gate.give_back(1);
            return match (&self.end, said) {
                (End::Closed(_), SocketEvent::Close(_)) => Next::Stop,
                _ => Next::Nothing,
            };
        }
        let now = monotonic_ms();
        self.outbox.heard(now);
        match said {
            SocketEvent::Text(text) => self.text(&text, now),
            SocketEvent::Ping(bytes) => {
                self.pong = Some(bytes);
                Next::Deliver
            }
            SocketEvent::Pong => Next::Nothing,
            SocketEvent::Close(reason) => {
                self.read_closed = true;
                // RFC 6455 §5.5.1: the answer carries the same code.
                self.end = End::Answering(reason.map(|r| CloseReason { code: r.code, description: None }));
                Next::Deliver
            }
            SocketEvent::Fault(close) => self.close(close),
        }
    }

    fn text(&mut self, text: &str, now: u64) -> Next {
        let outcome = self.handler.text(text, now);
        if !matches!(outcome, Outcome::Submitted) {
            self.gate.give_back(1);
        }
        match outcome {
            Outcome::Submitted => {
                if self.gate.is_shut() {
                    self.outbox.wake_on_next_credit();
                    self.gate.give_back(self.outbox.take_answered());
                }
                Next::Nothing
            }
            Outcome::Done => Next::Nothing,
            Outcome::Reply(frame) => self.tell(frame),
            Outcome::Sync(ask) => match self.sync_reply.begin(*ask) {
                Ok(ask) => Next::Ask(Box::new(ask)),
                Err(frame) => self.tell(frame),
            },
            Outcome::Farewell(frame, close) => {
                let told = self.tell(frame);
                let closed = self.close(close);
                if matches!(told, Next::Deliver) { told } else { closed }
            }
        }
    }

    /// The answer to a [`Next::Ask`] has come: it goes out with [`Driver::outgoing`].
    pub fn answered(&mut self, answered: Answered) {
        self.sync_reply.answered(answered);
    }

    fn tell(&self, frame: ByteString) -> Next {
        after(self.outbox.push(frame))
    }

    /// Ends the session after what is queued for it.
    fn close(&mut self, close: Close) -> Next {
        self.read_closed = true;
        after(self.outbox.close(close))
    }

    /// What is to be written now. Empty once our close was given out.
    pub fn outgoing(&mut self) -> Outgoing {
        if matches!(self.end, End::Closed(_)) {
            return Outgoing::default();
        }
        let taken = self.outbox.take(TAKE_BYTES);
        if !self.handshake_sent && !taken.frames.is_empty() {
            self.handshake_sent = true;
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
            messages.extend(self.sync_reply.take().map(Message::Text));
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
                self.read_closed = true;
                Then::AwaitClose
            }
            _ => Then::Stay,
        };
        Outgoing { messages, more: taken.more || self.sync_reply.has_more(), then }
    }

    /// The transport was woken and cannot write now: answers that came give their credit back, and a session
    /// that is to end hears nothing more.
    pub fn stuck(&mut self) {
        self.gate.give_back(self.outbox.take_answered());
        self.read_closed |= self.is_ending();
    }

    /// Whether the session is to end, though what is queued before its close may not be out yet.
    pub fn is_ending(&self) -> bool {
        self.outbox.ordered().is_some()
    }
}

impl<H: ConnectionHandler> Drop for Driver<H> {
    fn drop(&mut self) {
        let why = match &self.end {
            End::Closed(close) => close.clone(),
            _ => self.outbox.ordered().unwrap_or(Close::Normal),
        };
        let _ = self.outbox.close(Close::Normal);
        self.handler.ended(why);
    }
}

fn after(pushed: Pushed) -> Next {
    match pushed {
        Pushed::Wake | Pushed::Overflow => Next::Deliver,
        Pushed::Queued | Pushed::Closed => Next::Nothing,
    }
}
