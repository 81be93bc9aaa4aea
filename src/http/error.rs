//! The one error that HTTP callers see, and how everything that fails inside becomes it.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::admission::Refused;
use crate::auth::TokenRefused;
use crate::event::Refusal;
use crate::ids::Malformed;
use crate::profile::Unfit;
use crate::protocol::ErrorCode;
use crate::store::{Full, Unavailable};
use crate::wechat::LoginRefused;

/// How long a caller is asked to wait when the store or WeChat is away and nobody knows for how long.
const WAIT_WHEN_AWAY_MS: u64 = 1_000;

/// A refused call: a word of docs/PROTOCOL.md that programs act on, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    word: ErrorCode,
    message: Cow<'static, str>,
    retry_after_ms: Option<u64>,
}

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

/// Here and not beside the words: fuzzers build `protocol` without a library for schemas.
impl utoipa::PartialSchema for ErrorCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let words = utoipa::openapi::schema::Object::builder()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("What went wrong, in one word that clients can act on (docs/PROTOCOL.md, \"Words of `error`\")."))
            .enum_values(Some(ErrorCode::ALL.iter().map(|word| word.as_str())));
        words.into()
    }
}

impl utoipa::ToSchema for ErrorCode {}

impl ApiError {
    /// `message` is for people and holds nothing secret: it goes to the caller as it is.
    pub fn new(word: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { word, message: message.into(), retry_after_ms: None }
    }

    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "there is nothing at this path")
    }

    /// The server is at fault, and what happened is in its log, written by the caller of this.
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "the server failed")
    }

    pub fn rate_limited(retry_after_ms: u64) -> Self {
        Self::new(ErrorCode::RateLimited, "too many calls: wait a little").after(retry_after_ms)
    }

    pub fn unavailable() -> Self {
        Self::new(ErrorCode::Unavailable, "the server cannot do this now").after(WAIT_WHEN_AWAY_MS)
    }

    pub fn wechat_unavailable() -> Self {
        Self::new(ErrorCode::WechatUnavailable, "WeChat does not answer").after(WAIT_WHEN_AWAY_MS)
    }

    /// The same, to be tried again after so many milliseconds.
    #[must_use]
    pub fn after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    pub fn code(&self) -> ErrorCode {
        self.word
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// The whole HTTP answer, behind which the connection ends: for a caller who is turned away before
    /// anything is read.
    pub fn last_answer(&self) -> String {
        let body = serde_json::to_string(&self.body()).unwrap_or_default();
        let status = self.status_code();
        let retry_after = self
            .retry_after_ms
            .map(|ms| format!("retry-after: {}\r\n", ms.div_ceil(1_000).max(1)))
            .unwrap_or_default();
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n{retry_after}content-length: {length}\r\n\r\n{body}"
        )
    }

    fn body(&self) -> ErrorBody<'_> {
        ErrorBody {
            status: self.word.status(),
            error: self.word,
            message: &self.message,
            retry_after_ms: self.retry_after_ms,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word.as_str(), self.message)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.word.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The JSON of [`ErrorBody`]; `Retry-After` (whole seconds, rounded up: RFC 9110 §10.2.3) where waiting
    /// helps; the challenge that RFC 9110 §11.6.1 asks for beside a 401.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(ms) = self.retry_after_ms {
            response.insert_header((header::RETRY_AFTER, ms.div_ceil(1_000).max(1)));
        }
        if self.word.status() == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.json(self.body())
    }
}

impl From<LoginRefused> for ApiError {
    fn from(why: LoginRefused) -> Self {
        match why {
            LoginRefused::BadCode => {
                Self::new(ErrorCode::BadCode, "the code is malformed, expired or used: call wx.login again")
            }
            LoginRefused::RateLimited { retry_after_ms } => {
                Self::new(ErrorCode::RateLimited, "WeChat asks to wait").after(retry_after_ms)
            }
            LoginRefused::Blocked => Self::new(ErrorCode::BlockedByWechat, "WeChat blocked this user"),
            LoginRefused::Unavailable => Self::wechat_unavailable(),
        }
    }
}

impl From<TokenRefused> for ApiError {
    fn from(why: TokenRefused) -> Self {
        match why {
            TokenRefused::Unauthorized => {
                Self::new(ErrorCode::Unauthorized, "the token is not valid: log in again")
            }
            TokenRefused::Banned => Self::new(ErrorCode::Banned, "this user is banned"),
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
            Refusal::Conflict => {
                Self::new(ErrorCode::Conflict, "stored before under the same key with other content")
            }
            Refusal::RateLimited { retry_after_ms } => Self::rate_limited(retry_after_ms),
            Refusal::Unavailable => Self::unavailable(),
            Refusal::Blocked => Self::new(ErrorCode::Blocked, "the recipient takes nothing from you"),
            Refusal::NotFound => Self::new(ErrorCode::NotFound, "there is no such message of yours"),
            Refusal::RecallExpired => {
                Self::new(ErrorCode::RecallExpired, "the message is too old to be recalled")
            }
            Refusal::TooMany => {
                Self::new(ErrorCode::TooLarge, "the list is full: take somebody off it first")
            }
            Refusal::ContentRefused => Self::new(ErrorCode::ContentRefused, "this may not be said here"),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(why: Refused) -> Self {
        match why {
            Refused::Draining => {
                Self::new(ErrorCode::Unavailable, "the server is leaving").after(WAIT_WHEN_AWAY_MS)
            }
            Refused::TooManySessions => {
                Self::new(ErrorCode::Unavailable, "the server is full").after(WAIT_WHEN_AWAY_MS)
            }
            Refused::TooManyFromAddress => {
                Self::new(ErrorCode::RateLimited, "too many sessions from this address")
                    .after(WAIT_WHEN_AWAY_MS)
            }
            Refused::TooFast { retry_after_ms } => {
                Self::new(ErrorCode::RateLimited, "too many logins and handshakes from this address")
                    .after(retry_after_ms)
            }
            Refused::TooManyAtOnce { retry_after_ms } => {
                Self::new(ErrorCode::Unavailable, "too many connect at once").after(retry_after_ms)
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
        let words = [
            (ApiError::from(LoginRefused::BadCode), ErrorCode::BadCode, false),
            (LoginRefused::RateLimited { retry_after_ms: 5 }.into(), ErrorCode::RateLimited, true),
            (LoginRefused::Blocked.into(), ErrorCode::BlockedByWechat, false),
            (LoginRefused::Unavailable.into(), ErrorCode::WechatUnavailable, true),
            (TokenRefused::Banned.into(), ErrorCode::Banned, false),
            (Unavailable.into(), ErrorCode::Unavailable, true),
            (Refusal::Conflict.into(), ErrorCode::Conflict, false),
            (Refusal::ContentRefused.into(), ErrorCode::ContentRefused, false),
            (Refused::Draining.into(), ErrorCode::Unavailable, true),
            (Refused::TooManySessions.into(), ErrorCode::Unavailable, true),
            (Refused::TooManyFromAddress.into(), ErrorCode::RateLimited, true),
            (Refused::TooFast { retry_after_ms: 7 }.into(), ErrorCode::RateLimited, true),
            (Refused::TooManyAtOnce { retry_after_ms: 7 }.into(), ErrorCode::Unavailable, true),
        ];
        for (error, word, waiting_helps) in words {
            assert_eq!(error.code(), word);
            assert_eq!(error.retry_after_ms().is_some(), waiting_helps, "{error}");
        }
    }
}
