//! Health of the database as all connections of this process see it together.

use std::sync::{Mutex, PoisonError};

use crate::outage::SharedOutage;
use crate::store::database::error::OpenError;

/// Whether the database can be used, by the last connection that was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DatabaseState {
    #[default]
    Ok,
    /// No connection can be made, or one broke and none has been made since.
    Unreachable(String),
    /// It answers, but as a standby or read-only: what it shows may be stale.
    ReadOnly(String),
    /// A SQLite file that can be read, and takes no writes.
    Unwritable(String),
}

/// Shared by the lanes and the readers of one store. What they notice of an outage becomes one line in the
/// log.
#[derive(Debug, Default)]
pub(in crate::store) struct Health {
    state: Mutex<DatabaseState>,
    connections: SharedOutage,
    /// Connections that led to no primary: after an outage of the other kind that is news.
    primaries: SharedOutage,
    /// Writes that the database refuses on a connection that holds.
    writes: SharedOutage,
    /// Writes that wait for a database that does not answer, or slowly.
    stalls: SharedOutage,
    /// Reads that fail on a connection that holds, or for want of one.
    reads: SharedOutage,
}

impl Health {
    pub(in crate::store) fn state(&self) -> DatabaseState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: DatabaseState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Takes in that a connection could not be made.
    pub(in crate::store) fn not_connected(&self, error: &OpenError) {
        match error {
            OpenError::ReadOnly { .. } => self.read_only(&error.to_string()),
            other => self.gone(&other.to_string()),
        }
    }

    /// Takes in that a connection broke.
    pub(in crate::store) fn gone(&self, reason: &str) {
        self.set(DatabaseState::Unreachable(reason.to_owned()));
        if let Some(away) = self.connections.failed() {
            log::error!(reason, away_s = away.as_secs(); "the database cannot be reached; sends and reads are answered as unavailable until it is back");
        }
    }

    /// Takes in that the database takes no writes because it is not, or is no longer, a primary.
    pub(in crate::store) fn read_only(&self, reason: &str) {
        self.set(DatabaseState::ReadOnly(reason.to_owned()));
        if let Some(away) = self.primaries.failed() {
            log::error!(reason, away_s = away.as_secs(); "the database is no primary; sends and reads are answered as unavailable until there is one");
        }
    }

    /// Takes in that a connection was made, or held.
    pub(in crate::store) fn answered(&self) {
        // The longer of the two; `None` is less than any.
        if let Some(away) = self.connections.answered().max(self.primaries.answered()) {
            log::info!(away_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX); "the database answers again");
        }
        self.set_ok();
    }

    fn set_ok(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != DatabaseState::Ok {
            *state = DatabaseState::Ok;
        }
    }

    /// Whether the last write was refused.
    pub(in crate::store) fn refuses_writes(&self) -> bool {
        self.writes.is_away()
    }

    pub(in crate::store) fn write_refused(&self, reason: &str, writes: usize) {
        if let Some(away) = self.writes.failed() {
            log::error!(reason, writes, away_s = away.as_secs(); "the database does not take writes; they are answered as unavailable");
        }
    }

    /// Takes in that a lane's thread hangs.
    pub(in crate::store) fn hung(&self, writes: usize) {
        if let Some(away) = self.stalls.failed() {
            log::error!(writes, away_s = away.as_secs(); "the database does not answer; its writes are answered as unavailable until it does");
        }
    }

    /// Takes in that writes waited too long for a thread that is at work.
    pub(in crate::store) fn slow(&self, writes: usize) {
        if let Some(away) = self.stalls.failed() {
            log::warn!(writes, away_s = away.as_secs(); "the database is slow; writes that waited too long are answered as unavailable");
        }
    }

    pub(in crate::store) fn written(&self) {
        self.answered();
        self.stalls.answered();
        if self.writes.answered().is_some() {
            log::info!("the database takes writes again");
        }
    }

    pub(in crate::store) fn read_failed(&self, reason: &str) {
        if self.state() == DatabaseState::Ok
            && let Some(away) = self.reads.failed()
        {
            log::warn!(reason, away_s = away.as_secs(); "a read failed; reads are answered as unavailable");
        }
    }

    pub(in crate::store) fn has_read(&self) {
        self.answered();
        if self.reads.answered().is_some() {
            log::info!("reads are answered again");
        }
    }
}
