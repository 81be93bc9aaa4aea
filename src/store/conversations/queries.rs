//! Queries about conversations. No query counts messages, walks a backlog or looks at all
//! of a user's conversations: each costs index look-ups by the number of rows that it returns.

use std::cmp::Reverse;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::event::overview::{ListPlace, Overview};
use crate::event::{Audience, Conversation};
use crate::ids::{Address, OpenId};
use crate::store::Query;
use crate::store::conversations::groups;
use crate::store::conversations::steps::STEP_MS;
use crate::store::conversations::{
    Choice, ConversationPage, Conversations, Kinds, Listed, TypingAudience, Unread, UnreadSummary,
};
use crate::store::database::conn::Conn;
use crate::store::database::schema::{blocks, conversations};
use crate::store::database::statement::Statement;
use crate::store::messages::rows::MessageRow;
use crate::store::readers::query::{and_one, seq, unreadable};

/// The seq up to which nothing of the member row `m` is unread.
macro_rules! floor {
    () => {
        "CASE WHEN m.read_seq >= m.sent_seq AND m.read_seq >= m.cleared_seq THEN m.read_seq \
              WHEN m.sent_seq >= m.cleared_seq THEN m.sent_seq ELSE m.cleared_seq END AS floor_seq"
    };
}

/// End of the conversation of the row `m`: one look-up in an index, however long it is.
macro_rules! last_seq {
    () => {
        "coalesce((SELECT max(x.seq) FROM messages x WHERE x.conversation_id = m.conversation_id), 0) AS last_seq"
    };
}

/// How many messages of the conversation `t` are unread.
macro_rules! unread {
    () => {
        "CASE WHEN t.peer = t.openid OR t.last_seq <= t.floor_seq THEN 0 ELSE t.last_seq - t.floor_seq - t.uncounted END"
    };
}

/// Conversation of the direct address that stands next.
macro_rules! of_address {
    ($number:literal) => {
        concat!("m.conversation_id = (SELECT c.id FROM conversations c WHERE c.address = ", $number, ")")
    };
}

pub(in crate::store) use {floor, last_seq, of_address, unread};

/// Rows of a user's conversations, each with when its last message was stored. What stands in the row of the
/// member is less than a step older, or the same.
macro_rules! own_conversations {
    () => {
        concat!(
            "SELECT m.openid, m.peer, m.conversation_id, m.read_seq, m.recv_seq, m.cleared_seq, m.uncounted, m.muted, m.pinned, ",
            floor!(),
            ", m.last_at AS step_at, l.seq AS last_seq, \
             CASE WHEN l.stored_at > m.last_at THEN l.stored_at ELSE m.last_at END AS last_at \
             FROM members m JOIN messages l ON l.conversation_id = m.conversation_id \
             AND l.seq = (SELECT max(x.seq) FROM messages x WHERE x.conversation_id = m.conversation_id) "
        )
    };
}

/// The rest of a row, looked up only for the conversations that are on the page `t`.
macro_rules! with_details {
    () => {
        "SELECT t.peer, t.last_seq, t.cleared_seq, t.read_seq, t.recv_seq, t.unread, t.muted, t.pinned, t.total, t.last_at, \
         CASE WHEN p.sent_seq > 0 THEN p.read_seq ELSE 0 END AS peer_read_seq, \
         CASE WHEN p.sent_seq > 0 THEN p.recv_seq ELSE 0 END AS peer_recv_seq, \
         l.sender, l.kind, l.body, l.client_msg_id, l.recalled, l.target_seq, l.sent_at \
         FROM t JOIN members p ON p.conversation_id = t.conversation_id AND p.openid = t.peer \
         JOIN messages l ON l.conversation_id = t.conversation_id AND l.seq = t.last_seq \
         ORDER BY t.last_at DESC, t.peer"
    };
}

/// One page of the list. `s` are as many rows as the page may have, in the order of the index, which is by
/// steps; any row of the page was changed less than a step before the last of these.
///
/// SQLite and PostgreSQL both read it; SQLite numbers `$` parameters in order of their first use, so they
/// must appear in order.
pub(in crate::store) const CONVERSATIONS: &str = concat!(
    "WITH s AS MATERIALIZED (SELECT * FROM (",
    own_conversations!(),
    "WHERE m.openid = $1 AND m.last_at > 0 AND m.last_at <= $2) o \
     WHERE o.last_seq > o.cleared_seq AND (o.last_at < $3 OR (o.last_at = $4 AND o.peer > $5)) ORDER BY o.step_at DESC LIMIT $6), \
     e AS MATERIALIZED (SELECT CASE WHEN count(*) < $7 THEN 0 ELSE min(s.step_at) END AS ends_at FROM s), \
     c AS MATERIALIZED (SELECT * FROM (",
    own_conversations!(),
    "WHERE m.openid = $8 AND m.last_at > 0 AND m.last_at > (SELECT ends_at FROM e) - $9 AND m.last_at <= $10) o \
     WHERE o.last_seq > o.cleared_seq AND (o.last_at < $11 OR (o.last_at = $12 AND o.peer > $13)) \
     ORDER BY o.last_at DESC, o.peer LIMIT $14), \
     t AS MATERIALIZED (SELECT t.*, ",
    unread!(),
    " AS unread, CAST(0 AS BIGINT) AS total FROM c t) ",
    with_details!()
);

