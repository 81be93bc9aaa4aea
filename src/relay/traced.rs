//! Trace lines of messages that go to other nodes.

use crate::chat::messages::{ClusterEvent, ClusterEventKind};
use crate::protocol::outbound;
use crate::trace;

/// A message is handed to NATS, or dropped because NATS does not answer or does not keep up.
#[inline]
pub(super) fn published(ClusterEvent { to, kind }: &ClusterEvent, is_sent: bool) {
    let ClusterEventKind::Message { conversation, seq, incoming, frame, .. } = kind else { return };
    // Who wrote to a group is not known here.
    let sender = if *incoming { conversation.peer(to).unwrap_or(to) } else { to };
    let hop = if is_sent { "relayed" } else { "not relayed" };
    if let Some(line) = trace::of(hop, sender, conversation) {
        line.seq(*seq)
            .text("user", to.as_str())
            .client_msg_id(outbound::client_msg_id(frame).as_ref())
            .write();
    }
}
