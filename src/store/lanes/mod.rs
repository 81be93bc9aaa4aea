//! Group commit. A lane is a queue and one thread that empties it, a batch a transaction: what arrives while
//! a batch is being committed goes into the next one, so a lone message waits for nobody and a crowd shares
//! one sync of the disk.
//!
//! A batch stays here until its thread is back, however late, and its outcomes are emitted then. Its
//! requesters are answered in time without them ([`state`]).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::Recipient;
use diesel::PgConnection;
use state::{Emission, LaneState, NextStep, OverdueSweep};
use tokio::sync::Semaphore;

use crate::event::{Committed, Places};
use crate::lifecycle::{Draining, Vital};
use crate::metrics::Metrics;
use crate::store::database::clock::Clock;
use crate::store::database::health::Health;
use crate::store::database::sqlite_file::FileLock;
use crate::store::lanes::batch::Outcome;
use crate::store::{Reply, StoreLimits, Write};

pub(in crate::store) mod batch;
pub(in crate::store) mod command;
pub(in crate::store) mod deadlines;
pub(in crate::store) mod executor;
mod state;
mod traced;
pub(in crate::store) mod write;

pub(in crate::store) use state::{Batch, OnHang};

/// Threads that hang in the database and were replaced, at one time; beyond it the process ends. A stall that
/// all lanes see once is not beyond it.
const ABANDONED: usize = 32;
const ABANDONED_A_LANE: usize = 8;

/// How many threads of so many lanes may hang at one time.
pub(in crate::store) fn abandoned_at_most(lanes: usize) -> usize {
    ABANDONED.max(ABANDONED_A_LANE * lanes)
}

/// What all lanes of a store have in common.
pub(in crate::store) struct Shared {
    pub(in crate::store) committed: Recipient<Committed>,
    pub(in crate::store) metrics: Metrics,
    pub(in crate::store) limits: StoreLimits,
    pub(in crate::store) clock: Clock,
    pub(in crate::store) draining: Draining,
    pub(in crate::store) health: Arc<Health>,
    /// Free places of the queue, `limits.writes_in_flight` in all.
    pub(in crate::store) free: Arc<Semaphore>,
    /// The same of large commands.
    pub(in crate::store) free_for_large: Arc<Semaphore>,
    /// Set when nothing more is accepted.
    pub(in crate::store) closed: AtomicBool,
    /// Threads given up that have not come back.
    pub(in crate::store) abandoned: Arc<AtomicUsize>,
    pub(in crate::store) abandoned_at_most: usize,
    /// Here, so that the file stays ours as long as a lane's thread may write.
    pub(in crate::store) _lock: Option<FileLock>,
}

impl Shared {
    fn emit(&self, Emission { mut report, places }: Emission) {
        if report.is_empty() && places.is_none() {
            return;
        }
        let events = std::mem::take(&mut report.events);
        traced::settled(&events);
        if !events.is_empty() {
            self.committed.do_send(Committed { events, places });
        }
        report.reply_to_callers();
        self.count();
    }

    /// Brings the gauge up to date: the chat gives places back without a word.
    pub(in crate::store) fn count(&self) {
        let taken = self.limits.writes_in_flight - self.free.available_permits();
        self.metrics.writes_in_flight.set(i64::try_from(taken).unwrap_or(i64::MAX));
    }
}

/// One queue. The same conversation always goes through the same lane of a node.
pub(in crate::store) struct Lane {
    shared: Arc<Shared>,
    state: Mutex<LaneState>,
    /// Taken before the state is changed and held until the emission is sent: emissions keep the order of the
    /// changes.
    emit_order: Mutex<()>,
    /// Wakes the thread that is asleep. A message a write would go through the main thread, which forwards a
    /// SyncArbiter's mail: a lone message would pay for one more switch of threads there and back.
    work: Condvar,
    /// Connection of a thread that was given up, for the next one: where connecting takes longer than a
    /// thread may, the third finds the first one's, and the lane goes on.
    spare: Mutex<Option<PgConnection>>,
    /// The thread has done its last after the lane was closed.
    ended: AtomicBool,
}

