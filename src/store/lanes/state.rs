//! What waits in a lane, what its thread is at work on, and who was answered meanwhile: a plain value, without thread, clock or chat.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::batch::{Asker, MarkKind, Outcome, Report};
use super::super::messages::{Answer, Clear, ConversationSettings, Mark, Write};
use crate::event::{Places, Refusal};
use crate::ids::{OpenId, Seq};

/// Writes in one transaction. Beyond 512 the gain is small, but a full batch of one shape of load is a third of what is under way.
const BATCH: usize = 2048;
/// How long after its submission a write is answered at the latest; the promise is three seconds.
const DEADLINE: Duration = Duration::from_millis(2500);

/// What is done about a thread that has been at one batch for the whole of that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum OnHang {
    /// It is given up, and another one serves the lane: a new connection may get through.
    Replace,
    /// It is waited for: a SQLite file has one writer at a time, and another thread would wait for this one.
    Wait,
}

/// A batch that is to be committed now.
pub(in crate::store) struct Batch {
    pub(in crate::store) writes: Arc<Vec<Write>>,
}

/// What a thread is to do next.
pub(super) enum Next {
    Commit(Batch),
    /// Nothing is there: it sleeps until it is woken.
    Sleep,
    /// Another thread serves the lane, or nobody will hand anything in any more.
    End,
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
    generation: u64,
    began: Instant,
    is_hung: bool,
    writes: Arc<Vec<Write>>,
    /// Of each write, who handed it in.
    askers: Vec<Asker>,
    places: Option<Places>,
    /// Of a batch whose thread was given up: what later ones have told meanwhile of the same marks and settings, by place in the batch.
    told: HashMap<usize, Seq>,
}

/// What is to be told, once no lock is held.
#[derive(Default)]
pub(super) struct Telling {
    pub(super) report: Report,
    /// Given back when that is told.
    pub(super) places: Option<Places>,
}

/// What a thread has done, to be made a [`Telling`] of.
pub(super) struct Settled {
    running: Option<Running>,
    refused: VecDeque<Pending>,
}

/// What the watchdog has found.
#[derive(Default)]
pub(super) struct Overdue {
    pub(super) telling: Telling,
    /// Writes that were answered.
    pub(super) answered: usize,
    /// The thread counts as hung from now on.
    pub(super) is_hung: bool,
}

pub(super) struct State {
    on_hang: OnHang,
    queue: VecDeque<Pending>,
    running: Option<Running>,
    /// The batches of threads that were given up and have not come back.
    given_up: Vec<Running>,
    /// Which thread serves this lane.
    generation: u64,
    /// The thread has told everything of what it did, and waits for work.
    asleep: bool,
    /// Nobody will hand anything in any more.
    closed: bool,
}

impl State {
    pub(super) fn new(on_hang: OnHang) -> Self {
        let (queue, given_up) = (VecDeque::new(), Vec::new());
        Self { on_hang, queue, running: None, given_up, generation: 0, asleep: false, closed: false }
    }

    /// The generation that a thread started now belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the thread is to be woken.
    pub(super) fn submit(&mut self, write: Write, answer: Answer, place: Places, now: Instant) -> bool {
        self.queue.push_back(Pending { write, answer, since: now, place });
        std::mem::take(&mut self.asleep)
    }

    pub(super) fn next(&mut self, generation: u64, now: Instant) -> Next {
        if self.generation != generation {
            return Next::End;
        }
        if self.queue.is_empty() {
            self.asleep = !self.closed;
            return if self.closed { Next::End } else { Next::Sleep };
        }
        let count = self.queue.len().min(BATCH);
        let (mut writes, mut askers, mut places) = (Vec::with_capacity(count), Vec::with_capacity(count), None);
        for Pending { write, answer, since, place } in self.queue.drain(..count) {
            writes.push(write);
            askers.push(Asker::Waits { answer, since });
            join(&mut places, Some(place));
        }
        let writes = Arc::new(writes);
        let told = HashMap::new();
        self.running = Some(Running { generation, began: now, is_hung: false, writes: writes.clone(), askers, places, told });
        Next::Commit(Batch { writes })
    }

    /// Takes what a thread has done out of its hands. With `down` those who queued up meanwhile are refused too: they would only wait for
    /// the same refusal.
    pub(super) fn settle(&mut self, generation: u64, outcomes: &[Outcome], down: bool) -> Settled {
        if generation != self.generation {
            let late = self.given_up.iter().position(|batch| batch.generation == generation);
            return Settled { running: late.map(|at| self.given_up.remove(at)), refused: VecDeque::new() };
        }
        let running = self.running.take();
        if let Some(running) = &running {
            for late in &mut self.given_up {
                late.overtaken_by(&running.writes, outcomes);
            }
        }
        Settled { running, refused: if down { std::mem::take(&mut self.queue) } else { VecDeque::new() } }
    }

