//! Status of a node, as it tells operators: over its operators' port and, beside its heartbeat, in the table
//! `nodes`.
//!
//! Commands read what nodes of neighbouring versions have written: what is missing stays at its default, what
//! is unknown is passed over.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Status of one node at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its name and this start of it.
    pub node: String,
    pub start: String,
    pub version: String,
    /// Unix milliseconds of its start.
    pub up_since_ms: i64,
    /// Whether it is leaving.
    pub draining: bool,
    pub sessions: i64,
    pub users: i64,
    /// Messages that its sessions sent, a second, over the last ten.
    pub messages_per_second: f64,
    /// `ok`, `unreachable`, `read_only` or `unwritable`.
    pub database: String,
    /// `ok`, `split`, `unavailable`, or `off` where there is none.
    pub relay: String,
    /// Other nodes that it hears.
    pub hears: usize,
    /// `ok`, `resting`, or `off` where there are none.
    pub notices: String,
    pub notices_pending: usize,
    /// Writes that are accepted and not yet delivered.
    pub writes_in_flight: i64,
    /// Its limit on open files, and how many it has open.
    pub descriptors_limit: Option<u64>,
    pub descriptors_open: Option<u64>,
}

impl NodeStatus {
    /// Whether nothing is wrong with it that an operator should look at. What a node of another version does
    /// not say is not held against it.
    pub fn is_well(&self) -> bool {
        let fine = |state: &str| ["ok", "off", ""].contains(&state);
        !self.draining && fine(&self.database) && fine(&self.relay) && fine(&self.notices)
    }
}

/// One request as a node saw it come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeenRequest {
    /// Who connected to the node; none on a Unix socket.
    pub peer: Option<String>,
    /// Whether that one is believed when it names its client.
    pub is_trusted: bool,
    /// Its `X-Forwarded-For`.
    pub forwarded_for: Option<String>,
    /// The client that limits are counted for.
    pub client: String,
}

/// Span over which a rate is taken.
const WINDOW: Duration = Duration::from_secs(10);

/// The rate of a counter over the last seconds.
#[derive(Debug, Default)]
pub struct Rate(Mutex<VecDeque<(Instant, u64)>>);

impl Rate {
    /// Notes where the counter stands; called about once a second.
    pub fn note(&self, now: Instant, count: u64) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest one that is older than the window is where it begins.
        while noted.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            noted.pop_front();
        }
        noted.push_back((now, count));
    }

    pub fn per_second(&self) -> f64 {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some((from, before)), Some((to, after))) = (noted.front(), noted.back()) else { return 0.0 };
        let seconds = to.saturating_duration_since(*from).as_secs_f64();
        if seconds > 0.0 { after.saturating_sub(*before) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp)]
    fn a_rate_is_that_of_the_last_ten_seconds() {
        let (rate, start) = (Rate::default(), Instant::now());
        assert_eq!(rate.per_second(), 0.0);
        for second in 0..100 {
            rate.note(start + Duration::from_secs(second), second * 5);
        }
        assert_eq!(rate.per_second(), 5.0);
        for second in 100..111 {
            rate.note(start + Duration::from_secs(second), 495);
        }
        assert_eq!(rate.per_second(), 0.0);
    }

    #[test]
    fn a_status_of_another_version_is_read() {
        let status: NodeStatus =
            serde_json::from_str(r#"{"node":"a","sessions":3,"later":{"x":1}}"#).unwrap();
        assert_eq!((status.node.as_str(), status.sessions, status.database.as_str()), ("a", 3, ""));
    }
}
