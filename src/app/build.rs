//! Builds the parts of the server, each after those that it is given.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};

use super::limits::{frame_limits, session_limits, show_limits};
use super::ports::{PushConsumers, ThisNode};
use super::preflight::Prepared;
use super::services::{Database, OtherNodes, Service, Services, Sessions, WorkingJobs};
use super::{Error, Mode};
use crate::auth::{Follower, RevocationLog, Tokens};
use crate::chat::outbox::Bounds;
use crate::chat::ports::{ChatPorts, Cluster};
use crate::chat::{ChatServer, ChatSettings, KeepaliveTimeouts, RegistryLimits};
use crate::config::Config;
use crate::event::CommitSubscriber;
use crate::http::status::StatusSource;
use crate::http::{AdminKeys, Pushes, SignIn, State};
use crate::jobs::{BuildIndex, Job, Jobs, PruneLog, Runner};
use crate::lifecycle::{Draining, Mailbox, Vital};
use crate::limits::{Admission, UserLimits};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::notice::{self, AbandonReservations, Notifier, NotifierHandle, NotifierPorts};
use crate::relay::{LinkState, Relay, RelayHandle, RelayPorts, RelaySettings};
use crate::safety::{Common, ContentCheck, ModerationHandle, Policy, Seen, SettleMediaResult, Words};
use crate::session::SessionPorts;
use crate::store::moderation::PrunedLog;
use crate::store::{LATE_INDEXES, Store, StoreLimits};
use crate::wechat::{WeChatApi, WeChatAuth};

/// What the HTTP servers serve, and the parts behind them by the stage of the drain in which they end: first
/// farewell to who is there, then what they sent is made durable, and the other nodes hear of it.
pub(super) async fn server(
    config: Config,
    mode: Mode,
    node: Node,
    sign_in: SignIn,
    Prepared { budget, words }: Prepared,
    draining: &Draining,
    metrics: Metrics,
) -> Result<(State, Services), Error> {
    let config = Arc::new(config);
    let parts = Parts { config: &config, metrics: &metrics, draining };
    let mailbox = Mailbox::<ChatServer>::new();
    let chat = mailbox.address().clone();
    let store =
        Store::open(&config.database, store_limits(&config), &metrics, draining, chat.clone().recipient())?;
    let tokens = Tokens::new(&config.auth, &config.wechat.appid);
    let revocations = Follower::start(tokens.clone(), store.clone(), chat.clone().recipient())
        .await
        .map_err(|_| Error::Unavailable)?;
    let wechat = WeChatAuth::new(&config.wechat, &metrics, Vital::new("wechat", draining)).start();
    let notices = parts.notifier(&store, &chat, &wechat);
    let (node_id, link) = (node.id(), config.relay.nats_url.is_some().then(Arc::<LinkState>::default));
    let standing = notices.as_ref().map(|notices| notices.standing().clone());
    let status = Arc::new(StatusSource::new(
        node,
        metrics.clone(),
        store.clone(),
        draining.clone(),
        link.clone(),
        standing.clone(),
    ));
    let relay = link.and_then(|link| parts.relay(&node_id, link, &store, &chat, &revocations, &status));
    parts.chat(mailbox, &node_id, &store, relay.as_ref(), notices.as_ref());
    let jobs = Jobs::new(store.clone());
    let moderation = parts.moderation(words, &store, &chat, &wechat, &jobs);
    let runner = parts.runner(jobs, &store);
    let admission = Admission::new(&config.limits, draining, budget.sessions);
    let user_limits = UserLimits::new(&config.limits);
    show_limits(&metrics, &config, admission.sessions_limit(), &budget);

    let sessions = Arc::new(SessionPorts {
        chat: chat.clone(),
        store: store.clone(),
        moderation: moderation.clone(),
        metrics: metrics.clone(),
        user_limits: user_limits.clone(),
        limits: session_limits(&config),
        outboxes: Bounds::new(
            config.session.outbox_bytes,
            config.session.outboxes_bytes,
            metrics.outbox_bytes.clone(),
        ),
    });
    let state = State {
        status,
        web: config.web.enabled.then_some(sign_in),
        admin: AdminKeys::new(&config.admin),
        pushes: Pushes::new(&config.wechat),
        push_handler: Box::new(PushConsumers { moderation: moderation.clone(), notices: notices.clone() }),
        config: config.clone(),
        store: store.clone(),
        tokens,
        revocations,
        wechat: wechat.recipient(),
        metrics: metrics.clone(),
        draining: draining.clone(),
        admission,
        user_limits,
        budget,
        is_dev: mode == Mode::Dev,
        wechat_seen: Default::default(),
        sessions,
        moderation: moderation.clone(),
        relay: relay.clone(),
        notices: standing,
    };
    let told = Sessions { chat: chat.clone(), store: store.clone(), node: node_id, config: config.clone() };
    let notices = notices.map(|notices| -> Box<dyn Service> { Box::new(notices) });
    let relay = relay.map(|relay| -> Box<dyn Service> { Box::new(OtherNodes { relay, chat }) });
    let services = Services(vec![
        notices
            .into_iter()
            .chain([Box::new(told) as Box<dyn Service>, Box::new(runner) as Box<dyn Service>])
            .collect(),
        vec![Box::new(moderation)],
        vec![Box::new(Database { store, metrics, config })],
        relay.into_iter().collect(),
    ]);
    Ok((state, services))
}

/// What every part is built with.
struct Parts<'a> {
    config: &'a Config,
    metrics: &'a Metrics,
    draining: &'a Draining,
}

