//! Addresses of conversations, as the store has them.

use crate::ids::OpenId;

/// Kind of a conversation between two users, or of one with oneself.
pub(in crate::store) const DIRECT: i16 = 0;

/// Address of the direct conversation of `a` and `b`: the same for both. No openid has a colon.
pub(in crate::store) fn direct(a: &OpenId, b: &OpenId) -> String {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    let mut address = String::with_capacity(first.as_str().len() + second.as_str().len() + 3);
    address.push_str("d:");
    address.push_str(first.as_str());
    address.push(':');
    address.push_str(second.as_str());
    address
}
