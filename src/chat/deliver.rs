//! How a message comes to a user's sessions here, whichever way this node heard of it.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use bytestring::ByteString;

use super::ChatServer;
use super::actor::Overrun;
use super::outbox::monotonic_ms;
use super::receipts::Receipts;
use super::registry::Slot;
use super::sequencer::{Gap, Live, Looked, Offer, Patience, Ready};
use super::traced;
use crate::event::{Conversation, Message, Receipt, ReceiptKind};
use crate::ids::{OpenId, Seq};
use crate::metrics::Metrics;
use crate::protocol::{Dialect, outbound};

/// Messages older than a plain session by more than this are not brought to it out of the database, where it
/// was told of none before them: nodes' clocks may differ by so much, in milliseconds.
const BEFORE_JOINING: i64 = 2_000;
/// Questions to the database for what is missing in a conversation that have no answer yet. Beyond it they are
/// asked a little later.
const FILLING_AT_MOST: usize = 16;

/// A message for a user, before it is known which sessions need it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub to: &'a OpenId,
    pub conversation: &'a Conversation,
    pub seq: Seq,
    /// It is another's, not the user's own.
    pub incoming: bool,
    /// The message that it recalls.
    pub target: Option<Seq>,
    pub patience: Patience,
}

/// Queues frames for one user's sessions.
struct Teller<'a> {
    to: &'a OpenId,
    metrics: &'a Metrics,
    receipts: &'a mut Receipts,
    overrun: Overrun,
    /// Messages that were recalled with what was told.
    recalled: Vec<(Conversation, Seq)>,
}

impl Teller<'_> {
    fn tell(&mut self, slot: &Slot, conversation: &Conversation, live: Live) {
        let Some(frame) = live.frame else { return };
        self.metrics.messages_out.inc();
        let line = traced::live("pushed", self.to, conversation, live.seq, live.incoming, Some(&frame));
        let queued = self.overrun.push(slot, self.to, frame);
        if let Some(line) = line {
            line.session(slot.session)
                .text("outcome", if queued { "queued" } else { "session ended" })
                .write();
        }
        if live.incoming && queued && slot.is_looking_at(conversation) {
            let (openid, conversation) = (self.to.clone(), conversation.clone());
            let kind = ReceiptKind::Read;
            self.receipts.note(Receipt { kind, openid, conversation, seq: live.seq, session: None });
        }
        self.recalled.extend(live.target.map(|target| (conversation.clone(), target)));
    }

    fn tell_all(&mut self, slot: &Slot, conversation: &Conversation, ready: Ready) {
        for live in ready {
            self.tell(slot, conversation, live);
        }
    }
}

impl ChatServer {
    /// Brings a message to those of the user's sessions that are `wanted`, each in the order of the
    /// conversation. Where there are no other nodes, it comes in that order.
    pub(super) fn deliver(
        &mut self,
        delivery: Delivery<'_>,
        mut frame: impl FnMut() -> ByteString,
        wanted: impl Fn(&Slot) -> bool,
    ) {
        let Delivery { to, conversation, seq, incoming, target, patience } = delivery;
        let now = self.has_cluster().then(monotonic_ms);
        let (slots, holds) = (self.registry.of_mut(to), &mut self.holds);
        let (metrics, receipts) = (&self.metrics, &mut self.receipts);
        let mut teller = Teller { to, metrics, receipts, overrun: Overrun::default(), recalled: Vec::new() };
        for slot in slots {
            let live = Live { seq, incoming, target, frame: wanted(slot).then(&mut frame) };
            let Some(now) = now else {
                teller.tell(slot, conversation, live);
                continue;
            };
            let sequencer = slot.sequencer.get_or_insert_default();
            match sequencer.offer(conversation, live, patience, &self.held, now) {
                Offer::Ready(ready) => teller.tell_all(slot, conversation, ready),
                Offer::NoRoom(ready) => {
                    metrics.frames_out_of_turn.inc_by(ready.len() as u64);
                    teller.tell_all(slot, conversation, ready);
                }
                Offer::Held(due) => {
                    if let Some(line) = traced::live("held", to, conversation, seq, incoming, None) {
                        line.session(slot.session).write();
                    }
                    if let Some(due) = due {
                        holds.add(due, slot.session, to.clone());
                    }
                }
                Offer::Late(live) => {
                    metrics.frames_late.inc();
                    // A v1 client has seen the hole, and fetches what is missing.
                    if slot.dialect == Dialect::Plain {
                        teller.tell(slot, conversation, live);
                    }
                }
            }
        }
        let Teller { overrun, recalled, .. } = teller;
        self.told_of(to, overrun, recalled);
    }

