//! The composition root: the only file that starts actors and knows the drain order.

use std::net::SocketAddr;

use crate::config::Config;
use crate::ids::OpenId;
use crate::store::messages::Revoked;

/// How the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Serve,
    /// With the WeChat double beside it.
    Dev,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("stub")]
    Stub,
}

/// Runs until a signal ends it.
pub fn run(_config: Config, _mode: Mode) -> Result<(), Error> {
    Err(Error::Stub)
}

/// Writes a revocation; returns when it is durable.
pub fn revoke(_config: Config, _openid: OpenId, _what: Revoked) -> Result<(), Error> {
    Err(Error::Stub)
}

/// A bearer token for that user.
pub fn token(_config: &Config, _openid: &OpenId) -> Result<String, Error> {
    Err(Error::Stub)
}

/// The WeChat double alone, until a signal ends it.
pub fn fake_wechat(_listen: SocketAddr) -> Result<(), Error> {
    Err(Error::Stub)
}
