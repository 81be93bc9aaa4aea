//! Trace lines of what the chat does with messages and marks. Where nobody is traced each costs one relaxed
//! load.

use crate::event::{Conversation, Draft, Receipt, ReceiptKind};
use crate::ids::{OpenId, Seq};
use crate::protocol::{ErrorCode, outbound};
use crate::trace::{self, Line};

/// The ack is on its way to the session that sent the message. Where `is_acked` is false that session gets
/// the message in its place.
#[inline]
pub(super) fn acked(draft: &Draft, seq: Seq, is_acked: bool) {
    if let Some(line) = trace::of("acked", &draft.sender, &draft.conversation).filter(|_| is_acked) {
        line.seq(seq).client_msg_id(draft.client_msg_id.as_ref()).session(draft.session).write();
    }
}

#[inline]
pub(super) fn refused(draft: &Draft, error: ErrorCode) {
    if let Some(line) = trace::of("refused", &draft.sender, &draft.conversation) {
        line.client_msg_id(draft.client_msg_id.as_ref())
            .session(draft.session)
            .text("error", error.as_str())
            .write();
    }
}

/// A user has received or read what another one wrote, up to a message.
#[inline]
pub(super) fn marked(receipt: &Receipt) {
    let hop = match receipt.kind {
        ReceiptKind::Recv => "on a device",
        ReceiptKind::Read => "read",
    };
    if let Some(line) = trace::of(hop, author(&receipt.openid, &receipt.conversation), &receipt.conversation)
    {
        line.number("up_to_seq", receipt.seq.get()).write();
    }
}

/// Who wrote what `to` hears in a conversation: of a group that is not known here.
fn author<'a>(to: &'a OpenId, conversation: &'a Conversation) -> &'a OpenId {
    conversation.peer(to).unwrap_or(to)
}

/// A message of a conversation on its way to the sessions of `to`.
#[inline]
pub(super) fn live(
    hop: &'static str,
    to: &OpenId,
    conversation: &Conversation,
    seq: Seq,
    incoming: bool,
    frame: Option<&str>,
) -> Option<Line> {
    let sender = if incoming { author(to, conversation) } else { to };
    let line = trace::of(hop, sender, conversation)?.seq(seq).text("user", to.as_str());
    Some(line.client_msg_id(frame.and_then(outbound::client_msg_id).as_ref()))
}
