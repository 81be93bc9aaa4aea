//! The composition root: the only file that starts actors and knows the drain order.

#[cfg_attr(not(feature = "fake-wechat"), path = "app/no_double.rs")]
mod double;
mod generation;
mod limits;
mod live_sessions;
mod preflight;
mod signals;
mod traces;
mod waiting;
mod welcome;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use actix_web::dev::{Server, ServerHandle};
use actix_web::web;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::auth::{Follower, Identity, Tokens};
use crate::certificate;
use crate::chat::messages::{Attends, CountSessions, DrainSessions, Reach};
use crate::chat::outbox::Bounds;
use crate::chat::{
    ChatPorts, ChatServer, ChatSettings, ClusterPorts, KeepaliveTimeouts, OnStored, RegistryLimits,
};
use crate::config::{self, Config, DatabaseUrl};
use crate::event::revocation::Issued;
use crate::http::listen::{self, BindError, Listener};
use crate::http::status::StatusSource;
use crate::http::{AdminKeys, Admission, Pushes, SignIn, State, serve};
use crate::ids::{OpenId, now_ms};
use crate::lifecycle::{Draining, Vital};
use crate::logging::{announce, announce_to_people};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::notice::{self, Notifier, NotifierHandle};
use crate::relay::{Relay, RelayHandle, RelayPorts, RelaySettings};
use crate::safety::{BadList, Common, ContentCheck, ModerationHandle, Policy, Seen, Words};
use crate::session::Shared;
use crate::store::messages::{Answer, History, Mark, MayReach, PrunedLog, Window, Write};
use crate::store::{self, OpenError, Store, StoreLimits};
use crate::wechat::{Push, WeChatApi, WeChatAuth};
pub use double::fake_wechat;
use limits::{frame_limits, session_limits, show_limits};
use preflight::Prepared;
pub use preflight::{StartErrors, check};
use signals::Signals;
use waiting::{Ports, Waited};

pub use crate::http::descriptors::needed as descriptors_needed;

/// Which way the server was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Serve,
    /// With the WeChat double beside it, where no other `wechat.api_base` is given.
    Dev,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Start(#[from] StartErrors),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the database cannot be opened")]
    Store(#[from] OpenError),
    #[error("the database was opened and does not answer: is it overloaded? start again when it is not")]
    Unavailable,
    #[error(transparent)]
    Words(#[from] BadList),
    #[error(
        "this hongyan is built without the double of WeChat, as scripts/dist and the image are: `cargo run --release -- dev` has it, and so \
         has an image of docker build --build-arg FEATURES=fake-wechat"
    )]
    WithoutDouble,
    #[error("the token could not be signed: check auth.keys")]
    Token,
    #[error(
        "the limit on open files is {limit}, and these settings need {needed}: raise it (ulimit -n, LimitNOFILE=, --ulimit nofile=), or lower \
         server.workers, database.readers or database.lanes"
    )]
    Descriptors { limit: u64, needed: u64 },
    #[error("{what}")]
    Io { what: &'static str, source: std::io::Error },
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}

/// How long sessions may take to go, once they are told.
const SESSIONS_LEAVE: Duration = Duration::from_millis(3_500);
/// How long what is being checked may take to go to the store.
const CHECKS_DRAIN: Duration = Duration::from_secs(2);
/// How long what they sent may take to be committed. With a second for HTTP calls it stays under the 10 s
/// that supervisors wait.
const STORE_DRAINS: Duration = Duration::from_secs(3);
/// Messages that are read in one go where some are missing in a conversation.
const GAP_MESSAGES: usize = 200;
/// How often forgotten users and addresses leave the limiters.
const EVICTION_INTERVAL: Duration = Duration::from_secs(10);

/// Runs the server until a signal ends it.
///
/// # Errors
/// [`Error`] when it cannot start: the address is taken, the database cannot be opened.
pub fn run(config: Config, mode: Mode, node: Node) -> Result<(), Error> {
    #[cfg(feature = "failpoints")]
    let _abort_points = crate::lifecycle::abort_points();
    actix::System::new().block_on(run_server(config, mode, node))
}

async fn run_server(config: Config, mode: Mode, node: Node) -> Result<(), Error> {
    let draining = Draining::default();
    let served = serve_until_signal(config, mode, node, &draining).await;
    // Where it could not start, what is vital ends in order all the same.
    draining.begin();
    served
}

