//! The Relay: holds the connection to NATS, passes hints on, and finds out when none can have come.

mod requests;
mod streams;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use actix::{Actor, ActorFutureExt as _, Addr, Arbiter, AsyncContext as _, Context, WrapFuture as _};
use async_nats::{Client, Subject, Subscriber};
use futures_util::future::FutureExt as _;
use futures_util::stream::{AbortHandle, StreamExt as _};
use tokio::sync::{Mutex, oneshot};
use tokio::task::unconstrained;
use tokio::time::timeout;

use streams::{Happened, Heard, Probed};

use super::connect;
use super::handle::{Link, LinkState, RelayHandle};
use super::interest::{Bucket, Interest, bucket};
use super::intervals::{HEARTBEAT_TICKS, PROBE_TIMEOUT, TICK, TICK_MS};
use super::peers::{Changes, Heartbeat, Peers};
use super::probe::{Begun, Probe};
use super::resync::Walks;
use super::resync_planner::ResyncPlanner;
use super::subscriptions::{Intake, Subscriptions};
use super::traced;
use super::wire::{self, NodeMessage, NodeMessageKind};
use crate::chat::ChatServer;
use crate::chat::messages::{ClusterEvent, ClusterEventKind, ForgetDelivered, OtherNodes, Reachable};
use crate::clock::Stopwatch;
use crate::ids::OpenId;
use crate::lifecycle::Vital;
use crate::metrics::Metrics;
use crate::node::NodeStatus;
use crate::outage::Outage;
use crate::store::nodes::WriteHeartbeat;
use crate::store::{Store, Unavailable};

/// How long it takes until the database is asked to go on after it could not be.
const WALKS_REST_MS: u64 = 5_000;
/// How long a node that spreads users differently is remembered.
const BUCKET_MISMATCH_MS: u64 = 10 * TICK_MS;
/// Batches of hints that may wait for this actor.
const MAILBOX: usize = 4_096;

const NODES: &str = "hongyan.nodes";

pub use requests::LEAVE_TIMEOUT;
pub(super) use requests::{Commit, Follow, Leave, Publish, TellRevoked, Unfollow};

#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// This node among the others: its name and this start of it.
    pub node: String,
    /// One URL or several, separated by commas.
    pub nats_url: String,
    pub buckets: u32,
}

/// Whom the Relay speaks to in this process.
pub struct RelayPorts {
    pub chat: Addr<ChatServer>,
    pub store: Store,
    pub node: Box<dyn LocalNode>,
}

/// This node, as far as the others are concerned with it.
pub trait LocalNode: Send {
    /// Another node has added something to the log of revocations.
    fn revoked(&self);

    /// How this node stands, for operators who ask the database.
    fn status(&self) -> NodeStatus;
}

/// The singleton. Its death ends the process.
pub struct Relay {
    settings: RelaySettings,
    /// Names this node on every message that it publishes.
    origin: Subject,
    metrics: Metrics,
    state: Arc<LinkState>,
    began: Stopwatch,
    ports: Rc<RelayPorts>,
    client: Option<Client>,
    up: bool,
    unreached: Outage,
    refused: Outage,
    unasked: Outage,
    interest: Rc<RefCell<Interest>>,
    subscriptions: Option<Subscriptions>,
    /// By bucket: how to end it, and its number, by which it is known whether the server has it.
    subscribed: HashMap<Bucket, (AbortHandle, u64)>,
    /// Those that the connection had no room for yet.
    unsubscribed: Vec<Bucket>,
    last_number: u64,
    confirmed: u64,
    waiting: Vec<Waiting>,
    probe: Probe,
    resync: ResyncPlanner,
    /// Users who are being told what the database answered.
    walks: Option<Walks>,
    /// After a failure: when they go on.
    walks_on_at: u64,
    peers: Peers,
    /// Held while a heartbeat is written: none follows the removal of this node's row.
    heartbeat: Rc<Mutex<()>>,
    is_leaving: bool,
    /// Other nodes that spread users differently, and when one was heard last.
    bucket_mismatch_at: Option<u64>,
    /// What the chat was told last of who is heard.
    told_reachable: Option<Reachable>,
    /// Since when hints were not passed on that nobody has been told of.
    lost_since: Option<u64>,
    ticks: u64,
    _vital: Vital,
}

