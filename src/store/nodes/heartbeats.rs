//! Heartbeats of nodes in the PostgreSQL that they share.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use crate::config::{self, DatabaseUrl};
use crate::ids::OpenId;
use crate::store::Query;
use crate::store::conversations::sync::{NowRow, OVERLAP_MS, STORE_NOW};
use crate::store::database::conn::{self, Conn};
use crate::store::database::error::OpenError;
use crate::store::database::statement::Statement;
use crate::store::nodes::{Changed, ChangedUsers, LiveNode, RemoveHeartbeat, WriteHeartbeat};
use crate::store::readers::query::unreadable;

/// A node whose heartbeat is older is dead, in milliseconds.
pub const ALIVE_MS: i64 = 20_000;
/// Heartbeats that are older are removed, by whichever node comes next. Until then `hongyan status` shows a
/// node that was killed.
const KEPT_MS: i64 = 24 * 3_600_000;

/// The users as one text: no openid has a comma. The plan must go by the keys, however many are named.
const CHANGED: &str = "SELECT u.openid FROM (SELECT DISTINCT unnest(string_to_array($1, ',')) COLLATE \"C\" AS openid) AS u \
     CROSS JOIN LATERAL (SELECT m.openid FROM members m WHERE m.openid = u.openid AND m.changed_at >= $2 LIMIT 1) m";

/// It need not outlive a crash of the database, so it waits for no disk.
const HEARTBEAT: &str = "WITH clock AS MATERIALIZED (\
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now WHERE set_config('synchronous_commit', 'off', true) = 'off'), \
     mine AS (INSERT INTO nodes (name, version, seen_at, cut_off, status) SELECT $1, $2, now, $3 = 1, $4 FROM clock \
         ON CONFLICT (name) DO UPDATE SET version = excluded.version, seen_at = excluded.seen_at, cut_off = excluded.cut_off, \
             status = excluded.status), \
     old AS (DELETE FROM nodes USING clock WHERE name <> $5 AND seen_at < now - $6) \
     SELECT name, now - seen_at AS age_ms, cut_off FROM nodes, clock WHERE name <> $7 AND seen_at >= now - $8";
const SHOWN: &str = "SELECT name, version, (extract(epoch FROM clock_timestamp()) * 1000)::bigint - seen_at AS age_ms, status \
     FROM nodes ORDER BY name";
const REMOVE: &str = "DELETE FROM nodes WHERE name = $1";

#[derive(QueryableByName)]
struct NodeRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    age_ms: i64,
    #[diesel(sql_type = Bool)]
    cut_off: bool,
}

/// A node as the database shows it.
#[derive(Debug, Clone, QueryableByName)]
pub struct ShownNode {
    /// Its name and its start.
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub version: String,
    /// Milliseconds since its heartbeat, by the database's clock.
    #[diesel(sql_type = BigInt)]
    pub age_ms: i64,
    /// How it stood then, as JSON; empty of a node of the release before.
    #[diesel(sql_type = Text)]
    pub status: String,
}

/// Every node that the database has heard of in the last day and that did not leave in order. None of SQLite,
/// which has one node.
///
/// # Errors
/// [`OpenError`]; each says what to do.
pub fn nodes(config: &config::Database) -> Result<Vec<ShownNode>, OpenError> {
    let DatabaseUrl::Postgres(url) = &config.url else { return Ok(Vec::new()) };
    let mut conn = conn::postgres(url, config.prepared_statements)?;
    Statement::new(SHOWN).load(&mut conn).map_err(|error| match error.to_string() {
        text if text.contains("does not exist") => OpenError::TablesTooOld,
        reason => OpenError::Read { reason },
    })
}

#[derive(QueryableByName)]
struct UserRow {
    #[diesel(sql_type = Text)]
    openid: String,
}

impl Query for ChangedUsers {
    type Answer = Changed;

    fn run(&self, conn: &mut Conn) -> QueryResult<Changed> {
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(Changed { now: 0, users: Vec::new() });
        }
        let now = Statement::new(STORE_NOW).get_result::<NowRow>(conn)?.now;
        let since =
            now.saturating_sub(i64::try_from(self.ago_ms).unwrap_or(i64::MAX)).saturating_sub(OVERLAP_MS);
        let names: Vec<&str> = self.openids.iter().map(OpenId::as_str).collect();
        let names = names.join(",");
        let rows = Statement::new(CHANGED).text(&names).number(since).load::<UserRow>(conn)?;
        let users = rows
            .iter()
            .map(|row| OpenId::parse(&row.openid).map_err(unreadable))
            .collect::<QueryResult<_>>()?;
        Ok(Changed { now, users })
    }
}

impl Query for WriteHeartbeat {
    type Answer = Vec<LiveNode>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Vec<LiveNode>> {
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(Vec::new());
        }
        let heartbeat =
            Statement::new(HEARTBEAT).text(&self.node).text(self.version).number(i64::from(self.cut_off));
        let rows = heartbeat
            .text(&self.status)
            .text(&self.node)
            .number(KEPT_MS)
            .text(&self.node)
            .number(ALIVE_MS)
            .load::<NodeRow>(conn)?;
        let live = |NodeRow { name, age_ms, cut_off }| LiveNode {
            name,
            age_ms: u64::try_from(age_ms).unwrap_or(0),
            cut_off,
        };
        Ok(rows.into_iter().map(live).collect())
    }
}

impl Query for RemoveHeartbeat {
    type Answer = ();

    fn run(&self, conn: &mut Conn) -> QueryResult<()> {
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(());
        }
        Statement::new(REMOVE).text(&self.node).execute(conn).map(|_| ())
    }
}
