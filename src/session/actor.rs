//! The glue between a [`Session`] and actix-web-actors' WebSocket: no rule of the session lives here.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Handler, StreamHandler, WrapFuture};
use actix_http::ws::{Codec, Item};
use actix_web::web::Payload;
use actix_web_actors::ws::{CloseCode, CloseReason, Message, ProtocolError, WebsocketContext};
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::Stream;

use super::flow::{Gate, GuardedPayload};
use super::inbound::Reassembly;
use super::{Outcome, Session, Shared};
use crate::chat::messages::{Connect, Disconnect, OpenChat, Wake};
use crate::chat::outbox::{Outbox, monotonic_ms};
use crate::ids::{Device, OpenId, SessionId};
use crate::metrics::{CloseLabel, ErrorLabel};
use crate::protocol::{Close, Dialect, Word, outbound};

/// Bytes handed to the transport in one go. It buffers them whole, so this is what a socket costs beside its outbox.
const TAKE_BYTES: usize = 64 * 1024;

/// Before the rest of a full outbox is handed on. The transport polls its session, and with it this timer, only while it has room.
const TAKE_AGAIN: Duration = Duration::from_millis(1);

/// How long the peer may take to answer a close.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// What is read of a peer that broke a rule, until it has seen its close code.
const DISCARD_BYTES: usize = 16 * 1024 * 1024;

/// Who connects, and with what.
pub struct Hello {
    pub openid: OpenId,
    pub dialect: Dialect,
    pub device: Option<Device>,
    pub issued_ms: i64,
    pub open_chat: Option<OpenId>,
}

/// A user who is not let in.
pub struct Refusal {
    pub dialect: Dialect,
    pub word: Word,
    pub why: &'static str,
    pub close: Close,
}

/// The actor of one WebSocket. `Seat` is freed when it ends.
pub struct SessionActor<Seat> {
    role: Role,
    dialect: Dialect,
    outbox: Arc<Outbox>,
    gate: Rc<Gate<Payload>>,
    fragments: Reassembly,
    /// Our close is sent, or was answered.
    closed: Option<Close>,
    /// What comes in is no longer looked at.
    deaf: bool,
    _seat: Seat,
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

/// Starts a session on an upgraded connection; the stream is the body of the 101 answer.
pub fn open<Seat: Unpin + 'static>(
    hello: Hello,
    shared: &Arc<Shared>,
    seat: Seat,
    payload: Payload,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> + use<Seat> {
    let Hello { openid, dialect, device, issued_ms, open_chat } = hello;
    let session = Session::new(SessionId::fresh(), openid, dialect, open_chat, shared.clone());
    let outbox = Outbox::new(shared.limits.outbox_bytes, monotonic_ms());
    run(Role::Session { session, announce: Some(Box::new((device, issued_ms))) }, dialect, outbox, shared, seat, payload)
}

/// Tells a client why it is not let in, by one error frame and a close code: a mini-program cannot read a failed handshake.
pub fn refuse<Seat: Unpin + 'static>(
    refusal: Refusal,
    shared: &Arc<Shared>,
    seat: Seat,
    payload: Payload,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> + use<Seat> {
    let Refusal { dialect, word, why, close } = refusal;
    shared.metrics.errors.get_or_create(&ErrorLabel { error: word.as_str() }).inc();
    shared.metrics.closes.get_or_create(&CloseLabel { code: close.code(), reason: close.label() }).inc();
    let retry_after_ms = match close {
        Close::Overloaded { retry_ms, .. } => Some(retry_ms),
        _ => None,
    };
    let outbox = Outbox::new(shared.limits.outbox_bytes, monotonic_ms());
    let _ = outbox.push(outbound::Failure { word, why, id: None, client_msg_id: None, retry_after_ms }.encode());
    let _ = outbox.close(close);
    run(Role::Refused, dialect, outbox, shared, seat, payload)
}

fn run<Seat: Unpin + 'static>(
    role: Role,
    dialect: Dialect,
    outbox: Outbox,
    shared: &Arc<Shared>,
    seat: Seat,
    payload: Payload,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> + use<Seat> {
    let limits = shared.limits.inbound;
    let gate = Gate::new(payload);
    let guarded = GuardedPayload::new(limits, gate.clone());
    let deaf = matches!(role, Role::Refused);
    let outbox = Arc::new(outbox);
    let actor = SessionActor { role, dialect, outbox, gate, fragments: Reassembly::default(), closed: None, deaf, _seat: seat };
    WebsocketContext::with_codec(actor, guarded, Codec::new().max_size(limits.frame_bytes))
}

type Context<Seat> = WebsocketContext<SessionActor<Seat>>;

impl<Seat: Unpin + 'static> SessionActor<Seat> {
    fn text(&mut self, text: &str, now: u64, ctx: &mut Context<Seat>) {
        let Role::Session { session, .. } = &mut self.role else { return };
        let outcome = session.frame(text, now);
        if !matches!(outcome, Outcome::Submitted) {
            self.gate.give_back(1);
        }
        match outcome {
            Outcome::Done => {}
            Outcome::Submitted if self.gate.is_shut() => {
                self.outbox.starve();
                self.gate.give_back(self.outbox.take_answered());
            }
            Outcome::Submitted => {}
            Outcome::Reply(frame) => self.tell(frame, ctx),
            Outcome::Opened(peer) => session.opened(peer),
            Outcome::Farewell(frame, close) => {
                self.tell(frame, ctx);
                self.end(close, ctx);
            }
        }
    }

