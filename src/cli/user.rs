//! Status of a user, and the nodes where the user is now.

use std::ffi::OsString;

use serde::Serialize;

use super::user_sessions::{self, Live};
use super::{Failure, OnSettings, bans, json_lines, openid, operator, say, table, times};
use crate::ids::OpenId;
use crate::store;
use crate::store::operators::{Acts, OperatorAct, UserOverview, UserStanding};

/// Acts about the user that are shown.
const ACTS: usize = 5;

#[derive(clap::Args, Debug)]
pub(super) struct UserArguments {
    /// The user's openid
    #[arg(value_parser = openid)]
    openid: OpenId,
    /// A JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    on: OnSettings,
}

pub(super) fn user(arguments: UserArguments, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let UserArguments { openid, json, on } = arguments;
    let database = on.load(environment)?.config.database;
    operator::wait_until_known(&database, &openid)?;
    let standing = store::look(&database, &UserOverview { openid: openid.clone() })?;
    if !standing.is_known {
        return Err(Failure::UnknownUser(openid));
    }
    operator::note(&database, "user", openid.as_str());
    let live = user_sessions::ask(&database, &openid);
    if json {
        return say(&json_lines(&[Shown { standing, live }]));
    }
    let target = Some(openid.as_str().to_owned());
    let acts = store::look(&database, &Acts { limit: ACTS, target, ..Acts::default() })?.acts;
    say(&text(&openid, standing, &live, &acts))
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    standing: UserStanding,
    live: Live,
}

fn text(openid: &OpenId, standing: UserStanding, live: &Live, acts: &[OperatorAct]) -> String {
    let now = standing.now;
    let when = |at: Option<i64>| at.map_or_else(|| "not known".to_owned(), |at| times::shown_from(at, now));
    let profile = match (standing.nickname.as_str(), standing.has_avatar) {
        ("", false) => "none".to_owned(),
        (name, has_avatar) => format!("{name:?}{}", if has_avatar { ", with an avatar" } else { "" }),
    };
    let refused = match standing.refused {
        0 => "nothing".to_owned(),
        n => format!("{n} texts or names"),
    };
    let lines = [
        ("openid", openid.as_str().to_owned()),
        ("ban", standing.ban.as_ref().map_or_else(|| "none".to_owned(), |ban| bans::in_words(ban, now))),
        ("first seen", when(standing.first_seen)),
        ("sessions", user_sessions::in_words(live)),
        ("last seen", when(standing.last_seen)),
        ("wrote last", when(standing.last_written)),
        ("last message", when(standing.last_message)),
        (
            "logged out, kicked or banned",
            standing.last_revoked.map_or_else(|| "never".to_owned(), |at| times::shown_from(at, now)),
        ),
        ("profile", profile),
        (
            "conversations",
            format!(
                "{}, of which {} started by the user",
                standing.conversations, standing.conversations_started
            ),
        ),
        ("unread", standing.unread.to_string()),
        ("blocks", format!("{}; blocked by {}", standing.blocks, standing.blocked_by)),
        ("refused by checks", refused),
        ("notices granted", standing.notice_grants.to_string()),
    ];
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text: String =
        lines.iter().map(|(name, value)| format!("{name:width$}  {}\n", table::printable(value))).collect();
    text.push_str(&user_sessions::rows(live, now));
    for OperatorAct { at, via, who, act, detail, outcome, .. } in acts {
        let (outcome, detail) =
            (outcome.as_deref().unwrap_or("unknown"), detail.as_deref().unwrap_or_default());
        let line = format!("{}  {}: {who}  {act}  {outcome}  {detail}", times::shown(*at), via.as_str());
        text.push_str(table::printable(&line).trim_end());
        text.push('\n');
    }
    text
}
