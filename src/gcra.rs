//! Rates with a burst, counted by the generic cell rate algorithm: of whoever is limited one time is kept, at
//! which all that they used is paid for. Times are counted from any beginning, by a clock that nobody sets.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::time::Duration;

/// Units that are earned in each period, and how many may be used before they are earned.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    units: u64,
    period: Duration,
    /// Time in which the burst is earned, nanoseconds.
    burst: u64,
}

/// Time at which all that was used is paid for, nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaidAt(u64);

impl Rate {
    /// `None`, no limit, for 0 units.
    pub fn new(units: u64, period: Duration, burst: u64) -> Option<Self> {
        let rate = Self { units, period, burst: 0 };
        (units > 0).then(|| Self { burst: rate.cost(burst), ..rate })
    }

    /// Adds what is used now.
    pub fn charge(&self, paid: PaidAt, units: u64, now: Duration) -> PaidAt {
        PaidAt(paid.0.max(nanos(now)).saturating_add(self.cost(units)))
    }

    /// Looks whether what is owed is within the burst.
    ///
    /// # Errors
    /// The milliseconds until it is, 1 at the least.
    pub fn check(&self, paid: PaidAt, now: Duration) -> Result<(), u64> {
        match paid.0.saturating_sub(nanos(now)).saturating_sub(self.burst) {
            0 => Ok(()),
            wait => Err(wait.div_ceil(1_000_000)),
        }
    }

    /// Nanoseconds in which so many units are earned.
    fn cost(&self, units: u64) -> u64 {
        let nanos = u128::from(units) * self.period.as_nanos() / u128::from(self.units);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

impl PaidAt {
    pub fn is_after(self, now: Duration) -> bool {
        self.0 > nanos(now)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_owed_beyond_the_burst_is_waited_for() {
        let rate = Rate::new(100, SECOND, 10).unwrap();
        let paid = rate.charge(PaidAt::default(), 10, SECOND);
        assert_eq!(rate.check(paid, SECOND), Ok(()));
        let paid = rate.charge(paid, 1, SECOND);
        assert_eq!(rate.check(paid, SECOND), Err(10));
        assert_eq!(
            rate.check(paid, SECOND + Duration::from_micros(9_001)),
            Err(1),
            "never a wait of nothing"
        );
        assert_eq!(rate.check(paid, SECOND + Duration::from_millis(10)), Ok(()));
        assert!(paid.is_after(SECOND) && !paid.is_after(2 * SECOND));
    }

    #[test]
    fn time_that_nobody_used_is_not_saved_up() {
        let rate = Rate::new(100, SECOND, 0).unwrap();
        let paid = rate.charge(PaidAt::default(), 1, SECOND);
        assert_eq!(rate.check(rate.charge(paid, 100, 60 * SECOND), 60 * SECOND), Err(1_000));
    }

    #[test]
    fn a_part_of_a_unit_is_not_lost() {
        let rate = Rate::new(3, SECOND, 0).unwrap();
        assert_eq!(rate.check(rate.charge(PaidAt::default(), 3, SECOND), 2 * SECOND), Ok(()));
        assert_eq!(rate.check(rate.charge(PaidAt::default(), 3_000_000, SECOND), SECOND), Err(1_000_000_000));
    }

    #[test]
    fn zero_is_no_limit_and_the_largest_numbers_are_a_long_wait() {
        assert!(Rate::new(0, SECOND, 5).is_none());
        let rate = Rate::new(1, SECOND, 0).unwrap();
        let paid = rate.charge(rate.charge(PaidAt::default(), u64::MAX, SECOND), u64::MAX, SECOND);
        assert!(rate.check(paid, SECOND).is_err());
        assert_eq!(rate.check(paid, Duration::MAX), Ok(()));
    }
}
