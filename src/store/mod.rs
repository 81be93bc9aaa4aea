//! Storage of what lasts: messages, marks and revocations, in SQLite or PostgreSQL.
//!
//! A folder a capability has what can be asked of it, its commands, its queries and its SQL. Writes go through
//! [`lanes`], then [`sqlite`] or [`postgres`], and are told of only when they are durable; reads go through a pool
//! ([`readers`]). [`database`] has connections and tables. A watchdog answers for threads that hang in the
//! database.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::config::{self, DatabaseUrl};
use crate::event::overview::SyncPage;
use crate::event::{Committed, Refusal};
use crate::ids::{DatabaseGeneration, OpenId, now_ms};
use crate::lifecycle::{Draining, Vital};
use crate::metrics::Metrics;
use actix::{Recipient, System};

pub mod blocks;
pub mod conversations;
pub mod jobs;
pub mod messages;
pub mod moderation;
pub mod nodes;
pub mod notices;
pub mod operators;
pub mod presence;
pub mod profiles;
pub mod receipts;
pub mod revocations;

mod database;
mod lanes;
mod postgres;
mod readers;
mod sqlite;
mod upkeep;

#[cfg(test)]
mod tests;

pub use database::backup::record_backup;
pub use database::error::OpenError;
pub use database::examine::{Examination, examine};
pub use database::health::DatabaseState;
pub use database::indexes::{LATE_INDEXES, LateIndex};
pub use database::reach::{Reach, reach};
pub use lanes::command::{Command, PendingReply, QueuedCommand};
pub use lanes::deadlines::{CALLER_TIMEOUT, REPLY_TIMEOUT, SYNC_OVERLAP};
pub use lanes::write::{Reply, Submit, Write};
pub use messages::allowance::{Charge, row};
pub use nodes::heartbeats::{ALIVE_MS as NODE_ALIVE_MS, ShownNode, nodes};
pub use operators::command_line::{Operated, Operation, Revoking, operate};
pub use operators::live::{ANSWER_INTERVAL, SessionQuestion, answer as answer_sessions, ask as ask_sessions};
pub use operators::seen::{SEEN_WITHIN, Sight, write_seen_regularly};
pub use operators::traces::{TraceChange, TracedUser, change as change_traces};
pub use readers::query::Query;
pub use readers::reads_in_flight;
pub use upkeep::{lapse_bans, name_functions, observe, prune};

use conversations::Sync;
use database::clock::{self, Clock};
use database::health::Health;
use database::sqlite_file::{FileLock, OpenedFile, Writable};
use database::{backup, conn, generation, indexes, migrations, postgres_url};
use jobs::NextJob;
use jobs::queries::NextJobAt;
use lanes::deadlines::WATCHDOG_INTERVAL;
use lanes::{Lane, OnHang, Shared, batch, executor};
use messages::allowance::Allowance;
use operators::seen;
use readers::Readers;
use readers::query::Ping;
use revocations::{LogPage, LogQuestion, log};
use tokio::sync::Semaphore;

/// Large commands under way, such as changes of profiles: each may bring an image, and the messages of its batch
/// wait for that.
const LARGE_COMMANDS: usize = 64;

/// The way into the store: cheap to clone, usable from every thread.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: config::Database,
    shared: Arc<Shared>,
    lanes: Vec<Arc<Lane>>,
    /// The same on every node: a batch then meets only those of the other nodes' lanes of its number at the
    /// rows that both lock.
    hasher: BuildHasherDefault<DefaultHasher>,
    readers: Readers,
    /// Of SQLite.
    file: Option<OpenedFile>,
    allowance: Allowance,
    seen: seen::Seen,
    /// The number of the [`DatabaseGeneration`] that was seen last.
    generation: AtomicU64,
}

/// What the store is told of the limits.
#[derive(Debug, Clone, Copy)]
pub struct StoreLimits {
    /// Writes accepted and not yet delivered.
    pub writes_in_flight: usize,
    /// Conversations that a user may start in 24 hours; 0: no limit.
    pub new_conversations_per_day: u32,
    /// Milliseconds after which a message can no longer be recalled.
    pub recall_within_ms: i64,
    /// How many others a user may block; 0: no limit.
    pub blocks_per_user: u32,
    /// Bytes that a user may have stored in a day of UTC, on this node; 0: no limit.
    pub bytes_per_day: u64,
}

/// The write was not accepted: too many are under way, or the server is leaving. Nothing is stored.
#[derive(Debug)]
pub struct Full(pub Box<Write>);

