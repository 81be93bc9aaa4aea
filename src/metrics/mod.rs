//! Every metric that the server shows at `/metrics`, in one place.

use std::path::Path;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

mod known;
mod labels;
mod system;
mod text;

pub use known::KnownGauge;
pub use labels::*;
pub use system::open_descriptors;
use system::{Disk, Process};

/// Declares [`Metrics`]: what each metric means to operators, its name, its type and, where that is not the
/// type's own, its beginning.
macro_rules! metrics {
    ($(#[doc = $help:literal] $name:ident: $type:ty $(= $new:expr)?,)+) => {
        /// The handles that the modules count with. Cloning shares the numbers.
        #[derive(Clone)]
        pub struct Metrics {
            registry: Arc<Registry>,
            disk: Arc<Disk>,
            $(#[doc = $help] pub $name: $type,)+
        }

        impl Metrics {
            pub fn new() -> Self {
                let (mut registry, disk) = (Registry::default(), Arc::<Disk>::default());
                registry.register_collector(Box::new(Process::new()));
                let own = registry.sub_registry_with_prefix("hongyan");
                $(
                    let $name: $type = metrics!(@new $($new)?);
                    register(own, stringify!($name), $help, $name.clone());
                )+
                let build = [("version", env!("CARGO_PKG_VERSION")), ("arch", std::env::consts::ARCH)];
                register(own, "build", "The release that runs", Info::new(build.to_vec()));
                own.register_collector(Box::new(disk.clone()));
                Self { registry: Arc::new(registry), disk, $($name),+ }
            }
        }
    };
    (@new) => { Default::default() };
    (@new $new:expr) => { $new };
}

metrics! {
    /// Live sessions.
    sessions: Gauge,
    /// Live sessions in the background.
    sessions_in_background: Gauge,
    /// Users with a live session.
    users: Gauge,
    /// Sessions opened, by dialect.
    sessions_opened: Counters<DialectLabel>,
    /// Sessions closed, by close code.
    session_closes: Counters<CloseLabel>,
    /// Well-formed messages from clients.
    messages_in: Counter,
    /// Message frames queued for sessions.
    messages_out: Counter,
    /// Frames that wait for their predecessor from another node.
    frames_held: Gauge,
    /// Frames told before their predecessor.
    frames_out_of_turn: Counter,
    /// Frames that came after a later one was told.
    frames_late: Counter,
    /// Askings of the database for what is missing before a frame that waits.
    gap_reads: Counter,
    /// Bytes of frames that wait for sessions to take them.
    outbox_bytes: Gauge,
    /// Receipts queued for sessions.
    receipts_out: Counter,
    /// Syncs answered.
    syncs: Counter,
    /// Messages acked.
    acks: Counter,
    /// Messages acked that were stored before.
    duplicates: Counter,
    /// Errors told to clients, by code.
    errors: Counters<ErrorLabel>,
    /// Handshakes refused with plain HTTP, by code.
    handshakes_refused: Counters<HandshakeLabel>,
    /// Connections without a session.
    connections: Gauge,
    /// Connections turned away, by reason.
    connections_refused: Counters<ConnectionLabel>,
    /// Time of one transaction.
    commit_seconds: Histogram = latency(),
    /// Writes in one transaction.
    batch_writes: Histogram = Histogram::new(exponential_buckets(1.0, 2.0, 12)),
    /// Writes accepted and not yet delivered.
    writes_in_flight: Gauge,
    /// Reads accepted and not yet answered.
    reads_in_flight: Gauge,
    /// Time of one read.
    read_seconds: Histogram = latency(),
    /// Reading connections open.
    pool_connections: Gauge,
    /// Reading connections idle.
    pool_idle: Gauge,
    /// Calls to WeChat, by call and result.
    wechat_calls: Counters<CallLabel>,
    /// HTTP responses, by route and status.
    http_responses: Counters<HttpLabel>,
    /// 1 while hints go to other nodes and come from them.
    relay_up: KnownGauge,
    /// Other nodes heard lately.
    relay_nodes: Gauge,
    /// Other nodes that the database shows alive and NATS does not bring.
    relay_nodes_away: Gauge,
    /// NATS subjects subscribed to.
    relay_subscriptions: Gauge,
    /// Hints passed on to NATS.
    relay_published: Counter,
    /// Hints not passed on, because NATS was away or did not keep up.
    relay_dropped: Counter,
    /// Hints that came from other nodes.
    relay_received: Counter,
    /// Hints for users who have no session here.
    relay_foreign: Counter,
    /// Hints of a kind that this version does not know.
    relay_unknown: Counter,
    /// Askings of the database for what hints may not have told.
    relay_catch_ups: Counter,
    /// Time of one such asking.
    relay_catch_up_seconds: Histogram = Histogram::new(exponential_buckets(0.001, 2.0, 16)),
    /// Conversations judged for a notice, by what became of them.
    notices: Counters<NoticeLabel>,
    /// Conversations that wait to be judged for a notice.
    notices_pending: Gauge,
    /// Notices under way to WeChat.
    notices_in_flight: Gauge,
    /// 1 while none is sent, because WeChat refuses them.
    notices_resting: Gauge,
    /// Tries of jobs, by kind and what came of them.
    jobs: Counters<JobLabel>,
    /// Jobs that run on this node.
    jobs_in_flight: Gauge,
    /// Time of one try of a job.
    job_seconds: Histogram = Histogram::new(exponential_buckets(0.001, 4.0, 12)),
    /// Size of the database on its disk.
    database_bytes: KnownGauge,
    /// Texts checked, by what they are and what became of them.
    safety_verdicts: Counters<VerdictLabel>,
    /// Messages that wait for a check.
    safety_in_flight: Gauge,
    /// Time of the check of a message by WeChat.
    safety_check_seconds: Histogram = latency(),
    /// Texts whose verdict by WeChat was remembered.
    safety_remembered: Counter,
    /// Texts that WeChat was not asked about because of its quota.
    safety_over_quota: Counter,
    /// 1 while WeChat is not asked because it fails.
    safety_resting: Gauge,
    /// Entries of the word list.
    safety_words: Gauge,
    /// 1 while new work may be sent here.
    ready: Gauge,
    /// 1 while the database can be used.
    database_up: Gauge,
    /// 1 while logins get answers from WeChat.
    wechat_up: Gauge,
    /// Other nodes that fell silent without farewell.
    relay_nodes_vanished: Counter,
    /// Unix time of the last recorded backup, 0 where there was none.
    last_backup_timestamp_seconds: KnownGauge,
    /// Unix time at which the certificate at server.public_url ends.
    certificate_expiry_timestamp_seconds: KnownGauge,
    /// 1 where the last look at that certificate found one.
    certificate_seen: KnownGauge,
    /// Bound on live sessions.
    sessions_limit: KnownGauge,
    /// Bound on connections without a session.
    connections_limit: KnownGauge,
    /// Bound on the bytes that wait for sessions.
    outbox_limit_bytes: KnownGauge,
    /// Bound on writes in flight.
    writes_in_flight_limit: KnownGauge,
    /// Bound on reads in flight.
    reads_in_flight_limit: KnownGauge,
    /// Bound on conversations that wait for a notice.
    notices_pending_limit: KnownGauge,
    /// Bound on notices in flight.
    notices_in_flight_limit: KnownGauge,
    /// Bound on messages that wait for a check.
    safety_in_flight_limit: KnownGauge,
}

/// Registers a metric under its whole name, whose end tells its unit.
fn register(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    let help = help.trim().trim_end_matches('.');
    let unit = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)]
        .into_iter()
        .find_map(|(end, unit)| Some((name.strip_suffix(end)?, unit)));
    match unit {
        Some((stem, unit)) => registry.register_with_unit(stem, help, unit, metric),
        None => registry.register(name, help, metric),
    }
}

