//! Limit on the calls to WeChat within a minute. Times are monotonic milliseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

/// Counts by the second; one second more than a minute, because the oldest of them is only partly within it.
const SECONDS: u64 = 61;

/// Lets so many calls pass within any 60 seconds.
#[derive(Debug)]
pub struct Limiter {
    /// 0: no limit.
    per_minute: u32,
    counts: [u32; SECONDS as usize],
    /// The second of the newest count.
    newest: u64,
    sum: u32,
}

impl Limiter {
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, counts: [0; SECONDS as usize], newest: 0, sum: 0 }
    }

    /// Takes room for so many calls: for all of them, or for none.
    pub fn take(&mut self, calls: u32, now: u64) -> bool {
        if self.per_minute == 0 {
            return true;
        }
        self.forget(now / 1_000);
        if self.sum.saturating_add(calls) > self.per_minute {
            return false;
        }
        self.counts[slot(self.newest)] += calls;
        self.sum += calls;
        true
    }

    fn forget(&mut self, second: u64) {
        let passed = second.saturating_sub(self.newest).min(SECONDS);
        for ago in 0..passed {
            let count = &mut self.counts[slot(second - ago)];
            self.sum -= std::mem::take(count);
        }
        self.newest = self.newest.max(second);
    }
}

fn slot(second: u64) -> usize {
    usize::try_from(second % SECONDS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_has_more_than_its_number() {
        let mut limiter = Limiter::new(100);
        let mut passed: Vec<u64> = Vec::new();
        // Bursts, pauses and a steady stream, five minutes of it.
        for now in (0..300_000u64).filter(|now| now % 37 == 0 || (now / 7_000) % 3 == 0) {
            if limiter.take(1, now) {
                passed.push(now);
            }
        }
        for (i, first) in passed.iter().enumerate() {
            let within = passed[i..].iter().take_while(|at| **at < first + 60_000).count();
            assert!(within <= 100, "{within} from {first} on");
        }
        assert!(passed.len() >= 480, "and it is used: {}", passed.len());
    }

    #[test]
    fn all_calls_of_a_text_or_none() {
        let mut limiter = Limiter::new(10);
        assert!(limiter.take(7, 0));
        assert!(!limiter.take(4, 1_000));
        assert!(limiter.take(3, 1_000));
        assert!(!limiter.take(1, 60_000));
        assert!(limiter.take(7, 61_000));
        assert!(limiter.take(10, 10_000_000));
        assert!(!Limiter::new(10).take(11, 0));
    }

    #[test]
    fn zero_lifts_it() {
        let mut limiter = Limiter::new(0);
        assert!((0..10_000).all(|_| limiter.take(16, 0)));
    }
}
