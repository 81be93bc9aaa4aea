//! Asks the database what the users here have missed, and has their sessions told.

use actix::Addr;

use crate::chat::ChatServer;
use crate::chat::messages::{CaughtUp, Users};
use crate::event::Message;
use crate::event::cursor::{SessionTag, SyncCursor, SyncPlace};
use crate::ids::OpenId;
use crate::store::messages::{Changed, ChangedUsers, Sync, SyncBounds};
use crate::store::{Store, Unavailable};

/// Users asked about in one go.
const USERS_AT_ONCE: usize = 500;
/// Messages of one conversation that are told at most; a v1 client sees the hole before them and fetches the rest, and all stand in
/// history.
const MESSAGES: usize = 200;
/// How much one user is told in one go, in bytes: an outbox holds several of these.
const BYTES: usize = 256 << 10;
/// How many such answers one user is given. Beyond it the next asking goes on.
const ANSWERS: usize = 8;
/// Messages that were sent longer ago are no news, whatever the clocks of the nodes say: they may differ by so much. In milliseconds.
const CLOCKS_DIFFER: i64 = 60_000;

/// Tells the sessions here what changed in the last `ago_ms`; how many users that concerned.
///
/// # Errors
/// [`Unavailable`], and then not everything was told.
pub(super) async fn catch_up(store: &Store, chat: &Addr<ChatServer>, ago_ms: u64) -> Result<usize, Unavailable> {
    let users = chat.send(Users).await.map_err(|_| Unavailable)?;
    let mut concerned = 0;
    for some in users.chunks(USERS_AT_ONCE) {
        let Changed { now, users } = store.ask(ChangedUsers { openids: some.to_vec(), ago_ms }).await?;
        concerned += users.len();
        for openid in users {
            tell(store, chat, &openid, now.saturating_sub(i64::try_from(ago_ms).unwrap_or(i64::MAX))).await?;
        }
    }
    Ok(concerned)
}

async fn tell(store: &Store, chat: &Addr<ChatServer>, openid: &OpenId, began: i64) -> Result<(), Unavailable> {
    let mut since = SyncCursor { generation: store.generation(), place: SyncPlace::Through { began } };
    for _ in 0..ANSWERS {
        let page = store
            .sync(Sync {
                openid: openid.clone(),
                since: Some(since),
                session: SessionTag::NONE,
                named: Vec::new(),
                limit: MESSAGES,
                sent_since: Some(began.saturating_sub(CLOCKS_DIFFER)),
                bounds: SyncBounds { answer_bytes: BYTES, message_bytes, conversation_bytes: 512 },
            })
            .await?;
        let has_more = page.has_more;
        chat.send(CaughtUp { openid: openid.clone(), conversations: page.conversations }).await.map_err(|_| Unavailable)?;
        if !has_more {
            break;
        }
        since = page.cursor;
    }
    Ok(())
}

fn message_bytes(message: &Message, _: &OpenId) -> usize {
    message.body.len() + 512
}
