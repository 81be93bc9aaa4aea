//! Users with sessions here, and the subjects that are subscribed to for them.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::{BTreeMap, HashMap};

use crate::ids::OpenId;

/// How long a subject stays subscribed to after its last user has gone: who reconnects within it costs
/// nothing. In milliseconds.
const LINGER_MS: u64 = 30_000;

/// The number of a subject.
pub type Bucket = u32;

/// Users by bucket.
#[derive(Default)]
pub struct Interest {
    buckets: HashMap<Bucket, Users>,
    /// When buckets without users are given up, in the order of time.
    idle: BTreeMap<(u64, Bucket), ()>,
}

/// A bucket's users, each with how often they are followed.
#[derive(Default)]
struct Users {
    followed: HashMap<OpenId, u32>,
    /// When it is given up.
    idle_at: Option<u64>,
}

/// The bucket of a user: FNV-1a (64 bits) of the openid, modulo `buckets`. Every node and version must
/// compute the same.
pub fn bucket(openid: &OpenId, buckets: u32) -> Bucket {
    let hash = openid.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u32::try_from(hash % u64::from(buckets.max(1))).unwrap_or(0)
}

impl Interest {
    /// Follows a user; whether their bucket must be subscribed to for that.
    pub fn follow(&mut self, openid: OpenId, bucket: Bucket) -> bool {
        let is_new = !self.buckets.contains_key(&bucket);
        let users = self.buckets.entry(bucket).or_default();
        if let Some(at) = users.idle_at.take() {
            self.idle.remove(&(at, bucket));
        }
        let count = users.followed.entry(openid).or_default();
        *count += 1;
        is_new
    }

    /// Takes one [`Interest::follow`] back.
    pub fn unfollow(&mut self, openid: &OpenId, bucket: Bucket, now: u64) {
        let Some(users) = self.buckets.get_mut(&bucket) else { return };
        let Some(count) = users.followed.get_mut(openid) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        users.followed.remove(openid);
        if users.followed.is_empty() {
            let at = now + LINGER_MS;
            users.idle_at = Some(at);
            self.idle.insert((at, bucket), ());
        }
    }

    /// The buckets that are given up now.
    pub fn expired(&mut self, now: u64) -> Vec<Bucket> {
        let mut expired = Vec::new();
        while let Some(entry) = self.idle.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, bucket), ()) = entry.remove_entry();
            self.buckets.remove(&bucket);
            expired.push(bucket);
        }
        expired
    }

    pub fn is_followed(&self, openid: &OpenId, bucket: Bucket) -> bool {
        self.buckets.get(&bucket).is_some_and(|users| users.followed.contains_key(openid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> OpenId {
        OpenId::parse(text).unwrap()
    }

    #[test]
    fn a_bucket_outlives_its_last_user_for_half_a_minute() {
        let mut interest = Interest::default();
        assert!(interest.follow(id("a"), 1));
        assert!(!interest.follow(id("b"), 1) && !interest.follow(id("a"), 1));
        for user in ["a", "b", "nobody"] {
            interest.unfollow(&id(user), 1, 0);
        }
        assert!(interest.is_followed(&id("a"), 1) && !interest.is_followed(&id("b"), 1));
        interest.unfollow(&id("a"), 1, 10);
        assert!(!interest.is_followed(&id("a"), 1));
        assert!(interest.expired(LINGER_MS + 9).is_empty());
        // Back in time: not subscribed anew.
        assert!(!interest.follow(id("a"), 1));
        assert!(interest.expired(u64::MAX).is_empty());
        interest.unfollow(&id("a"), 1, 20);
        assert_eq!(interest.expired(LINGER_MS + 20), [1]);
        assert!(interest.buckets.is_empty());
        assert!(interest.follow(id("a"), 1));
    }

    /// Other versions must agree: these values are for good.
    #[test]
    fn buckets_are_the_same_everywhere() {
        assert_eq!(
            ["a", "oGZUI0egBJY1zhBYw2KhdUfwVJJE"].map(|user| bucket(&id(user), 1 << 20)),
            [BUCKET_A, BUCKET_O]
        );
        assert!((0..1000).all(|n| bucket(&id(&format!("u{n}")), 7) < 7));
    }

    // 0xaf63dc4c8601ec8c is FNV-1a of "a", as its authors publish it.
    const BUCKET_A: u32 = (0xaf63_dc4c_8601_ec8c_u64 % (1 << 20)) as u32;
    const BUCKET_O: u32 = 390_697;
}
