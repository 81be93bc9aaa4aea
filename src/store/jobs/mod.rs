//! Work that outlasts a crash: what has to be done stands in rows, and one node at a time does each. The runner is
//! a module above the store; here is what it asks of the tables.

mod commands;
pub(in crate::store) mod queries;

/// Jobs of one kind that may wait; beyond it none is taken.
pub const JOBS_OF_A_KIND: i64 = 10_000;

/// Has a job done, from now on. One of its kind with the same key that waits is due now as well, and stays as it is;
/// one that runs stays as it is. The reply: whether there was room.
#[derive(Debug, Clone)]
pub struct EnqueueJob {
    pub kind: &'static str,
    pub key: String,
    pub payload: String,
}

/// Takes jobs that are due, the longest overdue first, and those whose lease has ended: their node is dead, or never
/// heard that it has them.
#[derive(Debug)]
pub struct ClaimJobs {
    pub kinds: Vec<&'static str>,
    pub node: String,
    /// Milliseconds after which another node may take them, unless they are renewed.
    pub lease_ms: i64,
    pub limit: usize,
}

/// A job that a node has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    pub id: i64,
    pub kind: String,
    pub key: String,
    pub payload: String,
    /// How often it was begun since it last went well, this time counted.
    pub tries: u32,
    /// Milliseconds since it was enqueued.
    pub age_ms: u64,
    /// Whether the one who had it before died within it: it may have been done.
    pub is_resumed: bool,
}

/// Keeps for longer what a node has taken and does.
#[derive(Debug)]
pub struct RenewJobs {
    pub ids: Vec<i64>,
    pub node: String,
    pub lease_ms: i64,
}

/// Says what came of a job that a node has taken; nothing where it has it no longer.
#[derive(Debug)]
pub struct SettleJob {
    pub id: i64,
    pub node: String,
    pub end: JobEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// It goes.
    Gone,
    /// It went well, and is due again after so many milliseconds.
    Again { after_ms: u64 },
    /// It failed, and is due again after so many milliseconds.
    Failed { after_ms: u64 },
}

/// Gives back all that a node has taken, for others to do at once: it leaves in order.
#[derive(Debug)]
pub struct ReleaseJobs {
    pub node: String,
}

/// When the next job of these kinds is to be taken.
#[derive(Debug)]
pub struct NextJob {
    pub kinds: Vec<&'static str>,
    pub node: String,
}
