//! State that the log of revocations adds up to: a plain value.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::{HashMap, HashSet};

use super::tokens::{Identity, TokenRefused};
use crate::event::revocation::{Issued, Revocation, Revoked};
use crate::ids::OpenId;

/// The revocations that still matter. What a token's lifetime has outlived is forgotten; a ban is not.
#[derive(Debug, Default)]
pub struct Revocations {
    users: HashMap<OpenId, User>,
    /// Every entry up to this id that is not among `users` was forgotten, or was too old to be read.
    forgotten: i64,
}

#[derive(Debug, Default)]
struct User {
    /// The last entry that was read.
    last: i64,
    /// When the newest one was written, Unix milliseconds.
    last_at: i64,
    /// The last entry that ended every token, and the latest time of such a one.
    dead_by: i64,
    dead_until: i64,
    /// Single tokens that are dead, by issue time.
    dead: HashSet<i64>,
    ban: Option<BanEnd>,
    /// The log entry that decided on `ban`: a later one stands, in whatever order they are read.
    decided_by: i64,
    /// When that was written, Unix milliseconds.
    decided_at: i64,
}

/// When a ban ends, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BanEnd {
    Never,
    /// Unix milliseconds.
    At(i64),
}

impl BanEnd {
    fn is_in_force(self, now: i64) -> bool {
        match self {
            Self::Never => true,
            Self::At(until) => now < until,
        }
    }
}

impl Revocations {
    /// Takes one entry of the log into account; taking one twice changes nothing.
    pub fn apply(&mut self, entry: &Revocation) {
        let user = self.users.entry(entry.openid.clone()).or_default();
        user.last = user.last.max(entry.id);
        user.last_at = user.last_at.max(entry.at);
        match entry.what {
            Revoked::Token { issued_ms } => {
                user.dead.insert(issued_ms);
            }
            Revoked::Sessions => {}
            Revoked::AllTokens => user.end_tokens(entry),
            Revoked::Access { until } => {
                user.end_tokens(entry);
                user.decide(entry, Some(until.map_or(BanEnd::Never, BanEnd::At)));
            }
            Revoked::Nothing => {
                user.end_tokens(entry);
                user.decide(entry, None);
            }
            // Who came back meanwhile may stay.
            Revoked::Lapsed { .. } => user.decide(entry, None),
        }
    }

    /// Whether the user may not log in at `now`, Unix milliseconds by the database's clock.
    pub fn is_banned(&self, openid: &OpenId, now: i64) -> bool {
        self.users.get(openid).is_some_and(|user| user.is_banned(now))
    }

    /// # Errors
    /// [`TokenRefused`] where the login no longer holds.
    pub fn judge(&self, login: &Identity, now: i64) -> Result<(), TokenRefused> {
        let Some(user) = self.users.get(&login.openid) else { return Ok(()) };
        let Issued { ms, rev } = login.issued;
        // A node that knew more has let the user in after the ban was lifted.
        if user.is_banned(now) && (rev.is_none() || login.issued.is_before(user.decided_by, user.decided_at))
        {
            Err(TokenRefused::Banned)
        } else if login.issued.is_before(user.dead_by, user.dead_until) || user.dead.contains(&ms) {
            Err(TokenRefused::Unauthorized)
        } else {
            Ok(())
        }
    }

    /// A login of this user at `now`, or just after what is dead.
    pub fn issue(&self, openid: &OpenId, now: i64) -> Issued {
        let Some(user) = self.users.get(openid) else { return Issued { ms: now, rev: Some(self.forgotten) } };
        let mut ms = now.max(user.dead_until + 1);
        while user.dead.contains(&ms) {
            ms += 1;
        }
        Issued { ms, rev: Some(user.last.max(self.forgotten)) }
    }

    /// Notes that entries up to `id` that are not known are too old to matter.
    pub fn pass_over(&mut self, id: i64) {
        self.forgotten = self.forgotten.max(id);
    }

