//! The table of settings. Loading, `config show`, unknown-key detection and the table in docs/OPERATIONS.md
//! all read it, so a setting that stands here is complete, and one that does not stand here does not exist.

use super::admin;
use super::key::{Kind, list, number, text};
use super::value;
use super::{AllowedHosts, Config, Secret, WECHAT_TIMEOUT_MS_MAX, notice};

pub use super::key::{Default, Key, Shape, Shown};

/// The names of the sections, each once, in the table's order.
pub fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&'static str> = KEYS.iter().filter_map(|key| key.name.split('.').next()).collect();
    sections.dedup();
    sections
}

const LISTEN: &str = "ADDRESS:PORT such as 127.0.0.1:9999 or [::1]:9999, or unix:/PATH";
const A_PATH: &str = "a path, or empty for none";
const UNJUDGED: &str = "open, closed or local";
/// A rate or a count that can be turned off.
const COUNT: (u64, u64) = (0, 1_000_000_000);
/// From one to a day.
const MILLIS: (u64, u64) = (10, 86_400_000);
/// An address space of 32 bits is enough for one frame.
const BYTES: (u64, u64) = (256, 1 << 30);

/// Every setting, section by section.
pub static KEYS: &[Key] = &[
    text("server.listen", "127.0.0.1:9999", LISTEN, "Where clients and the proxy connect.", |c, t| {
        c.server.listen = value::listen(t)?;
        Ok(())
    }),
    text(
        "server.node",
        "",
        "1 to 48 characters of A-Z a-z 0-9 _ -, or empty",
        "What this node is called in logs, `/readyz` and `hongyan status`. Empty: the first label of the host's name. Nodes on one host need one each.",
        |c, t| value::node_name(t).map(|name| c.server.node = name),
    ),
    Key {
        name: "server.workers",
        default: Default::Cores,
        help: "Threads that serve sockets.",
        kind: Kind::Number { min: 1, max: 1024, put: |c, n| c.server.workers = n as usize },
    },
    text(
        "server.transport",
        "takeover",
        "takeover or actix-web-actors",
        "Who holds the sockets of sessions: the session itself (least memory), or the HTTP server through actix-web-actors.",
        |c, t| {
            c.server.transport = value::transport(t)?;
            Ok(())
        },
    ),
    list(
        "server.trusted_proxies",
        "addresses or networks, such as 10.0.0.0/8 or ::1",
        "Networks whose `X-Forwarded-For` is believed. A peer on a Unix socket always is.",
        |c, items| {
            c.server.trusted_proxies = value::networks(items)?;
            Ok(())
        },
    ),
    list(
        "server.allowed_origins",
        "origins without a path, such as https://chat.example.com",
        "Origins of browsers that may connect and call; empty: any.",
        |c, items| {
            c.server.allowed_origins = value::origins(items)?;
            Ok(())
        },
    ),
    text(
        "server.public_url",
        "",
        "https://HOST or https://HOST:PORT, or empty",
        "Where clients reach the server. hongyan looks once an hour when the certificate there ends (`hongyan_certificate_expiry_timestamp_seconds`); empty: it does not. `hongyan doctor` asks there.",
        |c, t| value::public_url(t).map(|url| c.server.public_url = url),
    ),
    text(
        "ops.listen",
        "127.0.0.1:9990",
        "ADDRESS:PORT such as 127.0.0.1:9990, or empty for none",
        "The operators' port: `/healthz`, `/readyz`, `/metrics`, `/status`, and nothing that changes anything. Empty: none.",
        |c, t| {
            c.ops.listen = if t.is_empty() { None } else { Some(value::socket_address(t)?) };
            Ok(())
        },
    ),
    list(
        "ops.allowed_hosts",
        "host names without a port, such as hongyan.internal",
        "Names under which the operators' port may be asked (`Host`), besides IP addresses and localhost; under `dev` the public port and the double of WeChat, too.",
        |c, items| {
            c.ops.allowed_hosts = AllowedHosts::new(items).map_err(|odd| value::Wrong::because(format!("{odd:?} is no host name")))?;
            Ok(())
        },
    ),
    list(
        "admin.keys",
        "ID:SECRET:SCOPE+SCOPE entries, ids and secrets distinct, the ids of A-Z a-z 0-9 _ - (at most 32), the secrets of 32 bytes or more, the scopes of read, send, manage, moderate",
        "Keys of the server API under `/admin/v1`, which is off without one.",
        |c, items| {
            c.admin.keys = admin::keys(items)?;
            Ok(())
        },
    )
    .masked(Shown::IdOnly),
    text(
        "admin.listen",
        "",
        "ADDRESS:PORT such as 127.0.0.1:9991, unix:/PATH, or empty",
        "A port of the server API's own; empty: it is on the public port.",
        |c, t| {
            c.admin.listen = if t.is_empty() { None } else { Some(value::listen(t)?) };
            Ok(())
        },
    ),
    number("admin.calls_per_second", "100", COUNT, "Calls a second of one key of the server API; 0: no limit.", |c, n| {
        c.admin.calls_per_second = n as u32;
    }),
    number("admin.audit_days", "365", (0, 36_500), "Days that the audit log keeps what operators did; 0: for good.", |c, n| {
        c.admin.audit_days = n as u32;
    }),
    Key {
        name: "web.enabled",
        default: Default::Text("false"),
        help: "Whether the browser client is served at `/`. `dev` sets it to true.",
        kind: Kind::Switch { put: |c, on| c.web.enabled = on },
    },
    text(
        "database.url",
        "sqlite://data/hongyan.db",
        "sqlite://PATH (sqlite:///PATH from the root) or postgres://USER:PASSWORD@HOST/DATABASE",
        "Where messages are stored.",
        |c, t| {
            c.database.url = value::database_url(t)?;
            Ok(())
        },
    )
    .masked(Shown::UrlWithoutCredentials),
    number("database.lanes", "4", (1, 64), "Connections that write (PostgreSQL; SQLite has one writer).", |c, n| {
        c.database.lanes = n as usize;
    }),
    number("database.readers", "4", (1, 256), "Connections that read.", |c, n| c.database.readers = n as usize),
    number("database.cache_kib", "65536", (1024, 16_777_216), "SQLite's page cache, a connection, in KiB. The one that writes has at most 16384 while the database is smaller than 1 GiB.", |c, n| {
        c.database.cache_kib = n as u32;
    }),
    Key {
        name: "database.prepared_statements",
        default: Default::Text("true"),
        help: "Whether PostgreSQL connections hold prepared statements and settings. `false` behind PgBouncer in transaction mode.",
        kind: Kind::Switch { put: |c, on| c.database.prepared_statements = on },
    },
    text(
        "wechat.appid",
        "",
        "at most 64 characters of A-Z a-z 0-9 _ -",
        "The mini-program's AppID; also the audience of tokens. `serve` requires it.",
        |c, t| {
            c.wechat.appid = value::appid(t)?;
            Ok(())
        },
    ),
    text("wechat.secret", "", "at most 256 visible ASCII characters", "The mini-program's AppSecret. `serve` requires it.", |c, t| {
        c.wechat.secret = value::secret(t)?;
        Ok(())
    })
    .masked(Shown::Nothing),
    text(
        "wechat.api_base",
        "https://api.weixin.qq.com",
        "an http:// or https:// URL without a slash at the end",
        "Where WeChat's API is. `dev` sets it to its own double.",
        |c, t| {
            c.wechat.api_base = value::http_base(t)?;
            Ok(())
        },
    )
    .masked(Shown::UrlWithoutCredentials),
    number("wechat.timeout_ms", "3000", (10, WECHAT_TIMEOUT_MS_MAX), "Milliseconds that one call to WeChat may take.", |c, n| {
        c.wechat.timeout_ms = n;
    }),
    text(
        "wechat.push_token",
        "",
        "3 to 32 characters of A-Z a-z 0-9, or empty",
        "The Token of the message push in WeChat's console, for `/wechat/events`; empty: nothing is taken there.",
        |c, t| {
            c.wechat.push_token = value::push_token(t)?;
            Ok(())
        },
    )
    .masked(Shown::Nothing),
    text(
        "wechat.push_aes_key",
        "",
        "43 characters of A-Z a-z 0-9, or empty",
        "The EncodingAESKey beside it; where it is set, what comes unencrypted is refused.",
        |c, t| {
            c.wechat.push_aes_key = value::push_aes_key(t)?;
            Ok(())
        },
    )
    .masked(Shown::Nothing),
    list(
        "auth.keys",
        "ID:SECRET entries, the ids distinct and of A-Z a-z 0-9 _ - (at most 32), the secrets of 32 bytes or more",
        "Keys of tokens: the first one signs, all verify. `serve` requires one.",
        |c, items| {
            c.auth.keys = value::signing_keys(items)?;
            Ok(())
        },
    )
    .masked(Shown::IdOnly),
    number("auth.token_ttl_s", "604800", (1, 31_536_000), "Seconds that a token lives.", |c, n| c.auth.token_ttl_s = n),
    number("session.heartbeat_ms", "30000", MILLIS, "How often clients are told to send a heart, in ms.", |c, n| {
        c.session.heartbeat_ms = n;
    }),
    number("session.ping_after_ms", "40000", MILLIS, "The server pings a session that was silent for so long, in ms.", |c, n| {
        c.session.ping_after_ms = n;
    }),
    number("session.silent_after_ms", "75000", MILLIS, "A session silent for so long is closed with 4003, in ms.", |c, n| {
        c.session.silent_after_ms = n;
    }),
    number("session.outbox_bytes", "1048576", BYTES, "Bytes of undelivered frames a session; beyond it 4002.", |c, n| {
        c.session.outbox_bytes = n as usize;
    }),
    number(
        "session.outboxes_bytes",
        "33554432",
        BYTES,
        "Bytes of undelivered frames of all sessions; beyond it 4002 for each with more than 64 KiB of them.",
        |c, n| c.session.outboxes_bytes = n as usize,
    ),
    number("session.drain_spread_ms", "10000", (0, 600_000), "At a drain, `retry_ms` is spread over so long, in ms.", |c, n| {
        c.session.drain_spread_ms = n;
    }),
    number("limits.messages_per_second", "20", COUNT, "A user's messages a second; 0: no limit.", |c, n| {
        c.limits.messages_per_second = n as u32;
    }),
    number("limits.message_burst", "40", COUNT, "A user's messages at once; 0: no limit, not a second either.", |c, n| {
        c.limits.message_burst = n as u32;
    }),
    number("limits.controls_per_second", "50", COUNT, "A session's control frames a second; 0: no limit.", |c, n| {
        c.limits.controls_per_second = n as u32;
    }),
    number("limits.http_per_second", "20", COUNT, "A user's HTTP calls and handshakes a second; 0: no limit.", |c, n| {
        c.limits.http_per_second = n as u32;
    }),
    number("limits.http_burst", "60", COUNT, "A user's HTTP calls and handshakes at once; 0: no limit, not a second either.", |c, n| {
        c.limits.http_burst = n as u32;
    }),
    number(
        "limits.handshakes_per_second",
        "1000",
        COUNT,
        "Handshakes with a good token or code that this node completes a second; 1000 is for two cores. Those beyond wait their turn, up to 5 s, so that those who are connected do not; 0: no limit.",
        |c, n| c.limits.handshakes_per_second = n as u32,
    ),
    number(
        "limits.handshakes_per_second_per_address",
        "200",
        COUNT,
        "Logins and handshakes a second an address (IPv6: a /64), and apart from these as many avatars and answers of `/healthz` and `/v1/openapi.json` together, and as many pushes of WeChat's; 0: no limit.",
        |c, n| c.limits.handshakes_per_second_per_address = n as u32,
    ),
    number("limits.sessions_per_address", "2000", COUNT, "Live sessions an address (IPv6: a /64); 0: no limit.", |c, n| {
        c.limits.sessions_per_address = n as u32;
    }),
    number("limits.sessions_per_user", "8", COUNT, "Live sessions a user, the oldest is closed; 0: no limit.", |c, n| {
        c.limits.sessions_per_user = n as u32;
    }),
    number("limits.replacements_per_minute", "5", COUNT, "Replacements a minute of one device label; 0: no limit.", |c, n| {
        c.limits.replacements_per_minute = n as u32;
    }),
    number("limits.new_conversations_per_day", "200", COUNT, "Conversations that a user may start in a day; 0: no limit.", |c, n| {
        c.limits.new_conversations_per_day = n as u32;
    }),
    number("limits.recall_within_ms", "120000", (0, 31_536_000_000), "A message may be recalled for so long, in ms.", |c, n| {
        c.limits.recall_within_ms = n
    }),
    number("limits.blocks_per_user", "1000", COUNT, "Others that a user may block; 0: no limit.", |c, n| {
        c.limits.blocks_per_user = n as u32;
    }),
    number("limits.pinned_per_user", "20", COUNT, "Conversations that a user may have pinned; 0: no limit.", |c, n| {
        c.limits.pinned_per_user = n as u32;
    }),
    number(
        "limits.bytes_per_day",
        "20000000",
        (0, 1 << 50),
        "Bytes of messages, profiles and findings of checks that a user may have stored in a day of UTC, 256 more for each of them, on this node; beyond it `rate_limited` until the day ends. 0: no limit.",
        |c, n| c.limits.bytes_per_day = n,
    ),
    number("limits.sessions", "0", COUNT, "Live sessions in all; 0: what the descriptor limit allows.", |c, n| {
        c.limits.sessions = n as u32;
    }),
    number(
        "limits.answer_bytes_per_second",
        "2097152",
        COUNT,
        "Bytes a second of answers that a user asks for, over HTTP and by `sync`; 16 seconds' worth at once, and each answer counts for 16 KiB at the least. 0: no limit.",
        |c, n| c.limits.answer_bytes_per_second = n,
    ),
    number(
        "limits.bad_codes_per_minute",
        "60",
        COUNT,
        "Bad login codes a minute of an address (IPv6: a /64); beyond it WeChat is not asked. 0: no limit.",
        |c, n| c.limits.bad_codes_per_minute = n as u32,
    ),
    number(
        "limits.connections",
        "0",
        COUNT,
        "Connections without a session, such as logins and calls over HTTP; beyond it the one that has been idle longest is closed. 0: an eighth or so of the descriptors, at most 3072; more is taken from the sessions.",
        |c, n| c.limits.connections = n as u32,
    ),
    number(
        "limits.connections_per_address",
        "500",
        COUNT,
        "Of these, those of one address (IPv6: a /64), and never more than half of all; not counted of trusted proxies. 0: no limit.",
        |c, n| c.limits.connections_per_address = n as u32,
    ),
    number(
        "limits.http_write_ms",
        "20000",
        MILLIS,
        "An answer over HTTP of which the caller takes nothing for so long, in ms, ends its connection.",
        |c, n| {
            c.limits.http_write_ms = n;
        },
    ),
    number("limits.frame_bytes", "65536", BYTES, "Bytes of a frame and of a reassembled message; beyond it 1009.", |c, n| {
        c.limits.frame_bytes = n as usize;
    }),
    number("limits.frame_fragments", "16", (1, 65_536), "Fragments of one message.", |c, n| c.limits.frame_fragments = n as u32),
    number("limits.message_bytes", "8192", (1, BYTES.1), "Bytes of a message's text; beyond it `too_large`.", |c, n| {
        c.limits.message_bytes = n as usize;
    }),
    number("limits.fields_bytes", "16384", (1, BYTES.1), "Bytes of all fields of a message; beyond it `too_large`.", |c, n| {
        c.limits.fields_bytes = n as usize;
    }),
    number("limits.bad_frames", "10", (1, 1_000_000), "Bad frames of a session, then 4506.", |c, n| c.limits.bad_frames = n as u32),
    number(
        "limits.writes_in_flight",
        "16384",
        (1, 10_000_000),
        "Writes accepted and not yet answered, on this node; beyond it `unavailable`.",
        |c, n| c.limits.writes_in_flight = n as usize,
    ),
    text(
        "relay.nats_url",
        "",
        "nats://[USER:PASSWORD@]HOST[:PORT] or tls://…, several separated by commas, or empty",
        "The NATS server that nodes reach each other by; empty: this node is the only one. Needs PostgreSQL.",
        |c, t| {
            c.relay.nats_url = value::nats_url(t)?;
            Ok(())
        },
    )
    .masked(Shown::UrlWithoutCredentials),
    number(
        "relay.buckets",
        "1048576",
        (1, 16_777_216),
        "Subjects that users are spread over; the same on every node. docs/CLUSTER.md says when fewer are right.",
        |c, n| c.relay.buckets = n as u32,
    ),
    text(
        "safety.mode",
        "off",
        "off, local, wechat or local+wechat",
        "What checks messages and nicknames before they are stored: nothing, the word list, WeChat's msgSecCheck, or both. `dev` sets it to local+wechat.",
        |c, t| {
            c.safety.mode = value::safety_mode(t)?;
            Ok(())
        },
    ),
    text("safety.words", "", A_PATH, "The word list: one entry a line. Read anew when it changes, and on SIGHUP.", |c, t| {
        c.safety.words = value::path(t)?;
        Ok(())
    }),
    text("safety.exceptions", "", A_PATH, "Entries that excuse the listed words inside of them, one a line.", |c, t| {
        c.safety.exceptions = value::path(t)?;
        Ok(())
    }),
    text(
        "safety.review",
        "pass",
        "pass or refuse",
        "What becomes of a text that WeChat would have looked at: it passes and waits under `/admin/v1/reviews`, or is refused.",
        |c, t| {
            c.safety.review = value::on_review(t)?;
            Ok(())
        },
    ),
    text(
        "safety.on_inactive",
        "local",
        UNJUDGED,
        "What becomes of a text whose author was not in the mini-program for two hours (61010): it passes, is refused, or the word list decides.",
        |c, t| {
            c.safety.on_inactive = value::unjudged(t)?;
            Ok(())
        },
    ),
    text(
        "safety.on_outage",
        "local",
        UNJUDGED,
        "The same while WeChat does not answer, or may not be asked more; `closed` is `unavailable` then.",
        |c, t| {
            c.safety.on_outage = value::unjudged(t)?;
            Ok(())
        },
    ),
    number(
        "safety.scene",
        "4",
        (1, 4),
        "Where WeChat is told that messages stand: 1 profile, 2 comment, 3 forum, 4 social log.",
        |c, n| {
            c.safety.scene = n as u8;
        },
    ),
    number("safety.timeout_ms", "1500", (10, 60_000), "Milliseconds that a check may take; then it counts as not answered.", |c, n| {
        c.safety.timeout_ms = n;
    }),
    number(
        "safety.per_minute",
        "4000",
        COUNT,
        "Checks by WeChat in any minute, of this node: WeChat's quota is for all nodes together. 0: no limit.",
        |c, n| {
            c.safety.per_minute = n as u32;
        },
    ),
    number(
        "safety.per_minute_per_user",
        "120",
        COUNT,
        "Checks by WeChat that one user causes in a minute, on this node, and as many at once; beyond it that user hears `rate_limited`. A text of 2500 characters is one, a longer one several; one that is remembered is none. 0: no limit.",
        |c, n| {
            c.safety.per_minute_per_user = n as u32;
        },
    ),
    number(
        "safety.per_minute_per_address",
        "120",
        COUNT,
        "The same for nicknames that are set from one address (IPv6: a /64); 0: no limit.",
        |c, n| {
            c.safety.per_minute_per_address = n as u32;
        },
    ),
    number(
        "safety.cache_entries",
        "65536",
        (0, 10_000_000),
        "Texts whose verdict by WeChat is remembered for an hour; 0: none.",
        |c, n| {
            c.safety.cache_entries = n as usize;
        },
    ),
    number("safety.in_flight", "4096", (1, 1_000_000), "Messages that wait for a check, on this node; beyond it `unavailable`.", |c, n| {
        c.safety.in_flight = n as usize;
    }),
    number(
        "safety.breaker_failures",
        "10",
        (0, 1_000_000),
        "After so many failures in a row WeChat is not asked for a while; 0: it always is.",
        |c, n| {
            c.safety.breaker_failures = n as u32;
        },
    ),
    number("safety.breaker_rest_ms", "5000", MILLIS, "How long it is not asked then, in ms.", |c, n| c.safety.breaker_rest_ms = n),
    Key {
        name: "safety.keep_text",
        default: Default::Text("false"),
        help: "Whether the audit table holds the texts that were refused, or are to be looked at.",
        kind: Kind::Switch { put: |c, on| c.safety.keep_text = on },
    },
    number(
        "safety.audit_days",
        "180",
        (0, 36_500),
        "Days that findings are kept; those that somebody is still to look at stay. 0: for good.",
        |c, n| c.safety.audit_days = n as u32,
    ),
    Key {
        name: "safety.media",
        default: Default::Text("false"),
        help: "Whether WeChat looks at images and recordings whose message is a URL. It tells later: what is risky is recalled then.",
        kind: Kind::Switch { put: |c, on| c.safety.media = on },
    },
    text(
        "notice.template_id",
        "",
        "the id of a one-time subscription template, or empty",
        "The template that offline notices follow; empty: no notices. `dev` has one.",
        |c, t| {
            c.notice.template_id = notice::template_id(t)?;
            Ok(())
        },
    ),
    list(
        "notice.fields",
        "FIELD=VALUE entries, each field once; a value is text with {sender}, {count}, {time} or {summary} in it",
        "What stands in the template's fields, such as `thing1={sender}`; each is cut to what WeChat takes.",
        |c, items| {
            c.notice.fields = notice::fields(items)?;
            Ok(())
        },
    ),
    text(
        "notice.page",
        "pages/chat/chat?peer={peer}",
        "a path inside the mini-program without a slash before it, at most 256 characters; {peer} stands for the sender",
        "The page that a tap on a notice opens.",
        |c, t| {
            c.notice.page = notice::page(t)?;
            Ok(())
        },
    ),
    text("notice.state", "formal", "developer, trial or formal", "Which version of the mini-program a tap opens.", |c, t| {
        c.notice.state = notice::state(t)?;
        Ok(())
    }),
    text("notice.lang", "zh_CN", "zh_CN, zh_HK, zh_TW or en_US", "The language of notices.", |c, t| {
        c.notice.lang = notice::lang(t)?;
        Ok(())
    }),
    number("notice.delay_ms", "60000", MILLIS, "A message unread for so long, in ms, may draw a notice. `dev` sets it to 5000.", |c, n| {
        c.notice.delay_ms = n
    }),
    number(
        "notice.pending",
        "100000",
        (1, 10_000_000),
        "Conversations of this node whose messages wait for their time; beyond it a message draws no notice.",
        |c, n| c.notice.pending = n as usize,
    ),
    number("notice.in_flight", "64", (1, 1_024), "Notices of this node that are under way to WeChat at once; the others wait.", |c, n| {
        c.notice.in_flight = n as usize;
    }),
    Key {
        name: "notice.show_text",
        default: Default::Text("false"),
        help: "Whether `{summary}` may show what the newest message says. WeChat sees it then.",
        kind: Kind::Switch { put: |c, on| c.notice.show_text = on },
    },
    Key {
        name: "notice.strangers",
        default: Default::Text("false"),
        help: "Whether who has never been written to by a user draws notices to that user, each of which uses up one that the user has agreed to.",
        kind: Kind::Switch { put: |c, on| c.notice.strangers = on },
    },
    text("notice.quiet", "", "HH:MM-HH:MM, or empty", "Hours without notices, of users who have not set their own.", |c, t| {
        c.notice.quiet = notice::hours(t)?;
        Ok(())
    }),
    text("notice.utc_offset", "+08:00", "+HH:MM or -HH:MM", "The clock of users who have not told theirs.", |c, t| {
        c.notice.utc_offset = notice::utc_offset(t)?;
        Ok(())
    }),
    text("log.format", "text", "text or json", "How log lines are written, one line an event.", |c, t| {
        c.log.format = value::log_format(t)?;
        Ok(())
    }),
    text(
        "log.filter",
        "info,actix_server=warn,actix_http=off,async_nats=off",
        "LEVEL or TARGET=LEVEL, comma separated, a level being off, error, warn, info, debug or trace",
        "What is logged; `RUST_LOG` is laid over it.",
        |c, t| {
            c.log.filter = value::log_filter(t)?;
            Ok(())
        },
    ),
];

/// The keys without which `serve` cannot start, and whether they are there.
pub fn missing(config: &Config) -> Vec<&'static Key> {
    let absent = [
        ("wechat.appid", config.wechat.appid.is_empty()),
        ("wechat.secret", config.wechat.secret == Secret::new("")),
        ("auth.keys", config.auth.keys.is_empty()),
        // Empty stands for the double that only `dev` has.
        ("wechat.api_base", config.wechat.api_base.is_empty()),
    ];
    absent.iter().filter(|(_, is_absent)| *is_absent).filter_map(|(name, _)| Key::named(name)).collect()
}
