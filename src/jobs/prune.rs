//! Takes out of a log what is too old, every hour.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Job, JobKind, Task, TaskOutcome};
use crate::backoff::Backoff;
use crate::ids::now_ms;
use crate::store::moderation::PrunedLog;
use crate::store::{Store, prune};

const PRUNE_INTERVAL: Duration = Duration::from_secs(3_600);
const DAY_MS: i64 = 86_400_000;

/// Keeps a log for so many days.
pub struct PruneLog {
    pub store: Store,
    pub log: PrunedLog,
    pub days: u32,
}

impl Job for PruneLog {
    fn kind(&self) -> JobKind {
        match self.log {
            PrunedLog::Findings => JobKind::PruneFindings,
            PrunedLog::Acts => JobKind::PruneActs,
        }
    }

    fn standing(&self) -> Vec<String> {
        vec![String::new()]
    }

    fn may_run_twice(&self) -> bool {
        true
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_secs(10), PRUNE_INTERVAL)
    }

    fn run(self: Arc<Self>, _: Task) -> BoxFuture<'static, TaskOutcome> {
        Box::pin(async move {
            match prune(&self.store, self.log, now_ms().saturating_sub(i64::from(self.days) * DAY_MS)).await {
                Ok(()) => TaskOutcome::DoneUntil(PRUNE_INTERVAL),
                Err(_) => TaskOutcome::Failed,
            }
        })
    }
}
