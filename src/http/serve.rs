//! The HTTP servers: the public port in both transports, and the operators' port.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::net::{TcpStream, UnixStream};
use actix_web::{App, Error, web};
use ipnet::IpNet;

use super::address::Address;
use super::body::bound_chunks;
use super::connections::{ConnectionHandle, ConnectionLimits, Connections, Crowded};
use super::descriptors::{ADMIN_CONNECTIONS, OPS_CONNECTIONS};
use super::error::ApiError;
use super::listen::Listener;
use super::stream::{Accepted, GuardedStream};
use super::turnstile::doorway;
use super::{State, admin, hosts, ops, public, request_id, upgrade};
use crate::config::Transport;
use crate::metrics::{Metrics, RefusedConnection};
use crate::protocol::Word;

/// A handshake, or the head of a request, that is not finished by then is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection without a request is kept for so long: longer than proxies keep theirs to a server (nginx 60 s, Caddy 120 s, Traefik 90 s), or
/// one of them would now and then send a call on a connection that has just been closed, and answer 502.
pub const KEEP_ALIVE: Duration = Duration::from_secs(130);

/// What calls under way may still take when the server stops, in whole seconds.
const CALLS_LEAVE_S: u64 = 1;

/// When a client that was turned away may come again, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// What the connections of a port have in common.
#[derive(Clone)]
struct Port {
    connections: Connections,
    /// Peers that speak for many: no bound an address holds for them.
    proxies: Arc<[IpNet]>,
    unsent_after: Duration,
    write_timeout: Duration,
    metrics: Metrics,
}

impl Port {
    fn new(state: &State, connections: Connections) -> Self {
        Self {
            connections,
            proxies: state.config.server.trusted_proxies.clone().into(),
            unsent_after: Duration::from_millis(state.config.session.silent_after_ms),
            write_timeout: Duration::from_millis(state.config.limits.http_write_ms),
            metrics: state.metrics.clone(),
        }
    }

    /// Takes an accepted socket in, or tells it why not and drops it.
    fn take<T: Accepted>(&self, socket: T) -> Result<(GuardedStream<T>, Protocol, Option<SocketAddr>), DispatchError> {
        socket.prepare(self.unsent_after);
        let peer = socket.peer();
        let counted = peer.map(|peer| peer.ip().to_canonical()).filter(|ip| !self.proxies.iter().any(|net| net.contains(ip)));
        match self.connections.admit(counted.map(Address::from)) {
            Ok(permit) => Ok((GuardedStream::new(socket, permit, self.write_timeout), Protocol::Http1, peer)),
            Err(crowded) => {
                // As much as goes at once: whoever is not served is not waited for either.
                let _ = socket.write_at_once(self.turn_away(crowded).last_answer().as_bytes());
                Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into()))
            }
        }
    }

    fn turn_away(&self, crowded: Crowded) -> ApiError {
        let (reason, word, why) = match crowded {
            Crowded::Address => (RefusedConnection::TooManyFromAddress, Word::RateLimited, "too many connections from this address"),
            Crowded::Port => (RefusedConnection::TooManyConnections, Word::Unavailable, "too many connections"),
        };
        self.metrics.connections_refused.inc(reason);
        ApiError::new(word, why).after(RETRY_AFTER_MS)
    }
}

/// Notes which connections are owed an answer.
async fn occupied<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let _busy = request.conn_data::<ConnectionHandle>().map(ConnectionHandle::busy);
    next.call(request).await
}

/// The HTTP service of a port, for one type of socket: types differ with it, and closures cannot be generic.
macro_rules! service {
    ($socket:ty, $port:ident, $stopping:ident, $names:path, $configure:expr $(, $upgrade:expr)?) => {{
        let (port, stopping) = ($port.clone(), $stopping.clone());
        let app = App::new()
            .wrap(from_fn($names))
            .wrap(from_fn(bound_chunks))
            .wrap(from_fn(occupied))
            .wrap(from_fn(request_id::identify))
            .configure($configure)
            .into_factory()
            .map_err(|e: Error| e.error_response());
        let http = HttpService::<GuardedStream<$socket>, _, _>::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HANDSHAKE)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|socket: &GuardedStream<$socket>, data: &mut Extensions| _ = data.insert(socket.handle()))
            $(.upgrade($upgrade))?
            .finish(map_config(app, |()| AppConfig::default()));
        fn_service(move |socket: $socket| std::future::ready(port.take(socket))).and_then(http)
    }};
}

