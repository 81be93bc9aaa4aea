//! Calls about profiles: nicknames and avatars.

use actix_web::http::header;
use actix_web::web::{self, Json};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::{ask, commit};
use crate::http::State;
use crate::http::body::Body;
use crate::http::client::{AnonymousClient, AuthenticatedUser};
use crate::http::error::ApiError;
use crate::http::etag::etag;
use crate::http::openapi::{CallErrors, ImageErrors};
use crate::ids::OpenId;
use crate::limits::ClientAddress;
use crate::profile::{Avatar, AvatarId, Image, Nickname, Profile};
use crate::protocol::errors;
use crate::store::profiles::{
    AvatarBytes, AvatarChange, OwnProfile, OwnProfileAnswer, ProfileChange, Profiles,
};
use crate::store::row;

/// An avatar of 32 KiB is 43 692 characters of base64; the rest is for the nickname, and for those who write
/// `/` as `\/`.
const MAX_BYTES: usize = 48 * 1_024;

/// How many users one call asks for at most.
const USERS_MAX: usize = 100;

/// What stands under a name never changes.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Profile)]
pub struct ProfileRequest {
    /// Up to 32 characters; empty to have none. Left out, it stays.
    nickname: Option<String>,
    /// A JPEG, PNG or WebP of at most 32 KiB and 1024 × 1024 pixels, as base64; empty to have none. Left out,
    /// it stays.
    avatar: Option<String>,
    /// Whether others may see whether the caller is there. Left out, it stays.
    presence: Option<bool>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct User {
    openid: String,
    /// Empty where none is set.
    nickname: String,
    /// The path of the image on this server, or empty.
    avatar: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Me {
    #[serde(flatten)]
    user: User,
    /// Whether others may see whether the caller is there.
    presence: bool,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsersParams {
    /// 1 to 100 openids, separated by commas.
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}(,[A-Za-z0-9_-]{1,64}){0,99}$")]
    openids: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Users)]
pub struct UsersAnswer {
    /// One for each openid that was asked for, in that order.
    users: Vec<User>,
}

/// What the caller shows of themself
#[utoipa::path(get, path = "/v1/me", tag = "profiles", security(("token" = [])), responses((status = 200, body = Me), CallErrors))]
pub async fn me(caller: AuthenticatedUser, state: web::Data<State>) -> Result<Json<Me>, ApiError> {
    Ok(Json(own(&state, caller.0.openid).await?))
}

/// Changes what the caller shows of themself
#[utoipa::path(
    put,
    path = "/v1/me",
    tag = "profiles",
    request_body(content = Option<ProfileRequest>, description = "May be left out: then nothing changes"),
    security(("token" = [])),
    responses((status = 200, description = "Committed", body = Me), CallErrors)
)]
pub async fn change(
    caller: AuthenticatedUser,
    request: HttpRequest,
    body: Body<ProfileRequest, MAX_BYTES>,
    state: web::Data<State>,
) -> Result<Json<Me>, ApiError> {
    let openid = caller.0.openid;
    let presence = body.0.presence;
    let nickname = body.0.nickname.as_deref().map(Nickname::parse).transpose()?;
    let avatar = match body.0.avatar.as_deref() {
        None => AvatarChange::Keep,
        Some("") => AvatarChange::Remove,
        Some(base64) => AvatarChange::Set(Avatar::from_base64(base64)?),
    };
    let bytes = body.0.nickname.as_ref().map_or(0, String::len) + image_bytes(&avatar);
    if let Some(charge) = state.store.charge(&openid, row(bytes)).map_err(ApiError::rate_limited)? {
        // Kept whatever becomes of it: what is refused leaves a finding.
        charge.keep(row(bytes));
    }
    if let Some(nickname) = &nickname {
        let address = ClientAddress::of(request.head(), &state.config.server).to_string();
        state.moderation.nickname(&openid, address, nickname.as_str()).await?;
    }
    commit(&state, ProfileChange { openid: openid.clone(), nickname, avatar, presence }).await?;
    Ok(Json(own(&state, openid).await?))
}

/// What other users show of themselves
///
/// Somebody unknown is answered like one who has set nothing.
#[utoipa::path(
    get,
    path = "/v1/users",
    tag = "profiles",
    params(UsersParams),
    security(("token" = [])),
    responses((status = 200, body = UsersAnswer), CallErrors)
)]
pub async fn users(
    _: AuthenticatedUser,
    params: web::Query<UsersParams>,
    state: web::Data<State>,
) -> Result<Json<UsersAnswer>, ApiError> {
    let openids =
        params.openids.split(',').take(USERS_MAX + 1).map(OpenId::parse).collect::<Result<Vec<_>, _>>();
    let openids = openids.ok().filter(|openids| openids.len() <= USERS_MAX);
    let openids = openids.ok_or_else(|| ApiError::from(errors::OPENIDS_MALFORMED))?;
    let known = ask(&state, Profiles { openids: openids.clone() }).await?;
    let users =
        openids.iter().map(|openid| user(openid, known.get(openid).unwrap_or(&Profile::default()))).collect();
    Ok(Json(UsersAnswer { users }))
}

/// An avatar
///
/// Without a token, because pages show it as an image. What stands under a name never changes, so it may be
/// kept for good.
#[utoipa::path(
    get,
    path = "/v1/avatars/{sha256}",
    tag = "profiles",
    params(("sha256" = String, Path, description = "The SHA-256 of the image's bytes", pattern = "^[0-9a-f]{64}$")),
    responses(
        (
            status = 200,
            description = "The image",
            content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"))
        ),
        (status = 304, description = "The image that `If-None-Match` names"),
        ImageErrors
    )
)]
pub async fn avatar(
    _: AnonymousClient,
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = AvatarId::parse(&path).map_err(|_| ApiError::not_found())?;
    let bytes = ask(&state, AvatarBytes { id: id.clone() }).await?.ok_or_else(ApiError::not_found)?;
    let image = Image::of(&bytes).ok_or_else(|| {
        log::error!(avatar:% = id; "an image in the database is none");
        ApiError::internal()
    })?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(image.kind.media_type()).insert_header((header::CACHE_CONTROL, FOR_GOOD));
    Ok(etag(&request, id.as_str(), answer, bytes))
}

fn image_bytes(change: &AvatarChange) -> usize {
    match change {
        AvatarChange::Set(avatar) => avatar.bytes().len(),
        AvatarChange::Keep | AvatarChange::Remove => 0,
    }
}

async fn own(state: &State, openid: OpenId) -> Result<Me, ApiError> {
    let OwnProfileAnswer { profile, presence } = ask(state, OwnProfile { openid: openid.clone() }).await?;
    Ok(Me { user: user(&openid, &profile), presence })
}

fn user(openid: &OpenId, profile: &Profile) -> User {
    let avatar = profile.avatar.as_ref().map_or_else(String::new, |id| format!("/v1/avatars/{id}"));
    User { openid: openid.as_str().to_owned(), nickname: profile.nickname.as_str().to_owned(), avatar }
}
