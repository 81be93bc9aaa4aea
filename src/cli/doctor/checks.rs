//! The checks of a server's surroundings, but for its public name.

use std::time::Duration;

use super::report::Finding;
use crate::app;
use crate::cli::{healthcheck, status};
use crate::config::{Config, DatabaseUrl, Loaded};
use crate::node::{Node, NodeStatus};
use crate::relay::{self, NatsExamination};
use crate::store::{self, Examination, OpenError};
use crate::wechat;

/// A commit that takes longer is a slow disk: messages wait for it.
const SLOW_COMMIT: Duration = Duration::from_millis(20);
/// Differences of clocks that are told, and those that do harm: tokens are dated by the database's.
const CLOCK_WARN_MS: i64 = 1_000;
const CLOCK_FAIL_MS: i64 = 60_000;
/// Shares of the disk, in percent, and bytes.
const DISK_WARN_PERCENT: u64 = 15;
const DISK_FAIL_BYTES: u64 = 256 << 20;
/// A log that is larger is not moved into the database as it should be.
const LOG_WARN_BYTES: i64 = 512 << 20;
const POSTGRES_LOG_WARN_BYTES: i64 = 8 << 30;
/// Fewer descriptors are too few for a server in use.
const FEW_DESCRIPTORS: u64 = 16_384;

pub(super) fn settings(loaded: &Loaded, is_dev: bool) -> Vec<Finding> {
    const CHECK: &str = "settings";
    let missing = if is_dev { Vec::new() } else { loaded.missing() };
    let mut findings: Vec<_> = missing
        .iter()
        .map(|problem| {
            Finding::fail(CHECK, problem.to_string(), "set it; hongyan config show says what is set where")
        })
        .collect();
    findings.extend(loaded.warnings.iter().map(|warning| {
        Finding::warn(CHECK, warning.to_string(), "docs/OPERATIONS.md has the setting in its table")
    }));
    if !is_dev && let Err(errors) = app::check(&loaded.config) {
        let lines = errors.to_string();
        findings.extend(lines.lines().map(|line| {
            Finding::fail(CHECK, line, "serve ends with this; hongyan config check looks again")
        }));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "complete, and nothing odd"));
    }
    findings
}

/// Whether the server runs, and how it stands.
pub(super) async fn server(config: &Config) -> (Finding, Option<NodeStatus>) {
    const CHECK: &str = "server";
    let asked = config.clone();
    let asked = blocking(move || {
        (healthcheck::check(&asked).map_err(|error| error.to_string()), status::ask(&asked))
    })
    .await;
    let Some((ready, status)) = asked else { return (Finding::skip(CHECK, "it could not be asked"), None) };
    let finding = match (ready, &status) {
        (Ok(_), Ok(status)) => Finding::ok(
            CHECK,
            format!("ready: node {}, version {}, {} sessions", status.node, status.version, status.sessions),
        ),
        (Ok(_), Err(why)) => Finding::warn(
            CHECK,
            format!("ready, but {why}"),
            "some of the checks below need the operators' port (ops.listen)",
        ),
        (Err(why), Ok(_)) => Finding::fail(
            CHECK,
            why,
            "the checks below and the server's log say more (journalctl -u 'hongyan*')",
        ),
        (Err(why), Err(_)) => Finding::warn(
            CHECK,
            format!("not running here, as it seems: {why}"),
            "start it, or name the settings that it runs with (--config)",
        ),
    };
    (finding, status.ok())
}

pub(super) async fn database(config: &Config, is_serving: bool) -> Vec<Finding> {
    const CHECK: &str = "database";
    let database = config.database.clone();
    let is_sqlite = matches!(database.url, DatabaseUrl::Sqlite(_));
    let examined = blocking(move || match store::examine(&database) {
        // The first start makes it.
        Err(OpenError::NoDatabase { path }) if !is_serving && !path.exists() => Err(None),
        examined => examined.map_err(|error| Some(told(&error))),
    });
    match examined.await {
        None => vec![Finding::fail(
            CHECK,
            "it could not be asked: there is no thread for it",
            "look at the limits on threads",
        )],
        Some(Err(None)) => vec![Finding::skip(CHECK, "not there yet: serve makes it")],
        Some(Err(Some(why))) => vec![Finding::fail(CHECK, why, "nothing is stored until this is mended")],
        Some(Ok(examination)) => of_database(&examination, is_sqlite),
    }
}

