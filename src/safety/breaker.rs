//! Rests from calling WeChat while it fails, so that nobody waits for what will not come. Times are monotonic
//! milliseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

/// After so many failures in a row there is a rest; then one call tries.
#[derive(Debug)]
pub struct Breaker {
    failures_at_most: u32,
    rest_ms: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: u64,
    },
    /// One call is on its way; it decides, unless it is late.
    Trying {
        until: u64,
    },
}

impl Breaker {
    /// 0 failures: it never rests.
    pub fn new(failures_at_most: u32, rest_ms: u64) -> Self {
        Self { failures_at_most, rest_ms, state: State::Closed { failures: 0 } }
    }

    /// Whether a call may be made now. Its outcome must be told, or else another tries after a further rest.
    pub fn may_call(&mut self, now: u64) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } | State::Trying { until } if now < until => false,
            State::Open { .. } | State::Trying { .. } => {
                self.state = State::Trying { until: now + self.rest_ms };
                true
            }
        }
    }

    /// WeChat answered.
    pub fn answered(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// WeChat did not answer, or cannot do this for anybody.
    pub fn failed(&mut self, now: u64) {
        let failures = match self.state {
            State::Closed { failures } => failures + 1,
            State::Trying { .. } => self.failures_at_most,
            // Calls that were under way when the rest began.
            State::Open { .. } => return,
        };
        let is_enough = self.failures_at_most > 0 && failures >= self.failures_at_most;
        self.state =
            if is_enough { State::Open { until: now + self.rest_ms } } else { State::Closed { failures } };
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_after_failures_in_a_row_and_then_one_call_tries() {
        let mut breaker = Breaker::new(3, 1_000);
        for _ in 0..2 {
            breaker.failed(0);
        }
        breaker.answered();
        for now in [0, 1] {
            assert!(breaker.may_call(now));
            breaker.failed(now);
        }
        assert!(breaker.is_closed(), "an answer in between");
        breaker.failed(2);
        assert!(!breaker.is_closed() && !breaker.may_call(2) && !breaker.may_call(1_001));
        assert!(breaker.may_call(1_002), "one tries");
        assert!(!breaker.may_call(1_003), "and no other meanwhile");
        breaker.failed(1_100);
        assert!(!breaker.may_call(2_099));
        assert!(breaker.may_call(2_100));
        breaker.answered();
        assert!(breaker.is_closed() && breaker.may_call(2_101));
    }

    #[test]
    fn calls_that_were_under_way_do_not_make_the_rest_longer() {
        let mut breaker = Breaker::new(1, 1_000);
        breaker.failed(0);
        breaker.failed(900);
        assert!(breaker.may_call(1_000));
    }

    #[test]
    fn a_trial_that_never_ends_is_followed_by_another() {
        let mut breaker = Breaker::new(1, 1_000);
        breaker.failed(0);
        assert!(breaker.may_call(1_000));
        assert!(!breaker.may_call(1_999) && breaker.may_call(2_000));
    }

    #[test]
    fn without_a_number_it_never_rests() {
        let mut breaker = Breaker::new(0, 1_000);
        (0..1_000).for_each(|_| breaker.failed(0));
        assert!(breaker.may_call(0));
    }
}
