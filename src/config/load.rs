//! Lays the sources over each other and checks what comes out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::keys::{self, KEYS, Key, Shown};
use super::postgres_tls::{self, HAS_POSTGRES_TLS, Wanted};
use super::problem::{Problem, Problems, Source};
use super::value::{self, Value};
use super::{Config, DatabaseUrl, Listen, LogFormat, Safety, Unjudged, dev, environment, file};

/// The settings file that is read when none is named and it is there; next comes [`SYSTEM_FILE`].
pub const USUAL_FILE: &str = "hongyan.toml";
/// The settings file of the machine's server. `dev` does not read it.
pub const SYSTEM_FILE: &str = "/etc/hongyan/hongyan.toml";
/// The variable that names the settings file.
pub const FILE_VARIABLE: &str = "HONGYAN_CONFIG";

/// For whom the settings are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// Appid, secret and a signing key must be there.
    Serve,
    /// Only loopback, and what a first start lacks is filled in; the keys are those kept, where there are
    /// some.
    Dev { auth_keys: Option<String>, admin_keys: Option<String> },
    /// A command that needs only some of it.
    Tool,
}

/// Where settings are looked for.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// From `--config`; else [`FILE_VARIABLE`] is tried, and then the usual files.
    pub file: Option<PathBuf>,
    /// Files that are looked for where none is named; the first that is there is read.
    pub usual_files: Vec<PathBuf>,
    pub environment: Vec<(OsString, OsString)>,
    pub flags: Vec<Flag>,
}

/// A setting given on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// `--listen`
    pub flag: &'static str,
    pub key: String,
    pub value: Value,
}

/// A value and where it came from, not yet checked.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub key: String,
    pub value: Value,
    pub source: Source,
}

/// The settings, and for each key the value as it was given and by whom.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// The settings file that was read.
    pub file: Option<PathBuf>,
    /// What is allowed but worth a warning.
    pub warnings: Vec<String>,
    pub(super) given: BTreeMap<&'static str, (Value, Source)>,
}

/// Reads every source.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(profile: &Profile, inputs: &Inputs) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let file = settings_file(inputs);
    let layers = layers(profile, file.as_deref(), inputs, &mut problems);

    let mut config = Config::default();
    let mut given: BTreeMap<&'static str, (Value, Source)> =
        KEYS.iter().map(|key| (key.name, (key.default_value(), Source::Default))).collect();
    for Given { key: name, value, source } in layers {
        match Key::named(&name) {
            None => problems.push(Problem::new(&name, Some(source), unknown(&name))),
            Some(key) => match key.put(&mut config, &value) {
                Ok(()) => {
                    given.insert(key.name, (value, source));
                }
                Err(wrong) => {
                    problems.push(Problem::new(key.name, Some(source), refusal(key, &value, &wrong)))
                }
            },
        }
    }
    let loaded = Loaded {
        warnings: warnings(profile, &config, &inputs.environment, HAS_POSTGRES_TLS),
        config,
        file,
        given,
    };
    // Relations between values that were refused would only confuse.
    if problems.is_empty() {
        problems.extend(loaded.contradictions());
        problems.extend(loaded.without_tls(&inputs.environment, HAS_POSTGRES_TLS));
        match profile {
            Profile::Serve => {
                problems.extend(loaded.missing());
                problems.extend(loaded.known_to_all());
                problems.extend(loaded.without_list());
            }
            Profile::Dev { .. } => {
                problems.extend(loaded.open_to_others());
                problems.extend(loaded.too_good_for_dev());
            }
            Profile::Tool => {}
        }
    }
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

/// Every source, the one that wins last.
fn layers(
    profile: &Profile,
    file: Option<&Path>,
    inputs: &Inputs,
    problems: &mut Vec<Problem>,
) -> Vec<Given> {
    let mut layers: Vec<Given> = dev_layer(profile);
    if let Some(path) = file {
        match file::read(path, problems) {
            Ok(given) => layers.extend(given),
            Err(problem) => problems.push(problem),
        }
    }
    layers.extend(environment::read(&inputs.environment, problems));
    layers.extend(inputs.flags.iter().map(|flag| Given {
        key: flag.key.clone(),
        value: flag.value.clone(),
        source: Source::Flag(flag.flag),
    }));
    layers
}

