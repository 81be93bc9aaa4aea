//! The list of bans.

use std::ffi::OsString;

use super::{Failure, OnSettings, say, table, times};
use crate::store;
use crate::store::revocations::{Ban, Bans};

#[derive(clap::Args, Debug)]
pub(super) struct BansArguments {
    /// How many, the newest first
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    on: OnSettings,
}

pub(super) fn bans(arguments: &BansArguments, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let database = arguments.on.load(environment)?.config.database;
    let page = store::look(&database, &Bans { limit: arguments.limit as usize, before: None })?;
    if arguments.json {
        return say(&super::json_lines(&page.bans));
    }
    if page.bans.is_empty() {
        return say("nobody is banned\n");
    }
    let rows: Vec<[String; 5]> = page.bans.into_iter().map(|ban| row(ban, page.now)).collect();
    let more = if page.has_more { "there are more: --limit\n" } else { "" };
    say(&format!("{}{more}", table::columns(["OPENID", "SINCE", "UNTIL", "BY", "REASON"], &rows)))
}

fn row(ban: Ban, now: i64) -> [String; 5] {
    let until = ban.until.map_or_else(|| "for good".to_owned(), |until| times::shown_from(until, now));
    [
        ban.openid.as_str().to_owned(),
        times::shown(ban.at),
        until,
        ban.by.unwrap_or_default(),
        ban.reason.unwrap_or_default(),
    ]
}

/// A ban in one line.
pub(super) fn in_words(ban: &Ban, now: i64) -> String {
    let end = ban
        .until
        .map_or_else(|| "for good".to_owned(), |until| format!("until {}", times::shown_from(until, now)));
    let by = ban.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let reason = ban.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    table::printable(&format!("banned {end}, since {}{by}{reason}", times::shown(ban.at)))
}
