//! The chat and the other nodes: what it tells them, what it hears from them, and what a user's sessions here
//! are told out of the database when something may not have been heard.

use actix::{AsyncContext as _, Context, Handler, MessageResult};
use bytestring::ByteString;

use super::ChatServer;
use super::actor::Overrun;
use super::deliver::Delivery;
use super::delivered::Mark;
use super::messages::{
    Arrived, CaughtUp, ClusterEvent, ClusterEventKind, Connect, ForgetDelivered, Replacements, Users,
};
use super::outbox::monotonic_ms;
use super::registry::Contest;
use super::sequencer::Patience;
use super::traced;
use crate::event::overview::{Missed, Overview};
use crate::event::{Conversation, Receipt, ReceiptKind};
use crate::ids::{Device, OpenId, Seq, SessionId, now_ms};
use crate::protocol::{Close, Dialect, outbound};

impl ChatServer {
    pub(super) fn has_cluster(&self) -> bool {
        self.ports.cluster.is_some()
    }

    pub(super) fn hint(&mut self, to: &OpenId, kind: ClusterEventKind) {
        if self.has_cluster() {
            self.hints.push(ClusterEvent { to: to.clone(), kind });
        }
    }

    /// Hands on what was hinted while something was handled.
    pub(super) fn send_hints(&mut self) {
        if let Some(cluster) = &self.ports.cluster
            && !self.hints.is_empty()
        {
            cluster.publish(std::mem::take(&mut self.hints));
        }
    }

    /// Notes that `openid`, if they have sessions here, is told of a message now; whether they were not
    /// before.
    pub(super) fn is_news(&mut self, openid: &OpenId, conversation: &Conversation, seq: Seq) -> bool {
        !self.has_cluster()
            || self.registry.of(openid).is_empty()
            || self.delivered.note(openid, conversation, seq)
    }

    /// Lets a session in once hints for its user come here: what is committed after its `init` is pushed, on
    /// whichever node.
    pub(super) fn follow(&mut self, new: Connect, ctx: &mut Context<Self>) {
        use actix::{ActorFutureExt as _, WrapFuture as _};
        let Some(cluster) = self.ports.cluster.as_ref().filter(|_| self.registry.of(&new.openid).is_empty())
        else {
            return self.join(new);
        };
        let followed = cluster.follow(new.openid.clone());
        let session = new.session;
        self.joining.insert(session, new);
        ctx.spawn(followed.into_actor(self).map(move |(), chat, _| chat.followed(session)));
    }

    fn followed(&mut self, session: SessionId) {
        // It may have gone meanwhile.
        let Some(new) = self.joining.remove(&session) else { return };
        if !self.registry.of(&new.openid).is_empty() {
            self.unfollow(new.openid.clone());
        }
        self.join(new);
    }

    pub(super) fn unfollow(&self, openid: OpenId) {
        if let Some(cluster) = &self.ports.cluster {
            cluster.unfollow(openid);
        }
    }

    fn arrived(&mut self, ClusterEvent { to, kind }: ClusterEvent) {
        match kind {
            ClusterEventKind::Message { conversation, seq, incoming, target, frame } => {
                if let Some(line) = traced::live("heard", &to, &conversation, seq, incoming, Some(&frame)) {
                    line.write();
                }
                if self.is_news(&to, &conversation, seq) {
                    let (to, conversation, patience) = (&to, &conversation, Patience::Waits);
                    let delivery = Delivery { to, conversation, seq, incoming, target, patience };
                    self.deliver(delivery, || frame.clone(), |_| true);
                }
            }
            ClusterEventKind::Frame(frame) => self.tell_v1(&to, &frame),
            ClusterEventKind::Receipt(receipt) => self.tell_receipt(&to, &receipt),
            ClusterEventKind::Cleared { conversation, seq } => self.tell_cleared(&to, &conversation, seq),
            ClusterEventKind::Joined { session, dialect, device } => {
                self.joined_elsewhere(&to, session, dialect, device.as_ref())
            }
            ClusterEventKind::Present { joined, sessions, replacements } => {
                self.present_elsewhere(&to, joined, &sessions, replacements)
            }
            ClusterEventKind::Yield { sessions } => self.give_way(&to, &sessions),
            ClusterEventKind::TooOften { joined, retry_ms } => self.not_this_often(&to, joined, retry_ms),
            ClusterEventKind::Attention { ask, within_ms } => self.asked_elsewhere(&to, ask, within_ms),
            ClusterEventKind::Attends { ask } => self.asked.answered(ask, to),
            ClusterEventKind::PresenceWanted => self.presence_wanted(&to),
            ClusterEventKind::Presence { node, attention } => {
                self.watchers.heard(&to, &node, attention, now_ms())
            }
            ClusterEventKind::PresenceWithdrawn { from } => self.presence_withdrawn(&to, from.as_ref()),
        }
    }

    /// Tells a user's v1 sessions of a mark, unless they were told of it or of a later one.
    fn tell_receipt(&mut self, to: &OpenId, receipt: &Receipt) {
        let mark = Mark::Receipt(receipt.kind, &receipt.openid);
        if self.mark_rises(to, &receipt.conversation, mark, receipt.seq) {
            self.tell_v1(to, &outbound::receipt(receipt, None));
        }
    }

