//! The id of each request: a proxy's where one is given (nginx's `$request_id` as `X-Request-Id`), else the
//! server's own. It goes back with the answer, and stands in every log line that is written while the request
//! is answered.

use std::fmt;

use actix_web::body::MessageBody;
use actix_web::dev::{RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError};

use crate::ids::HttpRequestId;
use crate::logging;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id that comes with a request, if it comes once and is well formed; else a new one. Anybody may send
/// one: it is a label, no secret and no proof.
pub fn of(head: &RequestHead) -> HttpRequestId {
    let mut given = head.headers.get_all(X_REQUEST_ID);
    match (given.next(), given.next()) {
        (Some(id), None) => {
            id.to_str().ok().and_then(|id| HttpRequestId::parse(id).ok()).unwrap_or_else(HttpRequestId::fresh)
        }
        _ => HttpRequestId::fresh(),
    }
}

/// Sets the header of an answer.
pub fn put(headers: &mut HeaderMap, id: &HttpRequestId) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, value);
    }
}

/// Gives the request its id, for handlers as an extension.
pub async fn identify<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let id = of(request.head());
    request.extensions_mut().insert(id.clone());
    match logging::within_request(id.as_str().into(), next.call(request)).await {
        Ok(mut answer) => {
            put(answer.headers_mut(), &id);
            Ok(answer)
        }
        Err(error) => Err(Identified { error, id }.into()),
    }
}

/// An error that becomes an answer further out.
#[derive(Debug)]
struct Identified {
    error: Error,
    id: HttpRequestId,
}

impl fmt::Display for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Identified {
    fn status_code(&self) -> StatusCode {
        self.error.as_response_error().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = self.error.error_response();
        put(answer.headers_mut(), &self.id);
        answer
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_well_formed_id_is_taken_and_any_other_replaced() {
        let given = |ids: &[&str]| {
            let mut request = TestRequest::default();
            for id in ids {
                request = request.append_header((X_REQUEST_ID, *id));
            }
            of(request.to_http_request().head()).as_str().to_owned()
        };
        assert_eq!(given(&["4bf92f3577b34da6a3ce929d0e0e4736"]), "4bf92f3577b34da6a3ce929d0e0e4736");
        let (long, short) = ("x".repeat(65), "x".repeat(7));
        for odd in [
            &[][..],
            &[""],
            &["a b c d e"],
            &["{\"x\":\"y\"}"],
            &[long.as_str()],
            &[short.as_str()],
            &["12345678", "12345678"],
        ] {
            let own = given(odd);
            assert!(own.len() == 32 && !odd.contains(&own.as_str()), "{odd:?}");
        }
        assert_ne!(given(&[]), given(&[]));
    }
}
