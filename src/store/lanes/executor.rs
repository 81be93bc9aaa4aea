//! The actor on a lane's thread: takes batch after batch, commits it, and has it told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Handler, Message, SyncArbiter, SyncContext};

use crate::config::{Database, DatabaseUrl};
use crate::event::Refusal;
use crate::ids::now_ms;
use crate::lifecycle::{Vital, abort_point};
use crate::store::Write;
use crate::store::database::error::Trouble;
use crate::store::lanes::batch::Outcome;
use crate::store::lanes::{Batch, Lane, Shared};
use crate::store::postgres::PostgresLane;
use crate::store::sqlite::SqliteLane;

/// How long the writes of a failed batch are tried one by one, to find the one at fault.
pub(in crate::store) const ONE_BY_ONE: Duration = Duration::from_millis(800);
/// So many failures in a row are not one write's fault.
const FAILURES: usize = 3;
/// Writes in a batch that show a busy machine: after such a batch the sockets' threads go first, so that they
/// hand in what has arrived and the next one is as large as it can be. On an idle machine nothing changes.
const CROWD: usize = 64;

/// Serve the lane until it is closed, or another thread has been named for it.
#[derive(Message)]
#[rtype(result = "()")]
struct Serve;

/// Commits the batches of one lane, alone on its thread.
pub struct DbExecutor {
    lane: Arc<Lane>,
    generation: u64,
    database: Database,
    backend: Backend,
    vital: Option<Vital>,
}

enum Backend {
    Sqlite(Box<SqliteLane>),
    Postgres(PostgresLane),
}

impl Backend {
    fn commit(&mut self, writes: &[Write]) -> Result<Vec<Outcome>, Trouble> {
        match self {
            Self::Sqlite(lane) => lane.commit(writes, now_ms()),
            Self::Postgres(lane) => lane.commit(writes, now_ms()),
        }
    }
}

/// Starts the thread that serves a lane from now on. An actix system must be current.
pub(in crate::store) fn start(lane: &Arc<Lane>, database: &Database) {
    let generation = lane.generation();
    let (lane, database) = (lane.clone(), database.clone());
    let executor = SyncArbiter::start_with_thread_builder(
        1,
        || std::thread::Builder::new().name("hongyan-lane".into()),
        move || DbExecutor {
            backend: backend_of(&database, lane.shared()),
            database: database.clone(),
            vital: Some(Vital::new("store", &lane.shared().draining)),
            lane: lane.clone(),
            generation,
        },
    );
    executor.do_send(Serve);
}

fn backend_of(database: &Database, shared: &Shared) -> Backend {
    match &database.url {
        DatabaseUrl::Sqlite(path) => {
            let lane = SqliteLane::new(path.clone(), database.cache_kib, shared.limits, shared.clock);
            Backend::Sqlite(Box::new(lane))
        }
        DatabaseUrl::Postgres(url) => {
            let health = shared.health.clone();
            Backend::Postgres(PostgresLane::new(
                url.clone(),
                database.prepared_statements,
                shared.limits,
                health,
            ))
        }
    }
}

impl Actor for DbExecutor {
    type Context = SyncContext<Self>;

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        // Ending in order is no death: nobody can ask this thread for anything any more.
        std::mem::forget(self.vital.take());
        if !self.lane.is_current(self.generation) {
            if let Backend::Postgres(lane) = &mut self.backend {
                self.lane.leave_connection(lane.take_connection());
            }
            self.lane.came_back();
            return;
        }
        if let Backend::Sqlite(lane) = &mut self.backend {
            lane.checkpoint();
        }
        self.lane.end();
    }
}

impl Handler<Serve> for DbExecutor {
    type Result = ();

    fn handle(&mut self, _: Serve, _ctx: &mut Self::Context) {
        if let Backend::Sqlite(lane) = &mut self.backend {
            lane.warm();
        }
        while let Some(batch) = self.lane.next(self.generation) {
            if let Backend::Postgres(lane) = &mut self.backend {
                lane.adopt(|| self.lane.take_connection());
            }
            let is_crowd = batch.writes.len() >= CROWD;
            let (outcomes, down) = self.commit(&batch);
            self.lane.settle(self.generation, batch, outcomes, down);
            if is_crowd {
                std::thread::yield_now();
            }
        }
    }
}

impl DbExecutor {
    /// What became of each write of a batch, and whether the database is of no use to anyone now.
    fn commit(&mut self, batch: &Batch) -> (Vec<Outcome>, bool) {
        let writes = batch.writes.as_slice();
        let metrics = &self.lane.shared().metrics;
        metrics.batch_writes.observe(writes.len() as f64);
        let began = Instant::now();
        abort_point("before-commit");
        let result = self.attempt(writes);
        abort_point("after-commit");
        self.lane.shared().metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
        match result {
            Ok(outcomes) => {
                self.lane.shared().health.written();
                (outcomes, false)
            }
            Err(trouble) => {
                // What broke a connection to PostgreSQL has been said where it was noticed.
                let is_said = matches!(
                    (&self.backend, &trouble),
                    (Backend::Postgres(_), Trouble::Gone { .. } | Trouble::ReadOnly(_))
                );
                if !is_said {
                    self.lane.shared().health.write_refused(trouble.reason(), writes.len());
                }
                match trouble {
                    Trouble::Refused(_) | Trouble::Stale if writes.len() > 1 => {
                        (self.one_by_one(writes, began), false)
                    }
                    Trouble::Refused(_) | Trouble::Stale => (unavailable(writes), false),
                    Trouble::Gone { .. } | Trouble::ReadOnly(_) | Trouble::Busy(_) => {
                        (unavailable(writes), true)
                    }
                }
            }
        }
    }

    /// A write that the database refuses must not take its neighbours with it.
    fn one_by_one(&mut self, writes: &[Write], began: Instant) -> Vec<Outcome> {
        let mut failures = 0;
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            let hopeless = failures >= FAILURES
                || began.elapsed() > ONE_BY_ONE
                || !self.lane.is_current(self.generation);
            let result = if hopeless {
                None
            } else {
                self.attempt(std::slice::from_ref(write)).ok().and_then(|mut one| one.pop())
            };
            match result {
                Some(outcome) => {
                    failures = 0;
                    self.lane.shared().health.written();
                    outcomes.push(outcome);
                }
                None => {
                    failures += 1;
                    outcomes.push(Outcome::Refused(Refusal::Unavailable));
                }
            }
        }
        outcomes
    }

    fn attempt(&mut self, writes: &[Write]) -> Result<Vec<Outcome>, Trouble> {
        let backend = &mut self.backend;
        match catch_unwind(AssertUnwindSafe(|| backend.commit(writes))) {
            Ok(result) => result,
            Err(_) => {
                // The panic hook has logged it. What the panic left behind is not used again.
                log::error!(writes = writes.len(); "a batch panicked; its connection is dropped");
                self.backend = backend_of(&self.database, self.lane.shared());
                Err(Trouble::Refused("a panic".to_owned()))
            }
        }
    }
}

fn unavailable(writes: &[Write]) -> Vec<Outcome> {
    writes.iter().map(|_| Outcome::Refused(Refusal::Unavailable)).collect()
}
