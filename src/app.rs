//! The composition root: builds the parts of the server, runs them, and drains them in order.

mod build;
#[cfg_attr(not(feature = "fake-wechat"), path = "app/no_double.rs")]
mod double;
mod generation;
mod limits;
mod live_sessions;
mod ports;
mod preflight;
mod services;
mod signals;
mod traces;
mod waiting;
mod welcome;

use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web;
use tokio::sync::Notify;

use crate::auth::{Identity, Tokens};
use crate::config::{Config, DatabaseUrl};
use crate::event::revocation::Issued;
use crate::http::SignIn;
use crate::http::listen::{self, BindError, Listener};
use crate::ids::{OpenId, now_ms};
use crate::lifecycle::{Draining, Vital};
use crate::logging::{announce, announce_to_people};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::safety::BadList;
use crate::store::OpenError;
pub use double::fake_wechat;
pub use preflight::{StartErrors, check};
use services::{HttpServers, Listeners};
use signals::Signals;
use waiting::{Ports, Waited};

pub use crate::http::descriptors::needed as descriptors_needed;

/// Which way the server was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Serve,
    /// With the WeChat double beside it, where no other `wechat.api_base` is given.
    Dev,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Start(#[from] StartErrors),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the database cannot be opened")]
    Store(#[from] OpenError),
    #[error("the database was opened and does not answer: is it overloaded? start again when it is not")]
    Unavailable,
    #[error(transparent)]
    Words(#[from] BadList),
    #[error(
        "this hongyan is built without the double of WeChat, as scripts/dist and the image are: `cargo run --release -- dev` has it, and so \
         has an image of docker build --build-arg FEATURES=fake-wechat"
    )]
    WithoutDouble,
    #[error("the token could not be signed: check auth.keys")]
    Token,
    #[error(
        "the limit on open files is {limit}, and these settings need {needed}: raise it (ulimit -n, LimitNOFILE=, --ulimit nofile=), or lower \
         server.workers, database.readers or database.lanes"
    )]
    Descriptors { limit: u64, needed: u64 },
    #[error("{what}")]
    Io { what: &'static str, source: std::io::Error },
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}

/// Runs the server until a signal ends it.
///
/// # Errors
/// [`Error`] when it cannot start: the address is taken, the database cannot be opened.
pub fn run(config: Config, mode: Mode, node: Node) -> Result<(), Error> {
    #[cfg(feature = "failpoints")]
    let _abort_points = crate::lifecycle::abort_points();
    actix::System::new().block_on(run_server(config, mode, node))
}

async fn run_server(config: Config, mode: Mode, node: Node) -> Result<(), Error> {
    let draining = Draining::default();
    let served = serve_until_signal(config, mode, node, &draining).await;
    // Where it could not start, what is vital ends in order all the same.
    draining.begin();
    served
}

async fn serve_until_signal(
    mut config: Config,
    mode: Mode,
    node: Node,
    draining: &Draining,
) -> Result<(), Error> {
    let metrics = Metrics::new();
    let prepared = preflight::prepare(&config)?;
    config.wechat.connections = prepared.budget.to_wechat;
    let public = Listener::bind(&config.server.listen)?;
    let ops = config.ops.listen.map(|at| listen::tcp(at).map(Listener::Tcp)).transpose()?;
    let admin = config.admin.port().map(Listener::bind).transpose()?;
    let double = match mode {
        Mode::Dev if config.wechat.api_base.is_empty() => {
            Some(double::start(&mut config, &public.at(), draining)?)
        }
        _ => None,
    };
    let public_at = public.at();
    let ops_at = ops.as_ref().and_then(Listener::local_address);
    let admin_at = admin.as_ref().map(Listener::at);

    // Only the double takes the name of a user for a code.
    let sign_in = if double.is_some() { SignIn::Dev } else { SignIn::Token };
    let reload = Arc::new(Notify::new());
    actix_web::rt::spawn(prepared.words.clone().follow(reload.clone()));
    let double_at = double.as_ref().map(|double| double.at);
    let mut is_told = false;
    let mut tell_addresses = || {
        if !std::mem::replace(&mut is_told, true) {
            announce_at("chat", &public_at);
            ops_at.iter().for_each(|at| announce_at("operators", &at.to_string()));
            admin_at.iter().for_each(|at| announce_at("server API", at));
            double_at.iter().for_each(|at| announce_at("wechat double", &at.to_string()));
        }
    };
    let mut signals = None;
    if let DatabaseUrl::Postgres(_) = config.database.url {
        let signals = signals.insert(Signals::listen().map_err(io("signals cannot be awaited"))?);
        let ports = Ports {
            public: &public,
            ops: ops.as_ref(),
            node: &node,
            admin: admin.as_ref(),
            allowed_hosts: &config.ops.allowed_hosts,
            metrics: &metrics,
        };
        // As below, once it serves.
        let hangup_ends = mode == Mode::Dev;
        let waited = waiting::for_database(
            &config.database,
            ports,
            signals,
            hangup_ends,
            draining,
            &mut tell_addresses,
        )
        .await?;
        if let Waited::Left { signal } = waited {
            log::info!(signal; "stopped");
            return Ok(());
        }
    }
    let (state, mut services) =
        build::server(config, mode, node, sign_in, prepared, draining, metrics).await?;
    let state = web::Data::new(state);
    services.0.push(vec![Box::new(HttpServers {
        state: state.clone(),
        draining: draining.clone(),
        listeners: Some(Listeners { public, ops, admin }),
        handles: double.map(|double| double.handle).into_iter().collect(),
    })]);
    services.start()?;

    // Of SQLite not before: tables that are brought up to date hold this thread, and any signal may end that.
    let signals = match signals {
        Some(signals) => signals,
        None => Signals::listen().map_err(io("signals cannot be awaited"))?,
    };
    tell_addresses();
    announce("ready", &[]);
    log::info!(start = state.status.node.start(), listen = public_at.as_str(), version = crate::version::text(); "ready");
    if mode == Mode::Dev {
        announce_to_people(&welcome::text(
            &public_at,
            ops_at,
            double_at,
            admin_at.as_deref(),
            state.web == Some(SignIn::Dev),
        ));
    }

    // In a terminal SIGHUP says that it is closed.
    let reload = (mode == Mode::Serve).then_some(reload);
    let name = signals.leave(reload.as_deref()).await;
    log::info!(signal = name; "draining");
    // Nobody new from here on.
    draining.begin();
    services.stop().await;
    log::info!("stopped");
    Ok(())
}

/// Runs a server beside this task. One that cannot start its workers, or whose own task dies, ends the
/// process: nobody would hear a port that nobody serves.
fn spawn(server: Server, draining: &Draining) -> ServerHandle {
    let (handle, vital) = (server.handle(), Vital::new("http server", draining));
    actix_web::rt::spawn(async move {
        match server.await {
            // It was stopped.
            Ok(()) => std::mem::forget(vital),
            Err(error) => {
                log::error!(error:% = error; "a port cannot be served");
                drop(vital);
            }
        }
    });
    handle
}

fn announce_at(what: &str, at: &str) {
    announce(&format!("{what} at {at}"), &[("at", at)]);
}

/// A bearer token of `openid`, signed with the first key.
///
/// # Errors
/// [`Error::Token`].
pub fn token(config: &Config, openid: &OpenId) -> Result<String, Error> {
    let identity = Identity { openid: openid.clone(), issued: Issued::by_time(now_ms()) };
    Tokens::new(&config.auth, &config.wechat.appid).sign(&identity).map_err(|_| Error::Token)
}