impl Lane {
    pub(in crate::store) fn new(shared: Arc<Shared>, on_hang: OnHang) -> Self {
        let (state, emit_order) = (Mutex::new(LaneState::new(on_hang)), Mutex::default());
        Self {
            shared,
            state,
            emit_order,
            work: Condvar::new(),
            spare: Mutex::default(),
            ended: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, LaneState> {
        // No code under this lock panics half way; should it, the state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit_order(&self) -> MutexGuard<'_, ()> {
        self.emit_order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation that a thread started now belongs to.
    pub(in crate::store) fn generation(&self) -> u64 {
        self.state().generation()
    }

    pub(in crate::store) fn submit(&self, write: Write, reply: Reply, place: Places) {
        let wake = self.state().submit(write, reply, place, Instant::now());
        if wake {
            self.work.notify_one();
        }
    }

    /// Waits for the next batch of the thread of this generation; none when the thread has been replaced or
    /// the lane is closed.
    pub(in crate::store) fn next(&self, generation: u64) -> Option<Batch> {
        let mut state = self.state();
        loop {
            match state.next(generation, Instant::now()) {
                NextStep::Commit(batch) => return Some(batch),
                NextStep::End => return None,
                NextStep::Sleep => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Emits the outcomes of a batch. With `down` the queued writes are refused too, because the database
    /// would refuse them as well.
    pub(in crate::store) fn settle(&self, generation: u64, batch: Batch, outcomes: Vec<Outcome>, down: bool) {
        let _order = self.emit_order();
        let settled = self.state().settle(generation, &outcomes, down);
        drop(batch);
        if let Some((writes, since)) = settled.came_late() {
            let after_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            log::warn!(writes = writes, after_ms = after_ms; "the database answers late; what it stored is told now");
        }
        self.shared.emit(settled.emission(outcomes));
    }

    /// Answers overdue writes as unavailable. Returns true when the thread is given up and another must be
    /// started.
    pub(in crate::store) fn answer_overdue(&self, now: Instant) -> bool {
        let _order = self.emit_order();
        let (before, OverdueSweep { emission, answered, is_hung }, after) = {
            let mut state = self.state();
            let before = state.generation();
            let overdue = state.overdue(now);
            (before, overdue, state.generation())
        };
        let is_given_up = before != after;
        if is_hung {
            self.shared.health.hung(answered);
        } else if answered > 0 {
            self.shared.health.slow(answered);
        }
        if is_given_up
            && self.shared.abandoned.fetch_add(1, Ordering::SeqCst) >= self.shared.abandoned_at_most
        {
            drop(Vital::new("store: too many threads hang in the database", &self.shared.draining));
        }
        self.shared.emit(emission);
        is_given_up
    }

    /// Leaves a connection for the thread that serves the lane.
    pub(in crate::store) fn leave_connection(&self, connection: Option<PgConnection>) {
        if connection.is_some() {
            *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = connection;
        }
    }

    /// Takes the connection that another thread has left.
    pub(in crate::store) fn take_connection(&self) -> Option<PgConnection> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A thread that had been given up has come back, and ends.
    pub(in crate::store) fn came_back(&self) {
        self.shared.abandoned.fetch_sub(1, Ordering::SeqCst);
    }

    pub(in crate::store) fn is_current(&self, generation: u64) -> bool {
        self.state().generation() == generation
    }

    pub(in crate::store) fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    /// Lets the thread end once the queue is empty.
    pub(in crate::store) fn close(&self) {
        self.state().close();
        self.work.notify_one();
    }

    /// The thread that served this lane has ended in order.
    pub(in crate::store) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub(in crate::store) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    pub(in crate::store) fn shared(&self) -> &Shared {
        &self.shared
    }
}
