//! ChatServer: holds the openid-to-session map, delivers what is committed, reaps who is silent.

mod ending;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt as _, AsyncContext, Context, Handler, WrapFuture as _};
use bytestring::ByteString;

use ending::say_farewell;

use super::acks::StoredAt;
use super::attention::Asked;
use super::deliver::Delivery;
use super::delivered::{DeliveredCache, Mark};
use super::keepalive::{DeadlineQueue, Due, KeepaliveTimeouts};
use super::messages::{
    Acknowledge, ClusterEvent, ClusterEventKind, Connect, CountSessions, Disconnect, Look, OpenChat,
    RefuseMessage, Typing,
};
use super::outbox::{Outbox, Pushed, monotonic_ms};
use super::ports::ChatPorts;
use super::presence::{CHANGED_CAPACITY, Lookups, TELL_INTERVAL};
use super::receipts::Receipts;
use super::registry::{Connected, Registry, RegistryLimits, Slot};
use super::room::Room;
use super::sequencer::Patience;
use super::traced;
use super::typing::Signs;
use super::watchers::Watchers;
use crate::event::{
    Audience, Committed, Conversation, Delivered, Draft, Event, Message, Quote, Receipt, ReceiptKind,
    Refusal, RequestState,
};
use crate::ids::{DatabaseGeneration, OpenId, RequestId, SessionId, now_ms};
use crate::lifecycle::{Vital, abort_point};
use crate::metrics::Metrics;
use crate::protocol::{CallerError, Close, Dialect, FrameLimits, SERVER_FEATURES, errors, outbound};

/// What the chat is told of the settings.
#[derive(Debug, Clone)]
pub struct ChatSettings {
    /// Name of this node among the others.
    pub node: Arc<str>,
    pub registry: RegistryLimits,
    pub pulse: KeepaliveTimeouts,
    pub heartbeat_ms: u64,
    pub frames: FrameLimits,
}

/// The singleton. Its death ends the process.
pub struct ChatServer {
    pub(super) registry: Registry,
    /// Sessions that are let in once hints for their user come here.
    pub(super) joining: HashMap<SessionId, Connect>,
    pub(super) delivered: DeliveredCache,
    /// What the other nodes are to be told of what is being handled.
    pub(super) hints: Vec<ClusterEvent>,
    pub(super) asked: Asked,
    calendar: DeadlineQueue,
    /// Sessions for which frames wait for their predecessors, whether a timer runs for the next of them, and
    /// how much may wait.
    pub(super) holds: DeadlineQueue,
    pub(super) holds_watched: bool,
    pub(super) held: Room,
    /// For whom the database is asked about which conversation.
    pub(super) filling: HashSet<(OpenId, Conversation)>,
    pub(super) receipts: Receipts,
    signs: Signs,
    /// Name of this node in hints.
    pub(super) node: Arc<str>,
    pub(super) watchers: Watchers,
    pub(super) lookups: Lookups,
    /// Whether other nodes were asked about users a moment ago.
    pub(super) asks_presence: bool,
    /// Questions whether a sign of typing may pass that have no answer yet.
    asking: usize,
    pub(super) ports: ChatPorts,
    settings: ChatSettings,
    /// None until the store is open: nobody is let in before.
    generation: Option<DatabaseGeneration>,
    pub(super) metrics: Metrics,
    /// Once the server drains: over how many milliseconds those who are told so come back.
    draining: Option<u64>,
    _vital: Vital,
}

/// A receipt waits at most so long for its write, besides the write itself.
const RECEIPTS_EVERY: Duration = Duration::from_millis(500);
/// Beyond it a sign of typing is forgotten: the store has more important things to answer.
const ASKING_AT_MOST: usize = 64;

