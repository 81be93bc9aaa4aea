//! What operators do, and the log of it; bans as the log of revocations has them; when users were seen.

use std::collections::BTreeMap;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::command::{Command, Db, Locks, Order, Times};
use super::conn::{self, Conn};
use super::error::OpenError;
use super::messages::{
    ActPage, Acts, Ban, BanDecision, BanInForce, BanPage, Bans, EndedBans, IsKnown, OperatorAct, Query,
    RecordAct, Revoke, SeenUsers, Via,
};
use super::queries::{and_one, unreadable};
use super::revocations;
use super::statement::{Statement, Writer};
use super::sync::{NowRow, STORE_NOW};
use crate::config::{self, DatabaseUrl};
use crate::event::Refusal;
use crate::event::revocation::Revoked;
use crate::ids::{OpenId, now_ms};

/// An act that stands there already is told what became of it.
const RECORD: &str = "INSERT INTO operator_acts (id, at, via, who, act, target, detail, outcome) \
     VALUES ($1, $2, $3, $4, $5, NULLIF($6, ''), NULLIF($7, ''), NULLIF($8, '')) \
     ON CONFLICT (id) DO UPDATE SET target = excluded.target, detail = excluded.detail, outcome = excluded.outcome";

/// The users and their times as one text each, separated by commas.
const SEEN_ON_POSTGRES: &str = "INSERT INTO seen_users AS s (openid, first_at, last_at) \
     SELECT u.openid, u.at, u.at FROM unnest(string_to_array($1, ','), string_to_array($2, ',')::bigint[]) AS u (openid, at) \
     ON CONFLICT (openid) DO UPDATE SET last_at = excluded.last_at WHERE s.last_at < excluded.last_at";
const SEEN_ON_SQLITE: &str = "INSERT INTO seen_users AS s (openid, first_at, last_at) VALUES ($1, $2, $3) \
     ON CONFLICT (openid) DO UPDATE SET last_at = excluded.last_at WHERE s.last_at < excluded.last_at";

pub(super) const PRUNE: &str = "DELETE FROM operator_acts WHERE id IN (SELECT id FROM operator_acts WHERE id < ($1 << 20) ORDER BY id LIMIT $2)";
pub(super) const HAS_OLD: &str =
    "SELECT count(*) AS number FROM (SELECT id FROM operator_acts WHERE id < ($1 << 20) LIMIT 1) AS old";

impl Command for RecordAct {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.act.id.to_string())
    }

    fn apply(&self, db: &mut Db<'_>, _: Times) -> QueryResult<Result<(), Refusal>> {
        record(db, &self.act).map(Ok)
    }
}

impl Command for SeenUsers {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(String::new())
    }

    fn locks(&self, locks: &mut Locks) {
        locks.all("seen users");
    }

    fn apply(&self, db: &mut Db<'_>, _: Times) -> QueryResult<Result<(), Refusal>> {
        match db {
            Db::Sqlite(conn) => {
                for (openid, at) in &self.users {
                    conn.run(Statement::new(SEEN_ON_SQLITE).text(openid.as_str()).number(*at).number(*at))?;
                }
            }
            Db::Postgres(conn) => {
                // One statement must not meet a row twice.
                let mut seen = BTreeMap::<&OpenId, i64>::new();
                for (openid, at) in &self.users {
                    let last = seen.entry(openid).or_insert(*at);
                    *last = (*last).max(*at);
                }
                let users: Vec<_> = seen.keys().map(|openid| openid.as_str()).collect();
                let times: Vec<_> = seen.values().map(i64::to_string).collect();
                conn.run(Statement::new(SEEN_ON_POSTGRES).text(&users.join(",")).text(&times.join(",")))?;
            }
        }
        Ok(Ok(()))
    }
}

