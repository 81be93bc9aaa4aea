//! A number of lines a second, and how many more there would have been. A plain value.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Budget {
    per_second: u32,
    second: Option<(Instant, u32)>,
    left_out: u64,
}

/// What becomes of one line.
#[derive(Debug, PartialEq, Eq)]
pub enum Spent {
    /// It is written. So many were left out since the last one that was told of.
    Line { left_out: u64 },
    /// It is left out.
    Nothing,
}

impl Budget {
    pub const fn new(per_second: u32) -> Self {
        Self { per_second, second: None, left_out: 0 }
    }

    /// Asks for one line.
    pub fn spend(&mut self, now: Instant) -> Spent {
        let left_out = self.tick(now);
        let (_, lines) = self.second.get_or_insert((now, 0));
        if *lines >= self.per_second {
            self.left_out += 1;
            return Spent::Nothing;
        }
        *lines += 1;
        Spent::Line { left_out }
    }

    /// Begins another second where the last one is over: how many lines that one left out.
    pub fn tick(&mut self, now: Instant) -> u64 {
        if self.second.is_some_and(|(began, _)| now.saturating_duration_since(began) < SECOND) {
            return 0;
        }
        self.second = None;
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_lines_and_the_rest_is_counted() {
        let (mut budget, start) = (Budget::new(3), Instant::now());
        assert!((0..3).all(|_| budget.spend(start) == Spent::Line { left_out: 0 }));
        assert!((0..7).all(|_| budget.spend(start + SECOND / 2) == Spent::Nothing));
        assert_eq!(budget.spend(start + SECOND), Spent::Line { left_out: 7 });
        assert_eq!(budget.spend(start + SECOND), Spent::Line { left_out: 0 });
        assert_eq!(budget.tick(start + 3 * SECOND), 0);
    }
}