impl ChatServer {
    pub fn new(settings: ChatSettings, metrics: Metrics, vital: Vital, ports: ChatPorts) -> Self {
        Self {
            registry: Registry::new(settings.registry),
            joining: HashMap::new(),
            delivered: DeliveredCache::default(),
            hints: Vec::new(),
            asked: Asked::default(),
            calendar: DeadlineQueue::default(),
            holds: DeadlineQueue::default(),
            holds_watched: false,
            held: Room::new(metrics.frames_held.clone()),
            filling: HashSet::new(),
            receipts: Receipts::default(),
            signs: Signs::default(),
            node: settings.node.clone(),
            watchers: Watchers::new(ports.cluster.is_some()),
            lookups: Lookups::default(),
            asks_presence: false,
            asking: 0,
            ports,
            settings,
            generation: None,
            metrics,
            draining: None,
            _vital: vital,
        }
    }

    fn appended(
        &mut self,
        draft: &Draft,
        audience: &Audience,
        at: &StoredAt,
        quote: Option<&Quote>,
        request: RequestState,
    ) {
        let Draft { session, sender, conversation, target, .. } = draft;
        let StoredAt { seq, sent_at, .. } = *at;
        let is_acked = self.ack(draft, at, request);
        let mut frame = None;
        let mut encode =
            || frame.get_or_insert_with(|| outbound::message(draft, seq, sent_at, quote)).clone();
        // A plain client that writes to itself gets it back, as in the seed.
        let is_echoed = |slot: &Slot| conversation.is_with_oneself() && slot.dialect == Dialect::Plain;
        for to in audience.iter() {
            let (incoming, is_news) = (to != sender, self.is_news(to, conversation, seq));
            if incoming {
                abort_point("before-push");
                if !is_news {
                    continue;
                }
            }
            let has_it = |slot: &Slot| is_acked && slot.session == *session && !is_echoed(slot);
            let (target, patience) = (*target, Patience::Waits);
            let delivery = Delivery { to, conversation, seq, incoming, target, patience };
            self.deliver(delivery, &mut encode, |slot| is_news && (incoming || !has_it(slot)));
        }
    }

    fn repeated(&mut self, draft: &Draft, audience: &Audience, stored: &Message, request: RequestState) {
        let ack = StoredAt { seq: stored.seq, sent_at: stored.sent_at, duplicate: true };
        let is_acked = self.ack(draft, &ack, request);
        if audience.is_empty() {
            return;
        }
        // The node that stored it may have died before it pushed; v1 clients drop by seq what they have.
        let frame: ByteString = outbound::stored(stored, &draft.conversation).into();
        let mut overrun = Overrun::default();
        for (openid, slot) in self.sessions_of(audience) {
            let has_it = is_acked && slot.session == draft.session;
            if !has_it && slot.dialect == Dialect::V1 {
                self.metrics.messages_out.inc();
                overrun.push(slot, openid, frame.clone());
            }
        }
        self.drop_overrun(overrun);
    }

    /// Acks a message to the session that sent it, if that is here; whether it was told all that it must know.
    fn ack(&mut self, draft: &Draft, stored: &StoredAt, request: RequestState) -> bool {
        let mut overrun = Overrun::default();
        let Some(origin) = self.registry.find(&draft.sender, draft.session) else { return false };
        if stored.duplicate {
            self.metrics.duplicates.inc();
        } else {
            abort_point("before-ack");
        }
        let is_acked = overrun.ack(origin, draft, stored, request);
        self.metrics.acks.inc_by(u64::from(is_acked));
        traced::acked(draft, stored.seq, is_acked);
        self.drop_overrun(overrun);
        is_acked
    }

    fn refused(&mut self, draft: &Draft, why: Refusal) {
        let mut overrun = Overrun::default();
        traced::refused(draft, CallerError::from(why).code);
        if let Some(origin) = self.registry.find(&draft.sender, draft.session) {
            let frame = self.failure(why, draft.request_id.as_ref(), draft.client_msg_id.as_ref());
            overrun.push(origin, &draft.sender, frame);
            origin.answered();
        }
        self.drop_overrun(overrun);
    }

