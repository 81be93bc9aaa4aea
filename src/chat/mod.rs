//! Who is online.

pub mod outbox;
