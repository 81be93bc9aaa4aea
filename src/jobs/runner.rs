//! Decides when, where and how often jobs are done: takes what is due under a lease that it renews, and writes what came
//! of it.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{interval, sleep, timeout};

use super::{Job, JobKind, Task, TaskOutcome};
use crate::backoff::Backoff;
use crate::event::Refusal;
use crate::lifecycle::Vital;
use crate::metrics::{JobResult, Metrics};
use crate::store::jobs::{
    ClaimJobs, ClaimedJob, EnqueueJob, JobEnd, NextJob, ReleaseJobs, RenewJobs, SettleJob,
};
use crate::store::{CALLER_TIMEOUT, Store};

/// Jobs that run on this node at once; the others wait in their rows.
const MAX_RUNNING_JOBS: usize = 32;
/// A node that has not renewed its lease for so long is taken for dead.
const LEASE: Duration = Duration::from_secs(30);
const RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// How often the database is asked what other nodes have enqueued or left.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Time that jobs which run may take to end when the server leaves. Others take up those that do not.
pub const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

const _: () = assert!(RENEW_INTERVAL.as_millis() * 2 < LEASE.as_millis(), "one renewal may fail");

/// What the runner itself asks of the store: until it is done.
const STORE_BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// The way to the runner: cheap to clone, usable from every thread, and there before the runner.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    store: Store,
    /// This process: a name that none had before.
    node: String,
    is_wanted: Notify,
    is_leaving: AtomicBool,
    places: Arc<Semaphore>,
    /// Ids of the jobs that run here, until their end is written.
    running: Mutex<HashSet<i64>>,
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Inner {
            store,
            node: format!("{:016x}", rand::random::<u64>()),
            is_wanted: Notify::new(),
            is_leaving: AtomicBool::new(false),
            places: Arc::new(Semaphore::new(MAX_RUNNING_JOBS)),
            running: Mutex::default(),
        }))
    }

    /// Has something done, once this returns, whatever becomes of this process. One of its kind with the same key that
    /// waits is done now.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`]: the store did not say whether it has it. [`Refusal::TooMany`]: too many wait.
    pub async fn enqueue(&self, kind: JobKind, key: &str, payload: String) -> Result<(), Refusal> {
        let enqueue = EnqueueJob { kind: kind.into(), key: key.to_owned(), payload };
        let enqueued = timeout(CALLER_TIMEOUT, self.0.store.execute(enqueue));
        match enqueued.await.unwrap_or(Err(Refusal::Unavailable))? {
            true => self.0.is_wanted.notify_one(),
            false => return Err(Refusal::TooMany),
        }
        Ok(())
    }
}

/// Does the jobs of the kinds that it knows.
pub struct Runner {
    jobs: Jobs,
    kinds: HashMap<&'static str, Arc<dyn Job>>,
    metrics: Metrics,
}

impl Runner {
    pub fn new(jobs: Jobs, kinds: Vec<Arc<dyn Job>>, metrics: Metrics) -> Self {
        let kinds = kinds.into_iter().map(|job| (job.kind().into(), job)).collect();
        Self { jobs, kinds, metrics }
    }

    /// Works on this thread until the server leaves.
    pub fn start(&self, vital: Vital) {
        let (jobs, kinds, metrics) = (self.jobs.clone(), self.kinds.clone(), self.metrics.clone());
        let runner = Self { jobs, kinds, metrics };
        actix_rt::spawn(async move {
            runner.work().await;
            drop(vital);
        });
        actix_rt::spawn(renew(self.jobs.0.clone()));
    }

    /// Begins nothing more, waits for what runs, and leaves the rest to other nodes.
    pub async fn leave(&self) {
        let inner = &self.jobs.0;
        inner.is_leaving.store(true, Ordering::SeqCst);
        inner.is_wanted.notify_one();
        let all = u32::try_from(MAX_RUNNING_JOBS).unwrap_or(u32::MAX);
        let ended = timeout(LEAVE_TIMEOUT, inner.places.acquire_many(all)).await;
        // A look that is under way begins nothing after this.
        inner.places.close();
        drop(ended);
        let release = inner.store.execute(ReleaseJobs { node: inner.node.clone() });
        drop(timeout(Duration::from_secs(1), release).await);
    }

    async fn work(&self) {
        let inner = &self.jobs.0;
        let kinds: Vec<_> = self.kinds.keys().copied().collect();
        self.enqueue_standing().await;
        while !inner.is_leaving.load(Ordering::SeqCst) {
            let next = NextJob { kinds: kinds.clone(), node: inner.node.clone() };
            let wait = match inner.store.next_job(next).await {
                Ok(Some(0)) if inner.places.available_permits() > 0 => {
                    self.take_due(&kinds).await;
                    Duration::from_millis(10)
                }
                Ok(Some(ms)) if ms > 0 => Duration::from_millis(ms).min(LOOK_INTERVAL),
                _ => LOOK_INTERVAL,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = inner.is_wanted.notified() => {}
            }
        }
    }

