//! The other nodes, as far as they are heard of. A plain value; times are monotonic milliseconds.

use std::collections::HashMap;

/// A node that says nothing for so long has vanished: it may have committed something that it told nobody.
const SILENT_MS: u64 = 4_000;
/// Nodes remembered; beyond it new ones are not watched.
const AT_MOST: usize = 4_096;

#[derive(Default)]
pub struct Nodes(HashMap<String, u64>);

impl Nodes {
    /// Notes that a node lives; whether it is new.
    pub fn heard(&mut self, node: &str, now: u64) -> bool {
        if let Some(at) = self.0.get_mut(node) {
            *at = now;
            return false;
        }
        self.0.len() < AT_MOST && self.0.insert(node.to_owned(), now).is_none()
    }

    /// It has said farewell.
    pub fn left(&mut self, node: &str) {
        self.0.remove(node);
    }

    /// Forgets those that have vanished; when each was heard last.
    pub fn vanished(&mut self, now: u64) -> Vec<(String, u64)> {
        self.0.extract_if(|_, at| now >= *at + SILENT_MS).collect()
    }

    /// Nobody can have been heard until now.
    pub fn pardon(&mut self, now: u64) {
        for at in self.0.values_mut() {
            *at = now;
        }
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_has_vanished_and_who_said_farewell_has_not() {
        let mut nodes = Nodes::default();
        assert!(nodes.heard("a", 0) && nodes.heard("b", 0) && nodes.heard("c", 0));
        assert!(!nodes.heard("b", 3_000));
        nodes.left("c");
        assert_eq!(nodes.vanished(SILENT_MS), [("a".to_owned(), 0)]);
        nodes.pardon(9_000);
        assert!(nodes.vanished(9_000 + SILENT_MS - 1).is_empty());
        assert_eq!(nodes.count(), 1);
    }
}
