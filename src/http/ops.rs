//! Port of the operators and their tools.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_web::http::header::Quality;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::State;
use super::client::AnonymousClient;
use super::openapi::OpenErrors;
use crate::ids::{HttpRequestId, now_ms};
use crate::metrics::Metrics;
use crate::notice::Seen;
use crate::relay::Link;
use crate::safety;
use crate::store::{DatabaseState, REPLY_TIMEOUT};
use crate::version;

/// How long the database may take to answer before the node counts as not ready: half of what a caller of
/// `/readyz` waits (`hongyan healthcheck`).
const PING_TIMEOUT: Duration = Duration::from_millis(REPLY_TIMEOUT.as_millis() as u64 / 2);

/// What [`metrics`] is written in.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Since when WeChat has not answered, as the logins of this node have seen it.
#[derive(Debug, Default)]
pub struct WeChatSeen {
    /// Unix milliseconds; 0: the last call was answered, or there was none.
    away_since: AtomicI64,
}

impl WeChatSeen {
    /// One call to WeChat was answered, if only by a refusal of the code.
    pub fn answered(&self) {
        self.away_since.store(0, Ordering::Relaxed);
    }

    /// One call to WeChat was not answered.
    pub fn away(&self) {
        // Kept where it stands already: the first failure says since when.
        let _ = self.away_since.compare_exchange(0, now_ms(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Milliseconds since the first of the unanswered calls; `None`: WeChat is there, as far as is known.
    pub fn away_for_ms(&self) -> Option<i64> {
        match self.away_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some((now_ms() - since).max(0)),
        }
    }
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Alive {
    /// Always 200.
    pub status: u16,
}

#[derive(Debug, Serialize)]
struct Readiness {
    /// The name of this node.
    node: String,
    status: u16,
    version: &'static str,
    ready: bool,
    /// Why not: `draining`, `store`.
    reasons: Vec<&'static str>,
    details: Details,
}

/// What operators want to know, though the node serves without it.
#[derive(Debug, Serialize)]
struct Details {
    #[serde(flatten)]
    database: DatabaseDetail,
    /// Logins and code handshakes fail while this is not `ok`; whoever has a token goes on.
    wechat: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wechat_away_for_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<RelayDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety: Option<safety::Detail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notices: Option<NoticesDetail>,
}

/// While `database` is not `ok`, the node is not ready: `unreachable`, `read_only` where what answers is no
/// primary, or `unwritable` of a SQLite file that takes no writes.
#[derive(Debug, Serialize)]
pub(super) struct DatabaseDetail {
    pub(super) database: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_reason: Option<String>,
}

impl DatabaseDetail {
    /// `answers`: whether it did just now, whatever the last connection says.
    fn new(state: DatabaseState, answers: bool) -> Self {
        let (database, database_reason) = match state {
            DatabaseState::Ok if answers => ("ok", None),
            DatabaseState::Ok => ("unreachable", None),
            DatabaseState::Unreachable(reason) => ("unreachable", Some(reason)),
            DatabaseState::ReadOnly(reason) => ("read_only", Some(reason)),
            DatabaseState::Unwritable(reason) => ("unwritable", Some(reason)),
        };
        Self { database, database_reason }
    }
}

/// How things stand with notices; left out where they are off.
#[derive(Debug, Serialize)]
struct NoticesDetail {
    /// While this is `resting`, WeChat refuses all for the errcode below, and none is sent.
    state: &'static str,
    /// Conversations that wait for their time.
    pending: usize,
    /// Notices under way to WeChat.
    in_flight: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    errcode: Option<i32>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

impl From<Seen> for NoticesDetail {
    fn from(Seen { pending, in_flight, rests }: Seen) -> Self {
        let state = if rests.is_some() { "resting" } else { "ok" };
        let (errcode, hint) = rests.unzip();
        Self { state, pending, in_flight, errcode, hint }
    }
}

/// How things stand between this node and the others; left out where there is no relay.
#[derive(Debug, Serialize)]
struct RelayDetail {
    /// While this is not `ok`, messages between nodes come up to ten seconds late, out of the database: all
    /// of them while it is `unavailable`, those from nodes that are away while it is `split`.
    nats: &'static str,
    /// Other nodes that were heard lately.
    nodes: usize,
    /// Other nodes that the database shows alive and NATS does not bring.
    away: usize,
}

impl From<Link> for RelayDetail {
    fn from(Link { up, heard, away }: Link) -> Self {
        let nats = match (up, away) {
            (false, _) => "unavailable",
            (true, 0) => "ok",
            (true, _) => "split",
        };
        Self { nats, nodes: heard, away }
    }
}

/// Says that the process is alive
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = Alive), OpenErrors))]
pub async fn public_healthz(
    _: AnonymousClient,
    request: HttpRequest,
    state: web::Data<State>,
) -> HttpResponse {
    if let Some(id) = request.extensions().get::<HttpRequestId>() {
        state.status.saw(id, request.head(), &state.config.server);
    }
    healthz().await
}

/// The same for operators, who are not counted.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Alive { status: 200 })
}

