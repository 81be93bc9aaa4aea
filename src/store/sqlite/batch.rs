//! One batch in its transaction.

use diesel::prelude::*;
use smallvec::SmallVec;

use super::Heads;
use super::conversations::{BatchConversations, Place, has_blocked};
use super::groups::Rosters;
use super::head::Head;
use super::keys::{Key, Keys, hash};
use super::statements::{AskedKey, NewMessage, find_keys, insert_messages};
use crate::event::{Conversation, DirectPair, Draft, Message, Quote, Refusal};
use crate::ids::{ClientMsgId, OpenId, Seq};
use crate::store::blocks::{Block, BlockChange};
use crate::store::conversations::sync::REPEATED_AFTER_MS;
use crate::store::conversations::{Clear, DIRECT};
use crate::store::database::error::Trouble;
use crate::store::database::schema::{blocks, conversations, members, messages};
use crate::store::lanes::batch::{MarkKind, Outcome, RECALLED_BODY, Roster, repeat};
use crate::store::lanes::command::{AnyCommand, Db, Order, Times};
use crate::store::messages::quotes;
use crate::store::messages::rows::{MessageRow, message_columns};
use crate::store::messages::{Admission, Append};
use crate::store::receipts::Mark;
use crate::store::{StoreLimits, Write, moderation};

const DAY_MS: i64 = 86_400_000;

pub(super) struct Batch<'c, 'w> {
    pub(super) conn: &'c mut SqliteConnection,
    heads: &'c mut Heads,
    keys: &'c mut Keys,
    pub(super) limits: StoreLimits,
    /// The system's clock, for people.
    pub(super) now: i64,
    /// The store's own, for syncs.
    pub(super) at: i64,
    conversations: BatchConversations,
    pub(super) rosters: Rosters,
    /// Keys of the batch's messages that the table has, in order.
    stored: Vec<Key>,
    /// Messages that are to be inserted before anybody reads the table.
    rows: Vec<NewMessage<'w>>,
}