async fn serve_until_signal(
    mut config: Config,
    mode: Mode,
    node: Node,
    draining: &Draining,
) -> Result<(), Error> {
    let metrics = Metrics::new();
    let prepared = preflight::prepare(&config)?;
    config.wechat.connections = prepared.budget.to_wechat;
    let public = Listener::bind(&config.server.listen)?;
    let ops = config.ops.listen.map(|at| listen::tcp(at).map(Listener::Tcp)).transpose()?;
    let admin = config.admin.port().map(Listener::bind).transpose()?;
    let double = match mode {
        Mode::Dev if config.wechat.api_base.is_empty() => {
            Some(double::start(&mut config, &public.at(), draining)?)
        }
        _ => None,
    };
    let public_at = public.at();
    let ops_at = ops.as_ref().and_then(Listener::local_address);
    let admin_at = admin.as_ref().map(Listener::at);

    // Only the double takes the name of a user for a code.
    let sign_in = if double.is_some() { SignIn::Dev } else { SignIn::Token };
    let reload = Arc::new(Notify::new());
    actix_web::rt::spawn(prepared.words.clone().follow(reload.clone()));
    let double_at = double.as_ref().map(|double| double.at);
    let mut is_told = false;
    let mut tell_addresses = || {
        if !std::mem::replace(&mut is_told, true) {
            announce_at("chat", &public_at);
            ops_at.iter().for_each(|at| announce_at("operators", &at.to_string()));
            admin_at.iter().for_each(|at| announce_at("server API", at));
            double_at.iter().for_each(|at| announce_at("wechat double", &at.to_string()));
        }
    };
    let mut signals = None;
    if let DatabaseUrl::Postgres(_) = config.database.url {
        let signals = signals.insert(Signals::listen().map_err(io("signals cannot be awaited"))?);
        let ports = Ports {
            public: &public,
            ops: ops.as_ref(),
            node: &node,
            admin: admin.as_ref(),
            allowed_hosts: &config.ops.allowed_hosts,
            metrics: &metrics,
        };
        // As below, once it serves.
        let hangup_ends = mode == Mode::Dev;
        let waited = waiting::for_database(
            &config.database,
            ports,
            signals,
            hangup_ends,
            draining,
            &mut tell_addresses,
        )
        .await?;
        if let Waited::Left { signal } = waited {
            log::info!(signal; "stopped");
            return Ok(());
        }
    }
    let RunningServer { state, relay, notices } =
        compose(config, mode, node, sign_in, prepared, draining, metrics).await?;
    let state = web::Data::new(state);
    let public = serve::start_public(&state, public).map_err(io("the public port cannot be served"))?;
    let ops = ops
        .map(|l| serve::start_ops(&state, l))
        .transpose()
        .map_err(io("the operators' port cannot be served"))?;
    let admin = admin
        .map(|l| serve::start_admin(&state, l))
        .transpose()
        .map_err(io("the server API's port cannot be served"))?;
    let besides = [ops, admin].map(|server| server.map(|server| spawn(server, draining)));
    let servers = [Some(spawn(public, draining)), double.as_ref().map(|d| d.handle.clone())];

    // Of SQLite not before: tables that are brought up to date hold this thread, and any signal may end that.
    let signals = match signals {
        Some(signals) => signals,
        None => Signals::listen().map_err(io("signals cannot be awaited"))?,
    };
    tell_addresses();
    announce("ready", &[]);
    log::info!(start = state.status.node.start(), listen = public_at.as_str(), version = crate::version::text(); "ready");
    if mode == Mode::Dev {
        announce_to_people(&welcome::text(
            &public_at,
            ops_at,
            double_at,
            admin_at.as_deref(),
            state.web == Some(SignIn::Dev),
        ));
    }

    // In a terminal SIGHUP says that it is closed.
    let reload = (mode == Mode::Serve).then_some(reload);
    let name = signals.leave(reload.as_deref()).await;
    log::info!(signal = name; "draining");
    drain(&state, relay.as_ref(), notices.as_ref(), draining).await;
    join_all(servers.into_iter().chain(besides).flatten().map(|server| server.stop(true))).await;
    log::info!("stopped");
    Ok(())
}

/// What was started.
struct RunningServer {
    state: State,
    relay: Option<RelayHandle>,
    notices: Option<NotifierHandle>,
}

