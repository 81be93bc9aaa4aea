//! deploy/prometheus and deploy/grafana: every alarm rings when it should and keeps still when it should, by
//! promtool's own unit tests over the series that the server shows; every metric that they name is one, and
//! every alarm has its entry in the manual.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;

use hongyan::metrics::Metrics;
use serde_json::Value;

use crate::{root, text};

const RULES: &str = "deploy/prometheus/rules.yml";
const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// promtool beside the Prometheus that `make test` finds or installs; `None` (and a word on why) without one.
pub fn promtool() -> Option<PathBuf> {
    let found = std::env::var("HONGYAN_TEST_PROMETHEUS")
        .ok()
        .map(|path| PathBuf::from(path).with_file_name("promtool"));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        println!(
            "skipped: HONGYAN_TEST_PROMETHEUS names no Prometheus with promtool beside it; `make test` looks for them"
        );
    }
    found
}

fn promtool_says(arguments: &[&str]) {
    let Some(promtool) = promtool() else { return };
    let out = Command::new(promtool).args(arguments).current_dir(root()).output().unwrap();
    assert!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// The alarms, by name.
fn alarms() -> BTreeMap<String, Value> {
    let rules: Value = serde_saphyr::from_str(&text(RULES)).unwrap();
    let of_group = |group: &Value| group["rules"].as_array().unwrap().clone();
    let all: Vec<Value> = rules["groups"].as_array().unwrap().iter().flat_map(of_group).collect();
    let named: BTreeMap<_, _> =
        all.iter().map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule.clone())).collect();
    assert_eq!(named.len(), all.len(), "two alarms of one name");
    named
}

/// Every series that a server shows at its start, and every name with the suffixes of its type.
fn shown() -> (Vec<String>, BTreeSet<String>) {
    let text = Metrics::new().encode_prometheus();
    let series = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect();
    let mut names = BTreeSet::new();
    for (name, kind) in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
        let ends: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        names.extend(ends.iter().map(|end| format!("{name}{end}")));
    }
    (series, names)
}

/// The names of metrics in a PromQL expression, but those of Prometheus itself and of node_exporter.
pub fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("hongyan_") || word.starts_with("process_")).collect()
}

#[test]
fn the_files_are_what_prometheus_takes() {
    promtool_says(&["check", "config", "deploy/prometheus/prometheus.yml"]);
    promtool_says(&["check", "rules", "--lint=all", "--lint-fatal", RULES]);
}

#[test]
fn what_the_server_shows_is_what_prometheus_takes() {
    let Some(promtool) = promtool() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), Metrics::new().encode_prometheus()).unwrap();
    let out = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(fs::File::open(file.path()).unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{}", String::from_utf8_lossy(&out.stdout));
    assert!(out.status.success());
}

#[test]
fn every_metric_that_is_named_is_shown() {
    let (_, names) = shown();
    let mut seen = 0;
    for (alarm, rule) in alarms() {
        for name in metrics_in(rule["expr"].as_str().unwrap()) {
            assert!(names.contains(name), "{alarm} asks for {name}");
            seen += 1;
        }
    }
    for expression in dashboard_expressions() {
        for name in metrics_in(&expression) {
            assert!(names.contains(name), "the dashboard asks for {name}");
            seen += 1;
        }
    }
    assert!(seen > 100);
}

#[test]
fn every_alarm_has_its_entry_in_the_manual() {
    let manual = text("docs/OPERATIONS.md");
    let entries: Vec<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("#### "))
        .filter(|name| !name.contains(' '))
        .collect();
    let alarms = alarms();
    for (name, rule) in &alarms {
        let runbook = rule["annotations"]["runbook"].as_str().unwrap();
        assert_eq!(runbook, format!("docs/OPERATIONS.md#{}", name.to_lowercase()));
        assert!(entries.contains(&name.as_str()), "{name} has no entry");
        assert!(["page", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        let (_, entry) = manual.split_once(&format!("\n#### {name}\n")).unwrap();
        let entry = entry.split("\n#").next().unwrap().trim();
        assert!(entry.len() > 100, "{name}: {entry}");
    }
    for entry in entries {
        assert!(alarms.contains_key(entry), "{entry} is no alarm");
    }
}

/// Every expression of the dashboard, with Grafana's variables filled in.
pub fn dashboard_expressions() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/hongyan.json")).unwrap();
    let mut found = Vec::new();
    collect(&dashboard, &mut found);
    assert!(found.len() > 40, "{}", found.len());
    let filled: Vec<_> =
        found.iter().map(|e| e.replace("$instance", ".*").replace("$__rate_interval", "1m")).collect();
    assert!(filled.iter().all(|e| !e.contains('$')), "a variable that this test does not know");
    filled
}