fn record(conn: &mut impl Writer, act: &OperatorAct) -> QueryResult<()> {
    let OperatorAct { id, at, via, who, act, target, detail, outcome } = act;
    let text = |text: &'_ Option<String>| text.as_deref().unwrap_or_default().to_owned();
    let (target, detail, outcome) = (text(target), text(detail), text(outcome));
    let statement = Statement::new(RECORD).number(*id).number(*at).text(via.as_str()).text(who).text(act);
    conn.run(statement.text(&target).text(&detail).text(&outcome)).map(drop)
}

#[derive(QueryableByName)]
struct ActRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Text)]
    via: String,
    #[diesel(sql_type = Text)]
    who: String,
    #[diesel(sql_type = Text)]
    act: String,
    #[diesel(sql_type = Nullable<Text>)]
    target: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    outcome: Option<String>,
}

impl From<ActRow> for OperatorAct {
    fn from(row: ActRow) -> Self {
        let ActRow { id, at, via, who, act, target, detail, outcome } = row;
        Self { id, at, via: Via::named(&via), who, act, target, detail, outcome }
    }
}

macro_rules! acts {
    () => {
        "SELECT id, at, via, who, act, target, detail, outcome FROM operator_acts WHERE id < $1 AND id >= ($2 << 20)"
    };
}

const ACTS: &str = concat!(acts!(), " ORDER BY id DESC LIMIT $3");
const ACTS_OF_TARGET: &str = concat!(acts!(), " AND target = $3 ORDER BY id DESC LIMIT $4");

impl Query for Acts {
    type Answer = ActPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<ActPage> {
        let (before, since) =
            (self.before.unwrap_or(i64::MAX), self.since.unwrap_or(0).clamp(0, i64::MAX >> 20));
        let rows = match &self.target {
            None => Statement::new(ACTS)
                .number(before)
                .number(since)
                .number(and_one(self.limit))
                .load::<ActRow>(conn)?,
            Some(target) => {
                let statement = Statement::new(ACTS_OF_TARGET).number(before).number(since).text(target);
                statement.number(and_one(self.limit)).load::<ActRow>(conn)?
            }
        };
        let has_more = rows.len() > self.limit;
        Ok(ActPage { acts: rows.into_iter().take(self.limit).map(OperatorAct::from).collect(), has_more })
    }
}

#[derive(QueryableByName)]
struct BanRow {
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
    fn into_ban(self) -> QueryResult<Ban> {
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
pub(super) fn now(conn: &mut Conn) -> QueryResult<i64> {
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

pub(super) fn ban_of(conn: &mut Conn, openid: &OpenId, now: i64) -> QueryResult<Option<Ban>> {
    let row = ban_in_force(openid, now).get_result::<BanRow>(conn).optional()?;
    row.map(BanRow::into_ban).transpose()
}

fn ban_in_force(openid: &OpenId, now: i64) -> Statement<'_> {
    Statement::new(BAN_OF).text(openid.as_str()).number(now)
}

/// Whether a row names the user, as 0 or 1.
const IS_KNOWN: &str = "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM seen_users WHERE openid = $1) \
     OR EXISTS (SELECT 1 FROM members WHERE openid = $2) OR EXISTS (SELECT 1 FROM profiles WHERE openid = $3) \
     OR EXISTS (SELECT 1 FROM revocations WHERE openid = $4) OR EXISTS (SELECT 1 FROM blocks WHERE openid = $5) \
     OR EXISTS (SELECT 1 FROM grants WHERE openid = $6) THEN 1 ELSE 0 END AS BIGINT) AS number";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn is_known(openid: &OpenId) -> Statement<'_> {
    (0..6).fold(Statement::new(IS_KNOWN), |statement, _| statement.text(openid.as_str()))
}

impl Query for IsKnown {
    type Answer = bool;

    fn run(&self, conn: &mut Conn) -> QueryResult<bool> {
        Ok(is_known(&self.openid).get_result::<Number>(conn)?.number == 1)
    }
}

/// What an operator does on the command line, beside a server that may be running. It and its entry in the
/// audit log are one transaction.
#[derive(Debug)]
pub struct Operation<'a> {
    pub who: String,
    pub act: &'static str,
    pub target: Option<&'a str>,
    pub detail: Option<String>,
    /// What is added to the log that every node follows.
    pub revoke: Option<Revoking<'a>>,
}

