//! Whether the database can be used now, or once what passes by itself has passed: a start waits for that.

use std::ffi::CString;

use crate::config::{Database, DatabaseUrl};
use crate::store::database::conn;
use crate::store::database::error::OpenError;
use crate::store::database::health::DatabaseState;
use crate::store::database::migrations;

/// Outcome of a look at the database.
#[derive(Debug)]
pub enum Reach {
    /// It is there, its tables are up to date.
    Now,
    /// It may be there soon.
    NotYet(DatabaseState),
}

/// Looks for PostgreSQL once, and brings its tables up to date; of SQLite there is nothing to wait for.
/// Blocking, for some seconds at the most where no tables are changed.
///
/// # Errors
/// [`OpenError`]: what waiting does not mend, such as a wrong password, a database that does not exist, or a certificate.
pub fn reach(config: &Database) -> Result<Reach, OpenError> {
    let DatabaseUrl::Postgres(url) = &config.url else { return Ok(Reach::Now) };
    look(config, url, true)
}

fn look(config: &Database, url: &str, first: bool) -> Result<Reach, OpenError> {
    let Err(error) = migrations::migrate(config) else { return Ok(Reach::Now) };
    match &error {
        OpenError::ReadOnly { .. } => Ok(Reach::NotYet(DatabaseState::ReadOnly(error.to_string()))),
        OpenError::Postgres { hint: conn::TLS_HINT | conn::NO_TLS_HINT, .. } => Err(error),
        OpenError::Postgres { reason, .. } if is_pooler_waiting(reason) || passes(url) => {
            Ok(Reach::NotYet(DatabaseState::Unreachable(error.to_string())))
        }
        // It may have come up between the two questions: then its second answer counts.
        OpenError::Postgres { .. } if first => look(config, url, false),
        _ => Err(error),
    }
}

/// Whether nothing answers, or a server that starts, stops or recovers, by libpq's own judgement (`PQping`),
/// which goes by SQLSTATE and not by words in the server's language.
fn passes(url: &str) -> bool {
    let Ok(url) = CString::new(conn::with_defaults(url)) else { return false };
    // SAFETY: the string lives through the call, which keeps nothing of it.
    let answer = unsafe { pq_sys::PQping(url.as_ptr()) };
    matches!(answer, pq_sys::PGPing::PQPING_REJECT | pq_sys::PGPing::PQPING_NO_RESPONSE)
}

/// PgBouncer's word for a PostgreSQL behind it that does not let it in now: not reached, or starting. Who is
/// refused by PgBouncer itself hears another, and a database that does not exist is named.
fn is_pooler_waiting(reason: &str) -> bool {
    reason.contains("server_login_retry") && !reason.contains("does not exist")
}
