//! What lasts.

use std::path::Path;
use std::time::Duration;

use actix::Recipient;

use crate::config;
use crate::event::Committed;
use crate::lifecycle::Draining;
use crate::metrics::Metrics;

pub mod messages;

use messages::{Query, Write};

/// The way into the store: cheap to clone, usable from every thread.
#[derive(Clone)]
pub struct Store {}

/// What the store is told of the limits.
#[derive(Debug, Clone, Copy)]
pub struct StoreLimits {
    /// Writes accepted and not yet delivered.
    pub writes_in_flight: usize,
    /// Conversations that a user may start in 24 hours; 0: no limit.
    pub new_conversations_per_day: u32,
}

/// The write was not accepted: too many are under way, or the server is leaving. Nothing is stored.
#[derive(Debug)]
pub struct Full(pub Box<Write>);

/// The read could not be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is unavailable")]
pub struct Unavailable;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("stub")]
    Stub,
}

impl Store {
    /// Opens the database, brings its tables up to date and starts the lanes. Blocking: called before the server listens.
    pub fn open(
        _config: &config::Database,
        _limits: StoreLimits,
        _metrics: &Metrics,
        _draining: &Draining,
        _committed: Recipient<Committed>,
    ) -> Result<Self, OpenError> {
        Err(OpenError::Stub)
    }

    /// Hands a write in; never blocks. What became of it comes as an [`crate::event::Event`] (or through its [`messages::Answer`]).
    pub fn submit(&self, write: Write) -> Result<(), Full> {
        Err(Full(Box::new(write)))
    }

    /// Asks for what is committed at this moment.
    pub async fn ask<Q: Query>(&self, _query: Q) -> Result<Q::Answer, Unavailable> {
        Err(Unavailable)
    }

    /// Waits until everything submitted is committed and emitted, at most so long. Whether it is.
    pub async fn drain(&self, _at_most: Duration) -> bool {
        true
    }
}

/// Brings the tables of a database up to date.
pub fn migrate(_config: &config::Database) -> Result<(), OpenError> {
    Err(OpenError::Stub)
}

/// Copies a SQLite database to `file`, page by page, while it is in use.
pub fn backup(_config: &config::Database, _file: &Path) -> Result<(), OpenError> {
    Err(OpenError::Stub)
}
