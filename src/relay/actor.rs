//! The Relay: holds the connection to NATS, passes hints on, and finds out when none can have come.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt as _, Addr, Arbiter, AsyncContext as _, Context, Handler, Message, ResponseFuture, WrapFuture as _};
use async_nats::client::RequestErrorKind;
use async_nats::{Client, Event, Request, Subscriber};
use futures_util::future::FutureExt as _;
use futures_util::stream::{AbortHandle, StreamExt as _};
use tokio::sync::oneshot;
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::catch_up::catch_up;
use super::connect;
use super::handle::{LinkState, Relayed};
use super::interest::{Bucket, Interest, bucket};
use super::nodes::Nodes;
use super::subscriptions::{Intake, Subscriptions};
use super::trust::Trust;
use super::wire::{self, Says, Word};
use crate::chat::ChatServer;
use crate::chat::messages::{Arrived, ForgetTold, Hint, What};
use crate::ids::OpenId;
use crate::lifecycle::Vital;
use crate::metrics::Metrics;
use crate::outage::Outage;
use crate::store::Store;
use crate::store::messages::CutOff;

/// How often the link is tried and the other nodes hear that this one lives.
const TICK: Duration = Duration::from_millis(1_000);
/// A server that takes longer for one round trip is as good as away.
pub(super) const PROBE_AT_MOST: Duration = Duration::from_millis(2_000);
/// How long a session waits for its subscription before it is let in all the same.
const FOLLOW_AT_MOST: Duration = Duration::from_millis(1_500);
/// How often the database is asked whether another node is cut off, in ticks.
const CUT_OFF_TICKS: u64 = 4;
/// What was told so long before everything is known to be told cannot come again out of the database: the store looks
/// back half a minute further than it is asked to.
const REMEMBER_MS: u64 = 60_000;
/// Batches of hints that may wait for this actor.
const MAILBOX: usize = 4_096;
/// How long a farewell may take.
const LEAVE_AT_MOST: Duration = Duration::from_secs(1);

const NODES: &str = "hongyan.nodes";

#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// One URL or several, separated by commas.
    pub nats_url: String,
    pub buckets: u32,
}

/// Whom the Relay speaks to in this process.
pub struct Doors {
    pub chat: Addr<ChatServer>,
    pub store: Store,
    /// Called when another node has added something to the log of revocations.
    pub revoked: Box<dyn Fn() + Send>,
}

/// The singleton. Its death ends the process.
pub struct Relay {
    settings: RelaySettings,
    node: String,
    metrics: Metrics,
    state: Arc<LinkState>,
    began: Instant,
    doors: Option<Rc<Doors>>,
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
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    probing: bool,
    trust: Trust,
    nodes: Nodes,
    others_cut_off: bool,
    /// Other nodes that spread users differently, and when one was heard last.
    strangers_at: Option<u64>,
    /// Since when hints were not passed on that nobody has been told of.
    lost_since: Option<u64>,
    remembered_until: u64,
    ticks: u64,
    _vital: Vital,
}

