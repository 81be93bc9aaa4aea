//! Whether a message was recalled.

use diesel::prelude::*;

use super::address::direct;
use super::conn::Conn;
use super::messages::{IsRecalled, Query};
use super::schema::{conversations, messages};

impl Query for IsRecalled {
    type Answer = bool;

    fn run(&self, conn: &mut Conn) -> QueryResult<bool> {
        let conversation = conversations::table
            .filter(conversations::address.eq(direct(&self.sender, &self.peer)))
            .select(conversations::id)
            .first::<i64>(conn)
            .optional()?;
        let Some(conversation) = conversation else { return Ok(false) };
        let message = messages::table.find((conversation, self.seq.get())).select(messages::recalled);
        Ok(message.first::<bool>(conn).optional()?.unwrap_or(false))
    }
}
