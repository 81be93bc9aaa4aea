//! What waits for an operator's eye, and what operators take away.

use actix_web::http::header;
use actix_web::web::{self, Json};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::State;
use super::api::{ask, commit, limit};
use super::body::Body;
use super::error::ApiError;
use super::page;
use crate::event::{By, Source};
use crate::ids::OpenId;
use crate::profile::Nickname;
use crate::protocol::Word;
use crate::safety::take_back;
use crate::store::messages::{AvatarChange, Decide, Decision, ProfileChange, Review, ReviewById, Reviews, Write};

const DEFAULT_LIMIT: usize = 50;

#[derive(Deserialize)]
pub struct Params {
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<i64>,
}

#[derive(Serialize)]
pub struct Page {
    reviews: Vec<Waiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// Something that passed and that somebody should look at.
#[derive(Serialize)]
struct Waiting {
    id: i64,
    at: i64,
    openid: String,
    what: &'static str,
    /// The message, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    by: &'static str,
    label: i32,
    trace_id: String,
    /// Where the settings keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Deserialize)]
pub struct Decided {
    decision: Wanted,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Pass,
    Recall,
}

impl From<Review> for Waiting {
    fn from(review: Review) -> Self {
        Self {
            id: review.audit,
            at: review.at,
            openid: review.openid.as_str().to_owned(),
            what: match review.source {
                Source::Text => "text",
                Source::Nickname => "nickname",
                Source::Media => "media",
            },
            peer: review.peer.map(|peer| peer.as_str().to_owned()),
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

/// What waits, the oldest first.
pub async fn list(params: web::Query<Params>, state: web::Data<State>) -> Result<Json<Page>, ApiError> {
    let limit = limit(params.limit, DEFAULT_LIMIT)?;
    let found = ask(&state, Reviews { limit, after: params.after }).await?;
    let mut reviews: Vec<_> = found.reviews.into_iter().map(Waiting::from).collect();
    let fitting = page::fitting(reviews.iter().map(|review| serde_json::to_string(review).map_or(0, |text| text.len())));
    let has_more = found.has_more || fitting < reviews.len();
    reviews.truncate(fitting);
    let next = reviews.last().filter(|_| has_more).map(|last| last.id);
    Ok(Json(Page { reviews, next }))
}

/// Lets it pass, or takes it away: a message is recalled on both sides, whatever its age, and a name is gone.
pub async fn decide(
    request: HttpRequest,
    id: web::Path<i64>,
    body: Body<Decided>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    is_from_no_page(&request)?;
    let audit = id.into_inner();
    let review = ask(&state, ReviewById { audit }).await?.ok_or_else(ApiError::not_found)?;
    let decision = match (body.0.decision, review.decision) {
        (Wanted::Pass, Some(Decision::Recalled)) => return Err(ApiError::new(Word::Conflict, "it was recalled already")),
        // Sessions would be told once more.
        (Wanted::Recall, Some(Decision::Recalled)) => return Ok(HttpResponse::NoContent().finish()),
        (Wanted::Pass, _) => Decision::Passed,
        (Wanted::Recall, _) => Decision::Recalled,
    };
    if decision == Decision::Recalled {
        match (review.source, review.peer, review.seq) {
            (Source::Nickname, ..) => rename(&state, &review.openid, AvatarChange::Keep).await?,
            (_, Some(peer), Some(seq)) => take_back(&state.store, &review.openid, &peer, seq).await?,
            _ => return Err(ApiError::not_found()),
        }
    }
    commit(&state, |answer| Write::Decide(Decide { audit, decision, label: 0, answer })).await?;
    log::info!(audit = audit, recalled = decision == Decision::Recalled; "an operator has decided");
    Ok(HttpResponse::NoContent().finish())
}

/// Takes away what a user shows of herself.
pub async fn strip(openid: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let openid = OpenId::parse(&openid)?;
    rename(&state, &openid, AvatarChange::Remove).await?;
    log::info!(openid = openid.as_str(); "an operator has taken a profile away");
    Ok(HttpResponse::NoContent().finish())
}

async fn rename(state: &State, openid: &OpenId, avatar: AvatarChange) -> Result<(), ApiError> {
    commit(state, |answer| Write::Profile(ProfileChange::new(openid.clone(), Some(Nickname::default()), avatar, answer))).await
}

/// A page in the operator's own browser could post here, but for this type: to send it, it would have to ask first, and nobody says yes.
fn is_from_no_page(request: &HttpRequest) -> Result<(), ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if is_json { Ok(()) } else { Err(ApiError::bad_request("Content-Type must be application/json")) }
}
