//! The log of revocations. One user's entries have rising ids in the order of their commits, by which a token
//! knows what came before it; of different users' the order may differ, because their transactions overlap.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::event::Refusal;
use crate::event::revocation::{Revocation, Revoked};
use crate::ids::OpenId;
use crate::store::Query;
use crate::store::database::conn::Conn;
use crate::store::database::schema::revocations::{
    at, decided_by, id, issued_ms, openid, reason, table, until, what,
};
use crate::store::database::statement::{Statement, Writer};
use crate::store::lanes::batch::{DECISIONS, RevokedRow};
use crate::store::lanes::command::{Command, Db, Locks, Order, Times, on_either};
use crate::store::readers::query::unreadable;
use crate::store::revocations::{LogPage, LogQuestion, Revoke};

/// Entries of one page.
const PAGE: i64 = 10_000;

/// A question, and the store's own time at which it came (PostgreSQL's is asked for there).
pub(in crate::store) struct LogQuestionAt {
    pub(in crate::store) question: LogQuestion,
    pub(in crate::store) now: i64,
}

const SQLITE_HEAD: &str = "SELECT coalesce(max(id), 0) AS newest, CAST($1 AS BIGINT) AS now FROM revocations";
const POSTGRES_HEAD: &str = "SELECT coalesce(max(id), 0) AS newest, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now FROM revocations";

#[derive(QueryableByName)]
struct Head {
    #[diesel(sql_type = BigInt)]
    newest: i64,
    #[diesel(sql_type = BigInt)]
    now: i64,
}

impl Query for LogQuestionAt {
    type Answer = LogPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<LogPage> {
        // Before the entries: what is dated after it is not taken for read.
        let Head { newest, now } = match conn {
            Conn::Sqlite(_) => Statement::new(SQLITE_HEAD).number(self.now).get_result(conn)?,
            Conn::Postgres(_) => Statement::new(POSTGRES_HEAD).get_result(conn)?,
        };
        let (rows, has_more) = match &self.question {
            LogQuestion::InForce { lifetime_ms, newest_ids } => {
                let (since, above) = (now.saturating_sub(*lifetime_ms), newest.saturating_sub(*newest_ids));
                (rows().filter(what.eq_any(DECISIONS).or(at.ge(since)).or(id.gt(above))).load(conn)?, false)
            }
            LogQuestion::After { id: last, missing } => {
                let mut late: Vec<Row> = match missing.as_slice() {
                    [] => Vec::new(),
                    missing => rows().filter(id.eq_any(missing)).load(conn)?,
                };
                let new: Vec<Row> = match newest > *last {
                    true => rows().filter(id.gt(last)).limit(PAGE).load(conn)?,
                    false => Vec::new(),
                };
                let has_more = i64::try_from(new.len()) == Ok(PAGE);
                late.extend(new);
                (late, has_more)
            }
        };
        Ok(LogPage { now, newest, entries: known(rows)?, has_more })
    }
}

type Row = (i64, String, i16, Option<i64>, i64, Option<i64>);

#[diesel::dsl::auto_type]
fn rows() -> _ {
    table.order(id).select((id, openid, what, issued_ms, at, until))
}

fn known(rows: Vec<Row>) -> QueryResult<Vec<Revocation>> {
    let mut known = Vec::with_capacity(rows.len());
    for (number, user, kind, issued, time, end) in rows {
        match (RevokedRow { what: kind, issued_ms: issued, until: end }).revoked() {
            Some(revoked) => {
                known.push(Revocation {
                    id: number,
                    openid: OpenId::parse(&user).map_err(unreadable)?,
                    what: revoked,
                    at: time,
                });
            }
            None => {
                log::warn!(id = number; "a revocation of a kind that this version does not know was passed over")
            }
        }
    }
    Ok(known)
}

/// Whether the end of a ban is still to be noted: nobody has decided otherwise since, nor noted it.
const IS_TO_LAPSE: &str = "SELECT count(*) AS number FROM (SELECT what, until FROM revocations WHERE openid = $1 AND what IN (3, 4) \
     ORDER BY id DESC LIMIT 1) AS last WHERE what = 3 AND until = $2";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn is_needless(conn: &mut impl Writer, revoke: &Revoke) -> QueryResult<bool> {
    let Revoked::Lapsed { until: end } = revoke.what else { return Ok(false) };
    let found = conn.rows::<Number>(Statement::new(IS_TO_LAPSE).text(revoke.openid.as_str()).number(end))?;
    Ok(found.first().is_none_or(|found| found.number == 0))
}

impl Command for Revoke {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.openid.as_str().to_owned())
    }

    /// The later of two commits about one user has the higher id.
    fn locks(&self, locks: &mut Locks) {
        locks.user("revokes", self.openid.as_str());
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<(), Refusal>> {
        append(db, self, times.database).map(Ok)
    }
}

/// Adds an entry. On PostgreSQL the user's lock is taken before.
pub(in crate::store) fn append(db: &mut Db<'_>, revoke: &Revoke, now: i64) -> QueryResult<()> {
    if is_needless(db, revoke)? {
        return Ok(());
    }
    let row = RevokedRow::from(revoke.what);
    let decision = revoke.decision.as_deref();
    let decided = (
        reason.eq(decision.and_then(|d| d.reason.as_deref())),
        decided_by.eq(decision.map(|d| d.by.as_str())),
    );
    let entry = (
        openid.eq(revoke.openid.as_str()),
        what.eq(row.what),
        issued_ms.eq(row.issued_ms),
        until.eq(row.until),
        at.eq(now),
    );
    let insert = diesel::insert_into(table).values((entry, decided));
    on_either!(db, conn => insert.execute(*conn)).map(drop)
}
