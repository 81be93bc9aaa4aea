//! What this node's users have been told lately. A message or a mark can come by two ways, as a hint and out
//! of the database, and hints of two nodes overtake each other: plain clients cannot tell a message that
//! comes twice from a new one, and marks never go back.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};

use crate::event::{Conversation, ReceiptKind};
use crate::ids::{OpenId, Seq};

/// Messages, and marks, of one generation: some 18 bytes a message and 34 a mark.
const DELIVERED_CACHE_CAPACITY: usize = 1 << 20;

/// Keyed hashes of 64 bits, in two generations.
#[derive(Default)]
pub struct DeliveredCache {
    hasher: RandomState,
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    /// A user's place in a conversation each.
    messages: HashSet<u64, BuildHasherDefault<AsItIs>>,
    /// How far a mark has come, as a user was told.
    marks: HashMap<u64, i64, BuildHasherDefault<AsItIs>>,
}

/// Which of the marks of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark<'a> {
    /// What this member has received or read.
    Receipt(ReceiptKind, &'a OpenId),
    Cleared,
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

impl DeliveredCache {
    /// Notes that `openid` is told of the message at `seq` of a conversation; whether that is new.
    pub fn note(&mut self, openid: &OpenId, conversation: &Conversation, seq: Seq) -> bool {
        let key = self.hasher.hash_one((openid.as_str(), conversation.address_str(openid), seq.get()));
        if self.old.messages.contains(&key) || !self.young.messages.insert(key) {
            return false;
        }
        self.bound();
        true
    }

    /// Notes that `openid` is told how far a mark of a conversation has come; whether that is further than they
    /// were told.
    pub fn note_mark(
        &mut self,
        openid: &OpenId,
        conversation: &Conversation,
        mark: Mark<'_>,
        seq: Seq,
    ) -> bool {
        let key = self.hasher.hash_one((openid.as_str(), conversation.address_str(openid), mark));
        let before = self.young.marks.get(&key).or_else(|| self.old.marks.get(&key)).copied().unwrap_or(0);
        if seq.get() <= before {
            return false;
        }
        self.young.marks.insert(key, seq.get());
        self.bound();
        true
    }

    fn bound(&mut self) {
        if self.young.messages.len() >= DELIVERED_CACHE_CAPACITY
            || self.young.marks.len() >= DELIVERED_CACHE_CAPACITY
        {
            self.turn();
        }
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
    fn marks_only_rise() {
        let id = |text: &str| OpenId::parse(text).unwrap();
        let (alice, bob) = (id("alice"), id("bob"));
        let conversation = Conversation::direct(alice.clone(), bob.clone());
        let mut told = DeliveredCache::default();
        let note = |told: &mut DeliveredCache, mark, seq| {
            told.note_mark(&alice, &conversation, mark, Seq::parse(seq).unwrap())
        };
        let read = Mark::Receipt(ReceiptKind::Read, &bob);
        assert!(note(&mut told, read, 3));
        told.turn();
        assert!(!note(&mut told, read, 3) && !note(&mut told, read, 2) && note(&mut told, read, 4));
        for other in
            [Mark::Receipt(ReceiptKind::Recv, &bob), Mark::Receipt(ReceiptKind::Read, &alice), Mark::Cleared]
        {
            assert!(note(&mut told, other, 1));
        }
    }

    #[test]
    fn told_once_and_forgotten_at_the_second_turn() {
        let id = |text: &str| OpenId::parse(text).unwrap();
        let mut told = DeliveredCache::default();
        let note = |told: &mut DeliveredCache, openid: &str, peer: &str, seq: i64| {
            told.note(&id(openid), &Conversation::direct(id(openid), id(peer)), Seq::parse(seq).unwrap())
        };
        assert!(note(&mut told, "a", "b", 1));
        assert!(!note(&mut told, "a", "b", 1));
        assert!(note(&mut told, "b", "a", 1) && note(&mut told, "a", "b", 2) && note(&mut told, "a", "c", 1));
        told.turn();
        assert!(!note(&mut told, "a", "b", 1));
        told.turn();
        assert!(note(&mut told, "a", "b", 1));
    }
}
