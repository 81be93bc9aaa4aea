//! Who looks at the app, here and on other nodes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use actix::{ActorFutureExt as _, Handler, ResponseActFuture, WrapFuture as _};

use super::ChatServer;
use super::messages::{Attends, ClusterEventKind, Reach};
use super::outbox::monotonic_ms;
use crate::ids::OpenId;

/// How long other nodes have for their answer. Who does not attend is not answered for at all, so this is how
/// long a no takes.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Questions to the other nodes whose time is not over, by number, and of whom a yes has come.
#[derive(Default)]
pub(super) struct Asked(HashMap<u64, HashSet<OpenId>>);

impl Asked {
    fn begin(&mut self) -> u64 {
        let ask = rand::random();
        self.0.insert(ask, HashSet::new());
        ask
    }

    /// A number that is not here is another node's, or its time is over.
    pub(super) fn answered(&mut self, ask: u64, openid: OpenId) {
        if let Some(attending) = self.0.get_mut(&ask) {
            attending.insert(openid);
        }
    }

    fn end(&mut self, ask: u64) -> HashSet<OpenId> {
        self.0.remove(&ask).unwrap_or_default()
    }
}

impl ChatServer {
    fn attends(&self, openid: &OpenId, within_ms: u64) -> bool {
        let since = monotonic_ms().saturating_sub(within_ms);
        self.registry
            .of(openid)
            .iter()
            .any(|slot| slot.is_in_foreground() && slot.outbox.last_heard() >= since)
    }

    pub(super) fn asked_elsewhere(&mut self, openid: &OpenId, ask: u64, within_ms: u64) {
        if self.attends(openid, within_ms) {
            self.hint(openid, ClusterEventKind::Attends { ask });
        }
    }
}

impl Handler<Attends> for ChatServer {
    type Result = ResponseActFuture<Self, Vec<bool>>;

    fn handle(&mut self, Attends { users, reach }: Attends, _: &mut Self::Context) -> Self::Result {
        let here: Vec<bool> =
            users.iter().map(|(openid, within_ms)| self.attends(openid, *within_ms)).collect();
        if reach == Reach::Here || !self.has_cluster() || here.iter().all(|attends| *attends) {
            return Box::pin(std::future::ready(here).into_actor(self));
        }
        let ask = self.asked.begin();
        for ((openid, within_ms), _) in users.iter().zip(&here).filter(|(_, attends)| !**attends) {
            // The question itself takes time, and what was heard at the beginning of the stretch must not
            // fall out of it by that.
            let within_ms = within_ms.saturating_add(ANSWERS_WITHIN.as_millis() as u64);
            self.hint(openid, ClusterEventKind::Attention { ask, within_ms });
        }
        self.send_hints();
        Box::pin(tokio::time::sleep(ANSWERS_WITHIN).into_actor(self).map(move |(), chat, _| {
            let elsewhere = chat.asked.end(ask);
            users.iter().zip(here).map(|((openid, _), here)| here || elsewhere.contains(openid)).collect()
        }))
    }
}
