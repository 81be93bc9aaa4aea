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
use super::receipts::Receipts;
use super::registry::{Connected, Registry, RegistryLimits, Slot};
use super::sequencer::{Patience, Room};
use super::traced;
use super::typing::Signs;
use crate::event::{
    Committed, Delivered, Draft, Event, Message, Receipt, ReceiptKind, Refusal, RequestState,
};
use crate::ids::{DatabaseGeneration, OpenId, RequestId, Seq, SessionId, now_ms};
use crate::lifecycle::{Vital, abort_point};
use crate::metrics::Metrics;
use crate::protocol::{CallerError, Close, Dialect, FrameLimits, SERVER_FEATURES, errors, outbound};

/// What the chat is told of the settings.
#[derive(Debug, Clone, Copy)]
pub struct ChatSettings {
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
    /// Whose conversation with whom the database is asked about.
    pub(super) filling: HashSet<(OpenId, OpenId)>,
    pub(super) receipts: Receipts,
    signs: Signs,
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
            asking: 0,
            ports,
            settings,
            generation: None,
            metrics,
            draining: None,
            _vital: vital,
        }
    }

    fn appended(&mut self, draft: &Draft, seq: Seq, sent_at: i64, request: RequestState) {
        let Draft { session, sender, peer, .. } = draft;
        let mut overrun = Overrun::default();
        let mut frame = None;
        let mut encode = || frame.get_or_insert_with(|| outbound::message(draft, seq, sent_at)).clone();
        let to_self = sender == peer;
        let is_news_to_sender = self.is_news(sender, peer, seq);
        let is_news_to_peer = !to_self && self.is_news(peer, sender, seq);
        let mut is_acked = false;
        if let Some(origin) = self.registry.find(sender, *session) {
            abort_point("before-ack");
            is_acked = overrun.ack(origin, draft, &StoredAt { seq, sent_at, duplicate: false }, request);
            self.metrics.acks.inc_by(u64::from(is_acked));
            traced::acked(draft, seq, is_acked);
        }
        self.drop_overrun(overrun);
        let delivery = Delivery {
            to: sender,
            peer,
            seq,
            incoming: false,
            target: draft.target,
            patience: Patience::Waits,
        };
        // A plain client that writes to itself gets it back, as in the seed.
        let needs_it = |slot: &Slot| {
            slot.session != *session || !is_acked || (to_self && slot.dialect == Dialect::Plain)
        };
        let wanted = |slot: &Slot| is_news_to_sender && needs_it(slot);
        self.deliver(delivery, &mut encode, wanted);
        abort_point("before-push");
        if is_news_to_peer {
            self.deliver(
                Delivery { to: peer, peer: sender, incoming: true, ..delivery },
                &mut encode,
                |_| true,
            );
        }
    }

    fn repeated(&mut self, draft: &Draft, stored: &Message, quiet: bool, request: RequestState) {
        let Draft { session, sender, peer, .. } = draft;
        let mut overrun = Overrun::default();
        let mut is_acked = false;
        if let Some(origin) = self.registry.find(sender, *session) {
            let ack = StoredAt { seq: stored.seq, sent_at: stored.sent_at, duplicate: true };
            is_acked = overrun.ack(origin, draft, &ack, request);
            self.metrics.acks.inc_by(u64::from(is_acked));
            self.metrics.duplicates.inc();
            traced::acked(draft, stored.seq, is_acked);
        }
        // The node that stored it may have died before it pushed; v1 clients drop by seq what they have.
        if !quiet {
            let frame: ByteString = outbound::stored(stored, peer).into();
            for (openid, slot) in self.both(sender, peer) {
                let has_it = is_acked && slot.session == *session;
                if !has_it && slot.dialect == Dialect::V1 {
                    self.metrics.messages_out.inc();
                    overrun.push(slot, openid, frame.clone());
                }
            }
        }
        self.drop_overrun(overrun);
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

    fn marked(&mut self, receipt: &Receipt, moved: bool, to_peer: bool, request_id: Option<&RequestId>) {
        let Receipt { openid, peer, session, .. } = receipt;
        if let (Some(session), Some(_)) = (session, request_id) {
            self.answer(openid, *session, outbound::receipt(receipt, request_id));
        }
        if !moved {
            return;
        }
        traced::marked(receipt);
        let frame = outbound::receipt(receipt, None);
        let mark = Mark::Receipt(receipt.kind, openid);
        let rises = [
            (openid, self.mark_rises(openid, peer, mark, receipt.seq)),
            (peer, to_peer && self.mark_rises(peer, openid, mark, receipt.seq)),
        ];
        let mut overrun = Overrun::default();
        for (to, slot) in self.both(openid, peer) {
            let is_news = rises.iter().any(|(who, rises)| *who == to && *rises);
            if is_news && slot.dialect == Dialect::V1 && Some(slot.session) != *session {
                self.metrics.receipts_out.inc();
                overrun.push(slot, to, frame.clone());
            }
        }
        self.drop_overrun(overrun);
    }

    fn typing(&mut self, openid: &OpenId, peer: &OpenId) {
        let frame = outbound::typing(openid, peer);
        self.tell_v1(peer, &frame);
        self.hint(peer, ClusterEventKind::Frame(frame));
        self.send_hints();
    }

    fn answer(&mut self, openid: &OpenId, session: SessionId, frame: ByteString) {
        let mut overrun = Overrun::default();
        if let Some(slot) = self.registry.find(openid, session) {
            overrun.push(slot, openid, frame);
        }
        self.drop_overrun(overrun);
    }

    /// Every session of the two parties, once.
    fn both<'a>(
        &'a self,
        sender: &'a OpenId,
        peer: &'a OpenId,
    ) -> impl Iterator<Item = (&'a OpenId, &'a Slot)> {
        let peers = if sender == peer { &[] } else { self.registry.of(peer) };
        self.registry.of(sender).iter().map(move |s| (sender, s)).chain(peers.iter().map(move |s| (peer, s)))
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
        self.metrics.sessions.set(i64::try_from(self.registry.sessions()).unwrap_or(i64::MAX));
        self.metrics
            .sessions_in_background
            .set(i64::try_from(self.registry.in_background()).unwrap_or(i64::MAX));
        self.metrics.users.set(i64::try_from(self.registry.users()).unwrap_or(i64::MAX));
    }

    fn flush_receipts(&mut self) {
        self.receipts.flush(|receipt| self.ports.store.write_mark(receipt));
    }

    fn flush_read(&mut self, openid: &OpenId, peer: &OpenId) {
        if let Some(receipt) = self.receipts.take_read(openid, peer)
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
            Event::Appended { draft, seq, sent_at, request } => {
                self.appended(draft, *seq, *sent_at, *request)
            }
            Event::Repeated { draft, stored, quiet, request } => {
                self.repeated(draft, stored, *quiet, *request)
            }
            Event::Refused { draft, why } => self.refused(draft, *why),
            Event::Marked { receipt, moved, to_peer, request_id } => {
                self.marked(receipt, *moved, *to_peer, request_id.as_ref())
            }
            Event::MarkUnstored(receipt) => drop(self.receipts.note(receipt.clone())),
            Event::MarkRefused { receipt, request_id, why } => {
                let frame = self.failure(*why, Some(request_id), None);
                if let Some(session) = receipt.session {
                    self.answer(&receipt.openid, session, frame);
                }
            }
            Event::Cleared { openid, peer, seq } => self.tell_cleared(openid, peer, *seq),
            Event::Settings { openid, peer, muted } => {
                self.tell_v1(openid, &outbound::settings(peer, *muted))
            }
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
        let _ = outbox.close(Close::Overloaded { word: error.code, retry_ms });
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
            && let Some(peer) = &slot.open_chat
        {
            self.flush_read(&gone.openid, peer);
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

    fn handle(&mut self, Typing { openid, peer }: Typing, ctx: &mut Self::Context) {
        let is_seen =
            self.has_cluster() || self.registry.of(&peer).iter().any(|slot| slot.dialect == Dialect::V1);
        if openid == peer
            || !is_seen
            || self.asking >= ASKING_AT_MOST
            || !self.signs.pass(&openid, &peer, monotonic_ms())
        {
            return;
        }
        self.asking += 1;
        let may_reach = self.ports.store.may_reach(openid.clone(), peer.clone()).into_actor(self);
        ctx.spawn(may_reach.map(move |may_reach, chat, _| {
            chat.asking -= 1;
            if may_reach {
                chat.typing(&openid, &peer);
            }
        }));
    }
}

impl Handler<CountSessions> for ChatServer {
    type Result = usize;

    fn handle(&mut self, _: CountSessions, _: &mut Self::Context) -> usize {
        self.registry.sessions() + self.joining.len()
    }
}
