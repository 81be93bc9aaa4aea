//! Users: how they stand, and what is taken from them.

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::rt::time::sleep;
use actix_web::web::{self, Json};

use super::guard::Operator;
use super::openapi::AdminErrors;
use super::reviews::rename;
use crate::event::revocation::Revoked;
use crate::http::State;
use crate::http::api::{ask, commit};
use crate::http::error::ApiError;
use crate::ids::OpenId;
use crate::node::name_of;
use crate::protocol::errors;
use crate::store::operators::{IsKnown, UserOverview, UserSessions, UserStanding};
use crate::store::profiles::AvatarChange;
use crate::store::revocations::{BanDecision, Revoke};
use crate::store::{self, SEEN_WITHIN};

/// How a user stands: seen when, banned, conversations, profile. No message text
#[utoipa::path(
    get,
    path = "/admin/v1/users/{openid}",
    tag = "users",
    params(("openid" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    security(("key" = [])),
    responses((status = 200, body = UserStanding), AdminErrors)
)]
pub async fn standing(
    openid: web::Path<String>,
    state: web::Data<State>,
) -> Result<Json<UserStanding>, ApiError> {
    let openid = OpenId::parse(&openid)?;
    is_known(&state, &openid).await?;
    Ok(Json(ask(&state, UserOverview { openid }).await?))
}

/// The user's live sessions on all nodes. It takes a second or two, and three where a node is silent
#[utoipa::path(
    get,
    path = "/admin/v1/users/{openid}/sessions",
    tag = "users",
    params(("openid" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    security(("key" = [])),
    responses((status = 200, body = UserSessions), AdminErrors)
)]
pub async fn sessions(
    openid: web::Path<String>,
    state: web::Data<State>,
) -> Result<Json<UserSessions>, ApiError> {
    let openid = OpenId::parse(&openid)?;
    is_known(&state, &openid).await?;
    let config = state.config.clone();
    match web::block(move || store::ask_sessions(&config.database, &openid, name_of, || ())).await {
        Ok(Ok(sessions)) => Ok(Json(sessions)),
        Ok(Err(error)) => {
            log::warn!(error:% = error; "the nodes cannot be asked for a user's sessions");
            Err(ApiError::unavailable())
        }
        Err(_) => Err(ApiError::unavailable()),
    }
}

/// Takes nickname and avatar of a user away
#[utoipa::path(
    delete,
    path = "/admin/v1/users/{openid}/profile",
    tag = "users",
    params(("openid" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    security(("key" = [])),
    responses((status = 204, description = "Done, or there was none"), AdminErrors)
)]
pub async fn strip(openid: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    rename(&state, &OpenId::parse(&openid)?, AvatarChange::Remove).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Closes a user's sessions; the user may come back
#[utoipa::path(
    post,
    path = "/admin/v1/users/{openid}/kick",
    tag = "users",
    params(("openid" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    security(("key" = [])),
    responses((status = 204, description = "Done; holds on every node within two seconds"), AdminErrors)
)]
pub async fn kick(
    openid: web::Path<String>,
    operator: Operator,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let openid = OpenId::parse(&openid)?;
    is_known(&state, &openid).await?;
    revoke(&state, &operator, openid, Revoked::Sessions, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Who came a moment ago is waited for: that is written down a moment later.
///
/// # Errors
/// `not_found`: nobody has seen this user here.
pub async fn is_known(state: &State, openid: &OpenId) -> Result<(), ApiError> {
    let asked = Instant::now();
    while !ask(state, IsKnown { openid: openid.clone() }).await? {
        if asked.elapsed() >= SEEN_WITHIN {
            return Err(ApiError::from(errors::USER_UNKNOWN));
        }
        sleep(SEEN_WITHIN / 10).await;
    }
    Ok(())
}

/// Adds to the log of revocations, and has every node read it.
pub async fn revoke(
    state: &State,
    operator: &Operator,
    openid: OpenId,
    what: Revoked,
    reason: Option<String>,
) -> Result<(), ApiError> {
    let decision = Some(Box::new(BanDecision { reason, by: operator.name() }));
    commit(state, Revoke { openid, what, decision }).await?;
    state.tell_revoked();
    Ok(())
}
