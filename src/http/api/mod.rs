//! The calls under `/v1`. What a call needs beyond its own line stands here: the bound on a page, the wait
//! for a commit.

use actix_web::http::Method;
use actix_web::{Route, web};

use crate::http::State;
use crate::http::error::ApiError;
use crate::http::openapi;
use crate::protocol::errors;
use crate::store::CALLER_TIMEOUT;
use crate::store::{Query, Submit};

pub mod login;
pub mod conversations;
pub mod cursor;
pub mod messages;
pub mod blocks;
pub mod profiles;
pub mod notices;

/// The most that one page of anything holds.
const PAGE_MAX: i64 = 100;

/// One call.
pub struct Call {
    pub method: Method,
    /// As actix-web and OpenAPI both write it.
    pub path: &'static str,
    pub route: fn() -> Route,
}

/// Every call under `/v1`: what the server routes by, and what a test holds the OpenAPI document against.
pub static CALLS: [Call; 19] = [
    Call { method: Method::POST, path: "/v1/login", route: || web::post().to(login::login) },
    Call { method: Method::POST, path: "/v1/logout", route: || web::post().to(login::logout) },
    Call { method: Method::GET, path: "/v1/conversations", route: || web::get().to(conversations::list) },
    Call {
        method: Method::DELETE,
        path: "/v1/conversations/{peer}",
        route: || web::delete().to(conversations::clear),
    },
    Call { method: Method::GET, path: "/v1/messages", route: || web::get().to(messages::history) },
    Call { method: Method::GET, path: "/v1/unread", route: || web::get().to(conversations::unread) },
    Call { method: Method::POST, path: "/v1/read", route: || web::post().to(conversations::read) },
    Call { method: Method::GET, path: "/v1/blocks", route: || web::get().to(blocks::list) },
    Call { method: Method::PUT, path: "/v1/blocks/{openid}", route: || web::put().to(blocks::block) },
    Call { method: Method::DELETE, path: "/v1/blocks/{openid}", route: || web::delete().to(blocks::unblock) },
    Call { method: Method::GET, path: "/v1/me", route: || web::get().to(profiles::me) },
    Call { method: Method::PUT, path: "/v1/me", route: || web::put().to(profiles::change) },
    Call { method: Method::GET, path: "/v1/users", route: || web::get().to(profiles::users) },
    Call { method: Method::GET, path: "/v1/avatars/{sha256}", route: || web::get().to(profiles::avatar) },
    Call {
        method: Method::PUT,
        path: "/v1/conversations/{peer}/settings",
        route: || web::put().to(notices::settings),
    },
    Call { method: Method::GET, path: "/v1/notices", route: || web::get().to(notices::state) },
    Call { method: Method::POST, path: "/v1/notices/grants", route: || web::post().to(notices::grant) },
    Call { method: Method::PUT, path: "/v1/notices/quiet", route: || web::put().to(notices::quiet) },
    Call { method: Method::GET, path: "/v1/openapi.json", route: || web::get().to(openapi::document) },
];

/// The paths of [`CALLS`], each once.
pub fn paths() -> impl Iterator<Item = &'static str> {
    CALLS
        .iter()
        .enumerate()
        .filter(|(i, call)| CALLS[..*i].iter().all(|c| c.path != call.path))
        .map(|(_, call)| call.path)
}

/// Asks the store, for at most [`CALLER_TIMEOUT`].
pub(super) async fn ask<Q: Query>(state: &State, query: Q) -> Result<Q::Answer, ApiError> {
    let answer = tokio::time::timeout(CALLER_TIMEOUT, state.store.ask(query)).await;
    Ok(answer.map_err(|_| ApiError::unavailable())??)
}

/// Hands a write in and waits until it is committed, for at most [`CALLER_TIMEOUT`]. `unavailable` leaves open
/// whether it was: every write that a call makes may be made again.
pub(super) async fn commit<S: Submit>(state: &State, write: S) -> Result<S::Reply, ApiError> {
    let outcome = tokio::time::timeout(CALLER_TIMEOUT, state.store.execute(write)).await;
    Ok(outcome.map_err(|_| ApiError::unavailable())??)
}

/// How many entries a page may have.
pub(super) fn limit(given: Option<i64>, default: usize) -> Result<usize, ApiError> {
    match given {
        None => Ok(default),
        Some(n) if (1..=PAGE_MAX).contains(&n) => usize::try_from(n).map_err(|_| ApiError::internal()),
        Some(_) => Err(ApiError::from(errors::LIMIT_OUT_OF_RANGE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Route;

    #[test]
    fn a_page_has_1_to_100_entries() {
        assert_eq!(limit(None, 50).unwrap(), 50);
        assert_eq!(limit(Some(1), 50).unwrap(), 1);
        assert_eq!(limit(Some(100), 50).unwrap(), 100);
        for bad in [0, -1, 101, i64::MAX, i64::MIN] {
            assert!(limit(Some(bad), 50).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_path_is_counted_as_a_route_of_its_own() {
        for path in paths().chain([crate::http::wechat_events::PATH]) {
            assert_eq!(Route::of(path).as_str(), path);
        }
        assert_eq!(Route::of("/v1/nowhere"), Route::Other);
    }

    #[test]
    fn no_call_stands_twice() {
        for (i, call) in CALLS.iter().enumerate() {
            assert!(
                !CALLS[..i].iter().any(|c| c.path == call.path && c.method == call.method),
                "{}",
                call.path
            );
        }
    }
}
