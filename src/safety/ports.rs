//! Ports of the checks: what they ask of other modules.

use crate::event::{Draft, Places, Refusal};

/// Sessions whose messages are checked.
pub trait Senders: Send + Sync {
    /// Tells the session that sent a message that it was refused after its check. `place` is given back once it is
    /// told, so that a slow chat slows the senders.
    fn refused(&self, draft: Draft, why: Refusal, place: Places);
}
