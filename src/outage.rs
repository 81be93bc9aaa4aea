//! Log lines about something that is away: one when it goes, one a minute while it is away, one when it is
//! back, however many callers notice and however often it is tried.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines about the same outage, and about two outages that follow each other.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// When a line about an outage is due. The caller says what is away, and writes the line.
#[derive(Debug, Default)]
pub struct Outage {
    /// First failure after the last success.
    since: Option<Instant>,
    /// The last line that said "away".
    said: Option<Instant>,
    /// Whether the outage under way has been said.
    is_told: bool,
}

impl Outage {
    /// Takes a failure in; returns how long it has been away where a line is due.
    pub fn failed(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < LINE_INTERVAL) {
            return None;
        }
        self.said = Some(now);
        self.is_told = true;
        Some(now.saturating_duration_since(since))
    }

    /// Takes a success in; returns how long it was away where a line said so.
    pub fn answered(&mut self, now: Instant) -> Option<Duration> {
        let since = self.since.take()?;
        std::mem::take(&mut self.is_told).then(|| now.saturating_duration_since(since))
    }
}

/// An [`Outage`] that many threads report to. A success while nothing is away costs one atomic load.
#[derive(Debug, Default)]
pub struct SharedOutage {
    is_away: AtomicBool,
    outage: Mutex<Outage>,
}

impl SharedOutage {
    pub const fn new() -> Self {
        Self {
            is_away: AtomicBool::new(false),
            outage: Mutex::new(Outage { since: None, said: None, is_told: false }),
        }
    }

    /// Whether the last that was taken in is a failure.
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Acquire)
    }

    /// [`Outage::failed`], now.
    pub fn failed(&self) -> Option<Duration> {
        let mut outage = self.lock();
        self.is_away.store(true, Ordering::Release);
        outage.failed(Instant::now())
    }

    /// [`Outage::answered`], now.
    pub fn answered(&self) -> Option<Duration> {
        if !self.is_away.load(Ordering::Acquire) {
            return None;
        }
        let mut outage = self.lock();
        self.is_away.store(false, Ordering::Release);
        outage.answered(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_once_then_once_a_minute_and_its_end_once() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(outage.answered(at(0)), None);
        let lines: Vec<_> = (0..150)
            .filter_map(|second| outage.failed(at(second)).map(|away| (second, away.as_secs())))
            .collect();
        assert_eq!(lines, [(0, 0), (60, 60), (120, 120)]);
        assert_eq!(outage.answered(at(150)), Some(Duration::from_secs(150)));
        assert_eq!(outage.answered(at(151)), None);
    }

    #[test]
    fn what_comes_and_goes_draws_no_more_than_a_pair_of_lines_a_minute() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let mut lines = 0;
        for second in 0..120 {
            let at = start + Duration::from_secs(second);
            lines += usize::from(outage.failed(at).is_some()) + usize::from(outage.answered(at).is_some());
        }
        assert_eq!(lines, 4);
    }

    #[test]
    fn an_outage_soon_after_another_is_said_when_it_lasts() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(outage.failed(at(0)).is_some());
        assert!(outage.answered(at(1)).is_some());
        assert_eq!(outage.failed(at(10)), None);
        assert_eq!(outage.failed(at(61)), Some(Duration::from_secs(51)));
        assert_eq!(outage.answered(at(62)), Some(Duration::from_secs(52)));
    }
}
