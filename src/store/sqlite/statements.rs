//! The statements that every batch runs. Written by hand because diesel prepares its own UPDATE statements
//! anew every time: that was a fifth of what a message cost.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::sqlite::Sqlite;

use super::head::{Changed, Member};

/// `UPDATE members …`: the columns that have changed, by how many indexes have to be written for them.
pub(super) struct StoreMember<'a, const COLUMNS: u8> {
    pub(super) conversation: i64,
    pub(super) openid: &'a str,
    pub(super) member: &'a Member,
}

/// Columns of [`StoreMember`].
const MARKS: u8 = 0;
const MARKS_AND_UNREAD: u8 = 1;
const ALL: u8 = 2;

/// Stores what has changed of a member.
pub(super) fn store_member(
    conn: &mut SqliteConnection,
    conversation: i64,
    openid: &str,
    member: &Member,
    changed: Changed,
) -> QueryResult<()> {
    let done = match changed {
        Changed { steps: true, .. } => StoreMember::<ALL> { conversation, openid, member }.execute(conn),
        Changed { unread: true, .. } => {
            StoreMember::<MARKS_AND_UNREAD> { conversation, openid, member }.execute(conn)
        }
        Changed { marks: true, .. } => StoreMember::<MARKS> { conversation, openid, member }.execute(conn),
        Changed { .. } => return Ok(()),
    };
    done.map(|_| ())
}

impl<const COLUMNS: u8> QueryFragment<Sqlite> for StoreMember<'_, COLUMNS> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Self { conversation, openid, member } = self;
        out.push_sql("UPDATE members SET sent_seq = ");
        out.push_bind_param::<BigInt, _>(&member.sent)?;
        out.push_sql(", read_seq = ");
        out.push_bind_param::<BigInt, _>(&member.read)?;
        out.push_sql(", recv_seq = ");
        out.push_bind_param::<BigInt, _>(&member.recv)?;
        out.push_sql(", cleared_seq = ");
        out.push_bind_param::<BigInt, _>(&member.cleared)?;
        out.push_sql(", uncounted = ");
        out.push_bind_param::<BigInt, _>(&member.uncounted)?;
        if COLUMNS >= MARKS_AND_UNREAD {
            out.push_sql(", may_have_unread = ");
            out.push_bind_param::<Bool, _>(&member.may_have_unread)?;
        }
        if COLUMNS == ALL {
            out.push_sql(", changed_at = ");
            out.push_bind_param::<BigInt, _>(&member.changed_at)?;
            out.push_sql(", last_at = ");
            out.push_bind_param::<BigInt, _>(&member.last_at)?;
        }
        out.push_sql(" WHERE conversation_id = ");
        out.push_bind_param::<BigInt, _>(conversation)?;
        out.push_sql(" AND openid = ");
        out.push_bind_param::<Text, _>(*openid)
    }
}

// Each text is always the same, so the prepared statements are kept.
impl<const COLUMNS: u8> QueryId for StoreMember<'_, COLUMNS> {
    type QueryId = StoreMember<'static, COLUMNS>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const COLUMNS: u8> RunQueryDsl<SqliteConnection> for StoreMember<'_, COLUMNS> {}
