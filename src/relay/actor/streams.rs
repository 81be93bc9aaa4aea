//! Streams of what comes from NATS.

use std::time::Instant;

use actix::{Handler, Message, StreamHandler};
use async_nats::Event;

use super::Relay;
use crate::chat::messages::{Arrived, ClusterEvent, ClusterEventKind};
use crate::relay::intervals::TICK_MS;
use crate::relay::wire::{self, NodeMessage};

/// Something that another node says to all: a word about itself, or an answer.
pub(super) struct Heard(pub(super) async_nats::Message);

impl StreamHandler<Heard> for Relay {
    fn handle(&mut self, Heard(message): Heard, _: &mut Self::Context) {
        if message.reply.as_ref() == Some(&self.origin) {
            return;
        }
        if let Ok(word) = NodeMessage::decode(&message.payload) {
            return self.heard(word);
        }
        match wire::decode(&message.payload) {
            Ok(
                hint @ ClusterEvent {
                    kind:
                        ClusterEventKind::Attends { .. }
                        | ClusterEventKind::Presence { .. }
                        | ClusterEventKind::PresenceWithdrawn { .. },
                    ..
                },
            ) => self.ports.chat.do_send(Arrived(vec![hint])),
            _ => drop(self.metrics.relay_unknown.inc()),
        }
    }
}

/// Something on the node's own subject.
pub(super) struct Probed(pub(super) async_nats::Message);

impl StreamHandler<Probed> for Relay {
    fn handle(&mut self, Probed(message): Probed, _: &mut Self::Context) {
        self.probe.heard(&message.payload);
    }
}

/// Something that befell the connection.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Happened(pub(super) Event);

impl Handler<Happened> for Relay {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened, ctx: &mut Self::Context) {
        let now = self.now();
        match event {
            Event::Connected => self.probe(ctx),
            Event::Disconnected | Event::Closed => {
                self.probe.give_up();
                self.set_up(false);
            }
            Event::SlowConsumer(_) => self.resync.mark_lossy(now.saturating_sub(TICK_MS), now),
            Event::ServerError(error) => {
                if self.refused.failed(Instant::now()).is_some() {
                    log::warn!(error:% = error; "NATS refuses: are the user's rights those of deploy/nats?");
                }
            }
            Event::ClientError(error) => self.not_reached(&error.to_string()),
            Event::LameDuckMode | Event::Draining => {}
        }
    }
}
