//! Queries about messages.

use diesel::prelude::*;

use crate::store::Query;
use crate::store::database::conn::Conn;
use crate::store::database::schema::{conversations, members, messages};
use crate::store::messages::quotes;
use crate::store::messages::rows::{MessageRow, message_columns};
use crate::store::messages::{History, HistoryPage, Window};
use crate::store::readers::query::and_one;

impl Query for History {
    type Answer = HistoryPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<HistoryPage> {
        let address = self.conversation.store_address();
        let member = members::table
            .inner_join(conversations::table)
            .filter(conversations::address.eq(&address))
            .filter(members::openid.eq(self.openid.as_str()))
            .select((members::conversation_id, members::cleared_seq))
            .first::<(i64, i64)>(conn)
            .optional()?;
        let Some((conversation, cleared)) = member else {
            return Ok(HistoryPage { messages: Vec::new(), has_more: false });
        };
        let (above, below, newest_first) = match self.window {
            Window::Newest => (cleared, i64::MAX, true),
            Window::Before(before) => (cleared, before.get(), true),
            Window::After(after) => (cleared.max(after.get()), i64::MAX, false),
            Window::Between { after, before } => (cleared.max(after.get()), before.get(), false),
        };
        let stretch = messages::table
            .filter(messages::conversation_id.eq(conversation))
            .filter(messages::seq.gt(above))
            .filter(messages::seq.lt(below))
            .limit(and_one(self.limit))
            .select(message_columns());
        let mut rows = if newest_first {
            stretch.order(messages::seq.desc()).load::<MessageRow>(conn)?
        } else {
            stretch.order(messages::seq.asc()).load::<MessageRow>(conn)?
        };
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if newest_first {
            rows.reverse();
        }
        let mut messages = rows.into_iter().map(MessageRow::into_message).collect::<QueryResult<Vec<_>>>()?;
        quotes::fill(conn, conversation, &mut messages)?;
        Ok(HistoryPage { messages, has_more })
    }
}
