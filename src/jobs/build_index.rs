//! Builds indexes that come late, each on one node, while all of them serve without it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{Job, JobKind, Task, TaskOutcome};
use crate::backoff::Backoff;
use crate::store::{LateIndex, Store};

/// By key the name of the index.
pub struct BuildIndex {
    pub store: Store,
    pub indexes: &'static [LateIndex],
}

impl Job for BuildIndex {
    fn kind(&self) -> JobKind {
        JobKind::BuildIndex
    }

    fn standing(&self) -> Vec<String> {
        let indexes = if self.store.builds_late_indexes() { self.indexes } else { &[] };
        indexes.iter().map(|index| index.name.to_owned()).collect()
    }

    /// One that stands there whole is left alone.
    fn may_run_twice(&self) -> bool {
        true
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_secs(2), Duration::from_secs(600))
    }

    fn run(self: Arc<Self>, task: Task) -> BoxFuture<'static, TaskOutcome> {
        Box::pin(async move {
            // A node of another release has asked for it.
            let Some(index) = self.indexes.iter().find(|index| index.name == task.key) else {
                return TaskOutcome::Failed;
            };
            let (done, built) = oneshot::channel();
            let store = self.store.clone();
            // No thread of the runtime, whose end would wait for it.
            let thread = std::thread::Builder::new()
                .name("hongyan-index".to_owned())
                .spawn(move || drop(done.send(store.build_index(index))));
            match thread.map(|_| built) {
                Ok(built) => match built.await {
                    Ok(Ok(())) => TaskOutcome::Done,
                    Ok(Err(error)) => {
                        log::warn!(error:% = error; "an index is missing still");
                        TaskOutcome::Failed
                    }
                    Err(_) => TaskOutcome::Failed,
                },
                Err(_) => TaskOutcome::Failed,
            }
        })
    }
}
