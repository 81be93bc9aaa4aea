//! Work that has to be done whether or not the process that was to do it lives: it stands in rows, one node at a time
//! does each, and what a dead node had another one takes over.
//!
//! To add a kind, write a type and its [`Job`], and give it to the [`Runner`]. The job says what it does and whether it
//! may be done twice; the runner decides when, where and how often.

mod build_index;
mod prune;
mod runner;
mod task;

pub use build_index::BuildIndex;
pub use prune::PruneLog;
pub use runner::{Jobs, LEAVE_TIMEOUT, Runner};
pub use task::{Task, TaskOutcome};

pub use crate::metrics::JobKind;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::backoff::Backoff;

/// A kind of work.
pub trait Job: Send + Sync + 'static {
    /// Names it in the rows, in log lines and in metrics.
    fn kind(&self) -> JobKind;

    /// Keys of those that stand there from the start on, such as the one job of a kind that is done every hour.
    fn standing(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether doing it twice is the same as once. If not, one whose node died within it is never begun again: it may
    /// have been done.
    fn may_run_twice(&self) -> bool;

    /// When it is tried again after it failed, counted from the time when it was enqueued.
    fn backoff(&self) -> Backoff;

    /// Does it once. [`TaskOutcome::Failed`] says that it is not done; so does a panic, where it may run twice.
    fn run(self: Arc<Self>, task: Task) -> BoxFuture<'static, TaskOutcome>;

    /// It is not done and never will be: given up, or lost with its node.
    fn is_over(&self, _: &Task) {}
}
