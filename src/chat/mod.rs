//! Who is online.

pub mod messages;
pub mod outbox;
