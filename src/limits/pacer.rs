//! Turns a gap apart, so that a crowd that comes at once does not hold up those who are connected.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Gives out turns, a gap apart, in the order of asking.
pub struct Pacer {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Pacer {
    /// Who is late for a turn may make up for so much: timers are no finer than a millisecond.
    pub const SLACK: Duration = Duration::from_millis(2);

    pub fn new(gap: Duration) -> Self {
        Self { gap, next: Mutex::new(Instant::now()) }
    }

    /// Takes the next turn: how long it is until then. Where that is more than `at_most` no turn is taken,
    /// and the error says how long it would be.
    pub fn take(&self, now: Instant, at_most: Duration) -> Result<Duration, Duration> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now.checked_sub(Self::SLACK).unwrap_or(now));
        let wait = turn.saturating_duration_since(now);
        if wait > at_most {
            return Err(wait);
        }
        *next = turn + self.gap;
        Ok(wait)
    }

    /// How long it is until the next turn.
    pub fn wait(&self, now: Instant) -> Duration {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(10);

    #[test]
    fn turns_are_a_gap_apart_and_nobody_waits_for_longer_than_allowed() {
        let (pacer, now) = (Pacer::new(GAP), Instant::now() + GAP);
        let _ = pacer.take(now, Duration::MAX);
        let waits: Vec<_> = (0..3).map(|_| pacer.take(now, 3 * GAP)).collect();
        assert_eq!(waits, [1, 2, 3].map(|n| Ok(n * GAP - Pacer::SLACK)));
        assert_eq!(pacer.take(now, 3 * GAP), Err(4 * GAP - Pacer::SLACK));
        assert_eq!(
            pacer.take(now + GAP, 3 * GAP),
            Ok(3 * GAP - Pacer::SLACK),
            "who was refused took no turn"
        );
    }

    #[test]
    fn time_that_nobody_used_is_not_saved_up() {
        let (pacer, later) = (Pacer::new(GAP), Instant::now() + 100 * GAP);
        assert_eq!(pacer.take(later, Duration::MAX), Ok(Duration::ZERO));
        assert_eq!(pacer.take(later, Duration::MAX), Ok(GAP - Pacer::SLACK));
    }
}
