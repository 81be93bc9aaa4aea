//! `config check` says what `serve` would end with, and both say it in the form that machines or people asked
//! for.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{hongyan, root, stderr, text};

const COMPLETE: [(&str, &str); 3] = [
    ("HONGYAN_WECHAT__APPID", "wx0"),
    ("HONGYAN_WECHAT__SECRET", "s"),
    ("HONGYAN_AUTH__KEYS", "k1:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"),
];

/// Settings that end a start, and a part of the line that says why.
fn bad_settings(folder: &Path) -> Vec<(Vec<(&'static str, String)>, &'static str)> {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::write(at("words"), "\u{2026}\n").unwrap();
    fs::write(at("no.db"), "no database, and of some length: SQLite looks at the first hundred bytes of a file, which begin with its name")
        .unwrap();
    fs::write(at("file"), "").unwrap();
    let one = |name: &'static str, value: String, says: &'static str| (vec![(name, value)], says);
    let listed = |name: String, says| {
        (vec![("HONGYAN_SAFETY__MODE", "local".to_owned()), ("HONGYAN_SAFETY__WORDS", name)], says)
    };
    vec![
        listed(at("nowhere"), "safety.words names a file that cannot be used: "),
        listed(at("words"), "line 1 has neither letter nor digit"),
        one(
            "HONGYAN_SAFETY__MODE",
            "local".to_owned(),
            "safety.mode (environment HONGYAN_SAFETY__MODE): asks a word list, and safety.words names none",
        ),
        one("HONGYAN_SERVER__LISTEN", "127.0.0.1:99999".to_owned(), "server.listen (environment"),
        one("HONGYAN_SERVER__LISTEN", "unix:run/h.sock".to_owned(), "a socket's path begins at the root"),
        one("HONGYAN_SERVER__LISTEN", format!("unix:{}", at("none/h.sock")), "the folder "),
        one("HONGYAN_SERVER__LISTEN", format!("unix:{}", at("file")), "what stands there is no socket"),
        one(
            "HONGYAN_SERVER__LISTEN",
            "192.0.2.1:9999".to_owned(),
            "no interface of this machine has that address",
        ),
        one(
            "HONGYAN_OPS__LISTEN",
            "192.0.2.1:9990".to_owned(),
            "no interface of this machine has that address",
        ),
        one("HONGYAN_DATABASE__URL", format!("sqlite://{}", at("no.db")), "file is not a database"),
        one("HONGYAN_DATABASE__URL", format!("sqlite://{}", folder.display()), "it is a folder"),
        one("HONGYAN_DATABASE__URL", format!("sqlite://{}", at("file/h.db")), "not a directory"),
        one(
            "HONGYAN_DATABASE__URL",
            "postgres://h:s3cret@127.0.0.1:99999/im".to_owned(),
            "a port is a number from 1 to 65535",
        ),
        one(
            "HONGYAN_DATABASE__URL",
            "postgres://h:s3cret@127.0.0.1/im?sslmood=require".to_owned(),
            "sslmood",
        ),
        one(
            "HONGYAN_WECHAT__API_BASE",
            "https://api.weixin.qq.com:99999".to_owned(),
            "wechat.api_base (environment",
        ),
        (
            vec![
                ("HONGYAN_RELAY__NATS_URL", "nats://127.0.0.1:99999".to_owned()),
                ("HONGYAN_DATABASE__URL", "postgres://h:s3cret@127.0.0.1/im".to_owned()),
            ],
            "relay.nats_url (environment",
        ),
    ]
}

#[test]
fn config_check_says_what_serve_ends_with() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, says) in bad_settings(folder.path()) {
        let mut environment = COMPLETE.to_vec();
        environment.extend([("HONGYAN_SERVER__LISTEN", "127.0.0.1:0"), ("HONGYAN_OPS__LISTEN", "")]);
        environment.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        let [check, serve] = [&["config", "check"][..], &["serve"]]
            .map(|command| hongyan(folder.path(), command, &environment));
        assert!(stderr(&check).contains(says), "{settings:?}: {}", stderr(&check));
        assert_eq!(
            (check.status.code(), stderr(&check)),
            (serve.status.code(), stderr(&serve)),
            "{settings:?}"
        );
        assert!(check.stdout.is_empty() && !stderr(&check).contains("s3cret"), "{}", stderr(&check));
    }
    assert!(!folder.path().join("data").exists(), "a look makes nothing");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("none").display().to_string();
    let socket = format!("unix:{words}/h.sock");
    let mut environment = COMPLETE.to_vec();
    environment.extend([
        ("HONGYAN_SAFETY__MODE", "local"),
        ("HONGYAN_SAFETY__WORDS", &words),
        ("HONGYAN_SERVER__LISTEN", &socket),
    ]);
    environment.push(("HONGYAN_DATABASE__URL", "postgres://h:p@127.0.0.1:0/im"));
    let check = hongyan(folder.path(), &["config", "check"], &environment);
    assert_eq!((check.status.code(), stderr(&check).lines().count()), (Some(1), 3), "{}", stderr(&check));
}

