//! The caller's blocklist: from whom nothing is taken.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use serde::{Deserialize, Serialize};

use super::{ask, commit, limit};
use crate::http::State;
use crate::http::client::AuthenticatedUser;
use crate::http::error::ApiError;
use crate::http::openapi::CallErrors;
use crate::ids::OpenId;
use crate::protocol::errors;
use crate::store::blocks::{Block, BlockChange, Blocks};

const DEFAULT_LIMIT: usize = 50;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BlocksParams {
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub(crate) limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(max_length = 128)]
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Blocks)]
pub struct BlocksAnswer {
    blocks: Vec<BlockedUser>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BlockedUser {
    openid: String,
    /// Since when.
    blocked_at: i64,
}

/// Whom the caller has blocked, by openid
#[utoipa::path(
    get,
    path = "/v1/blocks",
    tag = "blocks",
    params(BlocksParams),
    security(("token" = [])),
    responses((status = 200, body = BlocksAnswer), CallErrors)
)]
pub async fn list(
    caller: AuthenticatedUser,
    params: web::Query<BlocksParams>,
    state: web::Data<State>,
) -> Result<Json<BlocksAnswer>, ApiError> {
    let limit = limit(params.limit, DEFAULT_LIMIT)?;
    let after = params.cursor.as_deref().map(read_cursor).transpose()?;
    let page = ask(&state, Blocks { openid: caller.0.openid, limit, after }).await?;
    let next_cursor = page.blocks.last().filter(|_| page.has_more).map(|last| last.peer.as_str().to_owned());
    let blocks =
        page.blocks.into_iter().map(|b| BlockedUser { openid: b.peer.as_str().to_owned(), blocked_at: b.at });
    Ok(Json(BlocksAnswer { blocks: blocks.collect(), next_cursor }))
}

/// Takes nothing from somebody any more
///
/// What they send is refused as `blocked`; they see no typing of theirs arrive and no receipt. What was sent
/// before stays. Again, it changes nothing.
#[utoipa::path(
    put,
    path = "/v1/blocks/{openid}",
    tag = "blocks",
    params(("openid" = String, Path, description = "Who is blocked; not the caller", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    security(("token" = [])),
    responses((status = 204, description = "Committed"), CallErrors)
)]
pub async fn block(
    caller: AuthenticatedUser,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    change(&state, caller, &path, BlockChange::Block).await
}

/// Takes what somebody sends again
#[utoipa::path(
    delete,
    path = "/v1/blocks/{openid}",
    tag = "blocks",
    params(("openid" = String, Path, description = "Who is no longer blocked", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    security(("token" = [])),
    responses((status = 204, description = "Committed"), CallErrors)
)]
pub async fn unblock(
    caller: AuthenticatedUser,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    change(&state, caller, &path, BlockChange::Unblock).await
}

async fn change(
    state: &State,
    caller: AuthenticatedUser,
    peer_text: &str,
    change: BlockChange,
) -> Result<HttpResponse, ApiError> {
    let openid = caller.0.openid;
    let peer = OpenId::parse(peer_text).map_err(|_| ApiError::from(errors::PEER_MALFORMED))?;
    if peer == openid {
        return Err(ApiError::from(errors::BLOCKS_ONESELF));
    }
    commit(state, Block { openid, peer, change }).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn read_cursor(text: &str) -> Result<OpenId, ApiError> {
    OpenId::parse(text).map_err(|_| ApiError::from(errors::CURSOR_FOREIGN))
}
