//! The server API under `/admin/v1`: what an operator's backend and tools may do, each with a key of
//! `admin.keys`.
//!
//! [`CALLS`] says which calls there are and which scopes open them; [`guard`] stands before each: key, scope,
//! pace, and an entry in the audit log before anything is done.

use actix_web::http::{Method, header};
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{Data, ServiceConfig, delete, get, head, post, put, resource, scope, to};
use actix_web::{Route, web};

use super::{State, common, ops, response_metrics};
use crate::config::Scope;

mod acts;
mod bans;
mod guard;
mod keys;
mod openapi;
mod reviews;
mod users;

pub use keys::AdminKeys;

/// One call.
pub struct AdminCall {
    pub method: Method,
    /// As actix-web and OpenAPI both write it.
    pub path: &'static str,
    /// Any of these will do. None: a key of any scope, and nothing is noted, because nobody and nothing is
    /// looked at.
    pub scopes: &'static [Scope],
    pub route: fn() -> Route,
}

use Scope::{Manage, Moderate, Read};

/// Every call: what the server routes by, and what a test holds the OpenAPI document against.
pub static CALLS: [AdminCall; 11] = [
    AdminCall {
        method: Method::GET,
        path: "/admin/v1/reviews",
        scopes: &[Moderate],
        route: || get().to(reviews::list),
    },
    AdminCall {
        method: Method::POST,
        path: "/admin/v1/reviews/{id}",
        scopes: &[Moderate],
        route: || post().to(reviews::decide),
    },
    AdminCall {
        method: Method::GET,
        path: "/admin/v1/users/{openid}",
        scopes: &[Read],
        route: || get().to(users::standing),
    },
    AdminCall {
        method: Method::GET,
        path: "/admin/v1/users/{openid}/sessions",
        scopes: &[Read],
        route: || get().to(users::sessions),
    },
    AdminCall {
        method: Method::DELETE,
        path: "/admin/v1/users/{openid}/profile",
        scopes: &[Moderate],
        route: || delete().to(users::strip),
    },
    AdminCall {
        method: Method::POST,
        path: "/admin/v1/users/{openid}/kick",
        scopes: &[Manage],
        route: || post().to(users::kick),
    },
    AdminCall {
        method: Method::GET,
        path: "/admin/v1/bans",
        scopes: &[Read, Manage, Moderate],
        route: || get().to(bans::list),
    },
    AdminCall {
        method: Method::PUT,
        path: "/admin/v1/bans/{openid}",
        scopes: &[Manage, Moderate],
        route: || put().to(bans::ban),
    },
    AdminCall {
        method: Method::DELETE,
        path: "/admin/v1/bans/{openid}",
        scopes: &[Manage, Moderate],
        route: || delete().to(bans::unban),
    },
    AdminCall {
        method: Method::GET,
        path: "/admin/v1/audit",
        scopes: &[Read],
        route: || get().to(acts::list),
    },
    AdminCall {
        method: Method::GET,
        path: "/admin/v1/openapi.json",
        scopes: &[],
        route: || get().to(openapi::document),
    },
];

/// The paths of [`CALLS`], each once.
pub fn paths() -> impl Iterator<Item = &'static str> {
    CALLS
        .iter()
        .enumerate()
        .filter(|(i, call)| CALLS[..*i].iter().all(|c| c.path != call.path))
        .map(|(_, call)| call.path)
}

/// Adds the calls to a port.
pub fn calls(config: &mut ServiceConfig) {
    let mut v1 = scope("/admin/v1").default_service(to(response_metrics::not_found));
    for path in paths() {
        let mut resource = resource(path.strip_prefix("/admin/v1").unwrap_or(path));
        for call in CALLS.iter().filter(|call| call.path == path) {
            resource = resource.route((call.route)());
        }
        let resource = resource.default_service(to(response_metrics::wrong_method));
        let label = crate::metrics::Route::of(path);
        let guarded = resource.wrap(from_fn(move |r, next| guard::stand(path, r, next)));
        v1 = v1.service(guarded.wrap(from_fn(move |r, next| response_metrics::count(label, r, next))));
    }
    // No page of a browser's may call: there is no word of CORS here.
    let fixed = DefaultHeaders::new()
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    config.service(v1.wrap(fixed));
}

/// A port of its own (`admin.listen`): the calls and `/healthz`.
pub fn port(config: &mut ServiceConfig, state: &Data<State>) {
    common(config, state);
    let healthz = resource("/healthz").route(get().to(ops::healthz)).route(head().to(ops::healthz));
    config.service(healthz.default_service(web::to(response_metrics::wrong_method)));
    calls(config);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_stands_twice_and_none_is_open_by_mistake() {
        for (i, call) in CALLS.iter().enumerate() {
            assert!(
                !CALLS[..i].iter().any(|c| c.path == call.path && c.method == call.method),
                "{}",
                call.path
            );
            assert_eq!(call.scopes.is_empty(), call.path == "/admin/v1/openapi.json", "{}", call.path);
            assert_eq!(crate::metrics::Route::of(call.path).as_str(), call.path, "counted by its own name");
        }
    }
}
