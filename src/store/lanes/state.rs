//! State machine of one lane: the queue, the batches in flight, and the requesters that were answered
//! meanwhile. It has no thread and no clock, and sends nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::event::{Conversation, Places, Refusal};
use crate::ids::{OpenId, Seq};
use crate::store::conversations::Clear;
use crate::store::lanes::batch::{MarkKind, Outcome, Report, Requester};
use crate::store::lanes::deadlines::WRITE_DEADLINE;
use crate::store::receipts::Mark;
use crate::store::{Reply, Write};

/// Writes in one transaction. Beyond 512 the gain is small, but a full batch of one shape of load is a third
/// of what is under way.
const MAX_BATCH_WRITES: usize = 2048;

/// Policy for a thread that has been at one batch for [`WRITE_DEADLINE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum OnHang {
    /// The thread is given up and another one serves the lane: a new connection may get through.
    Replace,
    /// The thread is waited for: a SQLite file has one writer at a time, so that another thread would wait
    /// for this one.
    Wait,
}

/// Writes to be committed now, in one transaction.
pub(in crate::store) struct Batch {
    pub(in crate::store) writes: Arc<Vec<Write>>,
}

/// Next step of a lane's thread.
pub(in crate::store) enum NextStep {
    Commit(Batch),
    /// The queue is empty: sleep until woken.
    Sleep,
    /// Another thread serves the lane, or the lane is closed and empty.
    End,
}

/// A write in the queue.
struct QueuedWrite {
    write: Write,
    reply: Reply,
    since: Instant,
    place: Places,
}

/// A batch handed to a thread that has not come back.
struct BatchInFlight {
    generation: u64,
    began: Instant,
    is_hung: bool,
    writes: Arc<Vec<Write>>,
    /// One for each write.
    requesters: Vec<Requester>,
    places: Option<Places>,
    /// Highest seqs that other batches of the lane emitted meanwhile for the same marks and settings, by
    /// place in this batch. Only a batch whose thread was given up has any.
    told: HashMap<usize, Seq>,
}

/// Events and answers to be sent once the state is unlocked.
#[derive(Default)]
pub(in crate::store) struct Emission {
    pub(in crate::store) report: Report,
    /// Given back once the events are delivered.
    pub(in crate::store) places: Option<Places>,
}

/// Outcomes of a thread, not yet turned into an [`Emission`].
pub(in crate::store) struct SettledBatch {
    running: Option<BatchInFlight>,
    refused: VecDeque<QueuedWrite>,
}

/// Result of one look of the watchdog.
#[derive(Default)]
pub(in crate::store) struct OverdueSweep {
    pub(in crate::store) emission: Emission,
    /// Number of writes answered.
    pub(in crate::store) answered: usize,
    /// Set when the thread counts as hung from now on.
    pub(in crate::store) is_hung: bool,
}

pub(in crate::store) struct LaneState {
    on_hang: OnHang,
    queue: VecDeque<QueuedWrite>,
    running: Option<BatchInFlight>,
    /// Batches of threads that were given up and have not come back.
    given_up: Vec<BatchInFlight>,
    /// Generation of the thread that serves this lane.
    generation: u64,
    /// The thread has emitted everything and waits for work.
    asleep: bool,
    /// No further write is submitted.
    closed: bool,
}

impl LaneState {
    pub(in crate::store) fn new(on_hang: OnHang) -> Self {
        let (queue, given_up) = (VecDeque::new(), Vec::new());
        Self { on_hang, queue, running: None, given_up, generation: 0, asleep: false, closed: false }
    }

    /// Generation of a thread that is started now.
    pub(in crate::store) fn generation(&self) -> u64 {
        self.generation
    }

    /// Queues a write. Returns true when the thread must be woken.
    pub(in crate::store) fn submit(
        &mut self,
        write: Write,
        reply: Reply,
        place: Places,
        now: Instant,
    ) -> bool {
        self.queue.push_back(QueuedWrite { write, reply, since: now, place });
        std::mem::take(&mut self.asleep)
    }

    pub(in crate::store) fn next(&mut self, generation: u64, now: Instant) -> NextStep {
        if self.generation != generation {
            return NextStep::End;
        }
        if self.queue.is_empty() {
            self.asleep = !self.closed;
            return if self.closed { NextStep::End } else { NextStep::Sleep };
        }
        let count = self.queue.len().min(MAX_BATCH_WRITES);
        let (mut writes, mut requesters, mut places) =
            (Vec::with_capacity(count), Vec::with_capacity(count), None);
        for QueuedWrite { write, reply, since, place } in self.queue.drain(..count) {
            writes.push(write);
            requesters.push(Requester::Waits { reply, since });
            join(&mut places, Some(place));
        }
        let writes = Arc::new(writes);
        let told = HashMap::new();
        self.running = Some(BatchInFlight {
            generation,
            began: now,
            is_hung: false,
            writes: writes.clone(),
            requesters,
            places,
            told,
        });
        NextStep::Commit(Batch { writes })
    }

    /// Takes the batch of a thread that is back. With `down` the queued writes are refused too: they would
    /// only wait for the same refusal.
    pub(in crate::store) fn settle(
        &mut self,
        generation: u64,
        outcomes: &[Outcome],
        down: bool,
    ) -> SettledBatch {
        let is_late = generation != self.generation;
        let running = if is_late {
            let place = self.given_up.iter().position(|batch| batch.generation == generation);
            place.map(|place| self.given_up.remove(place))
        } else {
            self.running.take()
        };
        if let Some(running) = &running {
            for other in &mut self.given_up {
                other.overtaken_by(&running.writes, outcomes);
            }
        }
        let refused = if down && !is_late { std::mem::take(&mut self.queue) } else { VecDeque::new() };
        SettledBatch { running, refused }
    }