/// A revocation to be written.
#[derive(Debug)]
pub struct Revoking<'a> {
    pub openid: &'a OpenId,
    pub what: Revoked,
    /// Where it is a ban: it ends so long after it was written, instead of at a time of its own.
    pub for_ms: Option<i64>,
    pub reason: Option<String>,
    /// Whether a user whom nobody knows is refused.
    pub known_only: bool,
}

/// Outcome of an [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operated {
    /// The clock that bans end by, Unix milliseconds.
    pub now: i64,
    /// Whether nobody knows the user; with [`Revoking::known_only`] nothing was done then.
    pub is_unknown: bool,
    /// The end of the ban that was written.
    pub until: Option<i64>,
    /// The ban in force until then.
    pub ban_before: Option<Ban>,
}

/// Does what an operator asks for, durably; every node learns of a revocation within 2 s.
///
/// # Errors
/// [`OpenError`]; each says what to do.
pub fn operate(config: &config::Database, operation: &Operation<'_>) -> Result<Operated, OpenError> {
    let done = match &config.url {
        DatabaseUrl::Sqlite(path) => {
            conn::is_ours(path)?;
            // The server's own time is not known here. Tokens of its own go by the order of the log.
            conn::sqlite_writer(path, config.cache_kib)?.immediate_transaction(|conn| {
                let now = now_ms();
                let times = Times { system: now, store: now, database: now };
                carry_out(&mut Db::Sqlite(conn), operation, times)
            })
        }
        DatabaseUrl::Postgres(url) => conn::postgres(url, config.prepared_statements)?.transaction(|conn| {
            conn.batch_execute(&format!("SELECT {}", conn::DURABLE))?;
            let mut locks = Locks::default();
            if let Some(revoke) = &operation.revoke {
                locks.user("revokes", revoke.openid.as_str());
            }
            locks.take(conn)?;
            let times = Times::of_postgres(conn, now_ms())?;
            carry_out(&mut Db::Postgres(conn), operation, times)
        }),
    };
    done.map_err(|e| OpenError::Write { reason: e.to_string() })
}

fn carry_out(
    db: &mut Db<'_>,
    Operation { who, act, target, detail, revoke }: &Operation<'_>,
    times: Times,
) -> QueryResult<Operated> {
    let now = times.store;
    let mut is_refused = false;
    let mut done = Operated { now, is_unknown: false, until: None, ban_before: None };
    if let Some(Revoking { openid, what, for_ms, reason, known_only }) = revoke {
        done.is_unknown = db.rows::<Number>(is_known(openid))?.first().is_none_or(|found| found.number == 0);
        done.ban_before = db
            .rows::<BanRow>(ban_in_force(openid, now))?
            .into_iter()
            .next()
            .map(BanRow::into_ban)
            .transpose()?;
        // A pardon would end tokens, too.
        let is_needless = *what == Revoked::Nothing && done.ban_before.is_none();
        is_refused = *known_only && done.is_unknown;
        if !is_refused && !is_needless {
            let what = match (*what, for_ms) {
                (Revoked::Access { .. }, Some(ms)) => {
                    Revoked::Access { until: Some(now.saturating_add(*ms)) }
                }
                (what, _) => what,
            };
            if let Revoked::Access { until } = what {
                done.until = until;
            }
            let decision = Some(Box::new(BanDecision { reason: reason.clone(), by: who.clone() }));
            revocations::append(db, &Revoke { openid: (*openid).clone(), what, decision }, times.database)?;
        }
    }
    let mut entry = OperatorAct::new(now, Via::CommandLine, who, *act);
    entry.target = target.map(str::to_owned);
    entry.detail.clone_from(detail);
    entry.outcome = Some(if is_refused { "unknown user" } else { "done" }.to_owned());
    record(db, &entry)?;
    Ok(done)
}
