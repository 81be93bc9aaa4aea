//! The handshake.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use super::State;
use super::error::ApiError;
use super::openapi::MachineRefusals;
use crate::ids::OpenId;

/// Opens a session: a WebSocket of the user named in the path
///
/// What the user may be told about a refusal comes as one `error` frame and a close code after the upgrade, because a mini-program
/// cannot read the answer of a failed handshake; the statuses here are about the machine.
#[utoipa::path(
    get,
    path = "/{openid}",
    tag = "session",
    params(
        ("openid" = String, Path, description = "The user who connects: `[A-Za-z0-9_-]{1,64}`"),
        ("to_user_openid" = Option<String>, Query, description = "The chat that is open; plain clients must send it"),
        ("code" = Option<String>, Query, description = "A `wx.login` code, where no token is sent"),
        ("device" = Option<String>, Query, description = "v1: a label of up to 32 characters, random per install"),
    ),
    security((), ("token" = [])),
    responses((status = 101, description = "Connected; the subprotocol `hongyan.v1` where it was offered"), MachineRefusals)
)]
pub async fn connect(
    request: HttpRequest,
    path: web::Path<String>,
    _payload: web::Payload,
    _state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    OpenId::parse(&path).map_err(|_| ApiError::not_found())?;
    if !request.head().upgrade() {
        return Err(ApiError::bad_request("this path takes a WebSocket upgrade only"));
    }
    Err(ApiError::unavailable())
}
