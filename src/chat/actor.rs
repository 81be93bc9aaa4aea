//! ChatServer: holds the openid-to-session map, delivers what is committed, reaps who is silent.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};
use bytestring::ByteString;
use rand::Rng as _;

use super::auto_read::{Marks, ReadMark};
use super::messages::{Connect, CountSessions, Disconnect, DrainSessions, EndSessions, OpenChat};
use super::outbox::{Outbox, Pushed, monotonic_ms};
use super::pulse::{Calendar, Due, Pulse};
use super::registry::{Connected, Registry, RegistryLimits, Slot};
use crate::event::{Asker, Committed, Draft, Event, Message, Refusal};
use crate::ids::{OpenId, RequestId, Seq, SessionId, now_ms};
use crate::lifecycle::Vital;
use crate::metrics::{CloseLabel, DialectLabel, ErrorLabel, Metrics};
use crate::protocol::{Close, Dialect, FrameLimits, Word, outbound};

/// What the chat is told of the settings.
#[derive(Debug, Clone, Copy)]
pub struct ChatSettings {
    pub registry: RegistryLimits,
    pub pulse: Pulse,
    pub heartbeat_ms: u64,
    pub frames: FrameLimits,
}

/// Writes a read mark, or gives it back when the store is full.
pub type WriteMark = Box<dyn Fn(ReadMark) -> Result<(), ReadMark> + Send>;

/// The singleton. Its death ends the process.
pub struct ChatServer {
    registry: Registry,
    calendar: Calendar,
    marks: Marks,
    write_mark: WriteMark,
    settings: ChatSettings,
    metrics: Metrics,
    /// Once the server drains: over how many milliseconds those who are told so come back.
    draining: Option<u64>,
    _vital: Vital,
}

/// A mark waits at most so long for its write, besides the write itself.
const MARKS_EVERY: Duration = Duration::from_millis(500);

impl ChatServer {
    pub fn new(settings: ChatSettings, metrics: Metrics, vital: Vital, write_mark: WriteMark) -> Self {
        Self {
            registry: Registry::new(settings.registry),
            calendar: Calendar::default(),
            marks: Marks::default(),
            write_mark,
            settings,
            metrics,
            draining: None,
            _vital: vital,
        }
    }

    fn appended(&mut self, draft: Draft, seq: Seq, sent_at: i64) {
        let Draft { session, sender, peer, .. } = &draft;
        let mut overrun = Overrun::default();
        let mut frame = None;
        let mut encode = || frame.get_or_insert_with(|| outbound::message(&draft.kind, sender, peer, seq, sent_at, &draft.body)).clone();
        let to_self = sender == peer;
        for slot in self.registry.of(sender) {
            let origin = slot.session == *session;
            if origin {
                self.metrics.acks.inc();
                if slot.dialect == Dialect::V1 {
                    overrun.push(slot, sender, ack(&draft, seq, sent_at, false));
                }
                slot.answered();
            }
            // A plain client that writes to itself gets it back, as in the seed.
            if !origin || (to_self && slot.dialect == Dialect::Plain) {
                self.metrics.messages_out.inc();
                overrun.push(slot, sender, encode());
            }
        }
        if !to_self {
            for slot in self.registry.of(peer) {
                self.metrics.messages_out.inc();
                let queued = overrun.push(slot, peer, encode());
                if queued && slot.dialect == Dialect::Plain && slot.open_chat.as_ref() == Some(sender) {
                    self.marks.note(peer, sender, seq);
                }
            }
        }
        self.drop_overrun(overrun);
    }

    fn repeated(&mut self, draft: &Draft, stored: &Message, over_rate: bool) {
        let Draft { session, sender, peer, .. } = draft;
        let mut overrun = Overrun::default();
        if let Some(origin) = self.registry.find(sender, *session) {
            self.metrics.acks.inc();
            self.metrics.duplicates.inc();
            if origin.dialect == Dialect::V1 {
                overrun.push(origin, sender, ack(draft, stored.seq, stored.sent_at, true));
            }
            origin.answered();
        }
        // The node that stored it may have died before it pushed; v1 clients drop by seq what they have.
        if !over_rate {
            let frame: ByteString = outbound::stored(stored, peer).into();
            for (openid, slot) in self.both(sender, peer) {
                if slot.session != *session && slot.dialect == Dialect::V1 {
                    self.metrics.messages_out.inc();
                    overrun.push(slot, openid, frame.clone());
                }
            }
        }
        self.drop_overrun(overrun);
    }

    fn refused(&mut self, draft: &Draft, why: Refusal) {
        let mut overrun = Overrun::default();
        if let Some(origin) = self.registry.find(&draft.sender, draft.session) {
            let frame = self.failure(why, draft.request_id.as_ref(), draft.client_msg_id.as_ref());
            overrun.push(origin, &draft.sender, frame);
            origin.answered();
        }
        self.drop_overrun(overrun);
    }

