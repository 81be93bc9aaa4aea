//! What ends tokens and sessions: plain values of the log that every node follows.

use crate::ids::OpenId;

/// What a revocation takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// One token, named by its issue time in Unix milliseconds, and its sessions.
    Token { issued_ms: i64 },
    /// Every token issued until then, and all sessions.
    AllTokens,
    /// The live sessions only; the user may come back.
    Sessions,
    /// Every token and session, and the right to log in.
    Access,
    /// Gives the right to log in back; tokens from before stay dead.
    Nothing,
}

/// One entry of the revocation log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Grows with the log; two nodes may commit out of order, so readers overlap by time (see `RevocationsSince`).
    pub id: i64,
    pub openid: OpenId,
    pub what: Revoked,
    /// Unix milliseconds at the node that wrote it.
    pub at: i64,
}
