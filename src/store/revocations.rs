//! The log of revocations. One user's entries have rising ids in the order of their commits, by which a token
//! knows what came before it; of different users' the order may differ, because their transactions overlap.

use std::borrow::Cow;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::batch::{DECISIONS, RevokedRow};
use super::conn::Conn;
use super::messages::{LogPage, LogQuestion, Query, Revoke, Write};
use super::queries::unreadable;
use super::schema::revocations::{at, decided_by, id, issued_ms, openid, reason, table, until, what};
use super::statement::{Statement, Writer};
use crate::event::revocation::{Revocation, Revoked};
use crate::ids::OpenId;

/// Entries of one page.
const PAGE: i64 = 10_000;

/// A question, and the store's own time at which it came (PostgreSQL's is asked for there).
pub(super) struct LogQuestionAt {
    pub(super) question: LogQuestion,
    pub(super) now: i64,
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

/// `now`: the store's own time.
pub(super) fn append_on_sqlite(conn: &mut SqliteConnection, revoke: &Revoke, now: i64) -> QueryResult<()> {
    if is_needless(conn, revoke)? {
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
    diesel::insert_into(table).values((entry, decided)).execute(conn).map(|_| ())
}

/// Within a transaction: those about one user go one after the other, so that the later of two commits has
/// the higher id. All locks are taken at once and in one order, so that no two transactions wait for each
/// other in a circle.
pub(super) fn append_on_postgres<'a>(
    conn: &mut PgConnection,
    revokes: impl Iterator<Item = &'a Revoke> + Clone,
) -> QueryResult<()> {
    const LOCK: Cow<'static, str> = Cow::Borrowed(
        "SELECT count(pg_advisory_xact_lock(k.key)) FROM ( \
             SELECT DISTINCT hashtextextended('hongyan revokes ' || u.openid, 0) AS key \
             FROM unnest(string_to_array($1, ',')) AS u (openid) ORDER BY 1 \
         ) k",
    );
    let users: Vec<_> = revokes.clone().map(|revoke| revoke.openid.as_str()).collect();
    Statement::new(LOCK).text(&users.join(",")).execute(conn)?;
    for revoke in revokes {
        if is_needless(conn, revoke)? {
            continue;
        }
        let row = RevokedRow::from(revoke.what);
        let now = sql::<BigInt>("(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
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
        diesel::insert_into(table).values((entry, decided)).execute(conn)?;
    }
    Ok(())
}

/// The revocations of a batch.
pub(super) fn of(writes: &[Write]) -> impl Iterator<Item = &Revoke> + Clone {
    writes.iter().filter_map(|write| match write {
        Write::Revoke(revoke) => Some(revoke),
        _ => None,
    })
}
