//! Examination of NATS by `hongyan doctor`: whether a node may do there what it must. It speaks as a node of
//! its own, and what it says changes nothing on others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{Client, Event, Subject, Subscriber};
use bytes::Bytes;
use futures_util::stream::StreamExt as _;
use tokio::time::timeout;

use super::{connect, wire};
use crate::chat::messages::{ClusterEvent, ClusterEventKind};
use crate::ids::OpenId;

/// Maximum time until the connection stands, and until what was published is back.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ECHO_TIMEOUT: Duration = Duration::from_secs(2);

/// How NATS took what a node does.
#[derive(Debug)]
pub struct NatsExamination {
    /// The server's version.
    pub version: String,
    pub round_trip: Duration,
    /// What NATS refused, in its own words.
    pub refused: Vec<String>,
    /// Subjects on which nothing came back of what was published there.
    pub silent: Vec<String>,
}

/// Why NATS could not be asked. Shows no password.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    #[error("no answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    #[error("{0}")]
    Connect(String),
    #[error("the connection broke off: {0}")]
    Broken(String),
}

/// Subscribes to and publishes on each kind of subject that a node uses.
///
/// # Errors
/// [`NatsError`].
pub async fn examine(nats_url: &str, buckets: u32, node: &str) -> Result<NatsExamination, NatsError> {
    let refused = Arc::<Mutex<Vec<String>>>::default();
    let (servers, options) = connect::once_to(nats_url, node);
    let noted = refused.clone();
    let options = options.event_callback(move |event| {
        if let Event::ServerError(error) = event {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
        }
        std::future::ready(())
    });
    let client = timeout(CONNECT_TIMEOUT, options.connect(servers)).await.map_err(|_| NatsError::Timeout)?;
    let client = client.map_err(|error| NatsError::Connect(error.to_string()))?;
    let broken = |error: &dyn std::fmt::Display| NatsError::Broken(error.to_string());

    let subjects = [
        "hongyan.nodes".to_owned(),
        format!("hongyan.{buckets}.{}", rand::random::<u32>() % buckets.max(1)),
        format!("hongyan.probe.{node}"),
    ];
    let mut subscriptions = Vec::new();
    for subject in &subjects {
        subscriptions.push(client.subscribe(subject.clone()).await.map_err(|error| broken(&error))?);
    }
    client.flush().await.map_err(|error| broken(&error))?;
    let began = Instant::now();
    let origin = Subject::from(format!("hongyan.from.{node}"));
    for subject in &subjects {
        client
            .publish_with_reply(subject.clone(), origin.clone(), harmless())
            .await
            .map_err(|error| broken(&error))?;
    }
    let until = tokio::time::Instant::now() + ECHO_TIMEOUT;
    let mut silent = Vec::new();
    let mut round_trip = Duration::ZERO;
    for (subject, subscription) in subjects.into_iter().zip(&mut subscriptions) {
        match tokio::time::timeout_at(until, echo(subscription, &origin)).await {
            Ok(true) => round_trip = round_trip.max(began.elapsed()),
            _ => silent.push(subject),
        }
    }
    let version = client.server_info().version;
    close(client).await;
    let refused = std::mem::take(&mut *refused.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(NatsExamination { version, round_trip, refused, silent })
}

async fn echo(subscription: &mut Subscriber, origin: &Subject) -> bool {
    while let Some(message) = subscription.next().await {
        if message.reply.as_ref() == Some(origin) {
            return true;
        }
    }
    false
}

/// A hint that every node knows and that means nothing to any: the answer to a question that nobody asked,
/// about a user who is nowhere.
fn harmless() -> Bytes {
    let to = OpenId::parse(&format!("doctor-{:016x}", rand::random::<u64>()));
    to.map(|to| wire::encode(&ClusterEvent { to, kind: ClusterEventKind::Attends { ask: rand::random() } }))
        .unwrap_or_default()
}

async fn close(client: Client) {
    let _ = timeout(ECHO_TIMEOUT, client.drain()).await;
}
