//! Small JSON bodies, read with a bound in bytes and in time.

use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::ApiError;
use crate::protocol::Word;

/// No call has more to say: a code, a peer, a number.
pub const MAX_BYTES: usize = 1_024;

/// A body that trickles in is dropped, so that nobody holds a connection with it.
const AT_MOST: Duration = Duration::from_secs(10);

/// The JSON body of a call: at most [`MAX_BYTES`], there within ten seconds; an empty one and `null` count as `{}`. `Content-Type` is not
/// looked at: no browser sends credentials by itself here, so that there is nothing to protect by it.
///
/// Beyond the size 413 `too_large`, anything else wrong 400 `bad_request`.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        let payload = payload.take();
        Box::pin(async move {
            if announced.is_some_and(|n| n > MAX_BYTES) {
                return Err(too_large());
            }
            let read = tokio::time::timeout(AT_MOST, collect(payload)).await;
            let bytes = read.map_err(|_| ApiError::bad_request("the body did not come in time"))??;
            parse(&bytes).map(Self)
        })
    }
}

async fn collect(mut payload: Payload) -> Result<BytesMut, ApiError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::bad_request("the body did not come whole"))?;
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if matches!(bytes.trim_ascii(), b"" | b"null") { b"{}" } else { bytes };
    // The parser's own words could hold what the caller wrote, a code for example.
    serde_json::from_slice(bytes).map_err(|e| match e.classify() {
        Category::Data => ApiError::bad_request("the body lacks a field, or one of them has a value of the wrong kind"),
        Category::Syntax | Category::Eof | Category::Io => ApiError::bad_request("the body is not JSON"),
    })
}

fn too_large() -> ApiError {
    ApiError::new(Word::TooLarge, "the body is larger than 1 KiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[derive(serde::Deserialize, Debug)]
    struct Sample {
        n: Option<i64>,
    }

    async fn read(body: Vec<u8>) -> Result<Option<i64>, Word> {
        let (request, mut payload) = TestRequest::post().set_payload(body).to_http_parts();
        Body::<Sample>::from_request(&request, &mut payload).await.map(|b| b.0.n).map_err(|e| e.word())
    }

    #[actix_web::test]
    async fn bodies_are_bounded_and_may_be_empty() {
        assert_eq!(read(b"{\"n\":3}".to_vec()).await, Ok(Some(3)));
        assert_eq!(read(Vec::new()).await, Ok(None));
        assert_eq!(read(b" null ".to_vec()).await, Ok(None));
        for bad in ["{", "[]", "3", "{\"n\":\"x\"}", "{\"n\":3}x", "\u{0}"] {
            assert_eq!(read(bad.into()).await, Err(Word::BadRequest), "{bad}");
        }
        let mut exact = vec![b' '; MAX_BYTES - 7];
        exact.extend_from_slice(b"{\"n\":3}");
        assert_eq!(read(exact.clone()).await, Ok(Some(3)));
        exact.push(b' ');
        assert_eq!(read(exact).await, Err(Word::TooLarge));
    }
}
