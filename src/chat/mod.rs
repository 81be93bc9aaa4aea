//! Who is online: the one actor that knows every live session of this node, and brings each what the store has committed.

pub mod messages;
mod registry;
pub mod outbox;
mod actor;
mod receipts;
mod typing;
mod pulse;

pub use actor::{ChatServer, ChatSettings, Wires};
pub use pulse::Pulse;
pub use registry::RegistryLimits;
