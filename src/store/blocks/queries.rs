//! Queries about blocks.

use diesel::prelude::*;

use crate::ids::OpenId;
use crate::store::Query;
use crate::store::blocks::{BlockPage, Blocked, Blocks};
use crate::store::database::conn::Conn;
use crate::store::database::schema::blocks;
use crate::store::readers::query::{and_one, unreadable};

impl Query for Blocks {
    type Answer = BlockPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<BlockPage> {
        let after = self.after.as_ref().map_or("", |peer| peer.as_str());
        let rows = blocks::table
            .filter(blocks::openid.eq(self.openid.as_str()))
            .filter(blocks::blocked.gt(after))
            .order(blocks::blocked)
            .limit(and_one(self.limit))
            .select((blocks::blocked, blocks::at))
            .load::<(String, i64)>(conn)?;
        let has_more = rows.len() > self.limit;
        let shown = rows.into_iter().take(self.limit);
        let blocks =
            shown.map(|(peer, at)| Ok(Blocked { peer: OpenId::parse(&peer).map_err(unreadable)?, at }));
        Ok(BlockPage { blocks: blocks.collect::<QueryResult<_>>()?, has_more })
    }
}
