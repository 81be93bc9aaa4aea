//! Queries of a sync: what somebody missed. The work is bounded whatever is asked: one look at the member's
//! own rows, and then no more messages than one answer holds.

use std::cmp::Reverse;
use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::event::cursor::{ClosingWalk, SessionTag, SyncCursor, SyncPlace, Told};
use crate::event::overview::{Missed, Overview, SyncPage};
use crate::event::{Conversation, Message};
use crate::ids::{Address, DatabaseGeneration, OpenId, Seq};
use crate::store::Query;
use crate::store::conversations::queries::{OverviewRow, floor, last_seq, unread};
use crate::store::conversations::steps::STEP_MS;
use crate::store::conversations::{Kinds, groups};
use crate::store::database::conn::Conn;
use crate::store::database::schema::messages;
use crate::store::database::statement::Statement;
use crate::store::database::{clock, generation};
use crate::store::messages::quotes;
use crate::store::messages::rows::{MessageRow, message_columns};
use crate::store::readers::query::unreadable;

/// A change that a message repeats is one anew where it is older than this: its commit may have taken so long
/// that syncs have passed it. A batch takes its time before it commits, and commits within three seconds.
pub(in crate::store) const REPEATED_AFTER_MS: i64 = 30_000;
/// How far a sync goes back before the cursor's time.
pub(in crate::store) const OVERLAP_MS: i64 = REPEATED_AFTER_MS + STEP_MS;
/// How far a closing walk goes back before the beginning of the walk that it closes. Less than
/// [`OVERLAP_MS`], or who was told a lot just now would be told it again: a write moves its conversation when
/// it commits, seldom later than this.
const AGAIN_MS: i64 = 3_000 + STEP_MS;
/// Conversations of one answer, besides those named.
const CHANGED_AT_MOST: i64 = 500;
/// Messages read in one go.
const MESSAGES_AT_ONCE: usize = 32;

/// What somebody missed: the conversations named, each with what follows the seq that they have, then those
/// that changed, the one with the newest change first, each with its newest messages.
#[derive(Debug)]
pub struct Sync {
    pub openid: OpenId,
    /// Of what changed; one that is named is told of whatever its kind.
    pub kinds: Kinds,
    /// The cursor of an earlier answer. Without one, or with one from a future that the clock has left,
    /// everything is new.
    pub since: Option<SyncCursor>,
    /// Who asks: what changes is pushed there since before the first answer.
    pub session: SessionTag,
    pub named: Vec<(Conversation, Seq)>,
    /// Messages of one conversation at most.
    pub limit: usize,
    /// Of conversations that are not named: only messages sent at or after this time (Unix milliseconds), and
    /// those between.
    pub sent_since: Option<i64>,
    /// How much one answer may hold, in bytes, and what each part of it is taken for.
    pub bounds: SyncBounds,
}

/// How large an answer may become on its way.
#[derive(Debug, Clone, Copy)]
pub struct SyncBounds {
    pub answer_bytes: usize,
    /// The most that a message takes beside what its sender gave.
    pub message_bytes: fn(&Message) -> usize,
    /// The most that a conversation takes beside its messages.
    pub conversation_bytes: usize,
}

/// A sync, and what PostgreSQL is asked for there: the store's own time at which it came, and which database
/// it is.
pub(in crate::store) struct SyncAt {
    pub(in crate::store) sync: Sync,
    pub(in crate::store) now: i64,
    /// A standby of PostgreSQL's goes by it too: the last that is known.
    pub(in crate::store) generation: DatabaseGeneration,
}

/// The rows `m` of a user's conversations.
macro_rules! views {
    () => {
        concat!(
            "SELECT m.openid, m.peer, m.conversation_id, m.read_seq, m.recv_seq, m.cleared_seq, m.uncounted, m.muted, m.pinned, m.changed_at, ",
            floor!(),
            " FROM members m "
        )
    };
}

/// The rows `v`, with what costs a look-up each.
macro_rules! counted {
    () => {
        concat!(
            ", t AS MATERIALIZED (SELECT m.*, ",
            last_seq!(),
            ", CASE WHEN p.sent_seq > 0 THEN p.read_seq ELSE 0 END AS peer_read_seq, \
             CASE WHEN p.sent_seq > 0 THEN p.recv_seq ELSE 0 END AS peer_recv_seq \
             FROM v m JOIN members p ON p.conversation_id = m.conversation_id AND p.openid = m.peer) \
             SELECT t.peer, t.conversation_id, t.last_seq, t.cleared_seq, t.read_seq, t.recv_seq, t.peer_read_seq, t.peer_recv_seq, \
             t.muted, t.pinned, t.changed_at, ",
            unread!(),
            " AS unread FROM t ORDER BY t.changed_at DESC, t.peer"
        )
    };
}