    async fn enqueue_standing(&self) {
        for job in self.kinds.values() {
            for key in job.standing() {
                // Messages go first: it stands there from an earlier start, or can wait.
                let enqueue = async || {
                    let (kind, key) = (job.kind().into(), key.clone());
                    self.jobs
                        .0
                        .store
                        .execute_background(EnqueueJob { kind, key, payload: String::new() })
                        .await
                };
                let _ = STORE_BACKOFF.run(|refusal| *refusal == Refusal::Unavailable, enqueue).await;
            }
        }
    }

    async fn take_due(&self, kinds: &[&'static str]) {
        let Inner { store, node, places, .. } = &*self.jobs.0;
        // Held while they are claimed, so that who leaves waits for these, too.
        let limit = places.available_permits();
        let most = u32::try_from(limit).unwrap_or(u32::MAX);
        let Ok(mut free) = places.clone().try_acquire_many_owned(most) else { return };
        let lease_ms = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let claim = ClaimJobs { kinds: kinds.to_vec(), node: node.clone(), lease_ms, limit };
        let claimed = store.execute_background(claim).await.unwrap_or_default();
        if places.is_closed() {
            // The server leaves, and did not wait for so long: they are given back.
            return;
        }
        for claimed in claimed {
            let Some(job) = self.kinds.get(claimed.kind.as_str()).cloned() else { continue };
            // The database was away for longer than the lease, and nobody else has taken it: it goes on here.
            if !self.jobs.0.running().insert(claimed.id) {
                continue;
            }
            let Some(place) = free.split(1) else { return };
            actix_rt::spawn(run(self.jobs.0.clone(), job, claimed, self.metrics.clone(), place));
        }
    }
}

/// Keeps what runs here from being taken for a dead node's.
async fn renew(inner: Arc<Inner>) {
    let mut every = interval(RENEW_INTERVAL);
    loop {
        every.tick().await;
        let ids: Vec<_> = inner.running().iter().copied().collect();
        if !ids.is_empty() {
            let lease_ms = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
            // Where it fails, the next time.
            let _ = inner.store.execute(RenewJobs { ids, node: inner.node.clone(), lease_ms }).await;
        }
    }
}

/// Does one, and writes what came of it.
async fn run(
    inner: Arc<Inner>,
    job: Arc<dyn Job>,
    claimed: ClaimedJob,
    metrics: Metrics,
    place: OwnedSemaphorePermit,
) {
    let (kind, is_resumed) = (job.kind(), claimed.is_resumed);
    let ClaimedJob { id, key, payload, tries, age_ms, .. } = claimed;
    let task = Task { key, payload, tries, age: Duration::from_millis(age_ms) };
    let begun = Instant::now();
    let (end, result) = if is_resumed && !job.may_run_twice() {
        (JobEnd::Gone, JobResult::Lost)
    } else if is_resumed && !job.backoff().is_left(task.tries.saturating_sub(1), Duration::ZERO) {
        // One that takes every process with it must not be begun for ever.
        (JobEnd::Gone, JobResult::GivenUp)
    } else {
        metrics.jobs_in_flight.inc();
        let outcome = AssertUnwindSafe(job.clone().run(task.clone())).catch_unwind().await;
        metrics.jobs_in_flight.dec();
        metrics.job_seconds.observe(begun.elapsed().as_secs_f64());
        match outcome {
            Ok(outcome) => end_of(outcome, &*job, &task, begun.elapsed()),
            // How far it came is not known.
            Err(_) if !job.may_run_twice() => (JobEnd::Gone, JobResult::Lost),
            Err(_) => end_of(TaskOutcome::Failed, &*job, &task, begun.elapsed()),
        }
    };
    if matches!(result, JobResult::GivenUp | JobResult::Lost) {
        log::warn!(kind = <&str>::from(kind), key = task.key.as_str(), tries = task.tries, result = <&str>::from(result); "a job is over and not done");
        job.is_over(&task);
    }
    metrics.jobs.inc((kind, result));
    let settle = async || {
        let settle = inner.store.execute(SettleJob { id, node: inner.node.clone(), end });
        timeout(CALLER_TIMEOUT, settle).await.unwrap_or(Err(Refusal::Unavailable))
    };
    let _ = STORE_BACKOFF.run(|_| true, settle).await;
    inner.running().remove(&id);
    drop(place);
    inner.is_wanted.notify_one();
}

fn end_of(outcome: TaskOutcome, job: &dyn Job, task: &Task, took: Duration) -> (JobEnd, JobResult) {
    let ms = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let backoff = job.backoff();
    match outcome {
        TaskOutcome::Done => (JobEnd::Gone, JobResult::Done),
        TaskOutcome::DoneUntil(wait) => (JobEnd::Again { after_ms: ms(wait) }, JobResult::Done),
        TaskOutcome::Failed if backoff.is_left(task.tries, task.age + took) => {
            (JobEnd::Failed { after_ms: ms(backoff.wait(task.tries)) }, JobResult::Failed)
        }
        TaskOutcome::Failed | TaskOutcome::Hopeless => (JobEnd::Gone, JobResult::GivenUp),
    }
}
