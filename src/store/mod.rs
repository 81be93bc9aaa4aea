//! What lasts.

pub mod messages;
