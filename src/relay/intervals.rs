//! Times by which the nodes hear of each other: all are of one tick.

use std::time::Duration;

use crate::store::NODE_ALIVE_MS;

/// How often the link is tried and the other nodes hear that this one lives.
pub const TICK: Duration = Duration::from_millis(TICK_MS);
pub const TICK_MS: u64 = 1_000;
/// A server that takes longer for one round trip is as good as away.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(2 * TICK_MS);
/// How often this node's heartbeat is written and those of the others are read, in ticks.
pub const HEARTBEAT_TICKS: u64 = 2;
const HEARTBEAT_MS: u64 = HEARTBEAT_TICKS * TICK_MS;
/// A node that says nothing for so long has vanished: it may have committed something that it told nobody. It
/// says something every tick.
pub const SILENT_MS: u64 = 4 * TICK_MS;
/// How much later than a node's last word its heartbeat must be.
pub const AWAY_AFTER_MS: u64 = 3 * TICK_MS;
/// The same where the heartbeat says that the node is cut off. Its first one may say so because it has just
/// begun to connect.
pub const CUT_OFF_AFTER_MS: u64 = TICK_MS;

const _: () = {
    assert!(HEARTBEAT_MS < AWAY_AFTER_MS, "a node that is heard is not away between two heartbeats");
    assert!(SILENT_MS > AWAY_AFTER_MS, "who is cut off is away before it counts as vanished");
    assert!(5 * HEARTBEAT_MS <= NODE_ALIVE_MS as u64, "a node that misses some heartbeats is alive");
};