pub(in crate::store) const UNREAD: &str = concat!(
    "WITH o AS MATERIALIZED (",
    own_conversations!(),
    "WHERE m.openid = $1 AND m.may_have_unread = TRUE), u AS MATERIALIZED (SELECT t.*, ",
    unread!(),
    " AS unread FROM o t), t AS MATERIALIZED (SELECT u.*, CAST(sum(u.unread) OVER () AS BIGINT) AS total FROM u WHERE u.unread > 0 \
     ORDER BY u.last_at DESC, u.peer LIMIT $2) ",
    with_details!()
);

/// One page of those that are pinned, which are few.
pub(in crate::store) const PINNED: &str = concat!(
    "WITH o AS MATERIALIZED (",
    own_conversations!(),
    "WHERE m.openid = $1 AND m.pinned = TRUE AND m.peer IS NOT NULL), t AS MATERIALIZED (SELECT t.*, ",
    unread!(),
    " AS unread, CAST(0 AS BIGINT) AS total FROM o t \
     WHERE t.last_seq > t.cleared_seq AND (t.last_at < $2 OR (t.last_at = $3 AND t.peer > $4)) \
     ORDER BY t.last_at DESC, t.peer LIMIT $5) ",
    with_details!()
);

/// How a conversation stands, as a row has it.
#[derive(QueryableByName)]
pub(in crate::store) struct OverviewRow {
    /// Its address for the user whose row it is.
    #[diesel(sql_type = Text)]
    pub(in crate::store) peer: String,
    #[diesel(sql_type = BigInt)]
    pub(in crate::store) last_seq: i64,
    #[diesel(sql_type = BigInt)]
    pub(in crate::store) cleared_seq: i64,
    #[diesel(sql_type = BigInt)]
    read_seq: i64,
    #[diesel(sql_type = BigInt)]
    recv_seq: i64,
    #[diesel(sql_type = BigInt)]
    peer_read_seq: i64,
    #[diesel(sql_type = BigInt)]
    peer_recv_seq: i64,
    #[diesel(sql_type = BigInt)]
    unread: i64,
    #[diesel(sql_type = Bool)]
    muted: bool,
    #[diesel(sql_type = Bool)]
    pinned: bool,
}

impl OverviewRow {
    /// As `openid` sees it, whose row it is.
    pub(in crate::store) fn overview(&self, openid: &OpenId) -> QueryResult<Overview> {
        let address = Address::parse(&self.peer).map_err(unreadable)?;
        Ok(Overview {
            conversation: Conversation::of(openid, address),
            last_seq: seq(self.last_seq),
            cleared_seq: seq(self.cleared_seq),
            read_seq: seq(self.read_seq),
            recv_seq: seq(self.recv_seq),
            peer_read_seq: seq(self.peer_read_seq),
            peer_recv_seq: seq(self.peer_recv_seq),
            unread: self.unread,
            muted: self.muted,
            pinned: self.pinned,
        })
    }
}

#[derive(QueryableByName)]
struct ListedRow {
    #[diesel(embed)]
    standing: OverviewRow,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    last_at: i64,
    #[diesel(sql_type = BigInt)]
    sent_at: i64,
    #[diesel(sql_type = Text)]
    sender: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    body: String,
    #[diesel(sql_type = Nullable<Text>)]
    client_msg_id: Option<String>,
    #[diesel(sql_type = Bool)]
    recalled: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    target_seq: Option<i64>,
}

impl ListedRow {
    fn into_listed(self, openid: &OpenId) -> QueryResult<Listed> {
        let OverviewRow { last_seq, cleared_seq, .. } = self.standing;
        let last_message = MessageRow {
            seq: last_seq,
            sender: self.sender,
            kind: self.kind,
            body: self.body,
            sent_at: self.sent_at,
            client_msg_id: self.client_msg_id,
            recalled: self.recalled,
            target: self.target_seq,
            // A preview shows what the message itself says.
            quote: None,
        };
        Ok(Listed {
            overview: self.standing.overview(openid)?,
            last_at: self.last_at,
            // What is cleared is shown to nobody who cleared it.
            last_message: (last_seq > cleared_seq).then(|| last_message.into_message()).transpose()?,
        })
    }
}