    fn marked(&mut self, receipt: &Receipt, audience: &Audience, request_id: Option<&RequestId>) {
        let Receipt { openid, conversation, session, .. } = receipt;
        if let (Some(session), Some(_)) = (session, request_id) {
            self.answer(openid, *session, outbound::receipt(receipt, request_id));
        }
        if audience.is_empty() {
            return;
        }
        traced::marked(receipt);
        let frame = outbound::receipt(receipt, None);
        let mark = Mark::Receipt(receipt.kind, openid);
        let mut overrun = Overrun::default();
        for to in audience.iter() {
            if !self.mark_rises(to, conversation, mark, receipt.seq) {
                continue;
            }
            for slot in self.registry.of(to) {
                if slot.dialect == Dialect::V1 && Some(slot.session) != *session {
                    self.metrics.receipts_out.inc();
                    overrun.push(slot, to, frame.clone());
                }
            }
        }
        self.drop_overrun(overrun);
    }

    fn typing(&mut self, openid: &OpenId, conversation: &Conversation, audience: &Audience) {
        let frame = outbound::typing(openid, conversation);
        for to in audience.iter() {
            self.tell_v1(to, &frame);
            self.hint(to, ClusterEventKind::Frame(frame.clone()));
        }
        self.send_hints();
    }

    pub(super) fn answer(&mut self, openid: &OpenId, session: SessionId, frame: ByteString) {
        let mut overrun = Overrun::default();
        if let Some(slot) = self.registry.find(openid, session) {
            overrun.push(slot, openid, frame);
        }
        self.drop_overrun(overrun);
    }

    /// Every session here of those who hear of a commit.
    fn sessions_of<'a>(&'a self, audience: &'a Audience) -> impl Iterator<Item = (&'a OpenId, &'a Slot)> {
        audience.iter().flat_map(|to| self.registry.of(to).iter().map(move |slot| (to, slot)))
    }

    fn failure(
        &self,
        why: Refusal,
        id: Option<&RequestId>,
        client_msg_id: Option<&crate::ids::ClientMsgId>,
    ) -> ByteString {
        let error = CallerError::from(why);
        self.metrics.errors.inc(error.code);
        outbound::Failure { error: &error, id, client_msg_id }.encode()
    }

    /// Slow consumers leave the map at once: what they have not read is freed, and nothing more is queued for
    /// them.
    pub(super) fn drop_overrun(&mut self, overrun: Overrun) {
        if overrun.0.is_empty() {
            return;
        }
        for (openid, session) in overrun.0 {
            self.registry.remove(&openid, session);
        }
        self.count();
    }

    /// After sessions have come or gone.
    pub(super) fn count(&mut self) {
        for openid in self.registry.take_gone() {
            self.unfollow(openid);
        }
        for session in self.registry.take_removed() {
            self.watchers.remove(session);
        }
        if self.registry.changed() >= CHANGED_CAPACITY {
            self.tell_presence();
        }
        self.metrics.sessions.set(i64::try_from(self.registry.sessions()).unwrap_or(i64::MAX));
        self.metrics
            .sessions_in_background
            .set(i64::try_from(self.registry.in_background()).unwrap_or(i64::MAX));
        self.metrics.users.set(i64::try_from(self.registry.users()).unwrap_or(i64::MAX));
    }

    fn flush_receipts(&mut self) {
        self.receipts.flush(|receipt| self.ports.store.write_mark(receipt));
    }

    fn flush_read(&mut self, openid: &OpenId, conversation: &Conversation) {
        if let Some(receipt) = self.receipts.take_read(openid, conversation)
            && let Err(receipt) = self.ports.store.write_mark(receipt)
        {
            self.receipts.note(receipt);
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
pub(super) struct Overrun(Vec<(OpenId, SessionId)>);

impl Overrun {
    /// Queues a frame for a session; whether it is queued.
    pub(super) fn push(&mut self, slot: &Slot, openid: &OpenId, frame: ByteString) -> bool {
        let pushed = slot.outbox.push(frame);
        if slot.after(pushed) {
            self.0.push((openid.clone(), slot.session));
        }
        matches!(pushed, Pushed::Queued | Pushed::Wake)
    }
}

impl Actor for ChatServer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let reap_every = Duration::from_millis((self.settings.pulse.ping_after / 4).clamp(10, 1_000));
        ctx.run_interval(reap_every, |chat, _| chat.reap());
        ctx.run_interval(RECEIPTS_EVERY, |chat, _| chat.flush_receipts());
        ctx.run_interval(TELL_INTERVAL, |chat, ctx| {
            chat.tell_presence();
            chat.look_up_outdated(ctx);
        });
    }
}

