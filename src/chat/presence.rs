//! Presence: sessions watch it, other nodes are asked for it, changes are told every few seconds.

use std::collections::HashMap;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};

use super::ChatServer;
use super::actor::Overrun;
use super::messages::{ClusterEventKind, OtherNodes, WatchPresence};
use super::outbox::monotonic_ms;
use super::watchers::{News, Visible};
use crate::event::Presence;
use crate::ids::{OpenId, RequestId, SessionId, now_ms};
use crate::protocol::errors;
use crate::protocol::presence::presence;
use crate::protocol::{CallerError, outbound};

/// How often changes are told.
pub(super) const TELL_INTERVAL: Duration = Duration::from_secs(4);
/// Users who have changed since then; beyond it the next telling is at once.
pub(super) const CHANGED_CAPACITY: usize = 16_384;
/// How long other nodes have for their answer. Who has no session of a user does not answer at all.
const ANSWERS_WITHIN: Duration = Duration::from_millis(800);
/// Users about whom the other nodes are asked in one go, and how long the next ones wait.
const ASKED_AT_ONCE: usize = 500;
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// Questions to the store under way; beyond it a list is refused.
const LOOKUPS: usize = 64;
/// Lists that are looked up anew each time that changes are told.
const OUTDATED_AT_ONCE: usize = 32;

/// Sessions for which the store is asked whom they may see, and who withdrew meanwhile: the answer may be
/// older.
#[derive(Default)]
pub(super) struct Lookups(HashMap<SessionId, Vec<OpenId>>);

impl Lookups {
    fn begin(&mut self, session: SessionId) -> Result<(), CallerError> {
        if self.0.contains_key(&session) {
            return Err(errors::PRESENCE_UNDER_WAY);
        }
        if self.0.len() >= LOOKUPS {
            return Err(errors::PRESENCE_UNAVAILABLE);
        }
        self.0.insert(session, Vec::new());
        Ok(())
    }

    fn withdrawn(&mut self, openid: &OpenId) {
        for withdrawn in self.0.values_mut().filter(|withdrawn| !withdrawn.contains(openid)) {
            withdrawn.push(openid.clone());
        }
    }

    /// What may be shown of an answer.
    fn end(&mut self, session: SessionId, mut visible: Visible) -> Visible {
        for openid in self.0.remove(&session).unwrap_or_default() {
            visible.remove(&openid);
        }
        visible
    }
}

impl ChatServer {
    /// Tells sessions, and other nodes, what has changed since the last time.
    pub(super) fn tell_presence(&mut self) {
        let at = now_ms();
        for openid in self.registry.take_changed() {
            let attention = self.registry.attention(&openid);
            self.watchers.changed_here(&openid, attention, at);
            let node = self.node.clone();
            self.hint(&openid, ClusterEventKind::Presence { node, attention });
        }
        self.send_hints();
        self.tell_news();
    }

    fn tell_news(&mut self) {
        let registry = &self.registry;
        let news = self.watchers.take_news(|openid| registry.attention(openid));
        self.tell_presence_of(news);
    }

    fn tell_presence_of(&mut self, news: News) {
        let mut overrun = Overrun::default();
        for (session, (openid, rows)) in news {
            if let Some(slot) = self.registry.find(&openid, session) {
                let rows = rows.iter().map(|(peer, known)| (peer, *known));
                overrun.push(slot, &openid, presence(None, rows));
            }
        }
        self.drop_overrun(overrun);
    }

    /// Looks up anew what some sessions may see.
    pub(super) fn look_up_outdated(&mut self, ctx: &mut Context<Self>) {
        for (session, openid, peers) in self.watchers.take_outdated(OUTDATED_AT_ONCE, monotonic_ms()) {
            if self.lookups.begin(session).is_err() {
                continue;
            }
            let asked = self.ports.store.visible_presence(openid.clone(), peers.clone()).into_actor(self);
            ctx.spawn(asked.map(move |visible, chat, ctx| {
                let is_known = visible.is_some();
                let visible = chat.lookups.end(session, visible.unwrap_or_default());
                // Without an answer it stays as it is, and so it does where the session watches others by
                // now.
                if is_known && chat.watchers.watches(session, &peers) {
                    chat.looked_up_anew(session, &openid, peers, &visible);
                    chat.ask_others(ctx);
                }
            }));
        }
    }