impl Parts<'_> {
    /// The chat has a thread of its own, so that a delivery to many never waits behind a worker's sockets.
    fn chat(
        &self,
        mailbox: Mailbox<ChatServer>,
        node: &str,
        store: &Store,
        relay: Option<&RelayHandle>,
        notices: Option<&NotifierHandle>,
    ) {
        let Self { config, metrics, draining } = *self;
        let settings = ChatSettings {
            node: node.into(),
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
        let of_relay = relay.map(|relay| -> Box<dyn CommitSubscriber> { Box::new(relay.clone()) });
        let of_notices = notices.map(|notices| -> Box<dyn CommitSubscriber> { Box::new(notices.clone()) });
        let ports = ChatPorts {
            store: Box::new(store.clone()),
            cluster: relay.map(|relay| -> Box<dyn Cluster> { Box::new(relay.clone()) }),
            subscribers: of_notices.into_iter().chain(of_relay).collect(),
        };
        let (metrics, vital) = (metrics.clone(), Vital::new("chat", draining));
        mailbox.start(&Arbiter::new().handle(), move || ChatServer::new(settings, metrics, vital, ports));
    }

    /// Who tells those who are away, where the settings name a template.
    fn notifier(
        &self,
        store: &Store,
        chat: &Addr<ChatServer>,
        wechat: &Addr<WeChatAuth>,
    ) -> Option<NotifierHandle> {
        let settings = notice::Settings::new(&self.config.notice)?;
        let ports = NotifierPorts { store: store.clone(), presence: Box::new(chat.clone()) };
        let (wechat, metrics, config) = (wechat.clone(), self.metrics.clone(), self.config.wechat.clone());
        let calls = move || {
            let timeout = Duration::from_millis(config.timeout_ms);
            WeChatApi::new(&config, wechat.clone().recipient(), wechat.recipient(), &metrics, timeout)
        };
        let vital = Vital::new("notifier", self.draining);
        Some(Notifier::start_with(settings, ports, calls, self.metrics, vital))
    }

    /// The way to the other nodes, where the settings name one.
    fn relay(
        &self,
        node: &str,
        link: Arc<LinkState>,
        store: &Store,
        chat: &Addr<ChatServer>,
        revocations: &RevocationLog,
        status: &Arc<StatusSource>,
    ) -> Option<RelayHandle> {
        let (nats_url, buckets) = (self.config.relay.nats_url.clone()?, self.config.relay.buckets);
        let settings = RelaySettings { node: node.to_owned(), nats_url, buckets };
        let node = ThisNode { revocations: revocations.clone(), status: status.clone() };
        let ports = RelayPorts { chat: chat.clone(), store: store.clone(), node: Box::new(node) };
        Some(Relay::start(settings, ports, link, self.metrics, Vital::new("relay", self.draining)))
    }

    /// What outlasts a crash.
    fn runner(&self, jobs: Jobs, store: &Store) -> WorkingJobs {
        let (config, store) = (self.config, store.clone());
        let mut kinds: Vec<Arc<dyn Job>> = vec![
            Arc::new(SettleMediaResult { store: store.clone() }),
            Arc::new(BuildIndex { store: store.clone(), indexes: LATE_INDEXES }),
        ];
        if config.notice.template_id.is_some() {
            kinds.push(Arc::new(AbandonReservations { store: store.clone() }));
        }
        for (log, days) in
            [(PrunedLog::Findings, config.safety.audit_days), (PrunedLog::Acts, config.admin.audit_days)]
        {
            if days > 0 {
                kinds.push(Arc::new(PruneLog { store: store.clone(), log, days }));
            }
        }
        WorkingJobs {
            runner: Runner::new(jobs, kinds, self.metrics.clone()),
            draining: self.draining.clone(),
        }
    }

    /// What checks messages; WeChat is asked on a thread of its own.
    fn moderation(
        &self,
        words: Arc<Words>,
        store: &Store,
        chat: &Addr<ChatServer>,
        wechat: &Addr<WeChatAuth>,
        jobs: &Jobs,
    ) -> ModerationHandle {
        let (safety, metrics) = (self.config.safety.clone(), self.metrics.clone());
        let policy =
            Policy { review: safety.review, on_inactive: safety.on_inactive, on_outage: safety.on_outage };
        let common = Arc::new(Common {
            policy,
            words,
            store: store.clone(),
            senders: Box::new(chat.clone()),
            jobs: jobs.clone(),
            metrics: metrics.clone(),
            keep_text: safety.keep_text,
            seen: Seen::default(),
        });
        let asker = safety.mode.asks_wechat().then(|| {
            let (safety, common) = (safety.clone(), common.clone());
            let (config, vital) = (self.config.wechat.clone(), Vital::new("content check", self.draining));
            let (token, refused) = (wechat.clone().recipient(), wechat.clone().recipient());
            ContentCheck::start_in_arbiter(&Arbiter::new().handle(), move |_| {
                let timeout = Duration::from_millis(safety.timeout_ms);
                let api = WeChatApi::new(&config, token, refused, &metrics, timeout);
                ContentCheck::new(&safety, common, api, vital)
            })
        });
        ModerationHandle::new(&safety, common, asker)
    }
}

fn store_limits(config: &Config) -> StoreLimits {
    StoreLimits {
        writes_in_flight: config.limits.writes_in_flight,
        new_conversations_per_day: config.limits.new_conversations_per_day,
        recall_within_ms: i64::try_from(config.limits.recall_within_ms).unwrap_or(i64::MAX),
        blocks_per_user: config.limits.blocks_per_user,
        bytes_per_day: config.limits.bytes_per_day,
    }
}
