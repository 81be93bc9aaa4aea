//! `hongyan trace`: has every node write a line for each hop of one user's messages, for some minutes.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Failure, OnSettings, openid, operator, say};
use crate::ids::OpenId;
use crate::logging;
use crate::store::{self, TraceChange, TracedUser};
use crate::trace::{TARGET, USERS_AT_MOST};

/// Minutes that a trace may last: a day. It is for looking at something now.
const MINUTES_AT_MOST: i64 = 1_440;

#[derive(clap::Args, Debug)]
pub(super) struct Trace {
    /// The user's openid; without one it prints who is traced
    #[arg(value_parser = openid)]
    openid: Option<OpenId>,
    /// How long the trace lasts; it ends by itself
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=MINUTES_AT_MOST))]
    minutes: u32,
    /// End it now
    #[arg(long, requires = "openid", conflicts_with = "minutes")]
    stop: bool,
    #[command(flatten)]
    on: OnSettings,
}

pub(super) fn run(asked: &Trace, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let config = asked.on.load(environment)?.config;
    logging::init(&config.log)?;
    let lasts = Duration::from_secs(u64::from(asked.minutes) * 60);
    let change = match (&asked.openid, asked.stop) {
        (Some(openid), false) => TraceChange::Begin { openid, lasts, at_most: USERS_AT_MOST },
        (Some(openid), true) => TraceChange::End { openid },
        (None, _) => TraceChange::Nothing,
    };
    let traced = store::change_traces(&config.database, change)?;
    if let Some(openid) = &asked.openid {
        operator::note(&config.database, if asked.stop { "untrace" } else { "trace" }, openid.as_str());
    }
    say(&match (&asked.openid, asked.stop) {
        (Some(openid), false) => begun(openid, asked.minutes),
        (Some(openid), true) => format!("{openid} is traced no more, on every node within 2 s\n"),
        (None, _) => list(&traced),
    })
}

fn list(traced: &[TracedUser]) -> String {
    if traced.is_empty() {
        return "nobody is traced\n".to_owned();
    }
    let mut out = String::new();
    for TracedUser { openid, left } in traced {
        let _ = writeln!(out, "{openid}  {} s left", left.as_secs());
    }
    out
}

fn begun(openid: &OpenId, minutes: u32) -> String {
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    format!(
        "{openid} is traced for {minutes} {unit} from now: every node writes its lines within 2 s, and ends by itself
(hongyan trace {openid} --stop ends it now; hongyan trace shows who is traced)

The lines stand in each node's log under {TARGET}: who, which message, when; never what was written.
    journalctl -u 'hongyan*' -f -o cat | grep {TARGET}
    docker compose logs -f --no-log-prefix | grep {TARGET}
    kubectl logs -f -l app.kubernetes.io/name=hongyan --all-containers | grep {TARGET}

One message over all nodes, with log.format = \"json\", from the collected logs of all of them:
    {}
",
        recipe("CLIENT_MSG_ID")
    )
}

/// The line by which a shell puts one message's hops in order, whichever node wrote them.
pub(super) fn recipe(client_msg_id: &str) -> String {
    format!(
        "cat LOGS | grep {TARGET} | jq -rs 'map(select(.client_msg_id == \"{client_msg_id}\")) | sort_by(.at_us) | .[0].at_us as $began \
         | .[] | \"\\(.at_us - $began) us\\t\\(.node)\\t\\(.msg)\\t\\(.user // .from)\\tseq \\(.seq // \"-\")\"'"
    )
}