pub(in crate::store) const CHANGED: &str = concat!(
    "WITH v AS MATERIALIZED (",
    views!(),
    "WHERE m.openid = $1 AND m.changed_at >= $2 AND m.changed_at <= $3 AND (m.changed_at < $4 OR m.peer > $5) AND m.peer IS NOT NULL \
     ORDER BY m.changed_at DESC, m.peer LIMIT $6)",
    counted!()
);

/// Continued with as many placeholders as there are peers, and [`NAMED_END`].
const NAMED: &str = concat!(
    "WITH v AS MATERIALIZED (",
    views!(),
    "WHERE m.openid = $1 AND m.conversation_id IN (SELECT c.id FROM conversations c WHERE c.address IN ("
);
const NAMED_END: &str = concat!(")))", counted!());

#[derive(QueryableByName)]
struct ViewRow {
    #[diesel(embed)]
    standing: OverviewRow,
    #[diesel(sql_type = BigInt)]
    conversation_id: i64,
    #[diesel(sql_type = BigInt)]
    changed_at: i64,
}

/// PostgreSQL's store time.
pub(in crate::store) const STORE_NOW: &str = "SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000)::bigint, (SELECT reached FROM store_clock)) AS now";

#[derive(QueryableByName)]
pub(in crate::store) struct NowRow {
    #[diesel(sql_type = BigInt)]
    pub(in crate::store) now: i64,
}

const NOW_AND_GENERATION: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now, hongyan_generation() AS generation";

#[derive(QueryableByName)]
struct NowAndGeneration {
    #[diesel(sql_type = BigInt)]
    now: i64,
    #[diesel(sql_type = Nullable<Text>)]
    generation: Option<String>,
}

impl Query for SyncAt {
    type Answer = SyncPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<SyncPage> {
        let (now, generation) = match conn {
            Conn::Sqlite(_) => (self.now, self.generation),
            Conn::Postgres(_) => {
                let row = Statement::new(NOW_AND_GENERATION).get_result::<NowAndGeneration>(conn)?;
                (row.now, row.generation.map_or(self.generation, |text| generation::of_text(&text)))
            }
        };
        let now = clock::known_up_to(conn, now)?;
        // A cursor from another database says nothing of this one.
        // The relay asks by time alone, which goes on in the database that takes this one's place.
        let holds = |cursor: &&SyncCursor| cursor.generation == generation || self.sync.sent_since.is_some();
        let since = self.sync.since.as_ref().filter(holds).map(|cursor| &cursor.place);
        let walk = Walk::of(since, self.sync.session, now);
        let mut answer = Answer::new(&self.sync, &walk);
        let named_all = answer.named(conn)?;
        let came = if named_all { answer.changed(conn, &walk)? } else { Came::Nowhere };
        let conversations = answer.conversations;
        let named_more =
            !named_all || self.sync.named.iter().zip(&conversations).any(|(_, missed)| missed.has_more);
        let is_through = matches!(came, Came::Through);
        let caught_up = !named_more && (is_through || walk.closes.is_some());
        let place = walk.after(came, named_more);
        let has_more = named_more || !is_through || matches!(place, SyncPlace::Closing { .. });
        Ok(SyncPage { has_more, caught_up, conversations, cursor: SyncCursor { generation, place } })
    }
}

/// Which changes an answer is to tell, the newest first.
struct Walk {
    from: SyncPlace,
    session: SessionTag,
    began: i64,
    since: i64,
    told: Option<Told>,
    /// Of a closing walk: when the walk began that it closes.
    closes: Option<i64>,
}

/// How far an answer has come with its walk.
enum Came {
    /// Nothing of it had room.
    Nowhere,
    To(Told),
    Through,
}