/// The read could not be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is unavailable")]
pub struct Unavailable;

impl Store {
    /// Opens the database, brings its tables up to date and starts the lanes. Blocking: called before the
    /// server listens, on a thread with an actix system, on which the lanes' and readers' mailboxes then
    /// live. A SQLite file is locked until the last clone is gone and its lane has ended.
    ///
    /// # Errors
    /// [`OpenError`]; each says what to do.
    pub fn open(
        config: &config::Database,
        limits: StoreLimits,
        metrics: &Metrics,
        draining: &Draining,
        committed: Recipient<Committed>,
    ) -> Result<Self, OpenError> {
        let system = System::try_current()
            .ok_or_else(|| OpenError::Threads { reason: "no actix system is running".to_owned() })?;
        let (lock, lanes, on_hang) = match &config.url {
            DatabaseUrl::Sqlite(path) => (Some(FileLock::take(path)?), 1, OnHang::Wait),
            DatabaseUrl::Postgres(_) => (None, config.lanes.max(1), OnHang::Replace),
        };
        migrations::migrate(config)?;
        let file = match &config.url {
            DatabaseUrl::Sqlite(path) => Some(OpenedFile::new(path, config.cache_kib)),
            DatabaseUrl::Postgres(_) => None,
        };
        let health = Arc::<Health>::default();
        let generation = AtomicU64::new(generation::at_start(config)?.number());
        let clock = Clock::after(clock::reached_at_start(config)?);
        let shared = Arc::new(Shared {
            committed,
            metrics: metrics.clone(),
            limits,
            clock,
            draining: draining.clone(),
            health: health.clone(),
            free: Arc::new(Semaphore::new(limits.writes_in_flight)),
            free_for_large: Arc::new(Semaphore::new(LARGE_COMMANDS)),
            closed: AtomicBool::new(false),
            abandoned: Arc::default(),
            abandoned_at_most: lanes::abandoned_at_most(lanes),
            _lock: lock,
        });
        let lanes: Vec<_> = (0..lanes).map(|_| Arc::new(Lane::new(shared.clone(), on_hang))).collect();
        for lane in &lanes {
            executor::start(lane, config);
        }
        let readers = Readers::start(config, &health, metrics, draining);
        let inner = Inner {
            database: config.clone(),
            shared,
            lanes,
            hasher: BuildHasherDefault::default(),
            readers,
            file,
            allowance: Allowance::new(limits.bytes_per_day),
            seen: seen::Seen::default(),
            generation,
        };
        let inner = Arc::new(inner);
        let watched = Arc::downgrade(&inner);
        let vital = Vital::new("store's watchdog", draining);
        let watchdog = std::thread::Builder::new()
            .name("hongyan-watchdog".into())
            .spawn(move || watch(&watched, system, vital));
        watchdog.map_err(|e| OpenError::Threads { reason: e.to_string() })?;
        Ok(Self { inner })
    }

    /// Sets bytes of a user's day aside for what is to be stored; none where there is no limit. Whoever
    /// stores it says how much was kept.
    ///
    /// # Errors
    /// The user has no more of them: the milliseconds until the day ends.
    pub fn charge(&self, openid: &OpenId, bytes: u64) -> Result<Option<Charge>, u64> {
        self.inner.allowance.charge(openid, bytes, now_ms())
    }

    /// Hands a write in; never blocks. What became of it comes as an [`crate::event::Event`] (or through its
    /// [`Reply`]), within three seconds; where its commit takes longer, that it is unavailable, and what became
    /// of it as an event of its own later.
    ///
    /// # Errors
    /// [`Full`] gives the write back.
    pub fn submit(&self, write: impl Submit, reply: Reply) -> Result<(), Full> {
        self.submit_beside(0, write.into_write(), reply)
    }

    /// [`Store::submit`] for what can wait and nobody waits for: accepted only while half of the places are
    /// free, so that no message is refused for it.
    ///
    /// # Errors
    /// [`Full`] gives the write back.
    pub fn submit_background(&self, write: impl Submit) -> Result<(), Full> {
        self.submit_beside(self.half(), write.into_write(), Reply::Nobody)
    }

    /// Hands a write in, and waits until it is durable.
    ///
    /// # Errors
    /// Why it was not done. [`Refusal::Unavailable`] leaves open whether it was, unless the store had no room.
    pub async fn execute<S: Submit>(&self, write: S) -> Result<S::Reply, Refusal> {
        self.execute_beside(0, write).await
    }

