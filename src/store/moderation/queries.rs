//! Queries about findings.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};

use super::codes::{BY, DECISIONS, FOUND, SOURCES};
use crate::event::Conversation;
use crate::ids::{Address, OpenId};
use crate::store::Query;
use crate::store::database::conn::Conn;
use crate::store::database::statement::Statement;
use crate::store::moderation::{AuditedMessage, MessageOfTrace, Review, ReviewById, ReviewPage, Reviews};
use crate::store::readers::query::{and_one, seq, unreadable};

macro_rules! audit {
    () => {
        "SELECT a.id, a.at, a.openid, a.peer, a.seq, a.source, a.outcome, a.found_by, a.label, a.trace_id, a.content, a.decision \
         FROM audits a WHERE "
    };
}

const OF_TRACE: &str = concat!(audit!(), "a.trace_id = $1 AND a.seq IS NOT NULL ORDER BY a.id LIMIT 1");
const BY_ID: &str = concat!(audit!(), "a.id = $1");
/// The conditions of the index `audits_open`, word for word.
const OPEN: &str = concat!(
    audit!(),
    "outcome = 1 AND decision IS NULL AND (seq IS NOT NULL OR peer IS NULL) AND a.id > $1 ORDER BY a.id LIMIT $2"
);

#[derive(QueryableByName)]
struct AuditRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Text)]
    openid: String,
    #[diesel(sql_type = Nullable<Text>)]
    peer: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    seq: Option<i64>,
    #[diesel(sql_type = SmallInt)]
    source: i16,
    #[diesel(sql_type = SmallInt)]
    outcome: i16,
    #[diesel(sql_type = SmallInt)]
    found_by: i16,
    #[diesel(sql_type = Integer)]
    label: i32,
    #[diesel(sql_type = Nullable<Text>)]
    trace_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    content: Option<String>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    decision: Option<i16>,
}

impl AuditRow {
    fn into_review(self) -> QueryResult<Review> {
        let openid = OpenId::parse(&self.openid).map_err(unreadable)?;
        let address = self.peer.as_deref().map(Address::parse).transpose().map_err(unreadable)?;
        Ok(Review {
            audit: self.id,
            at: self.at,
            conversation: address.map(|address| Conversation::of(&openid, address)),
            openid,
            seq: self.seq.map(seq),
            source: SOURCES.value(self.source)?,
            outcome: FOUND.value(self.outcome)?,
            by: BY.value(self.found_by)?,
            label: self.label,
            trace_id: self.trace_id.unwrap_or_default(),
            text: self.content,
            decision: self.decision.map(|code| DECISIONS.value(code)).transpose()?,
        })
    }
}

impl Query for MessageOfTrace {
    type Answer = Option<AuditedMessage>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Option<AuditedMessage>> {
        let row = Statement::new(OF_TRACE).text(&self.trace_id).get_result::<AuditRow>(conn).optional()?;
        Ok(match row.map(AuditRow::into_review).transpose()? {
            Some(Review {
                audit,
                openid: sender,
                conversation: Some(conversation),
                seq: Some(seq),
                source,
                outcome,
                ..
            }) => Some(AuditedMessage { audit, sender, conversation, seq, source, outcome }),
            _ => None,
        })
    }
}

impl Query for Reviews {
    type Answer = ReviewPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<ReviewPage> {
        let rows = Statement::new(OPEN)
            .number(self.after.unwrap_or(0))
            .number(and_one(self.limit))
            .load::<AuditRow>(conn)?;
        let has_more = rows.len() > self.limit;
        let reviews =
            rows.into_iter().take(self.limit).map(AuditRow::into_review).collect::<QueryResult<_>>()?;
        Ok(ReviewPage { reviews, has_more })
    }
}

impl Query for ReviewById {
    type Answer = Option<Review>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Option<Review>> {
        let row = Statement::new(BY_ID).number(self.audit).get_result::<AuditRow>(conn).optional()?;
        row.map(AuditRow::into_review).transpose()
    }
}
