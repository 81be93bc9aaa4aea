//! The double of WeChat beside `dev`.

use std::net::{Ipv4Addr, SocketAddr};

use actix_web::dev::ServerHandle;

use super::{Error, io, spawn};
use crate::config::Config;
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
