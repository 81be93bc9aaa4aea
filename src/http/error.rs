//! The one error that HTTP callers see, and how everything that fails inside becomes it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::auth::TokenRefused;
use crate::event::Refusal;
use crate::ids::Malformed;
use crate::limits::AdmissionError;
use crate::profile::Unfit;
use crate::protocol::{CallerError, ErrorCode, errors};
use crate::store::{Full, Unavailable};
use crate::wechat::LoginRefused;

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ApiError(#[from] CallerError);

/// The body of every answer that is an error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody<'a> {
    /// The HTTP status, once more.
    pub status: u16,
    pub error: ErrorCode,
    /// For people; programs go by `error`.
    pub message: &'a str,
    /// Milliseconds after which trying again makes sense; absent where waiting does not help.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after_ms: Option<u64>,
}

/// Here and not beside the codes: fuzzers build `protocol` without a library for schemas.
impl utoipa::PartialSchema for ErrorCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let codes = utoipa::openapi::schema::Object::builder()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("What went wrong, in one word that clients can act on (docs/PROTOCOL.md, \"Words of `error`\")."))
            .enum_values(Some(ErrorCode::ALL.iter().map(|code| code.as_str())));
        codes.into()
    }
}

impl utoipa::ToSchema for ErrorCode {}

impl ApiError {
    /// A request that is wrong by what it says, not by the table's rules: `text` holds nothing secret.
    pub fn bad_request(text: String) -> Self {
        Self(CallerError::worded(ErrorCode::BadRequest, text))
    }

    pub fn not_found() -> Self {
        Self(errors::PATH_UNKNOWN)
    }

    /// The server is at fault, and what happened is in its log, written by the caller of this.
    pub fn internal() -> Self {
        Self(errors::INTERNAL)
    }

    pub fn rate_limited(retry_after_ms: u64) -> Self {
        Self(errors::TOO_MANY_CALLS.after(retry_after_ms))
    }

    pub fn unavailable() -> Self {
        Self(errors::UNAVAILABLE)
    }

    pub fn wechat_unavailable() -> Self {
        Self(errors::WECHAT_UNAVAILABLE)
    }

    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    pub fn retry_after_ms(&self) -> Option<u64> {
        self.0.retry_after_ms
    }

    pub fn into_inner(self) -> CallerError {
        self.0
    }

    /// The whole HTTP answer, behind which the connection ends: for a caller who is turned away before
    /// anything is read.
    pub fn last_answer(&self) -> String {
        let body = serde_json::to_string(&self.body()).unwrap_or_default();
        let status = self.status_code();
        let retry_after = self
            .retry_after_ms()
            .map(|ms| format!("retry-after: {}\r\n", ms.div_ceil(1_000).max(1)))
            .unwrap_or_default();
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n{retry_after}content-length: {length}\r\n\r\n{body}"
        )
    }

    fn body(&self) -> ErrorBody<'_> {
        ErrorBody {
            status: self.code().status(),
            error: self.code(),
            message: &self.0.text,
            retry_after_ms: self.retry_after_ms(),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The JSON of [`ErrorBody`]; `Retry-After` (whole seconds, rounded up: RFC 9110 §10.2.3) where waiting
    /// helps; the challenge that RFC 9110 §11.6.1 asks for beside a 401.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(ms) = self.retry_after_ms() {
            response.insert_header((header::RETRY_AFTER, ms.div_ceil(1_000).max(1)));
        }
        if self.code().status() == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.json(self.body())
    }
}

impl From<LoginRefused> for ApiError {
    fn from(why: LoginRefused) -> Self {
        match why {
            LoginRefused::BadCode => Self(errors::CODE_REFUSED),
            LoginRefused::RateLimited { retry_after_ms } => Self(errors::WECHAT_WAIT.after(retry_after_ms)),
            LoginRefused::Blocked => Self(errors::BLOCKED_BY_WECHAT),
            LoginRefused::Unavailable => Self::wechat_unavailable(),
        }
    }
}

impl From<TokenRefused> for ApiError {
    fn from(why: TokenRefused) -> Self {
        match why {
            TokenRefused::Unauthorized => Self(errors::TOKEN_INVALID),
            TokenRefused::Banned => Self(errors::BANNED),
        }
    }
}

impl From<Unavailable> for ApiError {
    fn from(_: Unavailable) -> Self {
        Self::unavailable()
    }
}

