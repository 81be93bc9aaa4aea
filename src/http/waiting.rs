//! What the ports answer while a start waits for its database: alive, not ready, and nobody is let in.

use std::sync::{Mutex, PoisonError};

use actix_web::http::{KeepAlive, header};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig, get, head, resource, to};
use actix_web::{App, HttpResponse, HttpServer, Resource, dev};

use super::error::ApiError;
use super::hosts;
use super::listen::Listener;
use super::ops::{healthz, metrics_while_waiting, not_ready};
use super::request_id;
use crate::config::AllowedHosts;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::store::DatabaseState;

/// The database as the wait sees it.
pub type Seen = Data<Mutex<DatabaseState>>;

/// Maximum connections of a port: the rest of the descriptors is for the database that is looked for.
const CONNECTIONS: usize = 32;

/// Serves the public port until the wait is over.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_public(listener: Listener) -> std::io::Result<dev::Server> {
    serve(listener, |config| {
        config.service(alive());
    })
}

/// Serves the server API's own port until the wait is over.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_admin(listener: Listener) -> std::io::Result<dev::Server> {
    start_public(listener)
}

/// Serves the operators' port until the wait is over.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_ops(listener: Listener, allowed: &AllowedHosts, node: &Node, seen: &Seen, metrics: &Metrics) -> std::io::Result<dev::Server> {
    let (allowed, node, seen, metrics) = (Data::new(allowed.clone()), Data::new(node.clone()), seen.clone(), Data::new(metrics.clone()));
    serve(listener, move |config| {
        let readyz = resource("/readyz").route(get().to(readyz)).route(head().to(readyz)).default_service(to(nobody));
        let shown = resource("/metrics").route(get().to(metrics_while_waiting)).route(head().to(metrics_while_waiting));
        config.app_data(allowed.clone()).app_data(node.clone()).app_data(seen.clone()).app_data(metrics.clone());
        config.service(alive()).service(readyz).service(shown.default_service(to(nobody)));
    })
}

fn serve(listener: Listener, routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> std::io::Result<dev::Server> {
    let server = HttpServer::new(move || {
        App::new().wrap(from_fn(hosts::while_waiting)).wrap(from_fn(request_id::identify)).configure(&routes).default_service(to(nobody))
    });
    // Who kept a connection would meet the end of this server on it.
    let server = server.workers(1).max_connections(CONNECTIONS).keep_alive(KeepAlive::Disabled).disable_signals();
    let server = match listener {
        Listener::Tcp(tcp) => server.listen(tcp)?,
        Listener::Unix(unix, _) => server.listen_uds(unix)?,
    };
    Ok(server.run())
}

fn alive() -> Resource {
    resource("/healthz").route(get().to(healthz)).route(head().to(healthz)).default_service(to(nobody))
}

async fn readyz(node: Data<Node>, seen: Seen) -> HttpResponse {
    not_ready(node.name(), seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

async fn nobody() -> HttpResponse {
    let mut answer = actix_web::ResponseError::error_response(&ApiError::unavailable());
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}
