//! One batch on PostgreSQL: one call of `hongyan_commit` (in `migrations/postgresql`), one round trip, one transaction.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text};

use super::batch::{Marks, Outcome, encode, key, message, repeat};
use super::conn;
use super::error::Trouble;
use super::messages::{Append, Write};
use crate::event::{Message, Refusal};
use crate::ids::{Kind, OpenId, Seq};

/// A connection that was quiet for so long is asked whether it lives before a batch is trusted to it: finding out afterwards would
/// leave open whether the batch was stored.
const QUIET: Duration = Duration::from_secs(1);
/// A batch is tried again only while that leaves time to answer.
const PATIENCE: Duration = Duration::from_millis(700);
const ATTEMPTS: usize = 4;

/// One lane's connection.
pub(super) struct PostgresLane {
    url: String,
    day_limit: u32,
    conn: Option<PgConnection>,
    used: Instant,
}

impl PostgresLane {
    pub(super) fn new(url: String, day_limit: u32) -> Self {
        Self { url, day_limit, conn: None, used: Instant::now() }
    }

    /// Makes a batch durable, all or nothing.
    pub(super) fn commit(&mut self, writes: &[Write], now: i64) -> Result<Vec<Outcome>, Trouble> {
        let began = Instant::now();
        let call = Call::new(writes, now, self.day_limit);
        let mut attempt = 1;
        loop {
            let trouble = match self.attempt(&call) {
                Ok(rows) => return outcomes(writes, rows, now),
                Err(trouble) => trouble,
            };
            let again = match &trouble {
                // Whether it was stored is unknown: only what a client_msg_id protects may be sent twice.
                Trouble::Gone { asked, .. } => *asked && attempt == 1 && writes.iter().all(repeatable),
                Trouble::Stale => true,
                // Deadlocks come as this, diesel has no kind for them.
                Trouble::Refused(_) => attempt == 1,
                Trouble::Busy(_) => false,
            };
            if !again || attempt == ATTEMPTS || began.elapsed() > PATIENCE {
                return Err(trouble);
            }
            attempt += 1;
        }
    }

    fn attempt(&mut self, call: &Call) -> Result<Vec<Row>, Trouble> {
        let alive = self.used.elapsed() < QUIET || self.conn.as_mut().is_none_or(|conn| conn.batch_execute("SELECT 1").is_ok());
        if !alive {
            self.conn = None;
        }
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(conn::postgres(&self.url).map_err(|e| Trouble::Gone { reason: e.to_string(), asked: false })?),
        };
        let result = call.load::<Row>(conn).map_err(Trouble::from);
        self.used = Instant::now();
        let Err(trouble) = result else { return result };
        // A server that goes away says so with an ordinary error first, and that may come after the commit.
        let lives = !matches!(trouble, Trouble::Gone { .. }) && conn.batch_execute("SELECT 1").is_ok();
        if lives {
            return Err(trouble);
        }
        self.conn = None;
        Err(Trouble::Gone { reason: trouble.reason().to_owned(), asked: true })
    }
}

fn repeatable(write: &Write) -> bool {
    match write {
        Write::Append(append) => append.draft.client_msg_id.is_some(),
        Write::MarkRead(_) | Write::Clear(_) => true,
        // Twice in the log means the same, and matters to somebody's safety.
        Write::Revoke(_) => true,
    }
}

/// The call, with a batch as its columns.
#[derive(Default)]
struct Call {
    ops: Vec<i16>,
    senders: Vec<String>,
    peers: Vec<String>,
    pairs: Vec<Option<String>>,
    ids: Vec<Option<String>>,
    kinds: Vec<Option<String>>,
    bodies: Vec<Option<String>>,
    numbers: Vec<i64>,
    issued: Vec<Option<i64>>,
    now: i64,
    day_limit: i64,
}

impl Call {
    fn new(writes: &[Write], now: i64, day_limit: u32) -> Self {
        let mut call = Self { now, day_limit: i64::from(day_limit), ..Self::default() };
        for write in writes {
            match write {
                Write::Append(Append { draft, over_rate_ms }) => {
                    call.row(i16::from(over_rate_ms.is_some()), &draft.sender, &draft.peer, Some(key(write)), 0, None);
                    call.ids.push(draft.client_msg_id.as_ref().map(|id| id.as_str().to_owned()));
                    call.kinds.push(Some(draft.kind.as_str().to_owned()));
                    call.bodies.push(Some(draft.body.to_string()));
                    continue;
                }
                Write::MarkRead(w) => call.row(2, &w.openid, &w.peer, Some(key(write)), w.seq.get(), None),
                Write::Clear(w) => {
                    call.row(3, &w.openid, &w.peer, Some(key(write)), w.up_to.map_or(i64::MAX, Seq::get), None);
                }
                Write::Revoke(w) => {
                    let (what, issued) = encode(w.what);
                    call.row(4, &w.openid, &w.openid, None, i64::from(what), issued);
                }
            }
            call.ids.push(None);
            call.kinds.push(None);
            call.bodies.push(None);
        }
        call
    }

