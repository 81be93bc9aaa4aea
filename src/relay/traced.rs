//! Trace lines of messages that go to other nodes.

use crate::chat::messages::{ClusterEvent, ClusterEventKind};
use crate::protocol::outbound;
use crate::trace;

/// A message is handed to NATS, or dropped because NATS does not answer or does not keep up.
#[inline]
pub(super) fn published(ClusterEvent { to, kind }: &ClusterEvent, is_sent: bool) {
    let ClusterEventKind::Message { peer, seq, incoming, frame, .. } = kind else { return };
    let (sender, recipient) = if *incoming { (peer, to) } else { (to, peer) };
    let hop = if is_sent { "relayed" } else { "not relayed" };
    if let Some(line) = trace::of(hop, sender, recipient) {
        line.seq(*seq)
            .text("user", to.as_str())
            .client_msg_id(outbound::client_msg_id(frame).as_ref())
            .write();
    }
}
