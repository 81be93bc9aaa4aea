//! One batch on SQLite: one transaction of few, prepared statements. This process is the only writer (a file
//! lock says so), so what a conversation's head was after the last commit is remembered, for as long as
//! SQLite's `data_version` says that nobody else has written, and a lone message costs one insert and one
//! update.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use diesel::connection::SimpleConnection;
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::BigInt;
use lru::LruCache;

use self::cache::PageCache;
use self::head::{Head, Member};
use self::statements::store_member;
use self::wal::Room;
use crate::event::{Message, Refusal};
use crate::ids::{OpenId, Seq};
use crate::lifecycle::abort_point;
use crate::store::blocks::{Block, BlockChange};
use crate::store::conversations::Clear;
use crate::store::conversations::address::{self, direct};
use crate::store::conversations::sync::REPEATED_AFTER_MS;
use crate::store::database::clock::{self, AHEAD_MS, Clock};
use crate::store::database::conn;
use crate::store::database::error::Trouble;
use crate::store::database::schema::{blocks, conversations, members, messages};
use crate::store::database::statement::Statement;
use crate::store::lanes::batch::{MarkKind, Outcome, RECALLED_BODY, repeat};
use crate::store::lanes::command::{AnyCommand, Db, Order, Times};
use crate::store::messages::rows::{MessageRow, message_columns};
use crate::store::messages::{Admission, Append};
use crate::store::receipts::Mark;
use crate::store::{StoreLimits, Write, moderation};

mod cache;
mod head;
mod statements;
mod wal;

/// Conversations remembered; about 300 bytes each.
const HEADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(32_767);
const DAY_MS: i64 = 86_400_000;

/// The one lane's connection and memory.
pub(super) struct SqliteLane {
    path: PathBuf,
    cache_kib: u32,
    limits: StoreLimits,
    clock: Clock,
    /// What stands in `store_clock`, or less.
    reached: i64,
    conn: Option<Open>,
    heads: LruCache<String, Head>,
}

struct Open {
    conn: SqliteConnection,
    /// SQLite's number for what others have written, when the heads were last known to hold.
    data_version: Option<i64>,
    cache: PageCache,
    /// None where the log has no room to be made, such as on a full disk.
    room: Option<Room>,
}

