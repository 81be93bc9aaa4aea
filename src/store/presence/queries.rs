//! Query about whose presence a user may see.

use std::collections::HashMap;

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use crate::event::{Conversation, LastSeen};
use crate::ids::OpenId;
use crate::store::Query;
use crate::store::database::conn::Conn;
use crate::store::database::schema::{blocks, conversations, hidden_presence, members, seen_users};
use crate::store::presence::VisiblePresence;
use crate::store::readers::query::unreadable;

impl Query for VisiblePresence {
    type Answer = HashMap<OpenId, Option<LastSeen>>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Self::Answer> {
        let viewer = self.viewer.as_str();
        let addresses = self
            .peers
            .iter()
            .map(|peer| Conversation::direct(self.viewer.clone(), peer.clone()).store_address());
        let blocked =
            blocks::table.filter(blocks::openid.eq(members::openid)).filter(blocks::blocked.eq(viewer));
        let hidden = hidden_presence::table.filter(hidden_presence::openid.eq(members::openid));
        let rows = conversations::table
            .inner_join(members::table)
            .left_join(seen_users::table.on(seen_users::openid.eq(members::openid)))
            .filter(conversations::address.eq_any(addresses))
            .filter(members::peer.eq(viewer))
            .filter(members::sent_seq.gt(0))
            .filter(not(exists(blocked)))
            .filter(not(exists(hidden)))
            .select((members::openid, seen_users::last_at.nullable()))
            .load::<(String, Option<i64>)>(conn)?;
        rows.into_iter()
            .map(|(openid, at)| Ok((OpenId::parse(&openid).map_err(unreadable)?, at.map(LastSeen::at))))
            .collect()
    }
}