fn listed(rows: Vec<ListedRow>, openid: &OpenId, limit: usize) -> QueryResult<Vec<Listed>> {
    rows.into_iter().take(limit).map(|row| row.into_listed(openid)).collect()
}

/// One more than wanted, in the order of lists.
fn with_groups(direct: Vec<ListedRow>, of_groups: Vec<ListedRow>, limit: usize) -> Vec<ListedRow> {
    groups::merged(direct, of_groups, limit.saturating_add(1), |row| {
        (Reverse(row.last_at), row.standing.peer.clone())
    })
}

/// All that is unread of one kind, as each of its rows says.
fn total_of(rows: &[ListedRow]) -> i64 {
    rows.first().map_or(0, |row| row.total)
}

impl Conversations {
    /// Rows of direct conversations, one more than wanted.
    fn direct(&self, conn: &mut Conn) -> QueryResult<Vec<ListedRow>> {
        if self.choice == Choice::Pinned {
            return self.page(PINNED).load(conn);
        }
        let ((before, peer), openid, limit) = (self.before(), self.openid.as_str(), and_one(self.limit));
        let steps = Statement::new(CONVERSATIONS).text(openid).number(before).number(before).number(before);
        let page = steps.text(peer).number(limit).number(limit).text(openid).number(STEP_MS);
        let page = page.number(before).number(before).number(before).text(peer).number(limit);
        page.load(conn)
    }

    /// Rows of groups, one more than wanted.
    fn of_groups(&self, conn: &mut Conn) -> QueryResult<Vec<ListedRow>> {
        match (self.kinds, self.choice) {
            (Kinds::Direct, _) => Ok(Vec::new()),
            (Kinds::DirectAndGroups, Choice::All) => self.page(groups::LISTED).load(conn),
            (Kinds::DirectAndGroups, Choice::Pinned) => self.page(groups::PINNED).load(conn),
        }
    }

    /// A statement of the user, the place of the page and its limit.
    fn page(&self, text: &'static str) -> Statement<'_> {
        let (before, peer) = self.before();
        let of_user = Statement::new(text).text(self.openid.as_str());
        of_user.number(before).number(before).text(peer).number(and_one(self.limit))
    }

    /// Before which time the page begins, and after which address of that time.
    fn before(&self) -> (i64, &str) {
        self.after.as_ref().map_or((i64::MAX, ""), |place| (place.last_at, place.address.as_str()))
    }
}

impl Query for Conversations {
    type Answer = ConversationPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<ConversationPage> {
        let rows = with_groups(self.direct(conn)?, self.of_groups(conn)?, self.limit);
        let more = rows.len() > self.limit;
        let last = self.limit.checked_sub(1).and_then(|last| rows.get(last)).map(|row| row.last_at);
        let conversations = listed(rows, &self.openid, self.limit)?;
        let next = match (more, last, conversations.last()) {
            (true, Some(last_at), Some(last)) => {
                Some(ListPlace { last_at, address: last.overview.conversation.address(&self.openid) })
            }
            _ => None,
        };
        Ok(ConversationPage { conversations, next })
    }
}

impl Query for Unread {
    type Answer = UnreadSummary;

    fn run(&self, conn: &mut Conn) -> QueryResult<UnreadSummary> {
        let (openid, limit) = (self.openid.as_str(), and_one(self.limit));
        let mut rows = Statement::new(UNREAD).text(openid).number(limit).load::<ListedRow>(conn)?;
        let mut total = total_of(&rows);
        if self.kinds == Kinds::DirectAndGroups {
            let of_groups = Statement::new(groups::UNREAD).text(openid).number(limit).load(conn)?;
            total += total_of(&of_groups);
            rows = with_groups(rows, of_groups, self.limit);
        }
        let has_more = rows.len() > self.limit;
        Ok(UnreadSummary { total, conversations: listed(rows, &self.openid, self.limit)?, has_more })
    }
}

impl Query for TypingAudience {
    type Answer = Audience;

    fn run(&self, conn: &mut Conn) -> QueryResult<Audience> {
        let Some(peer) = self.conversation.peer(&self.openid) else { return Ok(Audience::nobody()) };
        let blocked = blocks::table.find((peer.as_str(), self.openid.as_str()));
        let address = self.conversation.store_address();
        let known = conversations::table
            .filter(conversations::address.eq(&address))
            .filter(diesel::dsl::not(diesel::dsl::exists(blocked)));
        let known = known.select(conversations::id).first::<i64>(conn).optional()?;
        Ok(known.map_or_else(Audience::nobody, |_| Audience::only(peer)))
    }
}
