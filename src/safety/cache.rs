//! Cache of WeChat's recent judgements, so that a text which many send is asked for once. Times are
//! monotonic milliseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::num::NonZeroUsize;

use lru::LruCache;

/// WeChat's view of a text may change.
const KEPT_MS: u64 = 3_600_000;

/// Verdicts by key, the least used going first.
#[derive(Debug)]
pub struct Cache<K: std::hash::Hash + Eq, V> {
    /// None: nothing is kept.
    entries: Option<LruCache<K, (u64, V)>>,
}

impl<K: std::hash::Hash + Eq, V: Clone> Cache<K, V> {
    pub fn new(entries: usize) -> Self {
        Self { entries: NonZeroUsize::new(entries).map(LruCache::new) }
    }

    pub fn get(&mut self, key: &K, now: u64) -> Option<V> {
        let (since, verdict) = self.entries.as_mut()?.get(key)?;
        (now.saturating_sub(*since) < KEPT_MS).then(|| verdict.clone())
    }

    pub fn put(&mut self, key: K, verdict: V, now: u64) {
        if let Some(entries) = &mut self.entries {
            entries.put(key, (now, verdict));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_so_many_for_so_long() {
        let mut cache = Cache::new(2);
        cache.put("a", 1, 0);
        cache.put("b", 2, 10);
        assert_eq!(cache.get(&"a", 20), Some(1));
        cache.put("c", 3, 30);
        assert_eq!(cache.get(&"b", 40), None, "the least used one went");
        assert_eq!((cache.get(&"a", KEPT_MS - 1), cache.get(&"a", KEPT_MS)), (Some(1), None));
        let mut none = Cache::new(0);
        none.put("a", 1, 0);
        assert_eq!(none.get(&"a", 0), None);
    }
}
