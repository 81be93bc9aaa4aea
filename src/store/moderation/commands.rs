//! Commands about findings of content checks. A finding is written with the message that it is about, and so is
//! known for as long as that.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::codes::{BY, DECISIONS, FOUND, SOURCES};
use crate::event::{Conversation, Finding, Found, Refusal};
use crate::ids::{OpenId, Seq};
use crate::store::database::conn::Conn;
use crate::store::database::schema::audits;
use crate::store::database::statement::{Statement, Writer};
use crate::store::lanes::batch::Outcome;
use crate::store::lanes::command::{Command, Db, Locks, Order, Times, on_either};
use crate::store::messages::Append;
use crate::store::moderation::{Audit, Decide, Decision, Prune, PrunedLog};
use crate::store::operators::acts;

const HOUR_MS: i64 = 3_600_000;

/// A finding as its row is written.
#[derive(Insertable)]
#[diesel(table_name = audits)]
pub(in crate::store) struct NewAudit<'a> {
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
pub(in crate::store) fn keep(
    db: &mut Db<'_>,
    append: &Append,
    outcome: &Outcome,
    now: i64,
) -> QueryResult<()> {
    let Append { draft, finding: Some(finding), .. } = append else { return Ok(()) };
    let seq = match outcome {
        Outcome::Appended { seq, .. } => Some(*seq),
        Outcome::Repeated { .. } => return Ok(()),
        _ => None,
    };
    NewAudit::new(&draft.sender, Some(&draft.conversation), seq, finding, now).write(db)
}

/// Locks for findings about a user's words: two nodes must not count the same one apart.
pub(in crate::store) fn lock(locks: &mut Locks, openid: &OpenId) {
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

/// What may be taken out of findings from before a time: not those that are to be looked at.
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
            PrunedLog::Acts => acts::PRUNE,
        };
        db.run(Statement::new(prune).number(self.before).number(self.rows)).map(|_| Ok(()))
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

pub(in crate::store) fn has_before(conn: &mut Conn, log: PrunedLog, before: i64) -> QueryResult<bool> {
    let has_old = match log {
        PrunedLog::Findings => HAS_OLD,
        PrunedLog::Acts => acts::HAS_OLD,
    };
    Ok(Statement::new(has_old).number(before).get_result::<Number>(conn)?.number > 0)
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
