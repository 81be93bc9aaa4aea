//! Rests in which nothing is sent, because the next notice would fare no better: plain, without clock.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

/// Refusals in a row, of different users, that are taken for a fault of the settings.
const ODD_IN_A_ROW: u32 = 3;

/// Whether and why the notifier rests. After its time one notice is tried, and only when that goes well all
/// others. Times are milliseconds of any clock that never jumps.
#[derive(Debug, Default)]
pub struct Rest {
    cause: Option<Cause>,
    odd: u32,
}

#[derive(Debug)]
struct Cause {
    until: u64,
    code: i32,
    hint: &'static str,
}

impl Rest {
    /// Rests until then.
    pub fn begin(&mut self, until: u64, code: i32, hint: &'static str) {
        self.odd = 0;
        self.cause = Some(Cause { until, code, hint });
    }

    /// One was refused for what stands in it. One user's name must not stop the notices of all others, but a
    /// setting that fits no notice must not be tried for ever.
    pub fn odd(&mut self, until: u64, code: i32, hint: &'static str) {
        self.odd += 1;
        if self.odd >= ODD_IN_A_ROW || self.cause.is_some() {
            self.begin(until, code, hint);
        }
    }

    /// WeChat took one, or refused it for nothing that concerns others. Whether that ended a rest.
    pub fn end(&mut self) -> bool {
        self.odd = 0;
        self.cause.take().is_some()
    }

    /// How many more may be sent at `now`, while so many are under way.
    pub fn room(&self, now: u64, under_way: usize, most: usize) -> usize {
        let most = match &self.cause {
            None => most,
            Some(cause) if now < cause.until => 0,
            Some(_) => 1,
        };
        most.saturating_sub(under_way)
    }

    /// WeChat's code, and what the operator can do about it.
    pub fn cause(&self) -> Option<(i32, &'static str)> {
        self.cause.as_ref().map(|cause| (cause.code, cause.hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rest_one_goes_before_the_others() {
        let mut rest = Rest::default();
        assert_eq!(rest.room(0, 1, 64), 63);
        rest.begin(100, 40037, "hint");
        assert_eq!((rest.room(99, 0, 64), rest.room(100, 0, 64), rest.room(100, 1, 64)), (0, 1, 0));
        assert_eq!(rest.cause(), Some((40037, "hint")));
        assert!(rest.end());
        assert_eq!(rest.room(100, 0, 64), 64);
        assert!(!rest.end());
    }

    #[test]
    fn one_odd_name_stops_nobody_else() {
        let mut rest = Rest::default();
        rest.odd(100, 47003, "hint");
        rest.odd(100, 47003, "hint");
        assert_eq!(rest.room(0, 0, 64), 64);
        rest.end();
        rest.odd(100, 47003, "hint");
        rest.odd(100, 47003, "hint");
        assert_eq!(rest.room(0, 0, 64), 64);
        rest.odd(100, 47003, "hint");
        assert_eq!(rest.room(0, 0, 64), 0);
        // The one that is tried after it need not be refused three times.
        rest.odd(200, 47003, "hint");
        assert_eq!(rest.room(150, 0, 64), 0);
    }
}
