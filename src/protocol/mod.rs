//! The wire: frames in, frames out, errors and close codes, as docs/PROTOCOL.md has them. Pure: no actor, no
//! I/O.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod client_frame;
pub mod close;
pub mod features;
pub mod json;
pub mod outbound;
pub mod presence;
pub mod sync;
pub mod error_code;
pub mod errors;

pub use client_frame::{ClientFrame, Dialect, Parsed, Rejected};
pub use close::Close;
pub use error_code::ErrorCode;
pub use errors::CallerError;
pub use features::{ClientFeatures, SERVER_FEATURES, ServerFeature};

/// The WebSocket subprotocol of v1 clients.
pub const SUBPROTOCOL: &str = "hongyan.v1";

/// Sizes that a client must keep to, as `init` tells it. Bytes of UTF-8.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct FrameLimits {
    /// One frame and one reassembled message.
    pub frame_bytes: usize,
    /// The text in `message`.
    pub message_bytes: usize,
    /// All fields of a message.
    pub fields_bytes: usize,
    /// A user's messages a second, and at once; where either is 0 there is no limit.
    pub messages_per_second: u32,
    pub message_burst: u32,
}
