//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, DatabaseUrl};

/// Raises the soft limit on open descriptors to the hard one, which needs no right, and gives what holds then; `None`: no limit.
/// Called once, before anything listens: shells and service managers hand out a soft limit of 1024 for the sake of `select`.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        log::warn!(error:% = e; "the limit on open files could not be raised");
    }
    getrlimit(Resource::Nofile).current
}

/// What a process takes that serves nobody yet (47, with the double of WeChat beside it), and room for operators, calls to WeChat and some
/// thirty clients.
const BASE: usize = 128;
/// A worker's own: its poll, what wakes it, and its share of the signals.
const PER_WORKER: usize = 4;
/// SQLite opens the file and its log.
const PER_DATABASE_CONNECTION: usize = 2;

/// Below so many a start is refused.
pub fn needed(config: &Config) -> u64 {
    let connections = match config.database.url {
        DatabaseUrl::Sqlite(_) => config.database.readers + 1,
        DatabaseUrl::Postgres(_) => config.database.readers + config.database.lanes,
    };
    u64::try_from(BASE + PER_WORKER * config.server.workers + PER_DATABASE_CONNECTION * connections).unwrap_or(u64::MAX)
}

/// How many of `limit` descriptors sessions may take: the rest is for the database, the listeners, calls over HTTP and WeChat.
/// A tenth stays free, 64 at the least and 4096 at the most.
pub fn for_sessions(limit: Option<u64>) -> u32 {
    let sessions = limit.map_or(u64::MAX, |n| n.saturating_sub((n / 10).clamp(64, 4096)));
    u32::try_from(sessions).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_leave_room_for_the_store_and_the_health_checks() {
        assert_eq!(for_sessions(Some(1_024)), 922);
        assert_eq!(for_sessions(Some(256)), 192);
        assert_eq!(for_sessions(Some(1_048_576)), 1_044_480);
        assert_eq!(for_sessions(Some(10)), 0);
        assert_eq!(for_sessions(None), u32::MAX);
    }

    #[test]
    fn raising_reaches_the_hard_limit() {
        assert_eq!(raise_limit(), getrlimit(Resource::Nofile).maximum);
    }
}
