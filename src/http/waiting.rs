//! Answers of the ports while a start waits for its database: alive, not ready, and nobody is let in.

use std::future::ready;
use std::sync::{Mutex, PoisonError};

use actix_http::HttpService;
use actix_server::Server;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, boxed, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::{KeepAlive, header};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig, get, head, resource, to};
use actix_web::{App, Error, HttpResponse, Resource};

use super::error::ApiError;
use super::hosts;
use super::listen::{Listener, listen};
use super::ops::{healthz, metrics_while_waiting, not_ready};
use super::{request_id, stream};
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
pub fn start_public(listener: Listener) -> std::io::Result<Server> {
    serve(listener, |config| {
        config.service(alive());
    })
}

/// Serves the server API's own port until the wait is over.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_admin(listener: Listener) -> std::io::Result<Server> {
    start_public(listener)
}

/// Serves the operators' port until the wait is over.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start_ops(
    listener: Listener,
    allowed: &AllowedHosts,
    node: &Node,
    seen: &Seen,
    metrics: &Metrics,
) -> std::io::Result<Server> {
    let (allowed, node, seen, metrics) =
        (Data::new(allowed.clone()), Data::new(node.clone()), seen.clone(), Data::new(metrics.clone()));
    serve(listener, move |config| {
        let readyz =
            resource("/readyz").route(get().to(readyz)).route(head().to(readyz)).default_service(to(nobody));
        let shown = resource("/metrics")
            .route(get().to(metrics_while_waiting))
            .route(head().to(metrics_while_waiting));
        config
            .app_data(allowed.clone())
            .app_data(node.clone())
            .app_data(seen.clone())
            .app_data(metrics.clone());
        config.service(alive()).service(readyz).service(shown.default_service(to(nobody)));
    })
}

fn serve(
    listener: Listener,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<Server> {
    let server = Server::build().workers(1).max_concurrent_connections(CONNECTIONS).disable_signals();
    listen(server, "waiting", listener, move || {
        let app = App::new()
            .wrap(from_fn(hosts::while_waiting))
            .wrap(from_fn(request_id::identify))
            .configure(&routes)
            .default_service(to(nobody));
        let app = app.into_factory().map_err(|e: Error| e.error_response());
        let app = boxed::factory(map_config(app, |()| AppConfig::default()));
        // Who kept a connection would meet the end of this server on it.
        let http = HttpService::build().keep_alive(KeepAlive::Disabled).h1(app);
        let with_peer = |socket| {
            let peer = stream::peer(&socket);
            ready(Ok((socket, peer)))
        };
        boxed::factory(fn_service(with_peer).and_then(http))
    })
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