/// Bounds that double, from a tenth of a millisecond on.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 16))
}

impl Metrics {
    /// Has the disk watched that the database at this path lies on.
    pub fn watch_disk(&self, database: &Path) {
        self.disk.watch(database);
    }

    /// Every metric, as OpenMetrics 1.0.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            log::error!("the metrics could not be written");
        }
        text
    }

    /// Every metric, in Prometheus' text exposition format 0.0.4.
    pub fn encode_prometheus(&self) -> String {
        text::as_prometheus(&self.encode())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use prometheus_client::encoding::EncodeLabelSet;
    use prometheus_client::metrics::family::Family;

    use super::*;

    /// Families whose number is not known at the start, or never where a part is not in use.
    const UNKNOWN_AT_THE_START: [&str; 15] = [
        "hongyan_relay_up",
        "hongyan_database_bytes",
        "hongyan_last_backup_timestamp_seconds",
        "hongyan_certificate_expiry_timestamp_seconds",
        "hongyan_certificate_seen",
        "hongyan_disk_free_bytes",
        "hongyan_disk_size_bytes",
        "hongyan_sessions_limit",
        "hongyan_connections_limit",
        "hongyan_outbox_limit_bytes",
        "hongyan_writes_in_flight_limit",
        "hongyan_reads_in_flight_limit",
        "hongyan_notices_pending_limit",
        "hongyan_notices_in_flight_limit",
        "hongyan_safety_in_flight_limit",
    ];

    fn series_of(family: &str, text: &str) -> usize {
        text.lines()
            .filter(|line| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .count()
    }

    #[test]
    fn every_family_is_complete_at_the_start() {
        let text = Metrics::new().encode_prometheus();
        let mut empty = BTreeSet::new();
        for (family, kind) in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
            let sample = if kind == "histogram" { format!("{family}_count") } else { family.to_owned() };
            if series_of(&sample, &text) == 0 {
                empty.insert(family);
            }
        }
        assert_eq!(empty, BTreeSet::from(UNKNOWN_AT_THE_START));
        let complete = |family: &str, labels: usize| {
            assert_eq!(series_of(family, &text), labels, "{family}");
            assert!(labels > 1);
        };
        complete("hongyan_errors_total", ErrorLabel::all().count());
        complete("hongyan_session_closes_total", CloseLabel::all().count());
        complete("hongyan_handshakes_refused_total", HandshakeLabel::all().count());
        complete("hongyan_connections_refused_total", ConnectionLabel::all().count());
        complete("hongyan_sessions_opened_total", DialectLabel::all().count());
        complete("hongyan_wechat_calls_total", CallLabel::all().count());
        complete("hongyan_http_responses_total", HttpLabel::all().count());
        complete("hongyan_notices_total", NoticeLabel::all().count());
        complete("hongyan_safety_verdicts_total", VerdictLabel::all().count());
    }

    #[test]
    fn what_is_not_known_has_no_sample() {
        let m = Metrics::new();
        assert_eq!(series_of("hongyan_relay_up", &m.encode()), 0);
        m.relay_up.set(0);
        m.sessions_limit.set_size(u64::MAX);
        m.watch_disk(Path::new("/"));
        let text = m.encode();
        assert!(
            text.contains("\nhongyan_relay_up 0\n")
                && text.contains(&format!("\nhongyan_sessions_limit {}\n", i64::MAX))
        );
        assert_eq!(
            (series_of("hongyan_disk_free_bytes", &text), series_of("hongyan_disk_size_bytes", &text)),
            (1, 1)
        );
    }

    #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
    struct Numbered {
        number: u32,
    }

    /// The least time of some scrapes, in both formats.
    fn scrape(m: &Metrics) -> Duration {
        let times = (0..20).map(|_| {
            let began = Instant::now();
            assert!(m.encode_prometheus().len() > 1_000);
            began.elapsed()
        });
        times.min().unwrap()
    }

    #[test]
    fn a_scrape_of_ten_thousand_series_costs_as_its_length_says() {
        let m = Metrics::new();
        let series = m.encode().lines().filter(|line| !line.starts_with('#')).count();
        let numbered = Family::<Numbered, Counter>::default();
        (0..10_000).for_each(|number| drop(numbered.get_or_create(&Numbered { number })));
        let mut registry = Registry::default();
        registry.register("hongyan_numbered", "Many", numbered);
        let many = Metrics { registry: Arc::new(registry), ..Metrics::new() };
        let (few, many) = (scrape(&m), scrape(&many));
        println!("figure: a scrape of {series} series takes {few:?}, one of 10 000 {many:?}");
        assert!(many < few * (10_000 / series as u32) * 5, "{few:?} {many:?}");
    }

    #[test]
    fn what_is_counted_is_shown() {
        let m = Metrics::new();
        m.acks.inc();
        m.errors.inc(crate::protocol::ErrorCode::BadFrame);
        for text in [m.encode(), m.encode_prometheus()] {
            assert!(text.contains("\nhongyan_acks_total 1\n"), "{text}");
            assert!(text.contains("\nhongyan_errors_total{error=\"bad_frame\"} 1\n"), "{text}");
        }
    }

    #[test]
    fn the_older_format_names_counters_as_their_samples_and_has_no_end() {
        let text = Metrics::new().encode_prometheus();
        assert!(text.contains("# TYPE hongyan_acks_total counter\nhongyan_acks_total 0\n"), "{text}");
        assert!(text.contains("# TYPE hongyan_sessions gauge\nhongyan_sessions 0\n"));
        assert!(text.contains("# TYPE hongyan_commit_seconds histogram\nhongyan_commit_seconds_sum 0"));
        let build = "# TYPE hongyan_build_info gauge\nhongyan_build_info{version=";
        assert!(text.contains(build) && text.contains("# HELP hongyan_build_info "), "{text}");
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
    }
}
