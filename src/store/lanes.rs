//! Group commit. A lane is a queue and one thread that empties it, a batch a transaction: what arrives while a batch is being
//! committed goes into the next one, so a lone message waits for nobody and a crowd shares one sync of the disk.
//!
//! The writes of a batch stay here while a thread works on them, so that they can be answered when the thread does not come back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix::Recipient;

use super::StoreLimits;
use super::batch::{Outcome, Report};
use super::clock::Clock;
use super::conn::FileLock;
use super::health::Health;
use super::messages::{
    Abandon, Answer, Audit, Block, Clear, ConversationSettings, Decide, GrantChange, Mark, ProfileChange, QuietHours, Reserve, Revoke,
    Settle, Write,
};
use crate::event::{Committed, Places, Refusal};
use crate::lifecycle::{Draining, Vital};
use crate::metrics::Metrics;

/// Writes in one transaction. Beyond 512 the gain is small, but a full batch of one shape of load is a third of what is under way.
const BATCH: usize = 2048;
/// How long after its submission a write is answered at the latest; the promise is three seconds.
const DEADLINE: Duration = Duration::from_millis(2500);
/// Threads that hang in the database and were replaced, at one time; beyond it the process ends. A stall that all lanes see once is not
/// beyond it.
const ABANDONED: usize = 32;
const ABANDONED_A_LANE: usize = 8;

/// How many threads of so many lanes may hang at one time.
pub(super) fn abandoned_at_most(lanes: usize) -> usize {
    ABANDONED.max(ABANDONED_A_LANE * lanes)
}

/// What all lanes of a store have in common.
pub(super) struct Shared {
    pub(super) committed: Recipient<Committed>,
    pub(super) metrics: Metrics,
    pub(super) limits: StoreLimits,
    pub(super) clock: Clock,
    pub(super) draining: Draining,
    pub(super) health: Arc<Health>,
    /// Places taken, see [`Places`].
    pub(super) taken: Arc<AtomicUsize>,
    /// The same of changes of profiles.
    pub(super) profiles_taken: Arc<AtomicUsize>,
    /// Set when nothing more is accepted.
    pub(super) closed: AtomicBool,
    /// Threads given up that have not come back.
    pub(super) abandoned: Arc<AtomicUsize>,
    pub(super) abandoned_at_most: usize,
    /// Here, so that the file stays ours as long as a lane's thread may write.
    pub(super) _lock: Option<FileLock>,
}

impl Shared {
    fn emit(&self, report: Report, places: Option<Places>) {
        let mut report = report;
        let events = std::mem::take(&mut report.events);
        if let Some(places) = places
            && !events.is_empty()
        {
            self.committed.do_send(Committed { events, places });
        }
        report.answer_callers();
        self.count();
    }

    /// Brings the gauge up to date: the chat gives places back without a word.
    pub(super) fn count(&self) {
        self.metrics.writes_in_flight.set(i64::try_from(self.taken.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
    }
}

/// A write in the queue, with its answer taken out.
struct Pending {
    write: Write,
    answer: Answer,
    since: Instant,
    place: Places,
}

/// What a thread is at work on.
struct Running {
    writes: Arc<Vec<Write>>,
    answers: Vec<Answer>,
    places: Option<Places>,
    oldest: Instant,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Pending>,
    /// The writes that the thread is at work on, unless they were answered meanwhile.
    running: Option<Running>,
    /// Since when the thread is at work on a batch.
    began: Option<Instant>,
    /// The thread has told everything of what it did, and waits for work.
    asleep: bool,
    /// Which thread this lane listens to.
    generation: u64,
    /// Nobody will hand anything in any more.
    closed: bool,
    /// The thread has done its last after that.
    ended: bool,
}

/// One queue. The same conversation always goes through the same lane of a node.
pub(super) struct Lane {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// Wakes the thread that is asleep. A message a write would go through the main thread, which forwards a SyncArbiter's mail: a lone
    /// message would pay for one more switch of threads there and back.
    work: Condvar,
}

/// A batch that is to be committed now.
pub(super) struct Batch {
    pub(super) writes: Arc<Vec<Write>>,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, state: Mutex::default(), work: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under this lock panics half way; should it, the state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation that a thread started now belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.state().generation
    }

    pub(super) fn submit(&self, mut write: Write, place: Places) {
        let answer = match &mut write {
            Write::Append(_) => Answer::Nobody,
            Write::Mark(Mark { answer, .. })
            | Write::Clear(Clear { answer, .. })
            | Write::Block(Block { answer, .. })
            | Write::Revoke(Revoke { answer, .. })
            | Write::Profile(ProfileChange { answer, .. })
            | Write::Audit(Audit { answer, .. })
            | Write::Decide(Decide { answer, .. })
            | Write::Grant(GrantChange { answer, .. })
            | Write::Reserve(Reserve { answer, .. })
            | Write::Settle(Settle { answer, .. })
            | Write::Abandon(Abandon { answer, .. })
            | Write::Settings(ConversationSettings { answer, .. })
            | Write::Quiet(QuietHours { answer, .. }) => std::mem::replace(answer, Answer::Nobody),
        };
        let mut state = self.state();
        state.queue.push_back(Pending { write, answer, since: Instant::now(), place });
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.work.notify_one();
        }
    }

