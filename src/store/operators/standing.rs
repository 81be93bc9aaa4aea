//! Status of a user, for the operator.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ids::OpenId;
use crate::store::Query;
use crate::store::conversations::{Kinds, Unread};
use crate::store::database::conn::Conn;
use crate::store::database::statement::Statement;
use crate::store::operators::as_text;
use crate::store::revocations::{Ban, ban_of, now};

/// Whether a user was ever seen here, wrote or was written to, was blocked, banned or shows a profile.
#[derive(Debug)]
pub struct IsKnown {
    pub openid: OpenId,
}

/// Everything about a user that somebody wants to know at three in the morning; no message text.
#[derive(Debug)]
pub struct UserOverview {
    pub openid: OpenId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserStanding {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub openid: OpenId,
    /// The database's clock, Unix milliseconds.
    pub now: i64,
    #[serde(skip)]
    pub is_known: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub first_seen: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_seen: Option<i64>,
    pub conversations: i64,
    pub conversations_started: i64,
    pub unread: i64,
    /// When a message last came into one of the user's conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_message: Option<i64>,
    /// When the user wrote last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_written: Option<i64>,
    /// How many the user has blocked, and by how many the user is.
    pub blocks: i64,
    pub blocked_by: i64,
    pub nickname: String,
    pub has_avatar: bool,
    /// Notices that the user has granted and that were not sent yet.
    pub notice_grants: i64,
    /// How often something was refused that the user wrote, as far as the findings are kept.
    pub refused: i64,
    /// The ban in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ban: Option<Ban>,
    /// When sessions or tokens were last ended by a logout, a kick or a ban.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_revoked: Option<i64>,
}

/// Whether a row names the user, as 0 or 1.
const IS_KNOWN: &str = "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM seen_users WHERE openid = $1) \
     OR EXISTS (SELECT 1 FROM members WHERE openid = $2) OR EXISTS (SELECT 1 FROM profiles WHERE openid = $3) \
     OR EXISTS (SELECT 1 FROM revocations WHERE openid = $4) OR EXISTS (SELECT 1 FROM blocks WHERE openid = $5) \
     OR EXISTS (SELECT 1 FROM grants WHERE openid = $6) THEN 1 ELSE 0 END AS BIGINT) AS number";

#[derive(QueryableByName)]
pub(super) struct Number {
    #[diesel(sql_type = BigInt)]
    pub(super) number: i64,
}

pub(super) fn is_known(openid: &OpenId) -> Statement<'_> {
    (0..6).fold(Statement::new(IS_KNOWN), |statement, _| statement.text(openid.as_str()))
}

impl Query for IsKnown {
    type Answer = bool;

    fn run(&self, conn: &mut Conn) -> QueryResult<bool> {
        Ok(is_known(&self.openid).get_result::<Number>(conn)?.number == 1)
    }
}

/// Each a look-up in an index by the user, or one for each of the user's conversations.
const STANDING: &str = "SELECT s.first_at, s.last_at, p.nickname, p.avatar, \
     (SELECT count(*) FROM members m WHERE m.openid = $1) AS conversations, \
     (SELECT count(*) FROM conversations c WHERE c.created_by = $2) AS started, \
     (SELECT max((SELECT x.sent_at FROM messages x WHERE x.conversation_id = m.conversation_id ORDER BY x.seq DESC LIMIT 1)) \
      FROM members m WHERE m.openid = $3) AS last_message, \
     (SELECT max((SELECT x.sent_at FROM messages x WHERE x.conversation_id = m.conversation_id AND x.seq = m.sent_seq)) \
      FROM members m WHERE m.openid = $4) AS last_written, \
     (SELECT count(*) FROM blocks b WHERE b.openid = $5) AS blocks, \
     (SELECT count(*) FROM blocks b WHERE b.blocked = $6) AS blocked_by, \
     (SELECT CAST(coalesce(sum(g.available), 0) AS BIGINT) FROM grants g WHERE g.openid = $7) AS notice_grants, \
     (SELECT CAST(coalesce(sum(a.times), 0) AS BIGINT) FROM audits a WHERE a.openid = $8 AND a.hour IS NOT NULL) AS refused, \
     (SELECT max(r.at) FROM revocations r WHERE r.openid = $9 AND NOT (r.what = 4 AND r.until IS NOT NULL)) AS last_revoked \
     FROM (SELECT $10 AS openid) AS u LEFT JOIN seen_users s ON s.openid = u.openid LEFT JOIN profiles p ON p.openid = u.openid";

#[derive(QueryableByName)]
struct StandingRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    first_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_at: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    nickname: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    avatar: Option<String>,
    #[diesel(sql_type = BigInt)]
    conversations: i64,
    #[diesel(sql_type = BigInt)]
    started: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_message: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_written: Option<i64>,
    #[diesel(sql_type = BigInt)]
    blocks: i64,
    #[diesel(sql_type = BigInt)]
    blocked_by: i64,
    #[diesel(sql_type = BigInt)]
    notice_grants: i64,
    #[diesel(sql_type = BigInt)]
    refused: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_revoked: Option<i64>,
}

impl Query for UserOverview {
    type Answer = UserStanding;

    fn run(&self, conn: &mut Conn) -> QueryResult<UserStanding> {
        let now = now(conn)?;
        let openid = &self.openid;
        let statement =
            (0..10).fold(Statement::new(STANDING), |statement, _| statement.text(openid.as_str()));
        let row = statement.get_result::<StandingRow>(conn)?;
        let unread = Unread { openid: openid.clone(), kinds: Kinds::Direct, limit: 1 }.run(conn)?.total;
        let is_known = IsKnown { openid: openid.clone() }.run(conn)?;
        Ok(UserStanding {
            openid: openid.clone(),
            now,
            is_known,
            first_seen: row.first_at,
            last_seen: row.last_at,
            conversations: row.conversations,
            conversations_started: row.started,
            unread,
            last_message: row.last_message,
            last_written: row.last_written,
            blocks: row.blocks,
            blocked_by: row.blocked_by,
            nickname: row.nickname.unwrap_or_default(),
            has_avatar: row.avatar.is_some(),
            notice_grants: row.notice_grants,
            refused: row.refused,
            ban: ban_of(conn, openid, now)?,
            last_revoked: row.last_revoked,
        })
    }
}
