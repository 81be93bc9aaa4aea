//! Up to when this node's users have surely been told everything, and when the database must be asked what
//! they have not. A plain value; times are monotonic milliseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use crate::store::{REPLY_TIMEOUT, SYNC_OVERLAP};

/// How often the database is asked while hints do not come.
const EVERY_MS: u64 = 8_000;
/// After a doubt the database is asked at once, and again so much later: what was being committed may not
/// have stood there yet.
const AGAIN_MS: u64 = REPLY_TIMEOUT.as_millis() as u64 + 2_000;
/// Between two askings at least.
const GAP_MS: u64 = 1_000;
/// A long asking is not followed by the next one at once: between them stands so many times as long as it
/// took, but no longer than [`AT_LATEST_MS`].
const REST: u64 = 3;
const AT_LATEST_MS: u64 = 25_000;
/// An asking covers at least so much before the time since when it asks, and the nodes that lose NATS notice
/// it within this time of each other.
const MARGIN_MS: u64 = 10_000;
/// What was told so long before everything is known to be told cannot come again out of the database: the
/// store looks back half a minute further than it is asked to.
const REMEMBER_MS: u64 = 60_000;

const _: () = assert!(
    SYNC_OVERLAP.as_millis() as u64 + MARGIN_MS + AGAIN_MS < REMEMBER_MS,
    "what the database may tell again is remembered as told"
);

#[derive(Debug, Clone, Copy)]
struct Span {
    from: u64,
    until: u64,
}

pub struct ResyncPlanner {
    /// All that was committed before has been told.
    told_until: u64,
    /// Hints do not come now.
    away: bool,
    /// When the database is to be asked next.
    due: Option<u64>,
    /// One more time after that, for one doubt.
    again: bool,
    /// The asking that is under way: since when it asks, and when it began.
    asking: Option<Span>,
    /// What the database has answered for without a gap, so that it is told whatever hints say.
    answered: Span,
    last_end: u64,
    /// When a generation was forgotten last, as [`ResyncPlanner::told_until`] stood.
    forgotten_until: u64,
}

impl ResyncPlanner {
    pub fn new(now: u64) -> Self {
        // Nobody was here before.
        let answered = Span { from: now, until: now };
        Self {
            told_until: now,
            away: false,
            due: None,
            again: false,
            asking: None,
            answered,
            last_end: 0,
            forgotten_until: 0,
        }
    }

    /// Hints that were given since `from` may not have come. What the database was asked about since then is
    /// told all the same: a node that had no NATS for long would else have all others read that whole time
    /// again.
    pub fn mark_lossy(&mut self, from: u64, now: u64) {
        let is_answered = from + MARGIN_MS >= self.answered.from;
        let from = if is_answered { from.max(self.answered.until.saturating_sub(AGAIN_MS)) } else { from };
        self.told_until = self.told_until.min(from);
        self.again = true;
        self.schedule_by(now);
    }

    /// Whether hints come. When they do again, and for as long as they do not, the database is asked.
    pub fn set_away(&mut self, away: bool, now: u64) {
        if away && !self.away {
            self.away = true;
            self.schedule_by(now + EVERY_MS);
        } else if !away && self.away {
            self.away = false;
            self.mark_lossy(self.told_until, now);
        }
    }

    /// All hints that were given before `at` have come.
    pub fn confirm(&mut self, at: u64) {
        if !self.away && self.due.is_none() && self.asking.is_none() {
            self.told_until = self.told_until.max(at);
        }
    }

    /// How far back the database is to be asked now, in milliseconds, if it is to be;
    /// [`ResyncPlanner::asked`] follows.
    pub fn ask(&mut self, now: u64) -> Option<u64> {
        if self.asking.is_some() || self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        self.asking = Some(Span { from: self.told_until, until: now });
        Some(now.saturating_sub(self.told_until))
    }

    /// The asking has ended; `answered`: with an answer to everything.
    pub fn asked(&mut self, answered: bool, now: u64) {
        let Some(Span { from, until: began }) = self.asking.take() else { return };
        self.last_end = now;
        let rest = (REST * (now - began)).clamp(GAP_MS, AT_LATEST_MS);
        if !answered {
            return self.schedule_by(now + rest);
        }
        let from = if from <= self.answered.until { from.min(self.answered.from) } else { from };
        self.answered = Span { from, until: began };
        // A doubt that came meanwhile goes further back.
        if self.due.is_none() {
            self.told_until = self.told_until.max(began);
        }
        if std::mem::take(&mut self.again) {
            // What was committed just before the asking may not have stood there yet.
            self.told_until = self.told_until.min(began.saturating_sub(AGAIN_MS));
            self.schedule_by(now + rest.max(AGAIN_MS));
        } else if self.away {
            self.schedule_by(now + rest.max(EVERY_MS));
        }
    }

    /// Whether a generation of what is remembered as told may be forgotten: what was told so long before
    /// cannot come again out of the database.
    pub fn may_forget(&mut self) -> bool {
        let may = self.told_until >= self.forgotten_until + REMEMBER_MS;
        if may {
            self.forgotten_until = self.told_until;
        }
        may
    }