/// A session that waits until NATS has confirmed a subscription.
struct Waiting {
    number: u64,
    since: u64,
    let_in: oneshot::Sender<()>,
}

impl Relay {
    /// Starts the Relay on a thread of its own. `state` shows how things stand with NATS.
    pub fn start(
        settings: RelaySettings,
        ports: RelayPorts,
        state: Arc<LinkState>,
        metrics: &Metrics,
        vital: Vital,
    ) -> RelayHandle {
        let (counted, shared) = (metrics.clone(), state.clone());
        let relay = Self::start_in_arbiter(&Arbiter::new().handle(), move |ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self::new(settings, ports, counted, shared, vital)
        });
        RelayHandle { relay, state, metrics: metrics.clone() }
    }

    fn new(
        settings: RelaySettings,
        ports: RelayPorts,
        metrics: Metrics,
        state: Arc<LinkState>,
        vital: Vital,
    ) -> Self {
        Self {
            origin: Subject::from(format!("hongyan.from.{}", settings.node)),
            settings,
            metrics,
            state,
            began: Stopwatch::start(),
            ports: Rc::new(ports),
            client: None,
            up: false,
            unreached: Outage::default(),
            refused: Outage::default(),
            unasked: Outage::default(),
            interest: Rc::default(),
            subscriptions: None,
            subscribed: HashMap::new(),
            unsubscribed: Vec::new(),
            last_number: 0,
            confirmed: 0,
            waiting: Vec::new(),
            probe: Probe::default(),
            resync: ResyncPlanner::new(0),
            walks: Some(Walks::default()),
            walks_on_at: 0,
            peers: Peers::default(),
            heartbeat: Rc::default(),
            is_leaving: false,
            bucket_mismatch_at: None,
            told_reachable: None,
            lost_since: None,
            ticks: 0,
            _vital: vital,
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed_ms()
    }

    fn bucket(&self, openid: &OpenId) -> Bucket {
        bucket(openid, self.settings.buckets)
    }

    /// Connects, however long that takes: nobody waits for it.
    fn connect(&mut self, ctx: &mut Context<Self>) {
        let relay = ctx.address();
        let (servers, options) = connect::to(&self.settings.nats_url, &self.settings.node);
        let options = options.event_callback(move |event| {
            relay.do_send(Happened(event));
            std::future::ready(())
        });
        ctx.spawn(options.connect(servers).into_actor(self).map(|connected, relay, ctx| match connected {
            Ok(client) => relay.connected(client, ctx),
            Err(error) => log::error!(error:% = error; "relay.nats_url cannot be used; this node stands alone, and users on others wait for the database to be asked"),
        }));
    }

    fn connected(&mut self, client: Client, ctx: &mut Context<Self>) {
        self.client = Some(client.clone());
        let own = self.probe_subject();
        let subscribed =
            async move { (client.subscribe(NODES).await.ok(), client.subscribe(own).await.ok()) };
        ctx.spawn(subscribed.into_actor(self).map(|(words, probes), relay, ctx| {
            if let Some(words) = words {
                ctx.add_stream(words.map(Heard));
            }
            if let Some(probes) = probes {
                ctx.add_stream(probes.map(Probed));
            }
            relay.probe(ctx);
        }));
        for bucket in std::mem::take(&mut self.unsubscribed) {
            self.subscribe(bucket);
        }
    }

    fn subscribe(&mut self, bucket: Bucket) {
        let subject = format!("hongyan.{}.{bucket}", self.settings.buckets);
        let subscriber = self
            .client
            .as_ref()
            .and_then(|client| unconstrained(client.subscribe(subject)).now_or_never())
            .and_then(Result::ok);
        let (Some(subscriber), Some(subscriptions)) = (subscriber, &self.subscriptions) else {
            return self.unsubscribed.push(bucket);
        };
        let subscriber: Subscriber = subscriber;
        self.last_number += 1;
        self.subscribed.insert(bucket, (subscriptions.add(subscriber), self.last_number));
    }

    fn probe_subject(&self) -> String {
        format!("hongyan.probe.{}", self.settings.node)
    }

    /// One round trip, by which every subscription before it is known to stand.
    fn probe(&mut self, ctx: &mut Context<Self>) {
        let Some(client) = self.client.clone() else { return };
        let Some(Begun { number: probe, payload, returned }) = self.probe.begin() else { return };
        let (number, began) = (self.last_number, self.now());
        let (subject, origin) = (self.probe_subject(), self.origin.clone());
        let gone = async move {
            client.publish_with_reply(subject, origin, payload).await.is_ok() && returned.await.is_ok()
        };
        let within = timeout(PROBE_TIMEOUT, gone);
        ctx.spawn(within.into_actor(self).map(move |came, relay, ctx| {
            if relay.probe.end(probe) {
                relay.probed(came == Ok(true), number, began, ctx);
            }
        }));
    }

    fn probed(&mut self, answered: bool, number: u64, began: u64, ctx: &mut Context<Self>) {
        if !answered {
            return self.set_up(false);
        }
        self.confirmed = number;
        self.set_up(true);
        self.resync.confirm(began);
        let now = self.now();
        for Waiting { since, let_in, .. } in self.waiting.extract_if(.., |waiting| waiting.number <= number) {
            // One that had waited too long is in since then, and not everything may have come for it.
            if let_in.send(()).is_err() {
                self.resync.mark_lossy(since, now);
            }
        }
        if !self.waiting.is_empty() {
            self.probe(ctx);
        }
    }

    fn set_up(&mut self, up: bool) {
        let now = self.now();
        if std::mem::replace(&mut self.up, up) != up {
            if up {
                self.unreached.answered(Instant::now());
                self.refused.answered(Instant::now());
                self.peers.reset_timers(now);
                log::info!("NATS answers: hints go to other nodes and come from them");
            } else {
                log::warn!(
                    "NATS does not answer: messages between nodes are brought out of the database, up to ten seconds late; nothing is lost"
                );
            }
        }
        if !up {
            // Those who wait are let in without.
            self.waiting.clear();
        }
        self.judge();
    }

    /// Tells the log why, once a minute: it is tried again every second.
    fn not_reached(&mut self, why: &str) {
        if !self.up
            && let Some(away) = self.unreached.failed(Instant::now())
        {
            log::warn!(error = why, away_s = away.as_secs(); "NATS at relay.nats_url is not reached; it is tried again and again");
        }
    }

    /// Whether hints come: not while NATS does not answer, does not bring those of another node or has not
    /// been asked for some, nor while a node spreads users differently.
    fn judge(&mut self) {
        let now = self.now();
        if self.up {
            let changes = self.peers.judge();
            self.tell_changes(changes, now);
        }
        let has_bucket_mismatch = self.bucket_mismatch_at.is_some_and(|at| now < at + BUCKET_MISMATCH_MS);
        let link = Link {
            up: self.up,
            heard: self.peers.heard_count(),
            away: if self.up { self.peers.away_count() } else { 0 },
        };
        // Users of these are let in all the same.
        let lacks_subscriptions = !self.unsubscribed.is_empty();
        self.resync.set_away(!link.up || link.away > 0 || has_bucket_mismatch || lacks_subscriptions, now);
        self.state.set(link);
        let reachable = match link {
            Link { up: false, .. } => Reachable::None,
            Link { away: 0, .. } if !has_bucket_mismatch => Reachable::All,
            _ => Reachable::Some,
        };
        if self.told_reachable.replace(reachable) != Some(reachable) {
            self.ports.chat.do_send(OtherNodes::Heard(reachable));
        }
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.relay_up.set(i64::from(link.up));
        self.metrics.relay_nodes.set(gauge(link.heard));
        self.metrics.relay_nodes_away.set(gauge(link.away));
        self.metrics.relay_subscriptions.set(gauge(self.subscribed.len()));
    }

    fn tell_changes(&mut self, Changes { began, ended }: Changes, now: u64) {
        let away = self.peers.away_count();
        if !began.is_empty() {
            let names: Vec<_> = began.iter().map(|(node, _)| node.as_str()).collect();
            log::warn!(other_nodes = names.join(","), away = away; "the database shows nodes alive that NATS does not bring here, as when its servers are split: messages between them and this node are brought out of the database, up to ten seconds late; nothing is lost");
        }
        for (_, since) in began {
            self.resync.mark_lossy(since, now);
        }
        if !ended.is_empty() {
            log::warn!(other_nodes = ended.join(","), away = away; "nodes that NATS did not bring here are heard again, or have ended");
        }
    }

    fn send(&mut self, subject: String, payload: bytes::Bytes) -> bool {
        let client = self.client.as_ref().filter(|_| self.up);
        // Where the connection has no room at once, NATS does not keep up. Unconstrained, for tokio has a
        // task wait after 128 steps though there is room.
        client.is_some_and(|client| {
            let sent = unconstrained(client.publish_with_reply(subject, self.origin.clone(), payload))
                .now_or_never();
            sent.is_some_and(|sent| sent.is_ok())
        })
    }

    fn say(&mut self, kind: NodeMessageKind) -> bool {
        let message = NodeMessage { node: self.settings.node.clone(), buckets: self.settings.buckets, kind };
        self.send(NODES.to_owned(), message.encode())
    }

    fn publish(&mut self, hint: &ClusterEvent) {
        let subject = match hint.kind {
            // Who asked, or watches, may have no session of theirs, and so hears no hint for them.
            ClusterEventKind::Attends { .. }
            | ClusterEventKind::Presence { .. }
            | ClusterEventKind::PresenceWithdrawn { .. } => NODES.to_owned(),
            _ => format!("hongyan.{}.{}", self.settings.buckets, self.bucket(&hint.to)),
        };
        let is_sent = self.send(subject, wire::encode(hint));
        traced::published(hint, is_sent);
        if is_sent {
            self.metrics.relay_published.inc();
        } else {
            self.metrics.relay_dropped.inc();
            self.lost_since = self.lost_since.or(Some(self.now()));
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        self.ticks += 1;
        if self.state.overrun.swap(false, Ordering::Relaxed) {
            self.lost_since = self.lost_since.or(Some(now.saturating_sub(2 * TICK_MS)));
        }
        for bucket in self.interest.borrow_mut().expired(now) {
            self.unsubscribed.retain(|b| *b != bucket);
            if let Some((subscription, _)) = self.subscribed.remove(&bucket) {
                subscription.abort();
            }
        }
        for bucket in std::mem::take(&mut self.unsubscribed) {
            self.subscribe(bucket);
        }
        self.probe(ctx);
        if self.up {
            for (node, heard) in self.peers.silent(now) {
                log::warn!(other_node = node.as_str(); "a node vanished without farewell; the database is asked for what it may not have told");
                self.metrics.relay_nodes_vanished.inc();
                self.ports.chat.do_send(OtherNodes::Gone(node));
                self.resync.mark_lossy(heard, now);
            }
            self.say(NodeMessageKind::Alive);
            if let Some(since) = self.lost_since
                && self.say(NodeMessageKind::Lost { ago_ms: now - since })
            {
                self.lost_since = None;
            }
        }
        if self.ticks.is_multiple_of(HEARTBEAT_TICKS) {
            self.write_heartbeat(ctx);
        }
        self.judge();
        self.resync(ctx);
        if self.walks.as_ref().is_some_and(Walks::are_over) && self.resync.may_forget() {
            self.ports.chat.do_send(ForgetDelivered);
        }
    }

    fn write_heartbeat(&mut self, ctx: &mut Context<Self>) {
        if self.is_leaving {
            return;
        }
        let (ports, writing, began) = (self.ports.clone(), self.heartbeat.clone(), self.now());
        let status = serde_json::to_string(&ports.node.status()).unwrap_or_default();
        let query = WriteHeartbeat {
            node: self.settings.node.clone(),
            version: env!("CARGO_PKG_VERSION"),
            cut_off: !self.up,
            status,
        };
        let written = async move {
            // The one before may still wait for the database.
            let _writing = writing.try_lock().ok()?;
            ports.store.ask(query).await.ok()
        };
        ctx.spawn(written.into_actor(self).map(move |live, relay, _| {
            // Without the database nothing is committed that anybody would have to be told.
            let Some(live) = live else { return };
            let heartbeat = |age_ms, cut_off| Heartbeat { at: began.saturating_sub(age_ms), cut_off };
            relay.peers.seen(live.into_iter().map(|node| (node.name, heartbeat(node.age_ms, node.cut_off))));
            relay.judge();
        }));
    }

    /// Asks the database where that is due, and goes on telling what it answered.
    fn resync(&mut self, ctx: &mut Context<Self>) {
        let ports = self.ports.clone();
        // They are on their way while an asking is under way.
        let Some(mut walks) = self.walks.take() else { return };
        let (now, began) = (self.now(), Instant::now());
        let ago_ms = self.resync.ask(now);
        if ago_ms.is_some() {
            self.ports.chat.do_send(OtherNodes::MayBeMissed);
        }
        if ago_ms.is_none() && (walks.are_over() || now < self.walks_on_at) {
            self.walks = Some(walks);
            return;
        }
        let asked = async move {
            let begun = match ago_ms {
                Some(ago_ms) => walks.begin(&ports.store, &ports.chat, ago_ms).await,
                None => Ok(()),
            };
            let told =
                if begun.is_ok() { walks.go_on(&ports.store, &ports.chat).await } else { Err(Unavailable) };
            (begun.is_ok(), told, walks)
        };
        ctx.spawn(asked.into_actor(self).map(move |(begun, told, walks), relay, _| {
            relay.walks = Some(walks);
            let now = relay.now();
            match told {
                Ok(users) => {
                    relay.unasked.answered(Instant::now());
                    log::debug!(users = users; "users were told out of the database");
                }
                Err(Unavailable) => {
                    relay.walks_on_at = now + WALKS_REST_MS;
                    if relay.unasked.failed(Instant::now()).is_some() {
                        log::warn!("the database could not be asked for what hints may not have told; it is asked again");
                    }
                }
            }
            if ago_ms.is_some() {
                relay.metrics.relay_catch_ups.inc();
                relay.metrics.relay_catch_up_seconds.observe(began.elapsed().as_secs_f64());
                relay.resync.asked(begun, now);
            }
        }));
    }

    fn heard(&mut self, message: NodeMessage) {
        let now = self.now();
        if message.buckets != self.settings.buckets {
            if self.bucket_mismatch_at.is_none() {
                log::error!(other_node = message.node.as_str(), theirs = message.buckets, ours = self.settings.buckets; "another node has another relay.buckets: messages between the two come late; set it alike");
            }
            self.bucket_mismatch_at = Some(now);
        }
        if message.kind != NodeMessageKind::Bye && self.peers.heard(&message.node, now) {
            log::info!(other_node = message.node.as_str(); "another node is heard");
        }
        match message.kind {
            NodeMessageKind::Alive => {}
            NodeMessageKind::Bye => {
                self.peers.left(&message.node);
                log::info!(other_node = message.node.as_str(); "another node has left");
                self.ports.chat.do_send(OtherNodes::Gone(message.node));
            }
            NodeMessageKind::Lost { ago_ms } => {
                self.resync.mark_lossy(now.saturating_sub(ago_ms.saturating_add(TICK_MS)), now)
            }
            NodeMessageKind::Revoked => self.ports.node.revoked(),
        }
    }
}

impl Actor for Relay {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let intake = Intake {
            origin: self.origin.clone(),
            interest: self.interest.clone(),
            buckets: self.settings.buckets,
            chat: self.ports.chat.clone(),
            metrics: self.metrics.clone(),
        };
        self.subscriptions = Some(Subscriptions::start(intake));
        self.connect(ctx);
        ctx.run_interval(TICK, Self::tick);
        self.write_heartbeat(ctx);
        self.judge();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for (subscription, _) in self.subscribed.values() {
            subscription.abort();
        }
    }
}
