//! Limits on what is only known afterwards, such as the bytes of an answer: who is in debt waits, whatever
//! the next one would cost.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Stopwatch;
use crate::gcra::{PaidAt, Rate};

/// What each key may use up: `rate` units a second, and `burst` at once.
pub struct DebitLimiter<K> {
    /// `None`: no limit.
    rate: Option<Rate>,
    begun: Stopwatch,
    paid_at: Mutex<HashMap<K, PaidAt>>,
}

impl<K: Hash + Eq + Clone> DebitLimiter<K> {
    /// A rate of 0: no limit.
    pub fn new(rate: u64, burst: u64) -> Self {
        let rate = Rate::new(rate, Duration::from_secs(1), burst);
        Self { rate, begun: Stopwatch::start(), paid_at: Mutex::default() }
    }

    /// Whether a key may go on.
    ///
    /// # Errors
    /// It used up more than it may: the milliseconds to wait, 1 at the least.
    pub fn check(&self, key: &K, now: Instant) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        let paid = self.paid_at().get(key).copied().unwrap_or_default();
        rate.check(paid, self.begun.time_at(now))
    }

    /// Counts what a key has used.
    pub fn charge(&self, key: &K, units: u64, now: Instant) {
        let Some(rate) = self.rate else { return };
        let now = self.begun.time_at(now);
        let mut paid_at = self.paid_at();
        // In most cases it is there: then nothing is cloned.
        match paid_at.get_mut(key) {
            Some(paid) => *paid = rate.charge(*paid, units, now),
            None => _ = paid_at.insert(key.clone(), rate.charge(PaidAt::default(), units, now)),
        }
    }

    /// Forgets who owes nothing.
    pub fn evict_idle(&self, now: Instant) {
        let now = self.begun.time_at(now);
        let mut paid_at = self.paid_at();
        paid_at.retain(|_, paid| paid.is_after(now));
        if paid_at.capacity() > 1_024 && paid_at.len() < paid_at.capacity() / 4 {
            paid_at.shrink_to_fit();
        }
    }

    fn paid_at(&self) -> MutexGuard<'_, HashMap<K, PaidAt>> {
        // Nothing panics while it is held.
        self.paid_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_used_up_more_than_the_burst_waits_until_it_is_paid() {
        let (limiter, now) = (DebitLimiter::new(100, 1_000), Instant::now());
        limiter.charge(&"a", 1_000, now);
        assert_eq!(limiter.check(&"a", now), Ok(()));
        limiter.charge(&"a", 50, now);
        assert_eq!(limiter.check(&"a", now), Err(500));
        assert_eq!(limiter.check(&"b", now), Ok(()), "each has a budget of its own");
        assert_eq!(limiter.check(&"a", now + SECOND / 2), Ok(()));
    }

    #[test]
    fn one_answer_beyond_the_burst_is_given_and_paid_for() {
        let (limiter, now) = (DebitLimiter::new(100, 100), Instant::now());
        assert_eq!(limiter.check(&"a", now), Ok(()));
        limiter.charge(&"a", 10_000, now);
        assert_eq!(limiter.check(&"a", now), Err(99_000));
        assert_eq!(limiter.check(&"a", now + 99 * SECOND), Ok(()));
    }

    #[test]
    fn time_that_nobody_used_is_not_saved_up() {
        let (limiter, now) = (DebitLimiter::new(100, 100), Instant::now());
        limiter.charge(&"a", 1, now);
        limiter.charge(&"a", 150, now + 60 * SECOND);
        assert_eq!(limiter.check(&"a", now + 60 * SECOND), Err(500));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit_and_who_owes_nothing_is_forgotten() {
        let (free, limiter, now) = (DebitLimiter::new(0, 0), DebitLimiter::new(100, 0), Instant::now());
        free.charge(&"a", u64::MAX, now);
        assert_eq!(free.check(&"a", now), Ok(()));
        limiter.charge(&"a", 100, now);
        limiter.charge(&"b", 300, now);
        limiter.evict_idle(now + 2 * SECOND);
        assert_eq!(limiter.paid_at().keys().collect::<Vec<_>>(), [&"b"]);
        limiter.charge(&"b", u64::MAX, now);
        assert!(limiter.check(&"b", now).is_err());
    }
}
