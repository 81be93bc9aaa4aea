//! The HTTP servers: the public port in both transports, and the operators' port.

use std::io;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_server::Server;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::rt::net::{TcpStream, UnixStream};
use actix_web::{App, HttpServer, web};

use super::body::bound_chunks;
use super::listen::{Listener, on_connect};
use super::turnstile::doorway;
use super::{State, ops, public, upgrade};
use crate::config::Transport;

/// A handshake, or the head of a request, that is not finished by then is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection without a request is kept for so long: longer than proxies keep theirs to a server (nginx 60 s, Caddy 120 s, Traefik 90 s), or
/// one of them would now and then send a call on a connection that has just been closed, and answer 502.
pub const KEEP_ALIVE: Duration = Duration::from_secs(130);

/// What calls under way may still take when the server stops, in whole seconds.
const CALLS_LEAVE_S: u64 = 1;

/// The admission counts sessions and answers 503; actix's own limit would stop accepting without a word.
const NO_LIMIT: usize = usize::MAX >> 4;

/// Starts the public port.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_public(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    match state.config.server.transport {
        Transport::Takeover => takeover(state, listener),
        Transport::WebActors => web_actors(state, listener),
    }
}

/// Starts the operators' port.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_ops(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    let state = state.clone();
    let server = HttpServer::new(move || App::new().configure(|cfg| ops(cfg, &state)));
    let server = server.workers(1).shutdown_timeout(CALLS_LEAVE_S).disable_signals();
    let server = match listener {
        Listener::Tcp(tcp) => server.listen(tcp)?,
        Listener::Unix(unix, _) => server.listen_uds(unix)?,
    };
    Ok(server.run())
}

fn web_actors(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    let data = state.clone();
    let server = HttpServer::new(move || App::new().wrap(from_fn(bound_chunks)).configure(|cfg| public(cfg, &data)))
        .workers(state.config.server.workers)
        .max_connections(NO_LIMIT)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HANDSHAKE)
        .tcp_nodelay(true)
        .shutdown_timeout(CALLS_LEAVE_S)
        .disable_signals()
        .on_connect(on_connect(unsent_after(state)));
    let server = match listener {
        Listener::Tcp(tcp) => server.listen(tcp)?,
        Listener::Unix(unix, _) => server.listen_uds(unix)?,
    };
    Ok(server.run())
}

fn takeover(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    let server = Server::build()
        .workers(state.config.server.workers)
        .max_concurrent_connections(NO_LIMIT)
        .shutdown_timeout(CALLS_LEAVE_S)
        .disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let (state, on_connect) = (state.clone(), on_connect(unsent_after(state)));
    // The service differs with the type of socket, and closures cannot be generic.
    macro_rules! service {
        ($socket:ty) => {{
            let data = state.clone();
            let (stopping, on_connect) = (stopping.clone(), on_connect.clone());
            let app = App::new()
                .wrap(from_fn(bound_chunks))
                .configure(|cfg| public(cfg, &data))
                .into_factory()
                .map_err(|e: actix_web::Error| e.error_response());
            HttpService::<$socket, _, _>::build()
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HANDSHAKE)
                .tcp_nodelay(true)
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .on_connect_ext(move |socket: &$socket, ext: &mut _| on_connect(socket, ext))
                .upgrade(upgrade::service::<$socket>(state.clone()))
                .finish(map_config(app, |()| AppConfig::default()))
        }};
    }
    let server = match listener {
        Listener::Tcp(tcp) => server.listen("public", tcp, move || doorway().and_then(service!(TcpStream).tcp()))?,
        Listener::Unix(unix, _) => server.listen_uds("public", unix, move || {
            let http1 = fn_service(|socket: UnixStream| async move { Ok((socket, Protocol::Http1, None)) });
            doorway().and_then(http1).and_then(service!(UnixStream))
        })?,
    };
    Ok(server.run())
}

fn unsent_after(state: &State) -> Duration {
    Duration::from_millis(state.config.session.silent_after_ms)
}
