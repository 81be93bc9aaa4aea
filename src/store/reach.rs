//! Whether the database can be used now, or once what passes by itself has passed: a start waits for that.

use std::ffi::CString;

use super::conn;
use super::error::OpenError;
use super::health::DatabaseState;
use crate::config::{Database, DatabaseUrl};

/// A database that may be there soon.
#[derive(Debug)]
pub struct NotYet(pub DatabaseState);

/// Looks for PostgreSQL once, and brings its tables up to date; of SQLite there is nothing to wait for. Blocking, for some seconds at the
/// most where no tables are changed.
///
/// # Errors
/// [`OpenError`]: what waiting does not mend, such as a wrong password, a database that does not exist, or a certificate.
pub fn reach(config: &Database) -> Result<Result<(), NotYet>, OpenError> {
    let DatabaseUrl::Postgres(url) = &config.url else { return Ok(Ok(())) };
    match attempt(config, url) {
        // It may have come up between the two questions: then its second refusal counts.
        Err(OpenError::Postgres { .. }) if !passes(url) => attempt(config, url),
        other => other,
    }
    .map_or_else(|error| not_yet(error, url), |()| Ok(Ok(())))
}

fn attempt(config: &Database, url: &str) -> Result<(), OpenError> {
    conn::postgres(url, config.prepared_statements)?;
    conn::migrate(config)
}

fn not_yet(error: OpenError, url: &str) -> Result<Result<(), NotYet>, OpenError> {
    match error {
        OpenError::ReadOnly { .. } => Ok(Err(NotYet(DatabaseState::ReadOnly(error.to_string())))),
        OpenError::Postgres { ref reason, hint } if hint != conn::TLS_HINT && (passes(url) || is_pooler_waiting(reason)) => {
            Ok(Err(NotYet(DatabaseState::Unreachable(error.to_string()))))
        }
        other => Err(other),
    }
}

/// Whether nothing answers, or a server that starts, stops or recovers, by libpq's own judgement (`PQping`), which goes by SQLSTATE and
/// not by words in the server's language.
fn passes(url: &str) -> bool {
    let Ok(url) = CString::new(conn::with_defaults(url)) else { return false };
    // SAFETY: the string lives through the call, which keeps nothing of it.
    let answer = unsafe { pq_sys::PQping(url.as_ptr()) };
    matches!(answer, pq_sys::PGPing::PQPING_REJECT | pq_sys::PGPing::PQPING_NO_RESPONSE)
}

/// PgBouncer's word for a PostgreSQL behind it that does not let it in now: not reached, or starting. Who is refused by PgBouncer itself hears
/// another, and a database that does not exist is named.
fn is_pooler_waiting(reason: &str) -> bool {
    reason.contains("server_login_retry") && !reason.contains("does not exist")
}
