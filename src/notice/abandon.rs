//! Reservations whose process died before it said what came of them. What is unknown stays spent, and is never sent
//! again: a notice is no job that may run twice. A [`Reserve`](crate::store::notices::Reserve) is its one claim; the
//! runner only closes what nobody will close any more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::deliver::LONGEST;
use crate::backoff::Backoff;
use crate::ids::now_ms;
use crate::jobs::{Job, JobKind, Task, TaskOutcome};
use crate::store::Store;
use crate::store::notices::Abandon;

/// A reservation this old, in milliseconds, is nobody's any more: none is under way for longer.
const ABANDONED_AFTER: i64 = 180_000;
const _: () = assert!(ABANDONED_AFTER > LONGEST.as_millis() as i64);
const ABANDON_INTERVAL: Duration = Duration::from_secs(60);

/// Closes them, every minute on one node.
pub struct AbandonReservations {
    pub store: Store,
}

impl Job for AbandonReservations {
    fn kind(&self) -> JobKind {
        JobKind::AbandonNotices
    }

    fn standing(&self) -> Vec<String> {
        vec![String::new()]
    }

    fn may_run_twice(&self) -> bool {
        true
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_secs(5), ABANDON_INTERVAL)
    }

    fn run(self: Arc<Self>, _: Task) -> BoxFuture<'static, TaskOutcome> {
        Box::pin(async move {
            let abandon = Abandon { reserved_before: now_ms() - ABANDONED_AFTER };
            match self.store.execute_background(abandon).await {
                Ok(()) => TaskOutcome::DoneUntil(ABANDON_INTERVAL),
                Err(_) => TaskOutcome::Failed,
            }
        })
    }
}
