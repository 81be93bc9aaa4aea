//! Bans: who is refused, until when and why.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use serde::{Deserialize, Serialize};

use super::guard::Operator;
use super::openapi::AdminErrors;
use super::users::{is_known, revoke};
use crate::config::Scope;
use crate::event::revocation::Revoked;
use crate::http::State;
use crate::http::api::{ask, limit};
use crate::http::body::Body;
use crate::http::error::ApiError;
use crate::ids::OpenId;
use crate::protocol::errors;
use crate::store::revocations::{Ban, BanInForce, Bans};

const DEFAULT_LIMIT: usize = 50;
/// Characters of a reason.
const REASON_CHARS: usize = 500;
/// The longest ban with an end, in seconds: a hundred years.
const MAX_FOR_S: i64 = 100 * 366 * 86_400;
/// Bytes of the body: a reason in Chinese.
const BODY_BYTES: usize = 4 << 10;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BansParams {
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// `next` of the page before.
    before: Option<i64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Bans)]
pub struct BansAnswer {
    bans: Vec<Ban>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<i64>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = BanRequest)]
pub struct BanBody {
    /// For the list and the audit log; the user is not told.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Unix milliseconds of its end. Neither this nor `for_s`: for good, which takes the scope `manage`.
    until: Option<i64>,
    /// Seconds that it lasts, by the database's clock.
    #[schema(minimum = 1)]
    for_s: Option<i64>,
    /// Also somebody who was never seen here.
    #[serde(default)]
    force: bool,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Banned)]
pub struct BannedAnswer {
    openid: String,
    /// Unix milliseconds; absent: for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<i64>,
}

/// The bans in force, the newest first
#[utoipa::path(
    get,
    path = "/admin/v1/bans",
    tag = "bans",
    params(BansParams),
    security(("key" = [])),
    responses((status = 200, body = BansAnswer), AdminErrors)
)]
pub async fn list(
    params: web::Query<BansParams>,
    state: web::Data<State>,
) -> Result<Json<BansAnswer>, ApiError> {
    let limit = limit(params.limit, DEFAULT_LIMIT)?;
    let page = ask(&state, Bans { limit, before: params.before }).await?;
    let next = page.bans.last().filter(|_| page.has_more).map(|last| last.id);
    Ok(Json(BansAnswer { bans: page.bans, next }))
}

/// Ends all tokens and sessions of a user and refuses login, for good or until a time
///
/// Holds on every node within two seconds. A ban that stands already is replaced.
#[utoipa::path(
    put,
    path = "/admin/v1/bans/{openid}",
    tag = "bans",
    params(("openid" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body(content = Option<BanBody>, description = "May be left out"),
    security(("key" = [])),
    responses((status = 200, body = BannedAnswer), AdminErrors)
)]
pub async fn ban(
    openid: web::Path<String>,
    operator: Operator,
    body: Body<BanBody, BODY_BYTES>,
    state: web::Data<State>,
) -> Result<Json<BannedAnswer>, ApiError> {
    let openid = OpenId::parse(&openid)?;
    let BanBody { reason, until, for_s, force } = body.0;
    let reason = reason.filter(|reason| !reason.is_empty());
    if reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > REASON_CHARS || reason.chars().any(char::is_control))
    {
        return Err(ApiError::from(errors::REASON_MALFORMED));
    }
    let until = end(until, for_s, state.revocations.now_ms())?;
    operator.note(format!(
        "{}{}",
        until.map_or_else(|| "for good".to_owned(), |until| format!("until {until}")),
        reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}")),
    ));
    if until.is_none() && !operator.key.has(Scope::Manage) {
        return Err(for_good());
    }
    if !force {
        is_known(&state, &openid).await?;
    }
    spare_bans_for_good(&state, &operator, &openid).await?;
    let answer = BannedAnswer { openid: openid.as_str().to_owned(), until };
    revoke(&state, &operator, openid, Revoked::Access { until }, reason).await?;
    Ok(Json(answer))
}

/// Lets a banned user log in again
#[utoipa::path(
    delete,
    path = "/admin/v1/bans/{openid}",
    tag = "bans",
    params(("openid" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    security(("key" = [])),
    responses((status = 204, description = "Done, or there was no ban; holds on every node within two seconds"), AdminErrors)
)]
pub async fn unban(
    openid: web::Path<String>,
    operator: Operator,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let openid = OpenId::parse(&openid)?;
    // A pardon would end tokens, too.
    if spare_bans_for_good(&state, &operator, &openid).await?.is_some() {
        revoke(&state, &operator, openid, Revoked::Nothing, None).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// The ban in force.
///
/// # Errors
/// `forbidden`: it is for good, and the key may only moderate.
async fn spare_bans_for_good(
    state: &State,
    operator: &Operator,
    openid: &OpenId,
) -> Result<Option<Ban>, ApiError> {
    let ban = ask(state, BanInForce { openid: openid.clone() }).await?;
    let is_for_good = ban.as_ref().is_some_and(|ban| ban.until.is_none());
    if is_for_good && !operator.key.has(Scope::Manage) { Err(for_good()) } else { Ok(ban) }
}

fn for_good() -> ApiError {
    ApiError::from(errors::BAN_FOR_GOOD)
}

fn end(until: Option<i64>, for_s: Option<i64>, now: i64) -> Result<Option<i64>, ApiError> {
    match (until, for_s) {
        (Some(_), Some(_)) => Err(ApiError::from(errors::TWO_ENDS)),
        (Some(until), None) if until > now && until <= now + MAX_FOR_S * 1_000 => Ok(Some(until)),
        (Some(_), None) => Err(ApiError::from(errors::UNTIL_OUT_OF_RANGE)),
        (None, Some(for_s)) if (1..=MAX_FOR_S).contains(&for_s) => Ok(Some(now + for_s * 1_000)),
        (None, Some(_)) => Err(ApiError::from(errors::FOR_S_OUT_OF_RANGE)),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_one_and_in_the_future() {
        let end = |until, for_s| end(until, for_s, 1_000).ok();
        assert_eq!(end(None, None), Some(None));
        assert_eq!(end(Some(1_001), None), Some(Some(1_001)));
        assert_eq!(end(None, Some(60)), Some(Some(61_000)));
        for (until, for_s) in [
            (Some(1_000), None),
            (Some(i64::MAX), None),
            (None, Some(0)),
            (None, Some(i64::MAX)),
            (Some(2_000), Some(1)),
        ] {
            assert_eq!(end(until, for_s), None, "{until:?} {for_s:?}");
        }
    }
}