    fn read(&mut self, openid: &OpenId, peer: &OpenId, seq: Seq, asker: Option<Asker>) {
        let Some(Asker { session, request_id: Some(id) }) = asker else { return };
        self.answer(openid, session, outbound::read(Some(&id), openid, peer, seq));
    }

    fn answer(&mut self, openid: &OpenId, session: SessionId, frame: ByteString) {
        let mut overrun = Overrun::default();
        if let Some(slot) = self.registry.find(openid, session) {
            overrun.push(slot, openid, frame);
        }
        self.drop_overrun(overrun);
    }

    fn cleared(&mut self, openid: &OpenId, peer: &OpenId, seq: Seq) {
        let mut overrun = Overrun::default();
        for slot in self.registry.of(openid).iter().filter(|s| s.dialect == Dialect::V1) {
            overrun.push(slot, openid, outbound::cleared(peer, seq));
        }
        self.drop_overrun(overrun);
    }

    /// Every session of the two parties, once.
    fn both<'a>(&'a self, sender: &'a OpenId, peer: &'a OpenId) -> impl Iterator<Item = (&'a OpenId, &'a Slot)> {
        let peers = if sender == peer { &[] } else { self.registry.of(peer) };
        self.registry.of(sender).iter().map(move |s| (sender, s)).chain(peers.iter().map(move |s| (peer, s)))
    }

    fn failure(&self, why: Refusal, id: Option<&RequestId>, client_msg_id: Option<&crate::ids::ClientMsgId>) -> ByteString {
        let (word, text, retry_after_ms) = match why {
            Refusal::Conflict => (Word::Conflict, "this client_msg_id was used for another message", None),
            Refusal::RateLimited { retry_after_ms } => (Word::RateLimited, "too fast", Some(retry_after_ms)),
            Refusal::Unavailable => (Word::Unavailable, "not stored for certain: send it again under the same client_msg_id", Some(1_000)),
        };
        self.metrics.errors.get_or_create(&ErrorLabel { error: word.as_str() }).inc();
        outbound::Failure { word, why: text, id, client_msg_id, retry_after_ms }.encode()
    }

    /// Slow consumers leave the map at once: what they have not read is freed, and nothing more is queued for them.
    fn drop_overrun(&mut self, overrun: Overrun) {
        if overrun.0.is_empty() {
            return;
        }
        for (openid, session) in overrun.0 {
            self.registry.remove(&openid, session);
        }
        self.count();
    }

    fn count(&self) {
        self.metrics.sessions.set(i64::try_from(self.registry.sessions()).unwrap_or(i64::MAX));
        self.metrics.users.set(i64::try_from(self.registry.users()).unwrap_or(i64::MAX));
    }

    fn flush_marks(&mut self) {
        self.marks.flush(&self.write_mark);
    }

    fn flush_mark(&mut self, openid: &OpenId, peer: &OpenId) {
        if let Some(mark) = self.marks.take(openid, peer)
            && let Err(mark) = (self.write_mark)(mark)
        {
            self.marks.note(&mark.openid, &mark.peer, mark.seq);
        }
    }

    fn reap(&mut self) {
        let now = monotonic_ms();
        while let Some((session, openid)) = self.calendar.pop(now) {
            let Some(slot) = self.registry.find(&openid, session) else { continue };
            match self.settings.pulse.judge(slot.outbox.last_heard(), now) {
                Due::Later(at) => self.calendar.add(at, session, openid),
                Due::Ping(at) => {
                    let _ = slot.after(slot.outbox.ping());
                    self.calendar.add(at, session, openid);
                }
                Due::Dead => {
                    slot.close(Close::HeartbeatTimeout);
                    self.registry.remove(&openid, session);
                }
            }
        }
        self.count();
    }
}

/// Sessions whose outbox ran over during a delivery.
#[derive(Default)]
struct Overrun(Vec<(OpenId, SessionId)>);

impl Overrun {
    /// Queues a frame for a session; whether it is queued.
    fn push(&mut self, slot: &Slot, openid: &OpenId, frame: ByteString) -> bool {
        let pushed = slot.outbox.push(frame);
        if slot.after(pushed) {
            self.0.push((openid.clone(), slot.session));
        }
        matches!(pushed, Pushed::Queued | Pushed::Wake)
    }
}

fn ack(draft: &Draft, seq: Seq, sent_at: i64, duplicate: bool) -> ByteString {
    let ack = outbound::Ack { client_msg_id: draft.client_msg_id.as_ref(), peer: &draft.peer, seq, sent_at, duplicate };
    ack.encode(draft.request_id.as_ref())
}

impl Actor for ChatServer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let reap_every = Duration::from_millis((self.settings.pulse.ping_after / 4).clamp(10, 1_000));
        ctx.run_interval(reap_every, |chat, _| chat.reap());
        ctx.run_interval(MARKS_EVERY, |chat, _| chat.flush_marks());
    }
}

