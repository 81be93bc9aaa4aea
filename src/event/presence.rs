//! Presence of a user, as others are told of it.

/// Step of [`LastSeen`], in milliseconds.
const STEP_MS: i64 = 5 * 60_000;

/// Presence of one user as another one may know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Connected, and looks at the app on one device at least.
    Foreground,
    /// Connected, with the app in the background on every device.
    Background,
    /// Not connected. `None`: was never seen.
    Away { last_seen: Option<LastSeen> },
    /// Not known, or not to be known: the two look alike.
    Unknown,
}

/// When a user was seen last: Unix milliseconds, rounded down to five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastSeen(i64);

impl LastSeen {
    /// `at` in Unix milliseconds.
    pub fn at(at: i64) -> Self {
        Self(at - at.rem_euclid(STEP_MS))
    }

    pub fn ms(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rounded_down_to_five_minutes() {
        let steps = [0, 1, STEP_MS - 1, STEP_MS, 2 * STEP_MS - 1, -1];
        assert_eq!(steps.map(|at| LastSeen::at(at).ms()), [0, 0, 0, STEP_MS, STEP_MS, -STEP_MS]);
    }
}
