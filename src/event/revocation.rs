//! Revocations, which end tokens and sessions: plain values of the log that every node follows.

use crate::ids::OpenId;

/// What a revocation takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// One token, named by its issue time in Unix milliseconds, and its sessions.
    Token { issued_ms: i64 },
    /// Every token issued until then, and all sessions.
    AllTokens,
    /// The live sessions only; the user may come back.
    Sessions,
    /// Every token and session, and the right to log in: until a time in Unix milliseconds by the database's
    /// clock, or for good.
    Access { until: Option<i64> },
    /// Gives the right to log in back; tokens from before stay dead.
    Nothing,
    /// Nothing: a ban until then is over. Nodes that know of ends need no word of it.
    Lapsed { until: i64 },
}

/// One entry of the revocation log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Place in the log. Of one user's entries it rises in the order of their commits; of all it may not,
    /// because transactions overlap.
    pub id: i64,
    pub openid: OpenId,
    pub what: Revoked,
    /// When it was written, Unix milliseconds by the database's clock.
    pub at: i64,
}

/// When somebody logged in, in the terms of the revocation log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issued {
    /// Issue time of the token, or of the login where a code was used, Unix milliseconds.
    pub ms: i64,
    /// Id of the user's last revocation that the issuing node had read; `None` where no node issued it.
    pub rev: Option<i64>,
}

/// A login so much older than an entry was before it, whatever the ids say: they begin again where a backup
/// that was restored ends.
const SURELY_BEFORE_MS: i64 = 600_000;

impl Issued {
    /// Without a place in the log, by its time alone: what the command line or an operator's backend signs.
    pub fn by_time(ms: i64) -> Self {
        Self { ms, rev: None }
    }

    /// Whether the login was before the log's entry `id`, written at `at`. Where a node issued it the log's
    /// own order decides: it had read all that was committed before, so an entry that it did not know was
    /// committed after, whatever any clock says.
    pub fn is_before(self, id: i64, at: i64) -> bool {
        match self.rev {
            Some(rev) => rev < id || self.ms <= at.saturating_sub(SURELY_BEFORE_MS),
            None => self.ms <= at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_knew_of_an_entry_was_after_it_whatever_the_clocks_say() {
        let knows_5 = Issued { ms: 1_000_000, rev: Some(5) };
        assert!(
            !knows_5.is_before(5, 1_000_000)
                && !knows_5.is_before(5, 1_300_000)
                && !knows_5.is_before(4, 1_300_000)
        );
        assert!(knows_5.is_before(6, 1_000_000) && knows_5.is_before(6, 0));
        assert!(knows_5.is_before(3, 1_600_000), "a restored log gives ids again");
    }

    #[test]
    fn without_a_place_in_the_log_the_time_decides() {
        assert!(Issued::by_time(7).is_before(1, 7) && !Issued::by_time(8).is_before(9, 7));
    }
}
