//! The texts of settings, parsed: each function says what is allowed by what it accepts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::{
    DatabaseUrl, Listen, LogFormat, OnReview, PublicUrl, SafetyMode, Secret, SigningKey, Transport, Unjudged,
};

/// A value as it was given, before it is known what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// From everywhere; a number or a comma separated list too.
    Text(String),
    /// From the file only.
    Integer(i64),
    /// From the file only.
    Boolean(bool),
    /// From the file, or a flag given more than once.
    List(Vec<String>),
    /// From the file: something that no key takes, by its TOML name.
    Other(&'static str),
}

impl Value {
    /// The parts of a list: of a text, what stands between commas and line ends.
    pub fn items(&self) -> Option<Vec<String>> {
        match self {
            Self::Text(text) => Some(
                text.split([',', '\n'])
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
            Self::List(items) => Some(items.clone()),
            Self::Integer(_) | Self::Boolean(_) | Self::Other(_) => None,
        }
    }

    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Boolean(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    pub fn switch(&self) -> Option<bool> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Boolean(is_on) => Some(*is_on),
            Self::Integer(_) | Self::List(_) | Self::Other(_) => None,
        }
    }
}

/// Why a value is refused, where more can be said than what is allowed. Never holds a secret.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wrong(pub String);

impl Wrong {
    pub fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// `sockaddr_un` holds 108 bytes, the closing zero among them.
const UNIX_PATH_BYTES: usize = 107;

pub fn listen(text: &str) -> Result<Listen, Wrong> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() || path.len() > UNIX_PATH_BYTES {
            return Err(Wrong::because(format!("a socket's path has 1 to {UNIX_PATH_BYTES} bytes")));
        }
        // nginx and tools, which connect to it, stand in other folders.
        if !path.starts_with('/') {
            return Err(Wrong::because("a socket's path begins at the root"));
        }
        return Ok(Listen::Unix(PathBuf::from(path)));
    }
    socket_address(text).map(Listen::Tcp)
}

pub fn socket_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| Wrong::default())
}

pub fn database_url(text: &str) -> Result<DatabaseUrl, Wrong> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        if path.is_empty() || path.contains('?') || path.contains(":memory:") {
            return Err(Wrong::because("the path names a file"));
        }
        return Ok(DatabaseUrl::Sqlite(PathBuf::from(path)));
    }
    let rest = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))
        .ok_or_else(Wrong::default)?;
    if rest.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Wrong::default());
    }
    Ok(DatabaseUrl::Postgres(text.to_owned()))
}

/// Where NATS is; empty: nowhere.
pub fn nats_url(text: &str) -> Result<Option<String>, Wrong> {
    let fits = |url: &str| {
        let rest = url.strip_prefix("nats://").or_else(|| url.strip_prefix("tls://"));
        let host = rest.map(|rest| rest.rsplit_once('@').map_or(rest, |(_, host)| host));
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '?' | '#' | '\\');
        host.is_some_and(|host| {
            !host.is_empty() && !host.starts_with(':') && !host.contains(odd) && has_good_port(host)
        })
    };
    match text {
        "" => Ok(None),
        _ if text.split(',').all(fits) => Ok(Some(text.to_owned())),
        _ => Err(Wrong::default()),
    }
}

/// Whether behind a host, which may be an IPv6 address in brackets, there stands no port or a possible one.
fn has_good_port(authority: &str) -> bool {
    let port = match authority.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((_, "")) => return true,
            Some((_, rest)) => rest.strip_prefix(':'),
            None => None,
        },
        None => match authority.split_once(':') {
            Some((_, port)) => Some(port),
            None => return true,
        },
    };
    port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The base of an HTTP service, without its trailing slash; empty stays empty.
pub fn http_base(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let rest =
        text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(Wrong::default)?;
    let host = rest.split('/').next().unwrap_or_default();
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '?' | '#' | '\\');
    if host.is_empty()
        || host.starts_with(':')
        || rest.ends_with('/')
        || rest.contains(odd)
        || !has_good_port(host)
    {
        return Err(Wrong::default());
    }
    Ok(text.to_owned())
}

/// Where clients reach the server, over TLS: a name or an address, and a port where it is not 443.
pub fn public_url(text: &str) -> Result<Option<PublicUrl>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    let rest = text.strip_prefix("https://").ok_or_else(Wrong::default)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let is_address = rest.starts_with('[') || rest.matches(':').count() < 2;
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(Wrong::default)?)
        }
        _ => (rest, 443),
    };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().map_err(|_| Wrong::default())?.to_string(),
        None => host.to_ascii_lowercase(),
    };
    let is_name = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let fits = is_address && (host.contains(':') || host.trim_end_matches('.').split('.').all(is_name));
    if fits { Ok(Some(PublicUrl { host, port })) } else { Err(Wrong::default()) }
}

/// Whether a service is asked in the clear on another machine.
pub fn is_plain_http_elsewhere(base: &str) -> bool {
    base.starts_with("http://") && !is_loopback_http(base)
}

/// Whether a service is one of this machine.
pub fn is_loopback_http(base: &str) -> bool {
    let Some(rest) = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://")) else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub fn appid(text: &str) -> Result<String, Wrong> {
    let fits = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits { Ok(text.to_owned()) } else { Err(Wrong::default()) }
}

