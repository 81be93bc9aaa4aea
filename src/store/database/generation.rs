//! Identity of a database: a client that meets another one must not go by what it knew of the last.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::config::{Database, DatabaseUrl};
use crate::ids::DatabaseGeneration;
use crate::store::Query;
use crate::store::database::conn::{self, Conn};
use crate::store::database::error::OpenError;
use crate::store::database::statement::Statement;

/// Asks PostgreSQL; on a standby, which does not know, the answer is `None`, and for SQLite, which cannot
/// change, too.
#[derive(Debug)]
pub(in crate::store) struct GenerationNow;

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Nullable<Text>)]
    generation: Option<String>,
}

const OF_POSTGRES: &str = "SELECT hongyan_generation() AS generation";

impl Query for GenerationNow {
    type Answer = Option<DatabaseGeneration>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Self::Answer> {
        match conn {
            Conn::Sqlite(_) => Ok(None),
            Conn::Postgres(_) => Ok(Statement::new(OF_POSTGRES)
                .get_result::<TextRow>(conn)?
                .generation
                .map(|text| of_text(&text))),
        }
    }
}

/// What `hongyan_generation()` says, in short.
pub(in crate::store) fn of_text(text: &str) -> DatabaseGeneration {
    DatabaseGeneration::of(text.as_bytes())
}

/// Makes the row where there is none: in a database that was just made, or restored from a backup.
pub(in crate::store) fn make_on_sqlite(conn: &mut SqliteConnection) -> QueryResult<()> {
    let number = i64::try_from(DatabaseGeneration::random().number()).unwrap_or_default();
    diesel::sql_query("INSERT INTO generation (number) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM generation)")
        .bind::<BigInt, _>(number)
        .execute(conn)
        .map(|_| ())
}

/// Takes the row out of a copy, which may be older than the table.
pub(in crate::store) fn take_out_of_copy(conn: &mut SqliteConnection) -> QueryResult<()> {
    let is_there = conn::setting(
        conn,
        "SELECT CAST(count(*) AS TEXT) AS value FROM sqlite_schema WHERE name = 'generation'",
    )?;
    if is_there == "1" {
        diesel::sql_query("DELETE FROM generation").execute(conn)?;
    }
    Ok(())
}

/// The generation at the start, on a connection of its own.
///
/// # Errors
/// [`OpenError`].
pub(in crate::store) fn at_start(database: &Database) -> Result<DatabaseGeneration, OpenError> {
    let failed = |e: diesel::result::Error| OpenError::Generation { reason: e.to_string() };
    match &database.url {
        DatabaseUrl::Sqlite(path) => {
            let mut conn = conn::sqlite_reader(path, database.cache_kib)?;
            let row = diesel::sql_query("SELECT number FROM generation")
                .get_result::<NumberRow>(&mut conn)
                .map_err(failed)?;
            Ok(DatabaseGeneration::of_number(u64::try_from(row.number).unwrap_or_default()))
        }
        DatabaseUrl::Postgres(url) => {
            let mut conn = conn::postgres(url, database.prepared_statements)?;
            let row = diesel::sql_query(OF_POSTGRES).get_result::<TextRow>(&mut conn).map_err(failed)?;
            Ok(row.generation.map(|text| of_text(&text)).unwrap_or_default())
        }
    }
}
