//! Indexes that come after their table has grown. To build one takes minutes and more, so no migration does: on
//! PostgreSQL a job builds each beside running servers, which serve without it meanwhile; on SQLite, where a build
//! would hold the one write lock, a start does before it serves.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::conn;
use super::error::OpenError;
use super::statement::Statement;
use crate::config::{Database, DatabaseUrl};

/// An index on a large table. No query may need it to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateIndex {
    pub name: &'static str,
    /// Table, columns and condition: what stands behind `ON`, for both databases.
    pub on: &'static str,
}

/// All of this release, in the order in which they came.
pub const LATE_INDEXES: &[LateIndex] = &[];

#[derive(QueryableByName)]
struct Standing {
    #[diesel(sql_type = Bool)]
    is_valid: bool,
    #[diesel(sql_type = Bool)]
    is_being_built: bool,
}

/// A build that was killed leaves an invalid one. A process that died may have left a connection that builds still.
const STANDING: &str = "SELECT i.indisvalid AS is_valid, \
     EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) AS is_being_built \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
     WHERE c.relname = $1 AND c.relnamespace = current_schema()::regnamespace";

/// A time-out that is set there goes astray, and the role's own ends every build.
const THROUGH_A_POOLER: &str =
    "no build may take as long through a pooler: run hongyan migrate with a database.url that leads past it";

fn unbuilt(index: &LateIndex, reason: impl ToString) -> OpenError {
    OpenError::Index { name: index.name, reason: reason.to_string() }
}

/// Builds an index on PostgreSQL where it is not there whole, on a connection of its own and for as long as it takes.
/// Blocking.
///
/// # Errors
/// [`OpenError`]: it is not there, or somebody else builds it.
pub(in crate::store) fn build_on_postgres(config: &Database, index: &LateIndex) -> Result<(), OpenError> {
    let DatabaseUrl::Postgres(url) = &config.url else { return Ok(()) };
    let LateIndex { name, on } = index;
    let mut conn = conn::postgres(url, config.prepared_statements)?;
    let standing = Statement::new(STANDING).text(name).get_result::<Standing>(&mut conn).optional();
    match standing.map_err(|e| unbuilt(index, e))? {
        Some(Standing { is_valid: true, .. }) => return Ok(()),
        Some(Standing { is_being_built: true, .. }) => {
            return Err(unbuilt(index, "another connection builds it"));
        }
        Some(_) | None => {}
    }
    if !config.prepared_statements {
        return Err(unbuilt(index, THROUGH_A_POOLER));
    }
    let mut run = |sql: &str| conn.batch_execute(sql).map_err(|e| unbuilt(index, e));
    run("SET statement_timeout = 0")?;
    run("SET lock_timeout = 0")?;
    run(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"))?;
    log::info!(index = *name; "builds an index beside everything else; this may take long");
    run(&format!("CREATE INDEX CONCURRENTLY {name} ON {on}"))?;
    log::info!(index = *name; "the index is built");
    Ok(())
}

/// Builds on SQLite what is not there; an index stands there whole or not at all.
pub(in crate::store) fn build_on_sqlite(
    conn: &mut SqliteConnection,
    indexes: &[LateIndex],
) -> Result<(), OpenError> {
    for index @ LateIndex { name, on } in indexes {
        let build = format!("CREATE INDEX IF NOT EXISTS {name} ON {on}");
        conn.batch_execute(&build).map_err(|e| unbuilt(index, e))?;
    }
    Ok(())
}

/// Builds all that are not there, on either database. Blocking, for as long as it takes.
pub(in crate::store) fn build_all(config: &Database) -> Result<(), OpenError> {
    LATE_INDEXES.iter().try_for_each(|index| build_on_postgres(config, index))
}