/// Starts the public port.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_public(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    let (port, state) = (Port::new(state, public_connections(state)), state.clone());
    let takes_over = state.config.server.transport == Transport::Takeover;
    // Where sessions stay with the HTTP server it counts them, too.
    let sessions = if takes_over { 0 } else { state.admission.sessions_limit() };
    let workers = state.config.server.workers;
    let server = builder(workers, (state.budget.accepted.saturating_add(sessions) as usize).div_ceil(workers));
    let stopping = server.graceful_shutdown_signal();
    macro_rules! on {
        ($socket:ty $(, $upgrade:expr)?) => {
            move || {
                let state = state.clone();
                doorway().and_then(service!($socket, port, stopping, hosts::public_only, |cfg| public(cfg, &state) $(, $upgrade(state.clone()))?))
            }
        };
    }
    let server = match (listener, takes_over) {
        (Listener::Tcp(tcp), true) => server.listen("public", tcp, on!(TcpStream, upgrade::service::<TcpStream>))?,
        (Listener::Tcp(tcp), false) => server.listen("public", tcp, on!(TcpStream))?,
        (Listener::Unix(unix, _), true) => server.listen_uds("public", unix, on!(UnixStream, upgrade::service::<UnixStream>))?,
        (Listener::Unix(unix, _), false) => server.listen_uds("public", unix, on!(UnixStream))?,
    };
    Ok(server.run())
}

/// Starts the operators' port.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_ops(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    // One may be on its way out while the next comes in.
    let limits = ConnectionLimits { all: OPS_CONNECTIONS / 2, per_address: None };
    let (port, state) = (Port::new(state, Connections::new(limits, Default::default())), state.clone());
    let server = builder(1, OPS_CONNECTIONS as usize);
    let stopping = server.graceful_shutdown_signal();
    macro_rules! on {
        ($socket:ty) => {
            move || {
                let state = state.clone();
                service!($socket, port, stopping, hosts::ops_only, |cfg| ops(cfg, &state))
            }
        };
    }
    let server = match listener {
        Listener::Tcp(tcp) => server.listen("operators", tcp, on!(TcpStream))?,
        Listener::Unix(unix, _) => server.listen_uds("operators", unix, on!(UnixStream))?,
    };
    Ok(server.run())
}

/// Starts the server API's own port.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_admin(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    let limits = ConnectionLimits { all: ADMIN_CONNECTIONS / 2, per_address: None };
    let (port, state) = (Port::new(state, Connections::new(limits, Default::default())), state.clone());
    let server = builder(1, ADMIN_CONNECTIONS as usize);
    let stopping = server.graceful_shutdown_signal();
    macro_rules! on {
        ($socket:ty) => {
            move || {
                let state = state.clone();
                service!($socket, port, stopping, hosts::public_only, |cfg| admin::port(cfg, &state))
            }
        };
    }
    let server = match listener {
        Listener::Tcp(tcp) => server.listen("server API", tcp, on!(TcpStream))?,
        Listener::Unix(unix, _) => server.listen_uds("server API", unix, on!(UnixStream))?,
    };
    Ok(server.run())
}

/// `accepted` bounds the connections of a worker: beyond it the kernel keeps them, without a descriptor. [`Connections`] makes room
/// before.
fn builder(workers: usize, accepted: usize) -> ServerBuilder {
    Server::build().workers(workers).max_concurrent_connections(accepted.max(1)).shutdown_timeout(CALLS_LEAVE_S).disable_signals()
}

fn public_connections(state: &State) -> Connections {
    let all = state.budget.connections.max(1);
    // One address alone must not keep out all others.
    let half = NonZeroU32::new(all / 2).unwrap_or(NonZeroU32::MIN);
    let per_address = NonZeroU32::new(state.config.limits.connections_per_address).map(|wanted| wanted.min(half));
    Connections::new(ConnectionLimits { all, per_address }, state.metrics.connections.clone())
}
