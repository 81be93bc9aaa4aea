//! What checks of contents have found. A finding is written with the message that it is about, and so is
//! known for as long as that.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};

use super::batch::Outcome;
use super::command::{Command, Db, Locks, Order, Times, on_either};
use super::conn::Conn;
use super::messages::{
    Append, Audit, AuditedMessage, Decide, Decision, MessageOfTrace, Prune, PrunedLog, Query, Review,
    ReviewById, ReviewPage, Reviews,
};
use super::operators;
use super::queries::{and_one, seq, unreadable};
use super::schema::audits;
use super::statement::{Statement, Writer};
use crate::event::{By, Conversation, Finding, Found, Refusal, Source};
use crate::ids::{Address, OpenId, Seq};

const HOUR_MS: i64 = 3_600_000;

/// A finding as its row is written.
#[derive(Insertable)]
#[diesel(table_name = audits)]
pub(super) struct NewAudit<'a> {
    at: i64,
    openid: &'a str,
    peer: Option<&'a str>,
    seq: Option<i64>,
    source: i16,
    outcome: i16,
    found_by: i16,
    label: i32,
    trace_id: Option<&'a str>,
    hash: &'a [u8],
    content: Option<&'a str>,
    /// Set where what was found before within the hour takes it up.
    hour: Option<i64>,
}

impl<'a> NewAudit<'a> {
    /// What is to be kept of a finding about `openid`'s words: a message in a conversation, which is stored as
    /// `seq` or not at all, or without one a name.
    fn new(
        openid: &'a OpenId,
        conversation: Option<&'a Conversation>,
        seq: Option<Seq>,
        finding: &'a Finding,
        now: i64,
    ) -> Self {
        let Finding { source, outcome, by, label, trace_id, hash, text } = finding;
        let mut audit = Self {
            at: now,
            openid: openid.as_str(),
            peer: conversation.map(|conversation| conversation.address_str(openid)),
            seq: seq.map(Seq::get),
            source: SOURCES.code(*source),
            outcome: FOUND.code(*outcome),
            found_by: BY.code(*by),
            label: *label,
            trace_id: Some(trace_id.as_str()).filter(|id| !id.is_empty()),
            hash,
            content: text.as_deref(),
            hour: None,
        };
        // What is stored, or is to be looked at, has a row of its own.
        if seq.is_none() && (conversation.is_some() || *outcome != Found::Review) {
            audit.hour = Some(now.div_euclid(HOUR_MS));
        }
        audit
    }

    /// Writes it, or counts it where it was found before within the hour. On PostgreSQL the user's lock is
    /// taken before.
    fn write(self, db: &mut Db<'_>) -> QueryResult<()> {
        if self.hour.is_some() {
            let same = audits::table
                .filter(audits::openid.eq(self.openid))
                .filter(audits::hash.eq(self.hash))
                .filter(audits::hour.eq(self.hour))
                .filter(audits::source.eq(self.source))
                .filter(audits::outcome.eq(self.outcome));
            let count = diesel::update(same).set(audits::times.eq(audits::times + 1));
            if on_either!(db, conn => count.execute(*conn))? > 0 {
                return Ok(());
            }
        }
        on_either!(db, conn => diesel::insert_into(audits::table).values(self).execute(*conn)).map(drop)
    }
}

/// Keeps what was found about a message, of which this has become; of a repeat nothing.
pub(super) fn keep(db: &mut Db<'_>, append: &Append, outcome: &Outcome, now: i64) -> QueryResult<()> {
    let Append { draft, finding: Some(finding), .. } = append else { return Ok(()) };
    let seq = match outcome {
        Outcome::Appended { seq, .. } => Some(*seq),
        Outcome::Repeated { .. } => return Ok(()),
        _ => None,
    };
    NewAudit::new(&draft.sender, Some(&draft.conversation), seq, finding, now).write(db)
}

/// Locks for findings about a user's words: two nodes must not count the same one apart.
pub(super) fn lock(locks: &mut Locks, openid: &OpenId) {
    locks.user("audits", openid.as_str());
}

impl Command for Audit {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.openid.as_str().to_owned())
    }

    fn locks(&self, locks: &mut Locks) {
        lock(locks, &self.openid);
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<(), Refusal>> {
        NewAudit::new(&self.openid, None, None, &self.finding, times.system).write(db).map(Ok)
    }
}

