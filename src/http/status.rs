//! `/status` of the operators' port: how this node stands, as it writes it beside its heartbeat. And how a
//! request for `/healthz` looked from here, by which `hongyan doctor` finds a proxy that is not trusted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::RequestHead;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use rustix::process::{Resource, getrlimit};

use super::error::ApiError;
use super::{State, ops};
use crate::config;
use crate::ids::{HttpRequestId, now_ms};
use crate::lifecycle::Draining;
use crate::limits::ClientAddress;
use crate::metrics::{self, Metrics};
use crate::node::{Node, NodeStatus, Rate, SeenRequest};
use crate::notice::Standing;
use crate::relay::LinkState;
use crate::store::{DatabaseState, Store};
use crate::version;

const RATE_INTERVAL: Duration = Duration::from_secs(1);
/// Requests for `/healthz` that are remembered.
const SEEN_REQUESTS: usize = 32;

/// What a node's status is read from.
pub struct StatusSource {
    pub node: Node,
    pub metrics: Metrics,
    pub store: Store,
    pub draining: Draining,
    pub relay: Option<Arc<LinkState>>,
    pub notices: Option<Arc<Standing>>,
    rate: Arc<Rate>,
    up_since_ms: i64,
    seen: Mutex<VecDeque<(HttpRequestId, SeenRequest)>>,
}

impl StatusSource {
    pub fn new(
        node: Node,
        metrics: Metrics,
        store: Store,
        draining: Draining,
        relay: Option<Arc<LinkState>>,
        notices: Option<Arc<Standing>>,
    ) -> Self {
        Self {
            node,
            metrics,
            store,
            draining,
            relay,
            notices,
            rate: Arc::default(),
            up_since_ms: now_ms(),
            seen: Mutex::default(),
        }
    }

    /// Follows the messages on this thread for as long as the process lives.
    pub fn follow(&self) {
        let (rate, messages) = (self.rate.clone(), self.metrics.messages_in.clone());
        actix_web::rt::spawn(async move {
            let mut every = tokio::time::interval(RATE_INTERVAL);
            loop {
                every.tick().await;
                rate.note(Instant::now(), messages.get());
            }
        });
    }

    /// The status now. Waits for nobody.
    pub fn read(&self) -> NodeStatus {
        let link = self.relay.as_ref().map(|relay| relay.link());
        let notices = self.notices.as_ref().map(|standing| standing.seen());
        NodeStatus {
            node: self.node.name().to_owned(),
            start: self.node.start().to_owned(),
            version: version::NUMBER.to_owned(),
            up_since_ms: self.up_since_ms,
            draining: self.draining.is_set(),
            sessions: self.metrics.sessions.get(),
            users: self.metrics.users.get(),
            messages_per_second: self.rate.per_second(),
            database: match self.store.state() {
                DatabaseState::Ok => "ok",
                DatabaseState::Unreachable(_) => "unreachable",
                DatabaseState::ReadOnly(_) => "read_only",
                DatabaseState::Unwritable(_) => "unwritable",
            }
            .to_owned(),
            relay: match link {
                None => "off",
                Some(link) if !link.up => "unavailable",
                Some(link) if link.away > 0 => "split",
                Some(_) => "ok",
            }
            .to_owned(),
            hears: link.map_or(0, |link| link.heard),
            notices: match &notices {
                None => "off",
                Some(seen) if seen.rests.is_some() => "resting",
                Some(_) => "ok",
            }
            .to_owned(),
            notices_pending: notices.map_or(0, |seen| seen.pending),
            writes_in_flight: self.metrics.writes_in_flight.get(),
            descriptors_limit: getrlimit(Resource::Nofile).current,
            descriptors_open: None,
        }
    }

    /// Notes how a request for `/healthz` came.
    pub fn saw(&self, id: &HttpRequestId, head: &RequestHead, server: &config::Server) {
        let text = |name: &str| {
            head.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(|text| text.chars().take(200).collect())
        };
        let peer = head.peer_addr.map(|peer| peer.ip().to_canonical());
        let seen = SeenRequest {
            peer: peer.map(|ip| ip.to_string()),
            is_trusted: peer.is_none_or(|ip| server.trusted_proxies.iter().any(|net| net.contains(&ip))),
            forwarded_for: text("x-forwarded-for"),
            client: ClientAddress::of(head, server).to_string(),
        };
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == SEEN_REQUESTS {
            all.pop_front();
        }
        all.push_back((id.clone(), seen));
    }

    fn seen(&self, id: &HttpRequestId) -> Option<SeenRequest> {
        let all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|(seen, _)| seen == id).map(|(_, seen)| seen.clone())
    }
}

/// This node's status.
pub async fn status(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // As `/readyz` has it, which asks the database: what the last write met may be long ago.
        .json(NodeStatus {
            database: ops::database(&state).await.database.to_owned(),
            descriptors_open: metrics::open_descriptors(),
            ..state.status.read()
        })
}

/// How a request for `/healthz` came to this node, by the id in its answer.
pub async fn seen_request(state: web::Data<State>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id = HttpRequestId::parse(&id)?;
    let seen = state.status.seen(&id).ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(seen))
}
