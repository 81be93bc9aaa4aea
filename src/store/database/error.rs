//! Errors, told apart by what the caller can do about them.

use std::path::PathBuf;

use diesel::result::{DatabaseErrorKind, Error};

use crate::files::Denied;

/// Why the store could not be opened, brought up to date or copied. Each says what to do; none shows a
/// password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the index {name} is not built: {reason}")]
    Index { name: &'static str, reason: String },
    #[error("cannot create the database's directory {}: {source}; create it, or let this user write beside it", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("another hongyan has {} open; stop it first, or give this one another database", path.display())]
    Locked { path: PathBuf },
    #[error("cannot lock {}: {source}; the directory must be writable, and on a local disk", path.display())]
    Lock { path: PathBuf, source: std::io::Error },
    #[error("the path {} is not UTF-8; rename it", path.display())]
    Path { path: PathBuf },
    #[error("cannot open the database {}: {reason}; check the path, its permissions and the disk", path.display())]
    Sqlite { path: PathBuf, reason: String },
    #[error(
        "database.url cannot be used: {what}; docs/OPERATIONS.md shows URLs, and odd characters of a password stand there as %40 for @"
    )]
    Url { what: String },
    #[error("cannot reach PostgreSQL: {reason}; {hint}")]
    Postgres { reason: String, hint: &'static str },
    #[error(
        "PostgreSQL takes no writes: {reason}; let database.url name the primary, or all servers, separated by commas"
    )]
    ReadOnly { reason: String },
    #[error(
        "PostgreSQL's {setting} is {found}, it must be {wanted}; where database.prepared_statements is false, set it in the database: \
         ALTER ROLE … SET {setting} = {example}, and have the pooler reconnect"
    )]
    Session { setting: &'static str, found: String, wanted: &'static str, example: &'static str },
    #[error("the database does not keep what it acks: {setting} is {found}, it must be {wanted}")]
    Durability { setting: &'static str, found: String, wanted: &'static str },
    #[error("the database's encoding is {found}; create it anew with ENCODING 'UTF8'")]
    Encoding { found: String },
    #[error(
        "the database was made by a newer hongyan (it has migration {version}); start that version, or restore a backup"
    )]
    Newer { version: String },
    #[error(
        "the database was made by a hongyan from before the first release (it has migration {version}), and no release takes its tables over; \
         let database.url name a new database, or go on with the build that made it"
    )]
    Unreleased { version: String },
    #[error(
        "the tables cannot be brought up to date: {reason}; what failed was undone, what came before it is kept, and the next start goes on there"
    )]
    Migrate { reason: String },
    #[error(
        "the database lacks {missing}, and the role {role} may not create it; run hongyan migrate as the role that owns the tables, \
         or GRANT CREATE ON SCHEMA {schema} TO {role}"
    )]
    MayNotCreate { missing: String, role: String, schema: String },
    #[error("cannot read which database it is: {reason}; try again, or restore a backup")]
    Generation { reason: String },
    #[error("cannot start the store: {reason}")]
    Threads { reason: String },
    #[error("the database cannot be written: {reason}{}", of_old_tables(reason))]
    Write { reason: String },
    #[error("the database cannot be read: {reason}{}", of_old_tables(reason))]
    Read { reason: String },
    #[error("{} exists already; a backup never overwrites, give another name", path.display())]
    BackupExists { path: PathBuf },
    #[error("cannot write the backup {}: {reason}; what was written of it is removed", path.display())]
    Backup { path: PathBuf, reason: String },
    #[error("{} is no database of a hongyan server; use the server's own settings, and its folder where database.url is relative", path.display())]
    NoDatabase { path: PathBuf },
    #[error(
        "{at_most} users are traced already; end one of them (hongyan trace shows them, hongyan trace OPENID --stop ends one)"
    )]
    TooManyTraces { at_most: usize },
    #[error("{at_most} questions for users' sessions are open already; ask again in a minute")]
    TooManyQuestions { at_most: i64 },
    #[error(
        "the tables are of an older hongyan; bring them up to date (hongyan migrate, or restart the server)"
    )]
    TablesTooOld,
    #[error(
        "this copies SQLite only; for PostgreSQL use pg_dump with the password in a file (PGPASSFILE), as docs/OPERATIONS.md shows: on its command line ps shows it"
    )]
    BackupPostgres,
}

/// What to do where a table or a column is missing.
fn of_old_tables(reason: &str) -> &'static str {
    let is_missing = ["no such table", "no such column", "has no column", "does not exist"]
        .iter()
        .any(|words| reason.contains(words));
    if is_missing {
        "; its tables are of an older release: start the server of this one, or run `hongyan migrate`"
    } else {
        ""
    }
}

/// Why a batch was not stored.
#[derive(Debug)]
pub(in crate::store) enum Trouble {
    /// The connection is gone, or could not be made. `asked` tells whether the batch had been sent on it:
    /// then it may be stored.
    Gone { reason: String, asked: bool },
    /// The server is no primary, or no longer: a standby, or made read-only. Nothing is stored, and its
    /// connection is of no use.
    ReadOnly(String),
    /// The database is at work for others, or says no for now: nothing is stored.
    Busy(String),
    /// What was remembered of a conversation is no longer so. Nothing is stored; try again with fresh eyes.
    Stale,
    /// Refused, perhaps for one write's sake. Nothing is stored.
    Refused(String),
}

impl Trouble {
    pub(in crate::store) fn reason(&self) -> &str {
        match self {
            Self::Gone { reason, .. }
            | Self::ReadOnly(reason)
            | Self::Busy(reason)
            | Self::Refused(reason) => reason,
            Self::Stale => "a conversation changed under the writer",
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                info,
            ) => Self::Gone { reason: info.message().to_owned(), asked: true },
            Error::DatabaseError(
                DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::SerializationFailure,
                _,
            ) => Self::Stale,
            // SQLSTATE 25006, which diesel gives for PostgreSQL alone.
            Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, info) => {
                Self::ReadOnly(info.message().to_owned())
            }
            Error::DatabaseError(_, info) => {
                let reason = info.message().to_owned();
                // SQLite's words for SQLITE_BUSY, SQLITE_LOCKED and a WAL that another process recovers; they
                // are not translated.
                if reason.contains("is locked") { Self::Busy(reason) } else { Self::Refused(reason) }
            }
            Error::BrokenTransactionManager => Self::Gone { reason: error.to_string(), asked: false },
            other => Self::Refused(other.to_string()),
        }
    }
}