    /// [`Store::execute`] for what can wait, as [`Store::submit_background`].
    ///
    /// # Errors
    /// As of [`Store::execute`].
    pub async fn execute_background<S: Submit>(&self, write: S) -> Result<S::Reply, Refusal> {
        self.execute_beside(self.half(), write).await
    }

    async fn execute_beside<S: Submit>(&self, spared: usize, write: S) -> Result<S::Reply, Refusal> {
        let (reply, outcome) = PendingReply::new();
        self.submit_beside(spared, write.into_write(), Reply::Caller(reply))
            .map_err(|_| Refusal::Unavailable)?;
        outcome.await.unwrap_or(Err(Refusal::Unavailable))
    }

    /// Half of the places.
    fn half(&self) -> usize {
        self.inner.shared.limits.writes_in_flight.div_ceil(2)
    }

    /// Leaves so many places free.
    fn submit_beside(&self, spared: usize, mut write: Write, reply: Reply) -> Result<(), Full> {
        let shared = &self.inner.shared;
        if shared.closed.load(Ordering::SeqCst) {
            return Err(Full(Box::new(write)));
        }
        if let Write::Command(queued) = &mut write
            && queued.command.is_large()
        {
            let place = shared.free_for_large.clone().try_acquire_owned().ok();
            if place.is_none() {
                return Err(Full(Box::new(write)));
            }
            // Nobody else has it yet.
            if let Some(queued) = Arc::get_mut(queued) {
                queued.place = place;
            }
        }
        let is_free = shared.free.available_permits() > spared;
        let place = is_free.then(|| shared.free.clone().try_acquire_owned().ok()).flatten();
        let Some(place) = place else { return Err(Full(Box::new(write))) };
        shared.count();
        let lanes = &self.inner.lanes;
        let lane = match lanes.as_slice() {
            [lane] => lane,
            // A user's marks and messages of one conversation have one key, and so one lane.
            lanes => {
                let hash = self.inner.hasher.hash_one(batch::order(&write));
                &lanes[usize::try_from(hash % lanes.len() as u64).unwrap_or(0)]
            }
        };
        lane.submit(write, reply, place);
        Ok(())
    }

    /// Asks for what is committed at this moment.
    ///
    /// # Errors
    /// [`Unavailable`] when the database does not answer within three seconds, or too many reads are under
    /// way.
    pub async fn ask<Q: Query>(&self, query: Q) -> Result<Q::Answer, Unavailable> {
        self.inner.readers.ask(query).await
    }

    /// What somebody missed.
    ///
    /// # Errors
    /// [`Unavailable`], as of [`Store::ask`].
    pub async fn sync(&self, sync: Sync) -> Result<SyncPage, Unavailable> {
        self.ask(conversations::sync::SyncAt {
            sync,
            now: self.inner.shared.clock.now(),
            generation: self.generation(),
        })
        .await
    }

    /// Whether indexes that come late are built beside running servers.
    pub fn builds_late_indexes(&self) -> bool {
        matches!(self.inner.database.url, DatabaseUrl::Postgres(_))
    }

    /// Builds an index where it is not there whole. Blocking, for as long as it takes.
    ///
    /// # Errors
    /// [`OpenError`]: it is not there.
    pub fn build_index(&self, index: &LateIndex) -> Result<(), OpenError> {
        indexes::build_on_postgres(&self.inner.database, index)
    }

    /// Which database it is, as it was seen last.
    pub fn generation(&self) -> DatabaseGeneration {
        DatabaseGeneration::of_number(self.inner.generation.load(Ordering::Relaxed))
    }

    /// Whether another database may take the place of this one while the server runs.
    pub fn may_change_generation(&self) -> bool {
        matches!(self.inner.database.url, DatabaseUrl::Postgres(_))
    }

    /// Looks which database it is now.
    ///
    /// # Errors
    /// [`Unavailable`], as of [`Store::ask`].
    pub async fn look_at_generation(&self) -> Result<DatabaseGeneration, Unavailable> {
        if let Some(now) = self.ask(generation::GenerationNow).await? {
            self.inner.generation.store(now.number(), Ordering::Relaxed);
        }
        Ok(self.generation())
    }

    /// Entries of the log of revocations.
    ///
    /// # Errors
    /// [`Unavailable`], as of [`Store::ask`].
    pub async fn revocations(&self, question: LogQuestion) -> Result<LogPage, Unavailable> {
        self.ask(log::LogQuestionAt { question, now: self.inner.shared.clock.now() }).await
    }

