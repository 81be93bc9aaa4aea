//! How a message comes to a user's sessions here, whichever way this node heard of it.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use bytestring::ByteString;

use super::ChatServer;
use super::actor::Overrun;
use super::outbox::monotonic_ms;
use super::registry::Slot;
use super::sequencer::{Gap, Live, Looked, Offer, Patience, Ready};
use crate::event::{Message, Receipt, ReceiptKind};
use crate::ids::{OpenId, Seq};
use crate::protocol::{Dialect, outbound};

/// Messages older than a plain session by more than this are not brought to it out of the database: nodes' clocks may differ by so much,
/// in milliseconds.
const BEFORE_JOINING: i64 = 2_000;
/// Questions to the database for what is missing in a conversation that have no answer yet. Beyond it none is asked.
const FILLING_AT_MOST: usize = 16;

/// A message for a user, before it is known which sessions need it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub to: &'a OpenId,
    pub peer: &'a OpenId,
    pub seq: Seq,
    /// It is the peer's, not the user's own.
    pub incoming: bool,
    /// The message that it recalls.
    pub target: Option<Seq>,
    pub patience: Patience,
}

impl ChatServer {
    /// Brings a message to those of the user's sessions that are `wanted`, each in the order of the conversation. Where there are no other
    /// nodes, it comes in that order.
    pub(super) fn deliver(&mut self, delivery: Delivery<'_>, mut frame: impl FnMut() -> ByteString, wanted: impl Fn(&Slot) -> bool) {
        let Delivery { to, peer, seq, incoming, target, patience } = delivery;
        let now = self.has_relay().then(monotonic_ms);
        let mut overrun = Overrun::default();
        for at in 0..self.registry.of(to).len() {
            let Some(slot) = self.registry.of_mut(to).get_mut(at) else { break };
            let live = Live { seq, incoming, target, frame: wanted(slot).then(&mut frame) };
            let Some(now) = now else {
                self.tell(to, at, peer, live, &mut overrun);
                continue;
            };
            let (session, dialect) = (slot.session, slot.dialect);
            match slot.sequencer.get_or_insert_default().offer(peer, live, patience, &self.held, now) {
                Offer::Ready(ready) => self.tell_all(to, at, peer, ready, &mut overrun),
                Offer::NoRoom(ready) => {
                    self.metrics.frames_out_of_turn.inc_by(ready.len() as u64);
                    self.tell_all(to, at, peer, ready, &mut overrun);
                }
                Offer::Held(due) => {
                    if let Some(due) = due {
                        self.holds.add(due, session, to.clone());
                    }
                }
                Offer::Late(live) => {
                    self.metrics.frames_late.inc();
                    // A v1 client has seen the hole, and fetches what is missing.
                    if dialect == Dialect::Plain {
                        self.tell(to, at, peer, live, &mut overrun);
                    }
                }
            }
        }
        self.drop_overrun(overrun);
    }

    fn tell_all(&mut self, to: &OpenId, at: usize, peer: &OpenId, ready: Ready, overrun: &mut Overrun) {
        for live in ready {
            self.tell(to, at, peer, live, overrun);
        }
    }

    /// Queues a message for the user's session at this place.
    fn tell(&mut self, to: &OpenId, at: usize, peer: &OpenId, live: Live, overrun: &mut Overrun) {
        let Some((slot, frame)) = self.registry.of(to).get(at).zip(live.frame) else { return };
        self.metrics.messages_out.inc();
        let queued = overrun.push(slot, to, frame);
        if live.incoming && queued && slot.is_looking_at(peer) {
            let (openid, peer) = (to.clone(), peer.clone());
            self.receipts.note(Receipt { kind: ReceiptKind::Read, openid, peer, seq: live.seq, session: None });
        }
        if let Some(target) = live.target
            && self.has_relay()
        {
            // Should it still be on its way, it must not come after its recall.
            self.told.note(to, peer, target);
        }
    }

    /// Sees to it that what waits does not wait for longer than it may.
    pub(super) fn watch_holds(&mut self, ctx: &mut Context<Self>) {
        if self.holds_watched {
            return;
        }
        let Some(due) = self.holds.next() else { return };
        self.holds_watched = true;
        ctx.run_later(Duration::from_millis(due.saturating_sub(monotonic_ms())), |chat, ctx| {
            chat.holds_watched = false;
            chat.look_after_holds(ctx);
            chat.watch_holds(ctx);
        });
    }

    fn look_after_holds(&mut self, ctx: &mut Context<Self>) {
        let now = monotonic_ms();
        let mut overrun = Overrun::default();
        while let Some((session, openid)) = self.holds.pop(now) {
            let slots = self.registry.of_mut(&openid);
            let Some((at, slot)) = slots.iter_mut().enumerate().find(|(_, slot)| slot.session == session) else { continue };
            let Looked { ready, gaps, next } = slot.sequencer.get_or_insert_default().look(now);
            for (peer, ready) in ready {
                self.metrics.frames_out_of_turn.inc_by(ready.len() as u64);
                self.tell_all(&openid, at, &peer, ready, &mut overrun);
            }
            for gap in gaps {
                self.fill(&openid, gap, ctx);
            }
            if let Some(next) = next {
                self.holds.add(next, session, openid);
            }
        }
        self.drop_overrun(overrun);
    }

    /// Asks the database for what is missing in a user's conversation: the hint may have been lost, or NATS be away.
    fn fill(&mut self, openid: &OpenId, gap: Gap, ctx: &mut Context<Self>) {
        let Some(relay) = &self.wires.relay else { return };
        let key = (openid.clone(), gap.peer.clone());
        if self.filling.len() >= FILLING_AT_MOST || self.filling.contains(&key) {
            return;
        }
        self.metrics.gap_reads.inc();
        let Gap { peer, after, before } = gap;
        let messages = (relay.between)(openid.clone(), peer, after, before);
        self.filling.insert(key.clone());
        ctx.spawn(messages.into_actor(self).map(move |messages, chat, _| {
            chat.filling.remove(&key);
            let (openid, peer) = key;
            for message in messages {
                chat.tell_stored(&openid, &peer, &message);
            }
        }));
    }

    /// Tells a user's sessions of a message as the database has it, unless they were told before.
    pub(super) fn tell_stored(&mut self, openid: &OpenId, peer: &OpenId, message: &Message) {
        let Message { seq, target, .. } = *message;
        let incoming = message.sender != *openid;
        if !self.is_news(openid, peer, seq) {
            return;
        }
        let frame: ByteString = outbound::as_seen(message, openid, peer).into();
        // A plain client cannot tell its own message from another's, nor an old one from a new one.
        let wanted = |slot: &Slot| slot.dialect == Dialect::V1 || (incoming && message.sent_at >= slot.joined_at - BEFORE_JOINING);
        self.deliver(Delivery { to: openid, peer, seq, incoming, target, patience: Patience::None }, || frame.clone(), wanted);
    }
}
