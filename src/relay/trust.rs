//! Up to when this node's users have surely been told everything, and when the database must be asked what they have not.
//! A plain value; times are monotonic milliseconds.

/// How often the database is asked while hints do not come.
const EVERY_MS: u64 = 8_000;
/// After a doubt the database is asked at once, and again so much later: what was being committed may not have stood there yet. The store
/// answers for a write within three seconds.
const AGAIN_MS: u64 = 5_000;
/// Between two askings at least.
const GAP_MS: u64 = 1_000;
/// A long asking is not followed by the next one at once: between them stands so many times as long as it took, but no longer than
/// [`AT_LATEST_MS`].
const REST: u64 = 3;
const AT_LATEST_MS: u64 = 25_000;

pub struct Trust {
    /// All that was committed before has been told.
    told_until: u64,
    /// Hints do not come now.
    away: bool,
    /// When the database is to be asked next.
    due: Option<u64>,
    /// One more time after that, for one doubt.
    again: bool,
    /// When the asking that is under way began.
    asking: Option<u64>,
    last_end: u64,
}

impl Trust {
    pub fn new(now: u64) -> Self {
        Self { told_until: now, away: false, due: None, again: false, asking: None, last_end: 0 }
    }

    /// Hints that were given since `from` may not have come.
    pub fn doubt(&mut self, from: u64, now: u64) {
        self.told_until = self.told_until.min(from);
        self.again = true;
        self.hurry(now);
    }

    /// Whether hints come. When they do again, and for as long as they do not, the database is asked.
    pub fn set_away(&mut self, away: bool, now: u64) {
        if away && !self.away {
            self.away = true;
            self.hurry(now + EVERY_MS);
        } else if !away && self.away {
            self.away = false;
            self.doubt(self.told_until, now);
        }
    }

    /// All hints that were given before `at` have come.
    pub fn confirm(&mut self, at: u64) {
        if !self.away && self.due.is_none() && self.asking.is_none() {
            self.told_until = self.told_until.max(at);
        }
    }

    /// How far back the database is to be asked now, in milliseconds, if it is to be; [`Trust::asked`] follows.
    pub fn ask(&mut self, now: u64) -> Option<u64> {
        if self.asking.is_some() || self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        self.asking = Some(now);
        Some(now.saturating_sub(self.told_until))
    }

    /// The asking has ended; `told`: everything was answered, and is told.
    pub fn asked(&mut self, told: bool, now: u64) {
        let Some(began) = self.asking.take() else { return };
        self.last_end = now;
        let rest = (REST * (now - began)).clamp(GAP_MS, AT_LATEST_MS);
        if !told {
            return self.hurry(now + rest);
        }
        // A doubt that came meanwhile goes further back.
        if self.due.is_none() {
            self.told_until = self.told_until.max(began);
        }
        if std::mem::take(&mut self.again) {
            // What was committed just before the asking may not have stood there yet.
            self.told_until = self.told_until.min(began.saturating_sub(AGAIN_MS));
            self.hurry(now + rest.max(AGAIN_MS));
        } else if self.away {
            self.hurry(now + rest.max(EVERY_MS));
        }
    }

    pub fn told_until(&self) -> u64 {
        self.told_until
    }

    fn hurry(&mut self, at: u64) {
        let at = at.max(self.last_end + GAP_MS);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_all_is_well_nothing_is_asked() {
        let mut trust = Trust::new(0);
        for now in (0..100_000).step_by(1_000) {
            trust.confirm(now);
            assert_eq!(trust.ask(now), None);
        }
        assert_eq!(trust.told_until(), 99_000);
    }

    #[test]
    fn a_doubt_is_cleared_by_two_askings() {
        let mut trust = Trust::new(0);
        trust.confirm(50_000);
        trust.doubt(46_000, 50_000);
        trust.confirm(50_500);
        assert_eq!(trust.ask(50_000), Some(4_000));
        assert_eq!(trust.ask(50_000), None);
        trust.asked(true, 50_100);
        assert_eq!(trust.ask(55_099), None);
        assert_eq!(trust.ask(55_100), Some(55_100 - 46_000.min(50_000 - AGAIN_MS)));
        trust.asked(true, 55_200);
        trust.confirm(57_000);
        assert_eq!((trust.ask(u64::MAX), trust.told_until()), (None, 57_000));
    }

    #[test]
    fn while_hints_do_not_come_it_is_asked_again_and_again() {
        let mut trust = Trust::new(0);
        trust.confirm(10_000);
        trust.set_away(true, 12_000);
        let mut asked = Vec::new();
        for now in (12_000..100_000).step_by(100) {
            trust.confirm(now);
            trust.set_away(now < 60_000, now);
            if let Some(ago) = trust.ask(now) {
                asked.push((now, ago));
                trust.asked(now != asked[0].0, now + 50);
            }
        }
        let gaps = asked.windows(2).map(|w| w[1].0 - w[0].0);
        assert!(gaps.clone().take(4).all(|gap| gap <= 9_000), "{asked:?}");
        // The first one failed, and the second one reaches as far back.
        assert_eq!((asked[0].0 - asked[0].1, asked[1].0 - asked[1].1), (10_000, 10_000));
        // Back at 60 000: at once, and once more.
        assert_eq!(asked.iter().filter(|(now, _)| *now >= 60_000).count(), 2, "{asked:?}");
        assert!(asked.iter().any(|(now, _)| (60_000..61_100).contains(now)), "{asked:?}");
    }

    #[test]
    fn a_doubt_that_comes_while_asking_is_not_forgotten() {
        let mut trust = Trust::new(0);
        trust.doubt(0, 5_000);
        assert!(trust.ask(5_000).is_some());
        trust.doubt(1_000, 6_000);
        trust.asked(true, 7_000);
        assert_eq!(trust.told_until(), 0);
        assert!(trust.ask(20_000).is_some());
    }

    #[test]
    fn long_askings_leave_the_database_alone_in_between() {
        let mut trust = Trust::new(0);
        trust.set_away(true, 0);
        assert!(trust.ask(8_000).is_some());
        trust.asked(true, 14_000);
        assert_eq!(trust.ask(31_000), None);
        assert!(trust.ask(32_000).is_some());
    }
}
