//! Who is online: the one actor that knows every live session of this node, and brings each what the store
//! has committed.

pub mod messages;
mod registry;
pub mod outbox;
mod actor;
mod acks;
mod deliver;
mod sequencer;
mod elsewhere;
mod attention;
mod live;
mod told;
mod receipts;
mod typing;
mod refusals;
mod traced;
mod pulse;

#[cfg(test)]
mod tests;

pub use actor::{ChatServer, ChatSettings, StoredWire, Wires};
pub use elsewhere::RelayWires;
pub use pulse::Pulse;
pub use registry::RegistryLimits;
