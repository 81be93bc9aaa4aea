//! Reading: a pool of connections and as many threads, apart from the lanes, so that no reader waits for a
//! writer or holds one up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use actix::{Actor, Addr, Handler, Message, SyncArbiter, SyncContext};
use diesel::result::{DatabaseErrorKind, Error};
use r2d2::{ManageConnection, Pool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::Database;
use crate::lifecycle::{Draining, Vital};
use crate::metrics::Metrics;
use crate::store::Query;
use crate::store::Unavailable;
use crate::store::database::conn::Opener;
use crate::store::database::health::Health;
use crate::store::lanes::deadlines::{CHECKOUT_TIMEOUT, READ_DEADLINE, READER_HUNG_AFTER};

pub(in crate::store) mod query;

/// Reads under way for each connection; beyond it the answer comes at once, and is no.
const READS_EACH: usize = 128;
/// Maximum number of replaced crews that still hang; beyond it the process ends.
const REPLACED: usize = 4;

/// Maximum reads under way with these settings.
pub fn reads_in_flight(config: &Database) -> usize {
    config.readers.max(1) * READS_EACH
}

pub(in crate::store) struct Readers {
    database: Database,
    health: Arc<Health>,
    metrics: Metrics,
    draining: Draining,
    crew: Mutex<Crew>,
    /// Desks of replaced crews that still have a thread at work.
    replaced: Mutex<Vec<Desks>>,
}

/// Start of each thread's current read.
type Desks = Arc<Vec<Mutex<Option<Instant>>>>;

/// The threads of one generation.
#[derive(Clone)]
struct Crew {
    address: Addr<Reader>,
    at_work: Desks,
    pool: Pool<Opener>,
    /// Places for reads under way with this crew: those that hang with one crew take none from the next.
    free: Arc<Semaphore>,
}

impl Readers {
    /// Starts the threads. An actix system must be current. Connections are made as they are needed.
    pub(in crate::store) fn start(
        database: &Database,
        health: &Arc<Health>,
        metrics: &Metrics,
        draining: &Draining,
    ) -> Self {
        Self {
            crew: Mutex::new(crew(database, health, metrics, draining)),
            health: health.clone(),
            database: database.clone(),
            metrics: metrics.clone(),
            draining: draining.clone(),
            replaced: Mutex::default(),
        }
    }

    fn current(&self) -> Crew {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::store) async fn ask<Q: Query>(&self, query: Q) -> Result<Q::Answer, Unavailable> {
        let crew = self.current();
        let place = Place::take(&crew.free, &self.metrics).ok_or(Unavailable)?;
        let (answer, answered) = oneshot::channel();
        crew.address.do_send(Ask { query, answer, place });
        drop(crew);
        match tokio::time::timeout(READ_DEADLINE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Unavailable),
        }
    }

    /// Starts new threads when all hang in the database. An actix system must be current.
    pub(in crate::store) fn replace_hung(&self, now: Instant) {
        let current = self.current();
        let state = current.pool.state();
        self.metrics.pool_connections.set(i64::from(state.connections));
        self.metrics.pool_idle.set(i64::from(state.idle_connections));
        let hangs = |desk: &Mutex<Option<Instant>>| {
            at_work_since(desk).is_some_and(|since| now.duration_since(since) >= READER_HUNG_AFTER)
        };
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads that came back end, for nobody asks them any more.
        replaced.retain(|desks| desks.iter().any(|desk| at_work_since(desk).is_some()));
        if !current.at_work.iter().all(hangs) {
            return;
        }
        log::error!("every reading thread hangs in the database; they are replaced");
        if replaced.len() >= REPLACED {
            drop(Vital::new("store: its reading threads hang in the database", &self.draining));
        }
        replaced.push(current.at_work);
        drop(replaced);
        let fresh = crew(&self.database, &self.health, &self.metrics, &self.draining);
        *self.crew.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

fn at_work_since(desk: &Mutex<Option<Instant>>) -> Option<Instant> {
    *desk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn crew(database: &Database, health: &Arc<Health>, metrics: &Metrics, draining: &Draining) -> Crew {
    let threads = database.readers.max(1);
    let at_work: Desks = Arc::new((0..threads).map(|_| Mutex::default()).collect());
    let pool = Pool::builder()
        .max_size(u32::try_from(threads).unwrap_or(u32::MAX))
        .min_idle(Some(1))
        .connection_timeout(CHECKOUT_TIMEOUT)
        .error_handler(Box::new(Quiet))
        .build_unchecked(Opener { database: database.clone(), health: health.clone() });
    let next = AtomicUsize::new(0);
    let (desks, connections, health) = (at_work.clone(), pool.clone(), health.clone());
    let (metrics, draining) = (metrics.clone(), draining.clone());
    let address = SyncArbiter::start_with_thread_builder(
        threads,
        || std::thread::Builder::new().name("hongyan-reader".into()),
        move || Reader {
            pool: connections.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
            at_work: desks.clone(),
            desk: next.fetch_add(1, Ordering::SeqCst) % threads,
            vital: Some(Vital::new("store", &draining)),
        },
    );
    Crew { address, at_work, pool, free: Arc::new(Semaphore::new(reads_in_flight(database))) }
}

/// Says nothing: the [`Opener`] has told the [`Health`], which says it once for all threads.
#[derive(Debug)]
struct Quiet;

impl r2d2::HandleError<<Opener as ManageConnection>::Error> for Quiet {
    fn handle_error(&self, _: <Opener as ManageConnection>::Error) {}
}

/// One read under way, counted.
struct Place {
    metrics: Metrics,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(free: &Arc<Semaphore>, metrics: &Metrics) -> Option<Self> {
        let permit = free.clone().try_acquire_owned().ok()?;
        metrics.reads_in_flight.inc();
        Some(Self { metrics: metrics.clone(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.reads_in_flight.dec();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ask<Q: Query> {
    query: Q,
    answer: oneshot::Sender<Result<Q::Answer, Unavailable>>,
    place: Place,
}

/// Answers reads, one at a time on its thread.
struct Reader {
    pool: Pool<Opener>,
    health: Arc<Health>,
    metrics: Metrics,
    at_work: Desks,
    desk: usize,
    vital: Option<Vital>,
}

impl Actor for Reader {
    type Context = SyncContext<Self>;

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        // Ending in order is no death: nobody can ask this thread for anything any more.
        std::mem::forget(self.vital.take());
    }
}

impl<Q: Query> Handler<Ask<Q>> for Reader {
    type Result = ();

    fn handle(&mut self, ask: Ask<Q>, _ctx: &mut Self::Context) {
        let Ask { query, answer, place } = ask;
        // Whoever asked has given up: the next one has not.
        if answer.is_closed() {
            return;
        }
        self.set_desk(Some(Instant::now()));
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| self.read(&query))).unwrap_or(Err(Unavailable));
        self.metrics.read_seconds.observe(began.elapsed().as_secs_f64());
        self.set_desk(None);
        drop(place);
        // One who has gone is not told.
        let _ = answer.send(result);
    }
}

impl Reader {
    fn set_desk(&self, since: Option<Instant>) {
        if let Some(desk) = self.at_work.get(self.desk) {
            *desk.lock().unwrap_or_else(PoisonError::into_inner) = since;
        }
    }

    fn read<Q: Query>(&self, query: &Q) -> Result<Q::Answer, Unavailable> {
        let mut conn = self.pool.get().map_err(|error| {
            self.health.read_failed(&error.to_string());
            Unavailable
        })?;
        let result = query.run(&mut conn);
        match &result {
            Ok(_) => self.health.has_read(),
            Err(Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                info,
            )) => {
                self.health.gone(info.message());
            }
            Err(error) => self.health.read_failed(&error.to_string()),
        }
        result.map_err(|_| Unavailable)
    }
}

#[cfg(test)]
mod tests;
