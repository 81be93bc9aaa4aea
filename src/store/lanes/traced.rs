//! Trace lines of what was committed.

use crate::event::Event;
use crate::trace;

/// Writes a line for each message that is durable now. Refusals are told by the chat, which hears of all of
/// them.
#[inline]
pub(in crate::store) fn settled(events: &[Event]) {
    if !trace::is_on() {
        return;
    }
    for event in events {
        let (hop, draft, seq) = match event {
            Event::Appended { draft, seq, .. } => ("committed", draft, *seq),
            Event::Repeated { draft, stored, .. } => ("committed before", draft, stored.seq),
            _ => continue,
        };
        if let Some(line) = trace::of(hop, &draft.sender, &draft.conversation) {
            line.seq(seq).client_msg_id(draft.client_msg_id.as_ref()).session(draft.session).write();
        }
    }
}
