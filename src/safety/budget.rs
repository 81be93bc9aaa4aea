//! Calls to WeChat that one user or address may cause, so that nobody uses up what all have in common. Times
//! are monotonic milliseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::hash::Hash;
use std::time::Duration;

use lru::LruCache;

use crate::gcra::{PaidAt, Rate};

/// Keys remembered; beyond it the least recent one is forgotten, and its budget is whole again.
const KEYS: usize = 65_536;

const MINUTE: Duration = Duration::from_secs(60);

/// A minute's worth of calls at once for each key, and the same number a minute from then on.
#[derive(Debug)]
pub struct Budget<K: Hash + Eq> {
    per_minute: u32,
    /// `None`: no limit.
    rate: Option<Rate>,
    paid_at: LruCache<K, PaidAt>,
}

impl<K: Hash + Eq + Clone> Budget<K> {
    /// 0: no limit.
    pub fn new(per_minute: u32) -> Self {
        let rate = Rate::new(per_minute.into(), MINUTE, per_minute.into());
        Self { per_minute, rate, paid_at: LruCache::unbounded() }
    }

    /// Whether so many calls may be made now. More than a minute's worth may be made where nothing of it is
    /// spent, or a long text never could.
    ///
    /// # Errors
    /// The milliseconds to wait.
    pub fn check(&mut self, key: &K, calls: u32, now: u64) -> Result<(), u64> {
        match self.rate {
            Some(rate) if calls > 0 => rate.check(self.charged(rate, key, calls, now), time(now)),
            _ => Ok(()),
        }
    }

    /// Counts calls that are made now.
    pub fn spend(&mut self, key: &K, calls: u32, now: u64) {
        let Some(rate) = self.rate.filter(|_| calls > 0) else { return };
        let paid = self.charged(rate, key, calls, now);
        self.paid_at.put(key.clone(), paid);
        if self.paid_at.len() > KEYS {
            self.paid_at.pop_lru();
        }
    }

    fn charged(&self, rate: Rate, key: &K, calls: u32, now: u64) -> PaidAt {
        let paid = self.paid_at.peek(key).copied().unwrap_or_default();
        rate.charge(paid, calls.min(self.per_minute).into(), time(now))
    }
}

fn time(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(budget: &mut Budget<u32>, key: u32, calls: u32, now: u64) -> Result<(), u64> {
        budget.check(&key, calls, now)?;
        budget.spend(&key, calls, now);
        Ok(())
    }

    #[test]
    fn a_minutes_worth_comes_at_once_and_then_the_pace() {
        let mut budget = Budget::new(60);
        for _ in 0..60 {
            take(&mut budget, 1, 1, 5).unwrap();
        }
        assert_eq!(take(&mut budget, 1, 1, 5), Err(1_000));
        assert_eq!(take(&mut budget, 1, 7, 5), Err(7_000), "calls are counted, not texts");
        assert_eq!(take(&mut budget, 2, 60, 5), Ok(()), "another user has their own");
        assert_eq!(take(&mut budget, 1, 1, 1_005), Ok(()));
        assert_eq!(take(&mut budget, 1, 1, 1_005), Err(1_000));
        assert_eq!(take(&mut budget, 1, 60, 1_000_000), Ok(()), "after a rest it is whole");
    }

    #[test]
    fn a_text_that_is_longer_than_the_budget_passes_where_nothing_is_spent() {
        let mut budget = Budget::new(4);
        assert_eq!(take(&mut budget, 1, 7, 0), Ok(()));
        assert_eq!(take(&mut budget, 1, 7, 1), Err(59_999));
        assert_eq!(take(&mut budget, 1, 7, 60_000), Ok(()));
    }

    #[test]
    fn what_is_not_spent_costs_nothing_and_zero_lifts_it() {
        let mut budget = Budget::new(1);
        assert!((0..9).all(|_| budget.check(&1, 1, 0).is_ok()));
        let mut none = Budget::new(0);
        assert!((0..10_000).all(|_| take(&mut none, 1, 9, 0).is_ok()) && none.paid_at.is_empty());
    }

    #[test]
    fn so_many_keys_are_remembered() {
        let mut budget = Budget::new(1);
        (0..100_000).for_each(|key| budget.spend(&key, 1, 0));
        assert_eq!(budget.paid_at.len(), KEYS);
        assert!(budget.check(&99_999, 1, 0).is_err() && budget.check(&0, 1, 0).is_ok());
    }
}
