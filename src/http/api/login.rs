//! Coming and going: a code for a token, and the end of a token.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::commit;
use crate::auth::Identity;
use crate::event::revocation::Revoked;
use crate::http::State;
use crate::http::body::Body;
use crate::http::client::{AuthenticatedUser, LoginClient};
use crate::http::error::ApiError;
use crate::http::openapi::{CallErrors, LoginErrors};
use crate::limits::ClientAddress;
use crate::protocol::errors;
use crate::store::Sight;
use crate::store::revocations::Revoke;
use crate::wechat::{LoginRefused, ValidateCode};

/// How long a code may take at WeChat, its retries included.
const WECHAT_AT_MOST: Duration = Duration::from_secs(10);

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Login)]
pub struct LoginRequest {
    /// What `wx.login` gave; good once.
    #[schema(min_length = 1)]
    code: String,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = LoggedIn)]
struct LoginAnswer<'a> {
    /// The user's id under this mini-program.
    openid: &'a str,
    /// For `Authorization: Bearer` and the WebSocket handshake.
    token: String,
    /// Seconds until the token expires; that ends no live session.
    expires_in: u64,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Logout)]
pub struct LogoutRequest {
    /// Ends every token and session of the user instead of this one.
    #[serde(default)]
    all: bool,
}

/// Exchanges a code of `wx.login` for a token
#[utoipa::path(
    post,
    path = "/v1/login",
    tag = "login",
    request_body = LoginRequest,
    responses((status = 200, body = LoginAnswer), LoginErrors)
)]
pub async fn login(
    from: LoginClient,
    body: Body<LoginRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let identity = exchange(&state, from.0, body.0.code).await?;
    let token = state.tokens.sign(&identity).map_err(|_| {
        log::error!("a token could not be signed: check auth.keys");
        ApiError::internal()
    })?;
    let expires_in = state.config.auth.token_ttl_s;
    Ok(HttpResponse::Ok().json(LoginAnswer { openid: identity.openid.as_str(), token, expires_in }))
}

/// The login of the user behind a code, as WeChat says; the handshake with `code=` goes the same way. A
/// banned user is refused.
///
/// # Errors
/// `bad_request` for an empty code; `bad_code`, `blocked_by_wechat`, `banned`; `rate_limited`,
/// `wechat_unavailable` with a wait. Takes at most ten seconds.
pub async fn exchange(state: &State, from: ClientAddress, code: String) -> Result<Identity, ApiError> {
    if code.is_empty() {
        return Err(ApiError::from(errors::CODE_EMPTY));
    }
    state.admission.code(from).map_err(|wait| ApiError::from(errors::BAD_CODES_OF_ADDRESS.after(wait)))?;
    let outcome = match tokio::time::timeout(WECHAT_AT_MOST, state.wechat.send(ValidateCode(code))).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            log::warn!(error:% = error; "a login got no answer from WeChatAuth");
            Err(LoginRefused::Unavailable)
        }
        Err(_) => Err(LoginRefused::Unavailable),
    };
    match outcome {
        Err(LoginRefused::Unavailable) => state.wechat_seen.away(),
        Err(LoginRefused::BadCode) => {
            state.admission.bad_code(from);
            state.wechat_seen.answered();
        }
        _ => state.wechat_seen.answered(),
    }
    let openid = outcome?;
    state.revocations.read_now().await;
    let identity = state.tokens.admit(openid, state.revocations.now_ms())?;
    state.store.saw(&identity.openid, Sight::Here);
    Ok(identity)
}

/// Ends the token of this call and its sessions, or all of the user's
///
/// Holds on every node within two seconds.
#[utoipa::path(
    post,
    path = "/v1/logout",
    tag = "login",
    request_body(content = Option<LogoutRequest>, description = "May be left out"),
    security(("token" = [])),
    responses((status = 204, description = "Done"), CallErrors)
)]
pub async fn logout(
    caller: AuthenticatedUser,
    body: Body<LogoutRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let AuthenticatedUser(identity) = caller;
    let what = if body.0.all { Revoked::AllTokens } else { Revoked::Token { issued_ms: identity.issued.ms } };
    commit(&state, Revoke { openid: identity.openid, what, decision: None }).await?;
    state.tell_revoked();
    Ok(HttpResponse::NoContent().finish())
}
