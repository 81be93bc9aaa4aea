//! When to look at which session next: the reaper's calendar.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ids::{OpenId, SessionId};

/// What a silent session gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Heard lately: look again at this time.
    Later(u64),
    /// Ping it, and look again at this time.
    Ping(u64),
    /// Silent for too long.
    Dead,
}

/// Sessions by the time at which they must be looked at (monotonic milliseconds). One entry a session,
/// removed lazily.
#[derive(Default)]
pub struct DeadlineQueue(BinaryHeap<Reverse<(u64, SessionId, OpenId)>>);

impl DeadlineQueue {
    pub fn add(&mut self, at: u64, session: SessionId, openid: OpenId) {
        self.0.push(Reverse((at, session, openid)));
    }

    /// When the next one's time comes.
    pub fn next(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next one whose time has come.
    pub fn pop(&mut self, now: u64) -> Option<(SessionId, OpenId)> {
        if self.0.peek().is_none_or(|Reverse((at, ..))| *at > now) {
            return None;
        }
        self.0.pop().map(|Reverse((_, session, openid))| (session, openid))
    }
}

/// Silences, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct KeepaliveTimeouts {
    pub ping_after: u64,
    pub dead_after: u64,
}

impl KeepaliveTimeouts {
    /// What is due for a session that was last heard at `heard`.
    pub fn judge(self, heard: u64, now: u64) -> Due {
        let dead_at = heard + self.dead_after;
        if now >= dead_at {
            Due::Dead
        } else if now >= heard + self.ping_after {
            Due::Ping(dead_at.min(now + self.ping_after))
        } else {
            Due::Later(heard + self.ping_after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_met_with_a_ping_and_then_the_end() {
        let pulse = KeepaliveTimeouts { ping_after: 30, dead_after: 75 };
        assert_eq!(pulse.judge(0, 10), Due::Later(30));
        assert_eq!(pulse.judge(0, 30), Due::Ping(60));
        assert_eq!(pulse.judge(0, 60), Due::Ping(75));
        assert_eq!(pulse.judge(0, 75), Due::Dead);
    }

    #[test]
    fn the_calendar_gives_the_earliest_and_only_when_due() {
        let openid = OpenId::parse("a").unwrap();
        let (late, early) = (SessionId::fresh(), SessionId::fresh());
        let mut calendar = DeadlineQueue::default();
        calendar.add(20, late, openid.clone());
        calendar.add(10, early, openid);
        assert!(calendar.pop(9).is_none());
        assert_eq!(calendar.pop(20).map(|(s, _)| s), Some(early));
        assert_eq!(calendar.pop(20).map(|(s, _)| s), Some(late));
        assert!(calendar.pop(20).is_none());
    }
}