    /// In how many milliseconds the next job is to be taken; 0: now. None: there is none.
    ///
    /// # Errors
    /// [`Unavailable`], as of [`Store::ask`].
    pub async fn next_job(&self, next: NextJob) -> Result<Option<u64>, Unavailable> {
        self.ask(NextJobAt { next, now: self.inner.shared.clock.now() }).await
    }

    /// How things stand with the database, by the last connection that was tried.
    pub fn state(&self) -> DatabaseState {
        self.inner.shared.health.state()
    }

    /// Asks the database how things stand: whether it answers, and of SQLite whether its file can be written.
    ///
    /// # Errors
    /// [`Unavailable`], as of [`Store::ask`].
    pub async fn look(&self) -> Result<DatabaseState, Unavailable> {
        let health = &self.inner.shared.health;
        let Some(file) = self.inner.file.clone() else { return self.ask(Ping).await.map(|()| self.state()) };
        let tries = health.refuses_writes();
        if let Some(reason) = self.ask(Writable { file, tries }).await? {
            return Ok(DatabaseState::Unwritable(reason));
        }
        if tries {
            health.written();
        }
        Ok(self.state())
    }

    /// Accepts nothing more, and waits until everything submitted is committed and emitted, at most so long.
    /// Whether it is; then the lanes are closed, and SQLite's log is moved into the database for as long as
    /// there is time.
    pub async fn drain(&self, at_most: Duration) -> bool {
        self.inner.shared.closed.store(true, Ordering::SeqCst);
        let until = Instant::now() + at_most;
        if !self.all_lanes(until, |lane| lane.is_idle() || lane.has_ended()).await {
            return false;
        }
        for lane in &self.inner.lanes {
            lane.close();
        }
        self.all_lanes(until, Lane::has_ended).await;
        true
    }

    async fn all_lanes(&self, until: Instant, are: impl Fn(&Lane) -> bool) -> bool {
        loop {
            if self.inner.lanes.iter().all(|lane| are(lane)) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.close();
        }
    }
}

/// Answers for threads that hang, and replaces them. It has a thread of its own: nothing that hangs can hold
/// it up.
fn watch(store: &Weak<Inner>, system: System, vital: Vital) {
    System::set_current(system);
    loop {
        std::thread::sleep(WATCHDOG_INTERVAL);
        let Some(store) = store.upgrade() else {
            // Ending in order is no death.
            std::mem::forget(vital);
            return;
        };
        let now = Instant::now();
        for lane in &store.lanes {
            if lane.answer_overdue(now) {
                executor::start(lane, &store.database);
            }
        }
        store.readers.replace_hung(now);
        store.shared.count();
    }
}

/// Looks whether a server could use this database, as far as that is known without PostgreSQL, and without
/// its lock. Makes nothing. Blocking.
///
/// # Errors
/// [`OpenError`]; each says what to do.
pub fn check(config: &config::Database) -> Result<(), OpenError> {
    match &config.url {
        DatabaseUrl::Sqlite(path) => conn::check_sqlite(path),
        DatabaseUrl::Postgres(url) => postgres_url::check(url),
    }
}

/// Brings the tables of a database up to date, with the indexes that servers would build beside their work.
///
/// # Errors
/// [`OpenError`]; each says what to do.
pub fn migrate(config: &config::Database) -> Result<(), OpenError> {
    migrations::migrate(config)?;
    indexes::build_all(config)
}

/// Copies a SQLite database to `file`, page by page, while it is in use. A file that exists is never
/// overwritten.
///
/// # Errors
/// [`OpenError`]; of PostgreSQL it names pg_dump.
pub fn backup(config: &config::Database, file: &Path) -> Result<(), OpenError> {
    match &config.url {
        DatabaseUrl::Sqlite(path) => {
            conn::is_ours(path)?;
            backup::copy(path, file)
        }
        DatabaseUrl::Postgres(_) => Err(OpenError::BackupPostgres),
    }
}

/// Asks a database once, beside a server that may be running.
///
/// # Errors
/// [`OpenError`]; each says what to do.
pub fn look<Q: Query>(config: &config::Database, query: &Q) -> Result<Q::Answer, OpenError> {
    let mut conn = match &config.url {
        DatabaseUrl::Sqlite(path) => {
            conn::is_ours(path)?;
            conn::Conn::Sqlite(conn::sqlite_reader(path, config.cache_kib)?)
        }
        DatabaseUrl::Postgres(url) => conn::Conn::Postgres(conn::postgres(url, config.prepared_statements)?),
    };
    query.run(&mut conn).map_err(|e| OpenError::Read { reason: e.to_string() })
}
