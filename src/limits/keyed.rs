//! Rates by key, and by address with the networks that it is in.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Instant;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota};

use super::address::{ClientAddress, Network};
use super::debit::DebitLimiter;

/// How fast each key may go; `None`: as fast as it likes.
pub struct KeyedLimiter<K: Hash + Eq + Clone>(Option<DefaultKeyedRateLimiter<K>>);

impl<K: Hash + Eq + Clone> KeyedLimiter<K> {
    /// Either of 0: off.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let limiter = NonZeroU32::new(per_second)
            .zip(NonZeroU32::new(burst))
            .map(|(rate, burst)| DefaultKeyedRateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)));
        Self(limiter)
    }

    /// One more; the error is the wait in milliseconds, 1 at the least.
    pub fn step(&self, key: &K) -> Result<(), u64> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
        })
    }

    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.0.as_ref().map_or(0, |limiter| limiter.len())
    }

    pub fn evict_idle(&self) {
        let Some(limiter) = &self.0 else { return };
        let before = limiter.len();
        limiter.retain_recent();
        if limiter.len() < before / 4 {
            limiter.shrink_to_fit();
        }
    }
}

/// How fast an address may go, and the networks that it is in: one [`KeyedLimiter`] a width.
pub struct AddressLimiter(Vec<KeyedLimiter<Network>>);

impl AddressLimiter {
    /// `per_second` is for one address; 0: off.
    pub fn new(per_second: u32) -> Self {
        let widths =
            ClientAddress::V6([0; 8]).networks().map(|network| per_second.saturating_mul(network.factor()));
        Self(widths.map(|rate| KeyedLimiter::new(rate, rate)).collect())
    }

    /// One more; the error is the wait in milliseconds, 1 at the least.
    pub fn step(&self, address: ClientAddress) -> Result<(), u64> {
        self.0.iter().zip(address.networks()).try_for_each(|(pace, network)| pace.step(&network))
    }

    pub fn evict_idle(&self) {
        self.0.iter().for_each(KeyedLimiter::evict_idle);
    }
}

/// What an address, and the networks that it is in, used up: one [`DebitLimiter`] a width.
pub struct AddressDebits(Vec<DebitLimiter<Network>>);

impl AddressDebits {
    /// Units of one: a limit is for a minute, and its units are paid by the second.
    const UNITS: u64 = 60;

    pub fn new(per_minute: u32) -> Self {
        let widths = ClientAddress::V6([0; 8])
            .networks()
            .map(|network| u64::from(per_minute) * u64::from(network.factor()));
        // A minute's worth at once: one more may be made where all but one are still owed.
        Self(widths.map(|n| DebitLimiter::new(n, n.saturating_sub(1) * Self::UNITS)).collect())
    }

    pub fn check(&self, address: ClientAddress, now: Instant) -> Result<(), u64> {
        self.0.iter().zip(address.networks()).try_for_each(|(limiter, network)| limiter.check(&network, now))
    }

    pub fn charge(&self, address: ClientAddress, now: Instant) {
        self.0
            .iter()
            .zip(address.networks())
            .for_each(|(limiter, network)| limiter.charge(&network, Self::UNITS, now));
    }

    pub fn evict_idle(&self, now: Instant) {
        self.0.iter().for_each(|limiter| limiter.evict_idle(now));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_has_its_minutes_worth_however_slowly_it_uses_it() {
        let (debits, address) = (AddressDebits::new(5), ClientAddress::V4([192, 0, 2, 1]));
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        for n in 0..5 {
            assert_eq!(debits.check(address, at(n * 2_000)), Ok(()));
            debits.charge(address, at(n * 2_000));
        }
        assert_eq!(debits.check(address, at(8_000)), Err(4_000));
        assert_eq!(debits.check(address, at(12_000)), Ok(()));
    }

    #[test]
    fn one_a_minute_is_one() {
        let (debits, address) = (AddressDebits::new(1), ClientAddress::V4([192, 0, 2, 1]));
        let now = Instant::now();
        debits.charge(address, now);
        assert_eq!(debits.check(address, now), Err(60_000));
        assert_eq!(debits.check(address, now + Duration::from_secs(60)), Ok(()));
    }
}