    /// Waits for the next batch of the thread of this generation; none when the thread has been replaced or the lane is closed.
    pub(super) fn next(&self, generation: u64) -> Option<Batch> {
        let mut state = self.state();
        let oldest = loop {
            if state.generation != generation {
                return None;
            }
            if let Some(pending) = state.queue.front() {
                break pending.since;
            }
            if state.closed {
                return None;
            }
            state.asleep = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let count = state.queue.len().min(BATCH);
        let mut writes = Vec::with_capacity(count);
        let mut answers = Vec::with_capacity(count);
        let mut places: Option<Places> = None;
        for pending in state.queue.drain(..count) {
            writes.push(pending.write);
            answers.push(pending.answer);
            match &mut places {
                Some(places) => places.join(pending.place),
                none => *none = Some(pending.place),
            }
        }
        let writes = Arc::new(writes);
        state.running = Some(Running { writes: writes.clone(), answers, places, oldest });
        state.began = Some(Instant::now());
        Some(Batch { writes })
    }

    /// Tells what became of a batch, unless it was answered without its thread.
    /// With `down` those who queued up meanwhile are refused too: they would only wait for the same refusal.
    pub(super) fn settle(&self, generation: u64, batch: Batch, outcomes: Vec<Outcome>, down: bool) {
        let (running, queue) = {
            let mut state = self.state();
            if state.generation != generation {
                log::warn!(writes = batch.writes.len(); "a thread came back late from the database; its writes had been answered as unavailable");
                return;
            }
            let queue = if down { std::mem::take(&mut state.queue) } else { VecDeque::new() };
            state.began = None;
            (state.running.take(), queue)
        };
        drop(batch);
        if let Some(running) = running {
            self.tell(running, outcomes);
        }
        self.refuse(queue);
    }

    fn tell(&self, running: Running, outcomes: Vec<Outcome>) {
        let writes = Arc::try_unwrap(running.writes).unwrap_or_else(|shared| shared.iter().map(Write::without_answer).collect());
        let mut report = Report::with_capacity(writes.len());
        let mut outcomes = outcomes.into_iter();
        for (write, answer) in writes.into_iter().zip(running.answers) {
            report.add(write, answer, outcomes.next().unwrap_or(Outcome::Refused(Refusal::Unavailable)));
        }
        self.shared.emit(report, running.places);
    }

    fn refuse(&self, queue: impl IntoIterator<Item = Pending>) {
        let mut report = Report::default();
        let mut places: Option<Places> = None;
        for pending in queue {
            report.add(pending.write, pending.answer, Outcome::Refused(Refusal::Unavailable));
            match &mut places {
                Some(places) => places.join(pending.place),
                none => *none = Some(pending.place),
            }
        }
        if places.is_some() {
            self.shared.emit(report, places);
        }
    }

    /// Answers what has waited too long since it was handed in. True when the thread has been at one batch for so long and is given up:
    /// then another must be started. A thread that is slow, and not hung, is left to its work: two of them would hold each other up.
    pub(super) fn answer_overdue(&self, now: Instant) -> bool {
        let overdue = |since: Instant| now.saturating_duration_since(since) >= DEADLINE;
        let (late, queue, hung) = {
            let mut state = self.state();
            let hung = state.began.is_some_and(overdue);
            if hung {
                state.generation += 1;
                state.began = None;
            }
            let late = state.running.take_if(|running| hung || overdue(running.oldest));
            let count = state.queue.iter().take_while(|pending| overdue(pending.since)).count();
            (late, state.queue.drain(..count).collect::<Vec<_>>(), hung)
        };
        let writes = late.as_ref().map_or(0, |running| running.writes.len()) + queue.len();
        if hung {
            self.shared.health.hung(writes);
            if self.shared.abandoned.fetch_add(1, Ordering::SeqCst) >= self.shared.abandoned_at_most {
                drop(Vital::new("store: too many threads hang in the database", &self.shared.draining));
            }
        } else if writes > 0 {
            self.shared.health.slow(writes);
        }
        if let Some(running) = late {
            self.tell(running, Vec::new());
        }
        self.refuse(queue);
        hung
    }

    /// A thread that had been given up has come back, and ends.
    pub(super) fn came_back(&self) {
        self.shared.abandoned.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.state().generation == generation
    }

    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.queue.is_empty() && state.asleep
    }

    /// Lets the thread end once the queue is empty.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.work.notify_one();
    }

    /// The thread that served this lane has ended in order.
    pub(super) fn end(&self) {
        self.state().ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}
