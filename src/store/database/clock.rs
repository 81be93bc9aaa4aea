//! The store's own time, by which a sync tells what changed: Unix milliseconds that never go back, whatever
//! is done to the clock, over a restart neither. The table `store_clock` has how far it has come.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::clock::Stopwatch;
use crate::config::{Database, DatabaseUrl};
use crate::ids::now_ms;
use crate::store::database::conn::{self, Conn};
use crate::store::database::error::OpenError;
use crate::store::database::statement::Statement;

/// How far the time may run ahead of what stands in the table, in milliseconds. Less than what a sync goes
/// back before its cursor; the same number stands in `hongyan_commit`.
pub(in crate::store) const AHEAD_MS: i64 = 5_000;

#[derive(QueryableByName)]
struct Reached {
    #[diesel(sql_type = BigInt)]
    reached: i64,
}

const REACHED: &str = "SELECT reached FROM store_clock";

/// How far the time had come at the start. PostgreSQL looks for itself.
///
/// # Errors
/// [`OpenError`].
pub(in crate::store) fn reached_at_start(database: &Database) -> Result<i64, OpenError> {
    let DatabaseUrl::Sqlite(path) = &database.url else { return Ok(0) };
    let mut conn = conn::sqlite_reader(path, database.cache_kib)?;
    let row = diesel::sql_query(REACHED).get_result::<Reached>(&mut conn);
    row.map(|row| row.reached).map_err(|e| OpenError::Sqlite { path: path.clone(), reason: e.to_string() })
}

/// Notes on SQLite that the time has come so far.
pub(in crate::store) fn reach(conn: &mut SqliteConnection, at: i64) -> QueryResult<()> {
    diesel::sql_query("UPDATE store_clock SET reached = max(reached, ?)")
        .bind::<BigInt, _>(at)
        .execute(conn)
        .map(|_| ())
}

/// The time up to which a sync may say that it knows all changes, where the clock shows `now`. What comes
/// later than this will have noted in the table that the time has come so far; so a clock that is set back
/// cannot date it before.
pub(in crate::store) fn known_up_to(conn: &mut Conn, now: i64) -> QueryResult<i64> {
    let reached = Statement::new(REACHED).get_result::<Reached>(conn)?.reached;
    Ok(now.clamp(reached, reached.saturating_add(AHEAD_MS)))
}

/// Starts at the system's clock and goes on by one that is never set.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Clock {
    base: i64,
    since: Stopwatch,
}

impl Clock {
    /// `last` is the latest time that is known to have been given out.
    pub(in crate::store) fn after(last: i64) -> Self {
        Self { base: now_ms().max(last), since: Stopwatch::start() }
    }

    pub(in crate::store) fn now(&self) -> i64 {
        self.base.saturating_add(i64::try_from(self.since.elapsed_ms()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_not_followed() {
        let tomorrow = now_ms() + 86_400_000;
        let clock = Clock::after(tomorrow);
        assert!(clock.now() >= tomorrow);
        assert!(Clock::after(0).now() < tomorrow);
    }
}
