//! The log of revocations, which every node follows, and the bans in it.

use crate::event::revocation::{Revocation, Revoked};
use crate::ids::OpenId;

mod bans;
pub(in crate::store) mod log;

pub use bans::{Ban, BanInForce, BanPage, Bans, EndedBans};
pub(in crate::store) use bans::{BanRow, ban_in_force, ban_of, now};

/// Adds one revocation to the log that every node follows. Calls ask for it, never a session: there is no
/// event for one done.
#[derive(Debug)]
pub struct Revoke {
    pub openid: OpenId,
    pub what: Revoked,
    /// Of an operator's decision, why and by whom.
    pub decision: Option<Box<BanDecision>>,
}

/// A question to the log of revocations.
#[derive(Debug)]
pub enum LogQuestion {
    /// What still matters: every decision on the right to log in ([`Revoked::Access`], [`Revoked::Nothing`],
    /// [`Revoked::Lapsed`]) ever made, what was written in the last `lifetime_ms` milliseconds, and the
    /// entries of the `newest_ids` highest ids.
    InForce { lifetime_ms: i64, newest_ids: i64 },
    /// The entries above `id`, and those of `missing` that have come.
    After { id: i64, missing: Vec<i64> },
}

/// Entries of the log of revocations, by id.
#[derive(Debug)]
pub struct LogPage {
    /// The database's clock, Unix milliseconds, before the entries were read.
    pub now: i64,
    /// The highest id that was committed then; 0 where there is none.
    pub newest: i64,
    pub entries: Vec<Revocation>,
    /// Whether more follow above the last one.
    pub has_more: bool,
}

/// Why a user was banned or let in again, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanDecision {
    pub reason: Option<String>,
    pub by: String,
}
