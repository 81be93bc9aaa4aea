//! The log of revocations. One user's entries have rising ids in the order of their commits, by which a token knows what came before it;
//! of different users' the order may differ, because their transactions overlap.

use std::borrow::Cow;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::batch::{decode, encode};
use super::conn::Conn;
use super::messages::{LogPage, LogQuestion, Query, Revoke, Write};
use super::queries::unreadable;
use super::schema::revocations::{at, id, issued_ms, openid, table, what};
use super::statement::Statement;
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
const POSTGRES_HEAD: &str =
    "SELECT coalesce(max(id), 0) AS newest, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now FROM revocations";

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
                let decisions = [Revoked::Access, Revoked::Nothing].map(|decision| encode(decision).0);
                let (since, above) = (now.saturating_sub(*lifetime_ms), newest.saturating_sub(*newest_ids));
                (rows().filter(what.eq_any(decisions).or(at.ge(since)).or(id.gt(above))).load(conn)?, false)
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

type Row = (i64, String, i16, Option<i64>, i64);

#[diesel::dsl::auto_type]
fn rows() -> _ {
    table.order(id).select((id, openid, what, issued_ms, at))
}

fn known(rows: Vec<Row>) -> QueryResult<Vec<Revocation>> {
    let mut known = Vec::with_capacity(rows.len());
    for (number, user, kind, issued, time) in rows {
        match decode(kind, issued) {
            Some(revoked) => {
                known.push(Revocation { id: number, openid: OpenId::parse(&user).map_err(unreadable)?, what: revoked, at: time });
            }
            None => log::warn!(id = number; "a revocation of a kind that this version does not know was passed over"),
        }
    }
    Ok(known)
}

/// `now`: the store's own time.
pub(super) fn append_on_sqlite(conn: &mut SqliteConnection, revoke: &Revoke, now: i64) -> QueryResult<()> {
    let (kind, issued) = encode(revoke.what);
    let entry = (openid.eq(revoke.openid.as_str()), what.eq(kind), issued_ms.eq(issued), at.eq(now));
    diesel::insert_into(table).values(entry).execute(conn).map(|_| ())
}

/// Within a transaction: those about one user go one after the other, so that the later of two commits has the higher id. All locks are taken
/// at once and in one order, so that no two transactions wait for each other in a circle.
pub(super) fn append_on_postgres<'a>(conn: &mut PgConnection, revokes: impl Iterator<Item = &'a Revoke> + Clone) -> QueryResult<()> {
    const LOCK: Cow<'static, str> = Cow::Borrowed(
        "SELECT count(pg_advisory_xact_lock(k.key)) FROM ( \
             SELECT DISTINCT hashtextextended('hongyan revokes ' || u.openid, 0) AS key \
             FROM unnest(string_to_array($1, ',')) AS u (openid) ORDER BY 1 \
         ) k",
    );
    let users: Vec<_> = revokes.clone().map(|revoke| revoke.openid.as_str()).collect();
    Statement::new(LOCK).text(&users.join(",")).execute(conn)?;
    for revoke in revokes {
        let (kind, issued) = encode(revoke.what);
        let now = sql::<BigInt>("(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
        let entry = (openid.eq(revoke.openid.as_str()), what.eq(kind), issued_ms.eq(issued), at.eq(now));
        diesel::insert_into(table).values(entry).execute(conn)?;
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
