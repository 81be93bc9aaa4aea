//! Every metric that the server shows at `/metrics`, in one place.

use std::path::Path;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

mod known;
mod labels;
mod system;
mod text;

pub use known::KnownGauge;
pub use labels::*;
pub use system::open_descriptors;
use system::{Disk, Process};

/// The handles that the rooms count with. Cloning shares the numbers.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Live sessions.
    pub sessions: Gauge,
    /// Of these, those whose user does not look at the app.
    pub sessions_in_background: Gauge,
    /// Users with at least one live session.
    pub users: Gauge,
    pub sessions_opened: Counters<DialectLabel>,
    pub closes: Counters<CloseLabel>,
    /// Messages from clients that were well formed.
    pub messages_in: Counter,
    /// Message frames queued for sessions.
    pub messages_out: Counter,
    /// Frames that wait for their predecessor from another node.
    pub frames_held: Gauge,
    /// Frames told before their predecessor, which did not come in time or could not be waited for.
    pub frames_out_of_turn: Counter,
    /// Frames that came after a later one was told.
    pub frames_late: Counter,
    /// Askings of the database for what is missing before a frame that waits.
    pub gap_reads: Counter,
    /// Bytes of frames that wait for sessions to take them.
    pub outbox_bytes: Gauge,
    /// Receipts queued for sessions that did not ask for them.
    pub receipts_out: Counter,
    /// Syncs answered.
    pub syncs: Counter,
    pub acks: Counter,
    /// Acks of messages that were stored before.
    pub duplicates: Counter,
    pub errors: Counters<ErrorLabel>,
    /// Handshakes turned away with plain HTTP, before anything was read.
    pub handshakes_refused: Counters<HandshakeLabel>,
    /// Connections of the public port without a session.
    pub connections: Gauge,
    /// Connections turned away as soon as they were accepted.
    pub connections_refused: Counters<ConnectionLabel>,
    /// From the start of a transaction to its end.
    pub commit_seconds: Histogram,
    /// Writes in one transaction.
    pub batch_writes: Histogram,
    /// Writes accepted and not yet delivered.
    pub writes_in_flight: Gauge,
    pub reads_in_flight: Gauge,
    pub read_seconds: Histogram,
    /// Reading connections open, and of these the idle ones.
    pub pool_connections: Gauge,
    pub pool_idle: Gauge,
    pub wechat_calls: Counters<CallLabel>,
    pub http_responses: Counters<HttpLabel>,
    /// 1 while hints go to other nodes and come from them; no sample without a relay.
    pub relay_up: KnownGauge,
    /// Other nodes heard lately.
    pub relay_nodes: Gauge,
    /// Other nodes that the database shows alive and NATS does not bring.
    pub relay_nodes_away: Gauge,
    /// Subjects subscribed to.
    pub relay_subscriptions: Gauge,
    pub relay_published: Counter,
    /// Hints not passed on, because NATS was away or did not keep up.
    pub relay_dropped: Counter,
    pub relay_received: Counter,
    /// Of these, those for users who have no session here.
    pub relay_foreign: Counter,
    /// Of these, those of a kind that this version does not know.
    pub relay_unknown: Counter,
    /// Askings of the database for what hints may not have told.
    pub relay_catch_ups: Counter,
    pub relay_catch_up_seconds: Histogram,
    /// What became of messages that were thought of as notices.
    pub notices: Counters<NoticeLabel>,
    /// Conversations that wait to be judged.
    pub notices_pending: Gauge,
    /// Notices under way to WeChat.
    pub notices_in_flight: Gauge,
    /// 1 while none is sent, because WeChat refuses them for a setting or a quota.
    pub notices_resting: Gauge,
    /// Bytes of the database on its disk.
    pub database_bytes: KnownGauge,
    /// What became of texts that were checked.
    pub safety_verdicts: Counters<VerdictLabel>,
    /// Messages that wait for a check.
    pub safety_in_flight: Gauge,
    /// From the sending of a message that WeChat is asked about to its way into the store.
    pub safety_check_seconds: Histogram,
    /// Texts whose verdict was remembered.
    pub safety_remembered: Counter,
    /// Texts that WeChat was not asked about because of its quota.
    pub safety_over_quota: Counter,
    /// 1 while WeChat is left alone because it fails.
    pub safety_resting: Gauge,
    /// Entries of the word list.
    pub safety_words: Gauge,
    /// 1 while `/readyz` says 200.
    pub ready: Gauge,
    /// 1 while the database can be used.
    pub database_up: Gauge,
    /// 1 while logins get answers from WeChat.
    pub wechat_up: Gauge,
    /// Other nodes that fell silent without farewell.
    pub relay_nodes_vanished: Counter,
    /// Unix seconds of the last backup that was recorded, 0 where there was none.
    pub last_backup_timestamp_seconds: KnownGauge,
    /// Unix seconds at which the certificate at the public URL ends.
    pub certificate_expiry_timestamp_seconds: KnownGauge,
    /// 1 where the last look at that certificate found one.
    pub certificate_seen: KnownGauge,
    /// Bounds of what is counted above, as they hold.
    pub limits: LimitGauges,
    disk: Arc<Disk>,
}