impl Handler<Committed> for ChatServer {
    type Result = ();

    /// Delivers a commit here, then hands it on. The places of its writes are given back at the end.
    fn handle(&mut self, Committed { events, places: _places }: Committed, ctx: &mut Self::Context) {
        let since = Instant::now();
        for event in &events {
            self.commit(event);
        }
        self.watch_holds(ctx);
        if !self.ports.subscribers.is_empty() {
            let delivered = Arc::new(Delivered { events, since });
            for subscriber in &self.ports.subscribers {
                subscriber.committed(&delivered);
            }
        }
    }
}

impl Handler<RefuseMessage> for ChatServer {
    type Result = ();

    fn handle(&mut self, RefuseMessage { draft, why, place: _place }: RefuseMessage, _: &mut Self::Context) {
        self.refused(&draft, why);
    }
}

impl Handler<Connect> for ChatServer {
    type Result = ();

    fn handle(&mut self, new: Connect, ctx: &mut Self::Context) {
        self.follow(new, ctx);
    }
}

impl ChatServer {
    fn commit(&mut self, event: &Event) {
        match event {
            Event::Appended { draft, audience, seq, sent_at, quote, request } => {
                let at = StoredAt { seq: *seq, sent_at: *sent_at, duplicate: false };
                self.appended(draft, audience, &at, quote.as_deref(), *request)
            }
            Event::Repeated { draft, audience, stored, request } => {
                self.repeated(draft, audience, stored, *request)
            }
            Event::Refused { draft, why } => self.refused(draft, *why),
            Event::Marked { receipt, audience, request_id } => {
                self.marked(receipt, audience, request_id.as_ref())
            }
            Event::MarkUnstored(receipt) => drop(self.receipts.note(receipt.clone())),
            Event::MarkRefused { receipt, request_id, why } => {
                let frame = self.failure(*why, Some(request_id), None);
                if let Some(session) = receipt.session {
                    self.answer(&receipt.openid, session, frame);
                }
            }
            Event::Cleared { openid, conversation, seq } => self.tell_cleared(openid, conversation, *seq),
            Event::Settings { openid, conversation, settings } => {
                self.tell_v1(openid, &outbound::settings(openid, conversation, *settings))
            }
            Event::PresenceWithdrawn { openid, from } => self.presence_withdrawn(openid, from.as_ref()),
        }
    }

    /// Lets a session in, or turns it away.
    pub(super) fn join(&mut self, new: Connect) {
        let (openid, session, dialect, outbox, wake) =
            (new.openid.clone(), new.session, new.dialect, new.outbox.clone(), new.wake.clone());
        let device = new.device.clone();
        match self.registry.connect(new, monotonic_ms()) {
            Connected::Joined { replaced } => {
                for old in replaced {
                    old.close(Close::Replaced);
                }
                let (settings, generation) = (&self.settings, self.generation.unwrap_or_default());
                let init = outbound::init(
                    &openid,
                    session,
                    now_ms(),
                    settings.heartbeat_ms,
                    generation,
                    &settings.frames,
                    (dialect == Dialect::V1).then_some(SERVER_FEATURES),
                );
                if let Some(slot) = self.registry.find(&openid, session) {
                    let _ = slot.after(slot.outbox.push(init));
                    // Its handshake was under way when the others were told.
                    if let Some(spread_ms) = self.draining {
                        say_farewell(slot, spread_ms);
                    }
                }
                self.hint(&openid, ClusterEventKind::Joined { session, dialect, device });
                self.metrics.sessions_opened.inc(dialect);
                self.calendar.add(monotonic_ms() + self.settings.pulse.ping_after, session, openid);
            }
            Connected::TooOften { retry_ms } => {
                self.turn_away(&outbox, retry_ms);
                wake.do_send(super::messages::Wake);
            }
        }
        self.send_hints();
        self.count();
    }