impl From<Full> for ApiError {
    fn from(_: Full) -> Self {
        Self::unavailable()
    }
}

impl From<Refusal> for ApiError {
    fn from(why: Refusal) -> Self {
        match why {
            // A call has no client_msg_id to be sent again under.
            Refusal::Unavailable => Self::unavailable(),
            why => Self(why.into()),
        }
    }
}

impl From<AdmissionError> for ApiError {
    fn from(why: AdmissionError) -> Self {
        match why {
            AdmissionError::Draining => Self(errors::SERVER_LEAVING),
            AdmissionError::TooManySessions => Self(errors::SERVER_FULL),
            AdmissionError::TooManyFromAddress => Self(errors::SESSIONS_OF_ADDRESS),
            AdmissionError::TooFast { retry_after_ms } => {
                Self(errors::HANDSHAKES_OF_ADDRESS.after(retry_after_ms))
            }
            AdmissionError::TooManyAtOnce { retry_after_ms } => {
                Self(errors::TOO_MANY_HANDSHAKES.after(retry_after_ms))
            }
        }
    }
}

impl From<Unfit> for ApiError {
    fn from(what: Unfit) -> Self {
        Self::bad_request(what.to_string())
    }
}

impl From<Malformed> for ApiError {
    fn from(what: Malformed) -> Self {
        Self::bad_request(what.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use insta::assert_snapshot;

    /// The whole answer, as a client meets it.
    async fn answer(error: ApiError) -> String {
        let response = error.error_response();
        let status = response.status().to_string();
        let mut lines: Vec<String> =
            response.headers().iter().map(|(name, v)| format!("{name}: {}", v.to_str().unwrap())).collect();
        lines.sort();
        let body = to_bytes(response.into_body()).await.unwrap();
        format!("{status}\n{}\n{}", lines.join("\n"), str::from_utf8(&body).unwrap())
    }

    #[actix_web::test]
    async fn a_word_comes_with_its_status_and_waits_are_rounded_up() {
        assert_snapshot!(answer(ApiError::rate_limited(1_001)).await, @r#"
        429 Too Many Requests
        content-type: application/json
        retry-after: 2
        {"status":429,"error":"rate_limited","message":"too many calls: wait a little","retry_after_ms":1001}
        "#);
        assert_snapshot!(answer(ApiError::not_found()).await, @r#"
        404 Not Found
        content-type: application/json
        {"status":404,"error":"not_found","message":"there is nothing at this path"}
        "#);
    }

    #[actix_web::test]
    async fn a_401_carries_a_challenge() {
        assert_snapshot!(answer(TokenRefused::Unauthorized.into()).await, @r#"
        401 Unauthorized
        content-type: application/json
        www-authenticate: Bearer
        {"status":401,"error":"unauthorized","message":"the token is not valid: log in again"}
        "#);
    }

    #[test]
    fn what_fails_inside_becomes_the_protocols_word() {
        let errors = [
            (ApiError::from(LoginRefused::BadCode), ErrorCode::BadCode, false),
            (LoginRefused::RateLimited { retry_after_ms: 5 }.into(), ErrorCode::RateLimited, true),
            (LoginRefused::Blocked.into(), ErrorCode::BlockedByWechat, false),
            (LoginRefused::Unavailable.into(), ErrorCode::WechatUnavailable, true),
            (TokenRefused::Banned.into(), ErrorCode::Banned, false),
            (Unavailable.into(), ErrorCode::Unavailable, true),
            (Refusal::Conflict.into(), ErrorCode::Conflict, false),
            (Refusal::ContentRefused.into(), ErrorCode::ContentRefused, false),
            (AdmissionError::Draining.into(), ErrorCode::Unavailable, true),
            (AdmissionError::TooManySessions.into(), ErrorCode::Unavailable, true),
            (AdmissionError::TooManyFromAddress.into(), ErrorCode::RateLimited, true),
            (AdmissionError::TooFast { retry_after_ms: 7 }.into(), ErrorCode::RateLimited, true),
            (AdmissionError::TooManyAtOnce { retry_after_ms: 7 }.into(), ErrorCode::Unavailable, true),
        ];
        for (error, code, waiting_helps) in errors {
            assert_eq!(error.code(), code);
            assert_eq!(error.retry_after_ms().is_some(), waiting_helps, "{error}");
        }
    }
}