fn of_database(examination: &Examination, is_sqlite: bool) -> Vec<Finding> {
    let Examination { version, commits, clock_ahead_ms, bytes, log_bytes, disk } = examination;
    let milliseconds = |at: usize| commits.get(at).map_or(0.0, |took| took.as_secs_f64() * 1_000.0);
    let (median, worst) =
        (commits.get(commits.len() / 2).copied().unwrap_or_default(), commits.len().saturating_sub(1));
    let found = format!(
        "{version} takes writes: {} durable commits, {:.1} ms in the middle, {:.1} ms at the most",
        commits.len(),
        milliseconds(commits.len() / 2),
        milliseconds(worst)
    );
    let mut findings = vec![match median > SLOW_COMMIT {
        true => Finding::warn(
            "database",
            found,
            "its disk syncs slowly, and every message waits for it: a local SSD takes 1 to 5 ms (iostat -x 1)",
        ),
        false => Finding::ok("database", found),
    }];
    if let Some((ahead, uncertain)) = *clock_ahead_ms {
        let found = format!(
            "the database's is {} ms {} this machine's, give or take {uncertain}",
            ahead.abs(),
            if ahead < 0 { "behind" } else { "ahead of" }
        );
        let advice = "let both machines follow NTP (timedatectl, chronyc tracking)";
        findings.push(match ahead.abs() - uncertain {
            off if off > CLOCK_FAIL_MS => Finding::fail("clock", found, advice),
            off if off > CLOCK_WARN_MS => Finding::warn("clock", found, advice),
            _ => Finding::ok("clock", found),
        });
    }
    if let Some((free, total)) = *disk {
        let percent = free.saturating_mul(100) / total.max(1);
        let found = format!(
            "{} free of {} ({percent} %); the database has {}",
            size(free),
            size(total),
            size(u64::try_from(*bytes).unwrap_or(0))
        );
        let advice = "make room, or move the database to a larger disk: without room nothing is stored";
        findings.push(match free {
            free if free < DISK_FAIL_BYTES => Finding::fail("disk", found, advice),
            _ if percent < DISK_WARN_PERCENT => Finding::warn("disk", found, advice),
            _ => Finding::ok("disk", found),
        });
    } else {
        findings.push(Finding::skip(
            "disk",
            format!(
                "the database has {}; how much is free is known on its own machine",
                size(u64::try_from(*bytes).unwrap_or(0))
            ),
        ));
    }
    findings.push(match *log_bytes {
        None => Finding::skip("write-ahead log", "its size is for members of pg_monitor (GRANT pg_monitor TO the role)"),
        Some(log) => {
            let found = size(u64::try_from(log).unwrap_or(0));
            let (limit, advice) = match is_sqlite {
                true => (LOG_WARN_BYTES, "something reads for long and keeps it from being moved into the database: end it (fuser on the -wal file)"),
                false => (POSTGRES_LOG_WARN_BYTES, "a replication slot that nobody reads, or an archive_command that fails, keeps it (pg_replication_slots, pg_stat_archiver)"),
            };
            if log > limit { Finding::warn("write-ahead log", found, advice) } else { Finding::ok("write-ahead log", found) }
        }
    });
    findings
}

pub(super) async fn wechat(config: &Config, is_dev: bool) -> Finding {
    const CHECK: &str = "WeChat";
    let wechat = &config.wechat;
    if is_dev && wechat.api_base.is_empty() {
        return Finding::skip(CHECK, "hongyan dev has a double of it");
    }
    if wechat.appid.is_empty() || wechat.secret.is_empty() {
        return Finding::fail(
            CHECK,
            "wechat.appid and wechat.secret are not both set here",
            "set them; where the unit sets them, run this with the same settings",
        );
    }
    let at = &wechat.api_base;
    match wechat::check_secret(wechat).await {
        Ok(()) => Finding::ok(CHECK, format!("{at} takes the AppID {} and its secret", wechat.appid)),
        Err(failure) => {
            let advice = match wechat::hint(&failure) {
                "" => "docs/WECHAT.md has WeChat's codes",
                hint => hint,
            };
            Finding::fail(CHECK, format!("{at} does not give an access_token: {failure}"), advice)
        }
    }
}