impl Walk {
    fn of(since: Option<&SyncPlace>, session: SessionTag, now: i64) -> Self {
        let from =
            since.filter(|place| place.latest() <= now + OVERLAP_MS).cloned().unwrap_or(SyncPlace::BEGINNING);
        let since = |began: i64| began.saturating_sub(OVERLAP_MS).max(0);
        let first = |began: i64| (now, since(began), None, None);
        let (began, since, told, closes) = match &from {
            SyncPlace::Through { began } => first(*began),
            SyncPlace::Walk { began, since, told } => (*began, *since, Some(told.clone()), None),
            SyncPlace::Closing { began, walk: None } => {
                (now, began.saturating_sub(AGAIN_MS).max(0), None, Some(*began))
            }
            SyncPlace::Closing { began, walk: Some(walk) } if walk.session == session => {
                (walk.began, began.saturating_sub(AGAIN_MS).max(0), Some(walk.told.clone()), Some(*began))
            }
            // What the closing walk has passed and changed since then, that session was pushed, and this one
            // was not.
            SyncPlace::Closing { began, walk: Some(_) } => first(*began),
        };
        Self { from, session, began, since, told, closes }
    }

    /// Where the next answer goes on. One walk through several answers may have missed what changed meanwhile
    /// and so moved to places that it had passed: a closing walk looks for that, once. What moves while that
    /// one goes on is pushed, and found by the next sync.
    fn after(self, came: Came, named_more: bool) -> SyncPlace {
        match (came, self.closes) {
            (Came::Nowhere, _) => self.from,
            (Came::To(told), None) => SyncPlace::Walk { began: self.began, since: self.since, told },
            (Came::To(told), Some(began)) => SyncPlace::Closing {
                began,
                walk: Some(ClosingWalk { began: self.began, session: self.session, told }),
            },
            // While those named go on, a walk from 30 s back would tell the same again with each answer.
            (Came::Through, None) if self.told.is_some() || named_more => {
                SyncPlace::Closing { began: self.began, walk: None }
            }
            (Came::Through, Some(_)) if named_more => SyncPlace::Closing { began: self.began, walk: None },
            (Came::Through, _) => SyncPlace::Through { began: self.began },
        }
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
    news: News,
}

/// Which messages of a conversation that is not named are told.
struct News {
    /// None that were sent before this, by the clock of the node that took them.
    sent_since: i64,
    /// But the newest ones whenever they were sent.
    at_least: usize,
}

impl<'a> Answer<'a> {
    fn new(sync: &'a Sync, walk: &Walk) -> Self {
        let news = match (walk.closes, sync.sent_since) {
            (_, Some(sent_since)) => News { sent_since, at_least: 0 },
            // The newest one, so that a conversation which nobody has heard of yet is more than a name.
            (Some(began), None) => News { sent_since: began, at_least: 1 },
            (None, None) => News { sent_since: i64::MIN, at_least: 0 },
        };
        Self { sync, left: sync.bounds.answer_bytes, conversations: Vec::new(), has_messages: false, news }
    }

    /// Adds the conversations that were named, in that order; whether all found room.
    fn named(&mut self, conn: &mut Conn) -> QueryResult<bool> {
        if self.sync.named.is_empty() {
            return Ok(true);
        }
        let (direct, of_groups): (Vec<_>, Vec<_>) = self
            .sync
            .named
            .iter()
            .map(|(conversation, _)| conversation)
            .partition(|conversation| matches!(conversation, Conversation::Direct(_)));
        let mut rows = self.views(conn, &direct, (NAMED, NAMED_END))?;
        rows.extend(self.views(conn, &of_groups, (groups::NAMED, groups::NAMED_END))?);
        let rows: HashMap<&str, &ViewRow> =
            rows.iter().map(|row| (row.standing.peer.as_str(), row)).collect();
        for (conversation, have) in &self.sync.named {
            if !self.has_room_for_one_more() {
                return Ok(false);
            }
            let missed = match rows.get(conversation.address_str(&self.sync.openid)) {
                Some(row) => self.following(conn, row, *have)?,
                None => Missed { overview: nothing(conversation), messages: Vec::new(), has_more: false },
            };
            self.conversations.push(missed);
        }
        Ok(true)
    }

    /// Rows of conversations of one kind, in any order. What is asked stands around their placeholders.
    fn views(
        &self,
        conn: &mut Conn,
        named: &[&Conversation],
        (begin, end): (&str, &str),
    ) -> QueryResult<Vec<ViewRow>> {
        let addresses: Vec<_> = named.iter().map(|conversation| conversation.store_address()).collect();
        let Some(last) = addresses.last() else { return Ok(Vec::new()) };
        // A power of two places, the last one in those that are left over: so there are few texts to prepare.
        let places = addresses.len().next_power_of_two();
        let statement = Statement::new(format!("{begin}{}{end}", vec!["$"; places].join(", ")))
            .text(self.sync.openid.as_str());
        let addresses = addresses.iter().chain(std::iter::repeat(last)).take(places);
        addresses.map(String::as_str).fold(statement, Statement::text).load(conn)
    }