/// The format in which failures are told where the settings as a whole could not be loaded: as far as it can
/// be made out.
pub fn log_format(inputs: &Inputs) -> LogFormat {
    let layers = layers(&Profile::Tool, settings_file(inputs).as_deref(), inputs, &mut Vec::new());
    let told = layers.iter().rev().find(|given| given.key == "log.format").map(|given| &given.value);
    match told {
        Some(Value::Text(text)) => value::log_format(text).unwrap_or(LogFormat::Text),
        _ => LogFormat::Text,
    }
}

fn settings_file(inputs: &Inputs) -> Option<PathBuf> {
    let from_environment = || {
        let (_, path) = inputs.environment.iter().find(|(name, _)| name == FILE_VARIABLE)?;
        (!path.is_empty()).then(|| PathBuf::from(path))
    };
    // One that may not be seen may be there: reading it will say so. A folder that this user may not enter
    // has no file of theirs, though, when they only happen to stand in it.
    let is_there = |path: &Path| match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied && path.is_absolute(),
    };
    let usual = || inputs.usual_files.iter().find(|path| is_there(path)).cloned();
    inputs.file.clone().or_else(from_environment).or_else(usual)
}

fn dev_layer(profile: &Profile) -> Vec<Given> {
    let Profile::Dev { auth_keys, admin_keys } = profile else { return Vec::new() };
    let mut values = vec![
        ("wechat.appid", dev::APPID),
        ("wechat.secret", dev::SECRET),
        ("wechat.api_base", ""),
        ("wechat.push_token", dev::PUSH_TOKEN),
        ("wechat.push_aes_key", dev::PUSH_AES_KEY),
        ("web.enabled", "true"),
        ("safety.mode", "local+wechat"),
        ("notice.template_id", dev::TEMPLATE),
        ("notice.fields", dev::NOTICE_FIELDS),
        ("notice.delay_ms", dev::NOTICE_DELAY_MS),
    ];
    for (key, kept) in [("auth.keys", auth_keys), ("admin.keys", admin_keys)] {
        values.extend(kept.as_deref().map(|kept| (key, kept)));
    }
    let given = |(key, text): (&str, &str)| Given {
        key: key.to_owned(),
        value: Value::Text(text.to_owned()),
        source: Source::Dev,
    };
    values.into_iter().map(given).collect()
}

/// What is allowed in the place of a name that no key has.
pub(super) fn unknown(name: &str) -> String {
    let section = name.split('.').next().unwrap_or_default();
    let prefix = format!("{section}.");
    let siblings: Vec<&str> = KEYS.iter().filter_map(|key| key.name.strip_prefix(prefix.as_str())).collect();
    if siblings.is_empty() {
        format!("unknown section; the sections are {}", keys::sections().join(", "))
    } else {
        format!("unknown key; the keys of {section} are {}", siblings.join(", "))
    }
}

fn refusal(key: &Key, value: &Value, wrong: &value::Wrong) -> String {
    let got = match (key.shown(), value) {
        (Shown::Whole, Value::Text(text)) => format!("{text:?} is not allowed: "),
        (Shown::Whole, Value::Integer(number)) => format!("{number} is not allowed: "),
        (Shown::Whole, Value::Boolean(is_on)) => format!("{is_on} is not allowed: "),
        (Shown::Whole, Value::Other(kind)) => format!("this {kind} is not allowed: "),
        _ => "this value is not allowed: ".to_owned(),
    };
    let reason = if wrong.0.is_empty() { String::new() } else { format!("{}; ", wrong.0) };
    format!("{got}{reason}must be {}", key.allowed())
}

