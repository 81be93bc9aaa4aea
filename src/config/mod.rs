//! Every setting of the server: what it means (here), its name, default and bounds ([`keys`]), and where its
//! value comes from ([`load()`]): file, then environment, then flags, the later one winning. Of the other rooms
//! it knows `files` alone.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

mod admin;
mod key;
pub mod keys;
pub mod load;
pub mod show;
pub mod dev;
pub mod notice;
pub mod hosts;
mod postgres_tls;
mod public_keys;
mod environment;
mod file;
mod problem;
mod value;
mod value_file;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_file_tests;

pub use admin::{Admin, AdminKey, Scope};
pub use hosts::{AllowedHosts, ForeignRequest, Pages};
pub use load::{Inputs, Loaded, Profile, load};
pub use notice::Notice;
pub use postgres_tls::HAS_POSTGRES_TLS;
pub use problem::{Problem, Problems, Source};
pub use value::{NODE_NAME_BYTES, Value, is_node_name};

#[derive(Debug, Clone)]
pub struct Config {
    pub server: Server,
    pub ops: Ops,
    pub admin: Admin,
    pub web: Web,
    pub database: Database,
    pub wechat: WeChat,
    pub auth: Auth,
    pub session: Session,
    pub limits: Limits,
    pub relay: Relay,
    pub notice: Notice,
    pub safety: Safety,
    pub log: Log,
}

#[derive(Debug, Clone)]
pub struct Server {
    /// What this node is called; empty: as its host.
    pub node: String,
    pub listen: Listen,
    /// Threads that serve sockets.
    pub workers: usize,
    pub transport: Transport,
    /// Networks whose `X-Forwarded-For` is believed. A peer on a Unix socket always is.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Origins of browsers that may connect; empty: any.
    pub allowed_origins: Vec<String>,
    /// Where clients reach the server, where that is said.
    pub public_url: Option<PublicUrl>,
}

/// A host with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    pub host: String,
    pub port: u16,
}

impl std::str::FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        value::public_url(text)
            .ok()
            .flatten()
            .ok_or("must be https://HOST or https://HOST:PORT, as clients reach it")
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => at.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// Whether one process cannot listen on both: the same socket, or the same port where one address stands
    /// for all of them.
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(one), Self::Unix(other)) => one == other,
            (Self::Tcp(one), Self::Tcp(other)) => {
                let is_same =
                    one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
                one.port() != 0 && one.port() == other.port() && is_same
            }
            _ => false,
        }
    }
}

/// Who holds the sockets of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The session takes the socket over at the upgrade: the least memory, and a peer that does not read
    /// freezes nothing.
    Takeover,
    /// actix-web-actors: the socket stays with the HTTP server.
    WebActors,
}

#[derive(Debug, Clone)]
pub struct Ops {
    /// `None`: no operators' port.
    pub listen: Option<SocketAddr>,
    /// Names under which it may be asked, and under `dev` the others too.
    pub allowed_hosts: AllowedHosts,
}

#[derive(Debug, Clone)]
pub struct Web {
    /// Whether the browser client is served at `/`.
    pub enabled: bool,
}

#[derive(Debug, Clone)]
pub struct Database {
    pub url: DatabaseUrl,
    /// Lanes that write (PostgreSQL only; SQLite has one writer).
    pub lanes: usize,
    /// Connections that read.
    pub readers: usize,
    /// SQLite's page cache, a connection, in KiB.
    pub cache_kib: u32,
    /// Whether a PostgreSQL connection keeps what is told to it from one transaction to the next. Behind a
    /// pooler that gives each transaction another one it does not: then nothing is prepared on it, nor set.
    pub prepared_statements: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    /// The whole URL, password included: [`fmt::Debug`] hides it.
    Postgres(String),
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}

/// The most that `wechat.timeout_ms` may be.
pub const WECHAT_TIMEOUT_MS_MAX: u64 = 60_000;

#[derive(Debug, Clone)]
pub struct WeChat {
    pub appid: String,
    pub secret: Secret,
    /// `https://api.weixin.qq.com`, or the double; without a trailing slash.
    pub api_base: String,
    /// Milliseconds that one call to WeChat may take.
    pub timeout_ms: u64,
    /// Connections of each HTTP client to it. No setting: the server lowers it where descriptors are few.
    pub connections: usize,
    /// What WeChat's pushes are signed with; empty: none are taken.
    pub push_token: Secret,
    /// What they are encrypted with, as base64 without its last `=`; empty: they come plain.
    pub push_aes_key: Secret,
}

