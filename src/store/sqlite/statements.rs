//! The statements that every batch runs. Written by hand because diesel prepares its own UPDATE statements
//! anew every time: that was a fifth of what a message cost.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;

/// `UPDATE members …` for a member who has sent something. No mark goes back, whatever a thread that came
/// back late remembers.
pub(super) struct StoreSent<'a> {
    pub(super) who: &'a str,
    pub(super) peer: &'a str,
    pub(super) sent: i64,
    pub(super) at: i64,
}

impl QueryFragment<Sqlite> for StoreSent<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE members SET sent_seq = max(sent_seq, ");
        out.push_bind_param::<BigInt, _>(&self.sent)?;
        out.push_sql("), shown_at = max(shown_at, ");
        out.push_bind_param::<BigInt, _>(&self.at)?;
        out.push_sql(") WHERE openid = ");
        out.push_bind_param::<Text, _>(self.who)?;
        out.push_sql(" AND peer = ");
        out.push_bind_param::<Text, _>(self.peer)
    }
}

/// `UPDATE members …` for a member whose marks have moved; `shown_at` is 0 where the other one may not see
/// it.
pub(super) struct StoreMarks<'a> {
    pub(super) who: &'a str,
    pub(super) peer: &'a str,
    pub(super) marks: [i64; 3],
    pub(super) shown_at: i64,
    pub(super) kept_at: i64,
}

impl QueryFragment<Sqlite> for StoreMarks<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Self { who, peer, marks: [read, recv, cleared], shown_at, kept_at } = self;
        out.push_sql("UPDATE members SET read_seq = max(read_seq, ");
        out.push_bind_param::<BigInt, _>(read)?;
        out.push_sql("), recv_seq = max(recv_seq, ");
        out.push_bind_param::<BigInt, _>(recv)?;
        out.push_sql("), cleared_seq = max(cleared_seq, ");
        out.push_bind_param::<BigInt, _>(cleared)?;
        out.push_sql("), shown_at = max(shown_at, ");
        out.push_bind_param::<BigInt, _>(shown_at)?;
        out.push_sql("), kept_at = max(kept_at, ");
        out.push_bind_param::<BigInt, _>(kept_at)?;
        out.push_sql(") WHERE openid = ");
        out.push_bind_param::<Text, _>(*who)?;
        out.push_sql(" AND peer = ");
        out.push_bind_param::<Text, _>(*peer)
    }
}

// Their texts are always the same, so the prepared statements are kept.
impl QueryId for StoreSent<'_> {
    type QueryId = StoreSent<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryId for StoreMarks<'_> {
    type QueryId = StoreMarks<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for StoreSent<'_> {}
impl RunQueryDsl<SqliteConnection> for StoreMarks<'_> {}
