//! Trace lines of what the chat does with messages and marks. Where nobody is traced each costs one relaxed
//! load.

use crate::event::{Draft, Receipt, ReceiptKind};
use crate::ids::{OpenId, Seq};
use crate::protocol::{ErrorCode, outbound};
use crate::trace::{self, Line};

/// The ack is on its way to the session that sent the message. Where `is_acked` is false that session gets
/// the message in its place.
#[inline]
pub(super) fn acked(draft: &Draft, seq: Seq, is_acked: bool) {
    if let Some(line) = trace::of("acked", &draft.sender, &draft.peer).filter(|_| is_acked) {
        line.seq(seq).client_msg_id(draft.client_msg_id.as_ref()).session(draft.session).write();
    }
}

#[inline]
pub(super) fn refused(draft: &Draft, word: ErrorCode) {
    if let Some(line) = trace::of("refused", &draft.sender, &draft.peer) {
        line.client_msg_id(draft.client_msg_id.as_ref())
            .session(draft.session)
            .text("error", word.as_str())
            .write();
    }
}

/// A user has received or read what the other one wrote, up to a message.
#[inline]
pub(super) fn marked(receipt: &Receipt) {
    let hop = match receipt.kind {
        ReceiptKind::Recv => "on a device",
        ReceiptKind::Read => "read",
    };
    if let Some(line) = trace::of(hop, &receipt.peer, &receipt.openid) {
        line.number("up_to_seq", receipt.seq.get()).write();
    }
}

/// A message on its way to the sessions of `to`, whose conversation with `peer` it is of.
#[inline]
pub(super) fn live(
    hop: &'static str,
    to: &OpenId,
    peer: &OpenId,
    seq: Seq,
    incoming: bool,
    frame: Option<&str>,
) -> Option<Line> {
    let (sender, recipient) = if incoming { (peer, to) } else { (to, peer) };
    let line = trace::of(hop, sender, recipient)?.seq(seq).text("user", to.as_str());
    Some(line.client_msg_id(frame.and_then(outbound::client_msg_id).as_ref()))
}
