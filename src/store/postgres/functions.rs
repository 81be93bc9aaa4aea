//! The functions that write a batch. Each stands in a file beside this one and is created under a name with the
//! first digits of the SHA-256 of its text: nodes of two releases each call their own on one database, and no
//! migration restates it.

use std::sync::LazyLock;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use sha2::{Digest as _, Sha256};

use crate::store::Query;
use crate::store::database::conn::{Conn, setting};
use crate::store::database::error::OpenError;
use crate::store::database::migrations::{check_may_create, lock};
use crate::store::database::statement::Statement;

pub(in super::super) const COMMIT_SQL: &str = include_str!("commit.sql");
pub(in super::super) const GROUPS_SQL: &str = include_str!("groups.sql");

/// The functions' names in their files.
pub(in super::super) const COMMIT: &str = "hongyan_commit";
const GROUPS: &str = "hongyan_commit_groups";

pub(in super::super) static COMMIT_FUNCTION: LazyLock<Function> =
    LazyLock::new(|| Function::of(COMMIT, COMMIT_SQL));
pub(in super::super) static GROUPS_FUNCTION: LazyLock<Function> =
    LazyLock::new(|| Function::of(GROUPS, GROUPS_SQL));

/// All that this release calls.
fn functions() -> [&'static Function; 2] {
    [&COMMIT_FUNCTION, &GROUPS_FUNCTION]
}

/// How long a function is kept after a node has named it last.
const KEPT_MS: i64 = 24 * 3_600_000;

/// One release's version of a function.
#[derive(Debug)]
pub(in super::super) struct Function {
    /// With the digits.
    pub(in super::super) name: String,
    create: String,
}

impl Function {
    /// The function that `text` creates as `name`, under its own name.
    pub(in super::super) fn of(name: &str, text: &str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let own = format!("{name}_{digits}");
        let create =
            text.replacen(&format!("CREATE FUNCTION {name}("), &format!("CREATE FUNCTION {own}("), 1);
        Self { name: own, create }
    }

    fn is_there(&self, conn: &mut PgConnection) -> QueryResult<bool> {
        let visible =
            "SELECT count(*)::text AS value FROM pg_proc WHERE pg_function_is_visible(oid) AND proname";
        Ok(setting(conn, &format!("{visible} = '{}'", self.name))? != "0")
    }

    /// Creates the function where it is missing, and notes that a node calls it. In a transaction that holds
    /// the lock of migrations.
    pub(in super::super) fn make(&self, conn: &mut PgConnection) -> Result<(), OpenError> {
        if !self.is_there(conn)? {
            check_may_create(conn, &self.name)?;
            conn.batch_execute(&self.create)?;
            log::info!(function = self.name.as_str(); "created a function in the database");
        }
        conn.batch_execute(&format!(
            "INSERT INTO batch_functions AS f (name, named_at) \
             VALUES ('{}', (extract(epoch FROM clock_timestamp()) * 1000)::bigint) \
             ON CONFLICT (name) DO UPDATE SET named_at = greatest(f.named_at, excluded.named_at)",
            self.name
        ))?;
        Ok(())
    }
}

/// Creates the functions of this release where they are missing, and notes that a node calls them.
pub(in super::super) fn make(conn: &mut PgConnection) -> Result<(), OpenError> {
    functions().into_iter().try_for_each(|function| function.make(conn))
}

#[derive(QueryableByName)]
struct Unused {
    #[diesel(sql_type = Text)]
    signature: String,
}

/// Drops the functions that no node has named for a day, as far as this role may.
pub(in super::super) fn drop_unused(conn: &mut PgConnection) -> Result<(), OpenError> {
    let unused = format!(
        "SELECT p.oid::regprocedure::text AS signature FROM pg_proc p LEFT JOIN batch_functions f ON f.name = p.proname \
         WHERE p.pronamespace = current_schema()::regnamespace AND p.proname ~ '^({COMMIT}|{GROUPS})_[0-9a-f]{{8}}$' \
             AND coalesce(f.named_at, 0) < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - {KEPT_MS} \
             AND pg_has_role(p.proowner, 'USAGE')"
    );
    for Unused { signature } in diesel::sql_query(unused).load::<Unused>(conn)? {
        conn.batch_execute(&format!("DROP FUNCTION {signature}"))?;
        log::info!(function = signature.as_str(); "dropped a function that no node calls any more");
    }
    conn.batch_execute(
        "DELETE FROM batch_functions f WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = f.name)",
    )?;
    Ok(())
}

/// Creates anew what somebody has dropped under a running node; true where there was something to create.
/// This is what becomes of a node that could not reach the database for more than a day.
pub(super) fn restore(conn: &mut PgConnection) -> Result<bool, OpenError> {
    let mut are_there = true;
    for function in functions() {
        are_there &= function.is_there(conn)?;
    }
    if are_there {
        return Ok(false);
    }
    conn.transaction(|conn| {
        lock(conn)?;
        make(conn)?;
        Ok(true)
    })
}

/// Notes that this node calls its functions.
#[derive(Debug)]
pub(in super::super) struct NameFunctions;

impl Query for NameFunctions {
    type Answer = ();

    fn run(&self, conn: &mut Conn) -> QueryResult<()> {
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(());
        }
        const NAME: &str = "UPDATE batch_functions \
             SET named_at = greatest(named_at, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) WHERE name = $1";
        for function in functions() {
            Statement::new(NAME).text(&function.name).execute(conn)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_name_follows_from_its_text() {
        let one = Function::of("f", "CREATE FUNCTION f() RETURNS void …");
        let two = Function::of("f", "CREATE FUNCTION f() RETURNS void … -- another");
        assert_ne!(one.name, two.name);
        assert_eq!(one.name.len(), "f_01234567".len());
        assert!(one.create.starts_with(&format!("CREATE FUNCTION {}()", one.name)), "{one:?}");
        for function in functions() {
            assert!(function.create.contains(&format!("\nCREATE FUNCTION {}(", function.name)));
        }
    }
}
