//! Calls about notices while the caller is away: what they have agreed to, and their quiet hours; and what they
//! have set for a conversation.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use serde::{Deserialize, Deserializer, Serialize};

use super::messages::conversation;
use super::{ask, commit};
use crate::http::State;
use crate::http::body::Body;
use crate::http::client::AuthenticatedUser;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::openapi::CallErrors;
use crate::ids::TemplateId;
use crate::protocol::{ErrorCode, errors};
use crate::store::notices::{
    ConversationSettings, GrantChange, Granted, NoticeState, Quiet, QuietHours, Teller,
};

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = NotifierHandle)]
pub struct NoticesAnswer {
    /// What to ask for with `wx.requestSubscribeMessage`; empty where the server sends no notices.
    templates: Vec<String>,
    /// How many notices may still be sent, by template.
    grants: BTreeMap<String, u32>,
    /// Null where the caller has set none: then the server's own hold, if it has some.
    quiet: Option<QuietHoursBody>,
}

/// Hours of every day without notices, by the caller's own clock; over midnight where `to` is the earlier
/// one, none where both are the same.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = QuietHours)]
pub struct QuietHoursBody {
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    from: String,
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    to: String,
    /// Minutes east of UTC.
    #[schema(minimum = -720, maximum = 840)]
    utc_offset_minutes: i16,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Grant)]
pub struct GrantRequest {
    template_id: String,
    result: PromptResult,
    /// Names this answer of the user's, `[A-Za-z0-9_-]{1,64}`: reported again, it does nothing.
    #[schema(nullable = false, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    id: Option<String>,
}

/// What `wx.requestSubscribeMessage` says of one template.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromptResult {
    Accept,
    Reject,
    Ban,
    Filter,
}

/// At least one of them; what is left out stays as it is.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = ConversationSettings, min_properties = 1)]
pub struct SettingsRequest {
    /// No notices of this conversation.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "given")]
    muted: Option<bool>,
    /// It is to be shown before the others.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "given")]
    pinned: Option<bool>,
}

/// What stands there: null is no setting.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(deserializer).map(Some)
}

/// What the caller has agreed to, and when they are left alone
#[utoipa::path(get, path = "/v1/notices", tag = "notices", security(("token" = [])), responses((status = 200, body = NoticesAnswer), CallErrors))]
pub async fn state(
    caller: AuthenticatedUser,
    state: web::Data<State>,
) -> Result<Json<NoticesAnswer>, ApiError> {
    let standing = ask(&state, NoticeState { openid: caller.0.openid }).await?;
    let ours = state.config.notice.template_id.as_deref();
    // What was agreed to for a template of before may not be used any more.
    let grants = standing.grants.iter().filter(|(template, _)| Some(template.as_str()) == ours);
    Ok(Json(NoticesAnswer {
        templates: ours.map(str::to_owned).into_iter().collect(),
        grants: grants.map(|(template, count)| (template.as_str().to_owned(), *count)).collect(),
        quiet: standing.quiet.map(QuietHoursBody::from),
    }))
}

