//! Small bodies, read with a bound in bytes and in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, ResponseError as _};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::ApiError;
use super::response_metrics;
use crate::protocol::errors;

/// Most calls have no more to say: a code, a peer, a number.
pub const MAX_BYTES: usize = 1_024;

/// A body that trickles in is dropped, so that nobody holds a connection with it.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The JSON body of a call: at most `MAX` bytes, there within ten seconds; an empty one and `null` count as
/// `{}`. `Content-Type` is not looked at: no browser sends credentials by itself here, so that there is
/// nothing to protect by it.
///
/// Beyond the size 413 `too_large`, anything else wrong 400 `bad_request`.
#[derive(Debug)]
pub struct Body<T, const MAX: usize = MAX_BYTES>(pub T);

impl<T: DeserializeOwned + 'static, const MAX: usize> FromRequest for Body<T, MAX> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload.take(), MAX);
        Box::pin(async move { parse(&bytes.await?).map(Self) })
    }
}

/// A body as it is, at most `max` bytes, there within ten seconds.
///
/// # Errors
/// `too_large` before it is read, where its length says so; `bad_request`.
pub fn read(
    request: &HttpRequest,
    mut payload: Payload,
    max: usize,
) -> impl Future<Output = Result<BytesMut, ApiError>> + use<> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    async move {
        if announced.is_some_and(|n| n > max) {
            return Err(too_large(max));
        }
        within_time(&mut payload, max).await
    }
}

/// A body of unknown length is read here, before it is known who sends it, and so within [`MAX_BYTES`]
/// whatever the call. Beyond them the connection ends behind the answer; left alone, the HTTP server would
/// read on, without an end, to find the next request.
pub async fn bound_chunks<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        let mut payload = request.take_payload();
        match within_time(&mut payload, MAX_BYTES).await {
            Ok(bytes) => request.set_payload(Payload::from(bytes.freeze())),
            Err(error) => {
                response_metrics::refused(&request, error.code());
                let answer =
                    error.error_response().map_body(|_, body| BoxBody::new(Held { body, _unread: payload }));
                return Ok(request.into_response(answer));
            }
        }
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

/// A body that keeps what was not read of the request: the HTTP server takes a request whose body is held,
/// and not read, for one behind which it must hang up.
struct Held {
    body: BoxBody,
    _unread: Payload,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

async fn within_time(payload: &mut Payload, max: usize) -> Result<BytesMut, ApiError> {
    let read = tokio::time::timeout(BODY_TIMEOUT, collect(payload, max)).await;
    read.map_err(|_| ApiError::from(errors::BODY_LATE))?
}

async fn collect(payload: &mut Payload, max: usize) -> Result<BytesMut, ApiError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::from(errors::BODY_CUT))?;
        if bytes.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if matches!(bytes.trim_ascii(), b"" | b"null") {
        // A body that may be null tells it from `{}`.
        let nothing = serde_json::from_slice(b"null").or_else(|_| serde_json::from_slice(b"{}"));
        return nothing.map_err(|_| ApiError::from(errors::BODY_MISFIT));
    }
    // The parser's own words could hold what the caller wrote, a code for example.
    if !bytes.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
    {
        return Err(ApiError::from(errors::BODY_NO_OBJECT));
    }
    serde_json::from_slice(bytes).map_err(|e| match e.classify() {
        Category::Data => ApiError::from(errors::BODY_MISFIT),
        Category::Syntax | Category::Eof | Category::Io => ApiError::from(errors::BODY_NO_JSON),
    })
}

fn too_large(max: usize) -> ApiError {
    errors::body_too_large(max / 1_024).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;
    use actix_web::test::TestRequest;

    #[derive(serde::Deserialize, Debug)]
    struct Sample {
        n: Option<i64>,
    }

    async fn read(body: Vec<u8>) -> Result<Option<i64>, ErrorCode> {
        let (request, mut payload) = TestRequest::post().set_payload(body).to_http_parts();
        Body::<Sample>::from_request(&request, &mut payload).await.map(|b| b.0.n).map_err(|e| e.code())
    }

    #[actix_web::test]
    async fn bodies_are_bounded_and_may_be_empty() {
        assert_eq!(read(b"{\"n\":3}".to_vec()).await, Ok(Some(3)));
        assert_eq!(read(Vec::new()).await, Ok(None));
        assert_eq!(read(b" null ".to_vec()).await, Ok(None));
        for bad in ["{", "[]", "[3]", "3", "{\"n\":\"x\"}", "{\"n\":3}x", "\u{0}"] {
            assert_eq!(read(bad.into()).await, Err(ErrorCode::BadRequest), "{bad}");
        }
        let mut exact = vec![b' '; MAX_BYTES - 7];
        exact.extend_from_slice(b"{\"n\":3}");
        assert_eq!(read(exact.clone()).await, Ok(Some(3)));
        exact.push(b' ');
        assert_eq!(read(exact).await, Err(ErrorCode::TooLarge));
    }
}