    fn whole(&mut self, text: Result<String, Close>, now: u64, ctx: &mut Context<Seat>) {
        match text {
            Ok(text) => self.text(&text, now, ctx),
            Err(close) => self.end(close, ctx),
        }
    }

    fn tell(&mut self, frame: ByteString, ctx: &mut Context<Seat>) {
        let pushed = self.outbox.push(frame);
        self.after(pushed, ctx);
    }

    /// Ends the session after what is queued for it.
    fn end(&mut self, close: Close, ctx: &mut Context<Seat>) {
        self.deaf = true;
        let pushed = self.outbox.close(close);
        self.after(pushed, ctx);
    }

    fn after(&mut self, pushed: crate::chat::outbox::Pushed, ctx: &mut Context<Seat>) {
        use crate::chat::outbox::Pushed;
        match pushed {
            Pushed::Wake | Pushed::Overflow => self.deliver(ctx),
            Pushed::Queued | Pushed::Closed => {}
        }
    }

    fn deliver(&mut self, ctx: &mut Context<Seat>) {
        let taken = self.outbox.take(TAKE_BYTES);
        self.gate.give_back(self.outbox.take_answered());
        if taken.ping {
            ctx.ping(b"");
        }
        for frame in taken.frames {
            ctx.text(frame);
        }
        if taken.more {
            ctx.run_later(TAKE_AGAIN, |actor, ctx| actor.deliver(ctx));
        } else if let Some(close) = taken.close {
            self.close(close, ctx);
        }
    }

    fn close(&mut self, close: Close, ctx: &mut Context<Seat>) {
        if self.closed.is_none() {
            let code = CloseCode::from(close.code());
            ctx.close(Some(CloseReason { code, description: Some(close.reason(self.dialect)) }));
            ctx.run_later(CLOSE_WAIT, |_, ctx| ctx.stop());
            self.closed = Some(close);
            self.deaf = true;
        }
    }
}

impl<Seat: Unpin + 'static> Actor for SessionActor<Seat> {
    type Context = Context<Seat>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match &mut self.role {
            Role::Session { session, announce } => {
                if let Some(announce) = announce.take() {
                    let (device, issued_ms) = *announce;
                    session.connect(device, issued_ms, self.outbox.clone(), ctx.address().recipient());
                }
            }
            Role::Refused => self.deliver(ctx),
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if let Role::Session { session, .. } = &self.role {
            let _ = self.outbox.close(Close::Normal);
            session.disconnect(self.closed.take().unwrap_or(Close::Normal));
        }
    }
}

impl<Seat: Unpin + 'static> Handler<Wake> for SessionActor<Seat> {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.deliver(ctx);
    }
}

impl<Seat: Unpin + 'static> StreamHandler<Result<Message, ProtocolError>> for SessionActor<Seat> {
    fn handle(&mut self, item: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        if self.deaf {
            self.gate.give_back(1);
            if self.closed.is_some() && matches!(item, Ok(Message::Close(_))) {
                ctx.stop();
            }
            return;
        }
        let now = monotonic_ms();
        self.outbox.heard(now);
        match item {
            Ok(Message::Text(text)) => self.text(&text, now, ctx),
            Ok(Message::Continuation(Item::FirstText(bytes))) => self.fragments.first(&bytes),
            Ok(Message::Continuation(Item::Continue(bytes))) => self.fragments.next(&bytes),
            Ok(Message::Continuation(Item::Last(bytes))) => {
                let text = self.fragments.last(&bytes);
                self.whole(text, now, ctx);
            }
            Ok(Message::Binary(_) | Message::Continuation(Item::FirstBinary(_))) => self.end(Close::Unsupported, ctx),
            Ok(Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(Message::Pong(_) | Message::Nop) => {}
            Ok(Message::Close(reason)) => {
                // RFC 6455 §5.5.1: the answer carries the same code.
                ctx.close(reason.map(|r| CloseReason { code: r.code, description: None }));
                self.closed = Some(Close::Normal);
                ctx.stop();
            }
            // The guard ends the payload at a fault of its own; what is left to the codec is UTF-8 …
            Err(ProtocolError::Io(_)) => self.end(Close::InvalidUtf8, ctx),
            // … and the payload of a close frame.
            Err(_) => self.end(Close::ProtocolError, ctx),
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        match self.gate.why_ended() {
            Close::Normal => ctx.stop(),
            fault => {
                self.end(fault, ctx);
                let discard = self.gate.clone().discard(DISCARD_BYTES).into_actor(self).map(|(), _, ctx: &mut Self::Context| ctx.stop());
                ctx.spawn(discard);
            }
        }
    }
}

impl Session {
    fn connect(&self, device: Option<Device>, issued_ms: i64, outbox: Arc<Outbox>, wake: actix::Recipient<Wake>) {
        let (openid, session, dialect, open_chat) = (self.openid.clone(), self.id, self.dialect, self.open_chat.clone());
        self.shared.chat.do_send(Connect { openid, session, dialect, device, issued_ms, open_chat, outbox, wake });
    }

    fn opened(&self, peer: Option<OpenId>) {
        self.shared.chat.do_send(OpenChat { openid: self.openid.clone(), session: self.id, peer });
    }

    fn disconnect(&self, why: Close) {
        log::debug!(openid = self.openid.as_str(), session:% = self.id, code = why.code(), reason = why.label(); "session closed");
        self.shared.chat.do_send(Disconnect { openid: self.openid.clone(), session: self.id, why });
    }
}
