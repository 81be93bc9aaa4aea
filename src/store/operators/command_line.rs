//! Acts of operators on the command line, beside a server that may be running.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::config::{self, DatabaseUrl};
use crate::event::revocation::Revoked;
use crate::ids::{OpenId, now_ms};
use crate::store::database::conn::{self};
use crate::store::database::error::OpenError;
use crate::store::database::statement::Writer;
use crate::store::lanes::command::{Db, Locks, Times};
use crate::store::operators::acts::record;
use crate::store::operators::standing::{Number, is_known};
use crate::store::operators::{OperatorAct, Via};
use crate::store::revocations::{Ban, BanDecision, BanRow, Revoke, ban_in_force, log};

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
            log::append(db, &Revoke { openid: (*openid).clone(), what, decision }, times.database)?;
        }
    }
    let mut entry = OperatorAct::new(now, Via::CommandLine, who, *act);
    entry.target = target.map(str::to_owned);
    entry.detail.clone_from(detail);
    entry.outcome = Some(if is_refused { "unknown user" } else { "done" }.to_owned());
    record(db, &entry)?;
    Ok(done)
}
