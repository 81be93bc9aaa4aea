//! One batch on SQLite: one transaction of few, prepared statements. This process is the only writer (a file lock says so), so what
//! a conversation's head was after the last commit is remembered, and a lone message costs one insert and one update.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use diesel::connection::SimpleConnection;
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use lru::LruCache;

use super::batch::{Outcome, encode, pair, repeat};
use super::conn;
use super::error::Trouble;
use super::messages::{Append, Revoke, Write};
use super::queries::{MessageRow, message_columns};
use super::schema::{conversations, members, messages, revocations};
use super::wal::Room;
use crate::event::Refusal;
use crate::ids::{OpenId, Seq};

/// Conversations remembered; about 300 bytes each.
const HEADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(32_767);
const DAY_MS: i64 = 86_400_000;

/// The one lane's connection and memory.
pub(super) struct SqliteLane {
    path: PathBuf,
    cache_kib: u32,
    day_limit: u32,
    conn: Option<Open>,
    heads: LruCache<String, Head>,
}

struct Open {
    conn: SqliteConnection,
    /// None where the log has no room to be made, such as on a full disk.
    room: Option<Room>,
}

/// The end of a conversation and its members' marks, as of the last commit or, within a batch, of its writes so far.
#[derive(Clone, Copy)]
struct Head {
    conversation: i64,
    last: i64,
    /// Of the member whose openid sorts first, then of the other. With oneself only the first is used.
    marks: [Marks; 2],
    /// Whose marks this batch has moved.
    moved: [bool; 2],
}

#[derive(Clone, Copy, Default)]
struct Marks {
    sent: i64,
    read: i64,
    cleared: i64,
}

fn side(who: &OpenId, peer: &OpenId) -> usize {
    usize::from(who > peer)
}

impl SqliteLane {
    pub(super) fn new(path: PathBuf, cache_kib: u32, day_limit: u32) -> Self {
        Self { path, cache_kib, day_limit, conn: None, heads: LruCache::new(HEADS) }
    }

    /// Makes a batch durable, all or nothing.
    pub(super) fn commit(&mut self, writes: &[Write], now: i64) -> Result<Vec<Outcome>, Trouble> {
        let result = match self.attempt(writes, now) {
            // Another process wrote (a restored file, an operator's hand): look again, once.
            Err(Trouble::Stale) => self.attempt(writes, now),
            result => result,
        };
        if let Err(trouble) = &result
            && !matches!(trouble, Trouble::Busy(_) | Trouble::Stale)
        {
            // After a failed write or sync nothing that the connection holds in memory is to be trusted.
            self.conn = None;
        }
        result
    }

    fn attempt(&mut self, writes: &[Write], now: i64) -> Result<Vec<Outcome>, Trouble> {
        let Open { conn, room } = match &mut self.conn {
            Some(open) => open,
            none => {
                let conn = conn::sqlite_writer(&self.path, self.cache_kib);
                let conn = conn.map_err(|e| Trouble::Gone { reason: e.to_string(), asked: false })?;
                none.insert(Open { conn, room: Room::of(&self.path) })
            }
        };
        let heads = &mut self.heads;
        let day_limit = self.day_limit;
        let result = conn.immediate_transaction(|conn| {
            if let Some(Err(error)) = room.as_mut().map(Room::make) {
                log::debug!(reason:% = error; "the write-ahead log is not made longer ahead of its use: commits take longer");
                *room = None;
            }
            let mut batch = Batch { conn, heads, day_limit, now, moved: Vec::new() };
            let outcomes = writes.iter().map(|write| batch.write(write)).collect::<Result<Vec<_>, Trouble>>()?;
            batch.store_marks()?;
            Ok(outcomes)
        });
        if result.is_err() {
            // They show what the batch would have done.
            self.heads.clear();
        }
        result
    }

    /// Moves what the write-ahead log holds into the database: for a short start next time.
    pub(super) fn checkpoint(&mut self) {
        if let Some(Open { conn, .. }) = &mut self.conn
            && let Err(error) = conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        {
            log::info!(reason:% = error; "the last checkpoint was left to the next start");
        }
    }
}

struct Batch<'a> {
    conn: &'a mut SqliteConnection,
    heads: &'a mut LruCache<String, Head>,
    day_limit: u32,
    now: i64,
    /// Whose marks are to be stored, once a batch: (who, peer).
    moved: Vec<(OpenId, OpenId)>,
}

