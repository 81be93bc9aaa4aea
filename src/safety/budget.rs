//! Calls to WeChat that one user or address may cause, so that nobody uses up what all have in common. Times
//! are monotonic milliseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::hash::Hash;

use lru::LruCache;

/// Keys remembered; beyond it the least recent one is forgotten, and its budget is whole again.
const KEYS: usize = 65_536;

const MINUTE_NS: u64 = 60_000_000_000;

/// A minute's worth of calls at once for each key, and the same number a minute from then on, counted as GCRA
/// does: by the time at which the next call would be due at the exact rate.
#[derive(Debug)]
pub struct Budget<K: Hash + Eq> {
    /// 0: no limit.
    per_minute: u32,
    /// Nanoseconds.
    due: LruCache<K, u64>,
}

impl<K: Hash + Eq + Clone> Budget<K> {
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, due: LruCache::unbounded() }
    }

    /// Whether so many calls may be made now. More than a minute's worth may be made where nothing of it is
    /// spent, or a long text never could.
    ///
    /// # Errors
    /// The milliseconds to wait.
    pub fn check(&mut self, key: &K, calls: u32, now: u64) -> Result<(), u64> {
        if self.per_minute == 0 || calls == 0 {
            return Ok(());
        }
        let ahead = self.due_after(key, calls, now).saturating_sub(nanos(now).saturating_add(MINUTE_NS));
        if ahead == 0 { Ok(()) } else { Err(ahead.div_ceil(1_000_000)) }
    }

    /// Counts calls that are made now.
    pub fn spend(&mut self, key: &K, calls: u32, now: u64) {
        if self.per_minute == 0 || calls == 0 {
            return;
        }
        let due = self.due_after(key, calls, now);
        self.due.put(key.clone(), due);
        if self.due.len() > KEYS {
            self.due.pop_lru();
        }
    }

    fn due_after(&self, key: &K, calls: u32, now: u64) -> u64 {
        let due = self.due.peek(key).copied().unwrap_or(0).max(nanos(now));
        let step = MINUTE_NS / u64::from(self.per_minute.max(1));
        due.saturating_add(step * u64::from(calls.min(self.per_minute)))
    }
}

fn nanos(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
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
        assert!((0..10_000).all(|_| take(&mut none, 1, 9, 0).is_ok()) && none.due.is_empty());
    }

    #[test]
    fn so_many_keys_are_remembered() {
        let mut budget = Budget::new(1);
        (0..100_000).for_each(|key| budget.spend(&key, 1, 0));
        assert_eq!(budget.due.len(), KEYS);
        assert!(budget.check(&99_999, 1, 0).is_err() && budget.check(&0, 1, 0).is_ok());
    }
}
