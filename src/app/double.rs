//! The double of WeChat, beside `dev` or alone.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use actix_web::dev::{RequestHead, Server, ServerHandle};
use fake_wechat::{Format, PushTo, Settings};

use super::{Error, announce_at, io, spawn};
use crate::config::{AllowedHosts, Config, dev};
use crate::http::{hosts, listen, wechat_events};
use crate::lifecycle::Draining;

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
    let push = (is_on_port && !config.wechat.push_token.is_empty()).then(|| PushTo {
        url: format!("http://{server}{}", wechat_events::PATH),
        token: config.wechat.push_token.expose().to_owned(),
        aes_key: config.wechat.push_aes_key.expose().to_owned(),
        format: Format::Json,
    });
    let client = (is_on_port && config.web.enabled).then(|| format!("http://{server}/"));
    let known = Settings::of(&config.wechat.appid, config.wechat.secret.expose());
    let server = serve(listener, Settings { push, client, ..known }, config.ops.allowed_hosts.clone())?;
    Ok(Double { at, handle: spawn(server, draining) })
}

/// Runs the WeChat double alone, until a signal ends it.
///
/// # Errors
/// [`Error::Bind`].
pub fn fake_wechat(at: SocketAddr, allowed_hosts: AllowedHosts) -> Result<(), Error> {
    let listener = listen::tcp(at)?;
    let at = listener.local_addr().map_err(io("the WeChat double has no address"))?;
    actix::System::new().block_on(async move {
        let server = serve(listener, Settings::of(dev::APPID, dev::SECRET), allowed_hosts)?;
        announce_at("wechat double", &at.to_string());
        server.await.map_err(io("the WeChat double failed"))
    })
}

fn serve(listener: TcpListener, settings: Settings, allowed_hosts: AllowedHosts) -> Result<Server, Error> {
    let refuse = move |head: &RequestHead| hosts::own_pages(&allowed_hosts, head).err().map(hosts::turn_away);
    fake_wechat::serve(listener, settings, refuse).map_err(io("the WeChat double cannot be served"))
}