    /// Forgets what no living token can be hit by: everything issued before `oldest`.
    pub fn forget(&mut self, oldest: i64) {
        let mut forgotten = self.forgotten;
        self.users.retain(|_, user| {
            user.dead.retain(|&issued| issued >= oldest);
            let keeps = user.is_banned(oldest) || user.last_at >= oldest || !user.dead.is_empty();
            if !keeps {
                forgotten = forgotten.max(user.last);
            }
            keeps
        });
        self.forgotten = forgotten;
    }
}

impl User {
    fn is_banned(&self, now: i64) -> bool {
        self.ban.is_some_and(|ban| ban.is_in_force(now))
    }

    /// The latest decision stands, in whatever order they are read.
    fn decide(&mut self, entry: &Revocation, ban: Option<BanEnd>) {
        if entry.id >= self.decided_by {
            (self.decided_by, self.decided_at) = (entry.id, entry.at);
            self.ban = ban;
        }
    }

    fn end_tokens(&mut self, entry: &Revocation) {
        self.dead_by = self.dead_by.max(entry.id);
        self.dead_until = self.dead_until.max(entry.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By when a ban without an end still holds.
    const NOW: i64 = 3_000_000;

    fn alice() -> OpenId {
        OpenId::parse("a").unwrap()
    }

    fn entry(id: i64, what: Revoked, at: i64) -> Revocation {
        Revocation { id, openid: alice(), what, at }
    }

    fn is_dead(r: &Revocations, issued: Issued) -> bool {
        r.judge(&Identity { openid: alice(), issued }, NOW).is_err()
    }

    fn by_time(ms: i64) -> Issued {
        Issued::by_time(ms)
    }

    #[test]
    fn one_token_dies_or_all_until_then() {
        let mut r = Revocations::default();
        r.apply(&entry(1, Revoked::Token { issued_ms: 5 }, 9));
        assert!(is_dead(&r, by_time(5)) && !is_dead(&r, by_time(6)));
        r.apply(&entry(2, Revoked::AllTokens, 7));
        assert!(is_dead(&r, by_time(7)) && !is_dead(&r, by_time(8)));
        r.apply(&entry(3, Revoked::Sessions, 20));
        assert!(!is_dead(&r, by_time(8)));
    }

    #[test]
    fn a_logout_of_all_reaches_what_was_issued_without_knowing_of_it_and_nothing_else() {
        let mut here = Revocations::default();
        let before = here.issue(&alice(), 1_000);
        // Written by a clock far behind, and committed late.
        here.apply(&entry(1, Revoked::AllTokens, 10));
        let after = here.issue(&alice(), 1_000);
        assert!(is_dead(&here, before) && !is_dead(&here, after));
        // One that runs ahead: what is issued after it lives, here and where it was not read yet.
        here.apply(&entry(2, Revoked::AllTokens, 90_000));
        let later = here.issue(&alice(), 1_000);
        assert!(is_dead(&here, after) && !is_dead(&here, later) && !is_dead(&Revocations::default(), later));
    }

    #[test]
    fn the_later_decision_on_a_ban_stands_in_whatever_order_it_is_read() {
        let mut r = Revocations::default();
        r.apply(&entry(5, Revoked::Nothing, 20));
        r.apply(&entry(4, Revoked::Access { until: None }, 10));
        assert!(!r.is_banned(&alice(), NOW));
        assert!(is_dead(&r, by_time(20)), "tokens from before stay dead");
        r.apply(&entry(6, Revoked::Access { until: None }, 30));
        assert!(r.is_banned(&alice(), NOW));
    }

    #[test]
    fn who_logged_in_after_the_pardon_comes_in_where_only_the_ban_was_read() {
        let (ban, pardon) = (entry(1, Revoked::Access { until: None }, 10), entry(2, Revoked::Nothing, 20));
        let (mut there, mut here) = (Revocations::default(), Revocations::default());
        there.apply(&ban);
        here.apply(&ban);
        here.apply(&pardon);
        let token = here.issue(&alice(), 21);
        assert!(!is_dead(&there, token) && !is_dead(&here, token));
        there.apply(&entry(3, Revoked::Access { until: None }, 30));
        assert!(is_dead(&there, token));
    }

    #[test]
    fn a_ban_of_a_restored_log_reaches_who_logged_in_by_the_one_before() {
        let mut r = Revocations::default();
        r.apply(&entry(81, Revoked::Access { until: None }, 2_000_000));
        let before = Issued { ms: 1_000_000, rev: Some(100) };
        assert_eq!(r.judge(&Identity { openid: alice(), issued: before }, NOW), Err(TokenRefused::Banned));
    }

    #[test]
    fn a_new_token_is_never_born_dead() {
        let mut r = Revocations::default();
        r.apply(&entry(1, Revoked::AllTokens, 100));
        r.apply(&entry(2, Revoked::Token { issued_ms: 101 }, 100));
        assert_eq!(r.issue(&alice(), 50), Issued { ms: 102, rev: Some(2) });
        assert_eq!(r.issue(&alice(), 500), Issued { ms: 500, rev: Some(2) });
    }

    #[test]
    fn what_no_living_token_can_be_hit_by_is_forgotten_but_a_ban_is_not() {
        let mut r = Revocations::default();
        r.apply(&entry(1, Revoked::AllTokens, 100));
        r.forget(101);
        assert!(r.users.is_empty());
        r.apply(&entry(2, Revoked::Access { until: None }, 100));
        r.forget(101);
        assert!(r.is_banned(&alice(), NOW));
    }

    #[test]
    fn what_one_node_has_forgotten_a_token_of_its_own_still_knows_elsewhere() {
        let (mut forgot, mut remembers) = (Revocations::default(), Revocations::default());
        for r in [&mut forgot, &mut remembers] {
            r.apply(&entry(1, Revoked::AllTokens, 100));
        }
        forgot.forget(101);
        assert!(!is_dead(&remembers, forgot.issue(&alice(), 1_000)));
        // It was too old to be read at a start.
        let mut fresh = Revocations::default();
        fresh.pass_over(1);
        assert!(!is_dead(&remembers, fresh.issue(&alice(), 1_000)));
    }

    #[test]
    fn a_ban_with_an_end_is_over_when_it_has_come() {
        let mut r = Revocations::default();
        r.apply(&entry(1, Revoked::Access { until: Some(500) }, 100));
        let (before, backend) = (Issued { ms: 50, rev: Some(0) }, by_time(200));
        let judged = |r: &Revocations, issued, now| r.judge(&Identity { openid: alice(), issued }, now);
        assert!(r.is_banned(&alice(), 499) && !r.is_banned(&alice(), 500));
        assert_eq!(judged(&r, before, 499), Err(TokenRefused::Banned));
        assert_eq!(
            judged(&r, before, 500),
            Err(TokenRefused::Unauthorized),
            "it died with the ban: log in anew"
        );
        assert_eq!((judged(&r, backend, 499), judged(&r, backend, 500)), (Err(TokenRefused::Banned), Ok(())));
        // The word that it is over ends nothing that came after the end; an older word than a new ban's lifts
        // nothing.
        let back = r.issue(&alice(), 501);
        r.apply(&entry(2, Revoked::Lapsed { until: 500 }, 502));
        assert_eq!(judged(&r, back, 503), Ok(()));
        r.apply(&entry(4, Revoked::Access { until: None }, 600));
        r.apply(&entry(3, Revoked::Lapsed { until: 500 }, 601));
        assert!(r.is_banned(&alice(), NOW));
    }

    #[test]
    fn a_ban_that_is_over_is_forgotten_with_the_tokens_that_it_ended() {
        let mut r = Revocations::default();
        r.apply(&entry(1, Revoked::Access { until: Some(500) }, 100));
        r.forget(200);
        assert!(r.is_banned(&alice(), 499));
        r.forget(501);
        assert!(r.users.is_empty());
    }
}
