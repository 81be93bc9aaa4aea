//! The access_token as this node holds it: a plain state machine, without clock and network.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use tokio::sync::oneshot;

use super::error::TOKEN_INVALID;
use super::{AccessToken, Failure};

/// Someone who waits for a token.
pub type Waiter = oneshot::Sender<Result<AccessToken, Failure>>;

/// One token, and who waits for the next. Times are monotonic milliseconds.
#[derive(Default)]
pub struct TokenCache {
    held: Option<Held>,
    waiting: Vec<Waiter>,
    fetching: bool,
    /// After a failure: until when nobody asks WeChat again, and what they are told.
    failed: Option<(u64, Failure)>,
    /// When WeChat last refused a token.
    refused: Option<u64>,
}

struct Held {
    token: AccessToken,
    good_until: u64,
}

/// WeChat renews a token in its last five minutes, while both are good (docs/WECHAT.md).
const RENEW_BEFORE_MS: u64 = 5 * 60_000;

/// Between two tries after a failure: a wrong secret must not become a loop.
const TRY_AGAIN_MS: u64 = 5_000;

/// Who waits at most.
const WAITERS: usize = 10_000;

impl TokenCache {
    /// Answers `who` now or later. Whether the caller must fetch a token, and then tell [`Self::fetched`].
    #[must_use]
    pub fn ask(&mut self, who: Waiter, now: u64) -> bool {
        if let Some(held) = &self.held
            && now < held.good_until
        {
            let _ = who.send(Ok(held.token.clone()));
            return now + RENEW_BEFORE_MS >= held.good_until && self.begin(now);
        }
        if let Some((until, failure)) = &self.failed
            && now < *until
        {
            let _ = who.send(Err(failure.clone()));
            return false;
        }
        if self.waiting.len() >= WAITERS {
            let _ = who.send(Err(Failure::Busy));
            return false;
        }
        self.waiting.push(who);
        self.begin(now)
    }

    fn begin(&mut self, now: u64) -> bool {
        let rests = self.failed.as_ref().is_some_and(|(until, _)| now < *until);
        !rests && !std::mem::replace(&mut self.fetching, true)
    }

    /// What came of a fetch.
    pub fn fetched(&mut self, outcome: Result<(AccessToken, u64), Failure>, now: u64) {
        self.fetching = false;
        let told = match outcome {
            Ok((token, lives_ms)) => {
                self.failed = None;
                self.held = Some(Held { token: token.clone(), good_until: now + lives_ms });
                Ok(token)
            }
            Err(failure) => {
                self.failed = Some((now + TRY_AGAIN_MS, failure.clone()));
                Err(failure)
            }
        };
        for who in self.waiting.drain(..) {
            let _ = who.send(told.clone());
        }
    }

    /// WeChat refused this token: drops it, unless a newer one has come. Where that replaced one refused a
    /// moment ago, the next would be no better, and nobody asks for it for a while.
    pub fn refused(&mut self, token: &AccessToken, now: u64) {
        if self.held.as_ref().is_none_or(|held| held.token != *token) {
            return;
        }
        self.held = None;
        let before = self.refused.replace(now);
        if before.is_some_and(|before| now < before + TRY_AGAIN_MS) {
            self.failed =
                Some((now + TRY_AGAIN_MS, Failure::Code { code: TOKEN_INVALID, rid: String::new() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(cache: &mut TokenCache, now: u64) -> (bool, oneshot::Receiver<Result<AccessToken, Failure>>) {
        let (who, told) = oneshot::channel();
        (cache.ask(who, now), told)
    }

    fn token(text: &str) -> AccessToken {
        AccessToken::new(text)
    }

    #[test]
    fn many_who_ask_cost_one_fetch() {
        let mut cache = TokenCache::default();
        let asked: Vec<_> = (0..100).map(|_| ask(&mut cache, 0)).collect();
        assert_eq!(asked.iter().filter(|(fetch, _)| *fetch).count(), 1);
        cache.fetched(Ok((token("t"), 7_200_000)), 10);
        for (_, mut told) in asked {
            assert_eq!(told.try_recv().unwrap(), Ok(token("t")));
        }
        assert!(!ask(&mut cache, 20).0);
    }

    #[test]
    fn it_is_renewed_before_it_expires_and_serves_meanwhile() {
        let mut cache = TokenCache::default();
        let _ = ask(&mut cache, 0);
        cache.fetched(Ok((token("old"), 7_200_000)), 0);
        let (fetch, mut told) = ask(&mut cache, 7_200_000 - RENEW_BEFORE_MS);
        assert!(fetch);
        assert_eq!(told.try_recv().unwrap(), Ok(token("old")));
        assert!(!ask(&mut cache, 7_199_000).0, "one renewal at a time");
        cache.fetched(Ok((token("new"), 7_200_000)), 7_199_500);
        assert_eq!(ask(&mut cache, 7_200_000).1.try_recv().unwrap(), Ok(token("new")));
    }

    #[test]
    fn a_refused_token_is_dropped_once_and_a_newer_one_stays() {
        let mut cache = TokenCache::default();
        let _ = ask(&mut cache, 0);
        cache.fetched(Ok((token("a"), 7_200_000)), 0);
        cache.refused(&token("a"), 0);
        assert!(ask(&mut cache, 1).0);
        cache.fetched(Ok((token("b"), 7_200_000)), 2);
        cache.refused(&token("a"), 2);
        assert_eq!(ask(&mut cache, 3).1.try_recv().unwrap(), Ok(token("b")));
    }

    #[test]
    fn two_refused_in_a_row_are_no_loop() {
        let mut cache = TokenCache::default();
        let _ = ask(&mut cache, 0);
        cache.fetched(Ok((token("a"), 7_200_000)), 0);
        cache.refused(&token("a"), 10);
        let _ = ask(&mut cache, 10);
        cache.fetched(Ok((token("b"), 7_200_000)), 20);
        cache.refused(&token("b"), 30);
        let (fetch, mut told) = ask(&mut cache, 40);
        assert!(!fetch && told.try_recv().unwrap().unwrap_err().is_of_token());
        assert!(ask(&mut cache, 30 + TRY_AGAIN_MS).0);
    }

    #[test]
    fn a_failure_rests_before_the_next_try() {
        let mut cache = TokenCache::default();
        let _ = ask(&mut cache, 0);
        cache.fetched(Err(Failure::Code { code: 40001, rid: String::new() }), 0);
        let (fetch, mut told) = ask(&mut cache, TRY_AGAIN_MS - 1);
        assert!(!fetch && told.try_recv().unwrap().is_err());
        assert!(ask(&mut cache, TRY_AGAIN_MS).0);
    }
}
