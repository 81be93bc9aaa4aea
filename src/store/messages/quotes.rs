//! What messages quote, looked up as it stands.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::event::{Message, Quote, Quoted};
use crate::ids::{Kind, OpenId, Seq};
use crate::store::database::conn::Conn;
use crate::store::database::schema::messages;
use crate::store::readers::query::unreadable;

/// What is read of a quoted message.
#[derive(Queryable)]
struct QuotedRow {
    seq: i64,
    sender: String,
    kind: String,
    body: String,
    recalled: bool,
}

type QuotedColumns = (messages::seq, messages::sender, messages::kind, messages::body, messages::recalled);

const COLUMNS: QuotedColumns =
    (messages::seq, messages::sender, messages::kind, messages::body, messages::recalled);

impl QuotedRow {
    /// # Errors
    /// A row that no version of this program wrote.
    fn into_quoted(self) -> QueryResult<Quoted> {
        quoted(&self.sender, &self.kind, &self.body, self.recalled)
    }
}

/// What stands for a message with these columns where it is quoted.
///
/// # Errors
/// A row that no version of this program wrote.
pub(in crate::store) fn quoted(sender: &str, kind: &str, body: &str, recalled: bool) -> QueryResult<Quoted> {
    if recalled {
        return Ok(Quoted::Recalled);
    }
    let sender = OpenId::parse(sender).map_err(unreadable)?;
    Ok(Quoted::shown(sender, Kind::parse(kind).map_err(unreadable)?, body))
}

/// What is at `seq` of a conversation; `None` where nothing is, or a recall.
pub(in crate::store) fn find(
    conn: &mut SqliteConnection,
    conversation: i64,
    seq: Seq,
) -> QueryResult<Option<Quoted>> {
    let row = messages::table
        .find((conversation, seq.get()))
        .filter(messages::target_seq.is_null())
        .select(COLUMNS)
        .first::<QuotedRow>(conn)
        .optional()?;
    row.map(QuotedRow::into_quoted).transpose()
}

/// Puts in what messages of one conversation quote. As they come from their rows, all of it is gone.
pub(in crate::store) fn fill(conn: &mut Conn, conversation: i64, stretch: &mut [Message]) -> QueryResult<()> {
    let seqs: Vec<i64> =
        stretch.iter().filter_map(|message| message.quote.as_ref()).map(|quote| quote.seq.get()).collect();
    if seqs.is_empty() {
        return Ok(());
    }
    let rows = messages::table
        .filter(messages::conversation_id.eq(conversation))
        .filter(messages::seq.eq_any(seqs))
        .select(COLUMNS)
        .load::<QuotedRow>(conn)?;
    let rows = rows.into_iter().map(|row| Ok((row.seq, row.into_quoted()?)));
    let found: HashMap<i64, Quoted> = rows.collect::<QueryResult<_>>()?;
    for Quote { seq, quoted } in stretch.iter_mut().filter_map(|message| message.quote.as_deref_mut()) {
        if let Some(stands) = found.get(&seq.get()) {
            *quoted = stands.clone();
        }
    }
    Ok(())
}
