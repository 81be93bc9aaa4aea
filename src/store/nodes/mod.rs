//! The nodes that share one PostgreSQL: who lives, and for whom something has changed.

use crate::ids::OpenId;

pub(in crate::store) mod heartbeats;

/// Which of these users has a conversation that changed for them in the last `ago_ms` milliseconds. On
/// PostgreSQL only: a SQLite file has one node, which needs no hints, and the answer is nobody.
#[derive(Debug)]
pub struct ChangedUsers {
    pub openids: Vec<OpenId>,
    pub ago_ms: u64,
}

#[derive(Debug)]
pub struct Changed {
    /// The store's own time.
    pub now: i64,
    pub users: Vec<OpenId>,
}

/// Writes that this node lives, and tells which others the database shows alive. On PostgreSQL only, as
/// [`ChangedUsers`].
#[derive(Debug)]
pub struct WriteHeartbeat {
    pub node: String,
    pub version: &'static str,
    /// Whether NATS does not answer this node.
    pub cut_off: bool,
    /// How it stands, as JSON.
    pub status: String,
}

/// Another node that the database shows alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveNode {
    pub name: String,
    /// Milliseconds since its heartbeat.
    pub age_ms: u64,
    /// Whether it says that NATS does not answer it.
    pub cut_off: bool,
}

/// Takes this node's heartbeat away: it leaves in order.
#[derive(Debug)]
pub struct RemoveHeartbeat {
    pub node: String,
}
