//! Whose token it is, and whether it still holds: no database read, because every node follows the log of
//! revocations.

mod hs256;
mod revocations;
mod tokens;
mod log_place;
mod log;
mod follower;

pub use follower::Follower;
pub use log::RevocationLog;
pub use tokens::{Identity, TokenRefused, Tokens};
