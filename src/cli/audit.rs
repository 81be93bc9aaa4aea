//! The log of what operators did.

use std::ffi::OsString;

use super::{Failure, OnSettings, say, table, times};
use crate::store;
use crate::store::operators::{Acts, OperatorAct};

#[derive(clap::Args, Debug)]
pub(super) struct AuditArguments {
    /// Only what was done to this openid, or to whatever else an act names
    #[arg(long, value_name = "TARGET")]
    of: Option<String>,
    /// Only what was done in the last 30m, 12h, 7d, 4w
    #[arg(long, value_name = "DURATION", value_parser = times::duration)]
    since: Option<i64>,
    /// How many, the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    on: OnSettings,
}

/// Prints the newest last, as logs are read.
pub(super) fn audit(
    arguments: &AuditArguments,
    environment: Vec<(OsString, OsString)>,
) -> Result<(), Failure> {
    let database = arguments.on.load(environment)?.config.database;
    let since = arguments.since.map(|ms| crate::ids::now_ms().saturating_sub(ms));
    let acts = Acts { limit: arguments.limit as usize, before: None, target: arguments.of.clone(), since };
    let mut page = store::look(&database, &acts)?;
    page.acts.reverse();
    if arguments.json {
        return say(&super::json_lines(&page.acts));
    }
    if page.acts.is_empty() {
        return say("nothing was done\n");
    }
    let rows: Vec<[String; 6]> = page.acts.into_iter().map(row).collect();
    let more = if page.has_more { "there are older ones: --limit\n" } else { "" };
    say(&format!("{more}{}", table::columns(["TIME", "WHO", "ACT", "TARGET", "OUTCOME", "DETAIL"], &rows)))
}

fn row(act: OperatorAct) -> [String; 6] {
    let OperatorAct { at, via, who, act, target, detail, outcome, .. } = act;
    let text = Option::unwrap_or_default;
    [
        times::shown(at),
        format!("{}: {who}", via.as_str()),
        act,
        text(target),
        outcome.unwrap_or_else(|| "unknown".to_owned()),
        text(detail),
    ]
}
