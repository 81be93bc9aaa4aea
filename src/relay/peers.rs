//! The other nodes: which of them are heard over NATS, and which are away, so that the database must be asked
//! for what they commit. A plain value; times are monotonic milliseconds of this node.
//!
//! A node is *away* when the database shows a heartbeat of it that is later, by [`AWAY_AFTER_MS`], than the
//! last that was heard of it: it lives, and NATS does not bring what it says. A node that was killed is never
//! away: its last heartbeat is no later than its last word. A node of an older release writes no heartbeat;
//! it says in the database only that it is cut off.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::HashMap;

use super::intervals::{AWAY_AFTER_MS, CUT_OFF_AFTER_MS, SILENT_MS};

/// Nodes remembered; beyond it new ones are not watched.
const PEERS_AT_MOST: usize = 4_096;

#[derive(Default)]
pub struct Peers {
    peers: HashMap<String, Peer>,
}

struct Peer {
    /// When it was heard last; of one that was never heard, its first heartbeat.
    heard_at: u64,
    is_heard: bool,
    heartbeat: Option<Heartbeat>,
    /// Of one that is away: when it was heard last as it went.
    away_from: Option<u64>,
}

/// What the database shows of a node that it takes for alive.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    pub at: u64,
    /// Whether the node says that NATS does not answer it.
    pub cut_off: bool,
}

/// Nodes that went away, each with the time since when its hints may be missing, and those that came back,
/// left or died.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub began: Vec<(String, u64)>,
    pub ended: Vec<String>,
}

impl Peer {
    fn judge(&self) -> bool {
        self.heartbeat.is_some_and(|Heartbeat { at, cut_off }| {
            // Who is away stays so until it is heard again; what it said of itself before that counts no
            // more.
            self.away_from == Some(self.heard_at)
                || at >= self.heard_at + if cut_off { CUT_OFF_AFTER_MS } else { AWAY_AFTER_MS }
        })
    }
}

