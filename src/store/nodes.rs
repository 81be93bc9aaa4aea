//! What several nodes ask of the PostgreSQL that they share.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::conn::Conn;
use super::messages::{Changed, ChangedUsers, CutOff, Query};
use super::queries::unreadable;
use super::statement::Statement;
use super::sync::{NOW, NowRow, OVERLAP_MS, STORE_NOW};
use crate::ids::OpenId;

/// How long what a node says of itself holds, in milliseconds. It says it again every few seconds.
const HOLDS_MS: i64 = 20_000;

/// The users as one text: no openid has a comma. The plan must go by the keys, however many are named.
const CHANGED: &str = "SELECT DISTINCT m.openid FROM unnest(string_to_array($1, ',')) AS u (openid) \
     CROSS JOIN LATERAL (SELECT openid, peer, shown_at, kept_at FROM members WHERE openid = u.openid COLLATE \"C\" OFFSET 0) m \
     JOIN members p ON p.openid = m.peer AND p.peer = m.openid \
     WHERE m.shown_at >= $2 OR m.kept_at >= $3 OR p.shown_at >= $4";

const SAY_CUT_OFF: &str = "INSERT INTO nodes_cut_off (node, at) VALUES ($1, $2) ON CONFLICT (node) DO UPDATE SET at = excluded.at";
const FORGET_CUT_OFF: &str = "DELETE FROM nodes_cut_off WHERE at < $1";
const OTHERS_CUT_OFF: &str = "SELECT count(*) AS now FROM nodes_cut_off WHERE node <> $1 AND at >= $2";

#[derive(QueryableByName)]
struct UserRow {
    #[diesel(sql_type = Text)]
    openid: String,
}

fn now(conn: &mut Conn) -> QueryResult<i64> {
    Ok(Statement::new(NOW).get_result::<NowRow>(conn)?.now)
}

impl Query for ChangedUsers {
    type Answer = Changed;

    fn run(&self, conn: &mut Conn) -> QueryResult<Changed> {
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(Changed { now: 0, users: Vec::new() });
        }
        let now = Statement::new(STORE_NOW).get_result::<NowRow>(conn)?.now;
        let since = now.saturating_sub(i64::try_from(self.ago_ms).unwrap_or(i64::MAX)).saturating_sub(OVERLAP_MS);
        let names: Vec<&str> = self.openids.iter().map(OpenId::as_str).collect();
        let names = names.join(",");
        let rows = Statement::new(CHANGED).text(&names).number(since).number(since).number(since).load::<UserRow>(conn)?;
        let users = rows.iter().map(|row| OpenId::parse(&row.openid).map_err(unreadable)).collect::<QueryResult<_>>()?;
        Ok(Changed { now, users })
    }
}

impl Query for CutOff {
    type Answer = i64;

    fn run(&self, conn: &mut Conn) -> QueryResult<i64> {
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(0);
        }
        let now = now(conn)?;
        if self.me {
            Statement::new(SAY_CUT_OFF).text(&self.node).number(now).execute(conn)?;
            Statement::new(FORGET_CUT_OFF).number(now - 10 * HOLDS_MS).execute(conn)?;
        }
        Ok(Statement::new(OTHERS_CUT_OFF).text(&self.node).number(now - HOLDS_MS).get_result::<NowRow>(conn)?.now)
    }
}
