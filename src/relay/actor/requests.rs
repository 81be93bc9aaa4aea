//! Requests of the rest of the server to the Relay.

use std::sync::Arc;
use std::time::Duration;

use actix::{Handler, Message, ResponseFuture};
use futures_util::future::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Relay, Waiting};
use crate::chat::messages::ClusterEvent;
use crate::event::Delivered;
use crate::ids::OpenId;
use crate::relay::commits;
use crate::relay::wire::NodeMessageKind;
use crate::store::nodes::RemoveHeartbeat;

/// How long a session waits for its subscription before it is let in all the same.
const FOLLOW_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long a farewell may take.
pub const LEAVE_TIMEOUT: Duration = Duration::from_millis(800);

/// Hints for the other nodes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish(pub Vec<ClusterEvent>);

impl Handler<Publish> for Relay {
    type Result = ();

    fn handle(&mut self, Publish(hints): Publish, _: &mut Self::Context) {
        for hint in hints {
            self.publish(&hint);
        }
    }
}

/// A commit of this node's, of which the other nodes are told.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Commit(pub Arc<Delivered>);

impl Handler<Commit> for Relay {
    type Result = ();

    fn handle(&mut self, Commit(commit): Commit, _: &mut Self::Context) {
        for hint in commits::hints(&commit.events) {
            self.publish(&hint);
        }
    }
}

/// Hints for this user are wanted here.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Follow(pub OpenId);

impl Handler<Follow> for Relay {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Follow(openid): Follow, ctx: &mut Self::Context) -> Self::Result {
        let bucket = self.bucket(&openid);
        if self.interest.borrow_mut().follow(openid, bucket) {
            self.subscribe(bucket);
            if !self.unsubscribed.is_empty() {
                self.judge();
            }
        }
        let number = self.subscribed.get(&bucket).map(|(_, number)| *number);
        match number.filter(|number| self.up && *number > self.confirmed) {
            None => Box::pin(std::future::ready(())),
            Some(number) => {
                let (let_in, confirmed) = oneshot::channel();
                self.waiting.push(Waiting { number, since: self.now(), let_in });
                self.probe(ctx);
                // Dropped, it says the same: go on.
                Box::pin(timeout(FOLLOW_TIMEOUT, confirmed).map(drop))
            }
        }
    }
}

/// Takes one [`Follow`] back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Unfollow(pub OpenId);

impl Handler<Unfollow> for Relay {
    type Result = ();

    fn handle(&mut self, Unfollow(openid): Unfollow, _: &mut Self::Context) {
        let (bucket, now) = (self.bucket(&openid), self.now());
        self.interest.borrow_mut().unfollow(&openid, bucket, now);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub struct TellRevoked;

impl Handler<TellRevoked> for Relay {
    type Result = ();

    fn handle(&mut self, _: TellRevoked, _: &mut Self::Context) {
        self.say(NodeMessageKind::Revoked);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave;

impl Handler<Leave> for Relay {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Leave, _: &mut Self::Context) -> Self::Result {
        // Who could not say everything must be taken for one who vanished.
        if self.lost_since.is_none() {
            self.say(NodeMessageKind::Bye);
        }
        self.is_leaving = true;
        let (client, ports, writing) =
            (self.client.clone().filter(|_| self.up), self.ports.clone(), self.heartbeat.clone());
        let query = RemoveHeartbeat { node: self.settings.node.clone() };
        let left = async move {
            if let Some(client) = client {
                let _ = client.flush().await;
            }
            let _writing = writing.lock().await;
            let _ = ports.store.ask(query).await;
        };
        Box::pin(timeout(LEAVE_TIMEOUT, left).map(drop))
    }
}