impl SqliteLane {
    pub(super) fn new(path: PathBuf, cache_kib: u32, limits: StoreLimits, clock: Clock) -> Self {
        Self { path, cache_kib, limits, clock, reached: 0, conn: None, heads: LruCache::new(HEADS) }
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
        let Open { conn, data_version, cache, room } = match &mut self.conn {
            Some(open) => open,
            none => {
                let conn = conn::sqlite_writer(&self.path, PageCache::first_kib(self.cache_kib));
                let conn = conn.map_err(|e| Trouble::Gone { reason: e.to_string(), asked: false })?;
                none.insert(Open {
                    conn,
                    data_version: None,
                    cache: PageCache::new(self.cache_kib),
                    room: Room::of(&self.path),
                })
            }
        };
        let heads = &mut self.heads;
        let (limits, at) = (self.limits, self.clock.now());
        let reaches = at > self.reached + AHEAD_MS;
        let result = conn.immediate_transaction(|conn| {
            if let Some(Err(error)) = room.as_mut().map(Room::make) {
                log::debug!(reason:% = error; "the write-ahead log is not made longer ahead of its use: commits take longer");
                *room = None;
            }
            let version = Statement::new("PRAGMA data_version").get_result::<DataVersion>(conn)?.data_version;
            if data_version.replace(version) != Some(version) {
                heads.clear();
            }
            let mut batch = Batch { conn, heads, limits, now, at, changed: Vec::new() };
            let outcomes = writes.iter().map(|write| batch.write(write)).collect::<Result<Vec<_>, Trouble>>()?;
            batch.store_members()?;
            if reaches {
                clock::reach(conn, at)?;
                cache.grow(conn)?;
            }
            abort_point("within-commit");
            Ok(outcomes)
        });
        if result.is_err() {
            // They show what the batch would have done.
            self.heads.clear();
        } else if reaches {
            self.reached = at;
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

#[derive(QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

struct Batch<'a> {
    conn: &'a mut SqliteConnection,
    heads: &'a mut LruCache<String, Head>,
    limits: StoreLimits,
    /// The system's clock, for people.
    now: i64,
    /// The store's own, for syncs.
    at: i64,
    /// Direct conversations whose members are to be stored, once a batch, and their members in any order.
    changed: Vec<(i64, OpenId, OpenId)>,
}

impl Batch<'_> {
    fn write(&mut self, write: &Write) -> Result<Outcome, Trouble> {
        match write {
            Write::Append(append) => {
                let outcome = self.append(append)?;
                moderation::keep(&mut Db::Sqlite(self.conn), append, &outcome, self.now)?;
                Ok(outcome)
            }
            Write::Mark(Mark { receipt: r }) => self.mark(&r.openid, &r.peer, r.seq.get(), r.kind.into()),
            Write::Clear(Clear { openid, peer, up_to }) => {
                self.mark(openid, peer, up_to.map_or(i64::MAX, Seq::get), MarkKind::Cleared)
            }
            Write::Block(block) => self.block(block),
            Write::Command(queued) => self.command(&*queued.command),
        }
    }

    fn command(&mut self, command: &dyn AnyCommand) -> Result<Outcome, Trouble> {
        let order = command.order();
        if let Order::Conversation(_) = order {
            // It looks at the members' rows.
            self.store_members()?;
        }
        let times = Times { system: self.now, store: self.at, database: self.at };
        let outcome = command.apply(&mut Db::Sqlite(self.conn), times)?;
        if let Order::Conversation(address) = order {
            // And may have changed them.
            self.heads.pop(&address);
        }
        Ok(outcome.into())
    }

    fn append(&mut self, append: &Append) -> Result<Outcome, Trouble> {
        let draft = &append.draft;
        let (sender, peer) = (&draft.sender, &draft.peer);
        let key = direct(sender, peer);
        let head = self.head(&key, sender, peer)?;
        if let Some(target) = draft.target {
            return match head {
                Some(head) => self.recall(append, &key, head, target),
                None => Ok(Outcome::Refused(repeats_only(append).unwrap_or(Refusal::NotFound))),
            };
        }
        if let Some(refusal) = repeats_only(append) {
            let repeated = head.map(|head| self.repeated(head, append)).transpose()?.flatten();
            return Ok(repeated.unwrap_or(Outcome::Refused(refusal)));
        }
        let head = match head {
            Some(head) => head,
            None => match self.begin(sender, peer, &key)? {
                Ok(head) => head,
                Err(refusal) => return Ok(Outcome::Refused(refusal)),
            },
        };
        if head.member(peer, sender).has_blocked {
            return Ok(self.repeated(head, append)?.unwrap_or(Outcome::Refused(Refusal::Blocked)));
        }
        let seq = head.last + 1;
        // Plain: with an ON CONFLICT clause diesel makes a message an eighth dearer. SQLite undoes a refused
        // statement, not the batch.
        let inserted = diesel::insert_into(messages::table)
            .values((
                messages::conversation_id.eq(head.conversation),
                messages::seq.eq(seq),
                messages::sender.eq(sender.as_str()),
                messages::client_msg_id.eq(draft.client_msg_id.as_ref().map(|id| id.as_str())),
                messages::kind.eq(draft.kind.as_str()),
                messages::body.eq(&*draft.body),
                messages::sent_at.eq(self.now),
                messages::stored_at.eq(self.at),
            ))
            .execute(self.conn);
        match inserted {
            Ok(_) => {}
            // Either it is stored already, or another took this seq.
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
                return self.repeated(head, append)?.ok_or(Trouble::Stale);
            }
            Err(error) => return Err(error.into()),
        }
        let at = self.at;
        self.change(&key, sender, peer, |head| head.append(sender, peer, at))?;
        Ok(Outcome::Appended { seq: Seq::parse(seq).unwrap_or_default(), sent_at: self.now })
    }