/// Beside a server that runs with them.
#[test]
fn addresses_that_are_taken_are_no_fault_of_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let mut environment = COMPLETE.to_vec();
    environment.extend([("HONGYAN_SERVER__LISTEN", at.as_str()), ("HONGYAN_OPS__LISTEN", "")]);
    let check = hongyan(folder.path(), &["config", "check"], &environment);
    let said = String::from_utf8(check.stdout.clone()).unwrap();
    assert!(check.status.success(), "{}", stderr(&check));
    assert_eq!(
        said,
        format!("{at} is taken, as it is while a server runs with these settings\nthe settings are good\n")
    );
    assert_eq!(hongyan(folder.path(), &["serve"], &environment).status.code(), Some(1));
}

/// A collector of logs that reads JSON meets nothing else, however the start ends.
#[test]
fn failures_at_a_start_are_in_the_chosen_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases: Vec<Vec<(&str, String)>> =
        bad_settings(folder.path()).into_iter().map(|(settings, _)| settings).collect();
    cases.push(vec![("HONGYAN_AUTH__KEYS", "short".to_owned())]);
    cases.push(vec![("HONGYAN_UNKNOWN__KEY", "1".to_owned())]);
    fs::write(folder.path().join("json.toml"), "[log]\nformat = \"json\"\n").unwrap();
    fs::write(folder.path().join("bad.toml"), "[log]\nformat = \"json\"\n[server]\nlisten = 1\n").unwrap();
    for settings in cases {
        let mut environment = COMPLETE.to_vec();
        environment.extend([("HONGYAN_SERVER__LISTEN", "127.0.0.1:0"), ("HONGYAN_OPS__LISTEN", "")]);
        environment.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        let by_flag = hongyan(folder.path(), &["serve", "--log-format", "json"], &environment);
        let by_file = hongyan(folder.path(), &["serve", "--config", "json.toml"], &environment);
        for out in [by_flag, by_file] {
            assert!(!out.status.success() && !stderr(&out).is_empty());
            for line in stderr(&out).lines() {
                let event: Value =
                    serde_json::from_str(line).unwrap_or_else(|_| panic!("{settings:?}: {line}"));
                assert!(event["ts"].is_string() && event["level"].is_string(), "{line}");
            }
        }
    }
    let bad = hongyan(folder.path(), &["serve", "--config", "bad.toml"], &COMPLETE);
    assert_eq!(bad.status.code(), Some(2));
    assert!(
        serde_json::from_str::<Value>(&stderr(&bad)).unwrap()["msg"]
            .as_str()
            .unwrap()
            .starts_with("server.listen (bad.toml:4)")
    );
}

#[test]
fn the_version_names_the_release() {
    let folder = tempfile::tempdir().unwrap();
    let said = String::from_utf8(hongyan(folder.path(), &["--version"], &[]).stdout).unwrap();
    let rest = said.trim_end().strip_prefix(&format!("hongyan {}", env!("CARGO_PKG_VERSION"))).unwrap();
    assert!(
        rest.is_empty()
            || rest.strip_prefix(" (").is_some_and(|commit| commit.len() == 13 && commit.ends_with(')')),
        "{said}"
    );
}

/// The commands in the unit's head, each after what it needs.
#[test]
fn the_units_head_works_from_an_empty_machine() {
    let unit = text("deploy/systemd/hongyan.service");
    let commands: Vec<&str> = unit
        .lines()
        .take_while(|line| line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("#   "))
        .collect();
    let place = |part: &str| {
        commands.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {commands:?}"))
    };
    for [first, then] in [
        ["deploy/systemd/hongyan.sysusers /etc/sysusers.d", "systemd-sysusers"],
        ["systemd-sysusers", "-g hongyan"],
        ["systemd-sysusers", "-o hongyan"],
        ["/etc/hongyan\0", "/etc/hongyan/hongyan.toml"],
        ["/etc/hongyan/hongyan.toml", "sed -i"],
        ["/etc/hongyan/wechat-secret", "systemctl enable"],
        ["/etc/hongyan/auth-keys", "systemctl enable"],
        ["/usr/local/bin/hongyan", "systemctl enable"],
        ["/etc/systemd/system/hongyan.service", "daemon-reload"],
        ["daemon-reload", "systemctl enable"],
    ] {
        let first = first.strip_suffix('\0').map_or_else(
            || place(first),
            |end| commands.iter().position(|line| line.ends_with(end)).unwrap(),
        );
        assert!(first < place(then), "{then} comes before what it needs: {commands:?}");
    }
    // What is installed is there to be installed.
    for line in &commands {
        for word in line.split(' ').filter(|word| word.starts_with("deploy/")) {
            assert!(root().join(word).exists(), "{word}");
        }
    }
    assert!(
        !unit.lines().any(|line| line.starts_with("Environment=") || line.starts_with("LoadCredential=")),
        "the unit names the file alone"
    );
    // The settings of a server are whole but for the secrets, in the files that the head makes.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hongyan.toml"), text("deploy/systemd/hongyan.toml")).unwrap();
    let check = hongyan(folder.path(), &["config", "check"], &[]);
    for name in ["wechat-secret", "auth-keys"] {
        assert!(stderr(&check).contains(&format!("the file {name} cannot be read: ")), "{}", stderr(&check));
        assert!(commands.iter().any(|line| line.ends_with(&format!("/etc/hongyan/{name}"))));
    }
    assert_eq!(stderr(&check).lines().count(), 2, "{}", stderr(&check));
}
