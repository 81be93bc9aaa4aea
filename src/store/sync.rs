//! What somebody missed. The work is bounded whatever is asked: one look at the member's own rows, and then no more messages than one
//! answer holds.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::conn::Conn;
use super::messages::{Query, Sync};
use super::queries::{MessageRow, OverviewRow, floor, message_columns, unread, unreadable};
use super::schema::messages;
use super::statement::Statement;
use crate::event::Message;
use crate::event::overview::{Missed, Overview, Rest, SyncCursor, SyncPage};
use crate::ids::{OpenId, Seq};

/// How far a sync goes back before the cursor's time: a batch takes its time before it commits, and commits within three seconds.
pub(super) const OVERLAP_MS: i64 = 30_000;
/// How far it goes back before the beginning of a walk that is over. Less than [`OVERLAP_MS`], or who was told a lot just now would be
/// told again for as long: what a write moves in a walk it moves when it commits, seldom later than this.
const AGAIN_MS: i64 = 3_000;
/// Conversations of one answer, besides those named.
const CHANGED_AT_MOST: i64 = 500;
/// Messages read in one go.
const MESSAGES_AT_ONCE: usize = 32;

/// A sync, and the store's own time at which it came (PostgreSQL's is asked for there).
pub(super) struct SyncAt {
    pub(super) sync: Sync,
    pub(super) now: i64,
}

/// A user's view of her conversations `$1`, and when each last changed for her.
macro_rules! views {
    () => {
        concat!(
            "SELECT m.openid, m.peer, m.conversation_id, m.read_seq, m.recv_seq, m.cleared_seq, m.muted, ",
            floor!(),
            ", CASE WHEN p.sent_seq > 0 THEN p.read_seq ELSE 0 END AS peer_read_seq, \
             CASE WHEN p.sent_seq > 0 THEN p.recv_seq ELSE 0 END AS peer_recv_seq, \
             CASE WHEN m.shown_at >= m.kept_at AND m.shown_at >= p.shown_at THEN m.shown_at \
                  WHEN m.kept_at >= p.shown_at THEN m.kept_at ELSE p.shown_at END AS changed_at \
             FROM members m JOIN members p ON p.openid = m.peer AND p.peer = m.openid WHERE m.openid = $1"
        )
    };
}

/// The rows `t`, with what costs a look-up each.
macro_rules! counted {
    () => {
        concat!(
            "SELECT t.peer, t.conversation_id, t.last_seq, t.cleared_seq, t.read_seq, t.recv_seq, t.peer_read_seq, t.peer_recv_seq, \
             t.muted, t.changed_at, ",
            unread!(),
            " AS unread FROM t ORDER BY t.changed_at DESC, t.peer"
        )
    };
}

macro_rules! last_seq {
    () => {
        "coalesce((SELECT max(x.seq) FROM messages x WHERE x.conversation_id = v.conversation_id), 0) AS last_seq"
    };
}

const CHANGED: &str = concat!(
    "WITH v AS MATERIALIZED (",
    views!(),
    "), t AS MATERIALIZED (SELECT v.*, ",
    last_seq!(),
    " FROM v WHERE v.changed_at >= $2 AND (v.changed_at < $3 OR (v.changed_at = $4 AND v.peer > $5)) \
     ORDER BY v.changed_at DESC, v.peer LIMIT $6) ",
    counted!()
);

/// Continued with as many placeholders as there are peers, and [`NAMED_END`].
const NAMED: &str = concat!("WITH v AS MATERIALIZED (", views!(), " AND m.peer IN (");
const NAMED_END: &str = concat!(")), t AS MATERIALIZED (SELECT v.*, ", last_seq!(), " FROM v) ", counted!());

#[derive(QueryableByName)]
struct ViewRow {
    #[diesel(embed)]
    standing: OverviewRow,
    #[diesel(sql_type = BigInt)]
    conversation_id: i64,
    #[diesel(sql_type = BigInt)]
    changed_at: i64,
}

/// PostgreSQL's.
pub(super) const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";

#[derive(QueryableByName)]
pub(super) struct NowRow {
    #[diesel(sql_type = BigInt)]
    pub(super) now: i64,
}

