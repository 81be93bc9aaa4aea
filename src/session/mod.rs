//! One socket: what its frames ask for, and its registration with the ChatServer. It knows no transport: what
//! all of them do stands in `driver`, who answers on a socket in `connection`, the two transports in `takeover`
//! and `web_actors`.

pub mod frame_guard;
pub mod gate;
pub mod message_stream;
pub mod sync_reply;
pub mod driver;
pub mod connection;
pub mod takeover;
pub mod web_actors;

use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Recipient};
use bytestring::ByteString;

use crate::chat::ChatServer;
use crate::chat::messages::{Acknowledge, Connect, Disconnect, Look, OpenChat, Typing, Wake, WatchPresence};
use crate::chat::outbox::{Bounds, Outbox};
use crate::event::revocation::Issued;
use crate::event::{Conversation, Draft, Receipt, ReceiptKind, Refusal};
use crate::gcra::{PaidAt, Rate};
use crate::ids::{
    Address, ClientMsgId, Device, HttpRequestId, Kind, OpenId, RequestId, Seq, SessionId, now_ms,
};
use crate::limits::UserLimits;
use crate::metrics::Metrics;
use crate::protocol::client_frame::{self, ClientMessage, Rejected};
use crate::protocol::{
    CallerError, ClientFeatures, ClientFrame, Close, Dialect, FrameLimits, Parsed, errors, outbound,
};
use crate::safety::ModerationHandle;
use crate::store::messages::{Admission, Append};
use crate::store::receipts::Mark;
use crate::store::{self, Full, Sight, Store};
use crate::store::{Reply, Write};
use crate::trace;
use connection::Hello;
use frame_guard::SocketLimits;
use sync_reply::Ask;

/// Frames over the rate, without a second's pause between two of them; then 4506.
const OVER_RATE_FRAMES: u32 = 200;
/// After such a pause a session's frames over the rate are forgiven, in milliseconds.
const FORGIVEN_AFTER_MS: u64 = 1_000;

/// Whom sessions call, and what bounds them: one a process.
pub struct SessionPorts {
    pub chat: Addr<ChatServer>,
    pub store: Store,
    /// What a message goes through on its way to the store.
    pub moderation: ModerationHandle,
    pub metrics: Metrics,
    pub user_limits: UserLimits,
    pub limits: SessionLimits,
    pub outboxes: Arc<Bounds>,
}

#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    pub socket: SocketLimits,
    pub frames: FrameLimits,
    /// Control frames a second; 0: no limit.
    pub controls_per_second: u32,
    /// Bad frames, then 4506.
    pub bad_frames: u32,
}

/// Session of one user on one socket.
pub struct Session {
    pub id: SessionId,
    pub openid: OpenId,
    pub dialect: Dialect,
    pub features: ClientFeatures,
    /// The request by which it began.
    pub request_id: Option<HttpRequestId>,
    open_chat: Option<Conversation>,
    bad_frames: u32,
    controls: Controls,
    over_rate: OverRate,
    ports: Arc<SessionPorts>,
    /// What the chat is told of the login when the session registers.
    login: Option<Box<Login>>,
}

/// Device and token of a session that has not registered yet.
struct Login {
    device: Option<Device>,
    issued: Issued,
}

/// What one frame leads to.
pub enum Outcome {
    /// Nothing to be told.
    Done,
    /// A message is on its way to the store: its answer will come from there.
    Submitted,
    /// To be told to the client.
    Reply(ByteString),
    /// To be asked of the store, unless another one is under way.
    Sync(Box<Ask>),
    /// To be told to the client, and then the end.
    Farewell(ByteString, Close),
}

impl Session {
    pub fn new(id: SessionId, hello: Hello, ports: Arc<SessionPorts>) -> Self {
        let Hello { openid, dialect, features, open_chat, request_id, device, issued } = hello;
        Self {
            id,
            open_chat: open_chat.map(|address| Conversation::of(&openid, address)),
            openid,
            dialect,
            features,
            request_id,
            bad_frames: 0,
            controls: Controls::default(),
            over_rate: OverRate::default(),
            ports,
            login: Some(Box::new(Login { device, issued })),
        }
    }