impl Peers {
    /// Notes a word of a node; whether it was not heard before.
    pub fn heard(&mut self, node: &str, now: u64) -> bool {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.heard_at = now;
            return !std::mem::replace(&mut peer.is_heard, true);
        }
        let has_room = self.peers.len() < PEERS_AT_MOST;
        if has_room {
            let peer = Peer { heard_at: now, is_heard: true, heartbeat: None, away_from: None };
            self.peers.insert(node.to_owned(), peer);
        }
        has_room
    }

    /// It has said farewell.
    pub fn left(&mut self, node: &str) {
        // Away until the next look at the database, which tells of its end: what it told last is asked for
        // then.
        match self.peers.get_mut(node) {
            Some(peer) if peer.away_from.is_some() => (peer.heartbeat, peer.is_heard) = (None, false),
            _ => drop(self.peers.remove(node)),
        }
    }

    /// Takes all heartbeats that the database shows now.
    pub fn seen(&mut self, heartbeats: impl IntoIterator<Item = (String, Heartbeat)>) {
        for peer in self.peers.values_mut() {
            peer.heartbeat = None;
        }
        for (node, heartbeat) in heartbeats {
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.heartbeat = Some(heartbeat);
            } else if self.peers.len() < PEERS_AT_MOST {
                let peer = Peer {
                    heard_at: heartbeat.at,
                    is_heard: false,
                    heartbeat: Some(heartbeat),
                    away_from: None,
                };
                self.peers.insert(node, peer);
            }
        }
    }

    /// Nodes that have fallen silent since the last call, and when each was heard last.
    pub fn silent(&mut self, now: u64) -> Vec<(String, u64)> {
        let mut silent = Vec::new();
        for (node, peer) in &mut self.peers {
            if peer.is_heard && now >= peer.heard_at + SILENT_MS {
                peer.is_heard = false;
                silent.push((node.clone(), peer.heard_at));
            }
        }
        silent
    }

    /// Judges anew who is away, and forgets who is neither heard nor alive.
    pub fn judge(&mut self) -> Changes {
        let mut changes = Changes::default();
        for (node, peer) in &mut self.peers {
            let away_from = peer.judge().then_some(peer.heard_at);
            match (std::mem::replace(&mut peer.away_from, away_from), away_from) {
                (None, Some(heard_at)) => changes.began.push((node.clone(), heard_at)),
                (Some(_), None) => changes.ended.push(node.clone()),
                _ => {}
            }
        }
        self.peers.retain(|_, peer| peer.is_heard || peer.heartbeat.is_some());
        changes
    }

    /// The own link to NATS was down, and is up since `now`: nobody can have been heard until then.
    pub fn reset_timers(&mut self, now: u64) {
        for peer in self.peers.values_mut() {
            peer.heard_at = now;
            peer.away_from = None;
        }
    }

    /// Nodes heard lately.
    pub fn heard_count(&self) -> usize {
        self.peers.values().filter(|peer| peer.is_heard).count()
    }

    pub fn away_count(&self) -> usize {
        self.peers.values().filter(|peer| peer.away_from.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes that see each other's heartbeats, of every second, two seconds late.
    fn look(peers: &mut Peers, node: &str, at: u64) -> Changes {
        peers.seen([(node.to_owned(), Heartbeat { at, cut_off: false })]);
        peers.judge()
    }

    fn none() -> Changes {
        Changes::default()
    }

    fn began(node: &str, since: u64) -> Changes {
        Changes { began: vec![(node.to_owned(), since)], ended: Vec::new() }
    }

    fn ended(node: &str) -> Changes {
        Changes { began: Vec::new(), ended: vec![node.to_owned()] }
    }

    #[test]
    fn who_is_silent_has_vanished_and_who_said_farewell_has_not() {
        let mut peers = Peers::default();
        assert!(peers.heard("a", 0) && peers.heard("b", 0) && peers.heard("c", 0));
        assert!(!peers.heard("b", 3_000));
        peers.left("c");
        assert_eq!(peers.silent(SILENT_MS), [("a".to_owned(), 0)]);
        assert!(peers.silent(SILENT_MS + 1).is_empty());
        assert_eq!(peers.heard_count(), 1);
        peers.reset_timers(9_000);
        assert!(peers.silent(9_000 + SILENT_MS - 1).is_empty());
        // Heard again, it is new.
        assert!(peers.heard("a", 9_500));
    }

    #[test]
    fn who_lives_in_the_database_and_is_not_heard_is_away_until_it_is_heard() {
        let mut peers = Peers::default();
        for at in (1_000..=10_000).step_by(1_000) {
            peers.heard("a", at);
            assert_eq!(look(&mut peers, "a", at), none());
        }
        assert_eq!(look(&mut peers, "a", 12_999), none());
        assert_eq!(look(&mut peers, "a", 13_000), began("a", 10_000));
        assert_eq!(look(&mut peers, "a", 15_000), none());
        assert_eq!((peers.silent(15_000).len(), peers.away_count()), (1, 1));
        assert!(peers.heard("a", 60_000));
        assert_eq!(look(&mut peers, "a", 60_500), ended("a"));
        assert_eq!((peers.heard_count(), peers.away_count()), (1, 0));
    }

    #[test]
    fn who_was_never_heard_is_away_soon_after_its_first_heartbeat() {
        let mut peers = Peers::default();
        assert_eq!(look(&mut peers, "a", 5_000), none());
        assert_eq!(look(&mut peers, "a", 7_000), none());
        assert_eq!(look(&mut peers, "a", 9_000), began("a", 5_000));
        // A node that starts in order is heard before, though its first heartbeat says that it has no NATS
        // yet.
        peers.seen([("b".to_owned(), Heartbeat { at: 20_000, cut_off: true })]);
        assert_eq!(peers.judge(), ended("a"));
        // The same one, by a slower answer.
        peers.seen([("b".to_owned(), Heartbeat { at: 20_040, cut_off: true })]);
        assert_eq!(peers.judge(), none());
        peers.heard("b", 20_500);
        assert_eq!(look(&mut peers, "b", 23_000), none());
    }

    #[test]
    fn who_was_cut_off_and_is_not_heard_after_it_stays_away() {
        let mut peers = Peers::default();
        let cut_off = |peers: &mut Peers, at| {
            peers.seen([("a".to_owned(), Heartbeat { at, cut_off: true })]);
            peers.judge()
        };
        assert_eq!(cut_off(&mut peers, 1_000), none());
        assert_eq!(cut_off(&mut peers, 1_000 + CUT_OFF_AFTER_MS), began("a", 1_000));
        // It reached a NATS server that is none of ours.
        for at in [2_500, 3_000, 5_000] {
            assert_eq!(look(&mut peers, "a", at), none());
        }
        peers.heard("a", 6_000);
        assert_eq!(look(&mut peers, "a", 6_500), ended("a"));
    }

    #[test]
    fn who_was_killed_is_not_away() {
        let mut peers = Peers::default();
        peers.heard("a", 10_000);
        for _ in 0..20 {
            assert_eq!(look(&mut peers, "a", 10_900), none());
        }
        assert_eq!(peers.silent(20_000).len(), 1);
        peers.seen([]);
        assert_eq!(peers.judge(), none());
        assert!(peers.peers.is_empty());
    }

    #[test]
    fn who_is_away_and_leaves_or_dies_is_away_no_more() {
        for farewell in [true, false] {
            let mut peers = Peers::default();
            peers.heard("a", 0);
            assert_eq!(look(&mut peers, "a", 3_000), began("a", 0));
            if farewell {
                peers.left("a");
            } else {
                peers.seen([]);
            }
            assert_eq!(peers.judge(), ended("a"));
            peers.silent(10_000);
            peers.judge();
            assert!(peers.peers.is_empty());
        }
    }

    #[test]
    fn after_the_own_link_was_down_everybody_has_time_to_be_heard() {
        let mut peers = Peers::default();
        peers.heard("a", 0);
        assert_eq!(look(&mut peers, "a", 50_000), began("a", 0));
        peers.reset_timers(51_000);
        // It had no NATS either, and said so.
        peers.seen([("a".to_owned(), Heartbeat { at: 50_900, cut_off: true })]);
        assert_eq!(peers.judge(), none());
        assert_eq!(look(&mut peers, "a", 53_000), none());
        assert_eq!(look(&mut peers, "a", 54_000), began("a", 51_000));
    }

    /// One of the release before, through the view.
    #[test]
    fn an_older_node_is_away_while_it_says_that_it_is_cut_off() {
        let mut peers = Peers::default();
        let look = |peers: &mut Peers, at| {
            peers.seen([("old".to_owned(), Heartbeat { at, cut_off: true })]);
            peers.judge()
        };
        peers.heard("old", 1_000);
        // No row, no word for long: it has vanished, and is not away.
        peers.seen([]);
        assert_eq!((peers.silent(9_000).len(), peers.judge()), (1, none()));
        assert_eq!(look(&mut peers, 9_000), none());
        assert_eq!(look(&mut peers, 10_000), began("old", 9_000));
        assert_eq!(look(&mut peers, 12_000), none());
        // Back: its row stays for a while.
        peers.heard("old", 13_000);
        assert_eq!(look(&mut peers, 12_000), ended("old"));
        assert_eq!(look(&mut peers, 14_000), began("old", 13_000));
    }

    #[test]
    fn more_nodes_than_can_be_watched_do_no_harm() {
        let mut peers = Peers::default();
        for n in 0..2 * PEERS_AT_MOST {
            assert_eq!(peers.heard(&n.to_string(), 0), n < PEERS_AT_MOST);
        }
        peers.seen((0..2 * PEERS_AT_MOST).map(|n| (format!("x{n}"), Heartbeat { at: 0, cut_off: false })));
        assert_eq!(peers.peers.len(), PEERS_AT_MOST);
    }
}