    /// Answers overdue writes. A batch in flight stays, and its outcomes are emitted when its thread is back.
    pub(in crate::store) fn overdue(&mut self, now: Instant) -> OverdueSweep {
        let mut overdue = OverdueSweep::default();
        let Emission { report, places } = &mut overdue.emission;
        if let Some(running) = &mut self.running {
            overdue.answered += running.answer_overdue(now, report);
            overdue.is_hung = !running.is_hung && is_over(running.began, now);
            running.is_hung |= overdue.is_hung;
        }
        if overdue.is_hung && self.on_hang == OnHang::Replace {
            self.generation += 1;
            self.given_up.extend(self.running.take().map(|mut late| {
                // It may never come back, and the lane goes on without it.
                join(places, late.places.take());
                late
            }));
        }
        let late = self.queue.iter().take_while(|pending| is_over(pending.since, now)).count();
        overdue.answered += late;
        refuse(self.queue.drain(..late), &mut overdue.emission);
        overdue
    }

    pub(in crate::store) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.asleep && self.given_up.is_empty()
    }

    /// Lets the thread end once the queue is empty.
    pub(in crate::store) fn close(&mut self) {
        self.closed = true;
    }
}

impl BatchInFlight {
    /// Answers the overdue writes of the batch. Returns their number.
    fn answer_overdue(&mut self, now: Instant, report: &mut Report) -> usize {
        let mut answered = 0;
        for (write, requester) in self.writes.iter().zip(&mut self.requesters) {
            let Requester::Waits { reply, since } = requester else { continue };
            if !is_over(*since, now) {
                break;
            }
            // A gathered receipt can wait.
            let is_waited_for = match write {
                Write::Append(_) => true,
                Write::Command(queued) if queued.command.outlasts_deadline() => false,
                _ => !matches!(reply, Reply::Nobody),
            };
            if is_waited_for
                && let Requester::Waits { reply, .. } = std::mem::replace(requester, Requester::Answered)
            {
                report.add_overdue(write, reply);
                answered += 1;
            }
        }
        answered
    }

    /// Notes the marks that another batch emits before this one: marks never go back.
    fn overtaken_by(&mut self, writes: &[Write], outcomes: &[Outcome]) {
        let mut told = HashMap::new();
        for (write, outcome) in writes.iter().zip(outcomes) {
            let seq = match outcome {
                Outcome::Mark { seq, .. } => *seq,
                Outcome::Command { .. } => Seq::ZERO,
                _ => continue,
            };
            if let Some(key) = setting_of(write) {
                let highest = told.entry(key).or_insert(seq);
                *highest = seq.max(*highest);
            }
        }
        for (place, write) in self.writes.iter().enumerate() {
            if let Some(seq) = setting_of(write).and_then(|key| told.get(&key)) {
                let highest = self.told.entry(place).or_insert(*seq);
                *highest = (*seq).max(*highest);
            }
        }
    }
}

impl SettledBatch {
    /// Number of writes and start of a batch whose thread had hung.
    pub(in crate::store) fn came_late(&self) -> Option<(usize, Instant)> {
        self.running
            .as_ref()
            .filter(|running| running.is_hung)
            .map(|running| (running.writes.len(), running.began))
    }

    /// Turns the outcomes into events and answers. The thread's own [`Batch`] must be dropped before.
    pub(in crate::store) fn emission(self, outcomes: Vec<Outcome>) -> Emission {
        let mut emission = Emission::default();
        if let Some(BatchInFlight { writes, requesters, places, told, .. }) = self.running {
            let writes = Arc::unwrap_or_clone(writes);
            emission = Emission { report: Report::with_capacity(writes.len()), places };
            let mut outcomes = outcomes.into_iter();
            for (place, (write, requester)) in writes.into_iter().zip(requesters).enumerate() {
                let outcome = outcomes.next().unwrap_or(Outcome::Refused(Refusal::Unavailable));
                let outcome =
                    if let Some(told) = told.get(&place) { outcome.told_up_to(*told) } else { outcome };
                emission.report.add(write, requester, outcome);
            }
        }
        refuse(self.refused, &mut emission);
        emission
    }
}

fn is_over(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= WRITE_DEADLINE
}

/// Refuses queued writes: nothing of them is stored.
fn refuse(queue: impl IntoIterator<Item = QueuedWrite>, emission: &mut Emission) {
    for QueuedWrite { write, reply, since, place } in queue {
        emission.report.add(write, Requester::Waits { reply, since }, Outcome::Refused(Refusal::Unavailable));
        join(&mut emission.places, Some(place));
    }
}

fn join(places: &mut Option<Places>, more: Option<Places>) {
    match (places.as_mut(), more) {
        (Some(places), Some(more)) => places.merge(more),
        (None, more) => *places = more,
        (Some(_), None) => {}
    }
}

/// What a write sets that another may have set meanwhile.
#[derive(PartialEq, Eq, Hash)]
enum Setting<'a> {
    Mark(&'a OpenId, &'a Conversation, MarkKind),
    Named(String),
}

/// None for writes that are emitted each for itself.
fn setting_of(write: &Write) -> Option<Setting<'_>> {
    match write {
        Write::Mark(Mark { receipt }) => {
            Some(Setting::Mark(&receipt.openid, &receipt.conversation, receipt.kind.into()))
        }
        Write::Clear(Clear { openid, conversation, .. }) => {
            Some(Setting::Mark(openid, conversation, MarkKind::Cleared))
        }
        Write::Command(queued) => queued.command.setting().map(Setting::Named),
        Write::Append(_) | Write::Block(_) => None,
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
