//! A message as its row has it.

use diesel::prelude::*;

use crate::event::{Message, Quote, Quoted};
use crate::ids::{ClientMsgId, Kind, OpenId};
use crate::store::database::schema::messages;
use crate::store::readers::query::{seq, unreadable};

/// A message as its row has it.
#[derive(Queryable)]
pub(in crate::store) struct MessageRow {
    pub(in crate::store) seq: i64,
    pub(in crate::store) sender: String,
    pub(in crate::store) kind: String,
    pub(in crate::store) body: String,
    pub(in crate::store) sent_at: i64,
    pub(in crate::store) client_msg_id: Option<String>,
    pub(in crate::store) recalled: bool,
    pub(in crate::store) target: Option<i64>,
    pub(in crate::store) quote: Option<i64>,
}

impl MessageRow {
    /// What it quotes is gone until [`super::quotes::fill`] has looked it up.
    ///
    /// # Errors
    /// A row that no version of this program wrote.
    pub(in crate::store) fn into_message(self) -> QueryResult<Message> {
        Ok(Message {
            seq: seq(self.seq),
            sender: OpenId::parse(&self.sender).map_err(unreadable)?,
            kind: Kind::parse(&self.kind).map_err(unreadable)?,
            body: self.body.into(),
            sent_at: self.sent_at,
            client_msg_id: self
                .client_msg_id
                .as_deref()
                .map(ClientMsgId::parse)
                .transpose()
                .map_err(unreadable)?,
            recalled: self.recalled,
            target: self.target.map(seq),
            quote: self.quote.map(|at| Box::new(Quote { seq: seq(at), quoted: Quoted::Gone })),
        })
    }
}

/// The columns of [`MessageRow`], in its order.
pub(in crate::store) type MessageColumns = (
    messages::seq,
    messages::sender,
    messages::kind,
    messages::body,
    messages::sent_at,
    messages::client_msg_id,
    messages::recalled,
    messages::target_seq,
    messages::quote_seq,
);

pub(in crate::store) fn message_columns() -> MessageColumns {
    (
        messages::seq,
        messages::sender,
        messages::kind,
        messages::body,
        messages::sent_at,
        messages::client_msg_id,
        messages::recalled,
        messages::target_seq,
        messages::quote_seq,
    )
}
