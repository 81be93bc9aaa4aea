//! `hongyan status`: how the nodes stand, as a table. This node is asked over its operators' port, the others
//! by what they write into the database beside their heartbeats, so that a node which hangs or was killed is
//! seen by its silence.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Serialize;

use super::{Failure, OnSettings, healthcheck, say, table};
use crate::config::{Config, Listen};
use crate::ids::now_ms;
use crate::node::{NodeStatus, name_of, start_of};
use crate::store::{self, ShownNode};

#[derive(clap::Args, Debug)]
pub(super) struct Status {
    /// Print it anew every so many seconds, until it is ended
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    on: OnSettings,
}

/// All that is known of the nodes at one moment.
#[derive(Debug, Serialize)]
struct Overview {
    nodes: Vec<Shown>,
    /// What could not be asked, and why.
    problems: Vec<String>,
}

/// One node.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    status: NodeStatus,
    /// Whether it is the one whose operators' port answered.
    is_this: bool,
    /// Milliseconds since it was heard.
    age_ms: i64,
    is_heard: bool,
}

pub(super) fn run(asked: &Status, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let config = asked.on.load(environment)?.config;
    loop {
        let overview = look(&config);
        let text = if asked.json { json(&overview) } else { text(&overview) };
        let Some(seconds) = asked.watch else {
            say(&text)?;
            let all_well = overview.problems.is_empty()
                && overview.nodes.iter().all(|node| node.is_heard && node.status.is_well());
            return if all_well { Ok(()) } else { Err(Failure::NotWell) };
        };
        // The top of the screen, and nothing below.
        let clears = std::io::stdout().is_terminal() && !asked.json;
        say(&format!("{}{text}", if clears { "\x1b[H\x1b[2J" } else { "" }))?;
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

fn look(config: &Config) -> Overview {
    let mut problems = Vec::new();
    let this = match ask(config) {
        Ok(status) => Some(status),
        Err(why) => {
            problems.push(why);
            None
        }
    };
    let others = store::nodes(&config.database).unwrap_or_else(|error| {
        problems.push(format!("other nodes are not shown: {error}"));
        Vec::new()
    });
    Overview { nodes: merge(this, others), problems }
}

/// Asks the operators' port.
pub(super) fn ask(config: &Config) -> Result<NodeStatus, String> {
    let Some(at) = config.ops.listen else {
        return Err("this node cannot be asked: ops.listen is empty".to_owned());
    };
    let answer = healthcheck::exchange(&Listen::Tcp(at), "/status");
    let answer = answer
        .map_err(|error| format!("this node does not answer at {at} (ops.listen): {error}; is it running? (journalctl -u 'hongyan*')"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    match serde_json::from_str(body) {
        Ok(status) if head.starts_with("HTTP/1.1 200 ") => Ok(status),
        _ if head.starts_with("HTTP/1.1 503 ") => {
            Err(format!("this node at {at} waits for its database; hongyan healthcheck says more"))
        }
        _ => Err(format!(
            "{at} (ops.listen) answers {}; is this hongyan older than this command?",
            head.lines().next().unwrap_or_default()
        )),
    }
}

/// One row a node: what the node itself says goes before what stands in the database. A start that is not
/// heard is left out where a later one of the same node is.
fn merge(this: Option<NodeStatus>, others: Vec<ShownNode>) -> Vec<Shown> {
    let id = |status: &NodeStatus| format!("{}~{}", status.node, status.start);
    let own = this.as_ref().map(id);
    let mut nodes: Vec<Shown> =
        this.into_iter().map(|status| Shown { status, is_this: true, age_ms: 0, is_heard: true }).collect();
    for ShownNode { name, version, age_ms, status } in others {
        if own.as_ref() == Some(&name) {
            continue;
        }
        let mut status: NodeStatus = serde_json::from_str(&status).unwrap_or_default();
        (status.node, status.start) = (name_of(&name).to_owned(), start_of(&name).to_owned());
        status.version = version;
        nodes.push(Shown {
            status,
            is_this: false,
            age_ms: age_ms.max(0),
            is_heard: age_ms < store::NODE_ALIVE_MS,
        });
    }
    let alive: HashSet<String> =
        nodes.iter().filter(|node| node.is_heard).map(|node| node.status.node.clone()).collect();
    nodes.retain(|node| node.is_heard || !alive.contains(&node.status.node));
    nodes.sort_by(|a, b| (&a.status.node, &a.status.start).cmp(&(&b.status.node, &b.status.start)));
    nodes
}

fn json(overview: &Overview) -> String {
    serde_json::to_string(overview).map(|text| text + "\n").unwrap_or_default()
}

fn text(overview: &Overview) -> String {
    let titles =
        ["NODE", "VERSION", "UP", "SESSIONS", "MSG/S", "DATABASE", "RELAY", "NOTICES", "QUEUE", "HEARD"];
    let rows: Vec<_> = overview.nodes.iter().map(row).collect();
    let mut out = table::columns(titles, &rows);
    let heard = || overview.nodes.iter().filter(|node| node.is_heard);
    if heard().count() > 1 {
        let sessions: i64 = heard().map(|node| node.status.sessions).sum();
        let rate: f64 = heard().map(|node| node.status.messages_per_second).sum();
        out.push_str(&format!("{} nodes, {sessions} sessions, {rate:.1} messages/s\n", heard().count()));
    }
    let mut names = HashSet::new();
    for node in heard() {
        if !names.insert(node.status.node.as_str()) {
            out.push_str(&format!(
                "two nodes are called {}: give each a server.node of its own\n",
                table::printable(&node.status.node)
            ));
        }
    }
    for problem in &overview.problems {
        out.push_str(&format!("{}\n", table::printable(problem)));
    }
    out
}

fn row(node: &Shown) -> [String; 10] {
    let Shown { status, is_this, age_ms, is_heard } = node;
    let known = |text: String| if status.up_since_ms == 0 || !is_heard { "-".to_owned() } else { text };
    let relay = match status.relay.as_str() {
        "off" => "off".to_owned(),
        state => format!("{state}, hears {}", status.hears),
    };
    let notices = match status.notices.as_str() {
        "off" => "off".to_owned(),
        state => format!("{state}, {} wait", status.notices_pending),
    };
    let heard = match (is_this, is_heard) {
        (true, _) if status.draining => "now, draining".to_owned(),
        (true, _) => "now".to_owned(),
        (false, true) => {
            format!("{} s ago{}", age_ms / 1_000, if status.draining { ", draining" } else { "" })
        }
        (false, false) => format!("not heard since {}", ago(*age_ms)),
    };
    [
        status.node.clone(),
        status.version.clone(),
        known(span((now_ms() - status.up_since_ms).max(0))),
        known(status.sessions.to_string()),
        known(format!("{:.1}", status.messages_per_second)),
        known(status.database.clone()),
        known(relay),
        known(notices),
        known(status.writes_in_flight.to_string()),
        heard,
    ]
}

fn ago(ms: i64) -> String {
    format!("{} ago", span(ms))
}

/// A span by its two largest units.
fn span(ms: i64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, age_ms: i64) -> ShownNode {
        let status = r#"{"up_since_ms":1,"sessions":4,"database":"ok","relay":"ok","notices":"off"}"#;
        ShownNode { name: name.to_owned(), version: "0.1.0".to_owned(), age_ms, status: status.to_owned() }
    }

    #[test]
    fn silence_is_shown_until_the_node_is_back() {
        let this = NodeStatus {
            node: "a".into(),
            start: "1".into(),
            sessions: 9,
            up_since_ms: 1,
            ..NodeStatus::default()
        };
        let nodes = merge(
            Some(this),
            vec![shown("a~1", 1_500), shown("b~2", 200_000), shown("c~3", 90_000), shown("c~4", 1_000)],
        );
        let heard: Vec<_> = nodes
            .iter()
            .map(|node| (node.status.node.as_str(), node.status.start.as_str(), node.is_heard))
            .collect();
        assert_eq!(heard, [("a", "1", true), ("b", "2", false), ("c", "4", true)]);
        assert_eq!(nodes[0].status.sessions, 9, "what the node says itself");
        let out = text(&Overview { nodes, problems: vec!["x".into()] });
        assert!(
            out.contains("not heard since 3 min 20 s ago")
                && out.contains("2 nodes, 13 sessions")
                && out.ends_with("\nx\n"),
            "{out}"
        );
    }

    #[test]
    fn a_node_of_the_release_before_has_a_row_without_figures() {
        let old = ShownNode { status: String::new(), ..shown("0123456789abcdef", 500) };
        let nodes = merge(None, vec![old]);
        assert_eq!(row(&nodes[0])[..4], ["0123456789abcdef", "0.1.0", "-", "-"]);
    }

    #[test]
    fn two_nodes_of_one_name_are_told_of() {
        let out = text(&Overview {
            nodes: merge(None, vec![shown("a~1", 0), shown("a~2", 0)]),
            problems: Vec::new(),
        });
        assert!(out.contains("two nodes are called a"), "{out}");
    }
}
