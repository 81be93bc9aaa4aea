//! One batch on PostgreSQL: one call of `hongyan_commit` (in `postgres/commit.sql`), one round trip, one
//! transaction. What is about groups, findings and the batch's commands follow in the same transaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codes::{Op, RowOutcome};
use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text};
use rand::Rng as _;

use crate::event::{Conversation, Message, Quote, Quoted, ReceiptKind, Refusal};
use crate::ids::{Kind, OpenId, Seq};
use crate::store::blocks::{Block, BlockChange};
use crate::store::conversations::Clear;
use crate::store::database::conn;
use crate::store::database::error::Trouble;
use crate::store::database::health::Health;
use crate::store::lanes::batch::{
    MarkKind, Marks, Outcome, RECALLED_BODY, Roster, is_of_group, message, repeat,
};
use crate::store::lanes::command::{Db, Locks, Order, Times};
use crate::store::messages::{Admission, Append, quotes};
use crate::store::receipts::Mark;
use crate::store::{StoreLimits, Write, moderation};

mod codes;
pub(super) mod functions;
mod groups;

use groups::GroupCall;

/// A connection that was quiet for so long is asked whether it lives before a batch is trusted to it: finding
/// out afterwards would leave open whether the batch was stored.
const QUIET: Duration = Duration::from_secs(1);
/// A batch is tried again only while that leaves time to answer: on a new connection, which may take long to
/// make …
const PATIENCE_GONE: Duration = Duration::from_millis(700);
/// … and on the same one. PostgreSQL looks for a deadlock when a lock was waited for a second
/// (`deadlock_timeout`).
const PATIENCE_REFUSED: Duration = Duration::from_millis(1400);
const ATTEMPTS: u32 = 4;
/// The longest wait before the second attempt; then twice that, and so on. By chance, so that two who met do
/// not meet again.
const PAUSE: Duration = Duration::from_millis(10);

/// One lane's connection.
pub(super) struct PostgresLane {
    url: String,
    prepared_statements: bool,
    limits: StoreLimits,
    health: Arc<Health>,
    conn: Option<PgConnection>,
    used: Instant,
}

impl PostgresLane {
    pub(super) fn new(
        url: String,
        prepared_statements: bool,
        limits: StoreLimits,
        health: Arc<Health>,
    ) -> Self {
        Self { url, prepared_statements, limits, health, conn: None, used: Instant::now() }
    }

    /// Makes a batch durable, all or nothing.
    pub(super) fn commit(&mut self, writes: &[Write], now: i64) -> Result<Vec<Outcome>, Trouble> {
        let began = Instant::now();
        let calls = Calls::new(writes, now, self.limits);
        let mut attempt = 1;
        loop {
            let trouble = match self.attempt(writes, &calls, now) {
                Ok(outcomes) => return Ok(outcomes),
                Err(trouble) => trouble,
            };
            let (again, patience) = match &trouble {
                // Whether it was stored is unknown: only what a client_msg_id protects may be sent twice.
                Trouble::Gone { asked, .. } => {
                    (*asked && attempt == 1 && writes.iter().all(is_idempotent), PATIENCE_GONE)
                }
                // A deadlock (40P01) is a refusal like others: diesel tells few SQLSTATEs, and not this one.
                // Nothing of a refused batch is stored, so whatever the reason was, it may be tried again.
                Trouble::Stale | Trouble::Refused(_) => (true, PATIENCE_REFUSED),
                // Nothing is stored, and a new connection may lead to the primary.
                Trouble::ReadOnly(_) => (attempt == 1, PATIENCE_GONE),
                Trouble::Busy(_) => (false, Duration::ZERO),
            };
            if !again || attempt == ATTEMPTS || began.elapsed() > patience {
                return Err(trouble);
            }
            log::debug!(reason = trouble.reason(), writes = writes.len(); "a batch is tried again");
            if let Trouble::Refused(_) = trouble {
                self.restore_functions();
            }
            if self.conn.is_some() {
                std::thread::sleep(rand::rng().random_range(Duration::ZERO..=PAUSE * attempt));
            }
            attempt += 1;
        }
    }

