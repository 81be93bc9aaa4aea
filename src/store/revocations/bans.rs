//! Bans, as the log of revocations has them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ids::{OpenId, now_ms};
use crate::store::Query;
use crate::store::conversations::sync::{NowRow, STORE_NOW};
use crate::store::database::conn::Conn;
use crate::store::database::statement::Statement;
use crate::store::operators::as_text;
use crate::store::readers::query::{and_one, unreadable};

/// The ban of a user, where one is in force.
#[derive(Debug)]
pub struct BanInForce {
    pub openid: OpenId,
}

/// One page of the bans in force, the newest first.
#[derive(Debug)]
pub struct Bans {
    pub limit: usize,
    /// Only those with a lower id.
    pub before: Option<i64>,
}

#[derive(Debug)]
pub struct BanPage {
    /// The database's clock, Unix milliseconds.
    pub now: i64,
    pub bans: Vec<Ban>,
    /// Whether older ones follow the last one.
    pub has_more: bool,
}

/// A ban, as the log of revocations has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ban {
    /// Its place in that log.
    pub id: i64,
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub openid: OpenId,
    /// Unix milliseconds.
    pub at: i64,
    /// None: for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub by: Option<String>,
}

/// Bans with an end that has come and of which the log has no word yet.
#[derive(Debug)]
pub struct EndedBans {
    pub limit: usize,
}

#[derive(QueryableByName)]
pub(in crate::store) struct BanRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    openid: String,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    until: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    decided_by: Option<String>,
}

impl BanRow {
    pub(in crate::store) fn into_ban(self) -> QueryResult<Ban> {
        let Self { id, openid, at, until, reason, decided_by } = self;
        Ok(Ban { id, openid: OpenId::parse(&openid).map_err(unreadable)?, at, until, reason, by: decided_by })
    }
}

/// Bans that nobody has decided on since.
macro_rules! last_bans {
    () => {
        "SELECT r.id, r.openid, r.at, r.until, r.reason, r.decided_by FROM revocations r WHERE r.what = 3 AND NOT EXISTS \
         (SELECT 1 FROM revocations l WHERE l.openid = r.openid AND l.id > r.id AND l.what IN (3, 4))"
    };
}

const BANS: &str =
    concat!(last_bans!(), " AND r.id < $1 AND (r.until IS NULL OR r.until > $2) ORDER BY r.id DESC LIMIT $3");
const BAN_OF: &str = concat!(
    last_bans!(),
    " AND r.openid = $1 AND (r.until IS NULL OR r.until > $2) ORDER BY r.id DESC LIMIT 1"
);
/// Of the last week: what ended before, no node of the release before remembers.
const ENDED: &str =
    concat!(last_bans!(), " AND r.until > $1 - 604800000 AND r.until <= $2 ORDER BY r.id LIMIT $3");

/// The clock that bans end by.
pub(in crate::store) fn now(conn: &mut Conn) -> QueryResult<i64> {
    match conn {
        Conn::Sqlite(_) => Ok(now_ms()),
        Conn::Postgres(_) => Ok(Statement::new(STORE_NOW).get_result::<NowRow>(conn)?.now),
    }
}

impl Query for Bans {
    type Answer = BanPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<BanPage> {
        let now = now(conn)?;
        let statement = Statement::new(BANS)
            .number(self.before.unwrap_or(i64::MAX))
            .number(now)
            .number(and_one(self.limit));
        let rows = statement.load::<BanRow>(conn)?;
        let has_more = rows.len() > self.limit;
        let bans = rows.into_iter().take(self.limit).map(BanRow::into_ban).collect::<QueryResult<_>>()?;
        Ok(BanPage { now, bans, has_more })
    }
}

impl Query for EndedBans {
    type Answer = Vec<Ban>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Vec<Ban>> {
        let now = now(conn)?;
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let rows = Statement::new(ENDED).number(now).number(now).number(limit).load::<BanRow>(conn)?;
        rows.into_iter().map(BanRow::into_ban).collect()
    }
}

impl Query for BanInForce {
    type Answer = Option<Ban>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Option<Ban>> {
        let now = now(conn)?;
        ban_of(conn, &self.openid, now)
    }
}

pub(in crate::store) fn ban_of(conn: &mut Conn, openid: &OpenId, now: i64) -> QueryResult<Option<Ban>> {
    let row = ban_in_force(openid, now).get_result::<BanRow>(conn).optional()?;
    row.map(BanRow::into_ban).transpose()
}

pub(in crate::store) fn ban_in_force(openid: &OpenId, now: i64) -> Statement<'_> {
    Statement::new(BAN_OF).text(openid.as_str()).number(now)
}
