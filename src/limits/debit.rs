//! Limits on what is only known afterwards, such as the bytes of an answer: who is in debt waits, whatever
//! the next one would cost.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What each key may use up: `rate` units a second, and `burst` at once. Kept as the generic cell rate
/// algorithm does: by the time at which a key will have paid for everything.
pub struct DebitLimiter<K> {
    rate: u64,
    burst: Duration,
    paid_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq + Clone> DebitLimiter<K> {
    /// A rate of 0: no limit.
    pub fn new(rate: u64, burst: u64) -> Self {
        Self { rate, burst: cost(rate, burst), paid_at: Mutex::default() }
    }

    /// Whether a key may go on.
    ///
    /// # Errors
    /// It used up more than it may: the milliseconds to wait, 1 at the least.
    pub fn check(&self, key: &K, now: Instant) -> Result<(), u64> {
        if self.rate == 0 {
            return Ok(());
        }
        let debt = self.paid_at().get(key).map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
        match debt.saturating_sub(self.burst) {
            Duration::ZERO => Ok(()),
            wait => Err((wait.as_millis() as u64).max(1)),
        }
    }

    /// Counts what a key has used.
    pub fn charge(&self, key: &K, units: u64, now: Instant) {
        if self.rate == 0 {
            return;
        }
        let mut paid_at = self.paid_at();
        // In most cases it is there: then nothing is cloned.
        match paid_at.get_mut(key) {
            Some(paid) => *paid = (*paid).max(now) + cost(self.rate, units),
            None => _ = paid_at.insert(key.clone(), now + cost(self.rate, units)),
        }
    }

    /// Forgets who owes nothing.
    pub fn evict_idle(&self, now: Instant) {
        let mut paid_at = self.paid_at();
        paid_at.retain(|_, paid| *paid > now);
        if paid_at.capacity() > 1_024 && paid_at.len() < paid_at.capacity() / 4 {
            paid_at.shrink_to_fit();
        }
    }

    fn paid_at(&self) -> MutexGuard<'_, HashMap<K, Instant>> {
        // Nothing panics while it is held.
        self.paid_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long it takes to pay for so much.
fn cost(rate: u64, units: u64) -> Duration {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 4))
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