    /// Sees to it that a refusal was not for want of a function. A connection remembers one that is gone.
    fn restore_functions(&mut self) {
        let Some(conn) = &mut self.conn else { return };
        match functions::restore(conn) {
            Ok(false) => {}
            Ok(true) => self.conn = None,
            Err(error) => log::warn!(reason = error.to_string().as_str(); "cannot look after the functions"),
        }
    }

    /// Gives its connection up.
    pub(super) fn take_connection(&mut self) -> Option<PgConnection> {
        self.conn.take()
    }

    /// Takes a connection that another thread has made, where it has none and that one holds.
    pub(super) fn adopt(&mut self, spare: impl FnOnce() -> Option<PgConnection>) {
        if self.conn.is_none()
            && let Some(mut spare) = spare()
            && conn::check_alive(&mut spare).is_ok()
        {
            (self.conn, self.used) = (Some(spare), Instant::now());
        }
    }

    fn attempt(&mut self, writes: &[Write], calls: &Calls, now: i64) -> Result<Vec<Outcome>, Trouble> {
        let alive = self.used.elapsed() < QUIET
            || self.conn.as_mut().is_none_or(|conn| conn::check_alive(conn).is_ok());
        if !alive {
            self.conn = None;
        }
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => {
                let made = conn::postgres(&self.url, self.prepared_statements);
                none.insert(made.map_err(|error| {
                    self.health.not_connected(&error);
                    Trouble::Gone { reason: error.to_string(), asked: false }
                })?)
            }
        };
        let has_more = has_more(writes);
        let result = if has_more || calls.are_two() {
            conn.transaction(|conn| {
                let mut outcomes = calls.run(conn, writes, now)?;
                if has_more {
                    write_more(conn, writes, &mut outcomes, now)?;
                }
                Ok(outcomes)
            })
        } else {
            calls.run(conn, writes, now)
        };
        self.used = Instant::now();
        let Err(trouble) = result else { return result };
        if let Trouble::ReadOnly(reason) = &trouble {
            self.health.read_only(reason);
            self.conn = None;
            return Err(trouble);
        }
        // A server that goes away says so with an ordinary error first, and that may come after the commit.
        let lives = !matches!(trouble, Trouble::Gone { .. }) && conn.batch_execute("SELECT 1").is_ok();
        if lives {
            return Err(trouble);
        }
        self.conn = None;
        self.health.gone(trouble.reason());
        Err(Trouble::Gone { reason: trouble.reason().to_owned(), asked: true })
    }
}

/// The calls of a batch: one, unless some of its writes are about groups and others are not.
struct Calls {
    direct: Option<Call>,
    groups: Option<GroupCall>,
}

impl Calls {
    fn new(writes: &[Write], now: i64, limits: StoreLimits) -> Self {
        let groups = GroupCall::new(writes, now, limits);
        let is_of_groups_alone = groups.is_some() && writes.iter().all(is_of_group);
        Self { direct: (!is_of_groups_alone).then(|| Call::new(writes, now, limits)), groups }
    }

    fn are_two(&self) -> bool {
        self.direct.is_some() && self.groups.is_some()
    }

    fn run(&self, conn: &mut PgConnection, writes: &[Write], now: i64) -> Result<Vec<Outcome>, Trouble> {
        let mut outcomes = match &self.direct {
            Some(call) => outcomes(writes, call.load::<Row>(conn)?, now)?,
            None => writes.iter().map(|_| Outcome::Done).collect(),
        };
        if let Some(groups) = &self.groups {
            groups.run(conn, writes, &mut outcomes, now)?;
        }
        Ok(outcomes)
    }
}

/// Whether a batch has more than what the calls do.
fn has_more(writes: &[Write]) -> bool {
    let has_more =
        |write: &Write| matches!(write, Write::Command(_) | Write::Append(Append { finding: Some(_), .. }));
    writes.iter().any(has_more)
}

/// Does what the calls do not, in the same transaction.
fn write_more(
    conn: &mut PgConnection,
    writes: &[Write],
    outcomes: &mut [Outcome],
    now: i64,
) -> QueryResult<()> {
    let mut locks = Locks::default();
    for write in writes {
        match write {
            Write::Command(queued) => queued.command.locks(&mut locks),
            Write::Append(Append { draft, finding: Some(_), .. }) => {
                moderation::lock(&mut locks, &draft.sender)
            }
            _ => {}
        }
    }
    locks.take(conn)?;
    let times = Times::of_postgres(conn, now)?;
    let db = &mut Db::Postgres(conn);
    for (write, outcome) in writes.iter().zip(outcomes) {
        match write {
            Write::Command(queued) => *outcome = queued.command.apply(db, times)?.into(),
            Write::Append(append) => moderation::keep(db, append, outcome, now)?,
            Write::Mark(_) | Write::Clear(_) | Write::Block(_) => {}
        }
    }
    Ok(())
}

