//! SQLite: one lane, one transaction a batch, few prepared statements. This process is the only writer (a file
//! lock says so), so what the lane knew after the last commit is remembered, for as long as SQLite's
//! `data_version` says that nobody else has written: a lone message costs one insert and one update, and at
//! times two keys of earlier ones.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use lru::LruCache;

use self::batch::Batch;
use self::cache::PageCache;
use self::head::Head;
use self::keys::Keys;
use self::wal::Room;
use crate::event::DirectPair;
use crate::lifecycle::abort_point;
use crate::store::database::clock::{self, AHEAD_MS, Clock};
use crate::store::database::conn;
use crate::store::database::error::Trouble;
use crate::store::database::statement::Statement;
use crate::store::lanes::batch::Outcome;
use crate::store::{StoreLimits, Write};

mod batch;
mod cache;
mod conversations;
mod groups;
mod head;
mod key_filter;
mod keys;
mod statements;
mod wal;

#[cfg(test)]
pub(super) use self::keys::hash as key_hash;
pub(super) use self::keys::make_up as make_up_keys;

/// Conversations remembered; about 300 bytes each.
const HEADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(32_767);

/// Heads of direct conversations.
type Heads = LruCache<DirectPair, Head>;

/// The one lane's connection and memory.
pub(super) struct SqliteLane {
    path: PathBuf,
    cache_kib: u32,
    limits: StoreLimits,
    clock: Clock,
    /// What stands in `store_clock`, or less.
    reached: i64,
    conn: Option<Open>,
    heads: Heads,
    /// Read when the connection is first used.
    keys: Option<Keys>,
}

struct Open {
    conn: SqliteConnection,
    /// SQLite's number for what others have written, when the heads were last known to hold.
    data_version: Option<i64>,
    cache: PageCache,
    /// None where the log has no room to be made, such as on a full disk.
    room: Option<Room>,
}

impl Open {
    fn of<'a>(open: &'a mut Option<Self>, path: &Path, cache_kib: u32) -> Result<&'a mut Self, Trouble> {
        match open {
            Some(open) => Ok(open),
            none => {
                let conn = conn::sqlite_writer(path, PageCache::first_kib(cache_kib));
                let conn = conn.map_err(|e| Trouble::Gone { reason: e.to_string(), asked: false })?;
                let (cache, room) = (PageCache::new(cache_kib), Room::of(path));
                Ok(none.insert(Self { conn, data_version: None, cache, room }))
            }
        }
    }
}

impl SqliteLane {
    pub(super) fn new(path: PathBuf, cache_kib: u32, limits: StoreLimits, clock: Clock) -> Self {
        Self {
            path,
            cache_kib,
            limits,
            clock,
            reached: 0,
            conn: None,
            heads: LruCache::new(HEADS),
            keys: None,
        }
    }

    /// Makes a batch durable, all or nothing.
    pub(super) fn commit(&mut self, writes: &[Write], now: i64) -> Result<Vec<Outcome>, Trouble> {
        let result = match self.attempt(writes, now) {
            // Another process wrote (a restored file, an operator's hand): look again, once.
            Err(Trouble::Stale) => self.attempt(writes, now),
            result => result,
        };
        if let Err(trouble) = &result
            && !matches!(trouble, Trouble::Busy(_) | Trouble::Stale)
        {
            // After a failed write or sync nothing that the connection holds in memory is to be trusted.
            self.conn = None;
        }
        result
    }

    fn attempt(&mut self, writes: &[Write], now: i64) -> Result<Vec<Outcome>, Trouble> {
        let Open { conn, data_version, cache, room } = Open::of(&mut self.conn, &self.path, self.cache_kib)?;
        let (heads, keys) = (&mut self.heads, &mut self.keys);
        let (limits, at) = (self.limits, self.clock.now());
        let reaches = at > self.reached + AHEAD_MS;
        let result = conn.immediate_transaction(|conn| {
            if let Some(Err(error)) = room.as_mut().map(Room::make) {
                log::debug!(reason:% = error; "the write-ahead log is not made longer ahead of its use: commits take longer");
                *room = None;
            }
            let version = DataVersion::read(conn)?;
            if data_version.replace(version) != Some(version) {
                heads.clear();
                Keys::check(keys, conn)?;
            }
            let keys = Keys::of(keys, conn)?;
            let mut batch = Batch::new(conn, heads, keys, limits, (now, at));
            let outcomes = batch.write_all(writes)?;
            let conversations = batch.finish()?;
            if reaches {
                clock::reach(conn, at)?;
                cache.grow(conn)?;
            }
            abort_point("within-commit");
            Ok((outcomes, conversations))
        });
        match result {
            Ok((outcomes, conversations)) => {
                self.keys.iter_mut().for_each(Keys::keep);
                conversations.remember(&mut self.heads);
                self.reached = if reaches { at } else { self.reached };
                Ok(outcomes)
            }
            Err(trouble) => {
                match &trouble {
                    Trouble::Stale => {
                        self.heads.clear();
                        self.keys = None;
                    }
                    _ => self.keys.iter_mut().for_each(Keys::undo),
                }
                Err(trouble)
            }
        }
    }

    /// Opens the connection and reads what the lane remembers, ahead of the first batch. Where that fails, the
    /// batch will say why.
    pub(super) fn warm(&mut self) {
        if let Ok(Open { conn, .. }) = Open::of(&mut self.conn, &self.path, self.cache_kib)
            && let Err(error) = Keys::of(&mut self.keys, conn)
        {
            log::debug!(reason:% = error; "the keys of messages are read with the first batch");
        }
    }

    /// Moves what the write-ahead log holds into the database: for a short start next time.
    pub(super) fn checkpoint(&mut self) {
        if let Some(Open { conn, .. }) = &mut self.conn
            && let Err(error) = conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        {
            log::info!(reason:% = error; "the last checkpoint was left to the next start");
        }
    }
}

#[derive(QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

impl DataVersion {
    fn read(conn: &mut SqliteConnection) -> QueryResult<i64> {
        Statement::new("PRAGMA data_version").get_result::<Self>(conn).map(|row| row.data_version)
    }
}
