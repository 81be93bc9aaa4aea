//! The statements that every batch runs, each about many rows at once. Written by hand because diesel prepares
//! its own UPDATE statements anew every time, and walks through a row's expressions again for each row.

use std::marker::PhantomData;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::head::{Changed, Member};
use super::keys::Key;

/// Rows of one statement at most; there is one for fewer and one for a single row.
const MANY: usize = 32;
const FEW: usize = 4;

/// A statement about a list of rows.
trait Bulk: 'static {
    type Row<'a>;
    /// Text in front of the list, and behind it.
    const BEFORE: &'static str;
    const AFTER: &'static str;

    /// Values of a row, with commas between.
    fn bind<'b>(row: &'b Self::Row<'_>, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()>;
}

/// One about so many rows. Its text is always the same, so that what is prepared is kept.
struct OfRows<'r, 'a, S: Bulk, const ROWS: usize>(&'r [S::Row<'a>; ROWS]);

impl<S: Bulk, const ROWS: usize> QueryFragment<Sqlite> for OfRows<'_, '_, S, ROWS> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(S::BEFORE);
        for (at, row) in self.0.iter().enumerate() {
            out.push_sql(if at == 0 { "(" } else { "), (" });
            S::bind(row, &mut out)?;
        }
        out.push_sql(")");
        out.push_sql(S::AFTER);
        Ok(())
    }
}

/// Stands for the type of a statement, whatever its rows borrow.
struct TextOf<S, const ROWS: usize>(PhantomData<S>);

impl<S: Bulk, const ROWS: usize> QueryId for OfRows<'_, '_, S, ROWS> {
    type QueryId = TextOf<S, ROWS>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<S: Bulk, const ROWS: usize> RunQueryDsl<SqliteConnection> for OfRows<'_, '_, S, ROWS> {}

/// Runs a statement for all rows, in their order.
fn execute<S: Bulk>(conn: &mut SqliteConnection, rows: &[S::Row<'_>]) -> QueryResult<()> {
    let (many, rest) = rows.as_chunks::<MANY>();
    let (few, rest) = rest.as_chunks::<FEW>();
    let (single, _) = rest.as_chunks::<1>();
    for rows in many {
        OfRows::<S, MANY>(rows).execute(conn)?;
    }
    for rows in few {
        OfRows::<S, FEW>(rows).execute(conn)?;
    }
    for rows in single {
        OfRows::<S, 1>(rows).execute(conn)?;
    }
    Ok(())
}

/// A new row of `messages`.
pub(super) struct NewMessage<'a> {
    pub(super) id: i64,
    pub(super) conversation: i64,
    pub(super) seq: i64,
    pub(super) sender: &'a str,
    pub(super) client_msg_id: Option<&'a str>,
    pub(super) kind: &'a str,
    pub(super) body: &'a str,
    pub(super) sent_at: i64,
    pub(super) stored_at: i64,
    pub(super) target_seq: Option<i64>,
    pub(super) quote_seq: Option<i64>,
}

pub(super) fn insert_messages(conn: &mut SqliteConnection, rows: &[NewMessage<'_>]) -> QueryResult<()> {
    execute::<InsertMessages>(conn, rows)
}

struct InsertMessages;

impl Bulk for InsertMessages {
    type Row<'a> = NewMessage<'a>;
    const BEFORE: &'static str = "INSERT INTO messages \
         (id, conversation_id, seq, sender, client_msg_id, kind, body, sent_at, stored_at, target_seq, quote_seq) VALUES ";
    const AFTER: &'static str = "";

    fn bind<'b>(row: &'b NewMessage<'_>, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_bind_param::<BigInt, _>(&row.id)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.conversation)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.seq)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(row.sender)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.client_msg_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(row.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(row.body)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.sent_at)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.stored_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<BigInt>, _>(&row.target_seq)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<BigInt>, _>(&row.quote_seq)
    }
}

/// A row of `members` that is there, with its values as they are to be.
pub(super) struct MemberRow<'a> {
    pub(super) conversation: i64,
    pub(super) openid: &'a str,
    pub(super) member: Member,
}

/// Stores what has changed of members.
#[derive(Default)]
pub(super) struct MemberRows<'a> {
    marks: Vec<MemberRow<'a>>,
    marks_and_unread: Vec<MemberRow<'a>>,
    all: Vec<MemberRow<'a>>,
}

impl<'a> MemberRows<'a> {
    pub(super) fn add(&mut self, row: MemberRow<'a>, changed: Changed) {
        match changed {
            Changed { steps: true, .. } => self.all.push(row),
            Changed { unread: true, .. } => self.marks_and_unread.push(row),
            Changed { marks: true, .. } => self.marks.push(row),
            Changed { .. } => {}
        }
    }

    pub(super) fn store(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        execute::<StoreMembers<MARKS>>(conn, &self.marks)?;
        execute::<StoreMembers<MARKS_AND_UNREAD>>(conn, &self.marks_and_unread)?;
        execute::<StoreMembers<ALL>>(conn, &self.all)
    }
}