    /// Registers with the ChatServer, once: the first frame in the outbox is its answer.
    pub fn register(&mut self, outbox: &Arc<Outbox>, wake: Recipient<Wake>) {
        let Some(login) = self.login.take() else { return };
        let Login { device, issued } = *login;
        self.ports.store.saw(&self.openid, Sight::Here);
        self.ports.chat.do_send(Connect {
            openid: self.openid.clone(),
            session: self.id,
            dialect: self.dialect,
            device,
            issued,
            open_chat: self.open_chat.clone(),
            outbox: outbox.clone(),
            wake,
        });
    }

    /// Tells the ChatServer that the session has ended.
    pub fn leave(self, why: Close) {
        self.ports.store.saw(&self.openid, Sight::Leaves);
        self.ports.chat.do_send(Disconnect { openid: self.openid, session: self.id, why });
    }

    /// The trace line of what this session does, if its user is traced.
    #[inline]
    pub fn trace(&self, what: &'static str) -> Option<trace::Line> {
        let line = trace::of_user(what, &self.openid)?;
        Some(line.session(self.id).request_id(self.request_id.as_ref().map(HttpRequestId::as_str)))
    }

    /// Does what one whole text frame asks for. `now` is monotonic, in milliseconds.
    pub fn frame(&mut self, text: &str, now: u64) -> Outcome {
        if let Err(wait) = self.ports.user_limits.frame(&self.openid, text.len()) {
            let frame = self.failure(&errors::TOO_MANY_FRAME_BYTES.after(wait), None, None);
            return self.over_rate(Some(frame), now);
        }
        match client_frame::parse(text, self.dialect, &self.openid, &self.ports.limits.frames) {
            Ok(Parsed { id, frame: ClientFrame::Message(message) }) => self.message(id, *message),
            Ok(Parsed { id, frame: ClientFrame::Recall { to, target } }) => self.recall(id, to, target),
            Ok(Parsed { id, frame }) => self.control(id, frame, now),
            Err(rejected) => self.rejected(&rejected),
        }
    }

    fn message(&mut self, id: Option<RequestId>, message: ClientMessage) -> Outcome {
        let ClientMessage { to, kind, client_msg_id, body, quote } = message;
        let addressed = to.map(|to| self.conversation(to));
        let Some(conversation) = addressed.or_else(|| self.open_chat.clone()) else {
            return self.rejected(&Rejected { error: errors::NO_CHAT_OPEN, id, client_msg_id });
        };
        self.append(Draft {
            session: self.id,
            request_id: id,
            sender: self.openid.clone(),
            conversation,
            client_msg_id,
            kind,
            body,
            target: None,
            quote,
        })
    }

    /// The conversation that the user calls so.
    fn conversation(&self, address: Address) -> Conversation {
        Conversation::of(&self.openid, address)
    }

    fn recall(&mut self, id: Option<RequestId>, to: Address, target: Seq) -> Outcome {
        let (sender, kind, conversation) = (self.openid.clone(), Kind::recall(), self.conversation(to));
        self.append(Draft {
            session: self.id,
            request_id: id,
            sender,
            conversation,
            client_msg_id: None,
            kind,
            body: "{}".into(),
            target: Some(target),
            quote: None,
        })
    }

