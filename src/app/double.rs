//! The double of WeChat, beside `dev` or alone.

use std::net::{Ipv4Addr, SocketAddr};

use actix_web::dev::ServerHandle;

use super::{Error, announce_at, io, spawn};
use crate::config::{AllowedHosts, Config, Secret, dev};
use crate::http::{listen, wechat_events};
use crate::lifecycle::Draining;
use crate::wechat::fake;

pub(super) struct Double {
    pub(super) at: SocketAddr,
    pub(super) handle: ServerHandle,
}

/// `server`: where the public port is, by which the double tells what WeChat tells.
pub(super) fn start(config: &mut Config, server: &str, draining: &Draining) -> Result<Double, Error> {
    let listener = listen::tcp((Ipv4Addr::LOCALHOST, 0).into())?;
    let at = listener.local_addr().map_err(io("the WeChat double has no address"))?;
    config.wechat.api_base = format!("http://{at}");
    let is_on_port = !server.starts_with("unix:");
    let push = (is_on_port && !config.wechat.push_token.is_empty()).then(|| fake::PushTo {
        url: format!("http://{server}{}", wechat_events::PATH),
        token: config.wechat.push_token.expose().to_owned(),
        aes_key: config.wechat.push_aes_key.expose().to_owned(),
        format: fake::Format::Json,
    });
    let client = (is_on_port && config.web.enabled).then(|| format!("http://{server}/"));
    let allowed_hosts = config.ops.allowed_hosts.clone();
    let known = fake::Settings::of(&config.wechat.appid, config.wechat.secret.clone());
    let settings = fake::Settings { push, client, allowed_hosts, ..known };
    let server = fake::serve(listener, settings).map_err(io("the WeChat double cannot be served"))?;
    Ok(Double { at, handle: spawn(server, draining) })
}

/// Runs the WeChat double alone, until a signal ends it.
///
/// # Errors
/// [`Error::Bind`].
pub fn fake_wechat(at: SocketAddr, allowed_hosts: AllowedHosts) -> Result<(), Error> {
    let listener = listen::tcp(at)?;
    let at = listener.local_addr().map_err(io("the WeChat double has no address"))?;
    let settings =
        fake::Settings { allowed_hosts, ..fake::Settings::of(dev::APPID, Secret::new(dev::SECRET)) };
    actix::System::new().block_on(async move {
        let server = fake::serve(listener, settings).map_err(io("the WeChat double cannot be served"))?;
        announce_at("wechat double", &at.to_string());
        server.await.map_err(io("the WeChat double failed"))
    })
}