    pub(super) fn tell_cleared(&mut self, openid: &OpenId, conversation: &Conversation, seq: Seq) {
        if self.mark_rises(openid, conversation, Mark::Cleared, seq) {
            self.tell_v1(openid, &outbound::cleared(openid, conversation, seq));
        }
    }

    /// Notes that `openid`, if they have sessions here, is told of a mark now; whether it is further than
    /// what they were told before.
    pub(super) fn mark_rises(
        &mut self,
        openid: &OpenId,
        conversation: &Conversation,
        mark: Mark<'_>,
        seq: Seq,
    ) -> bool {
        !self.has_cluster()
            || self.registry.of(openid).is_empty()
            || self.delivered.note_mark(openid, conversation, mark, seq)
    }

    /// Queues a frame for a user's v1 sessions.
    pub(super) fn tell_v1(&mut self, to: &OpenId, frame: &ByteString) {
        let mut overrun = Overrun::default();
        for slot in self.registry.of(to).iter().filter(|s| s.dialect == Dialect::V1) {
            overrun.push(slot, to, frame.clone());
        }
        self.drop_overrun(overrun);
    }

    fn joined_elsewhere(
        &mut self,
        to: &OpenId,
        joined: SessionId,
        dialect: Dialect,
        device: Option<&Device>,
    ) {
        let mut replacements = Replacements::default();
        match self.registry.contest(to, joined, dialect, device, monotonic_ms()) {
            None => {}
            Some(Contest::Gives { slot, replacements: counted }) => {
                slot.close(Close::Replaced);
                replacements = counted;
            }
            Some(Contest::TooOften { retry_ms }) => {
                return self.hint(to, ClusterEventKind::TooOften { joined, retry_ms });
            }
            // It is announced again, because the other node may have let its own in after it had been
            // announced.
            Some(Contest::Stays { session }) => {
                return self.hint(to, ClusterEventKind::Joined { session, dialect, device: device.cloned() });
            }
        }
        let sessions: Vec<_> = self.registry.of(to).iter().map(|slot| slot.session).collect();
        if replacements.count > 0 || !sessions.is_empty() {
            self.hint(to, ClusterEventKind::Present { joined, sessions, replacements });
        }
        self.count();
    }

    fn present_elsewhere(
        &mut self,
        to: &OpenId,
        joined: SessionId,
        sessions: &[SessionId],
        replacements: Replacements,
    ) {
        let too_many = self.registry.present(to, joined, sessions, replacements, monotonic_ms());
        if !too_many.is_empty() {
            self.give_way(to, &too_many);
            self.hint(to, ClusterEventKind::Yield { sessions: too_many });
        }
    }

    fn give_way(&mut self, openid: &OpenId, sessions: &[SessionId]) {
        for session in sessions {
            if let Some(slot) = self.registry.remove(openid, *session) {
                slot.close(Close::Replaced);
            }
        }
        self.count();
    }

    fn not_this_often(&mut self, openid: &OpenId, session: SessionId, retry_ms: u64) {
        if let Some(slot) = self.registry.remove(openid, session) {
            self.turn_away(&slot.outbox, retry_ms);
            slot.wake();
        }
        self.count();
    }

    fn caught_up(&mut self, openid: &OpenId, missed: Missed) {
        let Missed { overview, messages, .. } = missed;
        let Overview { conversation, cleared_seq, .. } = &overview;
        for message in &messages {
            self.tell_stored(openid, conversation, message);
        }
        let receipt = |who: &OpenId, kind, seq| {
            let (openid, conversation) = (who.clone(), conversation.clone());
            Receipt { kind, openid, conversation, seq, session: None }
        };
        let of = |who, recv_seq, read_seq| {
            [receipt(who, ReceiptKind::Recv, recv_seq), receipt(who, ReceiptKind::Read, read_seq)]
        };
        let own = of(openid, overview.recv_seq, overview.read_seq);
        let peer = conversation.peer(openid);
        let others = peer.map(|peer| of(peer, overview.peer_recv_seq, overview.peer_read_seq));
        for receipt in own.iter().chain(others.iter().flatten()) {
            self.tell_receipt(openid, receipt);
        }
        self.tell_cleared(openid, conversation, *cleared_seq);
    }
}

impl Handler<Arrived> for ChatServer {
    type Result = ();

    fn handle(&mut self, Arrived(hints): Arrived, ctx: &mut Self::Context) {
        for hint in hints {
            self.arrived(hint);
        }
        self.send_hints();
        self.watch_holds(ctx);
    }
}

impl Handler<Users> for ChatServer {
    type Result = MessageResult<Users>;

    fn handle(&mut self, _: Users, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.registry.openids().cloned().collect())
    }
}

impl Handler<CaughtUp> for ChatServer {
    type Result = ();

    fn handle(&mut self, CaughtUp { openid, conversations }: CaughtUp, _: &mut Self::Context) {
        for missed in conversations {
            self.caught_up(&openid, missed);
        }
    }
}

impl Handler<ForgetDelivered> for ChatServer {
    type Result = ();

    fn handle(&mut self, _: ForgetDelivered, _: &mut Self::Context) {
        self.delivered.turn();
    }
}
