//! Whom users have blocked.

use crate::ids::OpenId;

mod queries;

/// From the commit on, what `peer` writes to `openid` is refused; or no longer.
#[derive(Debug, Clone)]
pub struct Block {
    pub openid: OpenId,
    pub peer: OpenId,
    pub change: BlockChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockChange {
    Block,
    Unblock,
}

/// Whom a user has blocked, by openid.
#[derive(Debug)]
pub struct Blocks {
    pub openid: OpenId,
    pub limit: usize,
    pub after: Option<OpenId>,
}

#[derive(Debug)]
pub struct BlockPage {
    pub blocks: Vec<Blocked>,
    /// Whether more follow the last one.
    pub has_more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    pub peer: OpenId,
    /// Unix milliseconds.
    pub at: i64,
}
