//! Connections: how they are made, and what is set and checked on each.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::{CacheSize, SimpleConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::config::{Database, DatabaseUrl, HAS_POSTGRES_TLS};
use crate::files::{Need, access, place_for};
use crate::store::database::error::OpenError;
use crate::store::database::health::Health;
use crate::store::database::migrations;
use crate::store::database::sqlite_file;
use crate::store::database::statement::Statement;

/// How long SQLite waits for another writer.
pub(in crate::store) const BUSY: Duration = Duration::from_millis(1000);
/// How long PostgreSQL may work on one statement.
pub(in crate::store) const STATEMENT_TIMEOUT_MS: u32 = 2000;

/// A connection that reads, to either database.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    Sqlite(diesel::SqliteConnection),
    Postgres(diesel::PgConnection),
}

#[derive(QueryableByName)]
pub(in crate::store) struct Setting {
    #[diesel(sql_type = Text)]
    pub(in crate::store) value: String,
}

pub(in crate::store) fn setting<C>(conn: &mut C, query: &str) -> QueryResult<String>
where
    C: diesel::connection::LoadConnection,
    diesel::query_builder::SqlQuery: diesel::query_builder::QueryFragment<C::Backend>,
    for<'a> diesel::query_builder::SqlQuery: diesel::query_dsl::LoadQuery<'a, C, Setting>,
{
    diesel::sql_query(query).get_result::<Setting>(conn).map(|s| s.value)
}

/// A writing connection to a SQLite file. Checked to be durable, and before that to be writable: what SQLite
/// may not write it opens to read, and says so at the first write.
pub(in crate::store) fn sqlite_writer(path: &Path, cache_kib: u32) -> Result<SqliteConnection, OpenError> {
    sqlite_file::check(path)?;
    let failed =
        |e: diesel::result::Error| OpenError::Sqlite { path: path.to_owned(), reason: e.to_string() };
    let mut conn = sqlite(path, cache_kib)?;
    // What a recall overwrites is overwritten in the file, not only unlinked (secure_delete). A log that grew
    // while somebody read for long is cut to 64 MiB when it is begun anew, not below: what `wal` keeps is
    // within that. Checkpoints move 16 000 pages (64 MiB) at a time: with the default of 1 000 a busy server
    // rewrites the same index pages again and again.
    conn.batch_execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000; \
         PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 67108864",
    )
    .map_err(failed)?;
    let mode = setting(&mut conn, "SELECT journal_mode AS value FROM pragma_journal_mode").map_err(failed)?;
    if mode != "wal" {
        return Err(OpenError::Durability {
            setting: "journal_mode",
            found: mode,
            wanted: "wal (is the file on a network disk?)",
        });
    }
    let synchronous = setting(&mut conn, "SELECT CAST(synchronous AS TEXT) AS value FROM pragma_synchronous")
        .map_err(failed)?;
    if synchronous != "2" {
        return Err(OpenError::Durability { setting: "synchronous", found: synchronous, wanted: "2 (FULL)" });
    }
    Ok(conn)
}

pub(in crate::store) fn sqlite_reader(path: &Path, cache_kib: u32) -> Result<SqliteConnection, OpenError> {
    let mut conn = sqlite(path, cache_kib)?;
    conn.batch_execute("PRAGMA query_only = ON")
        .map_err(|e| OpenError::Sqlite { path: path.to_owned(), reason: e.to_string() })?;
    Ok(conn)
}

fn sqlite(path: &Path, cache_kib: u32) -> Result<SqliteConnection, OpenError> {
    let failed = |reason: String| match sqlite_file::check(path) {
        Ok(()) => OpenError::Sqlite { path: path.to_owned(), reason },
        Err(denied) => denied.into(),
    };
    // A relative name must not be taken for a URI ("file:…") or for one of SQLite's own (":memory:").
    let named = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    let name = named.to_str().ok_or_else(|| OpenError::Path { path: path.to_owned() })?;
    let mut conn = SqliteConnection::establish(name).map_err(|e| failed(e.to_string()))?;
    let busy = BUSY.as_millis();
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {busy}; PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY"
    ))
    .map_err(|e| failed(e.to_string()))?;
    Ok(conn)
}