    fn append(&mut self, draft: Draft) -> Outcome {
        self.ports.metrics.messages_in.inc();
        if let Some(line) = trace::of("received", &draft.sender, &draft.conversation) {
            let line = line.client_msg_id(draft.client_msg_id.as_ref()).session(self.id);
            let line = line.request_id(self.request_id.as_ref().map(HttpRequestId::as_str));
            match draft.target {
                Some(target) => line.number("target_seq", target.get()).write(),
                None => line.write(),
            }
        }
        let over_rate_ms = self.ports.user_limits.message(&self.openid).err();
        // Taking something back is always possible: it makes room.
        let charged = match (over_rate_ms, draft.target) {
            (None, None) => self.ports.store.charge(&self.openid, store::row(draft.body.len())),
            (None, Some(_)) => Ok(None),
            (Some(wait), _) => Err(wait),
        };
        let is_repeatable = draft.client_msg_id.is_some() || draft.target.is_some();
        let (admission, charge) = match charged {
            Ok(charge) => (Admission::Open, charge),
            Err(wait) if !is_repeatable => {
                let error = errors::TOO_MANY_MESSAGES.after(wait);
                return Outcome::Reply(self.failure(&error, draft.request_id.as_ref(), None));
            }
            Err(retry_after_ms) => (Admission::RepeatsOnly(Refusal::RateLimited { retry_after_ms }), None),
        };
        self.submitted(self.ports.moderation.submit(Append { draft, admission, finding: None, charge }))
    }

    fn control(&mut self, id: Option<RequestId>, frame: ClientFrame, now: u64) -> Outcome {
        if let Err(wait) = self.controls.take(self.ports.limits.controls_per_second, now) {
            let frame = match self.dialect {
                // The seed's hearts have no answer.
                Dialect::Plain => None,
                Dialect::V1 => {
                    Some(self.failure(&errors::TOO_MANY_CONTROL_FRAMES.after(wait), id.as_ref(), None))
                }
            };
            return self.over_rate(frame, now);
        }
        match (frame, id) {
            (ClientFrame::Heart, Some(id)) if self.dialect == Dialect::V1 => {
                Outcome::Reply(outbound::heart(&id, now_ms()))
            }
            (ClientFrame::Receipt { kind, to, seq }, id) => {
                let (openid, conversation) = (self.openid.clone(), self.conversation(to));
                let receipt = Receipt { kind, openid, conversation, seq, session: Some(self.id) };
                match (kind, id) {
                    (ReceiptKind::Read, Some(id)) => {
                        match self.ports.store.submit(Mark { receipt }, Reply::Session(id.clone())) {
                            Ok(()) => Outcome::Done,
                            Err(Full(_)) => {
                                Outcome::Reply(self.failure(&errors::SERVER_BUSY, Some(&id), None))
                            }
                        }
                    }
                    _ => {
                        self.ports.chat.do_send(Acknowledge(receipt));
                        Outcome::Done
                    }
                }
            }
            (ClientFrame::Open(to), _) => {
                let conversation = to.map(|to| self.conversation(to));
                self.open_chat.clone_from(&conversation);
                let (openid, session) = (self.openid.clone(), self.id);
                self.ports.chat.do_send(OpenChat { openid, session, conversation });
                Outcome::Done
            }
            (ClientFrame::Attention(attention), _) => {
                self.ports.chat.do_send(Look { openid: self.openid.clone(), session: self.id, attention });
                Outcome::Done
            }
            (ClientFrame::Typing(to), _) => {
                let (openid, conversation) = (self.openid.clone(), self.conversation(to));
                self.ports.chat.do_send(Typing { openid, conversation });
                Outcome::Done
            }
            (ClientFrame::Presence(peers), id) => match self.ports.user_limits.question(&self.openid) {
                Ok(()) => {
                    let (openid, session) = (self.openid.clone(), self.id);
                    self.ports.chat.do_send(WatchPresence { openid, session, request_id: id, peers });
                    Outcome::Done
                }
                Err(wait) => {
                    let error = errors::TOO_MANY_ANSWER_BYTES.after(wait);
                    Outcome::Reply(self.failure(&error, id.as_ref(), None))
                }
            },
            (ClientFrame::Sync(request), id) => match self.ports.user_limits.question(&self.openid) {
                Ok(()) => Outcome::Sync(Box::new(Ask::new(
                    self.ports.clone(),
                    self.openid.clone(),
                    self.id,
                    id,
                    *request,
                ))),
                Err(wait) => {
                    let error = errors::TOO_MANY_ANSWER_BYTES.after(wait);
                    Outcome::Reply(self.failure(&error, id.as_ref(), None))
                }
            },
            _ => Outcome::Done,
        }
    }