impl Query for SyncAt {
    type Answer = SyncPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<SyncPage> {
        let now = match conn {
            Conn::Sqlite(_) => self.now,
            Conn::Postgres(_) => Statement::new(NOW).get_result::<NowRow>(conn)?.now,
        };
        let walk = Walk::of(self.sync.since.as_ref(), now);
        let mut answer = Answer { sync: &self.sync, left: self.sync.bounds.answer_bytes, conversations: Vec::new(), has_messages: false };
        let named_all = answer.named(conn)?;
        let rest = if named_all { answer.changed(conn, &walk)?.or_else(|| walk.again()) } else { Some(walk.rest.clone()) };
        let conversations = answer.conversations;
        let named_more = !named_all || self.sync.named.iter().zip(&conversations).any(|(_, missed)| missed.has_more);
        Ok(SyncPage { has_more: named_more || rest.is_some(), conversations, cursor: SyncCursor { began: walk.began, rest } })
    }
}

/// Which changes an answer is to tell, the newest first.
struct Walk {
    began: i64,
    rest: Rest,
}

impl Walk {
    fn of(since: Option<&SyncCursor>, now: i64) -> Self {
        match since.filter(|cursor| cursor.began <= now + OVERLAP_MS) {
            Some(SyncCursor { began, rest: Some(rest) }) => Self { began: if rest.is_all() { now } else { *began }, rest: rest.clone() },
            Some(SyncCursor { began, rest: None }) => Self { began: now, rest: Rest::all(began.saturating_sub(OVERLAP_MS)) },
            None => Self { began: now, rest: Rest::all(0) },
        }
    }

    /// What is left when it has come to its end. In several answers it may have missed what changed meanwhile and so moved to places
    /// that it had passed: that is looked for by another walk.
    fn again(&self) -> Option<Rest> {
        (!self.rest.is_all()).then(|| Rest::all(self.began.saturating_sub(AGAIN_MS)))
    }
}

/// An answer as it fills.
struct Answer<'a> {
    sync: &'a Sync,
    /// Bytes that still fit.
    left: usize,
    conversations: Vec<Missed>,
    /// Whether it holds a message.
    has_messages: bool,
}

