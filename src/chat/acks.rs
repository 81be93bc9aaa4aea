//! Acks to the session that sent a message.

use super::actor::Overrun;
use super::registry::Slot;
use crate::event::{Draft, RequestState};
use crate::ids::Seq;
use crate::protocol::{Dialect, outbound};

/// Place of a stored message.
pub(super) struct StoredAt {
    pub(super) seq: Seq,
    pub(super) sent_at: i64,
    pub(super) duplicate: bool,
}

impl Overrun {
    /// Acks a message to the session that sent it: with the frame's id, or without one if the frame was
    /// answered as `unavailable` before. Returns false when the ack could not name the message: then the
    /// session must get the message.
    pub(super) fn ack(
        &mut self,
        slot: &Slot,
        draft: &Draft,
        stored: &StoredAt,
        request: RequestState,
    ) -> bool {
        let Draft { sender, conversation, client_msg_id, request_id, .. } = draft;
        let is_v1 = slot.dialect == Dialect::V1;
        if request == RequestState::Answered && client_msg_id.is_none() {
            return !is_v1;
        }
        if is_v1 {
            let StoredAt { seq, sent_at, duplicate } = *stored;
            let id = request_id.as_ref().filter(|_| request == RequestState::Open);
            let (client_msg_id, to) = (client_msg_id.as_ref(), conversation.address_str(sender));
            let ack = outbound::Ack { client_msg_id, to, seq, sent_at, duplicate };
            self.push(slot, sender, ack.encode(id));
        }
        if request == RequestState::Open {
            slot.answered();
        }
        true
    }
}

#[cfg(test)]
#[path = "acks_tests.rs"]
mod tests;
