//! Who is online: the one actor that knows every live session of this node, and brings each what the store
//! has committed.

pub mod messages;
mod registry;
pub mod outbox;
mod actor;
mod acks;
mod deliver;
mod sequencer;
mod cluster;
mod attention;
mod live;
mod delivered;
mod receipts;
mod typing;
mod traced;
mod keepalive;

#[cfg(test)]
mod tests;

pub use actor::{ChatPorts, ChatServer, ChatSettings, OnStored};
pub use cluster::ClusterPorts;
pub use keepalive::KeepaliveTimeouts;
pub use registry::RegistryLimits;
