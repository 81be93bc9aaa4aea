//! Fixtures of this module's tests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Recipient};
use actix_web::web;
use futures_util::future::BoxFuture;

use super::status::StatusSource;
use super::{AdminKeys, PushHandler, Pushes, State};
use crate::auth::{RevocationLog, Tokens};
use crate::chat::outbox::Bounds;
use crate::chat::ports::{ChatPorts, ConversationStore};
use crate::chat::{ChatServer, ChatSettings, KeepaliveTimeouts, RegistryLimits};
use crate::config::{self, *};
use crate::event::{Audience, Conversation, Draft, LastSeen, Message, Places, Receipt, Refusal};
use crate::ids::{OpenId, Seq, now_ms};
use crate::jobs::Jobs;
use crate::lifecycle::{Draining, Vital};
use crate::limits::{Admission, UserLimits};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::protocol::FrameLimits;
use crate::safety::{Common, ModerationHandle, Policy, Seen, Senders, Words};
use crate::session::frame_guard::SocketLimits;
use crate::session::{SessionLimits, SessionPorts};
use crate::store::{Store, StoreLimits};
use crate::wechat::{LoginRefused, Push, ValidateCode};

pub fn config() -> Config {
    Config {
        server: Server {
            node: String::new(),
            listen: Listen::Tcp(([127, 0, 0, 1], 0).into()),
            workers: 1,
            transport: Transport::Takeover,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            public_url: None,
        },
        ops: Ops { listen: None, allowed_hosts: AllowedHosts::default() },
        admin: Config::default().admin,
        web: Web { enabled: false },
        database: Database {
            url: DatabaseUrl::Sqlite(PathBuf::new()),
            lanes: 1,
            readers: 1,
            cache_kib: 1_024,
            prepared_statements: true,
        },
        wechat: WeChat {
            appid: "wx0".into(),
            secret: Secret::new("secret"),
            api_base: "http://127.0.0.1:1".into(),
            timeout_ms: 1_000,
            connections: 16,
            push_token: Secret::new(""),
            push_aes_key: Secret::new(""),
        },
        auth: Auth {
            keys: vec![SigningKey { id: "1".into(), secret: Secret::new("k".repeat(32)) }],
            token_ttl_s: 604_800,
        },
        session: Session {
            heartbeat_ms: 30_000,
            ping_after_ms: 30_000,
            silent_after_ms: 75_000,
            outbox_bytes: 1 << 20,
            outboxes_bytes: 1 << 25,
            drain_spread_ms: 5_000,
        },
        limits: Limits {
            messages_per_second: 20,
            message_burst: 40,
            controls_per_second: 50,
            http_per_second: 20,
            http_burst: 60,
            handshakes_per_second: 1_000,
            handshakes_per_second_per_address: 200,
            sessions_per_address: 2_000,
            sessions_per_user: 8,
            replacements_per_minute: 5,
            new_conversations_per_day: 200,
            recall_within_ms: 0,
            blocks_per_user: 0,
            pinned_per_user: 0,
            bytes_per_day: 0,
            sessions: 0,
            connections: 0,
            connections_per_address: 500,
            http_write_ms: 20_000,
            answer_bytes_per_second: 0,
            bad_codes_per_minute: 60,
            frame_bytes: 65_536,
            frame_fragments: 16,
            message_bytes: 8_192,
            fields_bytes: 16_384,
            bad_frames: 10,
            writes_in_flight: 1_000,
        },
        relay: Relay { nats_url: None, buckets: 1 },
        notice: Config::default().notice,
        safety: Config::default().safety,
        log: Log { format: LogFormat::Text, filter: String::new() },
    }
}

const FRAMES: FrameLimits = FrameLimits {
    frame_bytes: 65_536,
    message_bytes: 8_192,
    fields_bytes: 16_384,
    messages_per_second: 20,
    message_burst: 40,
};

thread_local! {
    /// Removed with the test's thread.
    static FOLDERS: RefCell<Vec<tempfile::TempDir>> = RefCell::default();
}

/// Takes no mark, and has no message.
struct NoStore;

impl ConversationStore for NoStore {
    fn write_mark(&self, receipt: Receipt) -> Result<(), Receipt> {
        Err(receipt)
    }

    fn typing_audience(&self, _: OpenId, _: Conversation) -> BoxFuture<'static, Audience> {
        Box::pin(ready(Audience::nobody()))
    }

    fn visible_presence(
        &self,
        _: OpenId,
        _: Vec<OpenId>,
    ) -> BoxFuture<'static, Option<HashMap<OpenId, Option<LastSeen>>>> {
        Box::pin(ready(Some(HashMap::new())))
    }

    fn between(&self, _: OpenId, _: Conversation, _: Seq, _: Seq) -> BoxFuture<'static, Vec<Message>> {
        Box::pin(ready(Vec::new()))
    }
}

/// Waits for nothing of WeChat's.
struct NoPush;

impl PushHandler for NoPush {
    fn pushed(&self, _: Push) {}
}