/// Whether a server has made this file: tools must not make an empty one, nor take one for it.
pub(in crate::store) fn is_ours(path: &Path) -> Result<(), OpenError> {
    let none = || OpenError::NoDatabase { path: path.to_owned() };
    access(path, Need::Read)?;
    if !path.exists() {
        return Err(none());
    }
    let mut conn = sqlite_reader(path, 1_024)?;
    let tables = setting(
        &mut conn,
        "SELECT CAST(count(*) AS TEXT) AS value FROM sqlite_schema WHERE name = 'revocations'",
    );
    if tables.is_ok_and(|count| count == "1") { Ok(()) } else { Err(none()) }
}

/// Looks whether a server could be started on a SQLite file, which need not be there yet. Makes nothing.
pub(in crate::store) fn check_sqlite(path: &Path) -> Result<(), OpenError> {
    place_for(path)?;
    let mut folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    if let Some(file) = folders.find(|folder| folder.exists()).filter(|folder| !folder.is_dir()) {
        return Err(OpenError::Directory {
            path: file.to_owned(),
            source: std::io::ErrorKind::NotADirectory.into(),
        });
    }
    sqlite_file::check(path)?;
    if path.is_dir() {
        return Err(OpenError::Sqlite { path: path.to_owned(), reason: "it is a folder".to_owned() });
    }
    if std::fs::metadata(path).map_or(0, |about| about.len()) == 0 {
        return Ok(());
    }
    migrations::check_sqlite(&mut sqlite_reader(path, 1_024)?)
}

/// Makes the transaction that it is said in durable, whatever the server, the role or whoever had the
/// connection before has set: PostgreSQL looks at the setting when it commits.
pub(in crate::store) const DURABLE: &str = "set_config('synchronous_commit', \
     CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)";

/// What a connection must have, whoever has set it.
#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Text)]
    fsync: String,
    #[diesel(sql_type = Text)]
    encoding: String,
    #[diesel(sql_type = Text)]
    isolation: String,
    #[diesel(sql_type = BigInt)]
    statement_timeout_ms: i64,
    #[diesel(sql_type = Text)]
    role: String,
}

/// [`PRIMARY`] where the server takes writes, else why not. On a standby `transaction_read_only` is always on
/// (PostgreSQL, chapter "Hot Standby"); elsewhere it follows `default_transaction_read_only`.
const ROLE: &str = "CASE WHEN pg_is_in_recovery() THEN 'standby' WHEN current_setting('transaction_read_only') = 'on' THEN 'read-only' \
     ELSE 'primary' END";
const PRIMARY: &str = "primary";

fn check_role(role: &str) -> Result<(), OpenError> {
    match role {
        PRIMARY => Ok(()),
        "standby" => Err(OpenError::ReadOnly { reason: "the server is a standby (in recovery)".to_owned() }),
        _ => Err(OpenError::ReadOnly { reason: "default_transaction_read_only is on".to_owned() }),
    }
}

/// Asks a connection whether it holds, and leads to a primary still: a pooler or a proxy may have put another
/// server behind it.
pub(in crate::store) fn check_alive(conn: &mut PgConnection) -> Result<(), OpenError> {
    let asked = Statement::new(format!("SELECT {ROLE} AS value")).get_result::<Setting>(conn);
    let role = asked.map_err(|e| OpenError::Postgres { hint: hint(""), reason: e.to_string() })?;
    check_role(&role.value)
}

const SESSION: &str = "SELECT current_setting('fsync') AS fsync, current_setting('server_encoding') AS encoding, \
     current_setting('transaction_isolation') AS isolation, \
     (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint AS statement_timeout_ms";

