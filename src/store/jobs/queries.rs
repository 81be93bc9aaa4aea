//! Time of the next job.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::NextJob;
use super::commands::names;
use crate::store::Query;
use crate::store::database::conn::Conn;
use crate::store::database::statement::Statement;

/// A question, and the store's own time at which it came (PostgreSQL's is asked for there).
pub(in crate::store) struct NextJobAt {
    pub(in crate::store) next: NextJob,
    pub(in crate::store) now: i64,
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Nullable<BigInt>)]
    in_ms: Option<i64>,
}

impl Query for NextJobAt {
    type Answer = Option<u64>;

    /// In how many milliseconds the next one is to be taken; 0: now. What another process had of a SQLite file is to be
    /// taken at once.
    fn run(&self, conn: &mut Conn) -> QueryResult<Option<u64>> {
        let (on_sqlite, NextJob { kinds, node }) = (matches!(conn, Conn::Sqlite(_)), &self.next);
        let (now, taken) = if on_sqlite {
            ("CAST($2 AS BIGINT)", "WHEN node <> $1 THEN 0 ELSE until")
        } else {
            ("(extract(epoch FROM clock_timestamp()) * 1000)::bigint", "ELSE until")
        };
        let next = Statement::new(format!(
            "SELECT min(CASE WHEN node IS NULL THEN due_at {taken} END) - {now} AS in_ms FROM jobs WHERE kind IN ({})",
            names(kinds)
        ));
        let next = if on_sqlite { next.text(node).number(self.now) } else { next };
        let in_ms = next.get_result::<Next>(conn)?.in_ms;
        Ok(in_ms.map(|ms| u64::try_from(ms).unwrap_or(0)))
    }
}
