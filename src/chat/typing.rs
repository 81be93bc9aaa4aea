//! Who types to whom: passed on at most once a second a pair, stored nowhere.

use std::collections::HashMap;

use crate::ids::OpenId;

/// How often one user's typing to one peer passes on, in milliseconds.
const EVERY_MS: u64 = 1_000;
/// Pairs remembered within that time; beyond it nothing passes on.
const PAIRS: usize = 10_000;

/// When each pair's last sign passed.
#[derive(Default)]
pub struct Signs(HashMap<(OpenId, OpenId), u64>);

impl Signs {
    /// Whether a sign at `now` (monotonic milliseconds) passes.
    pub fn pass(&mut self, openid: &OpenId, peer: &OpenId, now: u64) -> bool {
        let is_fresh = |at: u64| now < at + EVERY_MS;
        let key = (openid.clone(), peer.clone());
        if self.0.get(&key).is_some_and(|at| is_fresh(*at)) {
            return false;
        }
        if self.0.len() >= PAIRS {
            self.0.retain(|_, at| is_fresh(*at));
        }
        let has_room = self.0.len() < PAIRS;
        if has_room {
            self.0.insert(key, now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_a_pair() {
        let id = |text: &str| OpenId::parse(text).unwrap();
        let mut signs = Signs::default();
        assert!(signs.pass(&id("a"), &id("b"), 5));
        assert!(!signs.pass(&id("a"), &id("b"), 1_004));
        assert!(signs.pass(&id("a"), &id("c"), 6) && signs.pass(&id("b"), &id("a"), 6));
        assert!(signs.pass(&id("a"), &id("b"), 1_005));
    }

    #[test]
    fn a_flood_of_pairs_takes_no_memory() {
        let mut signs = Signs::default();
        let passed = (0..2 * PAIRS).filter(|n| {
            signs.pass(&OpenId::parse("a").unwrap(), &OpenId::parse(&format!("p{n}")).unwrap(), 0)
        });
        assert_eq!(passed.count(), PAIRS);
        assert!(signs.pass(&OpenId::parse("x").unwrap(), &OpenId::parse("y").unwrap(), EVERY_MS));
    }
}
