//! In the place of the double of WeChat, in a build without it.

use std::net::SocketAddr;

use actix_web::dev::ServerHandle;

use super::Error;
use crate::config::{AllowedHosts, Config};
use crate::lifecycle::Draining;

pub(super) struct Double {
    pub(super) at: SocketAddr,
    pub(super) handle: ServerHandle,
}

pub(super) fn start(_: &mut Config, _: &str, _: &Draining) -> Result<Double, Error> {
    Err(Error::WithoutDouble)
}

/// # Errors
/// [`Error::WithoutDouble`].
pub fn fake_wechat(_: SocketAddr, _: AllowedHosts) -> Result<(), Error> {
    Err(Error::WithoutDouble)
}
