//! Bans, pardons and kicks, beside a server that may be running.

use std::ffi::OsString;

use super::operator::{operate, wait_until_known};
use super::{Failure, OnSettings, OnUser, bans, openid, say, times};
use crate::event::revocation::Revoked;
use crate::ids::OpenId;
use crate::store::Revoking;

/// Characters of a reason.
const REASON_CHARS: usize = 500;

#[derive(clap::Args, Debug)]
pub(super) struct BanArguments {
    /// The user's openid
    #[arg(value_parser = openid)]
    openid: OpenId,
    /// Why, for the list of bans and the audit log; the user is not told
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    /// When it ends: 2026-12-24, 2026-12-24T08:00 (by this machine's time zone) or with an offset; without an
    /// end it is for good
    #[arg(long, value_name = "TIME", value_parser = times::moment, conflicts_with = "length_ms")]
    until: Option<i64>,
    /// How long it lasts: 30m, 12h, 7d, 4w
    #[arg(long = "for", value_name = "DURATION", value_parser = times::duration)]
    length_ms: Option<i64>,
    /// Also somebody who was never seen here
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    on: OnSettings,
}

fn reason(text: &str) -> Result<String, String> {
    let fits = (1..=REASON_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("a reason is one line of 1 to {REASON_CHARS} characters"))
    }
}

pub(super) fn ban(arguments: BanArguments, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let BanArguments { openid, reason, until, length_ms, force, on } = arguments;
    let database = on.load(environment)?.config.database;
    let revoke = Revoking {
        openid: &openid,
        what: Revoked::Access { until },
        for_ms: length_ms,
        reason: reason.clone(),
        known_only: !force,
    };
    let end = until.map(|until| format!("until {}", times::shown(until)));
    let length = length_ms.map(|ms| format!("for {}", times::stretch(ms)));
    let detail: Vec<String> = [end.or(length), reason].into_iter().flatten().collect();
    if !force {
        wait_until_known(&database, &openid)?;
    }
    let done = operate(&database, "ban", openid.as_str(), Some(detail.join(": ")), Some(revoke))?;
    if done.is_unknown && !force {
        return Err(Failure::UnknownToBan(openid));
    }
    let end = done.until.map_or_else(
        || "for good".to_owned(),
        |until| format!("until {}", times::shown_from(until, done.now)),
    );
    let past = if done.until.is_some_and(|until| until <= done.now) {
        "; that has passed, and the user may log in"
    } else {
        ""
    };
    let before = done
        .ban_before
        .map_or_else(String::new, |ban| format!(" (before: {})", bans::in_words(&ban, done.now)));
    say(&format!("{openid} banned {end}{past}{before}\n"))
}

pub(super) fn unban(user: OnUser, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let OnUser { openid, on } = user;
    let database = on.load(environment)?.config.database;
    wait_until_known(&database, &openid)?;
    let done = operate(&database, "unban", openid.as_str(), None, Some(revoking(&openid, Revoked::Nothing)))?;
    let unknown = remark(done.is_unknown);
    match done.ban_before {
        Some(ban) => {
            say(&format!("{openid} may log in again (before: {})\n", bans::in_words(&ban, done.now)))
        }
        None => say(&format!("{openid} was not banned; nothing was changed{unknown}\n")),
    }
}

pub(super) fn kick(user: OnUser, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let OnUser { openid, on } = user;
    let database = on.load(environment)?.config.database;
    wait_until_known(&database, &openid)?;
    let done = operate(&database, "kick", openid.as_str(), None, Some(revoking(&openid, Revoked::Sessions)))?;
    say(&format!("{openid} kicked{}\n", remark(done.is_unknown)))
}

fn revoking(openid: &OpenId, what: Revoked) -> Revoking<'_> {
    Revoking { openid, what, for_ms: None, reason: None, known_only: false }
}

fn remark(is_unknown: bool) -> &'static str {
    if is_unknown { " (nobody has seen this user here: is the openid right?)" } else { "" }
}