fn warnings(
    profile: &Profile,
    config: &Config,
    environment: &[(OsString, OsString)],
    has_tls: bool,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let DatabaseUrl::Postgres(url) = &config.database.url
        && !has_tls
        && postgres_tls::wanted(url, environment) == Wanted::WherePossible
    {
        warnings.push(postgres_tls::OPEN.to_owned());
    }
    if *profile == Profile::Serve && value::is_loopback_http(&config.wechat.api_base) {
        let what = "wechat.api_base: this is a double of WeChat on this machine, which logs in whoever names a user; leave it out for WeChat";
        warnings.push(what.to_owned());
    }
    if config.ops.listen.is_some_and(|at| at.ip().is_unspecified()) {
        let what = "ops.listen: every network that reaches this machine, or this container, reads metrics and readiness here";
        warnings.push(what.to_owned());
    }
    if let Some(Listen::Tcp(at)) = &config.admin.listen
        && !at.ip().is_loopback()
        && !config.admin.keys.is_empty()
    {
        let what = "admin.listen: the keys of admin.keys cross the network in the clear to this port: let only a network of your own reach it, or put TLS before it";
        warnings.push(what.to_owned());
    }
    if config.admin.listen.is_some() && config.admin.keys.is_empty() {
        warnings.push(
            "admin.listen: without admin.keys there is no server API, and nothing listens there".to_owned(),
        );
    }
    if config.server.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        let what = "server.trusted_proxies: everybody is believed to be a proxy, so that anybody chooses the address they are counted by: name the proxy's own";
        warnings.push(what.to_owned());
    }
    if value::is_plain_http_elsewhere(&config.wechat.api_base) {
        warnings.push(
            "wechat.api_base: plain http to another machine shows the AppSecret to the network".to_owned(),
        );
    }
    if passes_unread(&config.safety) && !config.wechat.api_base.is_empty() {
        let why = "WeChat checks nothing that a user writes who was not in the mini-program for two hours (61010), and no word list stands behind \
                   it: set safety.words, or safety.on_inactive to closed";
        warnings.push(format!("safety.mode: {why}"));
    }
    warnings
}

/// Whether nobody reads what a user writes whom WeChat does not know to be there.
fn passes_unread(safety: &Safety) -> bool {
    let is_listed =
        safety.words.is_some() && (safety.mode.asks_list() || safety.on_inactive == Unjudged::Local);
    safety.mode.asks_wechat() && safety.on_inactive != Unjudged::Closed && !is_listed
}

