//! The HTTP servers: the public port in both transports, and the operators' port.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::boxed::{self, BoxServiceFactory};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::ServiceConfig;
use actix_web::{App, Error, HttpResponse, web};
use ipnet::IpNet;

use super::body::bound_chunks;
use super::connections::{ConnectionHandle, ConnectionLimits, Connections, Crowded};
use super::descriptors::{ADMIN_CONNECTIONS, OPS_CONNECTIONS};
use super::error::ApiError;
use super::listen::{Listener, SocketService, listen};
use super::stream::{self, GuardedStream, Socket};
use super::{State, admin, hosts, ops, public, request_id, upgrade};
use crate::config::Transport;
use crate::limits::ClientAddress;
use crate::metrics::{Metrics, RefusedConnection};
use crate::protocol::errors;

/// A handshake, or the head of a request, that is not finished by then is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection without a request is kept for so long: longer than proxies keep theirs to a server (nginx 60
/// s, Caddy 120 s, Traefik 90 s), or one of them would now and then send a call on a connection that has just
/// been closed, and answer 502.
pub const KEEP_ALIVE: Duration = Duration::from_secs(130);

/// What calls under way may still take when the server stops, in whole seconds.
pub const CALLS_LEAVE_S: u64 = 1;

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
    fn take(&self, socket: Socket) -> Result<(GuardedStream, Option<SocketAddr>), DispatchError> {
        stream::prepare(&socket, self.unsent_after);
        let peer = stream::peer(&socket);
        let counted = peer
            .map(|peer| peer.ip().to_canonical())
            .filter(|ip| !self.proxies.iter().any(|net| net.contains(ip)));
        match self.connections.admit(counted.map(ClientAddress::from)) {
            Ok(permit) => Ok((GuardedStream::new(socket, permit, self.write_timeout), peer)),
            Err(crowded) => {
                // As much as goes at once: whoever is not served is not waited for either.
                let _ = stream::write_at_once(&socket, self.turn_away(crowded).last_answer().as_bytes());
                Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into()))
            }
        }
    }

    fn turn_away(&self, crowded: Crowded) -> ApiError {
        let (reason, error) = match crowded {
            Crowded::Address => (RefusedConnection::TooManyFromAddress, errors::CONNECTIONS_OF_ADDRESS),
            Crowded::Port => (RefusedConnection::TooManyConnections, errors::TOO_MANY_CONNECTIONS),
        };
        self.metrics.connections_refused.inc(reason);
        error.after(RETRY_AFTER_MS).into()
    }
}

/// Notes which connections are owed an answer.
async fn occupied<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let _busy = request.conn_data::<ConnectionHandle>().map(ConnectionHandle::busy);
    next.call(request).await
}

/// What a port answers.
#[derive(Clone, Copy)]
enum PortKind {
    Public,
    Ops,
    Admin,
}

impl PortKind {
    fn configure(self, config: &mut ServiceConfig, state: &web::Data<State>) {
        match self {
            Self::Public => public(config, state),
            Self::Ops => ops(config, state),
            Self::Admin => admin::port(config, state),
        }
    }

    /// Answers who asks under a name that is the port's.
    async fn by_name<B: MessageBody + 'static>(
        self,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse, Error> {
        match self {
            Self::Public | Self::Admin => hosts::public_only(request, next).await,
            Self::Ops => hosts::ops_only(request, next).await,
        }
    }
}

type HttpApp = BoxServiceFactory<(), Request, ServiceResponse, HttpResponse, ()>;

/// Everything here is one type whatever the port, the transport and the socket are: each further one would be
/// compiled a second time.
fn app(kind: PortKind, state: &web::Data<State>) -> HttpApp {
    let app = App::new()
        .wrap(from_fn(move |request, next| kind.by_name(request, next)))
        .wrap(from_fn(bound_chunks))
        .wrap(from_fn(occupied))
        .wrap(from_fn(request_id::identify))
        .configure(|config| kind.configure(config, state))
        .into_factory()
        .map_err(|e: Error| e.error_response());
    boxed::factory(map_config(app, |()| AppConfig::default()))
}

/// What serves the sockets of a port. `upgrades`: the requests that ask for it leave HTTP, for the sessions
/// of this state.
fn sockets(
    port: Port,
    stopping: GracefulShutdownSignal,
    app: HttpApp,
    upgrades: Option<web::Data<State>>,
) -> SocketService {
    let http = HttpService::build()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HANDSHAKE)
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .on_connect_ext(|socket: &GuardedStream, data: &mut Extensions| _ = data.insert(socket.handle()));
    let served = match upgrades {
        Some(state) => boxed::factory(http.upgrade(upgrade::service(state)).h1(app)),
        None => boxed::factory(http.h1(app)),
    };
    boxed::factory(fn_service(move |socket| ready(port.take(socket))).and_then(served))
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
    let server =
        builder(workers, (state.budget.accepted.saturating_add(sessions) as usize).div_ceil(workers));
    let stopping = server.graceful_shutdown_signal();
    listen(server, "public", listener, move || {
        sockets(
            port.clone(),
            stopping.clone(),
            app(PortKind::Public, &state),
            takes_over.then(|| state.clone()),
        )
    })
}

/// Starts the operators' port.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_ops(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    start_small(PortKind::Ops, OPS_CONNECTIONS, "operators", state, listener)
}

/// Starts the server API's own port.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_admin(state: &web::Data<State>, listener: Listener) -> io::Result<Server> {
    start_small(PortKind::Admin, ADMIN_CONNECTIONS, "server API", state, listener)
}

fn start_small(
    kind: PortKind,
    connections: u32,
    name: &str,
    state: &web::Data<State>,
    listener: Listener,
) -> io::Result<Server> {
    // One may be on its way out while the next comes in.
    let limits = ConnectionLimits { all: connections / 2, per_address: None };
    let (port, state) = (Port::new(state, Connections::new(limits, Default::default())), state.clone());
    let server = builder(1, connections as usize);
    let stopping = server.graceful_shutdown_signal();
    listen(server, name, listener, move || sockets(port.clone(), stopping.clone(), app(kind, &state), None))
}

/// `accepted` bounds the connections of a worker: beyond it the kernel keeps them, without a descriptor.
/// [`Connections`] makes room before.
fn builder(workers: usize, accepted: usize) -> ServerBuilder {
    Server::build()
        .workers(workers)
        .max_concurrent_connections(accepted.max(1))
        .shutdown_timeout(CALLS_LEAVE_S)
        .disable_signals()
}

fn public_connections(state: &State) -> Connections {
    let all = state.budget.connections.max(1);
    // One address alone must not keep out all others.
    let half = NonZeroU32::new(all / 2).unwrap_or(NonZeroU32::MIN);
    let per_address =
        NonZeroU32::new(state.config.limits.connections_per_address).map(|wanted| wanted.min(half));
    Connections::new(ConnectionLimits { all, per_address }, state.metrics.connections.clone())
}