pub fn secret(text: &str) -> Result<Secret, Wrong> {
    if text.len() <= 256 && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text))
    } else {
        Err(Wrong::default())
    }
}

/// As WeChat's console takes it.
pub fn push_token(text: &str) -> Result<Secret, Wrong> {
    let fits =
        text.is_empty() || (3..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits { Ok(Secret::new(text)) } else { Err(Wrong::default()) }
}

/// As WeChat's console takes it: base64 of 32 bytes, without the `=` at its end.
pub fn push_aes_key(text: &str) -> Result<Secret, Wrong> {
    let fits = text.is_empty() || text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits { Ok(Secret::new(text)) } else { Err(Wrong::default()) }
}

/// Networks, or single addresses.
pub fn networks(items: &[String]) -> Result<Vec<IpNet>, Wrong> {
    let one = |item: &String| {
        item.parse::<IpNet>()
            .or_else(|_| item.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| Wrong::because(format!("{item:?} is neither an address nor a network")))
    };
    items.iter().map(one).collect()
}

/// Origins as browsers send them: scheme and host in lower case, no path, no slash at the end.
pub fn origins(items: &[String]) -> Result<Vec<String>, Wrong> {
    let one = |item: &String| {
        // What a page from a file, or in a sandbox, is: RFC 6454 §7.1.
        let fits = item == "null"
            || item.split_once("://").is_some_and(|(scheme, host)| {
                !scheme.is_empty()
                    && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
                    && !host.is_empty()
                    && host.bytes().all(|b| {
                        b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']')
                    })
            });
        if fits {
            Ok(item.to_ascii_lowercase())
        } else {
            Err(Wrong::because(format!("{item:?} is no origin")))
        }
    };
    items.iter().map(one).collect()
}

const KEY_SECRET_BYTES: usize = 32;

/// `id:secret`, each id once.
pub fn signing_keys(items: &[String]) -> Result<Vec<SigningKey>, Wrong> {
    let mut keys: Vec<SigningKey> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let nth = at + 1;
        let (id, secret) =
            item.split_once(':').ok_or_else(|| Wrong::because(format!("entry {nth} has no colon")))?;
        let fits = (1..=32).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !fits {
            return Err(Wrong::because(format!("entry {nth} has a malformed id")));
        }
        if secret.len() < KEY_SECRET_BYTES {
            return Err(Wrong::because(format!(
                "the secret of entry {nth} is shorter than {KEY_SECRET_BYTES} bytes"
            )));
        }
        if keys.iter().any(|key| key.id == id) {
            return Err(Wrong::because(format!("entry {nth} repeats an id")));
        }
        keys.push(SigningKey { id: id.to_owned(), secret: Secret::new(secret) });
    }
    Ok(keys)
}

/// Maximum length of a node's name. With the start behind it, it fits where nodes of the release before take
/// a name.
pub const NODE_NAME_BYTES: usize = 48;

/// Whether a text can be a node's name: `[A-Za-z0-9_-]{1,48}`.
pub fn is_node_name(text: &str) -> bool {
    (1..=NODE_NAME_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A node's name, or none.
pub fn node_name(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || is_node_name(text) { Ok(text.to_owned()) } else { Err(Wrong::default()) }
}

pub fn transport(text: &str) -> Result<Transport, Wrong> {
    match text {
        "takeover" => Ok(Transport::Takeover),
        "actix-web-actors" => Ok(Transport::WebActors),
        _ => Err(Wrong::default()),
    }
}

pub fn safety_mode(text: &str) -> Result<SafetyMode, Wrong> {
    match text {
        "off" => Ok(SafetyMode::Off),
        "local" => Ok(SafetyMode::Local),
        "wechat" => Ok(SafetyMode::WeChat),
        "local+wechat" => Ok(SafetyMode::LocalAndWeChat),
        _ => Err(Wrong::default()),
    }
}

pub fn on_review(text: &str) -> Result<OnReview, Wrong> {
    match text {
        "pass" => Ok(OnReview::Pass),
        "refuse" => Ok(OnReview::Refuse),
        _ => Err(Wrong::default()),
    }
}

pub fn unjudged(text: &str) -> Result<Unjudged, Wrong> {
    match text {
        "open" => Ok(Unjudged::Open),
        "closed" => Ok(Unjudged::Closed),
        "local" => Ok(Unjudged::Local),
        _ => Err(Wrong::default()),
    }
}

/// A path, or none.
pub fn path(text: &str) -> Result<Option<PathBuf>, Wrong> {
    if text.contains('\0') {
        return Err(Wrong::default());
    }
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

pub fn log_format(text: &str) -> Result<LogFormat, Wrong> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Wrong::default()),
    }
}

/// A bare word must be a level: env_logger would take a misspelt one for a module's name and fall silent.
pub fn log_filter(text: &str) -> Result<String, Wrong> {
    let is_level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    let is_target = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'))
    };
    let one = |part: &str| match part.trim().split_once('=') {
        None => is_level(part.trim()),
        Some((target, level)) => is_target(target) && is_level(level),
    };
    if text.split(',').all(one) { Ok(text.to_owned()) } else { Err(Wrong::default()) }
}

/// Whether only this machine reaches it.
pub fn is_local(listen: &Listen) -> bool {
    match listen {
        Listen::Unix(_) => true,
        Listen::Tcp(address) => address.ip().is_loopback(),
    }
}
