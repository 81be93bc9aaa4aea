//! What the log of revocations comes to: a plain value.

use std::collections::{HashMap, HashSet};

use super::tokens::Identity;
use crate::event::revocation::{Revocation, Revoked};
use crate::ids::OpenId;

/// The revocations that still matter. What a token's lifetime has outlived is forgotten; a ban is not.
#[derive(Debug, Default)]
pub struct Revocations(HashMap<OpenId, User>);

#[derive(Debug, Default)]
struct User {
    /// Tokens issued until then are dead, Unix milliseconds.
    dead_until: i64,
    /// Single tokens that are dead, by issue time.
    dead: HashSet<i64>,
    banned: bool,
    /// The log entry that decided on `banned`: a later one stands, in whatever order they are read.
    decided_by: i64,
}

impl Revocations {
    /// Takes one entry of the log into account; taking one twice changes nothing.
    pub fn apply(&mut self, entry: &Revocation) {
        if entry.what == Revoked::Sessions {
            return;
        }
        let user = self.0.entry(entry.openid.clone()).or_default();
        match entry.what {
            Revoked::Token { issued_ms } => {
                user.dead.insert(issued_ms);
            }
            Revoked::AllTokens => user.dead_until = user.dead_until.max(entry.at),
            Revoked::Access | Revoked::Nothing => {
                user.dead_until = user.dead_until.max(entry.at);
                if entry.id >= user.decided_by {
                    user.decided_by = entry.id;
                    user.banned = entry.what == Revoked::Access;
                }
            }
            Revoked::Sessions => {}
        }
    }

    pub fn is_banned(&self, openid: &OpenId) -> bool {
        self.0.get(openid).is_some_and(|user| user.banned)
    }

    pub fn is_dead(&self, token: &Identity) -> bool {
        let Some(user) = self.0.get(&token.openid) else { return false };
        token.issued_ms <= user.dead_until || user.dead.contains(&token.issued_ms)
    }

    /// The issue time of a new token: `now`, or just after what is dead, where another node's clock runs ahead.
    pub fn issue_time(&self, openid: &OpenId, now: i64) -> i64 {
        self.0.get(openid).map_or(now, |user| {
            let mut at = now.max(user.dead_until + 1);
            while user.dead.contains(&at) {
                at += 1;
            }
            at
        })
    }

    /// Forgets what no living token can be hit by: everything issued before `oldest`.
    pub fn forget(&mut self, oldest: i64) {
        self.0.retain(|_, user| {
            user.dead.retain(|&issued| issued >= oldest);
            user.banned || user.dead_until >= oldest || !user.dead.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, what: Revoked, at: i64) -> Revocation {
        Revocation { id, openid: OpenId::parse("a").unwrap(), what, at }
    }

    fn token(issued_ms: i64) -> Identity {
        Identity { openid: OpenId::parse("a").unwrap(), issued_ms }
    }

    #[test]
    fn one_token_dies_or_all_until_then() {
        let mut r = Revocations::default();
        r.apply(&entry(1, Revoked::Token { issued_ms: 5 }, 9));
        assert!(r.is_dead(&token(5)) && !r.is_dead(&token(6)));
        r.apply(&entry(2, Revoked::AllTokens, 7));
        assert!(r.is_dead(&token(7)) && !r.is_dead(&token(8)));
        r.apply(&entry(3, Revoked::Sessions, 20));
        assert!(!r.is_dead(&token(8)));
    }

    #[test]
    fn the_later_decision_on_a_ban_stands_in_whatever_order_it_is_read() {
        let mut r = Revocations::default();
        r.apply(&entry(5, Revoked::Nothing, 20));
        r.apply(&entry(4, Revoked::Access, 10));
        assert!(!r.is_banned(&token(0).openid));
        assert!(r.is_dead(&token(20)), "tokens from before stay dead");
        r.apply(&entry(6, Revoked::Access, 30));
        assert!(r.is_banned(&token(0).openid));
    }

    #[test]
    fn a_new_token_is_never_born_dead() {
        let mut r = Revocations::default();
        r.apply(&entry(1, Revoked::AllTokens, 100));
        r.apply(&entry(2, Revoked::Token { issued_ms: 101 }, 100));
        assert_eq!(r.issue_time(&token(0).openid, 50), 102);
        assert_eq!(r.issue_time(&token(0).openid, 500), 500);
    }

    #[test]
    fn what_no_living_token_can_be_hit_by_is_forgotten_but_a_ban_is_not() {
        let mut r = Revocations::default();
        r.apply(&entry(1, Revoked::AllTokens, 100));
        r.forget(101);
        assert!(r.0.is_empty());
        r.apply(&entry(2, Revoked::Access, 100));
        r.forget(101);
        assert!(r.is_banned(&token(0).openid));
    }
}
