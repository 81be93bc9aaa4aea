//! Who is online: the one actor that knows every live session of this node, and brings each what the store
//! has committed.

pub mod messages;
pub mod ports;
mod registry;
pub mod outbox;
mod actor;
mod acks;
mod deliver;
mod sequencer;
mod room;
mod cluster;
mod attention;
mod live;
mod presence;
mod watchers;
mod delivered;
mod receipts;
mod typing;
mod traced;
mod keepalive;

#[cfg(test)]
mod tests;

pub use actor::{ChatServer, ChatSettings};
pub use keepalive::KeepaliveTimeouts;
pub use registry::RegistryLimits;
