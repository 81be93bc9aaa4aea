//! Asks the database what the users here have missed, and has their sessions told.

use std::collections::{HashMap, HashSet};

use actix::Addr;

use crate::chat::ChatServer;
use crate::chat::messages::{CaughtUp, Users};
use crate::event::Message;
use crate::event::cursor::{SessionTag, SyncCursor, SyncPlace};
use crate::ids::{DatabaseGeneration, OpenId};
use crate::store::messages::{Changed, ChangedUsers, Sync, SyncBounds};
use crate::store::{Store, Unavailable};

/// Users asked about in one go.
const USERS_AT_ONCE: usize = 500;
/// Messages of one conversation that are told at most; a v1 client sees the hole before them and fetches the rest, and all stand in
/// history.
const MESSAGES: usize = 200;
/// Bytes of one answer.
const ANSWER_BYTES: usize = 256 << 10;
/// Answers that one asking gives to one user; together they fit into an outbox. The next asking goes on.
const ANSWERS_AT_ONCE: usize = 2;
/// Messages that were sent longer ago are no news, whatever the clocks of the nodes say: they may differ by so much. In milliseconds.
const CLOCKS_DIFFER: i64 = 60_000;

/// Users who have not been told everything yet; one entry for each at most who has a session here.
#[derive(Default)]
pub(super) struct Walks(HashMap<OpenId, Walk>);

/// How far one user has been told.
struct Walk {
    sent_since: i64,
    cursor: SyncCursor,
    /// Where another walk begins after this one: more was asked for meanwhile.
    next: Option<i64>,
}

impl Walk {
    fn from(began: i64, generation: DatabaseGeneration) -> Self {
        let cursor = SyncCursor { generation, place: SyncPlace::Through { began } };
        Self { sent_since: began.saturating_sub(CLOCKS_DIFFER), cursor, next: None }
    }
}

impl Walks {
    /// Whether everybody has been told everything.
    pub(super) fn are_over(&self) -> bool {
        self.0.is_empty()
    }

    fn begin(&mut self, openid: OpenId, began: i64, generation: DatabaseGeneration) {
        self.0
            .entry(openid)
            .and_modify(|walk| walk.next = Some(walk.next.map_or(began, |next| next.min(began))))
            .or_insert_with(|| Walk::from(began, generation));
    }

    /// Tells the sessions here what changed in the last `ago_ms`, after what is left of earlier askings; how many users that concerned.
    ///
    /// # Errors
    /// [`Unavailable`], and then not everything was told.
    pub(super) async fn go_on(&mut self, store: &Store, chat: &Addr<ChatServer>, ago_ms: u64) -> Result<usize, Unavailable> {
        let users = chat.send(Users).await.map_err(|_| Unavailable)?;
        let here: HashSet<&OpenId> = users.iter().collect();
        self.0.retain(|openid, _| here.contains(openid));
        for some in users.chunks(USERS_AT_ONCE) {
            let Changed { now, users } = store.ask(ChangedUsers { openids: some.to_vec(), ago_ms }).await?;
            for openid in users {
                self.begin(openid, now.saturating_sub(i64::try_from(ago_ms).unwrap_or(i64::MAX)), store.generation());
            }
        }
        let openids: Vec<_> = self.0.keys().cloned().collect();
        for openid in &openids {
            if let Some(walk) = self.0.get_mut(openid)
                && tell(store, chat, openid, walk).await?
            {
                self.0.remove(openid);
            }
        }
        Ok(openids.len())
    }
}

/// Tells one user the next answers; whether the walk is over.
async fn tell(store: &Store, chat: &Addr<ChatServer>, openid: &OpenId, walk: &mut Walk) -> Result<bool, Unavailable> {
    for _ in 0..ANSWERS_AT_ONCE {
        let page = store
            .sync(Sync {
                openid: openid.clone(),
                since: Some(walk.cursor.clone()),
                session: SessionTag::NONE,
                named: Vec::new(),
                limit: MESSAGES,
                sent_since: Some(walk.sent_since),
                bounds: SyncBounds { answer_bytes: ANSWER_BYTES, message_bytes, conversation_bytes: 512 },
            })
            .await?;
        chat.send(CaughtUp { openid: openid.clone(), conversations: page.conversations }).await.map_err(|_| Unavailable)?;
        if page.has_more {
            walk.cursor = page.cursor;
        } else if let Some(began) = walk.next.take() {
            *walk = Walk::from(began, store.generation());
        } else {
            return Ok(true);
        }
    }
    Ok(false)
}

fn message_bytes(message: &Message, _: &OpenId) -> usize {
    message.body.len() + 512
}
