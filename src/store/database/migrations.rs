//! Brings the tables up to date: one migration a transaction, in the order of their names.
//!
//! What follows the base is *expand* or *contract*. A step that only adds what older binaries can do without
//! is an expand step, and its folder's name ends in `_expand`: an older binary starts though it does not know
//! it. A step that takes something away comes with a release whose predecessor needs it no longer, and a
//! binary that does not know such a step refuses to start.

use std::fmt::Display;
use std::time::{Duration, Instant};

use diesel::backend::Backend;
use diesel::connection::{BoxableConnection, LoadConnection, SimpleConnection};
use diesel::migration::{Migration, MigrationConnection, MigrationSource};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::config::{Database, DatabaseUrl};
use crate::store::database::conn::{self, DURABLE, Setting, setting};
use crate::store::database::error::OpenError;
use crate::store::database::generation;
use crate::store::database::indexes::{LATE_INDEXES, build_on_sqlite};
use crate::store::database::sqlite_file;
use crate::store::postgres::functions;
use crate::store::sqlite;

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgresql");

/// How the name of a step ends that older binaries run beside. The table of applied steps has it, too.
const EXPAND: &str = "_expand";

/// Key of the advisory lock under which one node at a time migrates: "hongyan" in ASCII.
pub(in crate::store) const MIGRATION_LOCK: i64 = 0x0068_6f6e_6779_616e;

/// Time between two lines about work that takes long.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// A migration under the name that the table of applied steps has for it.
struct Step<DB: Backend> {
    version: String,
    migration: Box<dyn Migration<DB>>,
}

impl<DB: Backend> Step<DB> {
    fn all(source: &impl MigrationSource<DB>) -> Result<Vec<Self>, OpenError> {
        let mut steps: Vec<Self> = source.migrations().map_err(failed)?.into_iter().map(Self::of).collect();
        steps.sort_by(|a, b| a.version.cmp(&b.version));
        Ok(steps)
    }

    fn of(migration: Box<dyn Migration<DB>>) -> Self {
        let name = migration.name();
        let kind = if name.to_string().ends_with(EXPAND) { EXPAND } else { "" };
        Self { version: format!("{}{kind}", name.version()), migration }
    }
}

/// Looks whether a database with these applied steps can be used, and returns the first that it lacks.
fn missing<'a, DB: Backend>(
    steps: &'a [Step<DB>],
    applied: &[String],
) -> Result<Option<&'a Step<DB>>, OpenError> {
    let is_known = |version: &str| steps.iter().any(|step| step.version == version);
    let unknown = applied.iter().find(|version| !is_known(version) && !version.ends_with(EXPAND));
    match (unknown, steps.first()) {
        (Some(version), Some(base)) if *version < base.version => {
            Err(OpenError::Unreleased { version: version.clone() })
        }
        (Some(version), _) => Err(OpenError::Newer { version: version.clone() }),
        (None, _) => Ok(steps.iter().find(|step| !applied.contains(&step.version))),
    }
}

fn failed(error: impl Display) -> OpenError {
    OpenError::Migrate { reason: error.to_string() }
}

/// Versions of the applied steps; `has_table` asks for the name of their table, which an empty database has
/// not.
fn applied<C>(conn: &mut C, has_table: &str) -> Result<Vec<String>, OpenError>
where
    C: LoadConnection,
    diesel::query_builder::SqlQuery: diesel::query_builder::QueryFragment<C::Backend>,
    for<'a> diesel::query_builder::SqlQuery: diesel::query_dsl::LoadQuery<'a, C, Setting>,
{
    if setting(conn, has_table)? == "0" {
        return Ok(Vec::new());
    }
    let versions =
        diesel::sql_query("SELECT version AS value FROM __diesel_schema_migrations ORDER BY version");
    Ok(versions.load::<Setting>(conn)?.into_iter().map(|row| row.value).collect())
}

const SQLITE_HAS_TABLE: &str =
    "SELECT CAST(count(*) AS TEXT) AS value FROM sqlite_schema WHERE name = '__diesel_schema_migrations'";
const POSTGRES_HAS_TABLE: &str =
    "SELECT (to_regclass('__diesel_schema_migrations') IS NOT NULL)::int::text AS value";

/// Applies a step, in the transaction that the connection is in.
fn apply<C>(conn: &mut C, step: &Step<C::Backend>) -> Result<(), OpenError>
where
    C: MigrationConnection + BoxableConnection<<C as Connection>::Backend> + 'static,
{
    conn.setup()?;
    step.migration.run(conn).map_err(failed)?;
    conn.batch_execute(&format!(
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('{}')",
        step.version
    ))?;
    log::info!(migration = step.migration.name().to_string().as_str(); "brought the tables a step further");
    Ok(())
}

/// Brings the tables of a database up to date. Several nodes may do so at once.
pub(in crate::store) fn migrate(database: &Database) -> Result<(), OpenError> {
    match &database.url {
        DatabaseUrl::Sqlite(_) => {
            migrate_sqlite(database, &SQLITE_MIGRATIONS)?;
            make_up_keys(database)
        }
        DatabaseUrl::Postgres(_) => migrate_postgres(database, &POSTGRES_MIGRATIONS),
    }
}

