//! Upkeep of the database from time to time: old findings are taken out, its size and its last backup are
//! looked at.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::event::Refusal;
use crate::event::revocation::Revoked;
use crate::metrics::Metrics;
use crate::store::Query;
use crate::store::Store;
use crate::store::database::conn::Conn;
use crate::store::moderation::{Prune, PrunedLog};
use crate::store::postgres::functions::NameFunctions;
use crate::store::revocations::{EndedBans, Revoke};

/// PostgreSQL asks the file system about every file of the database for its size.
const LOOK_INTERVAL: Duration = Duration::from_secs(300);

/// How often bans whose end has come are looked for. Nodes go by the time itself; this is for those of the
/// release before, and for the list.
const LAPSE_EVERY: Duration = Duration::from_secs(2);
/// How often a node notes which functions of PostgreSQL it calls: well within the day that they are kept for.
const NAME_INTERVAL: Duration = Duration::from_secs(3_600);
/// Ended bans that are noted in one go.
const LAPSED_AT_ONCE: usize = 100;

/// Rows taken out in one write: few, for the messages of its batch wait for them.
const ROWS: i64 = 500;

/// Tells the metrics every five minutes how large the database is and when it was last backed up, from the
/// start on.
pub async fn observe(store: Store, metrics: Metrics) {
    loop {
        if let Ok(bytes) = store.ask(DatabaseBytes).await {
            metrics.database_bytes.set(bytes);
        }
        if let Ok(at) = store.ask(LastBackup).await {
            metrics.last_backup_timestamp_seconds.set(at / 1_000);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Takes out of a log what is from before a time, a little at a time.
///
/// # Errors
/// The store takes no more now.
pub async fn prune(store: &Store, log: PrunedLog, before: i64) -> Result<(), Refusal> {
    while store.ask(HasEntriesBefore { log, before }).await.map_err(|_| Refusal::Unavailable)? {
        store.execute_background(Prune { log, before, rows: ROWS }).await?;
    }
    Ok(())
}

/// Notes in the log of revocations which bans are over, for as long as the process lives.
pub async fn lapse_bans(store: Store) {
    loop {
        tokio::time::sleep(LAPSE_EVERY).await;
        let Ok(ended) = store.ask(EndedBans { limit: LAPSED_AT_ONCE }).await else { continue };
        for ban in ended {
            let Some(until) = ban.until else { continue };
            let revoke = Revoke { openid: ban.openid, what: Revoked::Lapsed { until }, decision: None };
            if store.submit_background(revoke).is_err() {
                break;
            }
        }
    }
}

/// Notes every hour which functions of PostgreSQL this node calls, so that no other drops them. The start has
/// noted it, too.
pub async fn name_functions(store: Store) {
    loop {
        tokio::time::sleep(NAME_INTERVAL).await;
        if store.ask(NameFunctions).await.is_err() {
            log::debug!("the functions of this node could not be named");
        }
    }
}

/// Bytes of the database on its disk: of SQLite its file and the log beside it, of PostgreSQL what it says
/// itself.
#[derive(Debug)]
pub(in crate::store) struct DatabaseBytes;

/// Unix milliseconds of the last backup that was recorded; 0: none was.
#[derive(Debug)]
struct LastBackup;

/// Whether there is something in a log from before a time that may be taken out.
#[derive(Debug)]
pub(in crate::store) struct HasEntriesBefore {
    pub(in crate::store) log: PrunedLog,
    pub(in crate::store) before: i64,
}

#[derive(QueryableByName)]
struct File {
    #[diesel(sql_type = Text)]
    file: String,
}

#[derive(QueryableByName)]
struct At {
    #[diesel(sql_type = BigInt)]
    at: i64,
}

#[derive(QueryableByName)]
struct Bytes {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

impl Query for DatabaseBytes {
    type Answer = i64;

    fn run(&self, conn: &mut Conn) -> QueryResult<i64> {
        if matches!(conn, Conn::Postgres(_)) {
            return Ok(diesel::sql_query("SELECT pg_database_size(current_database()) AS bytes")
                .get_result::<Bytes>(conn)?
                .bytes);
        }
        let File { file } = diesel::sql_query("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .get_result(conn)?;
        // The log comes and goes.
        let bytes = |path: &str| std::fs::metadata(path).map_or(0, |about| about.len());
        Ok(i64::try_from(bytes(&file) + bytes(&format!("{file}-wal"))).unwrap_or(i64::MAX))
    }
}

impl Query for LastBackup {
    type Answer = i64;

    fn run(&self, conn: &mut Conn) -> QueryResult<i64> {
        Ok(diesel::sql_query("SELECT at FROM last_backup").get_result::<At>(conn)?.at)
    }
}

impl Query for HasEntriesBefore {
    type Answer = bool;

    fn run(&self, conn: &mut Conn) -> QueryResult<bool> {
        super::moderation::has_before(conn, self.log, self.before)
    }
}