/// 200 while new work may be sent here, 503 with the reasons otherwise. WeChat or NATS being away is a
/// detail, not a reason: every other node would see the same, and live sessions go on.
pub async fn readyz(state: web::Data<State>) -> HttpResponse {
    let (reasons, database) = judge(&state).await;
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let wechat_away_for_ms = state.wechat_seen.away_for_ms();
    let wechat = if wechat_away_for_ms.is_some() { "unavailable" } else { "ok" };
    let relay = state.relay.as_ref().map(|relay| relay.state().link().into());
    HttpResponse::build(status).insert_header((header::CACHE_CONTROL, "no-store")).json(Readiness {
        node: state.status.node.name().to_owned(),
        status: status.as_u16(),
        version: version::NUMBER,
        ready: reasons.is_empty(),
        reasons,
        details: Details {
            database,
            wechat,
            wechat_away_for_ms,
            relay,
            safety: state.moderation.detail(),
            notices: state.notices.as_ref().map(|standing| standing.seen().into()),
        },
    })
}

/// How the database stands, asked now.
pub(super) async fn database(state: &State) -> DatabaseDetail {
    match tokio::time::timeout(PING_TIMEOUT, state.store.look()).await {
        Ok(Ok(now)) => DatabaseDetail::new(now, true),
        Ok(Err(_)) | Err(_) => DatabaseDetail::new(state.store.state(), false),
    }
}

/// Reasons against sending new work here, and how the database stands.
async fn judge(state: &State) -> (Vec<&'static str>, DatabaseDetail) {
    let mut reasons = Vec::new();
    if state.draining.is_set() {
        reasons.push("draining");
    }
    let database = database(state).await;
    if database.database != "ok" {
        reasons.push("store");
    }
    (reasons, database)
}

/// The answer of `/readyz` before there is a store to ask.
pub fn not_ready(node: &str, database: DatabaseState) -> HttpResponse {
    #[derive(Serialize)]
    struct Waiting<'a> {
        node: &'a str,
        status: u16,
        version: &'static str,
        ready: bool,
        reasons: [&'static str; 1],
        details: DatabaseDetail,
    }
    let details = DatabaseDetail::new(database, false);
    let body =
        Waiting { node, status: 503, version: version::NUMBER, ready: false, reasons: ["store"], details };
    HttpResponse::ServiceUnavailable().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}

/// Every metric.
pub async fn metrics(state: web::Data<State>, accept: Option<web::Header<header::Accept>>) -> HttpResponse {
    state.moderation.count();
    let (reasons, database) = judge(&state).await;
    state.metrics.ready.set(reasons.is_empty().into());
    state.metrics.database_up.set((database.database == "ok").into());
    state.metrics.wechat_up.set(state.wechat_seen.away_for_ms().is_none().into());
    exposition(state.metrics.clone(), accept).await
}

/// Every metric before there is a store: neither ready, nor has it a database.
pub async fn metrics_while_waiting(
    metrics: web::Data<Metrics>,
    accept: Option<web::Header<header::Accept>>,
) -> HttpResponse {
    exposition(metrics.get_ref().clone(), accept).await
}

/// As OpenMetrics 1.0 for who accepts that at least as gladly as plain text, else in Prometheus' own text
/// format. It is written beside the worker: disks and `/proc` are asked for some of the numbers.
async fn exposition(metrics: Metrics, accept: Option<web::Header<header::Accept>>) -> HttpResponse {
    let is_open = accept.is_some_and(|accept| prefers_openmetrics(&accept));
    let format = if is_open { OPENMETRICS } else { PROMETHEUS };
    let written =
        web::block(move || if is_open { metrics.encode() } else { metrics.encode_prometheus() }).await;
    let Ok(text) = written else { return HttpResponse::ServiceUnavailable().finish() };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, format))
        .insert_header((header::VARY, "accept"))
        .body(text)
}

/// Prometheus names OpenMetrics, with its weight; browsers and curl do not.
fn prefers_openmetrics(accept: &header::Accept) -> bool {
    let weight = |wanted: &str| {
        let named = accept.iter().filter(|entry| entry.item.essence_str() == wanted);
        named
            .map(|entry| entry.quality)
            .fold(Quality::ZERO, |most, weight| if weight > most { weight } else { most })
    };
    let openmetrics = weight("application/openmetrics-text");
    openmetrics > Quality::ZERO && openmetrics >= weight("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_who_names_it() {
        let prefers = |accept: &str| {
            let request = actix_web::test::TestRequest::default()
                .insert_header((header::ACCEPT, accept))
                .to_http_request();
            prefers_openmetrics(&actix_web::http::header::Header::parse(&request).unwrap())
        };
        // As Prometheus 2 and 3 ask.
        assert!(prefers(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
        assert!(prefers("application/openmetrics-text; version=1.0.0"));
        for other in [
            "*/*",
            "text/html,*/*;q=0.8",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.3,text/plain;q=0.5",
        ] {
            assert!(!prefers(other), "{other}");
        }
    }

    #[test]
    fn wechat_is_away_from_the_first_failure_to_the_next_answer() {
        let seen = WeChatSeen::default();
        assert_eq!(seen.away_for_ms(), None);
        seen.away();
        let first = seen.away_since.load(Ordering::Relaxed);
        seen.away();
        assert_eq!(seen.away_since.load(Ordering::Relaxed), first);
        assert!(seen.away_for_ms().is_some());
        seen.answered();
        assert_eq!(seen.away_for_ms(), None);
    }
}
