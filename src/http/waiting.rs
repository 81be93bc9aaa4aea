//! What the ports answer while a start waits for its database: alive, not ready, and nobody is let in.

use std::sync::{Mutex, PoisonError};

use actix_web::http::{KeepAlive, header};
use actix_web::web::{Data, get, head, resource, to};
use actix_web::{App, HttpResponse, HttpServer, dev};

use super::error::ApiError;
use super::listen::Listener;
use super::ops::{healthz, not_ready};
use crate::store::DatabaseState;

/// The database as the wait sees it.
pub type Seen = Data<Mutex<DatabaseState>>;

/// Serves one port until the wait is over.
///
/// # Errors
/// When the listener cannot be watched.
pub fn start(listener: Listener, seen: &Seen) -> std::io::Result<dev::Server> {
    let seen = seen.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(seen.clone())
            .service(resource("/healthz").route(get().to(healthz)).route(head().to(healthz)).default_service(to(nobody)))
            .service(resource("/readyz").route(get().to(readyz)).route(head().to(readyz)).default_service(to(nobody)))
            .default_service(to(nobody))
    });
    // Who kept a connection would meet the end of this server on it.
    let server = server.workers(1).keep_alive(KeepAlive::Disabled).disable_signals();
    let server = match listener {
        Listener::Tcp(tcp) => server.listen(tcp)?,
        Listener::Unix(unix, _) => server.listen_uds(unix)?,
    };
    Ok(server.run())
}

async fn readyz(seen: Seen) -> HttpResponse {
    not_ready(seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

async fn nobody() -> HttpResponse {
    let mut answer = actix_web::ResponseError::error_response(&ApiError::unavailable());
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}
