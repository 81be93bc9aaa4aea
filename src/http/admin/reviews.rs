//! Calls about messages that wait for an operator's decision, and about what operators take away.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use serde::{Deserialize, Serialize};

use super::guard::Operator;
use super::openapi::AdminErrors;
use crate::event::{By, Source};
use crate::http::State;
use crate::http::api::{ask, commit, limit};
use crate::http::body::Body;
use crate::http::error::ApiError;
use crate::http::page;
use crate::ids::OpenId;
use crate::profile::Nickname;
use crate::protocol::{ErrorCode, errors};
use crate::safety::moderator_recall;
use crate::store::moderation::{Decide, Decision, Review, ReviewById, Reviews};
use crate::store::profiles::{AvatarChange, ProfileChange};

const DEFAULT_LIMIT: usize = 50;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReviewsParams {
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<i64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Reviews)]
pub struct ReviewsAnswer {
    reviews: Vec<OpenReview>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<i64>,
}

/// Something that passed and that somebody should look at.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Review)]
pub struct OpenReview {
    id: i64,
    at: i64,
    openid: String,
    /// `text`, `nickname` or `media`.
    what: &'static str,
    /// The message, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    seq: Option<i64>,
    /// `local` or `wechat`.
    by: &'static str,
    label: i32,
    trace_id: String,
    /// Where the settings keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Decision)]
pub struct DecideBody {
    decision: WantedDecision,
}

#[derive(Deserialize, Clone, Copy, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum WantedDecision {
    Pass,
    Recall,
}

impl From<Review> for OpenReview {
    fn from(review: Review) -> Self {
        Self {
            id: review.audit,
            at: review.at,
            peer: review.conversation.map(|conversation| conversation.address_str(&review.openid).to_owned()),
            openid: review.openid.as_str().to_owned(),
            what: match review.source {
                Source::Text => "text",
                Source::Nickname => "nickname",
                Source::Media => "media",
            },
            seq: review.seq.map(|seq| seq.get()),
            by: match review.by {
                By::Local => "local",
                By::WeChat => "wechat",
            },
            label: review.label,
            trace_id: review.trace_id,
            text: review.text,
        }
    }
}

/// What passed and waits for somebody to look at it, the oldest first
#[utoipa::path(
    get,
    path = "/admin/v1/reviews",
    tag = "reviews",
    params(ReviewsParams),
    security(("key" = [])),
    responses((status = 200, body = ReviewsAnswer), AdminErrors)
)]
pub async fn list(
    params: web::Query<ReviewsParams>,
    state: web::Data<State>,
) -> Result<Json<ReviewsAnswer>, ApiError> {
    let limit = limit(params.limit, DEFAULT_LIMIT)?;
    let found = ask(&state, Reviews { limit, after: params.after }).await?;
    let mut reviews: Vec<_> = found.reviews.into_iter().map(OpenReview::from).collect();
    let fitting = page::fitting(
        reviews.iter().map(|review| serde_json::to_string(review).map_or(0, |text| text.len())),
    );
    let has_more = found.has_more || fitting < reviews.len();
    reviews.truncate(fitting);
    let next = reviews.last().filter(|_| has_more).map(|last| last.id);
    Ok(Json(ReviewsAnswer { reviews, next }))
}

/// Lets it pass, or takes it away: a message is recalled on both sides, whatever its age, and a name is gone
#[utoipa::path(
    post,
    path = "/admin/v1/reviews/{id}",
    tag = "reviews",
    params(("id" = i64, Path)),
    request_body = DecideBody,
    security(("key" = [])),
    responses((status = 204, description = "Done, or it was before"), AdminErrors)
)]
pub async fn decide(
    id: web::Path<i64>,
    operator: Operator,
    body: Body<DecideBody>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let audit = id.into_inner();
    let wanted = body.0.decision;
    operator.note(match wanted {
        WantedDecision::Pass => "pass",
        WantedDecision::Recall => "recall",
    });
    let nothing = || ApiError::from(errors::REVIEW_UNKNOWN);
    let review = ask(&state, ReviewById { audit }).await?.ok_or_else(nothing)?;
    let decision = match (wanted, review.decision) {
        (WantedDecision::Pass, Some(Decision::Recalled)) => {
            return Err(ApiError::from(errors::RECALLED_ALREADY));
        }
        // Sessions would be told once more.
        (WantedDecision::Recall, Some(Decision::Recalled)) => return Ok(HttpResponse::NoContent().finish()),
        (WantedDecision::Pass, _) => Decision::Passed,
        (WantedDecision::Recall, _) => Decision::Recalled,
    };
    if decision == Decision::Recalled {
        match (review.source, review.conversation, review.seq) {
            (Source::Nickname, ..) => rename(&state, &review.openid, AvatarChange::Keep).await?,
            (_, Some(conversation), Some(seq)) => {
                moderator_recall(&state.store, &review.openid, &conversation, seq).await?
            }
            _ => return Err(nothing()),
        }
    }
    let decided = commit(&state, Decide { audit, decision, label: 0 }).await;
    decided.map_err(|error| match error.code() {
        ErrorCode::Conflict => ApiError::from(errors::RECALLED_ALREADY),
        _ => error,
    })?;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes a user's name away, and the avatar as it is said.
pub async fn rename(state: &State, openid: &OpenId, avatar: AvatarChange) -> Result<(), ApiError> {
    let nickname = Some(Nickname::default());
    commit(state, ProfileChange { openid: openid.clone(), nickname, avatar, presence: None }).await
}
