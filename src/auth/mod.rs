//! Whose token it is, and whether it still holds: no database read, because every node follows the log of revocations.

mod revocations;
mod tokens;
mod follower;

pub use follower::{Follower, ReadNow};
pub use tokens::{Identity, TokenRefused, Tokens};
