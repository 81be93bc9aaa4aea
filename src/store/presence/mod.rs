//! Whose presence a user may see.

use crate::ids::OpenId;

mod queries;

/// Which of `peers` show `viewer` whether they are there, each with when they were seen last. Shown are those
/// who have written to `viewer`, have not blocked them and hide from nobody.
#[derive(Debug)]
pub struct VisiblePresence {
    pub viewer: OpenId,
    pub peers: Vec<OpenId>,
}
