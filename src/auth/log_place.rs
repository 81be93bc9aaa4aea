//! Position in the log of revocations up to which it was read: a plain value. Transactions overlap, so an id
//! may be committed after a higher one; and one that was rolled back never comes. Times are monotonic
//! milliseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::BTreeMap;

/// How long a missing id is asked for: longer than a commit hangs that still succeeds.
const MISSING_FOR_MS: u64 = 600_000;
/// Missing ids that are asked for, the highest. PostgreSQL skips 32 at a crash.
const MISSING_AT_MOST: usize = 1_024;

/// A place in the log.
#[derive(Debug, Default)]
pub struct LogPlace {
    last: i64,
    /// Ids below `last` that were not there, and until when they are asked for.
    missing: BTreeMap<i64, u64>,
}

impl LogPlace {
    /// The place behind `ids`, which have all that is there above `from`.
    pub fn behind(from: i64, ids: impl IntoIterator<Item = i64>, now: u64) -> Self {
        let mut place = Self { last: from, missing: BTreeMap::new() };
        place.read(ids, now);
        place
    }

    /// The highest id that was read.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// The ids below it to be asked for again.
    pub fn missing(&self) -> Vec<i64> {
        self.missing.keys().copied().collect()
    }

    /// Notes entries that were read.
    pub fn read(&mut self, ids: impl IntoIterator<Item = i64>, now: u64) {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        for id in ids {
            self.missing.remove(&id);
            if id > self.last {
                let at_most = i64::try_from(MISSING_AT_MOST).unwrap_or(i64::MAX);
                let skipped = (self.last + 1).max(id.saturating_sub(at_most))..id;
                self.missing.extend(skipped.map(|id| (id, now + MISSING_FOR_MS)));
                self.last = id;
            }
        }
        while self.missing.len() > MISSING_AT_MOST {
            self.missing.pop_first();
        }
        self.missing.retain(|_, until| now < *until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_node_commits_late_is_asked_for_until_it_comes() {
        let mut place = LogPlace::behind(3, [4, 7], 0);
        assert_eq!((place.last(), place.missing()), (7, vec![5, 6]));
        place.read([6, 8], 10);
        assert_eq!((place.last(), place.missing()), (8, vec![5]));
        place.read([5], 20);
        assert_eq!((place.last(), place.missing()), (8, vec![]));
    }

    #[test]
    fn what_was_rolled_back_is_not_asked_for_for_ever() {
        let mut place = LogPlace::behind(0, [2], 0);
        place.read([], MISSING_FOR_MS - 1);
        assert_eq!(place.missing(), [1]);
        place.read([], MISSING_FOR_MS);
        assert!(place.missing().is_empty());
    }

    #[test]
    fn a_leap_in_the_ids_takes_no_memory() {
        let mut place = LogPlace::behind(0, [i64::MAX - 1], 0);
        assert_eq!(place.missing().len(), MISSING_AT_MOST);
        place.read([i64::MAX], 1);
        assert_eq!((place.last(), place.missing().len()), (i64::MAX, MISSING_AT_MOST));
    }
}
