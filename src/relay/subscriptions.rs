//! Subscriptions of all buckets as one stream, and its way to the chat.

use std::cell::RefCell;
use std::rc::Rc;

use actix::Addr;
use async_nats::{Message, Subject, Subscriber};
use futures_util::future::FutureExt as _;
use futures_util::stream::{AbortHandle, Abortable, SelectAll, StreamExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::interest::{Interest, bucket};
use super::wire;
use crate::chat::ChatServer;
use crate::chat::messages::{Arrived, ClusterEvent};
use crate::metrics::Metrics;

/// Hints that the chat is handed in one go.
const AT_ONCE: usize = 256;

/// A subscription that ends, and with it its subject on the server, when its [`AbortHandle`] says so.
type Subscription = Abortable<Subscriber>;

/// Takes new subscriptions in. One entry waits for each only until this thread's next turn.
pub(super) struct Subscriptions(UnboundedSender<Subscription>);

pub(super) struct Intake {
    /// What this node's own messages name as their reply subject: they come back, and are left.
    pub(super) origin: Subject,
    pub(super) interest: Rc<RefCell<Interest>>,
    pub(super) buckets: u32,
    pub(super) chat: Addr<ChatServer>,
    pub(super) metrics: Metrics,
}

impl Subscriptions {
    /// Starts bringing the chat what comes.
    pub(super) fn start(intake: Intake) -> Self {
        let (new, taken) = unbounded_channel();
        actix_rt::spawn(intake.run(taken));
        Self(new)
    }

    pub(super) fn add(&self, subscriber: Subscriber) -> AbortHandle {
        let (subscription, handle) = futures_util::stream::abortable(subscriber);
        let _ = self.0.send(subscription);
        handle
    }
}

impl Intake {
    async fn run(self, mut new: UnboundedReceiver<Subscription>) {
        let mut all = SelectAll::new();
        loop {
            tokio::select! {
                biased;
                subscription = new.recv() => match subscription {
                    Some(subscription) => all.push(subscription),
                    None => return,
                },
                Some(first) = all.next() => {
                    let mut hints = Vec::new();
                    self.take(&first, &mut hints);
                    while hints.len() < AT_ONCE && let Some(Some(next)) = all.next().now_or_never() {
                        self.take(&next, &mut hints);
                    }
                    // It waits for the chat, as the store does: what comes meanwhile waits in its
                    // subscription, which is bounded.
                    if !hints.is_empty() && self.chat.send(Arrived(hints)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn take(&self, message: &Message, hints: &mut Vec<ClusterEvent>) {
        if message.reply.as_ref() == Some(&self.origin) {
            return;
        }
        self.metrics.relay_received.inc();
        match wire::decode(&message.payload) {
            // Others share the bucket.
            Ok(hint) if self.interest.borrow().is_followed(&hint.to, bucket(&hint.to, self.buckets)) => {
                hints.push(hint)
            }
            Ok(_) => drop(self.metrics.relay_foreign.inc()),
            Err(_) => drop(self.metrics.relay_unknown.inc()),
        }
    }
}