/// Starts every actor, each after what it needs.
async fn compose(
    config: Config,
    mode: Mode,
    node: Node,
    sign_in: SignIn,
    Prepared { budget, words }: Prepared,
    draining: &Draining,
    metrics: Metrics,
) -> Result<RunningServer, Error> {
    let writer = Arc::new(OnceLock::<Store>::new());
    let notified = Arc::new(OnceLock::<NotifierHandle>::new());
    let relay = start_relay(&config.relay, &node, &metrics, draining);
    let chat = start_chat(&config, &metrics, draining, writer.clone(), notified.clone(), relay.clone());
    let limits = StoreLimits {
        writes_in_flight: config.limits.writes_in_flight,
        new_conversations_per_day: config.limits.new_conversations_per_day,
        recall_within_ms: i64::try_from(config.limits.recall_within_ms).unwrap_or(i64::MAX),
        blocks_per_user: config.limits.blocks_per_user,
        bytes_per_day: config.limits.bytes_per_day,
    };
    let store = Store::open(&config.database, limits, &metrics, draining, chat.clone().recipient())?;
    // Nobody can have sent the chat anything yet.
    let _ = writer.set(store.clone());
    generation::follow(store.clone(), chat.clone(), config.session.drain_spread_ms);
    traces::follow(store.clone());
    live_sessions::answer(store.clone(), chat.clone(), node.id(), config.database.clone());
    actix_web::rt::spawn(store::observe(store.clone(), metrics.clone()));
    if let DatabaseUrl::Sqlite(path) = &config.database.url {
        metrics.watch_disk(path);
    }
    if let Some(url) = config.server.public_url.clone() {
        actix_web::rt::spawn(certificate::watch(url, metrics.clone()));
    }
    actix_web::rt::spawn(store::prune_log(store.clone(), PrunedLog::Findings, config.safety.audit_days));
    actix_web::rt::spawn(store::prune_log(store.clone(), PrunedLog::Acts, config.admin.audit_days));
    actix_web::rt::spawn(store::lapse_bans(store.clone()));
    actix_web::rt::spawn(store::name_functions(store.clone()));
    actix_web::rt::spawn(store::write_seen_regularly(store.clone()));

    let tokens = Tokens::new(&config.auth, &config.wechat.appid);
    let revocations = Follower::start(tokens.clone(), store.clone(), chat.clone().recipient())
        .await
        .map_err(|_| Error::Unavailable)?;
    let status = Arc::new(OnceLock::<Arc<StatusSource>>::new());
    if let Some(relay) = &relay {
        let log = revocations.clone();
        let status = status.clone();
        let status = Box::new(move || status.get().map(|status| status.read()).unwrap_or_default());
        relay.begin(RelayPorts {
            chat: chat.clone(),
            store: store.clone(),
            revoked: Box::new(move || log.read_soon()),
            status,
        });
    }
    let wechat = WeChatAuth::new(&config.wechat, &metrics, Vital::new("wechat", draining)).start();
    let notices = start_notifier(&config, &store, &chat, &wechat, &metrics, draining);
    if let Some(notices) = &notices {
        let _ = notified.set(notices.clone());
    }
    let checks = start_checks(&config, words, &store, &chat, &wechat, &metrics, draining);
    let admission = Admission::new(&config.limits, draining, budget.sessions);
    evict_idle_regularly(admission.clone());
    show_limits(&metrics, &config, admission.sessions_limit(), &budget);

    let sessions = Arc::new(Shared {
        chat: chat.clone(),
        store: store.clone(),
        checks: checks.clone(),
        metrics: metrics.clone(),
        budget: Arc::new(admission.clone()),
        limits: session_limits(&config),
        outboxes: Bounds::new(
            config.session.outbox_bytes,
            config.session.outboxes_bytes,
            metrics.outbox_bytes.clone(),
        ),
    });
    let (others, log) = (relay.clone(), revocations.clone());
    let link = relay.as_ref().map(|relay| relay.state().clone());
    let standing = notices.as_ref().map(|notices| notices.standing().clone());
    let source = StatusSource::new(
        node,
        metrics.clone(),
        store.clone(),
        draining.clone(),
        link.clone(),
        standing.clone(),
    );
    source.follow();
    let source = Arc::new(source);
    // Set once, here.
    let _ = status.set(source.clone());
    let state = State {
        status: source,
        web: config.web.enabled.then_some(sign_in),
        admin: AdminKeys::new(&config.admin),
        pushes: Pushes::new(&config.wechat),
        config: Arc::new(config),
        store,
        tokens,
        revocations,
        wechat: wechat.recipient(),
        metrics,
        draining: draining.clone(),
        admission,
        budget,
        is_dev: mode == Mode::Dev,
        wechat_seen: Default::default(),
        sessions,
        revoked: Box::new(move || {
            log.read_soon();
            if let Some(others) = &others {
                others.tell_revoked();
            }
        }),
        relay: link,
        pushed: {
            let notices = notices.clone();
            Box::new(move |push| match push {
                push @ (Push::MediaChecked { .. } | Push::MediaUnchecked { .. }) => checks.pushed(push),
                Push::Subscribe(changes) => {
                    if let Some(notices) = &notices {
                        notices.changed(changes);
                    }
                }
                Push::Other { event } => {
                    log::debug!(event = event.as_str(); "WeChat told something that nobody here waits for")
                }
            })
        },
        notices: standing,
    };
    Ok(RunningServer { state, relay, notices })
}

