//! Users who are traced: written by `hongyan trace`, read by every node once a second.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::config::{self, DatabaseUrl};
use crate::ids::{OpenId, now_ms};
use crate::store::Query;
use crate::store::database::conn::{self, Conn};
use crate::store::database::error::OpenError;
use crate::store::database::statement::{Statement, Writer};
use crate::store::readers::query::unreadable;

/// A user who is traced, and for how much longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedUser {
    pub openid: OpenId,
    pub left: Duration,
}

/// The database's clock on PostgreSQL; a SQLite file has that of its machine.
const POSTGRES_NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    openid: String,
    #[diesel(sql_type = BigInt)]
    left_ms: i64,
}

/// Users who are traced now.
#[derive(Debug)]
pub struct TracedUsers;

impl Query for TracedUsers {
    type Answer = Vec<TracedUser>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Vec<TracedUser>> {
        let rows: Vec<Row> = match conn {
            Conn::Postgres(conn) => Writer::rows(conn, on_postgres())?,
            Conn::Sqlite(conn) => Writer::rows(conn, on_sqlite(now_ms()))?,
        };
        rows.into_iter().map(traced).collect()
    }
}

fn on_postgres() -> Statement<'static> {
    Statement::new(format!(
        "SELECT openid, until - {POSTGRES_NOW} AS left_ms FROM traces WHERE until > {POSTGRES_NOW} ORDER BY until DESC, openid"
    ))
}

fn on_sqlite(now: i64) -> Statement<'static> {
    const TEXT: &str =
        "SELECT openid, until - $1 AS left_ms FROM traces WHERE until > $2 ORDER BY until DESC, openid";
    Statement::new(TEXT).number(now).number(now)
}

fn traced(Row { openid, left_ms }: Row) -> QueryResult<TracedUser> {
    let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
    Ok(TracedUser { openid: OpenId::parse(&openid).map_err(unreadable)?, left })
}

/// What is done to the list of users who are traced.
#[derive(Debug, Clone, Copy)]
pub enum TraceChange<'a> {
    /// Traces a user for so long from now, whatever was asked for before.
    Begin {
        openid: &'a OpenId,
        lasts: Duration,
        at_most: usize,
    },
    End {
        openid: &'a OpenId,
    },
    /// Changes nothing.
    Nothing,
}

/// Changes the list from the command line, beside servers that may be running, and tells who stands there
/// then.
///
/// # Errors
/// [`OpenError`]; each says what to do.
pub fn change(config: &config::Database, change: TraceChange<'_>) -> Result<Vec<TracedUser>, OpenError> {
    let changed = match &config.url {
        DatabaseUrl::Sqlite(path) => {
            conn::is_ours(path)?;
            conn::sqlite_writer(path, config.cache_kib)?.immediate_transaction(|conn| {
                let now = now_ms();
                apply(conn, change, &now.to_string())?;
                Writer::rows::<Row>(conn, on_sqlite(now))
            })
        }
        DatabaseUrl::Postgres(url) => conn::postgres(url, config.prepared_statements)?.transaction(|conn| {
            conn.batch_execute(&format!(
                "SELECT {}; LOCK TABLE traces IN SHARE ROW EXCLUSIVE MODE",
                conn::DURABLE
            ))?;
            apply(conn, change, POSTGRES_NOW)?;
            Writer::rows::<Row>(conn, on_postgres())
        }),
    };
    let rows = changed.map_err(|error| match &change {
        TraceChange::Begin { at_most, .. } if matches!(error, diesel::result::Error::RollbackTransaction) => {
            OpenError::TooManyTraces { at_most: *at_most }
        }
        _ if is_without_table(&error) => OpenError::TablesTooOld,
        _ => OpenError::Write { reason: error.to_string() },
    })?;
    rows.into_iter()
        .map(traced)
        .collect::<QueryResult<_>>()
        .map_err(|e| OpenError::Write { reason: e.to_string() })
}

/// `now` is an expression of the database's.
fn apply(conn: &mut impl Writer, change: TraceChange<'_>, now: &str) -> QueryResult<()> {
    match change {
        TraceChange::Begin { openid, lasts, at_most } => {
            conn.run(Statement::new(format!("DELETE FROM traces WHERE until <= {now}")))?;
            let begin = format!(
                "INSERT INTO traces (openid, until) SELECT $1, {now} + $2 WHERE (SELECT count(*) FROM traces WHERE openid <> $3) < $4 \
                 ON CONFLICT (openid) DO UPDATE SET until = excluded.until"
            );
            let lasts_ms = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX / 4);
            let begin = Statement::new(begin).text(openid.as_str()).number(lasts_ms).text(openid.as_str());
            match conn.run(begin.number(i64::try_from(at_most).unwrap_or(i64::MAX)))? {
                0 => Err(diesel::result::Error::RollbackTransaction),
                _ => Ok(()),
            }
        }
        TraceChange::End { openid } => {
            conn.run(Statement::new("DELETE FROM traces WHERE openid = $1").text(openid.as_str())).map(|_| ())
        }
        TraceChange::Nothing => Ok(()),
    }
}

/// Whether the tables are of a release that had no traces.
pub(in crate::store) fn is_without_table(error: &diesel::result::Error) -> bool {
    let text = error.to_string();
    text.contains("no such table: traces") || text.contains("relation \"traces\" does not exist")
}