    /// A frame came over the rate. `answer` says so, where the client is told.
    fn over_rate(&mut self, answer: Option<ByteString>, now: u64) -> Outcome {
        match (self.over_rate.strike(now), answer) {
            (true, answer) => {
                let answer =
                    answer.unwrap_or_else(|| self.failure(&errors::TOO_MANY_CONTROL_FRAMES, None, None));
                Outcome::Farewell(answer, Close::TooManyErrors)
            }
            (false, Some(answer)) => Outcome::Reply(answer),
            (false, None) => Outcome::Done,
        }
    }

    fn submitted(&self, handed_in: Result<(), Full>) -> Outcome {
        let Err(full) = handed_in else { return Outcome::Submitted };
        let (id, client_msg_id) = match *full.0 {
            Write::Append(append) => (append.draft.request_id, append.draft.client_msg_id),
            _ => (None, None),
        };
        Outcome::Reply(self.failure(&errors::SERVER_BUSY, id.as_ref(), client_msg_id.as_ref()))
    }

    fn rejected(&mut self, rejected: &Rejected) -> Outcome {
        let Rejected { error, id, client_msg_id } = rejected;
        let frame = self.failure(error, id.as_ref(), client_msg_id.as_ref());
        self.bad_frames += 1;
        if self.bad_frames >= self.ports.limits.bad_frames.max(1) {
            Outcome::Farewell(frame, Close::TooManyErrors)
        } else {
            Outcome::Reply(frame)
        }
    }

    fn failure(
        &self,
        error: &CallerError,
        id: Option<&RequestId>,
        client_msg_id: Option<&ClientMsgId>,
    ) -> ByteString {
        self.ports.metrics.errors.inc(error.code);
        if let Some(line) = self.trace("refused") {
            line.client_msg_id(client_msg_id).text("error", error.code.as_str()).write();
        }
        outbound::Failure { error, id, client_msg_id }.encode()
    }
}

/// A session's frames over the rate.
#[derive(Debug, Default)]
struct OverRate {
    count: u32,
    last: u64,
}

impl OverRate {
    /// One more at `now`, in milliseconds; whether it is one too many.
    fn strike(&mut self, now: u64) -> bool {
        if now.saturating_sub(self.last) >= FORGIVEN_AFTER_MS {
            self.count = 0;
        }
        (self.count, self.last) = (self.count + 1, now);
        self.count >= OVER_RATE_FRAMES
    }
}

/// A session's control frames.
#[derive(Debug, Default)]
struct Controls(PaidAt);

impl Controls {
    /// One more frame at `now`; a second's worth may come at once. `Err` with the milliseconds to wait.
    fn take(&mut self, per_second: u32, now: u64) -> Result<(), u64> {
        let (per_second, now) = (u64::from(per_second), Duration::from_millis(now));
        let Some(rate) = Rate::new(per_second, Duration::from_secs(1), per_second) else { return Ok(()) };
        let paid = rate.charge(self.0, 1, now);
        rate.check(paid, now)?;
        self.0 = paid;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_of_control_frames_may_come_at_once() {
        let mut controls = Controls::default();
        assert!((0..50).all(|_| controls.take(50, 0).is_ok()));
        assert_eq!(controls.take(50, 0), Err(20));
        assert!(controls.take(50, 20).is_ok());
        assert!((0..1_000).all(|_| controls.take(0, 0).is_ok()));
    }

    #[test]
    fn a_flood_ends_and_a_pause_forgives() {
        let mut over_rate = OverRate::default();
        let last = u64::from(OVER_RATE_FRAMES) - 1;
        assert!((0..last).all(|n| !over_rate.strike(n)));
        assert!(over_rate.strike(last));
        assert!(!over_rate.strike(last + FORGIVEN_AFTER_MS));
    }
}
