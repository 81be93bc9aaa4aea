//! What the session that sent a message is told of it once it is stored.

use super::actor::Overrun;
use super::registry::Slot;
use crate::event::{Draft, Reply};
use crate::ids::Seq;
use crate::protocol::{Dialect, outbound};

/// Where a message stands.
pub(super) struct Stored {
    pub(super) seq: Seq,
    pub(super) sent_at: i64,
    pub(super) duplicate: bool,
}

impl Overrun {
    /// Acks a message to the session that sent it: as the answer to its frame, or, where that was answered as `unavailable` before, as news.
    /// False where that would not say which message is meant: then the session is to be given the message itself.
    pub(super) fn ack(&mut self, slot: &Slot, draft: &Draft, stored: &Stored, reply: Reply) -> bool {
        let Draft { sender, peer, client_msg_id, request_id, .. } = draft;
        let is_v1 = slot.dialect == Dialect::V1;
        if reply == Reply::Given && client_msg_id.is_none() {
            return !is_v1;
        }
        if is_v1 {
            let Stored { seq, sent_at, duplicate } = *stored;
            let id = request_id.as_ref().filter(|_| reply == Reply::Due);
            self.push(slot, sender, outbound::Ack { client_msg_id: client_msg_id.as_ref(), peer, seq, sent_at, duplicate }.encode(id));
        }
        if reply == Reply::Due {
            slot.answered();
        }
        true
    }
}

#[cfg(test)]
#[path = "acks_tests.rs"]
mod tests;