impl Session {
    fn check(self) -> Result<(), OpenError> {
        check_role(&self.role)?;
        if self.fsync != "on" {
            return Err(OpenError::Durability { setting: "fsync", found: self.fsync, wanted: "on" });
        }
        if self.encoding != "UTF8" {
            return Err(OpenError::Encoding { found: self.encoding });
        }
        // hongyan_commit looks again after it has waited for its locks, which needs a new snapshot for each
        // statement.
        if self.isolation != "read committed" {
            let (setting, wanted) = ("default_transaction_isolation", "'read committed'");
            return Err(OpenError::Session { setting, found: self.isolation, wanted, example: wanted });
        }
        if !(1..=i64::from(STATEMENT_TIMEOUT_MS)).contains(&self.statement_timeout_ms) {
            let found = format!("{} ms", self.statement_timeout_ms);
            return Err(OpenError::Session {
                setting: "statement_timeout",
                found,
                wanted: "1 to 2000 ms",
                example: "'2s'",
            });
        }
        Ok(())
    }
}

/// A connection to PostgreSQL that is durable and waits for nothing without end. Without
/// `prepared_statements`, see [`Database::prepared_statements`].
pub(in crate::store) fn postgres(url: &str, prepared_statements: bool) -> Result<PgConnection, OpenError> {
    let failed =
        |reason: String| OpenError::Postgres { hint: hint(&reason), reason: without_secrets(&reason, url) };
    let made = PgConnection::establish(&with_defaults(url)).map_err(|e| e.to_string());
    let mut conn = made.map_err(|reason| match reason.contains(NO_HOST_IS_PRIMARY) {
        true => OpenError::ReadOnly { reason: without_secrets(&reason, url) },
        false => failed(reason),
    })?;
    if prepared_statements {
        conn.batch_execute(&format!(
            "SET statement_timeout = {STATEMENT_TIMEOUT_MS}; SET lock_timeout = {STATEMENT_TIMEOUT_MS}; SET client_encoding = 'UTF8'; \
             SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; SET jit = off"
        ))
        .map_err(|e| failed(e.to_string()))?;
    } else {
        conn.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    diesel::sql_query(format!("{SESSION}, {ROLE} AS role"))
        .get_result::<Session>(&mut conn)
        .map_err(|e| failed(e.to_string()))?
        .check()?;
    Ok(conn)
}

pub(in crate::store) const TLS_HINT: &str =
    "check sslmode and sslrootcert in database.url, and the name and the issuer of PostgreSQL's certificate";

/// For what asked for TLS otherwise than by the URL and libpq's variables, such as a service file, and for
/// servers that take nothing else.
pub(in crate::store) const NO_TLS_HINT: &str = "this hongyan is built without TLS to PostgreSQL: build it with --features postgres-tls where it is asked for";

/// What to do about a server that cannot be reached.
fn hint(reason: &str) -> &'static str {
    // libpq's word, and PostgreSQL's for a connection that only an encrypted one could be.
    if !HAS_POSTGRES_TLS
        && ["SSL support is not compiled in", "no encryption"].iter().any(|word| reason.contains(word))
    {
        NO_TLS_HINT
    } else if ["certificate", "SSL", "TLS"].iter().any(|word| reason.contains(word)) {
        TLS_HINT
    } else {
        "check that it runs and that database.url is right"
    }
}

/// libpq's word for a host that `target_session_attrs=read-write` passed over.
const NO_HOST_IS_PRIMARY: &str = "session is read-only";

/// Adds what the URL does not set itself: bounds on waiting for a silent server, and where it names several
/// hosts, that only the one which takes writes will do.
pub(in crate::store) fn with_defaults(url: &str) -> String {
    let mut url = url.to_owned();
    let primary = has_several_hosts(&url).then_some(("target_session_attrs", "read-write"));
    let defaults = [
        ("connect_timeout", "2"),
        ("keepalives_idle", "5"),
        ("keepalives_interval", "1"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "2500"),
        ("application_name", "hongyan"),
    ];
    for (name, value) in defaults.into_iter().chain(primary) {
        if !url.contains(&format!("{name}=")) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={value}"));
        }
    }
    url
}