pub(in crate::store) fn migrate_sqlite(
    database: &Database,
    source: &impl MigrationSource<Sqlite>,
) -> Result<(), OpenError> {
    let DatabaseUrl::Sqlite(path) = &database.url else { return Ok(()) };
    let steps = Step::all(source)?;
    sqlite_file::make(path)?;
    let mut conn = conn::sqlite_writer(path, database.cache_kib)?;
    let next = |conn: &mut SqliteConnection| -> Result<bool, OpenError> {
        let applied = applied(conn, SQLITE_HAS_TABLE)?;
        if let Some(step) = missing(&steps, &applied)? {
            apply(conn, step)?;
            return Ok(true);
        }
        generation::make_on_sqlite(conn)?;
        conn.batch_execute(sqlite_file::PROBE)?;
        Ok(false)
    };
    while conn.immediate_transaction(next)? {}
    build_on_sqlite(&mut conn, LATE_INDEXES)
}

/// Takes long only for a database that had no keys, or that a tool has filled.
fn make_up_keys(database: &Database) -> Result<(), OpenError> {
    let DatabaseUrl::Sqlite(path) = &database.url else { return Ok(()) };
    let mut conn = conn::sqlite_writer(path, database.cache_kib)?;
    let mut said = Instant::now();
    while conn.immediate_transaction(sqlite::make_up_keys)? {
        if said.elapsed() > PROGRESS_INTERVAL {
            said = Instant::now();
            log::info!("still writing keys of messages that the database lacks");
        }
    }
    Ok(())
}

pub(in crate::store) fn migrate_postgres(
    database: &Database,
    source: &impl MigrationSource<Pg>,
) -> Result<(), OpenError> {
    let DatabaseUrl::Postgres(url) = &database.url else { return Ok(()) };
    let steps = Step::all(source)?;
    let mut conn = conn::postgres(url, database.prepared_statements)?;
    let next = |conn: &mut PgConnection| -> Result<bool, OpenError> {
        // Whoever is second waits for the first as long as that takes.
        conn.batch_execute(&format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT {DURABLE}"
        ))?;
        lock(conn)?;
        let applied = applied(conn, POSTGRES_HAS_TABLE)?;
        if let Some(step) = missing(&steps, &applied)? {
            check_may_create(conn, &format!("migration {}", step.migration.name()))?;
            apply(conn, step)?;
            return Ok(true);
        }
        functions::make(conn)?;
        functions::drop_unused(conn)?;
        Ok(false)
    };
    while conn.transaction(next)? {}
    Ok(())
}

/// Takes the lock of migrations until the transaction ends: a lock of the session would go astray behind a
/// pooler.
pub(in crate::store) fn lock(conn: &mut PgConnection) -> Result<(), OpenError> {
    let tried = format!("SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK})::text AS value");
    if setting(conn, &tried)? != "true" {
        log::info!("another node brings the tables up to date; waiting for it");
        conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))?;
    }
    Ok(())
}

/// Looks whether the role that PostgreSQL knows this connection by may create what is missing.
pub(in crate::store) fn check_may_create(conn: &mut PgConnection, missing: &str) -> Result<(), OpenError> {
    let allowed = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)::text AS value";
    if setting(conn, allowed)? == "true" {
        return Ok(());
    }
    Err(OpenError::MayNotCreate {
        missing: missing.to_owned(),
        role: setting(conn, "SELECT quote_ident(current_user) AS value")?,
        schema: setting(conn, "SELECT quote_ident(coalesce(current_schema(), 'public')) AS value")?,
    })
}

/// Looks whether a SQLite file with tables has only steps that this binary knows, or can do without.
pub(in crate::store) fn check_sqlite(conn: &mut SqliteConnection) -> Result<(), OpenError> {
    let applied = applied(conn, SQLITE_HAS_TABLE)?;
    missing::<Sqlite>(&Step::all(&SQLITE_MIGRATIONS)?, &applied).map(|_| ())
}

impl From<diesel::result::Error> for OpenError {
    fn from(error: diesel::result::Error) -> Self {
        failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_one_file_and_there_is_no_way_down() {
        for kind in ["sqlite", "postgresql"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
            for step in std::fs::read_dir(folder).unwrap() {
                let files = std::fs::read_dir(step.unwrap().path()).unwrap();
                let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
                assert_eq!(names, ["up.sql"]);
            }
        }
    }

    #[test]
    fn only_expand_steps_may_be_unknown() {
        let steps: Vec<Step<Sqlite>> = Step::all(&SQLITE_MIGRATIONS).unwrap();
        let all: Vec<String> = steps.iter().map(|step| step.version.clone()).collect();
        let with = |version: &str| missing(&steps, &[&all[..], &[version.to_owned()]].concat()).map(|_| ());
        assert!(missing(&steps, &all).unwrap().is_none());
        assert!(missing(&steps, &[]).unwrap().is_some_and(|step| step.version == all[0]));
        assert!(with("20990101000000_expand").is_ok());
        assert!(
            matches!(with("20990101000000"), Err(OpenError::Newer { version }) if version == "20990101000000")
        );
        assert!(matches!(with("20261129000014"), Err(OpenError::Unreleased { .. })));
    }
}
