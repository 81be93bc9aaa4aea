//! History.

use actix_web::web::{self, Json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ask, limit};
use crate::event::Conversation;
use crate::http::client::AuthenticatedUser;
use crate::http::error::ApiError;
use crate::http::openapi::{CallErrors, MessageSchema};
use crate::http::{State, page};
use crate::ids::{Address, OpenId, Seq};
use crate::protocol::{errors, outbound};
use crate::store::messages::{History, Window};

const DEFAULT_LIMIT: usize = 20;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryParams {
    /// Whose conversation with the caller.
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub(crate) peer: String,
    /// The last messages below it.
    #[param(minimum = 0)]
    pub(crate) before_seq: Option<i64>,
    /// The first messages above it; with `before_seq` those in between.
    #[param(minimum = 0)]
    pub(crate) after_seq: Option<i64>,
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub(crate) limit: Option<i64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = History)]
pub struct HistoryAnswer {
    /// Ascending by seq; at most 256 KiB of them.
    #[schema(value_type = Vec<MessageSchema>)]
    messages: Vec<Box<RawValue>>,
    /// Whether more stand in the direction that was asked for.
    has_more: bool,
}

/// A stretch of one conversation, the newest messages where neither bound is given
///
/// An unknown peer has an empty one.
#[utoipa::path(
    get,
    path = "/v1/messages",
    tag = "messages",
    params(HistoryParams),
    security(("token" = [])),
    responses((status = 200, body = HistoryAnswer), CallErrors)
)]
pub async fn history(
    caller: AuthenticatedUser,
    params: web::Query<HistoryParams>,
    state: web::Data<State>,
) -> Result<Json<HistoryAnswer>, ApiError> {
    let openid = caller.0.openid;
    let conversation = conversation(&openid, &params.peer)?;
    let limit = limit(params.limit, DEFAULT_LIMIT)?;
    let window = window(params.before_seq, params.after_seq)?;
    let page = ask(&state, History { openid, conversation: conversation.clone(), window, limit }).await?;
    let messages = page.messages.iter().map(|m| outbound::stored_raw(m, &conversation)).collect();
    Ok(Json(cut(messages, window, page.has_more)))
}

/// Leaves of a stretch what one page may hold: the end that the next page does not begin with.
fn cut(mut messages: Vec<Box<RawValue>>, window: Window, has_more: bool) -> HistoryAnswer {
    let all = messages.len();
    match window {
        Window::Newest | Window::Before(_) => {
            let kept = page::fitting(messages.iter().rev().map(|m| page::size(Some(m))));
            messages.drain(..all - kept);
        }
        Window::After(_) | Window::Between { .. } => {
            messages.truncate(page::fitting(messages.iter().map(|m| page::size(Some(m)))));
        }
    }
    HistoryAnswer { has_more: has_more || messages.len() < all, messages }
}

/// The conversation that the caller names so.
pub(super) fn conversation(caller: &OpenId, address: &str) -> Result<Conversation, ApiError> {
    let address = Address::parse_served(address).map_err(|_| ApiError::from(errors::PEER_MALFORMED))?;
    Ok(Conversation::of(caller, address))
}

fn window(before: Option<i64>, after: Option<i64>) -> Result<Window, ApiError> {
    let seq = |number: Option<i64>| number.map(Seq::parse).transpose();
    Ok(match (seq(before)?, seq(after)?) {
        (None, None) => Window::Newest,
        (Some(before), None) => Window::Before(before),
        (None, Some(after)) => Window::After(after),
        (Some(before), Some(after)) => Window::Between { after, before },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_at_the_end_that_the_next_one_begins_with() {
        let messages = |n: usize| -> Vec<Box<RawValue>> {
            let long = "x".repeat(page::PAGE_BYTES / 4);
            (0..n).map(|n| RawValue::from_string(format!("\"{n}{long}\"")).unwrap()).collect()
        };
        let seqs = |answer: &HistoryAnswer| -> Vec<char> {
            answer.messages.iter().map(|m| m.get().chars().nth(1).unwrap()).collect()
        };
        let seq = |n| Seq::parse(n).unwrap();
        for (window, kept) in [
            (Window::Newest, ['3', '4', '5']),
            (Window::Before(seq(9)), ['3', '4', '5']),
            (Window::After(seq(0)), ['0', '1', '2']),
            (Window::Between { after: seq(0), before: seq(9) }, ['0', '1', '2']),
        ] {
            let answer = cut(messages(6), window, false);
            assert_eq!((seqs(&answer).as_slice(), answer.has_more), (&kept[..], true));
        }
        assert!(!cut(messages(2), Window::Newest, false).has_more);
        assert!(cut(messages(2), Window::Newest, true).has_more);
    }

    #[test]
    fn bounds_name_the_window() {
        assert!(matches!(window(None, None), Ok(Window::Newest)));
        assert!(matches!(window(Some(3), None), Ok(Window::Before(s)) if s.get() == 3));
        assert!(matches!(window(None, Some(0)), Ok(Window::After(s)) if s.get() == 0));
        assert!(
            matches!(window(Some(9), Some(3)), Ok(Window::Between { after, before }) if (after.get(), before.get()) == (3, 9))
        );
        assert!(window(Some(-1), None).is_err());
        assert!(window(None, Some(-1)).is_err());
    }
}
