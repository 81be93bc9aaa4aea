//! A live session, as it is shown to an operator.

use serde::{Deserialize, Serialize};

/// One of a user's sessions that is open now. No address: the chat knows none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSession {
    /// The label that its client gave; a session of the plain dialect may have none.
    pub device: Option<String>,
    pub dialect: String,
    /// When it was let in, by the clock of its node: Unix milliseconds.
    pub since: i64,
    /// Whether the user looks at the app there, as far as the client told.
    pub in_foreground: bool,
}
