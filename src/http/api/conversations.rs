//! The list of conversations, what is unread in them, and the caller's own marks.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::messages::conversation;
use super::{ask, commit, cursor, limit};
use crate::event::overview::ListPlace;
use crate::event::{Receipt, ReceiptKind};
use crate::http::body::Body;
use crate::http::client::AuthenticatedUser;
use crate::http::error::ApiError;
use crate::http::openapi::{CallErrors, MessageSchema};
use crate::http::{State, page};
use crate::ids::{OpenId, Seq};
use crate::protocol::sync::CONVERSATION_BYTES;
use crate::protocol::{errors, outbound};
use crate::store::conversations::{Choice, Clear, Conversations, Kinds, Listed, Unread};
use crate::store::receipts::Mark;

const DEFAULT_LIMIT: usize = 50;

/// How many conversations `GET /v1/unread` lists at most.
const UNREAD_LISTED: usize = 100;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub(crate) limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(max_length = 128)]
    pub(crate) cursor: Option<String>,
    /// True: only those that the caller has pinned.
    #[param(default = false)]
    pub(crate) pinned: Option<bool>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Conversations)]
pub struct ListAnswer {
    conversations: Vec<ListedConversation>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// One conversation as the caller sees it. Every `…_seq` means "up to this one, itself included".
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Conversation)]
pub struct ListedConversation {
    peer: String,
    last_seq: i64,
    /// Up to it the caller has cleared the view.
    cleared_seq: i64,
    read_seq: i64,
    recv_seq: i64,
    /// How far the peer has read; 0 until the peer has sent something.
    peer_read_seq: i64,
    peer_recv_seq: i64,
    unread: i64,
    /// The caller wants no notices of it.
    muted: bool,
    /// The caller wants it before the others. The list's order is the same.
    pinned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MessageSchema>, nullable = false)]
    last_message: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Unread)]
pub struct UnreadAnswer {
    /// Exact, over all conversations.
    total: i64,
    /// Those with unread messages, at most 100 and 256 KiB, the one with the newest message first.
    conversations: Vec<UnreadConversation>,
    /// Whether there are more than are listed.
    has_more: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UnreadConversation {
    peer: String,
    unread: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MessageSchema>, nullable = false)]
    last_message: Option<Box<RawValue>>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Read)]
pub struct ReadRequest {
    /// Whose conversation with the caller.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub(crate) peer: String,
    /// Everything up to it is read; beyond the last one it means the last one. The mark never goes back.
    #[schema(minimum = 0)]
    pub(crate) seq: i64,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ClearParams {
    /// Up to where, itself included; the last one where it is left out.
    #[param(minimum = 0)]
    pub(crate) up_to_seq: Option<i64>,
}

/// The caller's conversations, the one with the newest message first
#[utoipa::path(
    get,
    path = "/v1/conversations",
    tag = "conversations",
    params(ListParams),
    security(("token" = [])),
    responses((status = 200, body = ListAnswer), CallErrors)
)]
pub async fn list(
    caller: AuthenticatedUser,
    params: web::Query<ListParams>,
    state: web::Data<State>,
) -> Result<Json<ListAnswer>, ApiError> {
    let openid = caller.0.openid;
    let limit = limit(params.limit, DEFAULT_LIMIT)?;
    let after = params.cursor.as_deref().map(place).transpose()?;
    let choice = if params.pinned == Some(true) { Choice::Pinned } else { Choice::All };
    let listed = Conversations { openid: openid.clone(), kinds: Kinds::Direct, choice, limit, after };
    let page = ask(&state, listed).await?;
    let mut conversations: Vec<_> = page.conversations.iter().map(|listed| shown(listed, &openid)).collect();
    let fitting = page::fitting(
        conversations.iter().map(|c| CONVERSATION_BYTES + page::size(c.last_message.as_deref())),
    );
    let next = if fitting < conversations.len() {
        page.conversations.get(fitting - 1).map(|last| place_of(last, &openid))
    } else {
        page.next
    };
    conversations.truncate(fitting);
    Ok(Json(ListAnswer { conversations, next_cursor: next.as_ref().map(cursor::write) }))
}

/// How much is unread: an exact total for a badge, and where
#[utoipa::path(
    get,
    path = "/v1/unread",
    tag = "conversations",
    security(("token" = [])),
    responses((status = 200, body = UnreadAnswer), CallErrors)
)]
pub async fn unread(
    caller: AuthenticatedUser,
    state: web::Data<State>,
) -> Result<Json<UnreadAnswer>, ApiError> {
    let openid = caller.0.openid;
    let summary =
        ask(&state, Unread { openid: openid.clone(), kinds: Kinds::Direct, limit: UNREAD_LISTED }).await?;
    let listed = summary.conversations.iter().map(|listed| {
        let ListedConversation { peer, unread, last_message, .. } = shown(listed, &openid);
        UnreadConversation { peer, unread, last_message }
    });
    let mut conversations: Vec<_> = listed.collect();
    let fitting = page::fitting(
        conversations.iter().map(|c| CONVERSATION_BYTES + page::size(c.last_message.as_deref())),
    );
    let has_more = summary.has_more || fitting < conversations.len();
    conversations.truncate(fitting);
    Ok(Json(UnreadAnswer { total: summary.total, conversations, has_more }))
}

