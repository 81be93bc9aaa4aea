mod secrets;

use std::ffi::OsString;
use std::path::PathBuf;

use super::dev::DevKey;
use super::keys::{self, KEYS, Key, Shape, Shown};
use super::load::Flag;
use super::show;
use super::value::Value;
use super::*;

const KEY: &str = "k1:0123456789abcdef0123456789abcdef";
const PUSH_AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// Inputs with an environment, and a file that is there (an empty one, so that no hongyan.toml of the folder
/// is read).
struct Case {
    inputs: Inputs,
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let case =
            Self { inputs: Inputs { file: Some(folder.path().join("h.toml")), ..Inputs::default() }, folder };
        case.file("")
    }

    fn file(self, text: &str) -> Self {
        std::fs::write(self.folder.path().join("h.toml"), text).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.inputs.environment.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, flag: &'static str, key: &str, value: &str) -> Self {
        self.inputs.flags.push(Flag { flag, key: key.to_owned(), value: Value::Text(value.to_owned()) });
        self
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(&Profile::Tool, &self.inputs)
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap()
    }

    /// The one problem, as its line, with the temporary folder taken out.
    fn line(&self) -> String {
        let problems = self.load().unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        let line = problems.to_string();
        assert!(!line.contains('\n'), "{line}");
        line.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn dev() -> Profile {
    Profile::Dev { auth_keys: Some(KEY.to_owned()), admin_keys: None }
}

#[test]
fn defaults_are_those_of_the_protocol() {
    let config = Config::default();
    for key in KEYS {
        key.put(&mut Config::default(), &key.default_value())
            .unwrap_or_else(|wrong| panic!("{}: {wrong:?}", key.name));
    }
    assert_eq!(config.server.listen, Listen::Tcp("127.0.0.1:9999".parse().unwrap()));
    assert_eq!(config.ops.listen, Some("127.0.0.1:9990".parse().unwrap()));
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("data/hongyan.db".into()));
    assert_eq!(config.server.workers, std::thread::available_parallelism().unwrap().get());
    assert_eq!(
        (config.session.heartbeat_ms, config.session.silent_after_ms, config.session.outbox_bytes),
        (30_000, 75_000, 1 << 20)
    );
    let limits = &config.limits;
    assert_eq!((limits.messages_per_second, limits.message_burst, limits.controls_per_second), (20, 40, 50));
    assert_eq!((limits.http_per_second, limits.http_burst), (20, 60));
    assert_eq!((limits.handshakes_per_second, limits.handshakes_per_second_per_address), (1_000, 200));
    assert_eq!(
        (limits.sessions_per_address, limits.sessions_per_user, limits.replacements_per_minute),
        (2000, 8, 5)
    );
    assert_eq!(
        (limits.frame_bytes, limits.frame_fragments, limits.message_bytes, limits.fields_bytes),
        (65_536, 16, 8192, 16_384)
    );
    assert_eq!((limits.new_conversations_per_day, limits.bad_frames), (200, 10));
}