#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let rules: String = dashboard_expressions().iter().enumerate().fold(
        "groups:\n- name: d\n  rules:\n".to_owned(),
        |mut all, (n, e)| {
            writeln!(all, "  - record: d:{n}\n    expr: {}", serde_json::to_string(e).unwrap()).unwrap();
            all
        },
    );
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    fs::write(file.path(), rules).unwrap();
    promtool_says(&["check", "rules", "--lint=none", file.path().to_str().unwrap()]);
}

#[test]
fn the_dashboard_fits_its_provisioning_and_shows_each_number_once() {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/hongyan.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut places = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{}", panel["title"]);
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(place), "{} lies on another panel", panel["title"]);
        }
        let asks = panel["targets"].as_array();
        assert!(
            panel["type"] == "row"
                || asks
                    .is_some_and(|asks| asks.iter().all(|ask| ask["datasource"]["uid"] == "${datasource}"))
        );
    }
    let compose = text("compose.yaml");
    for mounted in ["deploy/grafana/hongyan.json", "deploy/grafana/provisioning", "deploy/prometheus"] {
        assert!(compose.contains(&format!("./{mounted}:")) && root().join(mounted).exists(), "{mounted}");
    }
    let provider = text("deploy/grafana/provisioning/dashboards/hongyan.yml");
    assert!(
        provider.contains("path: /var/lib/grafana/dashboards")
            && compose.contains(":/var/lib/grafana/dashboards/")
    );
    let source: Value =
        serde_saphyr::from_str(&text("deploy/grafana/provisioning/datasources/prometheus.yml")).unwrap();
    assert_eq!(source["datasources"][0]["url"], "http://prometheus:9090");
}

/// Samples before something happens.
const BEFORE: usize = 120;
/// Samples in all, and more.
const SAMPLES: usize = 700;

/// A value that changes.
fn step(before: f64, after: f64) -> String {
    format!("{before}+0x{} {after}+0x{SAMPLES}", BEFORE - 1)
}

/// A counter that rises by so much a sample.
fn rises(before: f64, after: f64) -> String {
    let at = before * BEFORE as f64;
    format!("0+{before}x{} {at}+{after}x{SAMPLES}", BEFORE - 1)
}

/// Values of a series on one node, or on all.
struct Change {
    node: Option<&'static str>,
    /// A series, or the beginning of several.
    series: &'static str,
    values: String,
}

fn everywhere(series: &'static str, values: String) -> Change {
    Change { node: None, series, values }
}

fn on(node: &'static str, series: &'static str, values: String) -> Change {
    Change { node: Some(node), series, values }
}

/// First value and rise at each sample of a series on a healthy node.
fn healthy(series: &str) -> (f64, f64) {
    let stands = match series {
        "up"
        | "hongyan_ready"
        | "hongyan_database_up"
        | "hongyan_wechat_up"
        | "hongyan_relay_up"
        | "hongyan_certificate_seen" => 1.0,
        "hongyan_relay_nodes" => 2.0,
        "hongyan_sessions" => 1_000.0,
        "hongyan_sessions_limit" => 10_000.0,
        "hongyan_writes_in_flight" => 20.0,
        "hongyan_writes_in_flight_limit" => 16_384.0,
        "hongyan_reads_in_flight" => 3.0,
        "hongyan_reads_in_flight_limit" => 512.0,
        "hongyan_notices_pending" => 500.0,
        "hongyan_notices_pending_limit" => 100_000.0,
        "hongyan_database_bytes" => 5e9,
        "hongyan_disk_free_bytes" => 6e10,
        "hongyan_disk_size_bytes" => 1e11,
        "hongyan_certificate_expiry_timestamp_seconds" => 7_776_000.0,
        "process_open_fds" => 1_100.0,
        "process_max_fds" => 262_144.0,
        name if name.starts_with("hongyan_build_info") => 1.0,
        _ => 0.0,
    };
    // Some of each goes wrong on any day.
    let rises = match series {
        r#"hongyan_errors_total{error="unavailable"}"# => 0.1,
        r#"hongyan_errors_total{error="rate_limited"}"# => 5.0,
        r#"hongyan_wechat_calls_total{call="code2session",result="ok"}"# => 30.0,
        r#"hongyan_wechat_calls_total{call="code2session",result="timeout"}"# => 1.0,
        r#"hongyan_session_closes_total{code="4002",reason="slow_consumer"}"# => 1.0,
        r#"hongyan_handshakes_refused_total{error="too_fast"}"# => 2.0,
        name if is_bucket_from(name, 0.01) => 100.0,
        _ => 0.0,
    };
    (stands, rises)
}