fn is_idempotent(write: &Write) -> bool {
    match write {
        Write::Append(Append { draft, .. }) => draft.client_msg_id.is_some() || draft.target.is_some(),
        Write::Mark(_) | Write::Clear(_) | Write::Block(_) => true,
        Write::Command(queued) => queued.command.is_idempotent(),
    }
}

/// The call, with a batch as its columns.
#[derive(Default)]
struct Call {
    ops: Vec<i16>,
    senders: Vec<String>,
    peers: Vec<String>,
    addresses: Vec<Option<String>>,
    ids: Vec<Option<String>>,
    kinds: Vec<Option<String>>,
    bodies: Vec<Option<String>>,
    numbers: Vec<i64>,
    now: i64,
    day_limit: i64,
    recall_ms: i64,
    block_limit: i64,
}

impl Call {
    fn new(writes: &[Write], now: i64, limits: StoreLimits) -> Self {
        let mut call = Self {
            now,
            day_limit: i64::from(limits.new_conversations_per_day),
            recall_ms: limits.recall_within_ms,
            block_limit: i64::from(limits.blocks_per_user),
            ..Self::default()
        };
        for write in writes {
            match write {
                write if is_of_group(write) => call.place(None),
                Write::Append(append) => {
                    call.append(append);
                    continue;
                }
                Write::Mark(Mark { receipt: w }) => {
                    let op = match w.kind {
                        ReceiptKind::Read => Op::Read,
                        ReceiptKind::Recv => Op::Recv,
                    };
                    call.row(op, &w.openid, &w.conversation, w.seq.get());
                }
                Write::Clear(Clear { openid, conversation, up_to }) => {
                    call.row(Op::Clear, openid, conversation, up_to.map_or(i64::MAX, Seq::get));
                }
                Write::Block(Block { openid, peer, change }) => {
                    let op = match change {
                        BlockChange::Block => Op::Block,
                        BlockChange::Unblock => Op::Unblock,
                    };
                    let conversation = Conversation::direct(openid.clone(), peer.clone());
                    call.row(op, openid, &conversation, 0);
                }
                Write::Command(queued) => match queued.command.order() {
                    Order::Conversation(Conversation::Direct(pair)) => call.place(Some(pair.store_address())),
                    Order::Conversation(Conversation::Group(_)) | Order::Own(_) => call.place(None),
                },
            }
            call.ids.push(None);
            call.kinds.push(None);
            call.bodies.push(None);
        }
        call
    }

    fn append(&mut self, append: &Append) {
        let draft = &append.draft;
        let about = draft.target.or(draft.quote).map_or(0, Seq::get);
        self.row(Op::of(append), &draft.sender, &draft.conversation, about);
        self.ids.push(draft.client_msg_id.as_ref().map(|id| id.as_str().to_owned()));
        self.kinds.push(Some(draft.kind.as_str().to_owned()));
        self.bodies.push(Some(draft.body.to_string()));
    }

    /// Adds a row for a write that is not for `hongyan_commit`.
    fn place(&mut self, address: Option<String>) {
        self.ops.push(Op::Place.number());
        self.senders.push(String::new());
        self.peers.push(String::new());
        self.addresses.push(address);
        self.numbers.push(0);
    }

    fn row(&mut self, op: Op, sender: &OpenId, conversation: &Conversation, number: i64) {
        self.ops.push(op.number());
        self.senders.push(sender.as_str().to_owned());
        self.peers.push(conversation.address_str(sender).to_owned());
        self.addresses.push(Some(conversation.store_address()));
        self.numbers.push(number);
    }
}

