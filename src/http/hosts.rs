//! Host names that a port answers to which asks nobody who they are: the operators' port, and every port of
//! `hongyan dev`.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::State;
use crate::config::{AllowedHosts, ForeignRequest, Pages};

/// Judges what comes to the public port of `hongyan dev`.
///
/// # Errors
/// It has a foreign name, or comes from a foreign page.
pub fn public(head: &RequestHead, state: &State) -> Result<(), ForeignRequest> {
    if !state.is_dev {
        return Ok(());
    }
    let config = &state.config;
    judge(&config.ops.allowed_hosts, head, Pages::OfThisMachine(&config.server.allowed_origins))
}

/// Lets pass what comes to the public port under a name of its own.
pub async fn public_only<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    let refused = request
        .app_data::<web::Data<State>>()
        .and_then(|state| public(request.head(), state).err())
        .map(turn_away);
    pass(refused, request, next).await
}

/// Lets pass what comes to the operators' port under a name of its own, and from no foreign page.
pub async fn ops_only<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    let judged = |state: &web::Data<State>| own_pages(&state.config.ops.allowed_hosts, request.head());
    let refused = request.app_data::<web::Data<State>>().and_then(|state| judged(state).err()).map(turn_away);
    pass(refused, request, next).await
}

/// Judges what comes to a port that has no pages but its own.
///
/// # Errors
/// It has a foreign name, or comes from a foreign page.
pub fn own_pages(allowed: &AllowedHosts, head: &RequestHead) -> Result<(), ForeignRequest> {
    judge(allowed, head, Pages::Own)
}

/// As [`ops_only`], before there is a [`State`]. A port for which no names are given has any.
pub async fn while_waiting<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    let judged = |allowed: &web::Data<AllowedHosts>| own_pages(allowed, request.head());
    let refused = request
        .app_data::<web::Data<AllowedHosts>>()
        .and_then(|allowed| judged(allowed).err())
        .map(turn_away);
    pass(refused, request, next).await
}

async fn pass<B: MessageBody + 'static>(
    refused: Option<HttpResponse>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match refused {
        Some(refused) => Ok(request.into_response(refused)),
        None => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
    }
}

fn judge(allowed: &AllowedHosts, head: &RequestHead, pages: Pages) -> Result<(), ForeignRequest> {
    // What is no text is no name.
    let text = |value: &'_ actix_web::http::header::HeaderValue| value.to_str().unwrap_or("?").to_owned();
    let named: Vec<String> = head
        .headers
        .get_all(HOST)
        .map(text)
        .chain(head.uri.authority().map(|target| target.to_string()))
        .collect();
    let origin = head.headers.get(ORIGIN).map(text);
    allowed.judge(named.iter().map(String::as_str), origin.as_deref(), pages)
}

/// The answer: a plain 403 that says what to set.
pub fn turn_away(why: ForeignRequest) -> HttpResponse {
    HttpResponse::Forbidden().body(format!("{why}\n"))
}