/// Whether it counts what took no longer than a time that is at least `seconds`.
fn is_bucket_from(series: &str, seconds: f64) -> bool {
    let is_time = series.starts_with("hongyan_commit_seconds_bucket")
        || series.starts_with("hongyan_read_seconds_bucket");
    let bound = series.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
    is_time && bound.is_some_and(|bound| bound == "+Inf" || bound.parse::<f64>().unwrap() >= seconds)
}

/// A time in which something happens, or nothing, and the alarms that it rings.
struct Scenario {
    name: &'static str,
    interval: &'static str,
    /// Each with the samples that it is there for.
    nodes: Vec<(&'static str, Range<usize>)>,
    changes: Vec<Change>,
    /// Series of none of the nodes.
    others: Vec<(String, String)>,
    /// Series without which it is.
    without: &'static [&'static str],
    rings: &'static [&'static str],
}

/// Over an hour and more, looked at every 15 s.
fn hour<const N: usize>(
    name: &'static str,
    changes: [Change; N],
    rings: &'static [&'static str],
) -> Scenario {
    let changes = changes.into_iter().collect();
    Scenario { name, interval: "15s", nodes: nodes(&NODES), changes, others: Vec::new(), without: &[], rings }
}

/// Over a day, looked at every minute.
fn day<const N: usize>(name: &'static str, changes: [Change; N], rings: &'static [&'static str]) -> Scenario {
    Scenario { interval: "1m", ..hour(name, changes, rings) }
}

impl Scenario {
    /// As promtool reads it.
    fn test(&self, series: &[String]) -> Value {
        let mut input = Vec::new();
        let mut add = |series: String, values: &str| {
            input.push(serde_json::json!({ "series": series, "values": values }))
        };
        for (node, life) in &self.nodes {
            for series in
                series.iter().filter(|series| !self.without.contains(&series.split('{').next().unwrap()))
            {
                // One of many that stands at 0 all the time rings nothing.
                let is_still = series.contains('{') && healthy(series) == (0.0, 0.0);
                if is_still && !self.changes.iter().any(|change| series.starts_with(change.series)) {
                    continue;
                }
                let is_of = |change: &&Change| {
                    let rest = series.strip_prefix(change.series);
                    change.node.is_none_or(|n| n == *node)
                        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                };
                let (first, rise) = healthy(series);
                let samples = life.len() - 1;
                let values = format!("_x{} {first}+{rise}x{samples} stale", life.start)
                    .trim_start_matches("_x0 ")
                    .to_owned();
                add(
                    labelled(series, node),
                    &self.changes.iter().rfind(is_of).map_or(values, |change| change.values.clone()),
                );
            }
        }
        self.others.iter().for_each(|(series, values)| add(series.clone(), values));
        let expected: Vec<_> = self
            .rings
            .iter()
            .map(|alarm| serde_json::json!({ "labels": format!("{{alertname=\"{alarm}\"}}"), "value": 1 }))
            .collect();
        let (before, all) = if self.interval == "1m" { ("119m", "10h") } else { ("29m", "75m") };
        let rang = |within: &str| {
            format!("group by (alertname) (max_over_time(ALERTS{{alertstate=\"firing\"}}[{within}]))")
        };
        // Of what happened at once nothing has rung before.
        serde_json::json!({ "name": self.name, "interval": self.interval, "input_series": input, "promql_expr_test": [
            { "expr": rang(before), "eval_time": before, "exp_samples": [] },
            { "expr": rang(all), "eval_time": all, "exp_samples": expected },
        ]})
    }
}

fn labelled(series: &str, node: &str) -> String {
    match series.split_once('{') {
        Some((name, labels)) => format!("{name}{{job=\"hongyan\",instance=\"{node}\",{labels}"),
        None => format!("{series}{{job=\"hongyan\",instance=\"{node}\"}}"),
    }
}

/// A node that is away for a moment, and comes back as another release with counters at 0.
fn upgraded(node: &'static str, at: usize) -> Vec<Change> {
    const GONE: &str = "stale _x2";
    let (before, after) = (at - 1, SAMPLES - at);
    let counted = |burst: usize| format!("0+0x{} {burst} {GONE} 0+0x{after}", before - 1);
    vec![
        on(node, "up", format!("1+0x{before} 0+0x2 1+0x{after}")),
        on(node, "process_start_time_seconds", format!("0+0x{before} {GONE} {}+0x{after}", at * 15)),
        on(node, "hongyan_build_info", format!("1+0x{before} stale")),
        on(node, "hongyan_ready", format!("1+0x{} 0 {GONE} 1+0x{after}", before - 1)),
        // Not connected yet at the first look.
        on(node, "hongyan_relay_up", format!("1+0x{before} {GONE} 0 1+0x{after}")),
        // What those are told who come during the drain.
        on(node, r#"hongyan_errors_total{error="unavailable"}"#, counted(60)),
        on(node, r#"hongyan_handshakes_refused_total{error="draining"}"#, counted(800)),
        on(node, r#"hongyan_handshakes_refused_total{error="too_fast"}"#, counted(90)),
        on(node, r#"hongyan_session_closes_total{code="4001",reason="draining"}"#, counted(1_000)),
        on(node, r#"hongyan_session_closes_total{code="4002",reason="slow_consumer"}"#, counted(5)),
    ]
}

/// Sessions of all nodes while these are upgraded at these samples: whoever is told to leave comes to a node
/// that is there, half of them by the next sample.
fn sessions_during(upgrade: &[(&'static str, usize)]) -> Vec<Change> {
    let mut sessions = vec![1_000; upgrade.len()];
    let (mut homeless, mut told) = (0, vec![String::new(); upgrade.len()]);
    for sample in 0..300 {
        let is_there: Vec<bool> = upgrade.iter().map(|(_, at)| !(at - 1..at + 3).contains(&sample)).collect();
        for (node, (_, at)) in upgrade.iter().enumerate().filter(|(_, (_, at))| at - 1 == sample) {
            homeless += std::mem::take(&mut sessions[node]);
            assert!(sample < *at);
        }
        let takers = is_there.iter().filter(|is_there| **is_there).count();
        let coming = if homeless < 10 { homeless } else { homeless / 2 };
        for node in (0..upgrade.len()).filter(|node| is_there[*node]) {
            sessions[node] += coming / takers;
            homeless -= coming / takers;
        }
        for (node, (_, at)) in upgrade.iter().enumerate() {
            let is_gone = (*at..at + 3).contains(&sample);
            told[node].push_str(&if is_gone { "stale ".to_owned() } else { format!("{} ", sessions[node]) });
        }
    }
    let all = upgrade.iter().zip(told).zip(sessions);
    all.map(|(((node, _), told), last)| on(node, "hongyan_sessions", format!("{told}{last}+0x{SAMPLES}")))
        .collect()
}

/// The series of the release that comes.
fn next_release(node: &str, at: usize) -> (String, String) {
    (
        format!("hongyan_build_info{{job=\"hongyan\",instance=\"{node}\",version=\"next\"}}"),
        format!("_x{} 1+0x{}", at + 3, SAMPLES - at),
    )
}

fn scenarios() -> Vec<Scenario> {
    let slow = |series| everywhere(series, rises(100.0, 0.0));
    let upgrade = |nodes: &[&'static str]| -> Vec<(&'static str, usize)> {
        nodes.iter().copied().zip((150..).step_by(30)).collect()
    };
    let changed = |upgrade: &[(&'static str, usize)]| {
        let each = upgrade.iter().flat_map(|(node, at)| upgraded(node, *at));
        each.chain(sessions_during(upgrade)).collect::<Vec<_>>()
    };
    let releases = |upgrade: &[(&'static str, usize)]| {
        upgrade.iter().map(|(node, at)| next_release(node, *at)).collect::<Vec<_>>()
    };
    let (rolling, alone) = (upgrade(&NODES), upgrade(&["n1"]));
    // Pods have new names: three come, each before one of the old ones goes.
    let old = NODES.into_iter().zip([150, 180, 210].map(|to| 0..to));
    let pods =
        old.chain(["n4", "n5", "n6"].into_iter().zip([146, 176, 206].map(|from| from..SAMPLES))).collect();
    let mut all = vec![
        hour("healthy", [], &[]),
        day("healthy for a day", [], &[]),
        Scenario { changes: changed(&rolling), others: releases(&rolling), ..hour("a rolling upgrade", [], &[]) },
        Scenario {
            changes: changed(&alone),
            others: releases(&alone),
            nodes: nodes(&["n1"]),
            ..hour("the upgrade of the only node", [], &[])
        },
        Scenario { nodes: pods, ..hour("a rolling upgrade of pods", [], &[]) },
        Scenario {
            nodes: nodes(&["n1"]),
            without: &["hongyan_relay_up", "hongyan_certificate_seen", "hongyan_certificate_expiry_timestamp_seconds"],
            ..hour("one node without NATS and without a public URL", [], &[])
        },
        Scenario { without: &["hongyan_disk_free_bytes", "hongyan_disk_size_bytes"], ..hour("nodes with PostgreSQL", [], &[]) },
        hour("an idle node is killed", [on("n2", "process_start_time_seconds", step(0.0, 1800.0))], &["HongyanRestarted"]),
        hour(
            "a node ends again and again",
            [everywhere("process_start_time_seconds", format!("0+0x119 1800+60x{SAMPLES}"))],
            &["HongyanRestarted", "HongyanRestartsOften"],
        ),
        hour("a node is down", [on("n3", "up", step(1.0, 0.0))], &["HongyanDown"]),
        hour("no targets", [everywhere("up", format!("1+0x{BEFORE} stale"))], &["HongyanAbsent"]),
        hour("a node does not become ready", [on("n1", "hongyan_ready", step(1.0, 0.0))], &["HongyanNotReady"]),
        hour("a fault of the server", [on("n1", r#"hongyan_errors_total{error="internal"}"#, step(0.0, 1.0))], &["HongyanInternalErrors"]),
        hour(
            "the database is away",
            [on("n1", "hongyan_database_up", step(1.0, 0.0)), on("n1", "hongyan_ready", step(1.0, 0.0))],
            &["HongyanDatabaseAway"],
        ),
        hour("writes fail", [on("n1", r#"hongyan_errors_total{error="unavailable"}"#, rises(0.1, 30.0))], &["HongyanWritesFail"]),
        hour("writes pile up", [on("n1", "hongyan_writes_in_flight", step(20.0, 9_000.0))], &["HongyanWritesPileUp"]),
        hour("reads pile up", [on("n1", "hongyan_reads_in_flight", step(3.0, 500.0))], &["HongyanReadsPileUp"]),
        hour(
            "commits are slow",
            [slow("hongyan_commit_seconds_bucket"), everywhere(r#"hongyan_commit_seconds_bucket{le="+Inf"}"#, rises(100.0, 100.0))],
            &["HongyanCommitsSlow"],
        ),
        hour(
            "reads are slow",
            [slow("hongyan_read_seconds_bucket"), everywhere(r#"hongyan_read_seconds_bucket{le="+Inf"}"#, rises(100.0, 100.0))],
            &["HongyanReadsSlow"],
        ),
        day(
            "the database grows",
            [everywhere("hongyan_database_bytes", format!("5e9+0x119 5e9+1e7x{SAMPLES}"))],
            &["HongyanDatabaseGrows"],
        ),
        day("the disk fills", [on("n1", "hongyan_disk_free_bytes", step(6e10, 8e9))], &["HongyanDiskFills"]),
        day(
            "the disk will be full tomorrow",
            [on("n1", "hongyan_disk_free_bytes", "3e10+0x119 3e10-3e7x600".to_owned())],
            &["HongyanDiskFills"],
        ),
        hour("the disk is full", [on("n1", "hongyan_disk_free_bytes", step(6e10, 1e9))], &["HongyanDiskFills", "HongyanDiskFull"]),
        Scenario {
            others: vec![
                (r#"node_filesystem_avail_bytes{job="node",instance="h",mountpoint="/",fstype="ext4"}"#.into(), step(6e10, 1e9)),
                (r#"node_filesystem_size_bytes{job="node",instance="h",mountpoint="/",fstype="ext4"}"#.into(), step(1e11, 1e11)),
                (r#"node_filesystem_avail_bytes{job="node",instance="h",mountpoint="/run",fstype="tmpfs"}"#.into(), step(0.0, 0.0)),
                (r#"node_filesystem_size_bytes{job="node",instance="h",mountpoint="/run",fstype="tmpfs"}"#.into(), step(1e9, 1e9)),
            ],
            rings: &["HostDiskFull"],
            ..hour("the disk of PostgreSQL is full", [], &[])
        },
        // Two days before the first of January 1970 something was backed up.
        day(
            "nothing was backed up for two days",
            [everywhere("hongyan_last_backup_timestamp_seconds", step(0.0, -200_000.0))],
            &["HongyanBackupOld"],
        ),
        hour("sessions fall away", [everywhere("hongyan_sessions", step(1000.0, 300.0))], &["HongyanSessionsFell"]),
        hour("a node is nearly full", [on("n1", "hongyan_sessions", step(1000.0, 9_000.0))], &["HongyanNearlyFull"]),
        hour(
            "a node is full",
            [on("n1", r#"hongyan_handshakes_refused_total{error="too_many_sessions"}"#, step(0.0, 1.0))],
            &["HongyanFull"],
        ),
        hour("descriptors run out", [on("n1", "process_open_fds", step(1100.0, 250_000.0))], &["HongyanDescriptorsRunOut"]),
        hour(
            "an address is turned away",
            [on("n1", r#"hongyan_handshakes_refused_total{error="too_many_from_address"}"#, rises(0.0, 30.0))],
            &["HongyanAddressTurnedAway"],
        ),
        hour(
            "connections are turned away",
            [on("n1", r#"hongyan_connections_refused_total{error="too_many_connections"}"#, rises(0.0, 30.0))],
            &["HongyanConnectionsTurnedAway"],
        ),
        hour(
            "clients do not read",
            [on("n1", r#"hongyan_session_closes_total{code="4002",reason="slow_consumer"}"#, rises(1.0, 30.0))],
            &["HongyanClientsDoNotRead"],
        ),
        hour(
            "a client is broken",
            [on("n1", r#"hongyan_session_closes_total{code="4506",reason="too_many_errors"}"#, rises(0.0, 30.0))],
            &["HongyanClientBroken"],
        ),
        day(
            "the certificate ends in two weeks",
            [everywhere("hongyan_certificate_expiry_timestamp_seconds", step(7_776_000.0, 1_100_000.0))],
            &["HongyanCertificateEnds"],
        ),
        day(
            "the certificate ends in two days",
            [everywhere("hongyan_certificate_expiry_timestamp_seconds", step(7_776_000.0, 200_000.0))],
            &["HongyanCertificateEnds", "HongyanCertificateEndsSoon"],
        ),
        hour("no TLS at the public URL", [everywhere("hongyan_certificate_seen", step(1.0, 0.0))], &["HongyanCertificateUnseen"]),
        hour("NATS is away", [on("n1", "hongyan_relay_up", step(1.0, 0.0))], &["HongyanRelayAway"]),
        hour("NATS is split", [on("n1", "hongyan_relay_nodes_away", step(0.0, 1.0))], &["HongyanRelaySplit"]),
        hour("NATS does not keep up", [on("n1", "hongyan_relay_dropped_total", rises(0.0, 3.0))], &["HongyanRelayDrops"]),
        hour("a node of several is killed", [on("n1", "hongyan_relay_nodes_vanished_total", step(0.0, 1.0))], &["HongyanNodeVanished"]),
        hour(
            "a tenth of the logins fails",
            [everywhere(r#"hongyan_wechat_calls_total{call="code2session",result="timeout"}"#, rises(1.0, 9.0))],
            &["HongyanLoginsFail"],
        ),
        hour(
            "WeChat is away",
            [
                on("n1", "hongyan_wechat_up", step(1.0, 0.0)),
                on("n1", r#"hongyan_wechat_calls_total{call="code2session",result="connect"}"#, rises(0.0, 1.0)),
            ],
            &["HongyanWeChatAway"],
        ),
        hour(
            "one login at night was not answered",
            [
                on("n1", "hongyan_wechat_up", step(1.0, 0.0)),
                everywhere(r#"hongyan_wechat_calls_total{call="code2session",result="timeout"}"#, step(0.0, 1.0)),
                everywhere(r#"hongyan_wechat_calls_total{call="code2session",result="ok"}"#, rises(30.0, 0.0)),
            ],
            &[],
        ),
        hour("WeChat refuses notices", [on("n1", "hongyan_notices_resting", step(0.0, 1.0))], &["HongyanNoticesResting"]),
        hour("notices pile up", [on("n1", "hongyan_notices_pending", step(500.0, 90_000.0))], &["HongyanNoticesPileUp"]),
        hour("WeChat checks nothing", [on("n1", "hongyan_safety_resting", step(0.0, 1.0))], &["HongyanChecksResting"]),
        hour(
            "texts pass unchecked",
            [on("n1", r#"hongyan_safety_verdicts_total{of="text",verdict="unchecked"}"#, rises(0.0, 60.0))],
            &["HongyanTextsUnchecked"],
        ),
        hour("the quota of checks is used up", [on("n1", "hongyan_safety_over_quota_total", step(0.0, 1.0))], &["HongyanCheckQuotaUsedUp"]),
        hour(
            "one user causes too many checks",
            [on("n1", r#"hongyan_safety_verdicts_total{of="text",verdict="rate_limited"}"#, rises(0.0, 6.0))],
            &["HongyanUserCausesChecks"],
        ),
    ];
    let differ = vec![(
        "hongyan_build_info{job=\"hongyan\",instance=\"n1\",version=\"next\"}".to_owned(),
        format!("_x119 1+0x{SAMPLES}"),
    )];
    all.push(Scenario {
        others: differ,
        rings: &["HongyanVersionsDiffer"],
        ..day("an upgrade that stopped half way", [], &[])
    });
    all
}

fn nodes(names: &[&'static str]) -> Vec<(&'static str, Range<usize>)> {
    names.iter().map(|name| (*name, 0..SAMPLES)).collect()
}

#[test]
fn every_alarm_rings_when_it_should_and_keeps_still_when_it_should() {
    let Some(promtool) = promtool() else { return };
    let rules = text(RULES);
    let (mut series, _) = shown();
    series.retain(|series| metrics_in(&rules).contains(series.split('{').next().unwrap()));
    // What Prometheus says itself, and what has no sample before it is known.
    series.push("up".to_owned());
    let known = |name: &&str| {
        (name.ends_with("_limit") || healthy(name) != (0.0, 0.0))
            && !series.iter().any(|s| s.split('{').next() == Some(name))
    };
    let named = ["hongyan_last_backup_timestamp_seconds"]
        .into_iter()
        .chain(metrics_in(&rules).into_iter().filter(known));
    let named: Vec<_> = named.map(str::to_owned).collect();
    series.extend(named);

    let scenarios = scenarios();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), &rules).unwrap();
    // Of what must keep still everything is looked at twice as often: it takes its time.
    for (interval, is_still, looked_at) in
        [("15s", true, "30s"), ("15s", false, "1m"), ("1m", true, "1m"), ("1m", false, "1m")]
    {
        let these = scenarios.iter().filter(|s| s.interval == interval && s.rings.is_empty() == is_still);
        let tests: Vec<_> = these.map(|scenario| scenario.test(&series)).collect();
        let file = serde_json::json!({ "rule_files": ["rules.yml"], "evaluation_interval": looked_at, "tests": tests });
        let path = folder.path().join(format!("{interval}.yml"));
        fs::write(&path, file.to_string()).unwrap();
        let out = Command::new(&promtool).args(["test", "rules"]).arg(&path).output().unwrap();
        assert!(
            out.status.success(),
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let rung: BTreeSet<&str> = scenarios.iter().flat_map(|scenario| scenario.rings.iter().copied()).collect();
    assert_eq!(rung, alarms().keys().map(String::as_str).collect(), "an alarm that no scenario rings");
}