pub(super) async fn nats(config: &Config) -> Finding {
    const CHECK: &str = "NATS";
    let Some(url) = &config.relay.nats_url else {
        return Finding::skip(CHECK, "relay.nats_url is empty: this node is the only one");
    };
    // A name of its own: other nodes must not take it for this one.
    let node = Node::starting("doctor").id();
    match relay::examine(url, config.relay.buckets, &node).await {
        Err(error) => Finding::fail(
            CHECK,
            format!("not reached: {error}"),
            "check relay.nats_url, its user and password (@ in a password is %40), and that the server runs",
        ),
        Ok(NatsExamination { refused, .. }) if !refused.is_empty() => {
            let advice = "the user needs to publish and to subscribe hongyan.> (deploy/nats/nats.conf)";
            Finding::fail(CHECK, format!("lets in and refuses: {}", refused.join("; ")), advice)
        }
        Ok(NatsExamination { silent, .. }) if !silent.is_empty() => {
            let advice =
                "look at the user's rights, at imports and exports of its account, and at the server's load";
            Finding::fail(CHECK, format!("nothing came back on {}", silent.join(", ")), advice)
        }
        Ok(NatsExamination { version, round_trip, .. }) => Finding::ok(
            CHECK,
            format!(
                "{version}, publishes and subscribes, back within {:.1} ms",
                round_trip.as_secs_f64() * 1_000.0
            ),
        ),
    }
}

pub(super) fn descriptors(config: &Config, status: Option<&NodeStatus>) -> Finding {
    const CHECK: &str = "descriptors";
    let advice = "raise it: LimitNOFILE= in the unit, --ulimit nofile= for a container, ulimit -n in a shell";
    let needed = app::descriptors_needed(config);
    let (whose, limit) = match status {
        Some(status) => ("the server", status.descriptors_limit),
        None => (
            "this shell (the server does not run)",
            rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
        ),
    };
    let open = status
        .and_then(|status| status.descriptors_open)
        .map(|open| format!(", {open} open"))
        .unwrap_or_default();
    match limit {
        None => Finding::ok(CHECK, format!("{whose} has no limit{open}")),
        Some(limit) => {
            let found = format!("{whose} may open {limit}{open}; it needs {needed} and one more a session");
            match limit {
                limit if limit < needed => Finding::fail(CHECK, found, advice),
                limit if limit < FEW_DESCRIPTORS => Finding::warn(CHECK, found, advice),
                _ => Finding::ok(CHECK, found),
            }
        }
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    crate::cli::lines(error).join("; ")
}

fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)];
    let unit = UNITS.into_iter().find(|(_, unit)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(name, unit)| format!("{:.1} {name}", bytes as f64 / unit as f64),
    )
}

/// On a thread of its own; `None` where there can be none.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    actix_web::rt::task::spawn_blocking(work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::super::report::Grade;
    use super::*;

    fn examination() -> Examination {
        let commits = [1, 1, 2, 3].map(Duration::from_millis).to_vec();
        let disk = Some((50 << 30, 100 << 30));
        Examination {
            version: "X 1".into(),
            commits,
            clock_ahead_ms: Some((-3, 1)),
            bytes: 1 << 20,
            log_bytes: Some(4_096),
            disk,
        }
    }

    fn grade(examination: &Examination, check: &str) -> Grade {
        let findings = of_database(examination, true);
        let finding = findings.iter().find(|finding| finding.check == check).unwrap();
        assert_eq!(finding.advice.is_some(), finding.grade >= Grade::Warn, "{finding:?}");
        finding.grade
    }

    #[test]
    fn a_database_in_order_is_ok_and_each_fault_is_told() {
        for check in ["database", "clock", "disk", "write-ahead log"] {
            assert_eq!(grade(&examination(), check), Grade::Ok, "{check}");
        }
        let slow = Examination { commits: vec![Duration::from_millis(80); 3], ..examination() };
        assert_eq!(grade(&slow, "database"), Grade::Warn);
        let off = |ahead| grade(&Examination { clock_ahead_ms: Some((ahead, 50)), ..examination() }, "clock");
        assert_eq!([off(1_040), off(-1_060), off(61_000)], [Grade::Ok, Grade::Warn, Grade::Fail]);
        let free = |free| grade(&Examination { disk: Some((free, 100 << 30)), ..examination() }, "disk");
        assert_eq!([free(14 << 30), free(100 << 20)], [Grade::Warn, Grade::Fail]);
        let log = |log_bytes| grade(&Examination { log_bytes, ..examination() }, "write-ahead log");
        assert_eq!([log(Some(1 << 30)), log(None)], [Grade::Warn, Grade::Skip]);
    }

    #[test]
    fn few_descriptors_are_told() {
        let config = Config::default();
        let of = |limit| {
            descriptors(
                &config,
                Some(&NodeStatus { descriptors_limit: Some(limit), ..NodeStatus::default() }),
            )
            .grade
        };
        assert_eq!([of(100), of(1_024), of(262_144)], [Grade::Fail, Grade::Warn, Grade::Ok]);
    }
}
