//! Addresses of conversations, as the store has them.

use crate::event::Conversation;
use crate::ids::OpenId;

/// Kind of a conversation between two users, or of one with oneself.
pub(super) const DIRECT: i16 = 0;

/// Address of the direct conversation of `a` and `b`.
pub(super) fn direct(a: &OpenId, b: &OpenId) -> String {
    Conversation::direct_address(a, b)
}