#[derive(Debug, Clone)]
pub struct Auth {
    /// The first one signs, all verify.
    pub keys: Vec<SigningKey>,
    /// Seconds that a token lives.
    pub token_ttl_s: u64,
}

#[derive(Debug, Clone)]
pub struct SigningKey {
    /// `kid` in the token's header.
    pub id: String,
    /// At least 32 bytes.
    pub secret: Secret,
}

/// A text that no log line and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, Clone)]
pub struct Session {
    /// What `init` tells clients to keep to.
    pub heartbeat_ms: u64,
    /// The server pings a session that was silent for so long.
    pub ping_after_ms: u64,
    /// A session silent for so long is closed with 4003.
    pub silent_after_ms: u64,
    /// Bytes of undelivered frames a session; beyond it 4002.
    pub outbox_bytes: usize,
    /// Bytes of undelivered frames of all sessions; beyond it 4002 for each with more than 64 KiB of them.
    pub outboxes_bytes: usize,
    /// The drain's length: `retry_ms` of the farewells is spread over it.
    pub drain_spread_ms: u64,
}

/// 0 turns a limit off where that is said.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A user's messages a second, and how many at once (either 0: off).
    pub messages_per_second: u32,
    pub message_burst: u32,
    /// A session's control frames a second (0: off).
    pub controls_per_second: u32,
    /// A user's HTTP calls a second, and how many at once (either 0: off).
    pub http_per_second: u32,
    pub http_burst: u32,
    /// Handshakes a second of this node, of users who are known (0: off); those beyond wait their turn.
    pub handshakes_per_second: u32,
    /// Logins and handshakes a second an address (0: off).
    pub handshakes_per_second_per_address: u32,
    /// Live sessions an address (0: off).
    pub sessions_per_address: u32,
    /// Live sessions a user (0: off); beyond it the oldest is closed.
    pub sessions_per_user: u32,
    /// Replacements a minute of one device label (0: off).
    pub replacements_per_minute: u32,
    /// Conversations that a user may start in a day (0: off).
    pub new_conversations_per_day: u32,
    pub recall_within_ms: u64,
    pub blocks_per_user: u32,
    pub pinned_per_user: u32,
    /// Bytes that a user may have stored in a day of UTC, on this node (0: off).
    pub bytes_per_day: u64,
    /// Live sessions in all; 0: what the descriptor limit allows.
    pub sessions: u32,
    /// Connections without a session; 0: what the descriptor limit allows.
    pub connections: u32,
    /// Of these, those of one address (0: off); of a proxy's none are counted.
    pub connections_per_address: u32,
    /// Milliseconds that an answer may stand still because its reader takes nothing.
    pub http_write_ms: u64,
    /// Bytes a second of answers that a user asks for, over HTTP and by `sync` (0: off).
    pub answer_bytes_per_second: u64,
    /// Bad codes a minute of one address (0: off).
    pub bad_codes_per_minute: u32,
    pub frame_bytes: usize,
    pub frame_fragments: u32,
    pub message_bytes: usize,
    pub fields_bytes: usize,
    /// Bad frames of a session, then 4506.
    pub bad_frames: u32,
    /// Writes accepted and not yet delivered, on this node; beyond it `unavailable`.
    pub writes_in_flight: usize,
}

#[derive(Debug, Clone)]
pub struct Relay {
    /// Where NATS is, one URL or several separated by commas; `None`: this node is the only one.
    pub nats_url: Option<String>,
    pub buckets: u32,
}

/// What is asked of messages and names before they are stored.
#[derive(Debug, Clone)]
pub struct Safety {
    pub mode: SafetyMode,
    /// Files with one entry a line; `None`: none.
    pub words: Option<PathBuf>,
    pub exceptions: Option<PathBuf>,
    pub review: OnReview,
    /// What becomes of a text that WeChat does not judge because its author has not been in the mini-program
    /// lately.
    pub on_inactive: Unjudged,
    /// The same where WeChat does not answer, or may not be asked now.
    pub on_outage: Unjudged,
    /// WeChat's number of where the messages stand.
    pub scene: u8,
    /// Milliseconds that a check may take.
    pub timeout_ms: u64,
    /// Calls a minute of this node (0: no limit).
    pub per_minute: u32,
    /// Calls a minute that one user causes, and that names set from one address cause (0: no limit).
    pub per_minute_per_user: u32,
    pub per_minute_per_address: u32,
    /// Verdicts remembered (0: none).
    pub cache_entries: usize,
    /// Messages that are being checked; beyond it `unavailable`.
    pub in_flight: usize,
    /// Failures in a row before WeChat is left alone (0: it never is), and for how long.
    pub breaker_failures: u32,
    pub breaker_rest_ms: u64,
    /// Whether the audit table holds the texts themselves.
    pub keep_text: bool,
    /// Days that findings are kept (0: for good).
    pub audit_days: u32,
    /// Whether WeChat looks at images and recordings, too.
    pub media: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafetyMode {
    Off,
    Local,
    WeChat,
    LocalAndWeChat,
}

impl SafetyMode {
    pub fn asks_list(self) -> bool {
        matches!(self, Self::Local | Self::LocalAndWeChat)
    }

