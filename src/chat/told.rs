//! Which messages this node's users have been told of lately. A message can come by two ways, as a hint and out of the database, and
//! plain clients cannot tell the second from a new one.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};

use crate::ids::{OpenId, Seq};

/// Messages of one generation, some 18 bytes each.
const AT_MOST: usize = 1 << 20;

/// A user's place in a conversation each, as a keyed hash of 64 bits, in two generations.
#[derive(Default)]
pub struct Told {
    hasher: RandomState,
    young: HashSet<u64, BuildHasherDefault<AsItIs>>,
    old: HashSet<u64, BuildHasherDefault<AsItIs>>,
}

/// What is kept is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

impl Told {
    /// Notes that `openid` is told of the message at `seq` of her conversation with `peer`; whether that is new.
    pub fn note(&mut self, openid: &OpenId, peer: &OpenId, seq: Seq) -> bool {
        let key = self.hasher.hash_one((openid.as_str(), peer.as_str(), seq.get()));
        if self.old.contains(&key) || !self.young.insert(key) {
            return false;
        }
        if self.young.len() >= AT_MOST {
            self.turn();
        }
        true
    }

    /// Forgets what was noted before the last turn.
    pub fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_once_and_forgotten_at_the_second_turn() {
        let id = |text: &str| OpenId::parse(text).unwrap();
        let mut told = Told::default();
        let note = |told: &mut Told, openid: &str, peer: &str, seq: i64| told.note(&id(openid), &id(peer), Seq::parse(seq).unwrap());
        assert!(note(&mut told, "a", "b", 1));
        assert!(!note(&mut told, "a", "b", 1));
        assert!(note(&mut told, "b", "a", 1) && note(&mut told, "a", "b", 2) && note(&mut told, "a", "c", 1));
        told.turn();
        assert!(!note(&mut told, "a", "b", 1));
        told.turn();
        assert!(note(&mut told, "a", "b", 1));
    }
}