impl Handler<Committed> for ChatServer {
    type Result = ();

    fn handle(&mut self, committed: Committed, _: &mut Self::Context) {
        for event in committed.events {
            match event {
                Event::Appended { draft, seq, sent_at } => self.appended(draft, seq, sent_at),
                Event::Repeated { draft, stored, over_rate } => self.repeated(&draft, &stored, over_rate),
                Event::Refused { draft, why } => self.refused(&draft, why),
                Event::Read { openid, peer, seq, asker } => self.read(&openid, &peer, seq, asker),
                Event::ReadUnstored { openid, peer, seq } => self.marks.note(&openid, &peer, seq),
                Event::ReadRefused { openid, asker, why } => {
                    let frame = self.failure(why, asker.request_id.as_ref(), None);
                    self.answer(&openid, asker.session, frame);
                }
                Event::Cleared { openid, peer, seq } => self.cleared(&openid, &peer, seq),
            }
        }
    }
}

impl Handler<Connect> for ChatServer {
    type Result = ();

    fn handle(&mut self, new: Connect, _: &mut Self::Context) {
        let (openid, session, dialect, outbox, wake) = (new.openid.clone(), new.session, new.dialect, new.outbox.clone(), new.wake.clone());
        match self.registry.connect(new, monotonic_ms()) {
            Connected::Joined { replaced } => {
                for old in replaced {
                    old.close(Close::Replaced);
                }
                let init = outbound::init(&openid, session, now_ms(), self.settings.heartbeat_ms, &self.settings.frames);
                if let Some(slot) = self.registry.find(&openid, session) {
                    let _ = slot.after(slot.outbox.push(init));
                    // Its handshake was under way when the others were told.
                    if let Some(spread_ms) = self.draining {
                        say_farewell(slot, spread_ms);
                    }
                }
                let label = match dialect {
                    Dialect::Plain => "plain",
                    Dialect::V1 => "v1",
                };
                self.metrics.sessions_opened.get_or_create(&DialectLabel { dialect: label }).inc();
                self.calendar.add(monotonic_ms() + self.settings.pulse.ping_after, session, openid);
            }
            Connected::TooOften { retry_ms } => {
                self.metrics.errors.get_or_create(&ErrorLabel { error: Word::RateLimited.as_str() }).inc();
                turn_away(&outbox, retry_ms);
                wake.do_send(super::messages::Wake);
            }
        }
        self.count();
    }
}

/// Fills the outbox of a session that is not let in.
fn turn_away(outbox: &Outbox, retry_ms: u64) {
    let word = Word::RateLimited;
    let why = "this device was connected anew too often";
    let _ = outbox.push(outbound::Failure { word, why, id: None, client_msg_id: None, retry_after_ms: Some(retry_ms) }.encode());
    let _ = outbox.close(Close::Overloaded { word, retry_ms });
}

impl Handler<Disconnect> for ChatServer {
    type Result = ();

    fn handle(&mut self, gone: Disconnect, _: &mut Self::Context) {
        self.metrics.closes.get_or_create(&CloseLabel { code: gone.why.code(), reason: gone.why.label() }).inc();
        if let Some(slot) = self.registry.remove(&gone.openid, gone.session)
            && let Some(peer) = &slot.open_chat
        {
            self.flush_mark(&gone.openid, peer);
        }
        self.count();
    }
}

impl Handler<OpenChat> for ChatServer {
    type Result = ();

    fn handle(&mut self, open: OpenChat, _: &mut Self::Context) {
        if let Some(slot) = self.registry.find_mut(&open.openid, open.session) {
            slot.open_chat = open.peer;
        }
    }
}

impl Handler<EndSessions> for ChatServer {
    type Result = ();

    fn handle(&mut self, end: EndSessions, _: &mut Self::Context) {
        let ended = self.registry.take(&end.openid, end.which);
        if !ended.is_empty() {
            log::info!(openid = end.openid.as_str(), sessions = ended.len(), code = end.close.code(); "sessions ended");
        }
        for slot in ended {
            slot.close(end.close.clone());
        }
        self.count();
    }
}

impl Handler<DrainSessions> for ChatServer {
    type Result = usize;

    fn handle(&mut self, drain: DrainSessions, _: &mut Self::Context) -> usize {
        self.draining = Some(drain.spread_ms);
        for slot in self.registry.all() {
            say_farewell(slot, drain.spread_ms);
        }
        self.flush_marks();
        self.registry.sessions()
    }
}

fn say_farewell(slot: &Slot, spread_ms: u64) {
    slot.close(Close::Draining { retry_ms: rand::rng().random_range(0..=spread_ms) });
}

impl Handler<CountSessions> for ChatServer {
    type Result = usize;

    fn handle(&mut self, _: CountSessions, _: &mut Self::Context) -> usize {
        self.registry.sessions()
    }
}
