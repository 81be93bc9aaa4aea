//! What the tests of this room stand on.

use std::path::PathBuf;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Recipient};
use actix_web::web;

use super::State;
use super::admission::Admission;
use crate::auth::Tokens;
use crate::config::*;
use crate::ids::OpenId;
use crate::lifecycle::Draining;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::wechat::{LoginRefused, ValidateCode};

pub fn config() -> Config {
    Config {
        server: Server {
            listen: Listen::Tcp(([127, 0, 0, 1], 0).into()),
            workers: 1,
            transport: Transport::Takeover,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
        },
        ops: Ops { listen: None },
        database: Database { url: DatabaseUrl::Sqlite(PathBuf::new()), lanes: 1, readers: 1, cache_kib: 1_024 },
        wechat: WeChat { appid: "wx0".into(), secret: Secret::new("secret"), api_base: "http://127.0.0.1:1".into(), timeout_ms: 1_000 },
        auth: Auth { keys: vec![SigningKey { id: "1".into(), secret: Secret::new("k".repeat(32)) }], token_ttl_s: 604_800 },
        session: Session {
            heartbeat_ms: 30_000,
            ping_after_ms: 30_000,
            silent_after_ms: 75_000,
            outbox_bytes: 1 << 20,
            drain_spread_ms: 5_000,
        },
        limits: Limits {
            messages_per_second: 20,
            message_burst: 40,
            controls_per_second: 50,
            http_per_second: 20,
            http_burst: 60,
            handshakes_per_second_per_address: 200,
            sessions_per_address: 2_000,
            sessions_per_user: 8,
            replacements_per_minute: 5,
            new_conversations_per_day: 200,
            sessions: 0,
            frame_bytes: 65_536,
            frame_fragments: 16,
            message_bytes: 8_192,
            fields_bytes: 16_384,
            bad_frames: 10,
            writes_in_flight: 1_000,
        },
        relay: Relay { nats_url: None },
        log: Log { format: LogFormat::Text, filter: String::new() },
    }
}

/// A store that always answers "unavailable".
fn store() -> Store {
    Store {}
}

/// A state over a [`store`] that is down.
pub fn state(config: Config) -> web::Data<State> {
    let draining = Draining::default();
    web::Data::new(State {
        store: store(),
        tokens: Tokens::new(&config.auth, &config.wechat.appid),
        wechat: wechat(),
        metrics: Metrics::new(),
        admission: Admission::new(&config.limits, &draining, None),
        draining,
        wechat_seen: Default::default(),
        config: Arc::new(config),
    })
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