/// Nothing is refused after a check.
struct NoSenders;

impl Senders for NoSenders {
    fn refused(&self, _: Draft, _: Refusal, _: Places) {}
}

/// A chat and an empty store; the store's file goes with the test's folder.
fn parts(config: &Config, metrics: &Metrics, draining: &Draining) -> (Addr<ChatServer>, Store) {
    let settings = ChatSettings {
        node: "n".into(),
        registry: RegistryLimits { sessions_per_user: 8, replacements_per_minute: 5 },
        pulse: KeepaliveTimeouts { ping_after: 40_000, dead_after: 75_000 },
        heartbeat_ms: 30_000,
        frames: FRAMES,
    };
    // The process of a test outlives its actors.
    let vital = Draining::default();
    vital.begin();
    let ports = ChatPorts { store: Box::new(NoStore), cluster: None, subscribers: Vec::new() };
    let chat = ChatServer::new(settings, metrics.clone(), Vital::new("chat", &vital), ports).start();
    let folder = tempfile::tempdir().unwrap();
    let database =
        Database { url: DatabaseUrl::Sqlite(folder.path().join("test.db")), ..config.database.clone() };
    let limits = StoreLimits {
        writes_in_flight: 1_000,
        new_conversations_per_day: 0,
        recall_within_ms: 0,
        blocks_per_user: 0,
        bytes_per_day: 0,
    };
    let store = Store::open(&database, limits, metrics, draining, chat.clone().recipient()).unwrap();
    FOLDERS.with_borrow_mut(|folders| folders.push(folder));
    (chat, store)
}

/// Checks that let everything pass.
fn moderation(config: &Config, store: &Store, metrics: &Metrics) -> ModerationHandle {
    let config::Safety { review, on_inactive, on_outage, .. } = config.safety;
    let common = Common {
        policy: Policy { review, on_inactive, on_outage },
        words: Arc::new(Words::load(&config.safety).unwrap()),
        store: store.clone(),
        senders: Box::new(NoSenders),
        jobs: Jobs::new(store.clone()),
        metrics: metrics.clone(),
        keep_text: false,
        seen: Seen::default(),
    };
    ModerationHandle::new(&config.safety, Arc::new(common), None)
}

/// A state over an empty store.
pub fn state(config: Config) -> web::Data<State> {
    state_with(config, |_| {})
}

/// The same, changed before it is shared.
pub fn state_with(config: Config, change: impl FnOnce(&mut State)) -> web::Data<State> {
    let (draining, metrics) = (Draining::default(), Metrics::new());
    let (chat, store) = parts(&config, &metrics, &draining);
    let moderation = moderation(&config, &store, &metrics);
    let user_limits = UserLimits::new(&config.limits);
    let sessions = SessionPorts {
        chat,
        store: store.clone(),
        moderation: moderation.clone(),
        metrics: metrics.clone(),
        user_limits: user_limits.clone(),
        limits: SessionLimits {
            socket: SocketLimits { frame_bytes: 65_536, fragments: 16 },
            frames: FRAMES,
            controls_per_second: 50,
            bad_frames: 10,
        },
        outboxes: Bounds::new(1 << 20, 1 << 25, metrics.outbox_bytes.clone()),
    };
    let mut state = State {
        status: Arc::new(StatusSource::new(
            Node::starting("test"),
            metrics.clone(),
            store.clone(),
            draining.clone(),
            None,
            None,
        )),
        store,
        tokens: Tokens::new(&config.auth, &config.wechat.appid),
        revocations: RevocationLog::new(now_ms()),
        wechat: wechat(),
        metrics,
        admission: Admission::new(&config.limits, &draining, u32::MAX),
        user_limits,
        budget: super::Budget::new(None, &config),
        draining,
        is_dev: false,
        wechat_seen: Default::default(),
        admin: AdminKeys::new(&config.admin),
        pushes: Pushes::new(&config.wechat),
        config: Arc::new(config),
        sessions: Arc::new(sessions),
        moderation,
        relay: None,
        web: None,
        push_handler: Box::new(NoPush),
        notices: None,
    };
    change(&mut state);
    web::Data::new(state)
}

/// WeChat by code: `bad`, `busy`, `blocked`, `away`; any other is the openid itself.
struct Double;

impl Actor for Double {
    type Context = Context<Self>;
}

impl Handler<ValidateCode> for Double {
    type Result = Result<OpenId, LoginRefused>;

    fn handle(&mut self, ValidateCode(code): ValidateCode, _: &mut Self::Context) -> Self::Result {
        match code.as_str() {
            "bad" => Err(LoginRefused::BadCode),
            "busy" => Err(LoginRefused::RateLimited { retry_after_ms: 3_000 }),
            "blocked" => Err(LoginRefused::Blocked),
            "away" => Err(LoginRefused::Unavailable),
            openid => OpenId::parse(openid).map_err(|_| LoginRefused::BadCode),
        }
    }
}

fn wechat() -> Recipient<ValidateCode> {
    Double.start().recipient()
}
