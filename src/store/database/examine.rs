//! Examination of the database by `hongyan doctor`, beside a server that may be running: real commits, sizes,
//! clocks. It leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::config::{self, DatabaseUrl};
use crate::ids::now_ms;
use crate::store::database::conn;
use crate::store::database::error::OpenError;
use crate::store::database::statement::{Statement, Writer};

/// Commits that are timed.
const COMMITS: usize = 9;
/// The row that they write: no openid, so no node takes it for a user, and its time is over.
const ROW: &str = ".doctor";

/// State of a database that can be written.
#[derive(Debug)]
pub struct Examination {
    /// As the database calls itself.
    pub version: String,
    /// Duration of each durable commit, the shortest first.
    pub commits: Vec<Duration>,
    /// How far the database's clock is ahead of this machine's, and how uncertain that is. None of SQLite,
    /// which has this machine's.
    pub clock_ahead_ms: Option<(i64, i64)>,
    /// Bytes of the database, and of its log where that may be asked.
    pub bytes: i64,
    pub log_bytes: Option<i64>,
    /// Free and total bytes of the disk that a SQLite file is on.
    pub disk: Option<(u64, u64)>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

/// Writes, and looks. Blocking, for some seconds at the most.
///
/// # Errors
/// [`OpenError`]; each says what to do.
pub fn examine(config: &config::Database) -> Result<Examination, OpenError> {
    match &config.url {
        DatabaseUrl::Sqlite(path) => sqlite(path, config.cache_kib),
        DatabaseUrl::Postgres(url) => postgres(url, config.prepared_statements),
    }
}

fn sqlite(path: &Path, cache_kib: u32) -> Result<Examination, OpenError> {
    conn::is_ours(path)?;
    let mut conn = conn::sqlite_writer(path, cache_kib)?;
    let commits = timed(|n| conn.immediate_transaction(|conn| write(conn, n)))?;
    let size =
        |path: &Path| std::fs::metadata(path).map_or(0, |file| i64::try_from(file.len()).unwrap_or(i64::MAX));
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let disk = rustix::fs::statvfs(path)
        .ok()
        .map(|disk| (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize));
    let version = Statement::new("SELECT 'SQLite ' || sqlite_version() AS value")
        .get_result::<Word>(&mut conn)
        .map_err(unread)?
        .value;
    Ok(Examination {
        version,
        commits,
        clock_ahead_ms: None,
        bytes: size(path),
        log_bytes: Some(size(Path::new(&log))),
        disk,
    })
}

fn postgres(url: &str, prepared_statements: bool) -> Result<Examination, OpenError> {
    let mut conn = conn::postgres(url, prepared_statements)?;
    let commits = timed(|n| {
        conn.transaction(|conn| {
            conn.batch_execute(&format!("SELECT {}", conn::DURABLE))?;
            write(conn, n)
        })
    })?;
    let mut number =
        |text: &'static str| Statement::new(text).get_result::<Number>(&mut conn).map(|row| row.value);
    let before = now_ms();
    let there =
        number("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS value").map_err(unread)?;
    let round_trip = now_ms() - before;
    let bytes = number("SELECT pg_database_size(current_database()) AS value").map_err(unread)?;
    // For members of pg_monitor only.
    let log_bytes = number("SELECT coalesce(sum(size), 0)::bigint AS value FROM pg_ls_waldir()").ok();
    let version = Statement::new("SELECT 'PostgreSQL ' || current_setting('server_version') AS value")
        .get_result::<Word>(&mut conn)
        .map_err(unread)?;
    let clock_ahead_ms = Some((there - before - round_trip / 2, round_trip / 2));
    Ok(Examination { version: version.value, commits, clock_ahead_ms, bytes, log_bytes, disk: None })
}

/// One row that comes and goes.
fn write(conn: &mut impl Writer, n: usize) -> QueryResult<()> {
    let statement = match n % 2 {
        0 => "INSERT INTO traces (openid, until) VALUES ($1, 0) ON CONFLICT (openid) DO UPDATE SET until = 0",
        _ => "DELETE FROM traces WHERE openid = $1",
    };
    conn.run(Statement::new(statement).text(ROW)).map(|_| ())
}

/// Each commit changes something, so that it must reach the disk; the last one takes the row away.
fn timed(mut commit: impl FnMut(usize) -> QueryResult<()>) -> Result<Vec<Duration>, OpenError> {
    let mut took = Vec::with_capacity(COMMITS + 1);
    for n in 0..=COMMITS {
        let began = Instant::now();
        commit(n).map_err(|error| {
            if crate::store::operators::traces::is_without_table(&error) {
                OpenError::TablesTooOld
            } else {
                unwritten(&error)
            }
        })?;
        took.push(began.elapsed());
    }
    took.sort();
    Ok(took)
}

fn unwritten(error: &diesel::result::Error) -> OpenError {
    OpenError::Write { reason: error.to_string() }
}

fn unread(error: diesel::result::Error) -> OpenError {
    OpenError::Read { reason: error.to_string() }
}
