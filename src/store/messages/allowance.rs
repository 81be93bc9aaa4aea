//! Bytes that each user may have stored in a day of UTC, counted by this node, so that no account fills the
//! disk. Plain: times are given.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::ids::OpenId;

const DAY_MS: i64 = 86_400_000;

/// Users whose bytes are remembered; beyond it the one who wrote least recently is forgotten, and begins
/// anew.
const USERS: usize = 131_072;

/// Bytes that a row takes beside what its author gave: names, times, and its places in the indexes.
const ROW_BYTES: u64 = 256;

/// The bytes that a row with this content is taken for.
pub fn row(content: usize) -> u64 {
    ROW_BYTES.saturating_add(content as u64)
}

/// The allowance of every user. Cloning shares the counts.
#[derive(Debug, Clone)]
pub(in crate::store) struct Allowance {
    /// 0: no limit.
    bytes_per_day: u64,
    today: Arc<Mutex<Today>>,
}

#[derive(Debug)]
struct Today {
    /// Days since 1970.
    day: i64,
    used: LruCache<OpenId, u64>,
}

/// Bytes of a user's that were set aside before it is known what is stored of them. With the last clone those
/// that were not kept are given back.
#[derive(Debug, Clone)]
pub struct Charge(Arc<Held>);

#[derive(Debug)]
struct Held {
    today: Arc<Mutex<Today>>,
    day: i64,
    openid: OpenId,
    set_aside: u64,
    kept: AtomicU64,
}

impl Allowance {
    pub(in crate::store) fn new(bytes_per_day: u64) -> Self {
        Self { bytes_per_day, today: Arc::new(Mutex::new(Today { day: 0, used: LruCache::unbounded() })) }
    }

    /// Sets bytes aside; none where there is no limit.
    ///
    /// # Errors
    /// It would be more than the user may: the milliseconds until the day ends.
    pub(in crate::store) fn charge(
        &self,
        openid: &OpenId,
        bytes: u64,
        now_ms: i64,
    ) -> Result<Option<Charge>, u64> {
        if self.bytes_per_day == 0 {
            return Ok(None);
        }
        let day = now_ms.div_euclid(DAY_MS);
        let mut today = lock(&self.today);
        if today.day != day {
            *today = Today { day, used: LruCache::unbounded() };
        }
        let used = today.used.get(openid).copied().unwrap_or(0).saturating_add(bytes);
        if used > self.bytes_per_day {
            return Err(u64::try_from(DAY_MS - now_ms.rem_euclid(DAY_MS)).unwrap_or(1));
        }
        today.used.put(openid.clone(), used);
        if today.used.len() > USERS {
            today.used.pop_lru();
        }
        drop(today);
        let (today, openid) = (self.today.clone(), openid.clone());
        Ok(Some(Charge(Arc::new(Held { today, day, openid, set_aside: bytes, kept: AtomicU64::new(0) }))))
    }
}

impl Charge {
    /// So many bytes are stored, which may be more than were set aside.
    pub fn keep(&self, bytes: u64) {
        self.0.kept.store(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut today = lock(&self.today);
        if today.day == self.day
            && let Some(used) = today.used.peek_mut(&self.openid)
        {
            *used = used.saturating_sub(self.set_aside).saturating_add(*self.kept.get_mut());
        }
    }
}

fn lock(today: &Mutex<Today>) -> MutexGuard<'_, Today> {
    // Nothing panics while it is held; the counts stay right either way.
    today.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn o(name: &str) -> OpenId {
        OpenId::parse(name).unwrap()
    }

    fn take(allowance: &Allowance, who: &str, bytes: u64, now: i64) -> Result<(), u64> {
        if let Some(charge) = allowance.charge(&o(who), bytes, now)? {
            charge.keep(bytes);
        }
        Ok(())
    }

    #[test]
    fn a_day_of_utc_has_so_many_bytes_for_each_user() {
        let allowance = Allowance::new(1_000);
        let noon = 20_000 * DAY_MS + DAY_MS / 2;
        assert_eq!(take(&allowance, "a", 600, noon), Ok(()));
        assert_eq!(take(&allowance, "a", 401, noon), Err(DAY_MS as u64 / 2), "the wait is until midnight");
        assert_eq!(take(&allowance, "a", 400, noon), Ok(()), "a smaller one goes in");
        assert_eq!(take(&allowance, "a", 1, noon), Err(DAY_MS as u64 / 2));
        assert_eq!(take(&allowance, "b", 1_000, noon), Ok(()));
        assert_eq!(take(&allowance, "a", 1, 20_001 * DAY_MS - 1), Err(1));
        assert_eq!(take(&allowance, "a", 1_000, 20_001 * DAY_MS), Ok(()));
    }

    #[test]
    fn what_is_not_stored_is_given_back_with_the_last_clone() {
        let allowance = Allowance::new(100);
        let charge = allowance.charge(&o("a"), 100, 0).unwrap().unwrap();
        let other = charge.clone();
        drop(charge);
        assert!(take(&allowance, "a", 1, 0).is_err(), "it is still under way");
        other.keep(30);
        drop(other);
        assert_eq!(take(&allowance, "a", 70, 0), Ok(()));
        assert!(take(&allowance, "a", 1, 0).is_err());
    }

    #[test]
    fn a_day_that_has_passed_meanwhile_is_not_given_back() {
        let allowance = Allowance::new(100);
        let charge = allowance.charge(&o("a"), 100, 0).unwrap();
        assert_eq!(take(&allowance, "a", 100, DAY_MS), Ok(()));
        drop(charge);
        assert!(take(&allowance, "a", 1, DAY_MS).is_err());
    }

    #[test]
    fn zero_lifts_it_and_so_many_users_are_remembered() {
        assert!((0..1_000).all(|_| take(&Allowance::new(0), "a", u64::MAX, 0).is_ok()));
        let allowance = Allowance::new(1);
        for n in 0..=USERS {
            take(&allowance, &format!("u{n}"), 1, 0).unwrap();
        }
        assert_eq!(lock(&allowance.today).used.len(), USERS);
        assert!(
            take(&allowance, &format!("u{USERS}"), 1, 0).is_err() && take(&allowance, "u0", 1, 0).is_ok()
        );
    }
}