    /// Answers those who have waited too long since they handed a write in. What is being committed stays: its outcome is told when it
    /// is there. A thread that is slow, and does not hang, is left to its work: two of them would hold each other up.
    pub(super) fn overdue(&mut self, now: Instant) -> Overdue {
        let mut overdue = Overdue::default();
        let Telling { report, places } = &mut overdue.telling;
        if let Some(running) = &mut self.running {
            overdue.answered += running.answer_overdue(now, report);
            overdue.is_hung = is_over(running.began, now) && !std::mem::replace(&mut running.is_hung, is_over(running.began, now));
        }
        if overdue.is_hung && self.on_hang == OnHang::Replace {
            self.generation += 1;
            self.given_up.extend(self.running.take().map(|mut late| {
                // Nobody knows when it comes back, and the lane goes on without it.
                join(places, late.places.take());
                late
            }));
        }
        let late = self.queue.iter().take_while(|pending| is_over(pending.since, now)).count();
        overdue.answered += late;
        refuse(self.queue.drain(..late), &mut overdue.telling);
        overdue
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.asleep && self.given_up.is_empty()
    }

    /// Lets the thread end once the queue is empty.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }
}

impl Running {
    /// Answers who may not be kept waiting; how many that were.
    fn answer_overdue(&mut self, now: Instant, report: &mut Report) -> usize {
        let mut answered = 0;
        for (write, asker) in self.writes.iter().zip(&mut self.askers) {
            let Asker::Waits { answer, since } = asker else { continue };
            if !is_over(*since, now) {
                break;
            }
            // A notice has time, and a receipt that nobody asked for too: their outcome is worth more than a quick word.
            let is_waited_for = matches!(write, Write::Append(_)) || matches!(answer, Answer::Session(_) | Answer::Caller(_));
            if is_waited_for && let Asker::Waits { answer, .. } = std::mem::replace(asker, Asker::Answered) {
                report.add_overdue(write, answer);
                answered += 1;
            }
        }
        answered
    }

    /// Marks never go back, also where the one that was moved first is told last.
    fn overtaken_by(&mut self, writes: &[Write], outcomes: &[Outcome]) {
        let mut told = HashMap::new();
        for (write, outcome) in writes.iter().zip(outcomes) {
            let seq = match outcome {
                Outcome::Mark { seq, .. } => *seq,
                Outcome::Settings { .. } => Seq::ZERO,
                _ => continue,
            };
            if let Some(key) = mark_of(write) {
                let highest = told.entry(key).or_insert(seq);
                *highest = seq.max(*highest);
            }
        }
        for (place, write) in self.writes.iter().enumerate() {
            if let Some(seq) = mark_of(write).and_then(|key| told.get(&key)) {
                let highest = self.told.entry(place).or_insert(*seq);
                *highest = (*seq).max(*highest);
            }
        }
    }
}

impl Settled {
    /// How many writes whose thread had hung, and since when.
    pub(super) fn came_late(&self) -> Option<(usize, Instant)> {
        self.running.as_ref().filter(|running| running.is_hung).map(|running| (running.writes.len(), running.began))
    }

    /// The batch that was handed out must be dropped before.
    pub(super) fn tell(self, outcomes: Vec<Outcome>) -> Telling {
        let mut telling = Telling::default();
        if let Some(Running { writes, askers, places, told, .. }) = self.running {
            let writes = Arc::try_unwrap(writes).unwrap_or_else(|shared| shared.iter().map(Write::without_answer).collect());
            telling = Telling { report: Report::with_capacity(writes.len()), places };
            let mut outcomes = outcomes.into_iter();
            for (place, (write, asker)) in writes.into_iter().zip(askers).enumerate() {
                let outcome = outcomes.next().unwrap_or(Outcome::Refused(Refusal::Unavailable));
                let outcome = if let Some(told) = told.get(&place) { outcome.told_up_to(*told) } else { outcome };
                telling.report.add(write, asker, outcome);
            }
        }
        refuse(self.refused, &mut telling);
        telling
    }
}

fn is_over(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= DEADLINE
}

/// Nothing of these is stored.
fn refuse(queue: impl IntoIterator<Item = Pending>, telling: &mut Telling) {
    for Pending { write, answer, since, place } in queue {
        telling.report.add(write, Asker::Waits { answer, since }, Outcome::Refused(Refusal::Unavailable));
        join(&mut telling.places, Some(place));
    }
}

fn join(places: &mut Option<Places>, more: Option<Places>) {
    match (places.as_mut(), more) {
        (Some(places), Some(more)) => places.join(more),
        (None, more) => *places = more,
        (Some(_), None) => {}
    }
}

/// What a write moves that has one place, and is told with it; none where each write is told of its own.
fn mark_of(write: &Write) -> Option<(&OpenId, &OpenId, Option<MarkKind>)> {
    match write {
        Write::Mark(Mark { receipt, .. }) => Some((&receipt.openid, &receipt.peer, Some(receipt.kind.into()))),
        Write::Clear(Clear { openid, peer, .. }) => Some((openid, peer, Some(MarkKind::Cleared))),
        Write::Settings(ConversationSettings { openid, peer, .. }) => Some((openid, peer, None)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