    pub fn asks_wechat(self) -> bool {
        matches!(self, Self::WeChat | Self::LocalAndWeChat)
    }
}

/// What becomes of a text that WeChat would have somebody look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReview {
    Pass,
    Refuse,
}

/// What becomes of a text that WeChat has not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unjudged {
    /// It passes.
    Open,
    /// It does not.
    Closed,
    /// The word list decides.
    Local,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub format: LogFormat,
    /// env_logger's filter, such as `info` or `hongyan=debug,info`.
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Config {
    /// Every key at its default: complete but for appid, secret and signing keys, which have none.
    fn default() -> Self {
        let mut config = Self::blank();
        for key in keys::KEYS {
            // A test holds that every default is allowed.
            let _ = key.put(&mut config, &key.default_value());
        }
        config
    }
}

impl Config {
    /// What the defaults are written onto.
    fn blank() -> Self {
        Self {
            server: Server {
                node: String::new(),
                listen: Listen::Unix(PathBuf::new()),
                workers: 0,
                transport: Transport::Takeover,
                trusted_proxies: Vec::new(),
                allowed_origins: Vec::new(),
                public_url: None,
            },
            ops: Ops { listen: None, allowed_hosts: AllowedHosts::default() },
            admin: Admin { keys: Vec::new(), listen: None, calls_per_second: 0, audit_days: 0 },
            web: Web { enabled: false },
            database: Database {
                url: DatabaseUrl::Sqlite(PathBuf::new()),
                lanes: 0,
                readers: 0,
                cache_kib: 0,
                prepared_statements: true,
            },
            wechat: WeChat {
                appid: String::new(),
                secret: Secret::new(""),
                api_base: String::new(),
                timeout_ms: 0,
                connections: 1_024,
                push_token: Secret::new(""),
                push_aes_key: Secret::new(""),
            },
            auth: Auth { keys: Vec::new(), token_ttl_s: 0 },
            session: Session {
                heartbeat_ms: 0,
                ping_after_ms: 0,
                silent_after_ms: 0,
                outbox_bytes: 0,
                outboxes_bytes: 0,
                drain_spread_ms: 0,
            },
            limits: Limits {
                messages_per_second: 0,
                message_burst: 0,
                controls_per_second: 0,
                http_per_second: 0,
                http_burst: 0,
                handshakes_per_second: 0,
                handshakes_per_second_per_address: 0,
                sessions_per_address: 0,
                sessions_per_user: 0,
                replacements_per_minute: 0,
                new_conversations_per_day: 0,
                recall_within_ms: 0,
                blocks_per_user: 0,
                pinned_per_user: 0,
                bytes_per_day: 0,
                sessions: 0,
                connections: 0,
                connections_per_address: 0,
                http_write_ms: 0,
                answer_bytes_per_second: 0,
                bad_codes_per_minute: 0,
                frame_bytes: 0,
                frame_fragments: 0,
                message_bytes: 0,
                fields_bytes: 0,
                bad_frames: 0,
                writes_in_flight: 0,
            },
            relay: Relay { nats_url: None, buckets: 1 },
            notice: Notice::blank(),
            safety: Safety {
                mode: SafetyMode::Off,
                words: None,
                exceptions: None,
                review: OnReview::Pass,
                on_inactive: Unjudged::Open,
                on_outage: Unjudged::Open,
                scene: 0,
                timeout_ms: 0,
                per_minute: 0,
                per_minute_per_user: 0,
                per_minute_per_address: 0,
                cache_entries: 0,
                in_flight: 0,
                breaker_failures: 0,
                breaker_rest_ms: 0,
                keep_text: false,
                audit_days: 0,
                media: false,
            },
            log: Log { format: LogFormat::Text, filter: String::new() },
        }
    }
}