    /// Adds what changed.
    fn changed(&mut self, conn: &mut Conn, walk: &Walk) -> QueryResult<Came> {
        let (changed_at, peer) =
            walk.told.as_ref().map_or((i64::MAX, ""), |told| (told.changed_at, told.address.as_str()));
        let mut asked = |text: &'static str| {
            let changed = Statement::new(text).text(self.sync.openid.as_str()).number(walk.since);
            let changed = changed.number(changed_at).number(changed_at).text(peer).number(CHANGED_AT_MOST);
            changed.load::<ViewRow>(conn)
        };
        let mut rows = asked(CHANGED)?;
        if self.sync.kinds == Kinds::DirectAndGroups {
            let at_most = usize::try_from(CHANGED_AT_MOST).unwrap_or(usize::MAX);
            rows = groups::merged(rows, asked(groups::CHANGED)?, at_most, |row| {
                (Reverse(row.changed_at), row.standing.peer.clone())
            });
        }
        let is_full = i64::try_from(rows.len()) == Ok(CHANGED_AT_MOST);
        let (mut came, named) = (walk.told.clone().map_or(Came::Nowhere, Came::To), self.conversations.len());
        for row in &rows {
            let is_it = |conversation: &Conversation| {
                conversation.address_str(&self.sync.openid) == row.standing.peer
            };
            let is_named = self.sync.named.iter().any(|(conversation, _)| is_it(conversation));
            if !is_named {
                let Some(missed) = self.newest(conn, row, self.conversations.len() == named)? else {
                    return Ok(came);
                };
                self.conversations.push(missed);
            }
            came = Came::To(Told {
                changed_at: row.changed_at,
                address: Address::parse(&row.standing.peer).map_err(unreadable)?,
            });
        }
        Ok(if is_full { came } else { Came::Through })
    }

    fn has_room_for_one_more(&self) -> bool {
        self.conversations.is_empty() || self.left > self.sync.bounds.conversation_bytes
    }

    /// The first messages above `have`, as many as fit.
    fn following(&mut self, conn: &mut Conn, row: &ViewRow, have: Seq) -> QueryResult<Missed> {
        let mut missed = self.begin(row)?;
        let mut above = have.get().max(row.standing.cleared_seq);
        while above < row.standing.last_seq && missed.messages.len() < self.sync.limit {
            let chunk =
                self.stretch(conn, row, above, row.standing.last_seq + 1, missed.messages.len(), false)?;
            let Some(last) = chunk.last().map(|m| m.seq.get()) else { return Ok(missed) };
            for message in chunk {
                if !self.take(&message) {
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

    /// The newest messages, all that were asked for. Where they do not fit: of the first conversation that
    /// changed as many as fit, so that a walk comes on with every answer; of others none.
    fn newest(&mut self, conn: &mut Conn, row: &ViewRow, is_first: bool) -> QueryResult<Option<Missed>> {
        if !self.has_room_for_one_more() {
            return Ok(None);
        }
        let mut missed = self.begin(row)?;
        let mut below = row.standing.last_seq + 1;
        'full: while below > row.standing.cleared_seq + 1 && missed.messages.len() < self.sync.limit {
            let chunk =
                self.stretch(conn, row, row.standing.cleared_seq, below, missed.messages.len(), true)?;
            let Some(first) = chunk.last().map(|m| m.seq.get()) else { break };
            for message in chunk {
                if message.sent_at < self.news.sent_since && missed.messages.len() >= self.news.at_least {
                    break 'full;
                }
                if !self.take(&message) {
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
        Ok(Missed {
            overview: row.standing.overview(&self.sync.openid)?,
            messages: Vec::new(),
            has_more: false,
        })
    }

    /// Takes room for a message; whether there was enough. The first one of an answer always finds some.
    fn take(&mut self, message: &Message) -> bool {
        let bytes = (self.sync.bounds.message_bytes)(message);
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
        let mut messages = rows.into_iter().map(MessageRow::into_message).collect::<QueryResult<Vec<_>>>()?;
        quotes::fill(conn, row.conversation_id, &mut messages)?;
        Ok(messages)
    }
}

/// How a conversation stands that has not begun.
fn nothing(conversation: &Conversation) -> Overview {
    let none = Seq::ZERO;
    Overview {
        conversation: conversation.clone(),
        last_seq: none,
        cleared_seq: none,
        read_seq: none,
        recv_seq: none,
        peer_read_seq: none,
        peer_recv_seq: none,
        unread: 0,
        muted: false,
        pinned: false,
    }
}
