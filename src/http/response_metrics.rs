//! Counts what is answered, by route and status, and logs at most one debug line of each: no path, no query,
//! no body.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};

use super::State;
use super::client::Asked;
use super::error::ApiError;
use crate::metrics::Route;
use crate::protocol::{ErrorCode, errors};
use crate::trace;

/// Lets the request pass, and counts its answer under `route`, and its bytes for the user who asked. The body
/// goes through untouched.
pub async fn count<B: MessageBody>(
    route: Route,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let answer = next.call(request).await?;
    let error = answer.response().error().and_then(|e| e.as_error::<ApiError>()).map(ApiError::code);
    if let Some(state) = answer.request().app_data::<web::Data<State>>() {
        note(state, route, answer.request().method(), answer.status().as_u16(), error);
        if let (Some(Asked(openid)), BodySize::Sized(bytes)) =
            (answer.request().extensions().get(), answer.response().body().size())
        {
            state.user_limits.answer(openid, usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if trace::is_on()
            && let Some(Asked(openid)) = answer.request().extensions().get()
            && let Some(line) = trace::of_user("http", openid)
        {
            let line = line.text("method", shown(answer.request().method())).text("route", route.as_str());
            line.number("status", answer.status().as_u16().into())
                .text("error", error.map_or("", ErrorCode::as_str))
                .write();
        }
    }
    Ok(answer)
}

/// The answer to a path that the server does not know; counted as one route, whatever the path.
pub async fn not_found(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let error = ApiError::not_found();
    note(&state, Route::Other, request.method(), error.code().status(), Some(error.code()));
    Err(error)
}

/// The answer to a method that a known path does not take; [`count`] counts it.
pub async fn wrong_method() -> Result<HttpResponse, ApiError> {
    Err(ApiError::from(errors::METHOD_UNKNOWN))
}

/// A request was refused before it had a route.
pub fn refused(request: &ServiceRequest, error: ErrorCode) {
    if let Some(state) = request.app_data::<web::Data<State>>() {
        note(state, Route::Other, request.method(), error.status(), Some(error));
    }
}

fn note(state: &State, route: Route, method: &Method, status: u16, error: Option<ErrorCode>) {
    state.metrics.http_responses.inc((route, status.into()));
    if let Some(error) = error {
        state.metrics.errors.inc(error);
    }
    log::debug!(method = shown(method), route = route.as_str(), status = status, error = error.map_or("", ErrorCode::as_str); "http");
}

/// A method that no route takes is whatever the caller wrote, a token for example.
fn shown(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_of_the_callers_making_is_not_shown() {
        assert_eq!(shown(&Method::DELETE), "DELETE");
        assert_eq!(shown(&Method::from_bytes(b"a-token-in-the-wrong-place").unwrap()), "other");
    }
}