    fn schedule_by(&mut self, at: u64) {
        let at = at.max(self.last_end + GAP_MS);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_all_is_well_nothing_is_asked() {
        let mut trust = ResyncPlanner::new(0);
        for now in (0..100_000).step_by(1_000) {
            trust.confirm(now);
            assert_eq!(trust.ask(now), None);
        }
        assert_eq!(trust.told_until, 99_000);
    }

    #[test]
    fn a_doubt_is_cleared_by_two_askings() {
        let mut trust = ResyncPlanner::new(0);
        trust.confirm(50_000);
        trust.mark_lossy(46_000, 50_000);
        trust.confirm(50_500);
        assert_eq!(trust.ask(50_000), Some(4_000));
        assert_eq!(trust.ask(50_000), None);
        trust.asked(true, 50_100);
        assert_eq!(trust.ask(55_099), None);
        assert_eq!(trust.ask(55_100), Some(55_100 - 46_000.min(50_000 - AGAIN_MS)));
        trust.asked(true, 55_200);
        trust.confirm(57_000);
        assert_eq!((trust.ask(u64::MAX), trust.told_until), (None, 57_000));
    }

    #[test]
    fn while_hints_do_not_come_it_is_asked_again_and_again() {
        let mut trust = ResyncPlanner::new(0);
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
        let mut trust = ResyncPlanner::new(0);
        trust.mark_lossy(0, 5_000);
        assert!(trust.ask(5_000).is_some());
        trust.mark_lossy(1_000, 6_000);
        trust.asked(true, 7_000);
        assert_eq!(trust.told_until, 0);
        assert!(trust.ask(20_000).is_some());
    }

    /// The store looks back half a minute further than it is asked to, and `chat/delivered.rs` remembers two
    /// generations.
    struct World {
        resync: ResyncPlanner,
        told: [std::collections::BTreeSet<u64>; 2],
        /// How often each message was told, by the time of its commit.
        times: std::collections::BTreeMap<u64, u32>,
        /// How far back the database was asked, by when.
        askings: Vec<(u64, u64)>,
    }

    impl World {
        fn tell(&mut self, message: u64) {
            if !self.told.iter().any(|generation| generation.contains(&message)) {
                self.told[0].insert(message);
                *self.times.entry(message).or_default() += 1;
            }
        }

        /// One step of the Relay, of 100 ms: a message, by a hint or not, and whatever is asked.
        fn step(&mut self, now: u64, away: bool, answers: bool) {
            self.times.insert(now, 0);
            if !away {
                self.tell(now);
                self.resync.confirm(now);
            }
            self.resync.set_away(away, now);
            if let Some(ago) = self.resync.ask(now) {
                self.askings.push((now, ago));
                if answers {
                    let looked_back_to = now.saturating_sub(ago + 30_000);
                    let found: Vec<_> = self.times.range(looked_back_to..).map(|(at, _)| *at).collect();
                    found.into_iter().for_each(|message| self.tell(message));
                }
                self.resync.asked(answers, now + 50);
            }
            if self.resync.may_forget() {
                self.told.swap(0, 1);
                self.told[0].clear();
            }
        }
    }

    /// Every node says after an outage since when its hints were lost: what the database told meanwhile is
    /// not asked for again.
    #[test]
    fn after_five_minutes_without_nats_everything_was_told_once() {
        let (gone, back) = (100_000, 400_000);
        for unanswered in [0..0, gone..gone + 90_000, back - 50_000..back + 5_000] {
            let mut world = World {
                resync: ResyncPlanner::new(0),
                told: Default::default(),
                times: Default::default(),
                askings: Vec::new(),
            };
            for now in (0..600_000).step_by(100) {
                world.step(now, (gone..back).contains(&now), !unanswered.contains(&now));
                // Three nodes, of which one lost its link earlier than this one, and one says it late.
                for (said, since) in
                    [(back + 500, gone), (back + 900, gone - 3_000), (back + 12_000, gone + 1_500)]
                {
                    if now == said {
                        world.resync.mark_lossy(since, now);
                    }
                }
            }
            let wrong: Vec<_> =
                world.times.iter().filter(|(at, times)| **at < 590_000 && **times != 1).collect();
            assert!(
                wrong.is_empty(),
                "{unanswered:?}: {} not told once, {:?}",
                wrong.len(),
                &wrong[..wrong.len().min(5)]
            );
            let farthest =
                world.askings.iter().filter(|(at, _)| *at > back + 6_000).map(|(_, ago)| *ago).max().unwrap();
            assert!(farthest < 30_000, "{unanswered:?}: {:?}", world.askings);
        }
    }

    #[test]
    fn a_doubt_about_a_time_that_nobody_was_asked_about_goes_back_there() {
        let mut trust = ResyncPlanner::new(0);
        trust.confirm(200_000);
        trust.mark_lossy(199_000, 200_000);
        assert_eq!(trust.ask(200_000), Some(1_000));
        trust.asked(true, 200_100);
        // The database was asked about the last seconds only.
        trust.mark_lossy(100_000, 201_100);
        assert_eq!(trust.ask(201_100), Some(101_100));
        trust.asked(true, 201_200);
        trust.mark_lossy(100_000, 210_000);
        assert_eq!(trust.ask(210_000), Some(210_000 - (201_100 - AGAIN_MS)));
    }

    #[test]
    fn long_askings_leave_the_database_alone_in_between() {
        let mut trust = ResyncPlanner::new(0);
        trust.set_away(true, 0);
        assert!(trust.ask(8_000).is_some());
        trust.asked(true, 14_000);
        assert_eq!(trust.ask(31_000), None);
        assert!(trust.ask(32_000).is_some());
    }
}
