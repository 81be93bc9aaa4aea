//! Task of a job, and outcome of one try.

use std::time::Duration;

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name among those of its kind.
    pub key: String,
    pub payload: String,
    /// How often it was begun since it last went well, this time counted.
    pub tries: u32,
    /// How long ago it was enqueued.
    pub age: Duration,
}

/// Outcome of one try of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskOutcome {
    Done,
    /// Done, and due again after this long.
    DoneUntil(Duration),
    /// Not done: tried again, or given up.
    Failed,
    /// Not done, and no further try could do it.
    Hopeless,
}