impl Relay {
    /// Starts the Relay on a thread of its own. It does nothing until it has its [`Doors`].
    pub fn start(settings: RelaySettings, metrics: &Metrics, vital: Vital) -> Relayed {
        let state = Arc::<LinkState>::default();
        let (counted, shared) = (metrics.clone(), state.clone());
        let relay = Self::start_in_arbiter(&Arbiter::new().handle(), move |ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self::new(settings, counted, shared, vital)
        });
        Relayed { relay, state, metrics: metrics.clone() }
    }

    fn new(settings: RelaySettings, metrics: Metrics, state: Arc<LinkState>, vital: Vital) -> Self {
        Self {
            settings,
            node: format!("{:016x}", rand::random::<u64>()),
            metrics,
            state,
            began: Instant::now(),
            doors: None,
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
            probing: false,
            trust: Trust::new(0),
            nodes: Nodes::default(),
            others_cut_off: false,
            strangers_at: None,
            lost_since: None,
            remembered_until: 0,
            ticks: 0,
            _vital: vital,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn bucket(&self, openid: &OpenId) -> Bucket {
        bucket(openid, self.settings.buckets)
    }

    /// Connects, however long that takes: nobody waits for it.
    fn connect(&mut self, ctx: &mut Context<Self>) {
        let relay = ctx.address();
        let (servers, options) = connect::to(&self.settings.nats_url, &self.node);
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
        let words = async move { client.subscribe(NODES).await.ok() };
        ctx.spawn(words.into_actor(self).map(|words, _, ctx| {
            if let Some(words) = words {
                ctx.add_stream(words.map(Heard));
            }
        }));
        for bucket in std::mem::take(&mut self.unsubscribed) {
            self.subscribe(bucket);
        }
        self.probe(ctx);
    }

    fn subscribe(&mut self, bucket: Bucket) {
        let subject = format!("hongyan.{}.{bucket}", self.settings.buckets);
        let subscriber =
            self.client.as_ref().and_then(|client| unconstrained(client.subscribe(subject)).now_or_never()).and_then(Result::ok);
        let (Some(subscriber), Some(subscriptions)) = (subscriber, &self.subscriptions) else {
            return self.unsubscribed.push(bucket);
        };
        let subscriber: Subscriber = subscriber;
        self.last_number += 1;
        self.subscribed.insert(bucket, (subscriptions.add(subscriber), self.last_number));
    }

    /// One round trip, by a request that nobody can answer: the server says so itself, after it has done all that was asked before.
    fn probe(&mut self, ctx: &mut Context<Self>) {
        let Some(client) = self.client.clone().filter(|_| !self.probing) else { return };
        self.probing = true;
        let (number, began) = (self.last_number, self.now());
        let subject = format!("hongyan.probe.{}", self.node);
        let asked = async move {
            let request = client.send_request(subject, Request::new().timeout(None));
            matches!(timeout(PROBE_AT_MOST, request).await, Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders)
        };
        ctx.spawn(asked.into_actor(self).map(move |answered, relay, ctx| relay.probed(answered, number, began, ctx)));
    }

    fn probed(&mut self, answered: bool, number: u64, began: u64, ctx: &mut Context<Self>) {
        self.probing = false;
        if !answered {
            return self.set_up(false);
        }
        self.confirmed = number;
        self.set_up(true);
        self.trust.confirm(began);
        self.waiting.retain_mut(|(wanted, _)| *wanted > number);
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
                self.nodes.pardon(now);
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

    /// Whether hints come: not while this node is cut off, or another one, or while one spreads users differently.
    fn judge(&mut self) {
        let now = self.now();
        let has_strangers = self.strangers_at.is_some_and(|at| now < at + 10_000);
        self.trust.set_away(!self.up || self.others_cut_off || has_strangers, now);
        self.state.set(self.up, self.nodes.count());
        self.metrics.relay_up.set(i64::from(self.up));
        self.metrics.relay_nodes.set(i64::try_from(self.nodes.count()).unwrap_or(i64::MAX));
        self.metrics.relay_subscriptions.set(i64::try_from(self.subscribed.len()).unwrap_or(i64::MAX));
    }

    fn send(&mut self, subject: String, payload: bytes::Bytes) -> bool {
        let client = self.client.as_ref().filter(|_| self.up);
        // Where the connection has no room at once, NATS does not keep up. Unconstrained, for tokio has a task wait after 128 steps
        // though there is room.
        client.is_some_and(|client| unconstrained(client.publish(subject, payload)).now_or_never().is_some_and(|sent| sent.is_ok()))
    }

    fn say(&mut self, says: Says) -> bool {
        let word = Word { node: self.node.clone(), buckets: self.settings.buckets, says };
        self.send(NODES.to_owned(), word.encode())
    }

    fn publish(&mut self, hint: &Hint) {
        let subject = match hint.what {
            // Who asked may have no session of hers, and so hears no hint for her.
            What::Attends { .. } => NODES.to_owned(),
            _ => format!("hongyan.{}.{}", self.settings.buckets, self.bucket(&hint.to)),
        };
        if self.send(subject, wire::encode(hint)) {
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
            self.lost_since = self.lost_since.or(Some(now.saturating_sub(2 * TICK.as_millis() as u64)));
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
            for (node, heard) in self.nodes.vanished(now) {
                log::warn!(node = node.as_str(); "a node vanished without farewell; the database is asked for what it may not have told");
                self.trust.doubt(heard, now);
            }
            self.say(Says::Alive);
            if let Some(since) = self.lost_since
                && self.say(Says::Lost { ago_ms: now - since })
            {
                self.lost_since = None;
            }
        }
        if self.ticks.is_multiple_of(CUT_OFF_TICKS) || !self.up {
            self.ask_who_is_cut_off(ctx);
        }
        self.judge();
        self.catch_up(ctx);
        if self.trust.told_until() >= self.remembered_until + REMEMBER_MS
            && let Some(doors) = &self.doors
        {
            self.remembered_until = self.trust.told_until();
            doors.chat.do_send(ForgetTold);
        }
    }

    fn ask_who_is_cut_off(&mut self, ctx: &mut Context<Self>) {
        let Some(doors) = self.doors.clone() else { return };
        let query = CutOff { node: self.node.clone(), me: !self.up };
        let asked = async move { doors.store.ask(query).await };
        ctx.spawn(asked.into_actor(self).map(|others, relay, _| {
            // Without the database nothing is committed here that others would have to be told.
            let Ok(others) = others else { return };
            if std::mem::replace(&mut relay.others_cut_off, others > 0) != (others > 0) {
                log::info!(nodes = others; "other nodes that are cut off from NATS");
            }
            relay.judge();
        }));
    }

    fn catch_up(&mut self, ctx: &mut Context<Self>) {
        let Some(doors) = self.doors.clone() else { return };
        let Some(ago_ms) = self.trust.ask(self.now()) else { return };
        let began = Instant::now();
        let asked = async move { catch_up(&doors.store, &doors.chat, ago_ms).await };
        ctx.spawn(asked.into_actor(self).map(move |told, relay, _| {
            relay.metrics.relay_catch_ups.inc();
            relay.metrics.relay_catch_up_seconds.observe(began.elapsed().as_secs_f64());
            match told {
                Ok(users) => {
                    relay.unasked.answered(Instant::now());
                    log::debug!(users = users, ago_ms = ago_ms; "users were told out of the database");
                }
                Err(_) => {
                    if relay.unasked.failed(Instant::now()).is_some() {
                        log::warn!(ago_ms = ago_ms; "the database could not be asked for what hints may not have told; it is asked again");
                    }
                }
            }
            let now = relay.now();
            relay.trust.asked(told.is_ok(), now);
        }));
    }

    fn heard(&mut self, word: Word) {
        let now = self.now();
        if word.node == self.node {
            return;
        }
        if word.buckets != self.settings.buckets {
            if self.strangers_at.is_none() {
                log::error!(node = word.node.as_str(), theirs = word.buckets, ours = self.settings.buckets; "another node has another relay.buckets: messages between the two come late; set it alike");
            }
            self.strangers_at = Some(now);
        }
        if word.says != Says::Bye && self.nodes.heard(&word.node, now) {
            log::info!(node = word.node.as_str(); "another node is heard");
        }
        match word.says {
            Says::Alive => {}
            Says::Bye => {
                self.nodes.left(&word.node);
                log::info!(node = word.node.as_str(); "another node has left");
            }
            Says::Lost { ago_ms } => self.trust.doubt(now.saturating_sub(ago_ms.saturating_add(TICK.as_millis() as u64)), now),
            Says::Revoked => {
                if let Some(doors) = &self.doors {
                    (doors.revoked)();
                }
            }
        }
    }
}

impl Actor for Relay {
    type Context = Context<Self>;
}

impl Drop for Relay {
    fn drop(&mut self) {
        for (subscription, _) in self.subscribed.values() {
            subscription.abort();
        }
    }
}

impl Relayed {
    /// Opens the doors: from now on the Relay connects.
    pub fn begin(&self, doors: Doors) {
        self.relay.do_send(Begin(doors));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Begin(Doors);

impl Handler<Begin> for Relay {
    type Result = ();

    fn handle(&mut self, Begin(doors): Begin, ctx: &mut Self::Context) {
        let intake = Intake {
            interest: self.interest.clone(),
            buckets: self.settings.buckets,
            chat: doors.chat.clone(),
            metrics: self.metrics.clone(),
        };
        self.subscriptions = Some(Subscriptions::start(intake));
        self.doors = Some(Rc::new(doors));
        self.connect(ctx);
        ctx.run_interval(TICK, Self::tick);
        self.judge();
    }
}

/// Hints for the other nodes.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Publish(pub(super) Vec<Hint>);

impl Handler<Publish> for Relay {
    type Result = ();

    fn handle(&mut self, Publish(hints): Publish, _: &mut Self::Context) {
        for hint in hints {
            self.publish(&hint);
        }
    }
}

/// Hints for this user are wanted here.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Follow(pub(super) OpenId);

impl Handler<Follow> for Relay {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Follow(openid): Follow, ctx: &mut Self::Context) -> Self::Result {
        let bucket = self.bucket(&openid);
        if self.interest.borrow_mut().follow(openid, bucket) {
            self.subscribe(bucket);
        }
        let number = self.subscribed.get(&bucket).map(|(_, number)| *number);
        match number.filter(|number| self.up && *number > self.confirmed) {
            None => Box::pin(std::future::ready(())),
            Some(number) => {
                let (done, confirmed) = oneshot::channel();
                self.waiting.push((number, done));
                self.probe(ctx);
                // Dropped, it says the same: go on.
                Box::pin(timeout(FOLLOW_AT_MOST, confirmed).map(drop))
            }
        }
    }
}

/// Takes one [`Follow`] back.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Unfollow(pub(super) OpenId);

impl Handler<Unfollow> for Relay {
    type Result = ();

    fn handle(&mut self, Unfollow(openid): Unfollow, _: &mut Self::Context) {
        let (bucket, now) = (self.bucket(&openid), self.now());
        self.interest.borrow_mut().unfollow(&openid, bucket, now);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TellRevoked;

impl Handler<TellRevoked> for Relay {
    type Result = ();

    fn handle(&mut self, _: TellRevoked, _: &mut Self::Context) {
        self.say(Says::Revoked);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Leave;

impl Handler<Leave> for Relay {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Leave, _: &mut Self::Context) -> Self::Result {
        // Who could not say everything must be taken for one who vanished.
        if self.lost_since.is_none() {
            self.say(Says::Bye);
        }
        match self.client.clone().filter(|_| self.up) {
            Some(client) => Box::pin(async move {
                let _ = timeout(LEAVE_AT_MOST, client.flush()).await;
            }),
            None => Box::pin(std::future::ready(())),
        }
    }
}

/// Something that another node says to all: a word about itself, or an answer.
struct Heard(async_nats::Message);

impl actix::StreamHandler<Heard> for Relay {
    fn handle(&mut self, Heard(message): Heard, _: &mut Self::Context) {
        if let Ok(word) = Word::decode(&message.payload) {
            return self.heard(word);
        }
        match (wire::decode(&message.payload), &self.doors) {
            (Ok(hint @ Hint { what: What::Attends { .. }, .. }), Some(doors)) => doors.chat.do_send(Arrived(vec![hint])),
            _ => drop(self.metrics.relay_unknown.inc()),
        }
    }
}

/// Something that befell the connection.
#[derive(Message)]
#[rtype(result = "()")]
struct Happened(Event);

impl Handler<Happened> for Relay {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened, ctx: &mut Self::Context) {
        let now = self.now();
        match event {
            Event::Connected => self.probe(ctx),
            Event::Disconnected | Event::Closed => self.set_up(false),
            Event::SlowConsumer(_) => self.trust.doubt(now.saturating_sub(TICK.as_millis() as u64), now),
            Event::ServerError(error) => {
                if self.refused.failed(Instant::now()).is_some() {
                    log::warn!(error:% = error; "NATS refuses: are the user's rights those of deploy/nats?");
                }
            }
            Event::ClientError(error) => self.not_reached(&error.to_string()),
            Event::LameDuckMode | Event::Draining => {}
        }
    }
}