/// Marks a conversation as read up to a seq
#[utoipa::path(
    post,
    path = "/v1/read",
    tag = "conversations",
    request_body = ReadRequest,
    security(("token" = [])),
    responses((status = 204, description = "Committed"), CallErrors)
)]
pub async fn read(
    caller: AuthenticatedUser,
    body: Body<ReadRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let openid = caller.0.openid;
    let conversation = conversation(&openid, &body.0.peer)?;
    let seq = Seq::parse(body.0.seq)?;
    let receipt = Receipt { kind: ReceiptKind::Read, openid, conversation, seq, session: None };
    commit(&state, Mark { receipt }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Clears the caller's own view of a conversation
///
/// The peer keeps theirs. The conversation is not listed until another message follows.
#[utoipa::path(
    delete,
    path = "/v1/conversations/{peer}",
    tag = "conversations",
    params(("peer" = String, Path, description = "Whose conversation with the caller", pattern = "^[A-Za-z0-9_-]{1,64}$"), ClearParams),
    security(("token" = [])),
    responses((status = 204, description = "Committed"), CallErrors)
)]
pub async fn clear(
    caller: AuthenticatedUser,
    path: web::Path<String>,
    params: web::Query<ClearParams>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let openid = caller.0.openid;
    let conversation = conversation(&openid, &path)?;
    let up_to = params.up_to_seq.map(Seq::parse).transpose()?;
    commit(&state, Clear { openid, conversation, up_to }).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn shown(listed: &Listed, reader: &OpenId) -> ListedConversation {
    let Listed { overview, last_message, .. } = listed;
    ListedConversation {
        peer: overview.conversation.address_str(reader).to_owned(),
        last_seq: overview.last_seq.get(),
        cleared_seq: overview.cleared_seq.get(),
        read_seq: overview.read_seq.get(),
        recv_seq: overview.recv_seq.get(),
        peer_read_seq: overview.peer_read_seq.get(),
        peer_recv_seq: overview.peer_recv_seq.get(),
        unread: overview.unread,
        muted: overview.muted,
        pinned: overview.pinned,
        last_message: last_message.as_ref().map(|m| outbound::stored_raw(m, &overview.conversation)),
    }
}

/// Where the page ends that ends with this conversation.
fn place_of(last: &Listed, reader: &OpenId) -> ListPlace {
    ListPlace { last_at: last.last_at, address: last.overview.conversation.address(reader) }
}

fn place(text: &str) -> Result<ListPlace, ApiError> {
    cursor::read(text).ok_or_else(|| ApiError::from(errors::CURSOR_FOREIGN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::overview::Overview;
    use crate::event::{Conversation, Message};
    use crate::ids::Kind;
    use serde_json::{Value, json};

    #[test]
    fn a_conversation_shows_every_mark_and_its_last_message() {
        let seq = |n| Seq::parse(n).unwrap();
        let (me, peer) = (OpenId::parse("me").unwrap(), OpenId::parse("peer").unwrap());
        let last = Message {
            seq: seq(9),
            sender: peer.clone(),
            kind: Kind::parse("text").unwrap(),
            body: "{\"message\":\"hi\"}".into(),
            sent_at: 5,
            client_msg_id: None,
            recalled: false,
            target: None,
            quote: None,
        };
        let overview = Overview {
            conversation: Conversation::direct(me.clone(), peer),
            last_seq: seq(9),
            cleared_seq: seq(1),
            read_seq: seq(2),
            recv_seq: seq(3),
            peer_read_seq: seq(4),
            peer_recv_seq: seq(5),
            unread: 7,
            muted: true,
            pinned: false,
        };
        let mut listed = Listed { overview, last_message: Some(last), last_at: 5 };
        let text = serde_json::to_string(&shown(&listed, &me)).unwrap();
        let want = json!({
            "peer": "peer", "last_seq": 9, "cleared_seq": 1, "read_seq": 2, "recv_seq": 3, "peer_read_seq": 4, "peer_recv_seq": 5, "unread": 7,
            "muted": true, "pinned": false,
            "last_message": {"type": "text", "status": 200, "from_user_openid": "peer", "to_user_openid": "me", "seq": 9, "sent_at": 5, "message": "hi"}
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);
        listed.last_message = None;
        assert!(!serde_json::to_string(&shown(&listed, &me)).unwrap().contains("last_message"));
    }
}