/// Every number written through the table comes out of one field of its own: no row writes into another's
/// place.
#[test]
fn each_number_has_its_own_field() {
    for key in KEYS.iter().filter(|key| key.shape() == Shape::Number) {
        let mut config = Config::default();
        let before = format!("{config:#?}");
        let value = (2..200_000).find(|n| {
            !before.contains(&format!(": {n},"))
                && key.put(&mut Config::default(), &Value::Integer(*n)).is_ok()
        });
        key.put(&mut config, &Value::Integer(value.unwrap())).unwrap();
        let after = format!("{config:#?}");
        let changed: Vec<_> =
            before.lines().zip(after.lines()).filter(|(a, b)| a != b).map(|(_, b)| b.trim()).collect();
        let field = key.name.split('.').next_back().unwrap();
        assert_eq!(changed, [format!("{field}: {},", value.unwrap())], "{}", key.name);
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let case = Case::new();
    assert_eq!(case.loaded().source("limits.bad_frames"), Some(&Source::Default));
    let case = case.file("[limits]\n\nbad_frames = 11\nhttp_burst = 61\nmessage_burst = 41\n");
    let case = case.env("HONGYAN_LIMITS__BAD_FRAMES", "12").env("HONGYAN_LIMITS__HTTP_BURST", "62");
    let case = case.flag("--set", "limits.bad_frames", "13");
    let loaded = case.loaded();
    let limits = &loaded.config.limits;
    assert_eq!(
        (limits.bad_frames, limits.http_burst, limits.message_burst, limits.sessions_per_user),
        (13, 62, 41, 8)
    );
    assert_eq!(loaded.source("limits.bad_frames"), Some(&Source::Flag("--set")));
    assert_eq!(
        loaded.source("limits.http_burst"),
        Some(&Source::Environment("HONGYAN_LIMITS__HTTP_BURST".to_owned()))
    );
    assert!(matches!(loaded.source("limits.message_burst"), Some(Source::File { line: 5, .. })));
}

#[test]
fn the_environment_can_name_the_settings_file() {
    let mut case = Case::new().file("[log]\nformat = \"json\"\n");
    let file = case.inputs.file.take().unwrap();
    let case = case.env("HONGYAN_CONFIG", file.to_str().unwrap());
    assert_eq!(case.loaded().config.log.format, LogFormat::Json);
}

#[test]
fn secrets_can_come_from_files() {
    let case = Case::new();
    let path = case.folder.path().join("secret");
    std::fs::write(&path, "s3cret\n").unwrap();
    let case = case.env("HONGYAN_WECHAT__SECRET_FILE", path.to_str().unwrap());
    assert_eq!(case.loaded().config.wechat.secret.expose(), "s3cret");
    assert!(matches!(case.loaded().source("wechat.secret"), Some(Source::EnvironmentFile { .. })));

    std::fs::write(&path, format!("{KEY}\nold:{}\n", "x".repeat(32))).unwrap();
    let keys = Case::new().env("HONGYAN_AUTH__KEYS_FILE", path.to_str().unwrap()).loaded().config.auth.keys;
    assert_eq!(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k1", "old"]);

    let gone = Case::new().env("HONGYAN_WECHAT__SECRET_FILE", "/nowhere/secret").line();
    assert_eq!(
        gone,
        "wechat.secret (environment HONGYAN_WECHAT__SECRET_FILE, file /nowhere/secret): the file cannot be read: No such file or directory (os error 2)"
    );
    let twice =
        Case::new().env("HONGYAN_WECHAT__SECRET", "a").env("HONGYAN_WECHAT__SECRET_FILE", "/nowhere").line();
    assert!(
        twice.starts_with(
            "wechat.secret (environment HONGYAN_WECHAT__SECRET_FILE, file /nowhere): given twice"
        ),
        "{twice}"
    );
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands() {
    let ops = "unknown key; the keys of ops are listen, allowed_hosts";
    assert_eq!(Case::new().file("[ops]\n\nlisen = \"\"\n").line(), format!("ops.lisen (h.toml:3): {ops}"));
    let env = Case::new().env("HONGYAN_OPS__LISEN", "").line();
    assert_eq!(env, format!("HONGYAN_OPS__LISEN (environment HONGYAN_OPS__LISEN): {ops}"));
    assert_eq!(Case::new().flag("--set", "ops.lisen", "").line(), format!("ops.lisen (flag --set): {ops}"));

    let sections = "unknown section; the sections are server, ops, admin, web, database, wechat, auth, session, limits, relay, safety, notice, log";
    assert_eq!(Case::new().file("[sever]\nlisten = \"\"\n").line(), format!("sever (h.toml:1): {sections}"));
    assert!(Case::new().env("HONGYAN_SEVER__LISTEN", "").line().ends_with(sections));
    assert!(Case::new().file("listen = \"\"\n").line().ends_with(sections));
    assert_eq!(
        Case::new().env("HONGYAN_SERVER_LISTEN", "").line(),
        "HONGYAN_SERVER_LISTEN (environment HONGYAN_SERVER_LISTEN): unknown variable: did you mean HONGYAN_SERVER__LISTEN (two underscores)?"
    );
    // What belongs to others is theirs.
    assert!(
        Case::new()
            .env("HONGYAN_TEST_POSTGRES_URL", "x")
            .env("HONGYAN_PORT", "1")
            .env("OTHER__KEY", "x")
            .load()
            .is_ok()
    );
}

/// A value that is not allowed, for each key that has one; given in each source in turn.
const WRONG: &[(&str, &[&str])] = &[
    ("server.listen", &["", "9999", "localhost:9999", "127.0.0.1:99999", "unix:"]),
    ("server.node", &["a b", "a.b", "a~b", "eine-sehr-lange-bezeichnung-eines-einzelnen-knotens-", "雁"]),
    ("server.workers", &["0", "-1", "many", "1025", ""]),
    ("server.trusted_proxies", &["10.0.0.0/33", "proxy"]),
    (
        "server.public_url",
        &[
            "http://example.com",
            "https://",
            "example.com",
            "https://a/b",
            "https://a:0",
            "https://a:x",
            "https://::1",
            "https://u@a",
        ],
    ),
    ("server.allowed_origins", &["example.com", "https://a.example/", "https://"]),
    ("ops.listen", &["9990", "off"]),
    ("admin.listen", &["9991", "off", "unix:"]),
    (
        "admin.keys",
        &["shop", "shop:0123456789abcdef0123456789abcdef", "shop:0123456789abcdef0123456789abcdef:all"],
    ),
    ("admin.calls_per_second", &["-1", "many"]),
    ("admin.audit_days", &["-1", "36501"]),
    (
        "database.url",
        &["", "mysql://x/y", "sqlite://", "sqlite://a?mode=memory", "postgres://", "data/hongyan.db"],
    ),
    ("database.prepared_statements", &["", "no", "1", "True"]),
    ("wechat.appid", &["wx 1", "wx/1"]),
    ("wechat.secret", &["a b", "秘密"]),
    ("wechat.push_token", &["ab", "with-dash", "abcdefghijklmnopqrstuvwxyz0123456"]),
    (
        "wechat.push_aes_key",
        &["abcdefghijklmnopqrstuvwxyz0123456789ABCDEF", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF="],
    ),
    ("wechat.api_base", &["api.weixin.qq.com", "https://", "https://x/", "https://u@x", "ftp://x"]),
    (
        "auth.keys",
        &["k1", "k1:short", ":0123456789abcdef0123456789abcdef", "a b:0123456789abcdef0123456789abcdef"],
    ),
    ("session.silent_after_ms", &["9", "86400001", "1.5"]),
    ("limits.message_burst", &["-1", "1000000001"]),
    ("relay.nats_url", &["127.0.0.1:4222", "http://nats", "nats://", "nats://a,b", "nats://u:p@nats/x"]),
    ("relay.buckets", &["0", "16777217"]),
    ("log.format", &["", "JSON", "yaml"]),
    ("log.filter", &["", "inof", "hongyan=loud", "=info"]),
];

#[test]
fn a_wrong_value_names_key_source_and_what_is_allowed() {
    for (name, values) in WRONG {
        let key = Key::named(name).unwrap();
        for value in *values {
            let file = Case::new().file(&format!(
                "[{}]\n{} = \"{value}\"\n",
                name.split_once('.').unwrap().0,
                name.split_once('.').unwrap().1
            ));
            let env = Case::new().env(&key.environment(), value);
            let flag = Case::new().flag("--set", name, value);
            for (case, source) in [
                (file, "h.toml:2"),
                (env, &format!("environment {}", key.environment())),
                (flag, "flag --set"),
            ] {
                let line = case.line();
                assert!(line.starts_with(&format!("{name} ({source}): ")), "{line}");
                assert!(line.ends_with(&format!("must be {}", key.allowed())), "{line}");
                if key.shown() != Shown::Whole && value.len() > 5 {
                    assert!(!line.split("must be").next().unwrap().contains(value), "{line}");
                }
            }
        }
    }
    assert_eq!(
        Case::new().flag("--listen", "server.listen", "9999").line(),
        "server.listen (flag --listen): \"9999\" is not allowed: must be ADDRESS:PORT such as 127.0.0.1:9999 or [::1]:9999, or unix:/PATH"
    );
}

#[test]
fn types_of_the_file_are_checked() {
    for (text, key) in [
        ("[wechat]\nappid = 5", "wechat.appid"),
        ("[server]\nworkers = 1.5", "server.workers"),
        ("[server]\nworkers = true", "server.workers"),
        ("[wechat]\nappid = true", "wechat.appid"),
        ("[database]\nprepared_statements = 0", "database.prepared_statements"),
        ("[server]\ntrusted_proxies = [1]", "server.trusted_proxies"),
        ("[auth]\nkeys = [{ id = \"a\" }]", "auth.keys"),
        ("[log]\nformat = [\"json\"]", "log.format"),
    ] {
        let line = Case::new().file(text).line();
        assert!(line.starts_with(&format!("{key} (h.toml:2): ")) && line.contains("must be "), "{line}");
    }
    assert!(Case::new().file("server = 1").line().starts_with("server (h.toml:1): "));
}

#[test]
fn a_broken_file_is_named_with_its_line_and_not_quoted() {
    for text in
        ["secret = \"s3cret\n", "secret = s3cret\n", "secret = \"a\" s3cret\n", "secret = \"\\s3cret\"\n"]
    {
        let line = Case::new().file(&format!("[wechat]\n{text}")).line();
        assert!(line.starts_with("h.toml:2: is not TOML: "), "{line}");
        assert!(!line.contains("s3cret"), "{line}");
    }
    let mut case = Case::new();
    case.inputs.file = Some(PathBuf::from("/nowhere/h.toml"));
    assert!(case.line().starts_with("/nowhere/h.toml: cannot be read: "));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let case = Case::new().file("[server]\nlisten = \"x\"\nlisen = \"y\"\n").env("HONGYAN_LOG__FORMAT", "z");
    let problems = case.load().unwrap_err();
    let about: Vec<&str> = problems.0.iter().map(|problem| problem.about.as_str()).collect();
    assert_eq!(about, ["server.listen", "server.lisen", "log.format"]);
    assert_eq!(problems.to_string().lines().count(), 3);
}

#[test]
fn values_must_fit_each_other() {
    for (key, value, about) in [
        ("session.silent_after_ms", "30000", "session.silent_after_ms"),
        ("session.ping_after_ms", "75000", "session.silent_after_ms"),
        ("limits.message_bytes", "16385", "limits.fields_bytes"),
        ("limits.fields_bytes", "65537", "limits.frame_bytes"),
        ("session.outbox_bytes", "65535", "session.outbox_bytes"),
        ("session.outbox_bytes", "33554433", "session.outboxes_bytes"),
        ("ops.listen", "127.0.0.1:9999", "ops.listen"),
        ("server.listen", "0.0.0.0:9990", "ops.listen"),
        ("admin.listen", "[::]:9990", "admin.listen"),
        ("wechat.push_aes_key", PUSH_AES_KEY, "wechat.push_aes_key"),
    ] {
        let problems = Case::new().flag("--set", key, value).load().unwrap_err();
        assert_eq!(problems.0[0].about, about, "{problems}");
    }
    assert_eq!(
        Case::new().flag("--set", "limits.fields_bytes", "65537").line(),
        "limits.frame_bytes (default): 65536 is not allowed: must be at least 65537, because of limits.fields_bytes, from flag --set"
    );
}

#[test]
fn lists_come_in_every_form() {
    let both = ["10.0.0.0/8", "::1/128"].map(|net| net.parse::<ipnet::IpNet>().unwrap());
    let file = Case::new().file("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n").loaded();
    let env = Case::new().env("HONGYAN_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1").loaded();
    assert_eq!(file.config.server.trusted_proxies, both);
    assert_eq!(env.config.server.trusted_proxies, both);
    assert!(
        Case::new()
            .env("HONGYAN_SERVER__ALLOWED_ORIGINS", "")
            .loaded()
            .config
            .server
            .allowed_origins
            .is_empty()
    );
    let secret = "0123456789abcdef0123456789abcdef";
    for text in [
        format!("auth.keys = [\"k1:{secret}\"]"),
        format!("auth.keys = \"k1:{secret}\""),
        format!("[[auth.keys]]\nid = \"k1\"\nsecret = \"{secret}\""),
    ] {
        let keys = Case::new().file(&text).loaded().config.auth.keys;
        assert_eq!((keys[0].id.as_str(), keys[0].secret.expose()), ("k1", secret));
    }
}

#[test]
fn serve_says_all_that_is_missing() {
    let case = Case::new();
    let problems = load(&Profile::Serve, &case.inputs).unwrap_err();
    let about: Vec<&str> = problems.0.iter().map(|problem| problem.about.as_str()).collect();
    assert_eq!(about, ["wechat.appid", "wechat.secret", "auth.keys"]);
    let text = problems.to_string();
    assert!(text.contains("HONGYAN_WECHAT__SECRET_FILE") && text.contains("[auth] keys = "), "{text}");

    let case = case
        .env("HONGYAN_WECHAT__APPID", "wx1")
        .env("HONGYAN_WECHAT__SECRET", "s")
        .env("HONGYAN_AUTH__KEYS", KEY);
    assert!(load(&Profile::Serve, &case.inputs).is_ok());
    let problems = load(&Profile::Serve, &case.env("HONGYAN_WECHAT__SECRET", "").inputs);
    assert!(problems.is_err(), "an empty secret is none");
}

#[test]
fn values_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStringExt;
    let mut case = Case::new();
    case.inputs.environment.push(("HONGYAN_LOG__FORMAT".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(case.line(), "log.format (environment HONGYAN_LOG__FORMAT): is not UTF-8");
}

#[test]
fn keys_are_named_once_and_grouped() {
    let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
    let mut sections = keys::sections();
    sections.sort_unstable();
    sections.dedup();
    assert_eq!(sections.len(), keys::sections().len(), "a section's keys stand together");
    for key in KEYS {
        assert!(
            !key.help.is_empty() && !key.help.contains('|') && !key.allowed().contains('|'),
            "{}",
            key.name
        );
    }
}

#[test]
fn the_browser_client_is_on_in_dev_alone_unless_it_is_said() {
    let served = |profile: &Profile, case: Case| load(profile, &case.inputs).unwrap().config.web.enabled;
    assert!(served(&dev(), Case::new()) && !served(&Profile::Tool, Case::new()));
    assert!(!served(&dev(), Case::new().env("HONGYAN_WEB__ENABLED", "false")));
    assert!(served(&Profile::Tool, Case::new().file("[web]\nenabled = true\n")));
}

#[test]
fn texts_are_checked_in_dev_alone_unless_it_is_said() {
    let mode = |profile: &Profile, case: Case| load(profile, &case.inputs).unwrap().config.safety.mode;
    assert_eq!(
        (mode(&dev(), Case::new()), mode(&Profile::Tool, Case::new())),
        (SafetyMode::LocalAndWeChat, SafetyMode::Off)
    );
    assert_eq!(mode(&dev(), Case::new().env("HONGYAN_SAFETY__MODE", "off")), SafetyMode::Off);
    for (text, wanted) in [
        ("local", SafetyMode::Local),
        ("wechat", SafetyMode::WeChat),
        ("local+wechat", SafetyMode::LocalAndWeChat),
    ] {
        assert_eq!(mode(&Profile::Tool, Case::new().env("HONGYAN_SAFETY__MODE", text)), wanted);
    }
}

#[test]
fn a_switch_is_true_or_false_in_toml_and_as_a_word() {
    let is_on = |case: Case| case.loaded().config.database.prepared_statements;
    assert!(is_on(Case::new()));
    for text in ["false", "\"false\""] {
        assert!(!is_on(Case::new().file(&format!("[database]\nprepared_statements = {text}\n"))));
    }
    assert!(!is_on(Case::new().env("HONGYAN_DATABASE__PREPARED_STATEMENTS", "false")));
}

/// What a profile says of these settings, without where they stand.
fn problems(profile: &Profile, settings: &[(&str, &str)]) -> Vec<String> {
    let case = settings.iter().fold(Case::new(), |case, (key, value)| case.flag("--set", key, value));
    load(profile, &case.inputs)
        .err()
        .map(|problems| problems.0.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

const COMPLETE: [(&str, &str); 3] = [("wechat.appid", "wx1"), ("wechat.secret", "s"), ("auth.keys", KEY)];
