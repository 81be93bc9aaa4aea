//! File descriptors of the process: their limit, and how they are shared out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, DatabaseUrl};

/// Connections of the operators' port that are served at once.
pub const OPS_CONNECTIONS: u32 = 16;
/// Connections of the server API's own port, accepted or served.
pub const ADMIN_CONNECTIONS: u32 = 64;

/// Descriptors of a process that serves nobody yet: standard streams, listeners, the runtime of each fixed
/// thread, NATS, the log.
const BASE: u64 = 56;
/// Descriptors of a worker's runtime.
const PER_WORKER: u64 = 4;
/// Descriptors of a database connection: SQLite opens the file and its write-ahead log.
const PER_DATABASE_CONNECTION: u64 = 2;
/// HTTP clients that ask WeChat: logins, checks of contents, notices.
const WECHAT_CLIENTS: u64 = 3;
/// Least and greatest bound on the connections of one of them.
const WECHAT_CONNECTIONS: (u64, u64) = (4, 1_024);
/// Least share of the public port: some thirty clients.
const PUBLIC_AT_LEAST: u64 = 44;
/// Maximum connections of the public port that are accepted and hold no session, where the settings name no
/// number.
const ACCEPTED: u64 = 4_096;

/// Raises the soft limit on open descriptors to the hard one, which needs no right, and gives what holds
/// then; `None`: no limit. Called once, before anything listens: shells and service managers hand out a soft
/// limit of 1024 for the sake of `select`.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        log::warn!(error:% = e; "the limit on open files could not be raised");
    }
    getrlimit(Resource::Nofile).current
}

/// The least limit that a start is possible with.
pub fn needed(config: &Config) -> u64 {
    least(config) + inherited()
}

fn least(config: &Config) -> u64 {
    reserve(config) + WECHAT_CLIENTS * WECHAT_CONNECTIONS.0 + PUBLIC_AT_LEAST
}

/// Descriptors that neither the public port nor WeChat may have.
fn reserve(config: &Config) -> u64 {
    let connections = match config.database.url {
        DatabaseUrl::Sqlite(_) => config.database.readers + 1,
        DatabaseUrl::Postgres(_) => config.database.readers + config.database.lanes,
    };
    let admin = if config.admin.port().is_some() { PER_WORKER + u64::from(ADMIN_CONNECTIONS) } else { 0 };
    let ports = u64::from(OPS_CONNECTIONS) + admin;
    BASE + PER_WORKER * config.server.workers as u64 + PER_DATABASE_CONNECTION * connections as u64 + ports
}

/// Descriptors that were open before the program began, besides the standard streams: whoever started it left
/// them, and nobody uses them. They lack the flag that closes at an exec (proc(5), fdinfo), which all that is
/// opened here has.
pub fn inherited() -> u64 {
    const CLOSES_AT_EXEC: u32 = 0o2_000_000;
    let Ok(open) = std::fs::read_dir("/proc/self/fdinfo") else { return 0 };
    let stays_open = |entry: std::fs::DirEntry| {
        let is_stream = entry.file_name().to_str()?.parse::<u32>().ok()? <= 2;
        let info = std::fs::read_to_string(entry.path()).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
        let flags = u32::from_str_radix(flags, 8).ok()?;
        Some(!is_stream && flags & CLOSES_AT_EXEC == 0)
    };
    open.flatten().filter_map(stays_open).filter(|stays_open| *stays_open).count() as u64
}

/// Shares of the descriptors. They add up to no more than the limit, less what the database and the
/// operators' port need: so these have theirs whatever the public port and WeChat hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Maximum sessions.
    pub sessions: u32,
    /// Maximum connections of the public port without a session that are served at once.
    pub connections: u32,
    /// The same with those accepted and not looked at yet.
    pub accepted: u32,
    /// Maximum connections of each HTTP client that asks WeChat.
    pub to_wechat: usize,
}

impl Budget {
    /// `limit` is what [`raise_limit`] gave, less what is [`inherited`].
    pub fn new(limit: Option<u64>, config: &Config) -> Self {
        let free = limit.map_or(u64::MAX, |n| n.saturating_sub(reserve(config)));
        let to_wechat = (free / 32).clamp(WECHAT_CONNECTIONS.0, WECHAT_CONNECTIONS.1);
        let public = free.saturating_sub(WECHAT_CLIENTS * to_wechat);
        // A quarter of the accepted ones may wait to be looked at.
        let accepted = match u64::from(config.limits.connections) {
            0 => (public / 4).min(64 + public / 8).min(ACCEPTED),
            wanted => (wanted * 4).div_ceil(3).min(public / 4 * 3),
        };
        Self {
            sessions: u32::try_from(public - accepted).unwrap_or(u32::MAX),
            connections: (accepted * 3 / 4) as u32,
            accepted: accepted as u32,
            to_wechat: to_wechat as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(limit: Option<u64>) -> Budget {
        Budget::new(limit, &config())
    }

    fn config() -> Config {
        let mut config = Config::default();
        (config.server.workers, config.database.readers) = (2, 7);
        config
    }

    #[test]
    fn the_shares_leave_room_for_the_store_and_the_operators() {
        for limit in [0, 10, 128, 256, 1_024, 20_000, 262_144, u64::MAX] {
            let Budget { sessions, accepted, connections, to_wechat } = of(Some(limit));
            let public = u64::from(sessions) + u64::from(accepted);
            let given = public + 3 * to_wechat as u64;
            assert!(public == 0 || given + 56 + 8 + 16 + 16 <= limit, "{limit}: {given}");
            assert!(connections <= accepted, "{limit}");
        }
        assert_eq!(of(Some(256)), Budget { sessions: 109, connections: 27, accepted: 36, to_wechat: 5 });
        assert_eq!(of(Some(1_024)), Budget { sessions: 672, connections: 126, accepted: 169, to_wechat: 29 });
        assert_eq!(
            of(Some(262_144)),
            Budget { sessions: 254_880, connections: 3_072, accepted: 4_096, to_wechat: 1_024 }
        );
        assert_eq!(of(None).sessions, u32::MAX);
    }

    #[test]
    fn with_as_many_as_are_needed_everything_has_a_few() {
        let needed = least(&config());
        assert_eq!(needed, 128 + 8 + 16);
        let Budget { sessions, connections, to_wechat, .. } = of(Some(needed));
        assert!(sessions >= 30 && connections >= 8 && to_wechat >= 4, "{sessions} {connections} {to_wechat}");
    }

    #[test]
    fn a_number_of_connections_that_the_settings_name_is_taken_from_the_sessions() {
        let of = |wanted, limit| {
            let mut config = config();
            config.limits.connections = wanted;
            Budget::new(Some(limit), &config)
        };
        let (wanted, default) = (of(10_000, 20_000), of(0, 20_000));
        assert_eq!((wanted.connections, wanted.accepted), (10_000, 13_334));
        assert_eq!(wanted.sessions + wanted.accepted, default.sessions + default.accepted);
        assert!(of(1_000_000, 20_000).sessions > 4_000, "sessions keep a quarter");
        assert_eq!(of(8, 256).connections, 8);
    }

    #[test]
    fn raising_reaches_the_hard_limit() {
        assert_eq!(raise_limit(), getrlimit(Resource::Nofile).maximum);
    }
}
