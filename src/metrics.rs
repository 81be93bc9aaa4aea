//! Every metric that the server shows at `/metrics`, in one place.

use std::collections::HashSet;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// One label with a value out of a fixed, small set.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ErrorLabel {
    pub error: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CloseLabel {
    pub code: u16,
    pub reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CallLabel {
    pub call: &'static str,
    pub result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct DialectLabel {
    pub dialect: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct HttpLabel {
    pub route: &'static str,
    pub status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct NoticeLabel {
    pub outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct VerdictLabel {
    pub of: &'static str,
    pub verdict: &'static str,
}

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
    pub sessions_opened: Family<DialectLabel, Counter>,
    pub closes: Family<CloseLabel, Counter>,
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
    pub errors: Family<ErrorLabel, Counter>,
    /// Handshakes turned away with plain HTTP, before anything was read.
    pub handshakes_refused: Family<ErrorLabel, Counter>,
    /// Connections of the public port without a session.
    pub connections: Gauge,
    /// Connections turned away as soon as they were accepted.
    pub connections_refused: Family<ErrorLabel, Counter>,
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
    pub wechat_calls: Family<CallLabel, Counter>,
    pub http_responses: Family<HttpLabel, Counter>,
    /// 1 while hints go to other nodes and come from them.
    pub relay_up: Gauge,
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
    pub notices: Family<NoticeLabel, Counter>,
    /// Conversations that wait to be judged.
    pub notices_pending: Gauge,
    /// Notices under way to WeChat.
    pub notices_in_flight: Gauge,
    /// 1 while none is sent, because WeChat refuses them for a setting or a quota.
    pub notices_resting: Gauge,
    /// Bytes of the database on its disk.
    pub database_bytes: Gauge,
    /// What became of texts that were checked.
    pub safety_verdicts: Family<VerdictLabel, Counter>,
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
}

impl Metrics {
    pub fn new() -> Self {
        let latency = || exponential_buckets(0.0001, 2.0, 16);
        let mut m = Self {
            registry: Arc::default(),
            sessions: Gauge::default(),
            sessions_in_background: Gauge::default(),
            users: Gauge::default(),
            sessions_opened: Family::default(),
            closes: Family::default(),
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
            errors: Family::default(),
            handshakes_refused: Family::default(),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            commit_seconds: Histogram::new(latency()),
            batch_writes: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            writes_in_flight: Gauge::default(),
            reads_in_flight: Gauge::default(),
            read_seconds: Histogram::new(latency()),
            pool_connections: Gauge::default(),
            pool_idle: Gauge::default(),
            wechat_calls: Family::default(),
            http_responses: Family::default(),
            relay_up: Gauge::default(),
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
            notices: Family::default(),
            notices_pending: Gauge::default(),
            notices_in_flight: Gauge::default(),
            notices_resting: Gauge::default(),
            database_bytes: Gauge::default(),
            safety_verdicts: Family::default(),
            safety_in_flight: Gauge::default(),
            safety_check_seconds: Histogram::new(latency()),
            safety_remembered: Counter::default(),
            safety_over_quota: Counter::default(),
            safety_resting: Gauge::default(),
            safety_words: Gauge::default(),
        };
        let mut r = Registry::with_prefix("hongyan");
        r.register("sessions", "Live sessions", m.sessions.clone());
        r.register("sessions_in_background", "Live sessions in the background", m.sessions_in_background.clone());
        r.register("users", "Users with a live session", m.users.clone());
        r.register("sessions_opened", "Sessions opened, by dialect", m.sessions_opened.clone());
        r.register("session_closes", "Sessions closed, by close code", m.closes.clone());
        r.register("messages_in", "Well-formed messages from clients", m.messages_in.clone());
        r.register("messages_out", "Message frames queued for sessions", m.messages_out.clone());
        r.register("frames_held", "Frames that wait for their predecessor from another node", m.frames_held.clone());
        r.register("frames_out_of_turn", "Frames told before their predecessor", m.frames_out_of_turn.clone());
        r.register("frames_late", "Frames that came after a later one was told", m.frames_late.clone());
        r.register("gap_reads", "Askings of the database for what is missing before a frame that waits", m.gap_reads.clone());
        r.register("outbox_bytes", "Bytes of frames that wait for sessions to take them", m.outbox_bytes.clone());
        r.register("receipts_out", "Receipts queued for sessions", m.receipts_out.clone());
        r.register("syncs", "Syncs answered", m.syncs.clone());
        r.register("acks", "Messages acked", m.acks.clone());
        r.register("duplicates", "Messages acked that were stored before", m.duplicates.clone());
        r.register("errors", "Errors told to clients, by word", m.errors.clone());
        r.register("handshakes_refused", "Handshakes refused with plain HTTP, by word", m.handshakes_refused.clone());
        r.register("connections", "Connections without a session", m.connections.clone());
        r.register("connections_refused", "Connections turned away, by reason", m.connections_refused.clone());
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
        r.register("relay_dropped", "Hints not passed on, because NATS was away or did not keep up", m.relay_dropped.clone());
        r.register("relay_received", "Hints that came from other nodes", m.relay_received.clone());
        r.register("relay_foreign", "Hints for users who have no session here", m.relay_foreign.clone());
        r.register("relay_unknown", "Hints of a kind that this version does not know", m.relay_unknown.clone());
        r.register("relay_catch_ups", "Askings of the database for what hints may not have told", m.relay_catch_ups.clone());
        r.register_with_unit("relay_catch_up", "Time of one such asking", Unit::Seconds, m.relay_catch_up_seconds.clone());
        r.register("notices", "Conversations judged for a notice, by what became of them", m.notices.clone());
        r.register("notices_pending", "Conversations that wait to be judged for a notice", m.notices_pending.clone());
        r.register("notices_in_flight", "Notices under way to WeChat", m.notices_in_flight.clone());
        r.register("notices_resting", "1 while none is sent, because WeChat refuses them", m.notices_resting.clone());
        r.register_with_unit("database", "Size of the database on its disk", Unit::Bytes, m.database_bytes.clone());
        r.register("safety_verdicts", "Texts checked, by what they are and what became of them", m.safety_verdicts.clone());
        r.register("safety_in_flight", "Messages that wait for a check", m.safety_in_flight.clone());
        r.register_with_unit("safety_check", "Time of the check of a message by WeChat", Unit::Seconds, m.safety_check_seconds.clone());
        r.register("safety_remembered", "Texts whose verdict by WeChat was remembered", m.safety_remembered.clone());
        r.register("safety_over_quota", "Texts that WeChat was not asked about because of its quota", m.safety_over_quota.clone());
        r.register("safety_resting", "1 while WeChat is not asked because it fails", m.safety_resting.clone());
        r.register("safety_words", "Entries of the word list", m.safety_words.clone());
        m.registry = Arc::new(r);
        m
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
        as_prometheus(&self.encode())
    }
}

/// OpenMetrics names a counter without the `_total` of its samples, and has units and an end; the older format does not.
fn as_prometheus(openmetrics: &str) -> String {
    let lines: Vec<&str> = openmetrics.lines().collect();
    let counters: HashSet<&str> = lines.iter().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in lines.into_iter().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let named = ["# HELP ", "# TYPE "].into_iter().find_map(|word| Some((word, line.strip_prefix(word)?.split_once(' ')?)));
        match named {
            Some((word, (name, rest))) if counters.contains(name) => text.extend([word, name, "_total ", rest]),
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let m = Metrics::new();
        m.acks.inc();
        m.errors.get_or_create(&ErrorLabel { error: "bad_frame" }).inc();
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
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
    }
}
