//! Marks: how far a user has received and read a conversation. What a mark changes stands with the messages
//! of its batch: [`super::lanes`], [`super::sqlite`], [`super::postgres`].

use crate::event::Receipt;

/// Moves a mark up to the receipt's seq, clamped to the last seq; a mark never goes back. Without a
/// conversation it does nothing.
#[derive(Debug, Clone)]
pub struct Mark {
    pub receipt: Receipt,
}