// A fragment of our own instead of `sql_query`, because diesel prepares the latter anew each time: a second
// round trip a batch.
impl QueryFragment<Pg> for Call {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT batch.* FROM ");
        out.push_sql(conn::DURABLE);
        out.push_sql(" AS durable, ");
        out.push_sql(&functions::COMMIT_FUNCTION.name);
        out.push_sql("(");
        out.push_bind_param::<Array<SmallInt>, _>(&self.ops)?;
        for texts in [&self.senders, &self.peers] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Text>, _>(texts)?;
        }
        for texts in [&self.addresses, &self.ids, &self.kinds, &self.bodies] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Text>>, _>(texts)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.numbers)?;
        for number in [&self.now, &self.day_limit, &self.recall_ms, &self.block_limit] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(number)?;
        }
        out.push_sql(") AS batch");
        Ok(())
    }
}

impl QueryId for Call {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for &Call {
    type SqlType = (
        SmallInt,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<Bool>,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<Bool>,
        Nullable<BigInt>,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<Bool>,
    );
}

impl RunQueryDsl<PgConnection> for &Call {}

#[derive(Queryable)]
struct Row {
    outcome: i16,
    seq: Option<i64>,
    number: Option<i64>,
    hidden_from_peer: Option<bool>,
    kind: Option<String>,
    body: Option<String>,
    sent_at: Option<i64>,
    target: Option<i64>,
    recalled: Option<bool>,
    quote: Option<i64>,
    quoted_sender: Option<String>,
    quoted_kind: Option<String>,
    quoted_body: Option<String>,
    quoted_recalled: Option<bool>,
}

impl Row {
    /// What the message quotes.
    fn quote(&self, append: &Append) -> Option<Box<Quote>> {
        let seq = self.quote.map(seq).or(append.draft.quote)?;
        let quoted = match (&self.quoted_sender, &self.quoted_kind, &self.quoted_body) {
            (Some(sender), Some(kind), Some(body)) => {
                let recalled = self.quoted_recalled.unwrap_or(false);
                // A row that cannot be read shows nothing.
                quotes::quoted(sender, kind, body, recalled).unwrap_or(Quoted::Gone)
            }
            _ => Quoted::Gone,
        };
        Some(Box::new(Quote { seq, quoted }))
    }
}

fn outcomes(writes: &[Write], rows: Vec<Row>, now: i64) -> Result<Vec<Outcome>, Trouble> {
    if rows.len() != writes.len() {
        let reason = format!("hongyan_commit answered {} of {} writes", rows.len(), writes.len());
        return Err(Trouble::Gone { reason, asked: true });
    }
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq.unwrap_or(0)).collect();
    let mut marks = Marks::default();
    let mut recalled = Recalled::default();
    let mut outcomes = Vec::with_capacity(rows.len());
    for (write, mut row) in writes.iter().zip(rows) {
        recalled.follow(write, &mut row);
        let outcome = match (write, RowOutcome::of(row.outcome)) {
            (Write::Append(append), Some(RowOutcome::RepeatedInBatch)) => {
                repeat_in_batch(writes, append, &row, &seqs, &outcomes, now)
            }
            (_, outcome) => self::outcome(write, row, outcome, &mut marks, now),
        };
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// What an earlier message of the batch says to one that is sent again behind it.
fn repeat_in_batch(
    writes: &[Write],
    append: &Append,
    row: &Row,
    seqs: &[i64],
    outcomes: &[Outcome],
    now: i64,
) -> Outcome {
    // SQL counts from 1.
    let first = row.number.and_then(|place| usize::try_from(place - 1).ok());
    let first = first.and_then(|place| Some((writes.get(place)?, outcomes.get(place)?, *seqs.get(place)?)));
    let Some((Write::Append(first), Outcome::Appended { quote, .. }, at)) = first else {
        return Outcome::Refused(Refusal::Unavailable);
    };
    let hidden_from_peer = row.hidden_from_peer.unwrap_or(false);
    repeat(append, message(&first.draft, seq(at), now, quote.clone()), hidden_from_peer, Roster::Direct)
}

/// What a batch has recalled so far. The call finds what is stored as it was before the batch: whoever
/// repeats such a message behind its recall is not told what it said.
#[derive(Default)]
struct Recalled(HashSet<(Conversation, i64)>);

impl Recalled {
    fn follow(&mut self, write: &Write, row: &mut Row) {
        let Write::Append(Append { draft, .. }) = write else { return };
        match (RowOutcome::of(row.outcome), draft.target, row.seq) {
            (Some(RowOutcome::Stored), Some(target), _) => {
                self.0.insert((draft.conversation.clone(), target.get()));
            }
            (Some(RowOutcome::Repeated), None, Some(seq))
                if !self.0.is_empty() && self.0.contains(&(draft.conversation.clone(), seq)) =>
            {
                (row.recalled, row.body) = (Some(true), Some(RECALLED_BODY.to_owned()));
            }
            _ => {}
        }
        let quote = row.quote.or(draft.quote.map(Seq::get));
        if let Some(quote) = quote.filter(|_| !self.0.is_empty())
            && self.0.contains(&(draft.conversation.clone(), quote))
        {
            row.quoted_recalled = Some(true);
        }
    }
}

fn outcome(write: &Write, row: Row, outcome: Option<RowOutcome>, marks: &mut Marks, now: i64) -> Outcome {
    let last = row.seq.unwrap_or(0);
    let hidden_from_peer = row.hidden_from_peer.unwrap_or(false);
    let Some(outcome) = outcome else {
        return Outcome::Refused(Refusal::Unavailable);
    };
    match (write, outcome) {
        (Write::Append(append), RowOutcome::Stored) => Outcome::Appended {
            seq: seq(last),
            sent_at: now,
            quote: row.quote(append),
            roster: Roster::Direct,
        },
        (Write::Append(append), RowOutcome::Repeated) => {
            let Ok(kind) = Kind::parse(row.kind.as_deref().unwrap_or_default()) else {
                return Outcome::Refused(Refusal::Unavailable);
            };
            // What this one quotes is not what is stored, should the two differ.
            let quote = row.quote.and_then(|_| row.quote(append));
            let stored = Message {
                seq: seq(last),
                sender: append.draft.sender.clone(),
                kind,
                body: row.body.unwrap_or_default().into(),
                sent_at: row.sent_at.unwrap_or(0),
                client_msg_id: append.draft.client_msg_id.clone(),
                recalled: row.recalled.unwrap_or(false),
                target: row.target.map(seq),
                quote,
            };
            repeat(append, stored, hidden_from_peer, Roster::Direct)
        }
        (Write::Append(Append { admission: Admission::RepeatsOnly(refusal), .. }), RowOutcome::Refused) => {
            Outcome::Refused(*refusal)
        }
        (Write::Append(_), RowOutcome::TooManyConversations) => {
            let retry_after_ms = row.number.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
            Outcome::Refused(Refusal::RateLimited { retry_after_ms })
        }
        (Write::Append(_), RowOutcome::Blocked) => Outcome::Refused(Refusal::Blocked),
        (Write::Append(append), RowOutcome::NotFound) => Outcome::Refused(match append.draft.target {
            Some(_) => Refusal::NotFound,
            None => Refusal::NothingToQuote,
        }),
        (Write::Append(_), RowOutcome::RecallExpired) => Outcome::Refused(Refusal::RecallExpired),
        (Write::Mark(Mark { receipt: w }), RowOutcome::Mark) => mark(
            marks.advance(
                &w.openid,
                &w.conversation,
                w.kind.into(),
                row.number.unwrap_or(0),
                w.seq.get().min(last),
            ),
            !hidden_from_peer,
        ),
        (Write::Clear(Clear { openid, conversation, up_to }), RowOutcome::Mark) => {
            let wanted = up_to.map_or(last, |up_to| up_to.get().min(last));
            mark(
                marks.advance(openid, conversation, MarkKind::Cleared, row.number.unwrap_or(0), wanted),
                false,
            )
        }
        (Write::Mark(_) | Write::Clear(_), RowOutcome::Done) => mark((0, false), false),
        (Write::Block(_), RowOutcome::BlocklistFull) => Outcome::Refused(Refusal::TooMany),
        (Write::Append(_), _) => Outcome::Refused(Refusal::Unavailable),
        // What is not for `hongyan_commit` has its outcome from elsewhere, if it has another.
        (_, RowOutcome::Done) => Outcome::Done,
        _ => Outcome::Refused(Refusal::Unavailable),
    }
}

fn mark((at, moved): (i64, bool), to_peer: bool) -> Outcome {
    Outcome::Mark { seq: seq(at), moved, to_peer }
}

fn seq(number: i64) -> Seq {
    Seq::parse(number).unwrap_or_default()
}
