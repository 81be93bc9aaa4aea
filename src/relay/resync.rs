//! Asks the database what the users here have missed, and has their sessions told.

use std::collections::{HashMap, HashSet};

use actix::Addr;

use crate::chat::ChatServer;
use crate::chat::messages::{CaughtUp, Users};
use crate::event::Message;
use crate::event::cursor::{SessionTag, SyncCursor, SyncPlace};
use crate::event::overview::SyncPage;
use crate::ids::{DatabaseGeneration, OpenId, now_ms};
use crate::store::conversations::{Kinds, Sync, SyncBounds};
use crate::store::nodes::{Changed, ChangedUsers};
use crate::store::{Store, Unavailable};

/// Users asked about in one go.
const USERS_AT_ONCE: usize = 500;
/// Messages of one conversation that are told at most; a v1 client sees the hole before them and fetches the
/// rest, and all stand in history.
const MESSAGES: usize = 200;
/// Bytes of one answer.
const ANSWER_BYTES: usize = 256 << 10;
/// Answers that one user is given in one go; together they fit into an outbox.
const ANSWERS_AT_ONCE: usize = 2;
/// Messages that were sent longer ago are no news, whatever the clocks of the nodes say: they may differ by
/// so much. In milliseconds.
const CLOCKS_DIFFER: i64 = 60_000;

/// Users who have not been told everything yet; one entry at most for each who has a session here.
#[derive(Default)]
pub(super) struct Walks(HashMap<OpenId, Walk>);

/// How far one user has been told.
struct Walk {
    sent_since: i64,
    /// How far the store's time is ahead of this node's clock, in milliseconds: messages are dated by nodes'
    /// clocks.
    ahead: i64,
    cursor: SyncCursor,
    /// Where another walk begins after this one: more was asked for meanwhile.
    next: Option<i64>,
}

impl Walk {
    fn from(began: i64, ahead: i64, generation: DatabaseGeneration) -> Self {
        let cursor = SyncCursor { generation, place: SyncPlace::Through { began } };
        Self {
            sent_since: began.saturating_sub(ahead).saturating_sub(CLOCKS_DIFFER),
            ahead,
            cursor,
            next: None,
        }
    }

    /// Notes where an answer ended; whether everything is told.
    fn came_to(&mut self, page: &SyncPage, generation: DatabaseGeneration) -> bool {
        if page.has_more {
            self.cursor = page.cursor.clone();
        } else if let Some(began) = self.next {
            *self = Self::from(began, self.ahead, generation);
            return false;
        }
        !page.has_more
    }
}

impl Walks {
    /// Whether everybody has been told everything.
    pub(super) fn are_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins a walk for each user with a session here for whom something changed in the last `ago_ms`.
    ///
    /// # Errors
    /// [`Unavailable`], and then not everybody's has begun.
    pub(super) async fn begin(
        &mut self,
        store: &Store,
        chat: &Addr<ChatServer>,
        ago_ms: u64,
    ) -> Result<(), Unavailable> {
        let users = chat.send(Users).await.map_err(|_| Unavailable)?;
        let here: HashSet<&OpenId> = users.iter().collect();
        self.0.retain(|openid, _| here.contains(openid));
        for some in users.chunks(USERS_AT_ONCE) {
            let Changed { now, users } = store.ask(ChangedUsers { openids: some.to_vec(), ago_ms }).await?;
            let began = now.saturating_sub(i64::try_from(ago_ms).unwrap_or(i64::MAX));
            let ahead = now.saturating_sub(now_ms()).max(0);
            for openid in users {
                self.0
                    .entry(openid)
                    .and_modify(|walk| walk.next = Some(walk.next.map_or(began, |next| next.min(began))))
                    .or_insert_with(|| Walk::from(began, ahead, store.generation()));
            }
        }
        Ok(())
    }

    /// Tells every user's sessions here the next answers; how many users that concerned.
    ///
    /// # Errors
    /// [`Unavailable`]: the next call goes on where this one came to.
    pub(super) async fn go_on(
        &mut self,
        store: &Store,
        chat: &Addr<ChatServer>,
    ) -> Result<usize, Unavailable> {
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

/// Tells one user the next answers; whether that was everything.
async fn tell(
    store: &Store,
    chat: &Addr<ChatServer>,
    openid: &OpenId,
    walk: &mut Walk,
) -> Result<bool, Unavailable> {
    for _ in 0..ANSWERS_AT_ONCE {
        let mut page = store
            .sync(Sync {
                openid: openid.clone(),
                kinds: Kinds::Direct,
                since: Some(walk.cursor.clone()),
                session: SessionTag::NONE,
                named: Vec::new(),
                limit: MESSAGES,
                sent_since: Some(walk.sent_since),
                bounds: SyncBounds { answer_bytes: ANSWER_BYTES, message_bytes, conversation_bytes: 512 },
            })
            .await?;
        let conversations = std::mem::take(&mut page.conversations);
        chat.send(CaughtUp { openid: openid.clone(), conversations }).await.map_err(|_| Unavailable)?;
        if walk.came_to(&page, store.generation()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn message_bytes(message: &Message) -> usize {
    message.body.len() + message.quote.as_ref().map_or(0, |quote| quote.bytes()) + 512
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATION: DatabaseGeneration = DatabaseGeneration::of_number(7);

    fn through(began: i64) -> SyncCursor {
        SyncCursor { generation: GENERATION, place: SyncPlace::Through { began } }
    }

    fn page(has_more: bool, cursor: SyncCursor) -> SyncPage {
        SyncPage { has_more, caught_up: !has_more, conversations: Vec::new(), cursor }
    }

    #[test]
    fn a_walk_goes_on_where_its_answers_end() {
        let mut walk = Walk::from(100_000, 0, GENERATION);
        assert_eq!((walk.sent_since, &walk.cursor), (100_000 - CLOCKS_DIFFER, &through(100_000)));
        assert!(!walk.came_to(&page(true, through(150_000)), GENERATION));
        assert_eq!(walk.cursor, through(150_000));
        assert!(walk.came_to(&page(false, through(160_000)), GENERATION));
    }

    #[test]
    fn a_store_whose_time_is_ahead_keeps_no_message_back() {
        assert_eq!(Walk::from(5_000_000, 3_600_000, GENERATION).sent_since, 1_400_000 - CLOCKS_DIFFER);
    }

    #[test]
    fn what_was_asked_for_meanwhile_is_another_walk() {
        let mut walk = Walk::from(100_000, 0, GENERATION);
        walk.next = Some(200_000);
        assert!(!walk.came_to(&page(true, through(150_000)), GENERATION));
        assert!(!walk.came_to(&page(false, through(160_000)), GENERATION));
        assert_eq!((&walk.cursor, walk.next), (&through(200_000), None));
        assert!(walk.came_to(&page(false, through(210_000)), GENERATION));
    }
}
