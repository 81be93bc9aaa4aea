//! Handle by which the rest of the server reaches the Relay. Nothing here waits for NATS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix::Addr;
use futures_util::future::BoxFuture;

use super::actor::{Commit, Follow, Leave, Publish, Relay, TellRevoked, Unfollow};
use super::commits;
use crate::chat::messages::ClusterEvent;
use crate::chat::ports::Cluster;
use crate::event::{CommitSubscriber, Delivered};
use crate::ids::OpenId;
use crate::metrics::Metrics;

/// How things stand with NATS, for whoever asks.
#[derive(Debug, Default)]
pub struct LinkState {
    up: AtomicBool,
    heard: AtomicUsize,
    away: AtomicUsize,
    /// The Relay was handed more than it could take: hints were dropped before it saw them.
    pub(super) overrun: AtomicBool,
}

/// How things stood at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Whether NATS answers, as far as is known; it takes up to three seconds to find out that it does not.
    pub up: bool,
    /// Other nodes that were heard lately.
    pub heard: usize,
    /// Other nodes that the database shows alive and NATS does not bring.
    pub away: usize,
}

impl LinkState {
    pub fn link(&self) -> Link {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Link { up: self.up.load(Ordering::Relaxed), heard: count(&self.heard), away: count(&self.away) }
    }

    pub(super) fn set(&self, Link { up, heard, away }: Link) {
        self.up.store(up, Ordering::Relaxed);
        self.heard.store(heard, Ordering::Relaxed);
        self.away.store(away, Ordering::Relaxed);
    }
}

/// The Relay's address.
#[derive(Clone)]
pub struct RelayHandle {
    pub(super) relay: Addr<Relay>,
    pub(super) state: Arc<LinkState>,
    pub(super) metrics: Metrics,
}

impl RelayHandle {
    pub fn state(&self) -> &Arc<LinkState> {
        &self.state
    }

    fn dropped(&self, hints: usize) {
        self.metrics.relay_dropped.inc_by(hints as u64);
        self.state.overrun.store(true, Ordering::Relaxed);
    }

    /// Something was added to the log of revocations: the other nodes need not wait for their next look.
    pub fn tell_revoked(&self) {
        self.relay.do_send(TellRevoked);
    }

    /// Says farewell after all that was to be said, within a second.
    pub async fn leave(&self) {
        let _ = self.relay.send(Leave).await;
    }
}

/// Where the Relay has too much to do hints are dropped; the other nodes are then told that some are missing.
impl Cluster for RelayHandle {
    fn publish(&self, hints: Vec<ClusterEvent>) {
        let count = hints.len();
        if self.relay.try_send(Publish(hints)).is_err() {
            self.dropped(count);
        }
    }

    /// Takes a second and a half at the most.
    fn follow(&self, openid: OpenId) -> BoxFuture<'static, ()> {
        let asked = self.relay.send(Follow(openid));
        Box::pin(async move {
            let _ = asked.await;
        })
    }

    fn unfollow(&self, openid: OpenId) {
        self.relay.do_send(Unfollow(openid));
    }
}

/// The Relay makes the hints of a commit on its own thread.
impl CommitSubscriber for RelayHandle {
    fn committed(&self, commit: &Arc<Delivered>) {
        if self.relay.try_send(Commit(commit.clone())).is_err() {
            self.dropped(commits::hints(&commit.events).len());
        }
    }
}