    fn row(&mut self, op: i16, sender: &OpenId, peer: &OpenId, pair: Option<String>, number: i64, issued: Option<i64>) {
        self.ops.push(op);
        self.senders.push(sender.as_str().to_owned());
        self.peers.push(peer.as_str().to_owned());
        self.pairs.push(pair);
        self.numbers.push(number);
        self.issued.push(issued);
    }
}

// A fragment of our own instead of `sql_query`, because diesel prepares the latter anew each time: a second round trip a batch.
impl QueryFragment<Pg> for Call {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT * FROM hongyan_commit(");
        out.push_bind_param::<Array<SmallInt>, _>(&self.ops)?;
        for texts in [&self.senders, &self.peers] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Text>, _>(texts)?;
        }
        for texts in [&self.pairs, &self.ids, &self.kinds, &self.bodies] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Text>>, _>(texts)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.numbers)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<BigInt>>, _>(&self.issued)?;
        for number in [&self.now, &self.day_limit] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(number)?;
        }
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for Call {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for &Call {
    type SqlType =
        (SmallInt, Nullable<BigInt>, Nullable<BigInt>, Nullable<Text>, Nullable<Text>, Nullable<BigInt>, Nullable<BigInt>, Nullable<Bool>);
}

impl RunQueryDsl<PgConnection> for &Call {}

#[derive(Queryable)]
struct Row {
    outcome: i16,
    seq: Option<i64>,
    number: Option<i64>,
    kind: Option<String>,
    body: Option<String>,
    sent_at: Option<i64>,
    target: Option<i64>,
    recalled: Option<bool>,
}

fn outcomes(writes: &[Write], rows: Vec<Row>, now: i64) -> Result<Vec<Outcome>, Trouble> {
    if rows.len() != writes.len() {
        let reason = format!("hongyan_commit answered {} of {} writes", rows.len(), writes.len());
        return Err(Trouble::Gone { reason, asked: true });
    }
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq.unwrap_or(0)).collect();
    let mut marks = Marks::default();
    Ok(writes.iter().zip(rows).map(|(write, row)| outcome(writes, write, row, &seqs, &mut marks, now)).collect())
}

fn outcome(writes: &[Write], write: &Write, row: Row, seqs: &[i64], marks: &mut Marks, now: i64) -> Outcome {
    let last = row.seq.unwrap_or(0);
    match (write, row.outcome) {
        (Write::Append(_), 1) => Outcome::Appended { seq: seq(last), sent_at: now },
        (Write::Append(append), 2) => {
            let Ok(kind) = Kind::parse(row.kind.as_deref().unwrap_or_default()) else { return Outcome::Refused(Refusal::Unavailable) };
            let stored = Message {
                seq: seq(last),
                sender: append.draft.sender.clone(),
                kind,
                body: row.body.unwrap_or_default().into(),
                sent_at: row.sent_at.unwrap_or(0),
                client_msg_id: append.draft.client_msg_id.clone(),
                recalled: row.recalled.unwrap_or(false),
                target: row.target.map(seq),
            };
            repeat(append, stored)
        }
        (Write::Append(append), 3) => {
            // SQL counts from 1.
            let first = row.number.and_then(|place| usize::try_from(place - 1).ok());
            match first.and_then(|place| Some((writes.get(place)?, *seqs.get(place)?))) {
                Some((Write::Append(first), at)) => repeat(append, message(&first.draft, seq(at), now)),
                _ => Outcome::Refused(Refusal::Unavailable),
            }
        }
        (Write::Append(append), 4) => Outcome::Refused(Refusal::RateLimited { retry_after_ms: append.over_rate_ms.unwrap_or(0) }),
        (Write::Append(_), 5) => {
            let retry_after_ms = row.number.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
            Outcome::Refused(Refusal::RateLimited { retry_after_ms })
        }
        (Write::MarkRead(w), 6) => mark(marks.advance(&w.openid, &w.peer, false, row.number.unwrap_or(0), w.seq.get().min(last))),
        (Write::Clear(w), 6) => {
            let wanted = w.up_to.map_or(last, |up_to| up_to.get().min(last));
            mark(marks.advance(&w.openid, &w.peer, true, row.number.unwrap_or(0), wanted))
        }
        (Write::MarkRead(_) | Write::Clear(_), 7) => Outcome::Mark { seq: Seq::ZERO, moved: false },
        (Write::Revoke(_), 7) => Outcome::Done,
        _ => Outcome::Refused(Refusal::Unavailable),
    }
}

fn mark((at, moved): (i64, bool)) -> Outcome {
    Outcome::Mark { seq: seq(at), moved }
}

fn seq(number: i64) -> Seq {
    Seq::parse(number).unwrap_or_default()
}