/// What may be taken out of findings from before a time: not those of [`OPEN`].
macro_rules! old {
    () => {
        "FROM audits WHERE at < $1 AND NOT (outcome = 1 AND decision IS NULL AND (seq IS NOT NULL OR peer IS NULL))"
    };
}

const PRUNE: &str = concat!("DELETE FROM audits WHERE id IN (SELECT id ", old!(), " ORDER BY at LIMIT $2)");
const HAS_OLD: &str = concat!("SELECT count(*) AS number FROM (SELECT id ", old!(), " LIMIT 1) AS old");

impl Command for Prune {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(String::new())
    }

    fn locks(&self, locks: &mut Locks) {
        locks.all("pruning");
    }

    fn apply(&self, db: &mut Db<'_>, _: Times) -> QueryResult<Result<(), Refusal>> {
        let prune = match self.log {
            PrunedLog::Findings => PRUNE,
            PrunedLog::Acts => operators::PRUNE,
        };
        db.run(Statement::new(prune).number(self.before).number(self.rows)).map(|_| Ok(()))
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

pub(super) fn has_before(conn: &mut Conn, log: PrunedLog, before: i64) -> QueryResult<bool> {
    let has_old = match log {
        PrunedLog::Findings => HAS_OLD,
        PrunedLog::Acts => operators::HAS_OLD,
    };
    Ok(Statement::new(has_old).number(before).get_result::<Number>(conn)?.number > 0)
}

/// How the values of one kind stand in the table: by their places here.
struct Codes<T: 'static>(&'static [T]);

const SOURCES: Codes<Source> = Codes(&[Source::Text, Source::Nickname, Source::Media]);
const FOUND: Codes<Found> = Codes(&[Found::Refused, Found::Review, Found::Unchecked, Found::Pending]);
const BY: Codes<By> = Codes(&[By::Local, By::WeChat]);
const DECISIONS: Codes<Decision> = Codes(&[Decision::Passed, Decision::Recalled]);

impl<T: Copy + PartialEq> Codes<T> {
    fn code(&self, value: T) -> i16 {
        self.0.iter().position(|known| *known == value).and_then(|at| i16::try_from(at).ok()).unwrap_or(-1)
    }

    /// # Errors
    /// What a newer version may have written.
    fn value(&self, code: i16) -> QueryResult<T> {
        let known = usize::try_from(code).ok().and_then(|at| self.0.get(at)).copied();
        known.ok_or_else(|| {
            unreadable(crate::ids::Malformed("a code of an audit", "one that this version knows"))
        })
    }
}

/// A recall is the last word.
const DECIDE: &str = "UPDATE audits SET decided_at = $1, decision = $2, label = CASE $3 WHEN 0 THEN label ELSE $4 END \
     WHERE id = $5 AND (decision IS NULL OR decision <= $6)";
/// What was pending is to be looked at.
const QUEUE: &str =
    "UPDATE audits SET outcome = 1, label = $1 WHERE id = $2 AND outcome = 3 AND decision IS NULL";

impl Command for Decide {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.audit.to_string())
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<(), Refusal>> {
        let (label, code) = (i64::from(self.label), i64::from(DECISIONS.code(self.decision)));
        let statement = match self.decision {
            Decision::Queued => Statement::new(QUEUE).number(label).number(self.audit),
            Decision::Passed | Decision::Recalled => Statement::new(DECIDE)
                .number(times.system)
                .number(code)
                .number(label)
                .number(label)
                .number(self.audit)
                .number(code),
        };
        Ok(if db.run(statement)? == 0 { Err(Refusal::NotFound) } else { Ok(()) })
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_migration() {
        assert_eq!([Source::Text, Source::Nickname, Source::Media].map(|s| SOURCES.code(s)), [0, 1, 2]);
        assert_eq!(
            [Found::Refused, Found::Review, Found::Unchecked, Found::Pending].map(|f| FOUND.code(f)),
            [0, 1, 2, 3]
        );
        assert_eq!([By::Local, By::WeChat].map(|b| BY.code(b)), [0, 1]);
        assert_eq!([Decision::Passed, Decision::Recalled].map(|d| DECISIONS.code(d)), [0, 1]);
        assert!(FOUND.value(4).is_err() && FOUND.value(-1).is_err());
    }
}