    /// Fills the outbox of a session that is not let in.
    pub(super) fn turn_away(&self, outbox: &Outbox, retry_ms: u64) {
        let error = errors::DEVICE_REPLACED.after(retry_ms);
        self.metrics.errors.inc(error.code);
        let _ = outbox.push(outbound::Failure { error: &error, id: None, client_msg_id: None }.encode());
        let _ = outbox.close(Close::Overloaded { error: error.code, retry_ms });
    }
}

impl Handler<Disconnect> for ChatServer {
    type Result = ();

    fn handle(&mut self, gone: Disconnect, _: &mut Self::Context) {
        self.metrics.session_closes.inc(gone.why.kind());
        if let Some(new) = self.joining.remove(&gone.session) {
            self.unfollow(new.openid);
        }
        if let Some(slot) = self.registry.remove(&gone.openid, gone.session)
            && let Some(conversation) = &slot.open_chat
        {
            self.flush_read(&gone.openid, conversation);
        }
        self.count();
    }
}

impl Handler<OpenChat> for ChatServer {
    type Result = ();

    fn handle(&mut self, open: OpenChat, _: &mut Self::Context) {
        if let Some(slot) = self.registry.find_mut(&open.openid, open.session) {
            slot.open_chat = open.conversation;
        }
    }
}

impl Handler<Look> for ChatServer {
    type Result = ();

    fn handle(&mut self, look: Look, _: &mut Self::Context) {
        self.registry.look(&look.openid, look.session, look.attention);
        self.count();
    }
}

impl Handler<Acknowledge> for ChatServer {
    type Result = ();

    fn handle(&mut self, Acknowledge(receipt): Acknowledge, _: &mut Self::Context) {
        let (openid, session) = (receipt.openid.clone(), receipt.session);
        let is_read = receipt.kind == ReceiptKind::Read;
        // One that is lost of what a device has, the next one makes good; what the user has read may have no
        // next one.
        if !self.receipts.note(receipt)
            && is_read
            && let Some(session) = session
        {
            let frame = self.failure(Refusal::Unavailable, None, None);
            self.answer(&openid, session, frame);
        }
    }
}

impl Handler<Typing> for ChatServer {
    type Result = ();

    fn handle(&mut self, Typing { openid, conversation }: Typing, ctx: &mut Self::Context) {
        let is_v1 = |slot: &Slot| slot.dialect == Dialect::V1;
        // Where the other one is known and not here, the store need not be asked.
        let is_seen = self.has_cluster()
            || conversation.peer(&openid).is_none_or(|peer| self.registry.of(peer).iter().any(is_v1));
        if conversation.is_with_oneself()
            || !is_seen
            || self.asking >= ASKING_AT_MOST
            || !self.signs.pass(&openid, &conversation, monotonic_ms())
        {
            return;
        }
        self.asking += 1;
        let asked = self.ports.store.typing_audience(openid.clone(), conversation.clone()).into_actor(self);
        ctx.spawn(asked.map(move |audience, chat, _| {
            chat.asking -= 1;
            chat.typing(&openid, &conversation, &audience);
        }));
    }
}

impl Handler<CountSessions> for ChatServer {
    type Result = usize;

    fn handle(&mut self, _: CountSessions, _: &mut Self::Context) -> usize {
        self.registry.sessions() + self.joining.len()
    }
}