/// Hosts stand between `@` and `/`, or in the parameter `host`, separated by commas (PostgreSQL, "Connection
/// URIs").
fn has_several_hosts(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let hosts = authority.split('/').next().unwrap_or_default();
    let named = parameters.split('&').filter_map(|parameter| parameter.strip_prefix("host="));
    named.chain([hosts]).any(|hosts| hosts.contains(',') || hosts.contains("%2C") || hosts.contains("%2c"))
}

/// libpq repeats parts of a URL that it cannot read.
pub(in crate::store) fn without_secrets(reason: &str, url: &str) -> String {
    let mut reason = reason.replace(url, "postgres://…");
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    if let Some((user, _)) = authority.rsplit_once('@')
        && let Some((_, password)) = user.split_once(':')
        && !password.is_empty()
    {
        reason = reason.replace(password, "…");
    }
    if let Some((_, rest)) = url.split_once("password=") {
        let password = rest.split('&').next().unwrap_or(rest);
        if !password.is_empty() {
            reason = reason.replace(password, "…");
        }
    }
    reason.trim().replace('\n', " ")
}

/// Makes the reading connections for the pool.
#[derive(Clone)]
pub(in crate::store) struct Opener {
    pub(in crate::store) database: Database,
    pub(in crate::store) health: Arc<Health>,
}

impl r2d2::ManageConnection for Opener {
    type Connection = Conn;
    type Error = OpenError;

    fn connect(&self) -> Result<Conn, OpenError> {
        let made = match &self.database.url {
            DatabaseUrl::Sqlite(path) => sqlite_reader(path, self.database.cache_kib).map(Conn::Sqlite),
            DatabaseUrl::Postgres(url) => {
                postgres(url, self.database.prepared_statements).map(Conn::Postgres)
            }
        };
        made.inspect(|_| self.health.answered()).inspect_err(|error| self.health.not_connected(error))
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), OpenError> {
        match conn {
            // A file does not go away as a server does.
            Conn::Sqlite(_) => Ok(()),
            // Of one that broke the attempt to make the next says why.
            Conn::Postgres(conn) => check_alive(conn),
        }
    }

    fn has_broken(&self, _conn: &mut Conn) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_shows_the_password() {
        let url = "postgres://hongyan:s3cret@db:5432/im";
        let reason =
            without_secrets(r#"invalid port in "postgres://hongyan:s3cret@db:5432/im", near "s3cret""#, url);
        assert!(!reason.contains("s3cret"), "{reason}");
    }

    #[test]
    fn a_server_that_does_not_flush_is_refused() {
        let session = |fsync: &str| Session {
            fsync: fsync.to_owned(),
            encoding: "UTF8".to_owned(),
            isolation: "read committed".to_owned(),
            statement_timeout_ms: 2_000,
            role: PRIMARY.to_owned(),
        };
        assert!(session("on").check().is_ok());
        assert!(session("off").check().unwrap_err().to_string().contains("fsync is off"));
    }

    #[test]
    fn a_url_keeps_its_own_timeouts() {
        let url = with_defaults("postgres://db/im?connect_timeout=7");
        assert!(url.starts_with("postgres://db/im?connect_timeout=7&keepalives_idle=5"), "{url}");
        assert!(with_defaults("postgres://db/im").contains("?connect_timeout=2&"));
    }

    #[test]
    fn of_several_hosts_the_one_that_takes_writes_is_looked_for() {
        let asks = |url| with_defaults(url).contains("target_session_attrs=read-write");
        for url in [
            "postgres://u:p@a:5432,b/im",
            "postgres://a,b/im?sslmode=require",
            "postgres:///im?host=a,b",
            "postgres:///im?host=a%2Cb",
        ] {
            assert!(asks(url), "{url}");
        }
        for url in [
            "postgres://u:p,q@a/im",
            "postgres://a/im?options=a,b",
            "postgres://a,b/im?target_session_attrs=primary",
        ] {
            assert!(!asks(url), "{url}");
        }
    }
}
