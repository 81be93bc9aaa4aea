//! Trying again: what has to be done and failed is repeated after waits that grow, each cut short by chance so that
//! those who failed together do not come back together, until it is done or given up.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::{Instant, sleep};

/// When something is tried again, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
    within: Duration,
}

impl Backoff {
    /// The first wait; each further one is twice as long, up to `longest`. Never given up.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: u32::MAX, within: Duration::MAX }
    }

    /// Gives up after so many tries, the first one counted.
    pub const fn tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// Gives up when a try fails that ended so long after the first began.
    pub const fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Whether there is one more try after so many that failed, so long after the first began.
    pub fn is_left(&self, failed: u32, elapsed: Duration) -> bool {
        failed < self.tries && elapsed < self.within
    }

    /// How long to wait after so many failures: between the half and the whole of what is due.
    pub fn wait(&self, failed: u32) -> Duration {
        let doubled = 1u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let due = self.first.saturating_mul(doubled).min(self.longest);
        rand::rng().random_range(due / 2..=due)
    }

    /// Tries `attempt` until it succeeds, fails for good, or is given up; then its last outcome.
    ///
    /// # Errors
    /// Its last one.
    pub async fn run<T, E>(
        &self,
        is_passing: impl Fn(&E) -> bool,
        mut attempt: impl AsyncFnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let mut failed = 0;
        loop {
            match attempt().await {
                Err(error) if is_passing(&error) => {
                    failed += 1;
                    if !self.is_left(failed, begun.elapsed()) {
                        return Err(error);
                    }
                }
                outcome => return outcome,
            }
            sleep(self.wait(failed)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest_and_are_cut_short_by_at_most_a_half() {
        let backoff = Backoff::new(SECOND, SECOND * 5);
        for (failed, due) in [(1, 1), (2, 2), (3, 4), (4, 5), (40, 5), (u32::MAX, 5)] {
            let due = SECOND * due;
            let waits: Vec<_> = (0..200).map(|_| backoff.wait(failed)).collect();
            assert!(waits.iter().all(|wait| (due / 2..=due).contains(wait)), "{failed}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{failed}: by chance");
        }
    }

    #[actix::test]
    async fn it_ends_with_success_with_what_does_not_pass_and_with_the_last_try() {
        let fast = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
        let mut tried = 0;
        let third = fast
            .run(
                |_: &i32| true,
                async || {
                    tried += 1;
                    if tried < 3 { Err(tried) } else { Ok(tried) }
                },
            )
            .await;
        assert_eq!(third, Ok(3));
        let fail = async |backoff: Backoff, passes: bool| {
            let mut tried = 0;
            let outcome: Result<(), i32> = backoff
                .run(
                    |_| passes,
                    async || {
                        tried += 1;
                        Err(tried)
                    },
                )
                .await;
            outcome.unwrap_err()
        };
        assert_eq!(fail(fast.tries(4), true).await, 4);
        assert_eq!(fail(fast, false).await, 1);
        assert_eq!(fail(fast.within(Duration::ZERO), true).await, 1);
        assert!(fail(fast.within(Duration::from_millis(50)), true).await > 3);
    }
}
