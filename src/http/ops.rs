//! What operators and their tools ask.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::State;
use super::caller::Passerby;
use super::openapi::OpenErrors;
use crate::ids::now_ms;
use crate::notice::Seen;
use crate::safety;
use crate::store::messages::Ping;

/// How long the database may take to answer before the node counts as not ready.
const PING_AT_MOST: Duration = Duration::from_millis(1_500);

/// What [`metrics`] is written in.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
    status: u16,
    ready: bool,
    /// Why not: `draining`, `store`.
    reasons: Vec<&'static str>,
    details: Details,
}

/// What operators want to know, though the node serves without it.
#[derive(Debug, Serialize)]
struct Details {
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
    /// While this is not `ok`, messages between nodes come up to ten seconds late, out of the database.
    nats: &'static str,
    /// Other nodes that were heard lately.
    nodes: usize,
}

/// Says that the process is alive
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = Alive), OpenErrors))]
pub async fn public_healthz(_: Passerby) -> HttpResponse {
    healthz().await
}

/// The same for operators, who are not counted.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Alive { status: 200 })
}

/// 200 while new work may be sent here, 503 with the reasons otherwise. WeChat or NATS being away is a detail, not a reason: every other
/// node would see the same, and live sessions go on.
pub async fn readyz(state: web::Data<State>) -> HttpResponse {
    let mut reasons = Vec::new();
    if state.draining.is_set() {
        reasons.push("draining");
    }
    if !matches!(tokio::time::timeout(PING_AT_MOST, state.store.ask(Ping)).await, Ok(Ok(()))) {
        reasons.push("store");
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let wechat_away_for_ms = state.wechat_seen.away_for_ms();
    let wechat = if wechat_away_for_ms.is_some() { "unavailable" } else { "ok" };
    let relay = state.relay.as_ref().map(|link| RelayDetail { nats: if link.is_up() { "ok" } else { "unavailable" }, nodes: link.nodes() });
    HttpResponse::build(status).insert_header((header::CACHE_CONTROL, "no-store")).json(Readiness {
        status: status.as_u16(),
        ready: reasons.is_empty(),
        reasons,
        details: Details {
            wechat,
            wechat_away_for_ms,
            relay,
            safety: state.sessions.checks.detail(),
            notices: state.notices.as_ref().map(|standing| standing.seen().into()),
        },
    })
}

/// Every metric, as OpenMetrics 1.0.
pub async fn metrics(state: web::Data<State>) -> HttpResponse {
    state.sessions.checks.count();
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, OPENMETRICS)).body(state.metrics.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

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