impl Loaded {
    /// The source of a key's value.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.given.get(name).map(|(_, source)| source)
    }

    /// What `serve` cannot do without and is not given, a line each with how to give it.
    pub fn missing(&self) -> Vec<Problem> {
        keys::missing(&self.config).into_iter().map(absent).collect()
    }

    /// Values that do not fit each other.
    fn contradictions(&self) -> Vec<Problem> {
        let session = &self.config.session;
        let limits = &self.config.limits;
        let at_least = [
            (
                "session.silent_after_ms",
                session.silent_after_ms,
                "session.ping_after_ms",
                session.ping_after_ms + 1,
            ),
            (
                "session.silent_after_ms",
                session.silent_after_ms,
                "session.heartbeat_ms",
                session.heartbeat_ms + 1,
            ),
            (
                "limits.fields_bytes",
                limits.fields_bytes as u64,
                "limits.message_bytes",
                limits.message_bytes as u64,
            ),
            (
                "limits.frame_bytes",
                limits.frame_bytes as u64,
                "limits.fields_bytes",
                limits.fields_bytes as u64,
            ),
            (
                "session.outbox_bytes",
                session.outbox_bytes as u64,
                "limits.frame_bytes",
                limits.frame_bytes as u64,
            ),
            (
                "session.outboxes_bytes",
                session.outboxes_bytes as u64,
                "session.outbox_bytes",
                session.outbox_bytes as u64,
            ),
        ];
        let mut problems: Vec<Problem> = at_least
            .into_iter()
            .filter(|(_, value, _, least)| value < least)
            .map(|(name, value, other, least)| {
                let by = self.source(other).map(|source| format!(", from {source}")).unwrap_or_default();
                Problem::new(
                    name,
                    self.source(name).cloned(),
                    format!("{value} is not allowed: must be at least {least}, because of {other}{by}"),
                )
            })
            .collect();
        let admin = &self.config.admin;
        let ops = self.config.ops.listen.map(Listen::Tcp);
        let ports = [
            ("server.listen", Some(&self.config.server.listen)),
            ("ops.listen", ops.as_ref()),
            ("admin.listen", admin.listen.as_ref()),
        ];
        for (at, (name, later)) in ports.iter().enumerate() {
            for (other, earlier) in &ports[..at] {
                if let (Some(earlier), Some(later)) = (earlier, later)
                    && earlier.meets(later)
                {
                    let what = format!("{later} is not allowed: must differ from {other}");
                    problems.push(Problem::new(*name, self.source(name).cloned(), what));
                }
            }
        }
        if admin
            .keys
            .iter()
            .any(|key| self.config.auth.keys.iter().any(|signing| signing.secret == key.secret))
        {
            let what = "a secret of auth.keys: who may call the server API could sign tokens for anybody; make one of its own";
            problems.push(Problem::new("admin.keys", self.source("admin.keys").cloned(), what));
        }
        if self.config.relay.nats_url.is_some() && matches!(self.config.database.url, DatabaseUrl::Sqlite(_))
        {
            let what = "a SQLite file has one node: for several, set database.url to a PostgreSQL that all of them use";
            problems.push(Problem::new("relay.nats_url", self.source("relay.nats_url").cloned(), what));
        }
        if self.config.notice.template_id.is_some() && self.config.notice.fields.is_empty() {
            let what = "missing: notice.template_id names a template, and WeChat takes none without its fields, such as thing1={sender}";
            problems.push(Problem::new("notice.fields", self.source("notice.fields").cloned(), what));
        }
        if self.config.wechat.push_token.is_empty() && !self.config.wechat.push_aes_key.is_empty() {
            let what = "of no use without wechat.push_token, with which WeChat's pushes are signed";
            problems.push(Problem::new(
                "wechat.push_aes_key",
                self.source("wechat.push_aes_key").cloned(),
                what,
            ));
        }
        problems
    }

    /// A list that is asked and not there passes everything.
    fn without_list(&self) -> Option<Problem> {
        let safety = &self.config.safety;
        (safety.mode.asks_list() && safety.words.is_none()).then(|| {
            let what = "asks a word list, and safety.words names none: name one (it may be empty, and is read anew when it changes), or set \
                        safety.mode to wechat or off";
            Problem::new("safety.mode", self.source("safety.mode").cloned(), what)
        })
    }

    /// A database that is to be reached by TLS, in a build that has none.
    fn without_tls(&self, environment: &[(OsString, OsString)], has_tls: bool) -> Option<Problem> {
        let DatabaseUrl::Postgres(url) = &self.config.database.url else { return None };
        match postgres_tls::wanted(url, environment) {
            Wanted::Always(given) if !has_tls => Some(Problem::new(
                "database.url",
                self.source("database.url").cloned(),
                postgres_tls::refusal(&given),
            )),
            _ => None,
        }
    }

    /// `dev` runs with known secrets, so nobody else may reach it.
    fn open_to_others(&self) -> Vec<Problem> {
        let ops = self.config.ops.listen.map(Listen::Tcp);
        let open = [
            ("server.listen", Some(&self.config.server.listen)),
            ("ops.listen", ops.as_ref()),
            ("admin.listen", self.config.admin.listen.as_ref()),
        ];
        open.into_iter()
            .filter(|(_, listen)| listen.is_some_and(|listen| !value::is_local(listen)))
            .map(|(name, _)| {
                let what =
                    "dev listens on this machine only: must be a loopback address (127.0.0.1, [::1]) or unix:/PATH; use serve for others";
                Problem::new(name, self.source(name).cloned(), what)
            })
            .collect()
    }
}

fn absent(key: &Key) -> Problem {
    let (section, name) = key.name.split_once('.').unwrap_or((key.name, ""));
    let variable = key.environment();
    let example = match key.shape() {
        keys::Shape::List => "[\"ID:SECRET\"]",
        keys::Shape::Number | keys::Shape::Switch | keys::Shape::Text => "\"…\"",
    };
    Problem::new(
        key.name,
        None,
        format!(
            "missing: set [{section}] {name} = {example} in the settings file or {variable}, or {name}_file there or {variable}_FILE to a file that holds it; must be {}",
            key.allowed()
        ),
    )
}