impl Answer<'_> {
    /// Adds the conversations that were named, in that order; whether all found room.
    fn named(&mut self, conn: &mut Conn) -> QueryResult<bool> {
        if self.sync.named.is_empty() {
            return Ok(true);
        }
        let peers = self.sync.named.iter().map(|(peer, _)| peer.as_str());
        // A power of two places, the last peer in those that are left over: so there are few texts to prepare.
        let places = self.sync.named.len().next_power_of_two();
        let last = peers.clone().next_back().unwrap_or_default();
        let statement = Statement::new(format!("{NAMED}{}{NAMED_END}", vec!["$"; places].join(", "))).text(self.sync.openid.as_str());
        let statement = peers.chain(std::iter::repeat(last)).take(places).fold(statement, Statement::text);
        let rows = statement.load::<ViewRow>(conn)?;
        let rows: HashMap<&str, &ViewRow> = rows.iter().map(|row| (row.standing.peer.as_str(), row)).collect();
        for (peer, have) in &self.sync.named {
            if !self.has_room_for_one_more() {
                return Ok(false);
            }
            let missed = match rows.get(peer.as_str()) {
                Some(row) => self.following(conn, row, *have)?,
                None => Missed { overview: nothing(peer), messages: Vec::new(), has_more: false },
            };
            self.conversations.push(missed);
        }
        Ok(true)
    }

    /// Adds what changed; what is left of the walk, if anything.
    fn changed(&mut self, conn: &mut Conn, walk: &Walk) -> QueryResult<Option<Rest>> {
        let Rest { since, changed_at, peer } = &walk.rest;
        let rows = Statement::new(CHANGED)
            .text(self.sync.openid.as_str())
            .number(*since)
            .number(*changed_at)
            .number(*changed_at)
            .text(peer.as_ref().map_or("", |peer| peer.as_str()))
            .number(CHANGED_AT_MOST)
            .load::<ViewRow>(conn)?;
        let is_full = i64::try_from(rows.len()) == Ok(CHANGED_AT_MOST);
        let (mut rest, named) = (walk.rest.clone(), self.conversations.len());
        for row in &rows {
            let is_named = self.sync.named.iter().any(|(peer, _)| peer.as_str() == row.standing.peer);
            if !is_named {
                let Some(missed) = self.newest(conn, row, self.conversations.len() == named)? else { return Ok(Some(rest)) };
                self.conversations.push(missed);
            }
            rest = Rest { since: *since, changed_at: row.changed_at, peer: Some(OpenId::parse(&row.standing.peer).map_err(unreadable)?) };
        }
        Ok(is_full.then_some(rest))
    }

    fn has_room_for_one_more(&self) -> bool {
        self.conversations.is_empty() || self.left > self.sync.bounds.conversation_bytes
    }

    /// The first messages above `have`, as many as fit.
    fn following(&mut self, conn: &mut Conn, row: &ViewRow, have: Seq) -> QueryResult<Missed> {
        let mut missed = self.begin(row)?;
        let mut above = have.get().max(row.standing.cleared_seq);
        while above < row.standing.last_seq && missed.messages.len() < self.sync.limit {
            let chunk = self.stretch(conn, row, above, row.standing.last_seq + 1, missed.messages.len(), false)?;
            let Some(last) = chunk.last().map(|m| m.seq.get()) else { return Ok(missed) };
            for message in chunk {
                if !self.take(&message, &missed) {
                    missed.has_more = true;
                    return Ok(missed);
                }
                missed.messages.push(message);
            }
            above = last;
        }
        missed.has_more = above < row.standing.last_seq;
        Ok(missed)
    }

    /// The newest messages, all that were asked for. Where they do not fit: of the first conversation that changed as many as fit, so that
    /// a walk comes on with every answer; of others none.
    fn newest(&mut self, conn: &mut Conn, row: &ViewRow, is_first: bool) -> QueryResult<Option<Missed>> {
        if !self.has_room_for_one_more() {
            return Ok(None);
        }
        let mut missed = self.begin(row)?;
        let mut below = row.standing.last_seq + 1;
        'full: while below > row.standing.cleared_seq + 1 && missed.messages.len() < self.sync.limit {
            let chunk = self.stretch(conn, row, row.standing.cleared_seq, below, missed.messages.len(), true)?;
            let Some(first) = chunk.last().map(|m| m.seq.get()) else { break };
            for message in chunk {
                if self.sync.sent_since.is_some_and(|since| message.sent_at < since) {
                    break 'full;
                }
                if !self.take(&message, &missed) {
                    if !is_first || missed.messages.is_empty() {
                        return Ok(None);
                    }
                    break 'full;
                }
                missed.messages.push(message);
            }
            below = first;
        }
        missed.messages.reverse();
        let oldest = missed.messages.first().map_or(row.standing.last_seq + 1, |m| m.seq.get());
        missed.has_more = oldest > row.standing.cleared_seq + 1;
        Ok(Some(missed))
    }

    fn begin(&mut self, row: &ViewRow) -> QueryResult<Missed> {
        self.left = self.left.saturating_sub(self.sync.bounds.conversation_bytes);
        Ok(Missed { overview: row.standing.overview()?, messages: Vec::new(), has_more: false })
    }

    /// Takes room for a message; whether there was enough. The first one of an answer always finds some.
    fn take(&mut self, message: &Message, missed: &Missed) -> bool {
        let bytes = (self.sync.bounds.message_bytes)(message, &missed.overview.peer);
        let fits = bytes <= self.left || !self.has_messages;
        if fits {
            self.has_messages = true;
            self.left = self.left.saturating_sub(bytes);
        }
        fits
    }

    /// Some messages between two seqs, both exclusive, from one end.
    fn stretch(
        &self,
        conn: &mut Conn,
        row: &ViewRow,
        above: i64,
        below: i64,
        have: usize,
        newest_first: bool,
    ) -> QueryResult<Vec<Message>> {
        let at_most = i64::try_from(MESSAGES_AT_ONCE.min(self.sync.limit - have)).unwrap_or(1);
        let stretch = messages::table
            .filter(messages::conversation_id.eq(row.conversation_id))
            .filter(messages::seq.gt(above))
            .filter(messages::seq.lt(below))
            .limit(at_most)
            .select(message_columns());
        let rows = if newest_first {
            stretch.order(messages::seq.desc()).load::<MessageRow>(conn)?
        } else {
            stretch.order(messages::seq.asc()).load::<MessageRow>(conn)?
        };
        rows.into_iter().map(MessageRow::into_message).collect()
    }
}

/// How a conversation stands that has not begun.
fn nothing(peer: &OpenId) -> Overview {
    let none = Seq::ZERO;
    Overview {
        peer: peer.clone(),
        last_seq: none,
        cleared_seq: none,
        read_seq: none,
        recv_seq: none,
        peer_read_seq: none,
        peer_recv_seq: none,
        unread: 0,
        muted: false,
    }
}
