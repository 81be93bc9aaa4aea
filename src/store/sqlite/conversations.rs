//! The conversations that a batch is about, as its writes so far have left them.

use std::collections::HashMap;

use diesel::dsl::max;
use diesel::prelude::*;
use foldhash::fast::RandomState;

use super::Heads;
use super::head::{Head, Member};
use super::statements::{MemberRow, MemberRows};
use crate::event::DirectPair;
use crate::ids::OpenId;
use crate::store::database::error::Trouble;
use crate::store::database::schema::{blocks, conversations, members, messages};

/// Direct conversations by their place in the batch.
#[derive(Default)]
pub(super) struct BatchConversations {
    list: Vec<BatchConversation>,
    places: HashMap<DirectPair, Place, RandomState>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

struct BatchConversation {
    pair: DirectPair,
    head: HeadState,
    /// Members are to be stored.
    is_changed: bool,
}

enum HeadState {
    Unknown,
    NotBegun,
    Begun(Head),
}

impl BatchConversations {
    /// Place of a direct conversation, which is looked up if it is not known.
    pub(super) fn find(
        &mut self,
        conn: &mut SqliteConnection,
        heads: &mut Heads,
        pair: &DirectPair,
    ) -> Result<Place, Trouble> {
        let place = match self.places.get(pair) {
            Some(place) => *place,
            None => {
                let place = Place(self.list.len());
                self.list.push(BatchConversation {
                    pair: pair.clone(),
                    head: HeadState::Unknown,
                    is_changed: false,
                });
                self.places.insert(pair.clone(), place);
                place
            }
        };
        let conversation = &mut self.list[place.0];
        if let HeadState::Unknown = conversation.head {
            conversation.head = match heads.get(pair) {
                Some(head) => HeadState::Begun(*head),
                None => look_up(conn, pair)?.map_or(HeadState::NotBegun, HeadState::Begun),
            };
        }
        Ok(place)
    }

    /// None where it has not begun.
    pub(super) fn head(&self, place: Place) -> Option<&Head> {
        match &self.list[place.0].head {
            HeadState::Begun(head) => Some(head),
            HeadState::NotBegun | HeadState::Unknown => None,
        }
    }

    pub(super) fn begin(&mut self, place: Place, head: Head) {
        self.list[place.0].head = HeadState::Begun(head);
    }

    /// Changes one that has begun; its members are stored with the batch.
    pub(super) fn change(&mut self, place: Place, change: impl FnOnce(&mut Head)) {
        let conversation = &mut self.list[place.0];
        if let HeadState::Begun(head) = &mut conversation.head {
            change(head);
            conversation.is_changed = true;
        }
    }

    /// Notes what stands in the tables already.
    pub(super) fn note(&mut self, place: Place, note: impl FnOnce(&mut Head)) {
        if let HeadState::Begun(head) = &mut self.list[place.0].head {
            note(head);
        }
    }

    /// Has one looked up anew, because somebody else has changed its rows.
    pub(super) fn forget(&mut self, heads: &mut Heads, pair: &DirectPair) {
        heads.pop(pair);
        if let Some(place) = self.places.get(pair) {
            self.list[place.0].head = HeadState::Unknown;
        }
    }

    /// Stores the members that have changed, in the order of the table: neighbours are found where the last
    /// one was.
    pub(super) fn store(&mut self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut changed: Vec<_> =
            self.list.iter_mut().filter(|conversation| conversation.is_changed).collect();
        changed.sort_unstable_by_key(|conversation| match &conversation.head {
            HeadState::Begun(head) => head.conversation,
            HeadState::NotBegun | HeadState::Unknown => 0,
        });
        let mut rows = MemberRows::default();
        for BatchConversation { pair, head, is_changed } in changed {
            *is_changed = false;
            let HeadState::Begun(head) = head else { continue };
            let (last, conversation) = (head.last, head.conversation);
            for (openid, member) in pair.members().zip(&mut head.members) {
                let changed = member.take_changed(last);
                rows.add(MemberRow { conversation, openid: openid.as_str(), member: *member }, changed);
            }
        }
        rows.store(conn)
    }

    /// Keeps them for later batches: this one is durable.
    pub(super) fn remember(self, heads: &mut Heads) {
        for BatchConversation { pair, head, .. } in self.list {
            if let HeadState::Begun(head) = head {
                heads.put(pair, head);
            }
        }
    }
}

/// The head of a conversation, by its tables.
fn look_up(conn: &mut SqliteConnection, pair: &DirectPair) -> Result<Option<Head>, Trouble> {
    let conversation = conversations::table
        .filter(conversations::address.eq(pair.store_address()))
        .select(conversations::id);
    let Some(conversation) = conversation.first::<i64>(conn).optional()? else { return Ok(None) };
    let last = messages::table.filter(messages::conversation_id.eq(conversation)).select(max(messages::seq));
    let last = last.first::<Option<i64>>(conn)?.unwrap_or(0);
    let rows = members::table
        .filter(members::conversation_id.eq(conversation))
        .order(members::openid)
        .select((
            (members::sent_seq, members::read_seq, members::recv_seq, members::cleared_seq),
            (members::uncounted, members::may_have_unread, members::changed_at, members::last_at),
        ))
        .load::<((i64, i64, i64, i64), (i64, bool, i64, i64))>(conn)?;
    let mut head = Head::new(conversation, last);
    for (member, (marks, rest)) in head.members.iter_mut().zip(rows) {
        let ((sent, read, recv, cleared), (uncounted, may_have_unread, changed_at, last_at)) = (marks, rest);
        *member = Member {
            sent,
            read,
            recv,
            cleared,
            uncounted,
            may_have_unread,
            changed_at,
            last_at,
            ..Member::default()
        };
    }
    for (openid, member) in pair.members().zip(&mut head.members) {
        member.has_blocked = has_blocked(conn, openid, pair.other(openid))?;
    }
    Ok(Some(head))
}

pub(super) fn has_blocked(conn: &mut SqliteConnection, who: &OpenId, peer: &OpenId) -> QueryResult<bool> {
    let row = blocks::table.find((who.as_str(), peer.as_str()));
    diesel::select(diesel::dsl::exists(row)).get_result(conn)
}