/// Columns of [`StoreMembers`], by how many indexes have to be written for them.
const MARKS: u8 = 0;
const MARKS_AND_UNREAD: u8 = 1;
const ALL: u8 = 2;

macro_rules! set_marks {
    () => {
        " ON CONFLICT (conversation_id, openid) DO UPDATE SET sent_seq = excluded.sent_seq, \
         read_seq = excluded.read_seq, recv_seq = excluded.recv_seq, cleared_seq = excluded.cleared_seq, \
         uncounted = excluded.uncounted"
    };
}

/// The rows are there: as an INSERT it takes a list, and as a conflict each becomes an update of these columns.
struct StoreMembers<const COLUMNS: u8>;

impl<const COLUMNS: u8> Bulk for StoreMembers<COLUMNS> {
    type Row<'a> = MemberRow<'a>;
    const BEFORE: &'static str = match COLUMNS {
        MARKS => {
            "INSERT INTO members \
             (conversation_id, openid, sent_seq, read_seq, recv_seq, cleared_seq, uncounted) VALUES "
        }
        MARKS_AND_UNREAD => {
            "INSERT INTO members \
             (conversation_id, openid, sent_seq, read_seq, recv_seq, cleared_seq, uncounted, may_have_unread) VALUES "
        }
        _ => {
            "INSERT INTO members \
             (conversation_id, openid, sent_seq, read_seq, recv_seq, cleared_seq, uncounted, may_have_unread, \
             changed_at, last_at) VALUES "
        }
    };
    const AFTER: &'static str = match COLUMNS {
        MARKS => set_marks!(),
        MARKS_AND_UNREAD => concat!(set_marks!(), ", may_have_unread = excluded.may_have_unread"),
        _ => concat!(
            set_marks!(),
            ", may_have_unread = excluded.may_have_unread, changed_at = excluded.changed_at, \
             last_at = excluded.last_at"
        ),
    };

    fn bind<'b>(row: &'b MemberRow<'_>, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let MemberRow { conversation, openid, member } = row;
        out.push_bind_param::<BigInt, _>(conversation)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(*openid)?;
        for mark in [&member.sent, &member.read, &member.recv, &member.cleared, &member.uncounted] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(mark)?;
        }
        if COLUMNS >= MARKS_AND_UNREAD {
            out.push_sql(", ");
            out.push_bind_param::<Bool, _>(&member.may_have_unread)?;
        }
        if COLUMNS == ALL {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&member.changed_at)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&member.last_at)?;
        }
        Ok(())
    }
}

pub(super) fn insert_keys(conn: &mut SqliteConnection, keys: &[Key]) -> QueryResult<()> {
    execute::<InsertKeys>(conn, keys)
}

/// Keys that are there already are ones of an earlier start.
struct InsertKeys;

impl Bulk for InsertKeys {
    type Row<'a> = Key;
    const BEFORE: &'static str =
        "INSERT OR IGNORE INTO idempotency_keys (conversation_id, hash, seq) VALUES ";
    const AFTER: &'static str = "";

    fn bind<'b>(key: &'b Key, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_bind_param::<BigInt, _>(&key.conversation)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&key.hash)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&key.seq)
    }
}

/// Conversation and hash of a key that is asked for.
pub(super) type AskedKey = (i64, i64);

/// Keys of the table that are among those asked for.
pub(super) fn find_keys(conn: &mut SqliteConnection, asked: &[AskedKey]) -> QueryResult<Vec<Key>> {
    let (many, rest) = asked.as_chunks::<MANY>();
    let (few, rest) = rest.as_chunks::<FEW>();
    let (single, _) = rest.as_chunks::<1>();
    let mut found = Vec::new();
    for asked in many {
        found.extend(OfRows::<FindKeys, MANY>(asked).load::<(i64, i64, i64)>(conn)?);
    }
    for asked in few {
        found.extend(OfRows::<FindKeys, FEW>(asked).load::<(i64, i64, i64)>(conn)?);
    }
    for asked in single {
        found.extend(OfRows::<FindKeys, 1>(asked).load::<(i64, i64, i64)>(conn)?);
    }
    Ok(found.into_iter().map(|(conversation, hash, seq)| Key { conversation, hash, seq }).collect())
}

struct FindKeys;

impl Bulk for FindKeys {
    type Row<'a> = AskedKey;
    // CROSS JOIN: the list is walked, and the table looked up in (SQLite, "The SQLite Query Optimizer", 5.1).
    const BEFORE: &'static str = "SELECT k.conversation_id, k.hash, k.seq FROM (VALUES ";
    const AFTER: &'static str = ") asked CROSS JOIN idempotency_keys k WHERE k.conversation_id = asked.column1 AND k.hash = asked.column2";

    fn bind<'b>(asked: &'b AskedKey, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_bind_param::<BigInt, _>(&asked.0)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&asked.1)
    }
}

impl<const ROWS: usize> Query for OfRows<'_, '_, FindKeys, ROWS> {
    type SqlType = (BigInt, BigInt, BigInt);
}
