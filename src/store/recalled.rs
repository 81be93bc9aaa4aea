//! Whether a message was recalled.

use diesel::prelude::*;

use super::conn::Conn;
use super::messages::{IsRecalled, Query};
use super::schema::{members, messages};

impl Query for IsRecalled {
    type Answer = bool;

    fn run(&self, conn: &mut Conn) -> QueryResult<bool> {
        let conversation = members::table
            .find((self.sender.as_str(), self.peer.as_str()))
            .select(members::conversation_id)
            .first::<i64>(conn)
            .optional()?;
        let Some(conversation) = conversation else { return Ok(false) };
        let message = messages::table.find((conversation, self.seq.get())).select(messages::recalled);
        Ok(message.first::<bool>(conn).optional()?.unwrap_or(false))
    }
}
