//! The audit log: what operators did.

use actix_web::web::{self, Json};
use serde::{Deserialize, Serialize};

use super::openapi::AdminErrors;
use crate::http::State;
use crate::http::api::{ask, limit};
use crate::http::error::ApiError;
use crate::http::page;
use crate::protocol::errors;
use crate::store::operators::{Acts, OperatorAct};

const DEFAULT_LIMIT: usize = 50;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ActsParams {
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// `next` of the page before.
    before: Option<i64>,
    /// Only what was done to this openid, or to whatever else an act names.
    #[param(max_length = 256)]
    of: Option<String>,
    /// Only what was not done before, Unix milliseconds.
    since: Option<i64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Acts)]
pub struct ActsAnswer {
    acts: Vec<OperatorAct>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// What operators did on the command line and by this API, the newest first
#[utoipa::path(
    get,
    path = "/admin/v1/audit",
    tag = "audit",
    params(ActsParams),
    security(("key" = [])),
    responses((status = 200, body = ActsAnswer), AdminErrors)
)]
pub async fn list(
    params: web::Query<ActsParams>,
    state: web::Data<State>,
) -> Result<Json<ActsAnswer>, ApiError> {
    let web::Query(ActsParams { limit: wanted, before, of: target, since }) = params;
    if target.as_ref().is_some_and(|target| target.len() > 256 || target.contains('\0')) {
        return Err(ApiError::from(errors::TARGET_MALFORMED));
    }
    let found = ask(&state, Acts { limit: limit(wanted, DEFAULT_LIMIT)?, before, target, since }).await?;
    let mut acts = found.acts;
    let fitting =
        page::fitting(acts.iter().map(|act| serde_json::to_string(act).map_or(0, |text| text.len())));
    let has_more = found.has_more || fitting < acts.len();
    acts.truncate(fitting);
    let next = acts.last().filter(|_| has_more).map(|last| last.id.to_string());
    Ok(Json(ActsAnswer { acts, next }))
}
