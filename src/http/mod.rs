//! The edge: what a stranger's bytes meet first, and the only place where HTTP is spoken.
//!
//! [`public`] and [`ops()`] say which paths there are; [`api`] holds the calls under `/v1`, [`admin`] those
//! under `/admin/v1`, [`ws`] the handshake. [`address`] says where a request comes from, [`client`] who it is,
//! [`error`] how a refusal looks; who may do how much is the work of [`crate::limits`].

use std::sync::Arc;

use actix::Recipient;
use actix_cors::Cors;
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{Data, PathConfig, QueryConfig, ServiceConfig, get, head, resource, scope, to};

use crate::auth::{RevocationLog, Tokens};
use crate::config::Config;
use crate::lifecycle::Draining;
use crate::limits::{Admission, UserLimits};
use crate::metrics::{Metrics, Route};
use crate::notice::Standing;
use crate::protocol::errors;
use crate::relay::RelayHandle;
use crate::safety::ModerationHandle;
use crate::session;
use crate::store::Store;
use crate::wechat::ValidateCode;

pub mod listen;
pub mod serve;
pub mod upgrade;
pub mod ws;
pub mod admin;
pub mod api;
pub mod ops;
pub mod openapi;
mod openapi_text;
pub mod client;
pub mod body;
pub mod address;
pub mod request_id;
pub mod status;
pub mod origin;
pub mod hosts;
pub mod etag;
pub mod web;
pub mod wechat_events;
pub mod descriptors;
pub mod connections;
pub mod page;
pub mod stream;
pub mod error;
pub mod response_metrics;
pub mod waiting;
mod pacer;
#[cfg(test)]
mod testing;

pub use admin::AdminKeys;
pub use client::{AuthenticatedUser, LoginClient};
pub use descriptors::Budget;
pub use error::ApiError;
pub use web::SignIn;
pub use wechat_events::{PushHandler, Pushes};

/// What every handler may reach: one a process, shared by all workers.
pub struct State {
    pub config: Arc<Config>,
    /// This node, and how it stands.
    pub status: Arc<status::StatusSource>,
    pub store: Store,
    pub tokens: Tokens,
    /// How far the log of revocations was read, and the time by which tokens are dated.
    pub revocations: RevocationLog,
    pub wechat: Recipient<ValidateCode>,
    pub metrics: Metrics,
    pub draining: Draining,
    pub admission: Admission,
    pub user_limits: UserLimits,
    /// Whether it is `hongyan dev`, where any code logs in.
    pub is_dev: bool,
    /// How the descriptors are shared out.
    pub budget: Budget,
    pub wechat_seen: ops::WeChatSeen,
    pub sessions: Arc<session::SessionPorts>,
    /// What names and messages go through before they are stored.
    pub moderation: ModerationHandle,
    /// The other nodes, where there may be any.
    pub relay: Option<RelayHandle>,
    /// How things stand with notices, where there are any.
    pub notices: Option<Arc<Standing>>,
    /// How the browser client lets people in, where it is served.
    pub web: Option<SignIn>,
    /// The keys of the server API, where there is one.
    pub admin: Option<AdminKeys>,
    /// How WeChat's pushes are told from others', where any are taken.
    pub pushes: Option<Pushes>,
    pub push_handler: Box<dyn PushHandler>,
}

impl State {
    /// Has every node look at the log of revocations now, because something was added to it.
    pub fn tell_revoked(&self) {
        self.revocations.read_soon();
        if let Some(relay) = &self.relay {
            relay.tell_revoked();
        }
    }
}

/// The public port: `/v1`, `/healthz`, the server API where it has no port of its own, WeChat's events and
/// the browser client where they are on, and last the handshake, whose path every single segment fits.
///
/// Any other path, and any other method on one of these, is 404 `not_found` (the protocol has no word for
/// 405).
pub fn public(config: &mut ServiceConfig, state: &Data<State>) {
    common(config, state);
    let mut v1 = scope("/v1").default_service(to(response_metrics::not_found));
    for path in api::paths() {
        let route = Route::of(path);
        let mut resource = resource(path.strip_prefix("/v1").unwrap_or(path));
        for call in api::CALLS.iter().filter(|call| call.path == path) {
            resource = resource.route((call.route)());
        }
        v1 = v1.service(
            resource
                .default_service(to(response_metrics::wrong_method))
                .wrap(from_fn(move |r, next| response_metrics::count(route, r, next))),
        );
    }
    let fixed = DefaultHeaders::new()
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    config.service(v1.wrap(fixed).wrap(cors(if state.is_dev {
        &[]
    } else {
        &state.config.server.allowed_origins
    })));
    let healthz =
        resource("/healthz").route(get().to(ops::public_healthz)).route(head().to(ops::public_healthz));
    let healthz = healthz.default_service(to(response_metrics::wrong_method));
    config.service(healthz.wrap(from_fn(|r, next| response_metrics::count(Route::Healthz, r, next))));
    if state.admin.is_some() && state.config.admin.port().is_none() {
        admin::calls(config);
    }
    if state.pushes.is_some() {
        config.service(
            wechat_events::events()
                .wrap(from_fn(|r, next| response_metrics::count(Route::WeChatEvents, r, next))),
        );
    }
    if state.web.is_some() {
        config.service(web::page().wrap(from_fn(|r, next| response_metrics::count(Route::Page, r, next))));
        config.service(web::assets().wrap(from_fn(|r, next| response_metrics::count(Route::Asset, r, next))));
    }
    config.service(
        resource("/{openid}")
            .route(get().to(ws::connect))
            .default_service(to(response_metrics::wrong_method))
            .wrap(from_fn(|r, next| response_metrics::count(Route::Handshake, r, next))),
    );
}

/// The operators' port: `/healthz`, `/readyz`, `/metrics`, `/status`. Asks nobody who they are, and changes
/// nothing.
pub fn ops(config: &mut ServiceConfig, state: &Data<State>) {
    common(config, state);
    let healthz = resource("/healthz").route(get().to(ops::healthz)).route(head().to(ops::healthz));
    config.service(healthz.default_service(to(response_metrics::wrong_method)));
    config.service(
        resource("/readyz")
            .route(get().to(ops::readyz))
            .route(head().to(ops::readyz))
            .default_service(to(response_metrics::wrong_method)),
    );
    config.service(
        resource("/metrics")
            .route(get().to(ops::metrics))
            .route(head().to(ops::metrics))
            .default_service(to(response_metrics::wrong_method)),
    );
    config.service(
        resource("/status")
            .route(get().to(status::status))
            .default_service(to(response_metrics::wrong_method)),
    );
    config.service(
        resource("/status/requests/{id}")
            .route(get().to(status::seen_request))
            .default_service(to(response_metrics::wrong_method)),
    );
}

fn common(config: &mut ServiceConfig, state: &Data<State>) {
    config
        .app_data(state.clone())
        .app_data(QueryConfig::default().error_handler(|_, _| ApiError::from(errors::QUERY_MISFIT).into()))
        .app_data(PathConfig::default().error_handler(|_, _| ApiError::from(errors::PATH_MALFORMED).into()))
        .default_service(to(response_metrics::not_found));
}

/// Browsers of the allowed origins may call, without credentials of the browser's own: there are no cookies.
fn cors(allowed: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "DELETE"])
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::RETRY_AFTER, request_id::X_REQUEST_ID])
        .max_age(3_600);
    if allowed.is_empty() {
        return cors.allow_any_origin().send_wildcard();
    }
    let allowed = allowed.to_vec();
    cors.allowed_origin_fn(move |from, _| origin::is_listed(&allowed, from))
}

#[cfg(test)]
mod tests;