impl Batch<'_> {
    fn write(&mut self, write: &Write) -> Result<Outcome, Trouble> {
        match write {
            Write::Append(append) => self.append(append),
            Write::MarkRead(w) => self.mark(&w.openid, &w.peer, w.seq.get(), |marks| &mut marks.read),
            Write::Clear(w) => self.mark(&w.openid, &w.peer, w.up_to.map_or(i64::MAX, Seq::get), |marks| &mut marks.cleared),
            Write::Revoke(revoke) => {
                append_revocation(self.conn, revoke, self.now)?;
                Ok(Outcome::Done)
            }
        }
    }

    fn append(&mut self, append: &Append) -> Result<Outcome, Trouble> {
        let draft = &append.draft;
        let key = pair(&draft.sender, &draft.peer);
        let head = self.head(&key)?;
        if let Some(retry_after_ms) = append.over_rate_ms {
            let stored = head.map(|head| self.stored(head.conversation, append)).transpose()?.flatten();
            return Ok(stored.map_or(Outcome::Refused(Refusal::RateLimited { retry_after_ms }), |row| repeat(append, row)));
        }
        let head = match head {
            Some(head) => head,
            None => match self.begin(&draft.sender, &draft.peer, &key)? {
                Ok(head) => head,
                Err(refusal) => return Ok(Outcome::Refused(refusal)),
            },
        };
        let seq = head.last + 1;
        // Plain: with an ON CONFLICT clause diesel makes a message an eighth dearer. SQLite undoes a refused statement, not the batch.
        let inserted = diesel::insert_into(messages::table)
            .values((
                messages::conversation_id.eq(head.conversation),
                messages::seq.eq(seq),
                messages::sender.eq(draft.sender.as_str()),
                messages::client_msg_id.eq(draft.client_msg_id.as_ref().map(|id| id.as_str())),
                messages::kind.eq(draft.kind.as_str()),
                messages::body.eq(&*draft.body),
                messages::sent_at.eq(self.now),
            ))
            .execute(self.conn);
        match inserted {
            Ok(_) => {}
            // Either it is stored already, or another took this seq.
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
                return self.stored(head.conversation, append)?.map(|row| repeat(append, row)).ok_or(Trouble::Stale);
            }
            Err(error) => return Err(error.into()),
        }
        let side = side(&draft.sender, &draft.peer);
        self.change(&key, &draft.sender, &draft.peer, |head| {
            head.last = seq;
            head.marks[side].sent = seq;
        })?;
        Ok(Outcome::Appended { seq: Seq::parse(seq).unwrap_or_default(), sent_at: self.now })
    }

    fn mark(&mut self, who: &OpenId, peer: &OpenId, wanted: i64, which: fn(&mut Marks) -> &mut i64) -> Result<Outcome, Trouble> {
        let key = pair(who, peer);
        let Some(mut head) = self.head(&key)? else { return Ok(Outcome::Mark { seq: Seq::ZERO, moved: false }) };
        let side = side(who, peer);
        let wanted = wanted.min(head.last);
        let mark = which(&mut head.marks[side]);
        let moved = wanted > *mark;
        if moved {
            *mark = wanted;
            self.change(&key, who, peer, |head| *which(&mut head.marks[side]) = wanted)?;
        }
        Ok(Outcome::Mark { seq: Seq::parse(*mark).unwrap_or_default(), moved })
    }

    /// Changes a head that this batch has looked up, and notes whose marks are to be stored with it.
    fn change(&mut self, key: &str, who: &OpenId, peer: &OpenId, change: impl FnOnce(&mut Head)) -> Result<(), Trouble> {
        let head = self.heads.peek_mut(key).ok_or(Trouble::Stale)?;
        change(head);
        if !std::mem::replace(&mut head.moved[side(who, peer)], true) {
            self.moved.push((who.clone(), peer.clone()));
        }
        Ok(())
    }

    /// The head of a conversation, or none when it has not begun.
    fn head(&mut self, key: &str) -> Result<Option<Head>, Trouble> {
        if let Some(head) = self.heads.get(key) {
            return Ok(Some(*head));
        }
        let conversation = conversations::table.filter(conversations::pair.eq(key)).select(conversations::id);
        let Some(conversation) = conversation.first::<i64>(self.conn).optional()? else { return Ok(None) };
        let last = messages::table.filter(messages::conversation_id.eq(conversation)).select(max(messages::seq));
        let last = last.first::<Option<i64>>(self.conn)?.unwrap_or(0);
        let rows = members::table
            .filter(members::conversation_id.eq(conversation))
            .order(members::openid)
            .select((members::sent_seq, members::read_seq, members::cleared_seq))
            .load::<(i64, i64, i64)>(self.conn)?;
        let mut head = Head { conversation, last, marks: Default::default(), moved: Default::default() };
        for (marks, (sent, read, cleared)) in head.marks.iter_mut().zip(rows) {
            *marks = Marks { sent, read, cleared };
        }
        self.heads.put(key.to_owned(), head);
        Ok(Some(head))
    }

    /// Begins a conversation, unless its sender has begun too many.
    fn begin(&mut self, sender: &OpenId, peer: &OpenId, key: &str) -> Result<Result<Head, Refusal>, Trouble> {
        if self.day_limit > 0 {
            // The wait ends when the oldest of the last `day_limit` ones is a day old; no more than these are looked at.
            let oldest = conversations::table
                .filter(conversations::created_by.eq(sender.as_str()))
                .filter(conversations::created_at.gt(self.now - DAY_MS))
                .order(conversations::created_at.desc())
                .offset(i64::from(self.day_limit) - 1)
                .select(conversations::created_at);
            if let Some(oldest) = oldest.first::<i64>(self.conn).optional()? {
                let retry_after_ms = u64::try_from(oldest + DAY_MS - self.now).unwrap_or(0);
                return Ok(Err(Refusal::RateLimited { retry_after_ms }));
            }
        }
        let conversation = diesel::insert_into(conversations::table)
            .values((conversations::pair.eq(key), conversations::created_by.eq(sender.as_str()), conversations::created_at.eq(self.now)))
            .returning(conversations::id)
            .get_result::<i64>(self.conn)?;
        self.join(conversation, sender, peer)?;
        if sender != peer {
            self.join(conversation, peer, sender)?;
        }
        let head = Head { conversation, last: 0, marks: Default::default(), moved: Default::default() };
        self.heads.put(key.to_owned(), head);
        Ok(Ok(head))
    }

    fn join(&mut self, conversation: i64, who: &OpenId, peer: &OpenId) -> Result<(), Trouble> {
        diesel::insert_into(members::table)
            .values((
                members::openid.eq(who.as_str()),
                members::peer.eq(peer.as_str()),
                members::conversation_id.eq(conversation),
                members::sent_seq.eq(0),
            ))
            .execute(self.conn)?;
        Ok(())
    }

    fn stored(&mut self, conversation: i64, append: &Append) -> Result<Option<crate::event::Message>, Trouble> {
        let Some(id) = &append.draft.client_msg_id else { return Ok(None) };
        let row = messages::table
            .filter(messages::conversation_id.eq(conversation))
            .filter(messages::sender.eq(append.draft.sender.as_str()))
            .filter(messages::client_msg_id.eq(id.as_str()))
            .select(message_columns())
            .first::<MessageRow>(self.conn)
            .optional()?;
        Ok(row.map(MessageRow::into_message).transpose()?)
    }

    /// In the order of the table, so that neighbours are found where the last one was.
    fn store_marks(&mut self) -> Result<(), Trouble> {
        self.moved.sort_unstable();
        for (who, peer) in self.moved.drain(..) {
            let side = side(&who, &peer);
            let head = self.heads.peek_mut(&pair(&who, &peer)).ok_or(Trouble::Stale)?;
            head.moved[side] = false;
            StoreMarks { who: who.as_str(), peer: peer.as_str(), marks: head.marks[side] }.execute(self.conn)?;
        }
        Ok(())
    }
}

