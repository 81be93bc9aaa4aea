//! Keeps what has one key in the order in which it came, though its checks end in any.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What waits, by key. A key that nothing waits for costs nothing.
#[derive(Debug)]
pub struct Order<K, T> {
    lines: HashMap<K, Line<T>>,
}

#[derive(Debug)]
struct Line<T> {
    /// The number of the first place.
    first: u64,
    /// `None`: not ready.
    places: VecDeque<Option<T>>,
}

/// A place in the line of its key.
#[derive(Debug)]
#[must_use]
pub struct Ticket<K> {
    key: K,
    number: u64,
}

impl<K: Hash + Eq + Clone, T> Order<K, T> {
    pub fn new() -> Self {
        Self { lines: HashMap::new() }
    }

    /// The next place.
    pub fn join(&mut self, key: K) -> Ticket<K> {
        let line =
            self.lines.entry(key.clone()).or_insert_with(|| Line { first: 0, places: VecDeque::new() });
        line.places.push_back(None);
        Ticket { key, number: line.first + line.places.len() as u64 - 1 }
    }

    /// It is ready; gives, in order, all of that key that need not wait any more.
    pub fn ready(&mut self, ticket: Ticket<K>, what: T) -> Vec<T> {
        let Some(line) = self.lines.get_mut(&ticket.key) else { return Vec::new() };
        let place = usize::try_from(ticket.number - line.first).ok().and_then(|at| line.places.get_mut(at));
        if let Some(place) = place {
            *place = Some(what);
        }
        let mut released = Vec::new();
        while let Some(what) = line.places.front_mut().and_then(Option::take) {
            line.places.pop_front();
            line.first += 1;
            released.push(what);
        }
        if line.places.is_empty() {
            self.lines.remove(&ticket.key);
        }
        released
    }

    /// Keys that something waits for.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_one_key_leaves_as_it_came() {
        let mut order = Order::new();
        let [one, two, three] = [(); 3].map(|()| order.join("a"));
        let other = order.join("b");
        assert!(order.ready(three, 3).is_empty());
        assert_eq!(order.ready(other, 9), [9], "another key waits for nobody");
        assert_eq!(order.ready(one, 1), [1]);
        let four = order.join("a");
        assert_eq!(order.ready(two, 2), [2, 3]);
        assert_eq!(order.ready(four, 4), [4]);
        assert_eq!(order.len(), 0);
        let again = order.join("a");
        assert_eq!(order.ready(again, 5), [5]);
    }

    #[test]
    fn any_order_of_ends_gives_the_order_of_beginnings() {
        for seed in 0..200u64 {
            let mut order = Order::new();
            let mut waiting: Vec<_> = (0..20u64).map(|n| (order.join(n % 3), n)).collect();
            let mut released: Vec<u64> = Vec::new();
            let mut chance = seed;
            while !waiting.is_empty() {
                chance =
                    chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(chance >> 33).unwrap() % waiting.len();
                let (ticket, n) = waiting.swap_remove(at);
                released.extend(order.ready(ticket, n));
            }
            for key in 0..3 {
                let of_key: Vec<_> = released.iter().copied().filter(|n| n % 3 == key).collect();
                assert_eq!(of_key, (0..20).filter(|n| n % 3 == key).collect::<Vec<_>>());
            }
        }
    }
}