/// Bounds, each beside the gauge that it bounds. A bound that is turned off, or whose part is not in use, has
/// no sample.
#[derive(Clone, Default)]
pub struct LimitGauges {
    pub sessions: KnownGauge,
    pub connections: KnownGauge,
    pub outbox_bytes: KnownGauge,
    pub writes_in_flight: KnownGauge,
    pub reads_in_flight: KnownGauge,
    pub notices_pending: KnownGauge,
    pub notices_in_flight: KnownGauge,
    pub safety_in_flight: KnownGauge,
}

impl Metrics {
    pub fn new() -> Self {
        let latency = || exponential_buckets(0.0001, 2.0, 16);
        let mut m = Self {
            registry: Arc::default(),
            sessions: Gauge::default(),
            sessions_in_background: Gauge::default(),
            users: Gauge::default(),
            sessions_opened: Counters::default(),
            closes: Counters::default(),
            messages_in: Counter::default(),
            messages_out: Counter::default(),
            frames_held: Gauge::default(),
            frames_out_of_turn: Counter::default(),
            frames_late: Counter::default(),
            gap_reads: Counter::default(),
            outbox_bytes: Gauge::default(),
            receipts_out: Counter::default(),
            syncs: Counter::default(),
            acks: Counter::default(),
            duplicates: Counter::default(),
            errors: Counters::default(),
            handshakes_refused: Counters::default(),
            connections: Gauge::default(),
            connections_refused: Counters::default(),
            commit_seconds: Histogram::new(latency()),
            batch_writes: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            writes_in_flight: Gauge::default(),
            reads_in_flight: Gauge::default(),
            read_seconds: Histogram::new(latency()),
            pool_connections: Gauge::default(),
            pool_idle: Gauge::default(),
            wechat_calls: Counters::default(),
            http_responses: Counters::default(),
            relay_up: KnownGauge::default(),
            relay_nodes: Gauge::default(),
            relay_nodes_away: Gauge::default(),
            relay_subscriptions: Gauge::default(),
            relay_published: Counter::default(),
            relay_dropped: Counter::default(),
            relay_received: Counter::default(),
            relay_foreign: Counter::default(),
            relay_unknown: Counter::default(),
            relay_catch_ups: Counter::default(),
            relay_catch_up_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            notices: Counters::default(),
            notices_pending: Gauge::default(),
            notices_in_flight: Gauge::default(),
            notices_resting: Gauge::default(),
            database_bytes: KnownGauge::default(),
            safety_verdicts: Counters::default(),
            safety_in_flight: Gauge::default(),
            safety_check_seconds: Histogram::new(latency()),
            safety_remembered: Counter::default(),
            safety_over_quota: Counter::default(),
            safety_resting: Gauge::default(),
            safety_words: Gauge::default(),
            ready: Gauge::default(),
            database_up: Gauge::default(),
            wechat_up: Gauge::default(),
            relay_nodes_vanished: Counter::default(),
            last_backup_timestamp_seconds: KnownGauge::default(),
            certificate_expiry_timestamp_seconds: KnownGauge::default(),
            certificate_seen: KnownGauge::default(),
            limits: LimitGauges::default(),
            disk: Arc::default(),
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::new()));
        let r = registry.sub_registry_with_prefix("hongyan");
        r.register("sessions", "Live sessions", m.sessions.clone());
        r.register(
            "sessions_in_background",
            "Live sessions in the background",
            m.sessions_in_background.clone(),
        );
        r.register("users", "Users with a live session", m.users.clone());
        r.register("sessions_opened", "Sessions opened, by dialect", m.sessions_opened.clone());
        r.register("session_closes", "Sessions closed, by close code", m.closes.clone());
        r.register("messages_in", "Well-formed messages from clients", m.messages_in.clone());
        r.register("messages_out", "Message frames queued for sessions", m.messages_out.clone());
        r.register(
            "frames_held",
            "Frames that wait for their predecessor from another node",
            m.frames_held.clone(),
        );
        r.register(
            "frames_out_of_turn",
            "Frames told before their predecessor",
            m.frames_out_of_turn.clone(),
        );
        r.register("frames_late", "Frames that came after a later one was told", m.frames_late.clone());
        r.register(
            "gap_reads",
            "Askings of the database for what is missing before a frame that waits",
            m.gap_reads.clone(),
        );
        r.register(
            "outbox_bytes",
            "Bytes of frames that wait for sessions to take them",
            m.outbox_bytes.clone(),
        );
        r.register("receipts_out", "Receipts queued for sessions", m.receipts_out.clone());
        r.register("syncs", "Syncs answered", m.syncs.clone());
        r.register("acks", "Messages acked", m.acks.clone());
        r.register("duplicates", "Messages acked that were stored before", m.duplicates.clone());
        r.register("errors", "Errors told to clients, by word", m.errors.clone());
        r.register(
            "handshakes_refused",
            "Handshakes refused with plain HTTP, by word",
            m.handshakes_refused.clone(),
        );
        r.register("connections", "Connections without a session", m.connections.clone());
        r.register(
            "connections_refused",
            "Connections turned away, by reason",
            m.connections_refused.clone(),
        );
        r.register_with_unit("commit", "Time of one transaction", Unit::Seconds, m.commit_seconds.clone());
        r.register("batch_writes", "Writes in one transaction", m.batch_writes.clone());
        r.register("writes_in_flight", "Writes accepted and not yet delivered", m.writes_in_flight.clone());
        r.register("reads_in_flight", "Reads accepted and not yet answered", m.reads_in_flight.clone());
        r.register_with_unit("read", "Time of one read", Unit::Seconds, m.read_seconds.clone());
        r.register("pool_connections", "Reading connections open", m.pool_connections.clone());
        r.register("pool_idle", "Reading connections idle", m.pool_idle.clone());
        r.register("wechat_calls", "Calls to WeChat, by call and result", m.wechat_calls.clone());
        r.register("http_responses", "HTTP responses, by route and status", m.http_responses.clone());
        r.register("relay_up", "1 while hints go to other nodes and come from them", m.relay_up.clone());
        r.register("relay_nodes", "Other nodes heard lately", m.relay_nodes.clone());
        let away = "Other nodes that the database shows alive and NATS does not bring";
        r.register("relay_nodes_away", away, m.relay_nodes_away.clone());
        r.register("relay_subscriptions", "NATS subjects subscribed to", m.relay_subscriptions.clone());
        r.register("relay_published", "Hints passed on to NATS", m.relay_published.clone());
        r.register(
            "relay_dropped",
            "Hints not passed on, because NATS was away or did not keep up",
            m.relay_dropped.clone(),
        );
        r.register("relay_received", "Hints that came from other nodes", m.relay_received.clone());
        r.register("relay_foreign", "Hints for users who have no session here", m.relay_foreign.clone());
        r.register(
            "relay_unknown",
            "Hints of a kind that this version does not know",
            m.relay_unknown.clone(),
        );
        r.register(
            "relay_catch_ups",
            "Askings of the database for what hints may not have told",
            m.relay_catch_ups.clone(),
        );
        r.register_with_unit(
            "relay_catch_up",
            "Time of one such asking",
            Unit::Seconds,
            m.relay_catch_up_seconds.clone(),
        );
        r.register("notices", "Conversations judged for a notice, by what became of them", m.notices.clone());
        r.register(
            "notices_pending",
            "Conversations that wait to be judged for a notice",
            m.notices_pending.clone(),
        );
        r.register("notices_in_flight", "Notices under way to WeChat", m.notices_in_flight.clone());
        r.register(
            "notices_resting",
            "1 while none is sent, because WeChat refuses them",
            m.notices_resting.clone(),
        );
        r.register_with_unit(
            "database",
            "Size of the database on its disk",
            Unit::Bytes,
            m.database_bytes.clone(),
        );
        r.register(
            "safety_verdicts",
            "Texts checked, by what they are and what became of them",
            m.safety_verdicts.clone(),
        );
        r.register("safety_in_flight", "Messages that wait for a check", m.safety_in_flight.clone());
        r.register_with_unit(
            "safety_check",
            "Time of the check of a message by WeChat",
            Unit::Seconds,
            m.safety_check_seconds.clone(),
        );
        r.register(
            "safety_remembered",
            "Texts whose verdict by WeChat was remembered",
            m.safety_remembered.clone(),
        );
        r.register(
            "safety_over_quota",
            "Texts that WeChat was not asked about because of its quota",
            m.safety_over_quota.clone(),
        );
        r.register(
            "safety_resting",
            "1 while WeChat is not asked because it fails",
            m.safety_resting.clone(),
        );
        r.register("safety_words", "Entries of the word list", m.safety_words.clone());
        r.register("ready", "1 while new work may be sent here", m.ready.clone());
        r.register("database_up", "1 while the database can be used", m.database_up.clone());
        r.register("wechat_up", "1 while logins get answers from WeChat", m.wechat_up.clone());
        r.register(
            "relay_nodes_vanished",
            "Other nodes that fell silent without farewell",
            m.relay_nodes_vanished.clone(),
        );
        let backup = "Unix time of the last recorded backup, 0 where there was none";
        r.register_with_unit(
            "last_backup_timestamp",
            backup,
            Unit::Seconds,
            m.last_backup_timestamp_seconds.clone(),
        );
        let expiry = "Unix time at which the certificate at server.public_url ends";
        r.register_with_unit(
            "certificate_expiry_timestamp",
            expiry,
            Unit::Seconds,
            m.certificate_expiry_timestamp_seconds.clone(),
        );
        r.register(
            "certificate_seen",
            "1 where the last look at that certificate found one",
            m.certificate_seen.clone(),
        );
        r.register("sessions_limit", "Bound on live sessions", m.limits.sessions.clone());
        r.register(
            "connections_limit",
            "Bound on connections without a session",
            m.limits.connections.clone(),
        );
        r.register_with_unit(
            "outbox_limit",
            "Bound on the bytes that wait for sessions",
            Unit::Bytes,
            m.limits.outbox_bytes.clone(),
        );
        r.register("writes_in_flight_limit", "Bound on writes in flight", m.limits.writes_in_flight.clone());
        r.register("reads_in_flight_limit", "Bound on reads in flight", m.limits.reads_in_flight.clone());
        r.register(
            "notices_pending_limit",
            "Bound on conversations that wait for a notice",
            m.limits.notices_pending.clone(),
        );
        r.register(
            "notices_in_flight_limit",
            "Bound on notices in flight",
            m.limits.notices_in_flight.clone(),
        );
        r.register(
            "safety_in_flight_limit",
            "Bound on messages that wait for a check",
            m.limits.safety_in_flight.clone(),
        );
        let build = [("version", env!("CARGO_PKG_VERSION")), ("arch", std::env::consts::ARCH)];
        r.register("build", "The release that runs", Info::new(build.to_vec()));
        r.register_collector(Box::new(m.disk.clone()));
        m.registry = Arc::new(registry);
        m
    }

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
        m.limits.sessions.set_size(u64::MAX);
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
