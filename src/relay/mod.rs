//! The way to the other nodes: hints about what was committed, over NATS. Whatever befalls it, nothing is
//! lost and no sender waits: the database is the truth, and what hints did not tell is asked of it.
//!
//! [`actor`] is the Relay; [`commits`] makes hints of what the hub has delivered, [`interest`] says whose hints
//! are wanted, [`resync_planner`] when the database must be asked, [`peers`] who else there is and is away,
//! [`probe`] whether NATS answers, [`wire`] how it all looks on NATS; [`resync`] does the asking, [`connect`]
//! says how NATS is reached.

mod actor;
mod commits;
mod resync;
mod connect;
mod examine;
mod handle;
mod interest;
mod intervals;
mod peers;
mod probe;
mod subscriptions;
mod traced;
mod resync_planner;
mod wire;

pub use actor::{LEAVE_TIMEOUT, LocalNode, Relay, RelayPorts, RelaySettings};
pub use examine::{NatsError, NatsExamination, examine};
pub use handle::{Link, LinkState, RelayHandle};
