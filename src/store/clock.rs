//! The store's own time, by which a sync tells what changed: Unix milliseconds that never go back, whatever is done to the clock.

use std::time::Instant;

use crate::ids::now_ms;

/// Starts at the system's clock and goes on by one that is never set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    base: i64,
    since: Instant,
}

impl Clock {
    /// `last` is the latest time that is known to have been given out.
    pub(super) fn after(last: i64) -> Self {
        Self { base: now_ms().max(last), since: Instant::now() }
    }

    pub(super) fn now(&self) -> i64 {
        self.base.saturating_add(i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_not_followed() {
        let tomorrow = now_ms() + 86_400_000;
        let clock = Clock::after(tomorrow);
        assert!(clock.now() >= tomorrow);
        assert!(Clock::after(0).now() < tomorrow);
    }
}