    /// Appends the recall and overwrites its target.
    fn recall(&mut self, append: &Append, key: &str, head: Head, target: Seq) -> Result<Outcome, Trouble> {
        let (sender, peer) = (&append.draft.sender, &append.draft.peer);
        let blocked_by_peer =
            head.member(peer, sender).has_blocked && append.admission != Admission::Moderator;
        let of = |seq: i64| messages::table.find((head.conversation, seq));
        let own = of(target.get())
            .filter(messages::sender.eq(sender.as_str()))
            .filter(messages::target_seq.is_null())
            .select((messages::sent_at, messages::recalled))
            .first::<(i64, bool)>(self.conn)
            .optional()?;
        if let Some((_, true)) = own {
            if !blocked_by_peer {
                self.touch(key, head, sender, peer)?;
            }
            let done = messages::table
                .filter(messages::conversation_id.eq(head.conversation))
                .filter(messages::target_seq.eq(target.get()))
                .select(message_columns())
                .first::<MessageRow>(self.conn)?;
            return Ok(repeat(append, done.into_message()?, blocked_by_peer));
        }
        if let Some(refusal) = repeats_only(append) {
            return Ok(Outcome::Refused(refusal));
        }
        let refusal = match own {
            None => Some(Refusal::NotFound),
            Some(_) if append.admission == Admission::Moderator => None,
            Some(_) if blocked_by_peer => Some(Refusal::Blocked),
            Some((sent_at, _)) if self.now.saturating_sub(sent_at) >= self.limits.recall_within_ms => {
                Some(Refusal::RecallExpired)
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            return Ok(Outcome::Refused(refusal));
        }
        let seq = head.last + 1;
        diesel::insert_into(messages::table)
            .values((
                messages::conversation_id.eq(head.conversation),
                messages::seq.eq(seq),
                messages::sender.eq(sender.as_str()),
                messages::kind.eq(append.draft.kind.as_str()),
                messages::body.eq(&*append.draft.body),
                messages::sent_at.eq(self.now),
                messages::stored_at.eq(self.at),
                messages::target_seq.eq(target.get()),
            ))
            .execute(self.conn)?;
        diesel::update(of(target.get()))
            .set((messages::body.eq(RECALLED_BODY), messages::recalled.eq(true)))
            .execute(self.conn)?;
        let at = self.at;
        self.change(key, sender, peer, |head| head.recall(target.get(), at))?;
        Ok(Outcome::Appended { seq: Seq::parse(seq).unwrap_or_default(), sent_at: self.now })
    }

    fn mark(&mut self, who: &OpenId, peer: &OpenId, wanted: i64, kind: MarkKind) -> Result<Outcome, Trouble> {
        let key = direct(who, peer);
        let Some(head) = self.head(&key, who, peer)? else {
            return Ok(Outcome::Mark { seq: Seq::ZERO, moved: false, to_peer: false });
        };
        let to_peer = kind != MarkKind::Cleared
            && head.member(who, peer).sent > 0
            && !head.member(peer, who).has_blocked;
        let wanted = wanted.min(head.last);
        let before = head.member(who, peer).mark(kind);
        let moved = wanted > before;
        if moved {
            let (at, last) = (self.at, head.last);
            let mut member = *head.member(who, peer);
            member.advance(kind, wanted, last, |above, up_to| {
                self.uncounted(head.conversation, above, up_to)
            })?;
            member.changed_at(at);
            self.change(&key, who, peer, |head| {
                *head.member_mut(who, peer) = member;
                if to_peer {
                    head.member_mut(peer, who).changed_at(at);
                }
            })?;
        }
        Ok(Outcome::Mark { seq: Seq::parse(wanted.max(before)).unwrap_or_default(), moved, to_peer })
    }

    fn block(&mut self, block: &Block) -> Result<Outcome, Trouble> {
        let (who, peer) = (block.openid.as_str(), block.peer.as_str());
        let has_blocked = block.change == BlockChange::Block;
        if has_blocked {
            let own = blocks::table.filter(blocks::openid.eq(who));
            let is_there = diesel::select(diesel::dsl::exists(own.filter(blocks::blocked.eq(peer))))
                .get_result::<bool>(self.conn)?;
            let limit = self.limits.blocks_per_user;
            if !is_there && limit > 0 && own.count().get_result::<i64>(self.conn)? >= i64::from(limit) {
                return Ok(Outcome::Refused(Refusal::TooMany));
            }
            if !is_there {
                diesel::insert_into(blocks::table)
                    .values((blocks::openid.eq(who), blocks::blocked.eq(peer), blocks::at.eq(self.now)))
                    .execute(self.conn)?;
            }
        } else {
            diesel::delete(blocks::table.find((who, peer))).execute(self.conn)?;
        }
        // Though the row stands already: a thread that was given up may have written it, and this one's head
        // may not know.
        if let Some(head) = self.heads.peek_mut(&direct(&block.openid, &block.peer)) {
            head.member_mut(&block.openid, &block.peer).has_blocked = has_blocked;
        }
        Ok(Outcome::Done)
    }

    /// Counts the messages that do not count as unread: above a seq, up to another.
    fn uncounted(&mut self, conversation: i64, above: i64, up_to: i64) -> QueryResult<i64> {
        messages::table
            .filter(messages::conversation_id.eq(conversation))
            .filter(messages::seq.gt(above))
            .filter(messages::seq.le(up_to))
            .filter(messages::target_seq.is_not_null().or(messages::recalled))
            .count()
            .get_result(self.conn)
    }

    /// Changes a head that this batch has looked up, and notes that its members are to be stored with it.
    fn change<R>(
        &mut self,
        key: &str,
        who: &OpenId,
        peer: &OpenId,
        change: impl FnOnce(&mut Head) -> R,
    ) -> Result<(), Trouble> {
        let head = self.heads.peek_mut(key).ok_or(Trouble::Stale)?;
        change(head);
        if !std::mem::replace(&mut head.is_changed, true) {
            self.changed.push((head.conversation, who.clone(), peer.clone()));
        }
        Ok(())
    }

    /// The head of a conversation, or none when it has not begun.
    fn head(&mut self, key: &str, who: &OpenId, peer: &OpenId) -> Result<Option<Head>, Trouble> {
        if let Some(head) = self.heads.get(key) {
            return Ok(Some(*head));
        }
        let conversation =
            conversations::table.filter(conversations::address.eq(key)).select(conversations::id);
        let Some(conversation) = conversation.first::<i64>(self.conn).optional()? else { return Ok(None) };
        let last =
            messages::table.filter(messages::conversation_id.eq(conversation)).select(max(messages::seq));
        let last = last.first::<Option<i64>>(self.conn)?.unwrap_or(0);
        let rows = members::table
            .filter(members::conversation_id.eq(conversation))
            .order(members::openid)
            .select((
                (members::sent_seq, members::read_seq, members::recv_seq, members::cleared_seq),
                (members::uncounted, members::may_have_unread, members::changed_at, members::last_at),
            ))
            .load::<((i64, i64, i64, i64), (i64, bool, i64, i64))>(self.conn)?;
        let mut head = Head::new(conversation, last);
        for (member, (marks, rest)) in head.members.iter_mut().zip(rows) {
            let ((sent, read, recv, cleared), (uncounted, may_have_unread, changed_at, last_at)) =
                (marks, rest);
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
        head.member_mut(who, peer).has_blocked = self.has_blocked(who, peer)?;
        head.member_mut(peer, who).has_blocked = self.has_blocked(peer, who)?;
        self.heads.put(key.to_owned(), head);
        Ok(Some(head))
    }

    fn has_blocked(&mut self, who: &OpenId, peer: &OpenId) -> QueryResult<bool> {
        let row = blocks::table.find((who.as_str(), peer.as_str()));
        diesel::select(diesel::dsl::exists(row)).get_result(self.conn)
    }

    /// Begins a conversation, unless its sender has begun too many.
    fn begin(&mut self, sender: &OpenId, peer: &OpenId, key: &str) -> Result<Result<Head, Refusal>, Trouble> {
        if self.has_blocked(peer, sender)? {
            return Ok(Err(Refusal::Blocked));
        }
        let day_limit = self.limits.new_conversations_per_day;
        if day_limit > 0 {
            // The wait ends when the oldest of the last `day_limit` ones is a day old; no more than these are
            // looked at.
            let oldest = conversations::table
                .filter(conversations::created_by.eq(sender.as_str()))
                .filter(conversations::created_at.gt(self.now - DAY_MS))
                .order(conversations::created_at.desc())
                .offset(i64::from(day_limit) - 1)
                .select(conversations::created_at);
            if let Some(oldest) = oldest.first::<i64>(self.conn).optional()? {
                let retry_after_ms = u64::try_from(oldest + DAY_MS - self.now).unwrap_or(0);
                return Ok(Err(Refusal::RateLimited { retry_after_ms }));
            }
        }
        let conversation = diesel::insert_into(conversations::table)
            .values((
                conversations::kind.eq(address::DIRECT),
                conversations::address.eq(key),
                conversations::created_by.eq(sender.as_str()),
                conversations::created_at.eq(self.now),
            ))
            .returning(conversations::id)
            .get_result::<i64>(self.conn)?;
        self.join(conversation, sender, peer)?;
        if sender != peer {
            self.join(conversation, peer, sender)?;
        }
        let mut head = Head::new(conversation, 0);
        head.member_mut(sender, peer).has_blocked = self.has_blocked(sender, peer)?;
        self.heads.put(key.to_owned(), head);
        Ok(Ok(head))
    }

    fn join(&mut self, conversation: i64, who: &OpenId, peer: &OpenId) -> Result<(), Trouble> {
        diesel::insert_into(members::table)
            .values((
                members::conversation_id.eq(conversation),
                members::openid.eq(who.as_str()),
                members::peer.eq(peer.as_str()),
            ))
            .execute(self.conn)?;
        Ok(())
    }

    /// What a message that is stored already says to one who sends it again.
    fn repeated(&mut self, head: Head, append: &Append) -> Result<Option<Outcome>, Trouble> {
        let draft = &append.draft;
        let Some(id) = &draft.client_msg_id else { return Ok(None) };
        let row = messages::table
            .filter(messages::conversation_id.eq(head.conversation))
            .filter(messages::sender.eq(draft.sender.as_str()))
            .filter(messages::client_msg_id.eq(id.as_str()))
            .select(message_columns())
            .first::<MessageRow>(self.conn)
            .optional()?;
        let stored: Option<Message> = row.map(MessageRow::into_message).transpose()?;
        let blocked_by_peer = head.member(&draft.peer, &draft.sender).has_blocked;
        if stored.is_some() && !blocked_by_peer {
            self.touch(&direct(&draft.sender, &draft.peer), head, &draft.sender, &draft.peer)?;
        }
        Ok(stored.map(|stored| repeat(append, stored, blocked_by_peer)))
    }

    /// Makes a repeat a change that all members see, where the last one was longer ago than a sync looks back:
    /// the commit of what it repeats may have taken so long that syncs have passed it.
    fn touch(&mut self, key: &str, head: Head, sender: &OpenId, peer: &OpenId) -> Result<(), Trouble> {
        let is_old = |member: &Member| member.changed_at < self.at - REPEATED_AFTER_MS;
        if head.members.iter().any(is_old) {
            let at = self.at;
            self.change(key, sender, peer, |head| head.members.iter_mut().for_each(|m| m.changed_at(at)))?;
        }
        Ok(())
    }

    /// In the order of the table, so that neighbours are found where the last one was.
    fn store_members(&mut self) -> Result<(), Trouble> {
        self.changed.sort_unstable();
        for (conversation, who, peer) in self.changed.drain(..) {
            let head = self.heads.peek_mut(&direct(&who, &peer)).ok_or(Trouble::Stale)?;
            let (first, second) = if who <= peer { (&who, &peer) } else { (&peer, &who) };
            let last = head.last;
            head.is_changed = false;
            let members = [first, second].into_iter().zip(&mut head.members);
            for (openid, member) in members.take(1 + usize::from(who != peer)) {
                let changed = member.take_changed(last);
                store_member(self.conn, conversation, openid.as_str(), member, changed)?;
            }
        }
        Ok(())
    }
}

/// Why only a repeat is answered, where it is so.
fn repeats_only(append: &Append) -> Option<Refusal> {
    match append.admission {
        Admission::RepeatsOnly(refusal) => Some(refusal),
        Admission::Open | Admission::Moderator => None,
    }
}
