//! The OpenAPI document of the server API, written from the handlers; a test holds it against the routes in
//! both directions.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use utoipa::{IntoResponses, Modify, OpenApi};

use super::{CALLS, acts, bans, reviews, users};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::openapi_text;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "hongyan server API",
        description = "For the operator's own backend and tools, version 1. Times are Unix milliseconds. A path or method that is not here \
                       answers 404 `not_found`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact()
    ),
    paths(
        reviews::list,
        reviews::decide,
        users::standing,
        users::sessions,
        users::strip,
        users::kick,
        bans::list,
        bans::ban,
        bans::unban,
        acts::list,
        document
    ),
    components(schemas(ErrorBody)),
    modifiers(&Key, &Scopes)
)]
struct Document;

/// The secret of a key of `admin.keys`.
struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        openapi_text::add_bearer(document, "key");
    }
}

/// Says of each call which scopes open it.
struct Scopes;

impl Modify for Scopes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for call in &CALLS {
            let Some(item) = document.paths.paths.get_mut(call.path) else { continue };
            let operation = match call.method.as_str() {
                "GET" => &mut item.get,
                "POST" => &mut item.post,
                "PUT" => &mut item.put,
                "DELETE" => &mut item.delete,
                _ => continue,
            };
            let Some(operation) = operation else { continue };
            let scopes: Vec<_> = call.scopes.iter().map(|scope| format!("`{}`", scope.as_str())).collect();
            let needed = if scopes.is_empty() { "any".to_owned() } else { scopes.join(" or ") };
            let told = operation.description.take().map_or_else(String::new, |told| format!("{told}\n\n"));
            operation.description = Some(format!("{told}Scope: {needed}."));
        }
    }
}

/// What every call may be refused with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "stands for responses in the document only")]
pub enum AdminErrors {
    /// `bad_request`: a parameter or a field is missing or malformed
    #[response(status = 400)]
    BadRequest(ErrorBody<'static>),
    /// `unauthorized`: no key, or none of `admin.keys`
    #[response(status = 401)]
    Unauthorized(ErrorBody<'static>),
    /// `forbidden`: the key lacks the scope
    #[response(status = 403)]
    Forbidden(ErrorBody<'static>),
    /// `not_found`: there is nothing of this name
    #[response(status = 404)]
    NotFound(ErrorBody<'static>),
    /// `conflict`: it was decided otherwise before
    #[response(status = 409)]
    Conflict(ErrorBody<'static>),
    /// `too_large`: the body is larger than it may be
    #[response(status = 413)]
    TooLarge(ErrorBody<'static>),
    /// `rate_limited`: more calls a second than the key may make
    #[response(status = 429)]
    RateLimited(ErrorBody<'static>),
    /// `internal`
    #[response(status = 500)]
    Internal(ErrorBody<'static>),
    /// `unavailable`: the store is down or overloaded; what was to be done may or may not be, and may be
    /// asked for again
    #[response(status = 503)]
    Unavailable(ErrorBody<'static>),
}

static TEXT: LazyLock<Option<String>> = LazyLock::new(openapi_text::write::<Document>);

/// This document
#[utoipa::path(
    get,
    path = "/admin/v1/openapi.json",
    tag = "server",
    security(("key" = [])),
    responses((status = 200, description = "OpenAPI 3.1", body = Object), AdminErrors)
)]
pub async fn document() -> Result<HttpResponse, ApiError> {
    openapi_text::answer(TEXT.as_deref())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::http::openapi_text::tests::check;

    #[test]
    fn the_document_and_the_routes_are_the_same() {
        let document: Value = serde_json::from_str(TEXT.as_deref().unwrap()).unwrap();
        for call in &CALLS {
            let operation = &document["paths"][call.path][call.method.as_str().to_lowercase()];
            assert!(operation["security"].is_array(), "{}", call.path);
            let said = operation["description"].as_str().unwrap();
            assert!(
                call.scopes.iter().all(|scope| said.contains(&format!("`{}`", scope.as_str()))),
                "{said}"
            );
        }
        check(&document, CALLS.iter().map(|c| (c.path.to_owned(), c.method.to_string())).collect());
    }
}