/// `UPDATE members …`: no mark goes back, whatever a thread that came back late remembers. Written by hand because diesel prepares its own UPDATE statements anew every time: that was a fifth of what a
/// message cost.
struct StoreMarks<'a> {
    who: &'a str,
    peer: &'a str,
    marks: Marks,
}

impl QueryFragment<Sqlite> for StoreMarks<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Marks { sent, read, cleared } = &self.marks;
        out.push_sql("UPDATE members SET sent_seq = max(sent_seq, ");
        out.push_bind_param::<BigInt, _>(sent)?;
        out.push_sql("), read_seq = max(read_seq, ");
        out.push_bind_param::<BigInt, _>(read)?;
        out.push_sql("), cleared_seq = max(cleared_seq, ");
        out.push_bind_param::<BigInt, _>(cleared)?;
        out.push_sql(") WHERE openid = ");
        out.push_bind_param::<Text, _>(self.who)?;
        out.push_sql(" AND peer = ");
        out.push_bind_param::<Text, _>(self.peer)
    }
}

/// The text is always the same, so the prepared statement is kept.
impl QueryId for StoreMarks<'_> {
    type QueryId = StoreMarks<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for StoreMarks<'_> {}

pub(super) fn append_revocation(conn: &mut SqliteConnection, revoke: &Revoke, now: i64) -> QueryResult<()> {
    let (what, issued_ms) = encode(revoke.what);
    diesel::insert_into(revocations::table)
        .values((
            revocations::openid.eq(revoke.openid.as_str()),
            revocations::what.eq(what),
            revocations::issued_ms.eq(issued_ms),
            revocations::at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}