/// Tells what the caller answered when they were asked
///
/// To be called after `wx.requestSubscribeMessage`, once for each template that was asked for. One `accept`
/// is one notice; a `reject` takes back what was accepted before. `ban` and `filter` change nothing.
#[utoipa::path(
    post,
    path = "/v1/notices/grants",
    tag = "notices",
    request_body = GrantRequest,
    security(("token" = [])),
    responses(
        (status = 204, description = "Committed"),
        (status = 404, description = "`not_found`: no template of this server's", body = ErrorBody),
        CallErrors
    )
)]
pub async fn grant(
    caller: AuthenticatedUser,
    body: Body<GrantRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let GrantRequest { template_id, result, id } = body.0;
    if state.config.notice.template_id.as_ref() != Some(&template_id) {
        return Err(ApiError::from(errors::TEMPLATE_UNKNOWN));
    }
    let template = TemplateId::parse(&template_id)?;
    let is_id = |id: &String| TemplateId::parse(id).is_ok();
    if !id.as_ref().is_none_or(is_id) {
        return Err(ApiError::from(errors::GRANT_ID_MALFORMED));
    }
    let change = match result {
        PromptResult::Accept => {
            let key = id.unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
            Granted::Accepted { by: Teller::Client, key }
        }
        PromptResult::Reject => Granted::Emptied,
        PromptResult::Ban | PromptResult::Filter => return Ok(HttpResponse::NoContent().finish()),
    };
    let openid = caller.0.openid;
    commit(&state, GrantChange { openid, template, change }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sets when the caller is left alone
#[utoipa::path(
    put,
    path = "/v1/notices/quiet",
    tag = "notices",
    request_body(content = Option<QuietHoursBody>, description = "Null: the server's own hours hold, if it has some"),
    security(("token" = [])),
    responses((status = 204, description = "Committed"), CallErrors)
)]
pub async fn quiet(
    caller: AuthenticatedUser,
    body: Body<Option<QuietHoursBody>>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let quiet = body.0.as_ref().map(read_hours).transpose()?;
    let openid = caller.0.openid;
    commit(&state, QuietHours { openid, quiet }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sets whether notices of a conversation are sent to the caller, and whether they have pinned it
#[utoipa::path(
    put,
    path = "/v1/conversations/{peer}/settings",
    tag = "conversations",
    params(("peer" = String, Path, description = "The other one", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = SettingsRequest,
    security(("token" = [])),
    responses(
        (status = 204, description = "Committed"),
        (status = 404, description = "`not_found`: no conversation with this user", body = ErrorBody),
        CallErrors
    )
)]
pub async fn settings(
    caller: AuthenticatedUser,
    path: web::Path<String>,
    body: Body<SettingsRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let openid = caller.0.openid;
    let conversation = conversation(&openid, &path)?;
    let SettingsRequest { muted, pinned } = body.0;
    if muted.is_none() && pinned.is_none() {
        return Err(ApiError::from(errors::BODY_MISFIT));
    }
    let pinned_limit = state.config.limits.pinned_per_user;
    let change = ConversationSettings { openid, conversation, muted, pinned, pinned_limit };
    commit(&state, change).await.map_err(|error| match error.code() {
        ErrorCode::NotFound => ApiError::from(errors::CONVERSATION_UNKNOWN),
        ErrorCode::TooLarge => ApiError::from(errors::PINS_FULL),
        _ => error,
    })?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<Quiet> for QuietHoursBody {
    fn from(quiet: Quiet) -> Self {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        Self {
            from: clock(quiet.from_minute),
            to: clock(quiet.to_minute),
            utc_offset_minutes: quiet.utc_offset_minutes,
        }
    }
}

fn read_hours(hours: &QuietHoursBody) -> Result<Quiet, ApiError> {
    let QuietHoursBody { from, to, utc_offset_minutes } = hours;
    let wrong = || ApiError::from(errors::QUIET_HOURS_MALFORMED);
    let minute = |text| crate::config::notice::minute(text).ok_or_else(wrong);
    if !(-720..=840).contains(utc_offset_minutes) {
        return Err(wrong());
    }
    Ok(Quiet { from_minute: minute(from)?, to_minute: minute(to)?, utc_offset_minutes: *utc_offset_minutes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_come_back_as_they_went() {
        let read = |from: &str, to: &str, utc_offset_minutes| {
            read_hours(&QuietHoursBody { from: from.to_owned(), to: to.to_owned(), utc_offset_minutes })
        };
        let quiet = read("22:05", "08:00", 480).unwrap();
        assert_eq!((quiet.from_minute, quiet.to_minute, quiet.utc_offset_minutes), (1_325, 480, 480));
        let body = QuietHoursBody::from(quiet);
        assert_eq!((body.from.as_str(), body.to.as_str()), ("22:05", "08:00"));
        for (from, to, offset) in [
            ("24:00", "08:00", 0),
            ("22:00", "8:00", 0),
            ("22:00", "08:60", 0),
            ("", "", 0),
            ("22:00", "08:00", 841),
        ] {
            assert!(read(from, to, offset).is_err(), "{from} {to} {offset}");
        }
    }
}
