//! Time that nobody sets: milliseconds since something began.

use std::time::{Duration, Instant};

/// A beginning, and how long ago it was.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed_ms(self) -> u64 {
        whole_ms(self.0.elapsed())
    }

    /// What it shows at this instant; 0 before its beginning.
    pub fn ms_at(self, instant: Instant) -> u64 {
        whole_ms(self.time_at(instant))
    }

    /// The same as a time.
    pub fn time_at(self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.0)
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_whole_milliseconds_and_nothing_before_its_beginning() {
        let begun = Instant::now();
        let watch = Stopwatch(begun);
        let at = |duration| watch.ms_at(begun + duration);
        assert_eq!((at(Duration::ZERO), at(Duration::from_micros(1_999))), (0, 1));
        assert_eq!(Stopwatch(begun + Duration::from_secs(60)).ms_at(begun), 0);
        assert!(watch.elapsed_ms() <= watch.elapsed_ms());
    }
}