    fn told_of(&mut self, to: &OpenId, overrun: Overrun, recalled: Vec<(Conversation, Seq)>) {
        if self.has_cluster() {
            for (conversation, target) in recalled {
                // Should it still be on its way, it must not come after its recall.
                self.delivered.note(to, &conversation, target);
            }
        }
        self.drop_overrun(overrun);
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
        while let Some((session, openid)) = self.holds.pop(now) {
            let Some(slot) = self.registry.find_mut(&openid, session) else { continue };
            let Looked { ready, gaps, next } = slot.sequencer.get_or_insert_default().look(now);
            let (metrics, receipts) = (&self.metrics, &mut self.receipts);
            let mut teller =
                Teller { to: &openid, metrics, receipts, overrun: Overrun::default(), recalled: Vec::new() };
            for (conversation, ready) in ready {
                metrics.frames_out_of_turn.inc_by(ready.len() as u64);
                teller.tell_all(slot, &conversation, ready);
            }
            let Teller { overrun, recalled, .. } = teller;
            self.told_of(&openid, overrun, recalled);
            let mut next = next;
            for gap in gaps {
                let conversation = gap.conversation.clone();
                if !self.fill(&openid, gap, ctx)
                    && let Some(slot) = self.registry.find_mut(&openid, session)
                {
                    let again = slot.sequencer.get_or_insert_default().ask_again(&conversation, now);
                    next = next.into_iter().chain(again).min();
                }
            }
            if let Some(next) = next {
                self.holds.add(next, session, openid);
            }
        }
    }

    /// Asks the database for what is missing in a user's conversation: the hint may have been lost, or NATS
    /// be away. Not where too much is asked for already; whether it was.
    fn fill(&mut self, openid: &OpenId, gap: Gap, ctx: &mut Context<Self>) -> bool {
        let key = (openid.clone(), gap.conversation.clone());
        if self.filling.len() >= FILLING_AT_MOST || self.filling.contains(&key) {
            return false;
        }
        self.metrics.gap_reads.inc();
        let Gap { conversation, after, before } = gap;
        let messages = self.ports.store.between(openid.clone(), conversation, after, before);
        self.filling.insert(key.clone());
        ctx.spawn(messages.into_actor(self).map(move |messages, chat, _| {
            chat.filling.remove(&key);
            let (openid, conversation) = key;
            for message in messages {
                chat.tell_stored(&openid, &conversation, &message);
            }
        }));
        true
    }

    /// Tells a user's sessions of a message as the database has it, unless they were told before.
    pub(super) fn tell_stored(&mut self, openid: &OpenId, conversation: &Conversation, message: &Message) {
        let Message { seq, target, .. } = *message;
        let incoming = message.sender != *openid;
        if !self.is_news(openid, conversation, seq) {
            return;
        }
        let frame: ByteString = outbound::stored(message, conversation).into();
        let line = traced::live("found in the database", openid, conversation, seq, incoming, Some(&frame));
        if let Some(line) = line {
            line.write();
        }
        // A plain client cannot tell its own message from another's, nor an old one from a new one.
        let is_new_to = |slot: &Slot| {
            let has_older =
                slot.sequencer.as_ref().is_some_and(|sequencer| sequencer.has_told_before(conversation, seq));
            has_older || message.sent_at >= slot.joined_at - BEFORE_JOINING
        };
        let wanted = |slot: &Slot| slot.dialect == Dialect::V1 || (incoming && is_new_to(slot));
        let patience = Patience::None;
        let delivery = Delivery { to: openid, conversation, seq, incoming, target, patience };
        self.deliver(delivery, || frame.clone(), wanted);
    }
}
