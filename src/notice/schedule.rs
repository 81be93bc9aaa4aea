//! Times at which conversations are to be judged: a plain value, without clock. Times are milliseconds of any
//! clock that never jumps.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::{BTreeMap, HashMap};

use crate::event::Conversation;
use crate::ids::{OpenId, Seq};

/// Whose notice it is, and about which conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NoticeKey {
    pub recipient: OpenId,
    pub conversation: Conversation,
}

/// Messages of one conversation that wait to be judged together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub key: NoticeKey,
    /// The last of them.
    pub up_to: Seq,
    /// When the first and the last of them were pushed.
    pub first_at: u64,
    pub last_at: u64,
    /// How often WeChat was surely not reached for them.
    pub tries: u32,
}

/// What became of a message that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Scheduled,
    /// One of its conversation waits already, and it waits with it.
    Collapsed,
    /// No room: it is not judged.
    Full,
}

/// The conversations that wait, each once.
#[derive(Debug)]
pub struct Schedule {
    waiting: HashMap<NoticeKey, (Slot, Waiting)>,
    order: BTreeMap<Slot, NoticeKey>,
    next: u64,
    limit: usize,
}

/// When it is due, and a number that no other one has.
type Slot = (u64, u64);

impl Schedule {
    pub fn new(limit: usize) -> Self {
        Self { waiting: HashMap::new(), order: BTreeMap::new(), next: 0, limit }
    }

    /// A message was pushed at `now`, to be judged at `due`, or with one of its conversation that is judged
    /// before.
    pub fn add(&mut self, key: NoticeKey, seq: Seq, now: u64, due: u64) -> Added {
        self.put(Waiting { key, up_to: seq, first_at: now, last_at: now, tries: 0 }, due)
    }

    /// Puts what was judged back, to be judged again at `due`, or with what came meanwhile of its
    /// conversation.
    pub fn put(&mut self, new: Waiting, due: u64) -> Added {
        if let Some((slot, there)) = self.waiting.get_mut(&new.key) {
            if due < slot.0
                && let Some(key) = self.order.remove(slot)
            {
                slot.0 = due;
                self.order.insert(*slot, key);
            }
            there.up_to = there.up_to.max(new.up_to);
            there.first_at = there.first_at.min(new.first_at);
            there.last_at = there.last_at.max(new.last_at);
            there.tries = there.tries.max(new.tries);
            return Added::Collapsed;
        }
        if self.waiting.len() >= self.limit {
            return Added::Full;
        }
        let slot = (due, self.next);
        self.next += 1;
        self.order.insert(slot, new.key.clone());
        self.waiting.insert(new.key.clone(), (slot, new));
        Added::Scheduled
    }

    /// Takes what is due, the longest overdue first, `most` at the most.
    pub fn take_due(&mut self, now: u64, most: usize) -> Vec<Waiting> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some(first) = self.order.first_entry().filter(|entry| entry.key().0 <= now)
        {
            let key = first.remove();
            due.extend(self.waiting.remove(&key).map(|(_, waiting)| waiting));
        }
        due
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(recipient: &str) -> NoticeKey {
        let (recipient, peer) = (OpenId::parse(recipient).unwrap(), OpenId::parse("peer").unwrap());
        NoticeKey { conversation: Conversation::direct(recipient.clone(), peer), recipient }
    }

    fn seq(n: i64) -> Seq {
        Seq::parse(n).unwrap()
    }

    #[test]
    fn messages_of_a_conversation_wait_together_from_the_first_on() {
        let mut schedule = Schedule::new(10);
        assert_eq!(schedule.add(key("a"), seq(1), 0, 60), Added::Scheduled);
        assert_eq!(schedule.add(key("a"), seq(3), 50, 110), Added::Collapsed);
        assert_eq!(schedule.add(key("a"), seq(2), 50, 110), Added::Collapsed);
        assert_eq!(schedule.add(key("b"), seq(9), 5, 65), Added::Scheduled);
        assert!(schedule.take_due(59, 10).is_empty());
        let due = schedule.take_due(60, 10);
        assert_eq!(due, [Waiting { key: key("a"), up_to: seq(3), first_at: 0, last_at: 50, tries: 0 }]);
        assert_eq!((schedule.take_due(u64::MAX, 10).len(), schedule.len()), (1, 0));
    }

    #[test]
    fn the_longest_overdue_goes_first_and_only_so_many() {
        let mut schedule = Schedule::new(10);
        for (n, name) in ["a", "b", "c"].iter().enumerate() {
            schedule.add(key(name), seq(1), 0, 10 - n as u64);
        }
        let first: Vec<_> = schedule.take_due(10, 2).into_iter().map(|w| w.key).collect();
        assert_eq!(first, [key("c"), key("b")]);
        assert_eq!(schedule.len(), 1);
    }

    #[test]
    fn what_is_put_back_joins_what_came_meanwhile() {
        let mut schedule = Schedule::new(10);
        schedule.add(key("a"), seq(1), 0, 10);
        let mut judged = schedule.take_due(10, 1).remove(0);
        judged.tries = 2;
        schedule.add(key("a"), seq(2), 11, 21);
        assert_eq!(schedule.put(judged, 500), Added::Collapsed);
        let due = schedule.take_due(21, 1);
        assert_eq!(due, [Waiting { key: key("a"), up_to: seq(2), first_at: 0, last_at: 11, tries: 2 }]);
    }

    #[test]
    fn a_new_message_is_judged_in_its_time_though_the_others_were_put_off() {
        let mut schedule = Schedule::new(10);
        schedule.put(Waiting { key: key("a"), up_to: seq(1), first_at: 0, last_at: 0, tries: 1 }, 1_000);
        assert_eq!(schedule.add(key("a"), seq(2), 50, 110), Added::Collapsed);
        assert_eq!(
            schedule.take_due(110, 10),
            [Waiting { key: key("a"), up_to: seq(2), first_at: 0, last_at: 50, tries: 1 }]
        );
        assert!(schedule.take_due(u64::MAX, 10).is_empty());
    }

    #[test]
    fn a_full_schedule_takes_no_more() {
        let mut schedule = Schedule::new(2);
        assert_eq!(
            ["a", "b", "c", "a"].map(|name| schedule.add(key(name), seq(1), 0, 1)),
            [Added::Scheduled, Added::Scheduled, Added::Full, Added::Collapsed]
        );
        assert_eq!(schedule.take_due(1, 10).len(), 2);
    }
}
