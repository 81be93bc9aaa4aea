//! How the rest of the server reaches the Relay. Nothing here waits for NATS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix::Addr;
use futures_util::future::BoxFuture;

use super::actor::{Follow, Leave, Publish, Relay, TellRevoked, Unfollow};
use crate::chat::messages::Hint;
use crate::ids::OpenId;
use crate::metrics::Metrics;

/// How things stand with NATS, for whoever asks.
#[derive(Debug, Default)]
pub struct LinkState {
    up: AtomicBool,
    nodes: AtomicUsize,
    /// The Relay was handed more than it could take: hints were dropped before it saw them.
    pub(super) overrun: AtomicBool,
}

impl LinkState {
    /// Whether hints go out and come in, as far as is known; it takes up to three seconds to find out that they do not.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// How many other nodes were heard lately.
    pub fn nodes(&self) -> usize {
        self.nodes.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, up: bool, nodes: usize) {
        self.up.store(up, Ordering::Relaxed);
        self.nodes.store(nodes, Ordering::Relaxed);
    }
}

/// The Relay's address.
#[derive(Clone)]
pub struct Relayed {
    pub(super) relay: Addr<Relay>,
    pub(super) state: Arc<LinkState>,
    pub(super) metrics: Metrics,
}

impl Relayed {
    pub fn state(&self) -> &Arc<LinkState> {
        &self.state
    }

    /// Passes hints on, or drops them when the Relay has too much to do; the other nodes are then told that some are missing.
    pub fn publish(&self, hints: Vec<Hint>) {
        let count = hints.len() as u64;
        if self.relay.try_send(Publish(hints)).is_err() {
            self.metrics.relay_dropped.inc_by(count);
            self.state.overrun.store(true, Ordering::Relaxed);
        }
    }

    /// Ready once hints for this user come here, or cannot for now: within a second and a half in any case.
    pub fn follow(&self, openid: OpenId) -> BoxFuture<'static, ()> {
        let asked = self.relay.send(Follow(openid));
        Box::pin(async move {
            let _ = asked.await;
        })
    }

    pub fn unfollow(&self, openid: OpenId) {
        self.relay.do_send(Unfollow(openid));
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