/// Who tells those who are away, where the settings name a template.
fn start_notifier(
    config: &Config,
    store: &Store,
    chat: &Addr<ChatServer>,
    wechat: &Addr<WeChatAuth>,
    metrics: &Metrics,
    draining: &Draining,
) -> Option<NotifierHandle> {
    let settings = notice::Settings::new(&config.notice)?;
    let (chat, wechat, counted, of_wechat) =
        (chat.clone(), wechat.clone(), metrics.clone(), config.wechat.clone());
    let attends = move |users, everywhere| -> BoxFuture<'static, Vec<bool>> {
        let reach = if everywhere { Reach::Everywhere } else { Reach::Here };
        let asked = chat.send(Attends { users, reach });
        Box::pin(async move { asked.await.unwrap_or_default() })
    };
    let ports = notice::NotifierPorts { store: store.clone(), attends: Box::new(attends) };
    let calls = move || {
        let timeout = Duration::from_millis(of_wechat.timeout_ms);
        WeChatApi::new(&of_wechat, wechat.clone().recipient(), wechat.recipient(), &counted, timeout)
    };
    Some(Notifier::start_with(settings, ports, calls, metrics, Vital::new("notifier", draining)))
}

/// The way to the other nodes, where the settings name one.
fn start_relay(
    config: &config::Relay,
    node: &Node,
    metrics: &Metrics,
    draining: &Draining,
) -> Option<RelayHandle> {
    let nats_url = config.nats_url.clone()?;
    Some(Relay::start(
        RelaySettings { node: node.id(), nats_url, buckets: config.buckets },
        metrics,
        Vital::new("relay", draining),
    ))
}

/// The chat has a thread of its own, so that a delivery to many never waits behind a worker's sockets.
fn start_chat(
    config: &Config,
    metrics: &Metrics,
    draining: &Draining,
    writer: Arc<OnceLock<Store>>,
    notified: Arc<OnceLock<NotifierHandle>>,
    relay: Option<RelayHandle>,
) -> Addr<ChatServer> {
    let settings = ChatSettings {
        registry: RegistryLimits {
            sessions_per_user: config.limits.sessions_per_user as usize,
            replacements_per_minute: config.limits.replacements_per_minute,
        },
        pulse: KeepaliveTimeouts {
            ping_after: config.session.ping_after_ms,
            dead_after: config.session.silent_after_ms,
        },
        heartbeat_ms: config.session.heartbeat_ms,
        frames: frame_limits(config),
    };
    let (metrics, vital) = (metrics.clone(), Vital::new("chat", draining));
    let (reader, between) = (writer.clone(), writer.clone());
    let wires = ChatPorts {
        write_mark: Box::new(move |receipt| {
            let write = Write::Mark(Mark { receipt: receipt.clone(), answer: Answer::Nobody });
            writer.get().and_then(|store| store.submit_background(write).ok()).ok_or(receipt)
        }),
        may_reach: Box::new(move |openid, peer| {
            let store = reader.get().cloned();
            Box::pin(async move {
                match store {
                    Some(store) => store.ask(MayReach { openid, peer }).await.unwrap_or(false),
                    None => false,
                }
            })
        }),
        stored: config.notice.template_id.as_ref().map(|_| -> OnStored {
            Box::new(move |draft, seq| {
                if let Some(notices) = notified.get() {
                    notices.stored(&draft.peer, &draft.sender, seq);
                }
            })
        }),
        relay: relay.map(|relay| relay_wires(relay, between)),
    };
    ChatServer::start_in_arbiter(&Arbiter::new().handle(), move |_| {
        ChatServer::new(settings, metrics, vital, wires)
    })
}