    fn looked_up_anew(&mut self, session: SessionId, openid: &OpenId, peers: Vec<OpenId>, visible: &Visible) {
        let (before, registry) = (self.watchers.shown_to(session), &self.registry);
        let here = |openid: &OpenId| registry.attention(openid);
        let known = self.watchers.replace(session, openid, peers, visible, here, monotonic_ms());
        let changed = known.unwrap_or_default().into_iter();
        let changed = changed.filter(|(peer, _)| before.contains(peer) != visible.contains_key(peer));
        let rows: Vec<_> = changed.collect();
        if !rows.is_empty() {
            self.tell_presence_of(News::from([(session, (openid.clone(), rows))]));
        }
    }

    fn answer_presence(
        &mut self,
        WatchPresence { openid, session, request_id, peers }: WatchPresence,
        visible: Option<Visible>,
    ) {
        let is_known = visible.is_some();
        let visible = self.lookups.end(session, visible.unwrap_or_default());
        let id = request_id.as_ref();
        // It may have gone meanwhile.
        if self.registry.find(&openid, session).is_none() {
            return;
        }
        let registry = &self.registry;
        let here = |openid: &OpenId| registry.attention(openid);
        let known = is_known
            .then(|| self.watchers.replace(session, &openid, peers, &visible, here, monotonic_ms()).ok());
        match known.flatten() {
            Some(known) => {
                let frame = presence(id, known.iter().map(|(peer, known)| (peer, *known)));
                self.answer(&openid, session, frame);
            }
            None => self.refuse_presence(&openid, session, id, &errors::PRESENCE_UNAVAILABLE),
        }
    }

    fn refuse_presence(
        &mut self,
        openid: &OpenId,
        session: SessionId,
        id: Option<&RequestId>,
        error: &CallerError,
    ) {
        self.metrics.errors.inc(error.code);
        self.answer(openid, session, outbound::Failure { error, id, client_msg_id: None }.encode());
    }

    /// Asks the other nodes about users who are watched since a moment ago.
    fn ask_others(&mut self, ctx: &mut Context<Self>) {
        if self.asks_presence || !self.watchers.has_unasked() {
            return;
        }
        let (round, users) = self.watchers.take_unasked(ASKED_AT_ONCE);
        for openid in &users {
            self.hint(openid, ClusterEventKind::PresenceWanted);
        }
        self.send_hints();
        self.asks_presence = true;
        ctx.run_later(ASK_INTERVAL, |chat, ctx| {
            chat.asks_presence = false;
            chat.ask_others(ctx);
        });
        ctx.run_later(ANSWERS_WITHIN, move |chat, _| {
            chat.watchers.answered(round, &users);
            chat.tell_news();
        });
    }

    /// Another node watches a user.
    pub(super) fn presence_wanted(&mut self, openid: &OpenId) {
        if let Some(attention) = self.registry.attention(openid) {
            let node = self.node.clone();
            self.hint(openid, ClusterEventKind::Presence { node, attention: Some(attention) });
        }
    }

    /// A user shows themself no more: to `from`, or to nobody.
    pub(super) fn presence_withdrawn(&mut self, openid: &OpenId, from: Option<&OpenId>) {
        self.lookups.withdrawn(openid);
        let told = self.watchers.withdraw(openid, from).into_iter();
        let unknown = || vec![(openid.clone(), Presence::Unknown)];
        self.tell_presence_of(told.map(|(session, viewer)| (session, (viewer, unknown()))).collect());
    }
}

impl Handler<WatchPresence> for ChatServer {
    type Result = ();

    fn handle(&mut self, watch: WatchPresence, ctx: &mut Self::Context) {
        if let Err(error) = self.lookups.begin(watch.session) {
            return self.refuse_presence(&watch.openid, watch.session, watch.request_id.as_ref(), &error);
        }
        let asked = self.ports.store.visible_presence(watch.openid.clone(), watch.peers.clone());
        ctx.spawn(asked.into_actor(self).map(move |visible, chat, ctx| {
            chat.answer_presence(watch, visible);
            chat.ask_others(ctx);
        }));
    }
}

impl Handler<OtherNodes> for ChatServer {
    type Result = ();

    fn handle(&mut self, news: OtherNodes, ctx: &mut Self::Context) {
        match news {
            OtherNodes::Heard(reachable) => self.watchers.reach(reachable),
            OtherNodes::Gone(node) => self.watchers.gone(&node, now_ms()),
            OtherNodes::MayBeMissed => self.watchers.may_have_missed(),
        }
        self.ask_others(ctx);
    }
}
