//! Commands of jobs: each changes their rows with the batch it is in.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{ClaimJobs, ClaimedJob, EnqueueJob, JOBS_OF_A_KIND, JobEnd, ReleaseJobs, RenewJobs, SettleJob};
use crate::event::Refusal;
use crate::store::database::statement::{Statement, Writer};
use crate::store::lanes::command::{Command, Db, Locks, Order, Times};

/// Which are to be taken, by the time and the node. A SQLite file has one process: what another one had, it has no
/// more.
pub(super) fn is_due(on_sqlite: bool) -> &'static str {
    if on_sqlite {
        "((node IS NULL AND due_at <= $3) OR until <= $4 OR node <> $5)"
    } else {
        "((node IS NULL AND due_at <= $3) OR until <= $4)"
    }
}

/// The names are constants of the program.
pub(super) fn names(kinds: &[&'static str]) -> String {
    format!("'{}'", kinds.join("','"))
}

/// Order and lock of the commands of jobs: one node at a time changes the rows, in the order asked for.
macro_rules! one_at_a_time {
    () => {
        fn order(&self) -> Order {
            Order::Own("jobs".to_owned())
        }

        fn locks(&self, locks: &mut Locks) {
            locks.all("jobs");
        }
    };
}

fn ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX / 4)
}

impl Command for EnqueueJob {
    type Reply = bool;

    one_at_a_time!();

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<bool, Refusal>> {
        const ENQUEUE: &str = "INSERT INTO jobs (kind, key, payload, created_at, due_at) \
             SELECT x.kind, x.key, x.payload, x.now, x.now FROM (SELECT CAST($1 AS TEXT) AS kind, CAST($2 AS TEXT) AS key, \
             CAST($3 AS TEXT) AS payload, CAST($4 AS BIGINT) AS now) x \
             WHERE (SELECT count(*) FROM jobs j WHERE j.kind = x.kind) < $5 \
             OR EXISTS (SELECT 1 FROM jobs j WHERE j.kind = x.kind AND j.key = x.key) \
             ON CONFLICT (kind, key) DO UPDATE SET \
             due_at = CASE WHEN jobs.due_at > excluded.due_at THEN excluded.due_at ELSE jobs.due_at END";
        let enqueue = Statement::new(ENQUEUE).text(self.kind).text(&self.key).text(&self.payload);
        Ok(Ok(db.run(enqueue.number(times.database).number(JOBS_OF_A_KIND))? > 0))
    }
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    payload: String,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = BigInt)]
    tries: i64,
    #[diesel(sql_type = BigInt)]
    is_resumed: i64,
}

impl Command for ClaimJobs {
    type Reply = Vec<ClaimedJob>;

    one_at_a_time!();

    /// The second time it would take others.
    fn is_idempotent(&self) -> bool {
        false
    }

    /// What it has taken would otherwise wait until its lease ends.
    fn outlasts_deadline(&self) -> bool {
        true
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<Vec<ClaimedJob>, Refusal>> {
        let (on_sqlite, now) = (matches!(db, Db::Sqlite(_)), times.database);
        let claim = Statement::new(format!(
            "UPDATE jobs SET node = $1, until = $2, is_resumed = CASE WHEN node IS NULL THEN 0 ELSE 1 END, tries = tries + 1 \
             WHERE id IN (SELECT id FROM jobs WHERE kind IN ({}) AND {} ORDER BY due_at, id LIMIT $6) \
             RETURNING id, kind, key, payload, created_at, tries, is_resumed",
            names(&self.kinds),
            is_due(on_sqlite)
        ));
        let claim = claim.text(&self.node).number(now.saturating_add(self.lease_ms)).number(now).number(now);
        let claim = if on_sqlite { claim.text(&self.node) } else { claim };
        let rows = db.rows::<ClaimedRow>(claim.number(i64::try_from(self.limit).unwrap_or(i64::MAX)))?;
        let claimed = |row: ClaimedRow| ClaimedJob {
            id: row.id,
            kind: row.kind,
            key: row.key,
            payload: row.payload,
            tries: u32::try_from(row.tries).unwrap_or(u32::MAX),
            age_ms: u64::try_from(now - row.created_at).unwrap_or(0),
            is_resumed: row.is_resumed != 0,
        };
        Ok(Ok(rows.into_iter().map(claimed).collect()))
    }
}

impl Command for RenewJobs {
    type Reply = ();

    one_at_a_time!();

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<(), Refusal>> {
        let until = times.database.saturating_add(self.lease_ms);
        for id in &self.ids {
            let renew = Statement::new("UPDATE jobs SET until = $1 WHERE id = $2 AND node = $3");
            db.run(renew.number(until).number(*id).text(&self.node))?;
        }
        Ok(Ok(()))
    }
}

impl Command for SettleJob {
    type Reply = ();

    one_at_a_time!();

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<(), Refusal>> {
        const SET_DUE_AGAIN: &str =
            "UPDATE jobs SET node = NULL, until = NULL, due_at = $1, tries = 0 WHERE id = $2 AND node = $3";
        const SET_FAILED: &str =
            "UPDATE jobs SET node = NULL, until = NULL, due_at = $1 WHERE id = $2 AND node = $3";
        let due = |after_ms| times.database.saturating_add(ms(after_ms));
        let settle = match self.end {
            JobEnd::Gone => Statement::new("DELETE FROM jobs WHERE id = $1 AND node = $2"),
            JobEnd::Again { after_ms } => Statement::new(SET_DUE_AGAIN).number(due(after_ms)),
            JobEnd::Failed { after_ms } => Statement::new(SET_FAILED).number(due(after_ms)),
        };
        db.run(settle.number(self.id).text(&self.node)).map(|_| Ok(()))
    }
}

impl Command for ReleaseJobs {
    type Reply = ();

    one_at_a_time!();

    fn apply(&self, db: &mut Db<'_>, _: Times) -> QueryResult<Result<(), Refusal>> {
        // Nobody's, and not free: who takes one knows that it may have been done.
        let release = "UPDATE jobs SET node = '', until = 0 WHERE node = $1";
        db.run(Statement::new(release).text(&self.node)).map(|_| Ok(()))
    }
}