/// What checks messages; WeChat is asked on a thread of its own.
fn start_checks(
    config: &Config,
    words: Arc<Words>,
    store: &Store,
    chat: &Addr<ChatServer>,
    wechat: &Addr<WeChatAuth>,
    metrics: &Metrics,
    draining: &Draining,
) -> ModerationHandle {
    let safety = config.safety.clone();
    let policy =
        Policy { review: safety.review, on_inactive: safety.on_inactive, on_outage: safety.on_outage };
    let common = Arc::new(Common {
        policy,
        words,
        store: store.clone(),
        chat: chat.clone().recipient(),
        metrics: metrics.clone(),
        keep_text: safety.keep_text,
        seen: Seen::default(),
    });
    let asker = safety.mode.asks_wechat().then(|| {
        let (safety, common, metrics) = (safety.clone(), common.clone(), metrics.clone());
        let (config, vital) = (config.wechat.clone(), Vital::new("content check", draining));
        let (token, refused) = (wechat.clone().recipient(), wechat.clone().recipient());
        ContentCheck::start_in_arbiter(&Arbiter::new().handle(), move |_| {
            let api =
                WeChatApi::new(&config, token, refused, &metrics, Duration::from_millis(safety.timeout_ms));
            ContentCheck::new(&safety, common, api, vital)
        })
    });
    ModerationHandle::new(&safety, common, asker)
}

fn relay_wires(relay: RelayHandle, reader: Arc<OnceLock<Store>>) -> ClusterPorts {
    let (publisher, follower) = (relay.clone(), relay.clone());
    ClusterPorts {
        publish: Box::new(move |hints| publisher.publish(hints)),
        follow: Box::new(move |openid| follower.follow(openid)),
        unfollow: Box::new(move |openid| relay.unfollow(openid)),
        between: Box::new(move |openid, peer, after, before| {
            let store = reader.get().cloned();
            Box::pin(async move {
                let Some(store) = store else { return Vec::new() };
                let window = Window::Between { after, before };
                let page = store.ask(History { openid, peer, window, limit: GAP_MESSAGES }).await;
                page.map_or_else(|_| Vec::new(), |page| page.messages)
            })
        }),
    }
}

fn evict_idle_regularly(admission: Admission) {
    actix_web::rt::spawn(async move {
        let mut every = tokio::time::interval(EVICTION_INTERVAL);
        loop {
            every.tick().await;
            admission.evict_idle();
        }
    });
}

/// Runs a server beside this task. One that cannot start its workers, or whose own task dies, ends the
/// process: nobody would hear a port that nobody serves.
fn spawn(server: Server, draining: &Draining) -> ServerHandle {
    let (handle, vital) = (server.handle(), Vital::new("http server", draining));
    actix_web::rt::spawn(async move {
        match server.await {
            // It was stopped.
            Ok(()) => std::mem::forget(vital),
            Err(error) => {
                log::error!(error:% = error; "a port cannot be served");
                drop(vital);
            }
        }
    });
    handle
}

/// First nobody new, then farewell to who is there, then what they sent is made durable, and the other nodes
/// hear of it.
async fn drain(
    state: &State,
    relay: Option<&RelayHandle>,
    notices: Option<&NotifierHandle>,
    draining: &Draining,
) {
    draining.begin();
    // What is under way to WeChat is settled before the store closes.
    let settled = notices.cloned().map(|notices| actix_web::rt::spawn(async move { notices.leave().await }));
    let spread_ms = state.config.session.drain_spread_ms;
    let sessions = state.sessions.chat.send(DrainSessions { spread_ms }).await.unwrap_or_default();
    log::info!(sessions = sessions; "sessions told to reconnect elsewhere");
    let deadline = Instant::now() + SESSIONS_LEAVE;
    while Instant::now() < deadline && state.sessions.chat.send(CountSessions).await.unwrap_or_default() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if let Some(settled) = settled {
        let _ = settled.await;
    }
    if !state.sessions.checks.drain(CHECKS_DRAIN).await {
        log::warn!("not everything that was sent could be checked in time; nothing of that was acked");
    }
    state.store.write_seen();
    if !state.store.drain(STORE_DRAINS).await {
        log::warn!("not everything that was sent could be stored in time; nothing of that was acked");
    }
    if let Some(relay) = relay {
        // Once it answers, it has handed on all that the store had committed before.
        let _ = state.sessions.chat.send(CountSessions).await;
        relay.leave().await;
    }
}

fn announce_at(what: &str, at: &str) {
    announce(&format!("{what} at {at}"), &[("at", at)]);
}

/// A bearer token of `openid`, signed with the first key.
///
/// # Errors
/// [`Error::Token`].
pub fn token(config: &Config, openid: &OpenId) -> Result<String, Error> {
    let identity = Identity { openid: openid.clone(), issued: Issued::by_time(now_ms()) };
    Tokens::new(&config.auth, &config.wechat.appid).sign(&identity).map_err(|_| Error::Token)
}
