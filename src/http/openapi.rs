//! The OpenAPI document of the public port, written from the handlers; a test holds it against the routes in
//! both directions.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use super::client::AnonymousClient;
use super::error::{ApiError, ErrorBody};
use super::{api, openapi_text, ops, ws};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "hongyan",
        description = "The HTTP half of the hongyan protocol, version 1: what is fetched. What is live goes over the WebSocket at `/{openid}`. \
                       Times are Unix milliseconds. A path or method that is not here answers 404 `not_found`; \
                       but where the browser client is on, it stands at `/` and under `/assets`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact()
    ),
    paths(
        api::login::login,
        api::login::logout,
        api::conversations::list,
        api::conversations::clear,
        api::messages::history,
        api::conversations::unread,
        api::conversations::read,
        api::blocks::list,
        api::blocks::block,
        api::blocks::unblock,
        api::profiles::me,
        api::profiles::change,
        api::profiles::users,
        api::profiles::avatar,
        api::notices::settings,
        api::notices::state,
        api::notices::grant,
        api::notices::quiet,
        document,
        ops::public_healthz,
        ws::connect
    ),
    components(schemas(ErrorBody)),
    modifiers(&Token)
)]
struct Document;

/// The bearer token of `POST /v1/login`.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        openapi_text::add_bearer(document, "token");
    }
}

static TEXT: LazyLock<Option<String>> = LazyLock::new(openapi_text::write::<Document>);

/// This document
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "server",
    responses((status = 200, description = "OpenAPI 3.1", body = Object), OpenErrors)
)]
pub async fn document(_: AnonymousClient) -> Result<HttpResponse, ApiError> {
    openapi_text::answer(TEXT.as_deref())
}

/// What every call with a token may be refused with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "stands for responses in the document only")]
pub enum CallErrors {
    /// `bad_request`: a parameter or a field is missing or malformed
    #[response(status = 400)]
    BadRequest(ErrorBody<'static>),
    /// `unauthorized`: no token, or none that holds
    #[response(status = 401)]
    Unauthorized(ErrorBody<'static>),
    /// `banned`
    #[response(status = 403)]
    Forbidden(ErrorBody<'static>),
    /// `too_large`: the body is larger than it may be, or the list that something is to be put on is full
    #[response(status = 413)]
    TooLarge(ErrorBody<'static>),
    /// `rate_limited`: more calls a second, or more bytes of answers, than the user may have
    #[response(status = 429)]
    RateLimited(ErrorBody<'static>),
    /// `internal`
    #[response(status = 500)]
    Internal(ErrorBody<'static>),
    /// `unavailable`: the store is down or overloaded; what was to be written may or may not be, and may be
    /// written again
    #[response(status = 503)]
    Unavailable(ErrorBody<'static>),
}

/// What a call without a token may be refused with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "stands for responses in the document only")]
pub enum OpenErrors {
    /// `rate_limited`: more calls a second than one address may make
    #[response(status = 429)]
    RateLimited(ErrorBody<'static>),
}

/// What an image may be refused with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "stands for responses in the document only")]
pub enum ImageErrors {
    /// `not_found`: nobody shows an image of this name
    #[response(status = 404)]
    NotFound(ErrorBody<'static>),
    /// `rate_limited`: more images a second than one address may fetch
    #[response(status = 429)]
    RateLimited(ErrorBody<'static>),
    /// `internal`
    #[response(status = 500)]
    Internal(ErrorBody<'static>),
    /// `unavailable`
    #[response(status = 503)]
    Unavailable(ErrorBody<'static>),
}

/// What a login may be refused with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "stands for responses in the document only")]
pub enum LoginErrors {
    /// `bad_request`: the body is malformed
    #[response(status = 400)]
    BadRequest(ErrorBody<'static>),
    /// `bad_code`: malformed, expired or used
    #[response(status = 401)]
    BadCode(ErrorBody<'static>),
    /// `banned`, or `blocked_by_wechat`
    #[response(status = 403)]
    Forbidden(ErrorBody<'static>),
    /// `too_large`: the body is larger than 1 KiB
    #[response(status = 413)]
    TooLarge(ErrorBody<'static>),
    /// `rate_limited`: by WeChat, or by the limits on logins, handshakes and bad codes of one address
    #[response(status = 429)]
    RateLimited(ErrorBody<'static>),
    /// `internal`
    #[response(status = 500)]
    Internal(ErrorBody<'static>),
    /// `wechat_unavailable`
    #[response(status = 503)]
    Unavailable(ErrorBody<'static>),
}

/// What a handshake may be refused with before the upgrade.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "stands for responses in the document only")]
pub enum MachineRefusals {
    /// Not a WebSocket upgrade, or an impossible one
    #[response(status = 400)]
    BadRequest(ErrorBody<'static>),
    /// The page's origin is not allowed
    #[response(status = 403)]
    Forbidden,
    /// `not_found`: the path can be nobody's openid
    #[response(status = 404)]
    NotFound(ErrorBody<'static>),
    /// `rate_limited`: too many handshakes or sessions of one address
    #[response(status = 429)]
    RateLimited(ErrorBody<'static>),
    /// `unavailable`: the server is leaving, or full
    #[response(status = 503)]
    Unavailable(ErrorBody<'static>),
}

/// A message as history gives it: every further field of its sender (`message`, `client_msg_id`, `date`,
/// `created_at`, …) stands beside these, as it was given. A recalled one has none of them but
/// `client_msg_id`.
#[derive(ToSchema)]
#[schema(as = Message)]
#[allow(dead_code, reason = "stands for a schema in the document only")]
pub struct MessageSchema {
    r#type: String,
    /// Always 200.
    status: u16,
    from_user_openid: String,
    to_user_openid: String,
    /// Its place in the conversation, from 1 on.
    #[schema(minimum = 1)]
    seq: i64,
    /// The server's clock at commit.
    sent_at: i64,
    /// On a recall: the message that it recalls.
    #[schema(nullable = false)]
    target_seq: Option<i64>,
    /// Set on a message that was recalled.
    #[schema(nullable = false)]
    recalled: Option<bool>,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::http::openapi_text::tests::{Routes, check};

    fn written() -> Value {
        serde_json::from_str(TEXT.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn the_document_and_the_routes_are_the_same() {
        let mut routes: Routes =
            api::CALLS.iter().map(|c| (c.path.to_owned(), c.method.to_string())).collect();
        routes
            .extend([("/healthz".to_owned(), "GET".to_owned()), ("/{openid}".to_owned(), "GET".to_owned())]);
        check(&written(), routes);
        assert!(written().to_string().contains("\"rate_limited\""));
    }

    #[test]
    fn every_call_that_takes_a_token_says_so_and_names_its_refusals() {
        let document = written();
        assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        for call in &api::CALLS {
            let operation = &document["paths"][call.path][call.method.as_str().to_lowercase()];
            let refusals = match call.path {
                "/v1/openapi.json" => &["429"][..],
                "/v1/avatars/{sha256}" => &["404", "429", "500", "503"],
                _ => &["400", "401", "403", "413", "429", "500", "503"],
            };
            let open = ["/v1/login", "/v1/avatars/{sha256}", "/v1/openapi.json"].contains(&call.path);
            assert_eq!(operation["security"].is_array(), !open, "{}", call.path);
            for status in refusals {
                let schema = &operation["responses"][status]["content"]["application/json"]["schema"];
                assert_eq!(schema["$ref"], "#/components/schemas/Error", "{} {status}", call.path);
            }
        }
    }
}
