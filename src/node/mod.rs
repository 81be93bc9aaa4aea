//! This node: its name, and how it stands. Plain values for the log, the other nodes and the operator's
//! commands.

mod status;

use std::fmt;

use crate::config::{NODE_NAME_BYTES, is_node_name};

pub use status::{NodeStatus, Rate, SeenRequest};

/// Separates the name from the start; no name has it.
const SEPARATOR: char = '~';

/// The name of a node, which outlives its process, and one start of it.
///
/// Logs and tables for people show the name. On NATS and in the table `nodes` stands [`Node::id`]: a node
/// that was killed and is back must not be taken for the one that it was before, because that one may have
/// committed what it told nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    name: String,
    start: String,
}

impl Node {
    /// The node of this process: called `wanted`; where that is empty as its host is; where that has no
    /// usable name by a random one.
    pub fn starting(wanted: &str) -> Self {
        let random = || format!("{:08x}", rand::random::<u32>());
        let name =
            Some(wanted.to_owned()).filter(|name| !name.is_empty()).or_else(host_name).unwrap_or_else(random);
        Self { name, start: random() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells this start of the node from those before.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// The name and the start, unique among the nodes: `NAME~START`.
    pub fn id(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SEPARATOR}{}", self.name, self.start)
    }
}

/// The name in a node's id. An id of the release before is all name.
pub fn name_of(id: &str) -> &str {
    id.split_once(SEPARATOR).map_or(id, |(name, _)| name)
}

/// The start in a node's id; empty of a node of the release before.
pub fn start_of(id: &str) -> &str {
    id.split_once(SEPARATOR).map_or("", |(_, start)| start)
}

fn host_name() -> Option<String> {
    let whole = rustix::system::uname().nodename().to_string_lossy().into_owned();
    of_host(&whole)
}

/// The name of a node on a host: its first label. `localhost` is no name: every machine has it.
fn of_host(host: &str) -> Option<String> {
    let label = host.split('.').next().unwrap_or_default();
    let name: String = label
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(NODE_NAME_BYTES)
        .collect();
    (is_node_name(&name) && !["localhost", "-none-"].contains(&name.as_str())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_as_it_is_told_or_as_its_host() {
        let node = Node::starting("chat-1");
        assert_eq!((node.name(), name_of(&node.id())), ("chat-1", "chat-1"));
        assert!(is_node_name(Node::starting("").name()));
        assert_eq!(of_host("chat1.example.com").as_deref(), Some("chat1"));
        assert_eq!(of_host("dev box").as_deref(), Some("dev-box"));
        assert_eq!((of_host("localhost"), of_host(""), of_host("(none)")), (None, None, None));
        assert_eq!(of_host(&"x".repeat(64)).map(|name| name.len()), Some(NODE_NAME_BYTES));
    }

    #[test]
    fn two_starts_of_a_node_are_told_apart() {
        let (one, two) = (Node::starting("chat-1"), Node::starting("chat-1"));
        assert_ne!(one.id(), two.id());
        // As long as nodes of the release before take it.
        assert!(Node::starting(&"x".repeat(NODE_NAME_BYTES)).id().len() <= 64);
        assert_eq!(name_of("0123456789abcdef"), "0123456789abcdef");
    }
}