impl<'c, 'w> Batch<'c, 'w> {
    pub(super) fn new(
        conn: &'c mut SqliteConnection,
        heads: &'c mut Heads,
        keys: &'c mut Keys,
        limits: StoreLimits,
        (now, at): (i64, i64),
    ) -> Self {
        Self {
            conn,
            heads,
            keys,
            limits,
            now,
            at,
            conversations: BatchConversations::default(),
            rosters: Rosters::default(),
            stored: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub(super) fn write_all(&mut self, writes: &'w [Write]) -> Result<Vec<Outcome>, Trouble> {
        let hashes = self.look_up(writes)?;
        writes.iter().zip(hashes).map(|(write, hash)| self.write(write, hash)).collect()
    }

    /// Writes what was gathered.
    pub(super) fn finish(mut self) -> Result<BatchConversations, Trouble> {
        self.insert_messages()?;
        self.conversations.store(self.conn)?;
        self.keys.write(self.conn)?;
        Ok(self.conversations)
    }

    /// Asks the table, in one go, for those of the messages that may be stored already. The hash of each write
    /// that is a message with an id.
    fn look_up(&mut self, writes: &'w [Write]) -> Result<Vec<Option<i64>>, Trouble> {
        let mut asked: Vec<AskedKey> = Vec::new();
        let mut hashes = Vec::with_capacity(writes.len());
        for write in writes {
            let hash = hash_of(write);
            hashes.push(hash);
            let (Write::Append(Append { draft, .. }), Some(hash)) = (write, hash) else { continue };
            let conversation = match &draft.conversation {
                Conversation::Direct(pair) => {
                    let place = self.find(pair)?;
                    self.conversations.head(place).map(|head| head.conversation)
                }
                Conversation::Group(group) => self.group_id(group)?,
            };
            if let Some(conversation) = conversation
                && self.keys.may_have(conversation, hash)
            {
                asked.push((conversation, hash));
            }
        }
        self.stored = find_keys(self.conn, &asked)?;
        self.stored.sort_unstable();
        Ok(hashes)
    }

    fn find(&mut self, pair: &DirectPair) -> Result<Place, Trouble> {
        self.conversations.find(self.conn, self.heads, pair)
    }

    pub(super) fn insert_messages(&mut self) -> Result<(), Trouble> {
        // Where another took a seq or an id meanwhile, that is `Trouble::Stale`.
        insert_messages(self.conn, &self.rows)?;
        self.rows.clear();
        Ok(())
    }

    fn write(&mut self, write: &'w Write, hash: Option<i64>) -> Result<Outcome, Trouble> {
        match write {
            Write::Append(append) => {
                let outcome = self.append(append, hash)?;
                moderation::keep(&mut Db::Sqlite(self.conn), append, &outcome, self.now)?;
                Ok(outcome)
            }
            Write::Mark(Mark { receipt: r }) => {
                self.mark(&r.openid, &r.conversation, r.seq.get(), r.kind.into())
            }
            Write::Clear(Clear { openid, conversation, up_to }) => {
                self.mark(openid, conversation, up_to.map_or(i64::MAX, Seq::get), MarkKind::Cleared)
            }
            Write::Block(block) => self.block(block),
            Write::Command(queued) => self.command(&*queued.command),
        }
    }

    fn command(&mut self, command: &dyn AnyCommand) -> Result<Outcome, Trouble> {
        let order = command.order();
        self.insert_messages()?;
        if let Order::Conversation(_) = order {
            // It looks at the members' rows.
            self.conversations.store(self.conn)?;
        }
        let times = Times { system: self.now, store: self.at, database: self.at };
        let outcome = command.apply(&mut Db::Sqlite(self.conn), times)?;
        match order {
            // And may have changed them.
            Order::Conversation(Conversation::Direct(pair)) => {
                self.conversations.forget(self.heads, &pair);
            }
            Order::Conversation(Conversation::Group(_)) => self.rosters.forget(),
            Order::Own(_) => {}
        }
        Ok(outcome.into())
    }

    fn append(&mut self, append: &'w Append, hash: Option<i64>) -> Result<Outcome, Trouble> {
        let draft = &append.draft;
        let pair = match &draft.conversation {
            Conversation::Direct(pair) => pair,
            Conversation::Group(group) => return self.append_to_group(append, group, hash),
        };
        let (sender, peer) = (&draft.sender, pair.other(&draft.sender));
        let place = self.find(pair)?;
        let head = self.conversations.head(place).copied();
        if let Some(target) = draft.target {
            return match head {
                Some(head) => self.recall(append, peer, place, head, target),
                None => Ok(Outcome::Refused(repeats_only(append).unwrap_or(Refusal::NotFound))),
            };
        }
        if let Some(head) = head
            && let Some(repeated) = self.repeated(place, head, append, peer, hash)?
        {
            return Ok(repeated);
        }
        if let Some(refusal) = repeats_only(append) {
            return Ok(Outcome::Refused(refusal));
        }
        let head = match head {
            Some(head) => head,
            None if draft.quote.is_some() => {
                let is_blocked = has_blocked(self.conn, peer, sender)?;
                let refusal = if is_blocked { Refusal::Blocked } else { Refusal::NothingToQuote };
                return Ok(Outcome::Refused(refusal));
            }
            None => match self.begin(place, sender, pair)? {
                Ok(head) => head,
                Err(refusal) => return Ok(Outcome::Refused(refusal)),
            },
        };
        if head.member(peer, sender).has_blocked {
            return Ok(Outcome::Refused(Refusal::Blocked));
        }
        let quote = match draft.quote {
            None => None,
            Some(seq) => {
                let may_read = seq.get() > head.member(sender, peer).mark(MarkKind::Cleared);
                let quote = if may_read { self.quote(head.conversation, seq)? } else { None };
                if quote.is_none() {
                    return Ok(Outcome::Refused(Refusal::NothingToQuote));
                }
                quote
            }
        };
        let seq = head.last + 1;
        self.insert(append, hash, head.conversation, seq);
        let at = self.at;
        self.conversations.change(place, |head| head.append(sender, peer, at));
        Ok(self.appended(seq, quote, Roster::Direct))
    }

    pub(super) fn appended(&self, seq: i64, quote: Option<Box<Quote>>, roster: Roster) -> Outcome {
        Outcome::Appended { seq: Seq::parse(seq).unwrap_or_default(), sent_at: self.now, quote, roster }
    }

    /// What quotes `seq`, if anything that can be quoted is there.
    fn quote(&mut self, conversation: i64, seq: Seq) -> Result<Option<Box<Quote>>, Trouble> {
        self.insert_messages()?;
        let quoted = quotes::find(self.conn, conversation, seq)?;
        Ok(quoted.map(|quoted| Box::new(Quote { seq, quoted })))
    }

    /// Has a new message inserted with the batch.
    pub(super) fn insert(&mut self, append: &'w Append, hash: Option<i64>, conversation: i64, seq: i64) {
        let draft = &append.draft;
        if let Some(hash) = hash {
            self.keys.add(Key { conversation, hash, seq });
        }
        self.rows.push(NewMessage {
            id: self.keys.next_id(),
            conversation,
            seq,
            sender: draft.sender.as_str(),
            client_msg_id: hash.and(draft.client_msg_id.as_ref()).map(ClientMsgId::as_str),
            kind: draft.kind.as_str(),
            body: &draft.body,
            sent_at: self.now,
            stored_at: self.at,
            target_seq: draft.target.map(Seq::get),
            quote_seq: draft.quote.map(Seq::get),
        });
    }

    /// Appends the recall and overwrites its target.
    fn recall(
        &mut self,
        append: &'w Append,
        peer: &OpenId,
        place: Place,
        head: Head,
        target: Seq,
    ) -> Result<Outcome, Trouble> {
        self.insert_messages()?;
        let sender = &append.draft.sender;
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
                self.touch(place, head);
            }
            let done = messages::table
                .filter(messages::conversation_id.eq(head.conversation))
                .filter(messages::target_seq.eq(target.get()))
                .select(message_columns())
                .first::<MessageRow>(self.conn)?;
            return Ok(repeat(append, done.into_message()?, blocked_by_peer, Roster::Direct));
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
        self.insert(append, None, head.conversation, seq);
        self.insert_messages()?;
        diesel::update(of(target.get()))
            .set((messages::body.eq(RECALLED_BODY), messages::recalled.eq(true)))
            .execute(self.conn)?;
        let at = self.at;
        self.conversations.change(place, |head| head.recall(target.get(), at));
        Ok(self.appended(seq, None, Roster::Direct))
    }

    fn mark(
        &mut self,
        who: &OpenId,
        conversation: &Conversation,
        wanted: i64,
        kind: MarkKind,
    ) -> Result<Outcome, Trouble> {
        let pair = match conversation {
            Conversation::Direct(pair) => pair,
            Conversation::Group(group) => return self.mark_in_group(who, group, wanted, kind),
        };
        let peer = pair.other(who);
        let place = self.find(pair)?;
        let Some(head) = self.conversations.head(place).copied() else {
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
            self.conversations.change(place, |head| {
                *head.member_mut(who, peer) = member;
                if to_peer {
                    head.member_mut(peer, who).changed_at(at);
                }
            });
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
        let place = self.find(&DirectPair::new(block.openid.clone(), block.peer.clone()))?;
        self.conversations.note(place, |head| {
            head.member_mut(&block.openid, &block.peer).has_blocked = has_blocked;
        });
        Ok(Outcome::Done)
    }

    /// Counts the messages that do not count as unread: above a seq, up to another.
    fn uncounted(&mut self, conversation: i64, above: i64, up_to: i64) -> Result<i64, Trouble> {
        self.insert_messages()?;
        let uncounted = messages::table
            .filter(messages::conversation_id.eq(conversation))
            .filter(messages::seq.gt(above))
            .filter(messages::seq.le(up_to))
            .filter(messages::target_seq.is_not_null().or(messages::recalled))
            .count()
            .get_result(self.conn)?;
        Ok(uncounted)
    }

    /// Begins a conversation, unless its sender has begun too many.
    fn begin(
        &mut self,
        place: Place,
        sender: &OpenId,
        pair: &DirectPair,
    ) -> Result<Result<Head, Refusal>, Trouble> {
        let peer = pair.other(sender);
        if has_blocked(self.conn, peer, sender)? {
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
                conversations::kind.eq(DIRECT),
                conversations::address.eq(pair.store_address()),
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
        head.member_mut(sender, peer).has_blocked = has_blocked(self.conn, sender, peer)?;
        self.conversations.begin(place, head);
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
    fn repeated(
        &mut self,
        place: Place,
        head: Head,
        append: &Append,
        peer: &OpenId,
        hash: Option<i64>,
    ) -> Result<Option<Outcome>, Trouble> {
        let draft = &append.draft;
        let Some(hash) = hash else { return Ok(None) };
        let Some(stored) = self.stored(head.conversation, hash, draft)? else { return Ok(None) };
        let blocked_by_peer = head.member(peer, &draft.sender).has_blocked;
        if !blocked_by_peer {
            self.touch(place, head);
        }
        Ok(Some(repeat(append, stored, blocked_by_peer, Roster::Direct)))
    }

    /// The message that its sender gave this id.
    pub(super) fn stored(
        &mut self,
        conversation: i64,
        hash: i64,
        draft: &Draft,
    ) -> Result<Option<Message>, Trouble> {
        if !self.keys.may_have(conversation, hash) {
            return Ok(None);
        }
        let first = Key { conversation, hash, seq: 0 };
        let in_table = self.stored.iter().skip(self.stored.partition_point(|key| *key < first));
        let in_table = in_table.take_while(|key| (key.conversation, key.hash) == (conversation, hash));
        let seqs: SmallVec<[i64; 4]> =
            in_table.map(|key| key.seq).chain(self.keys.pending(conversation, hash)).collect();
        if !seqs.is_empty() {
            self.insert_messages()?;
        }
        for seq in seqs {
            let row = messages::table
                .find((conversation, seq))
                .filter(messages::sender.eq(draft.sender.as_str()))
                .filter(messages::client_msg_id.eq(draft.client_msg_id.as_ref().map(ClientMsgId::as_str)))
                .select(message_columns())
                .first::<MessageRow>(self.conn)
                .optional()?;
            if let Some(row) = row {
                let mut message = row.into_message()?;
                if let Some(quote) = &mut message.quote
                    && let Some(quoted) = quotes::find(self.conn, conversation, quote.seq)?
                {
                    quote.quoted = quoted;
                }
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Makes a repeat a change that all members see, where the last one was longer ago than a sync looks back:
    /// the commit of what it repeats may have taken so long that syncs have passed it.
    fn touch(&mut self, place: Place, head: Head) {
        let at = self.at;
        if head.members.iter().any(|member| member.changed_at < at - REPEATED_AFTER_MS) {
            self.conversations.change(place, |head| head.members.iter_mut().for_each(|m| m.changed_at(at)));
        }
    }
}

/// Hash of a message's key; a recall has none.
fn hash_of(write: &Write) -> Option<i64> {
    let Write::Append(Append { draft, .. }) = write else { return None };
    let id = draft.client_msg_id.as_ref().filter(|_| draft.target.is_none())?;
    Some(hash(draft.sender.as_str(), id.as_str()))
}

/// Why only a repeat is answered, where it is so.
pub(super) fn repeats_only(append: &Append) -> Option<Refusal> {
    match append.admission {
        Admission::RepeatsOnly(refusal) => Some(refusal),
        Admission::Open | Admission::Moderator => None,
    }
}
