//! What is shipped beside the binary fits it: every setting, flag and path that the example, the image, the
//! unit and the files of a cluster name exists, and nginx and NATS do what their files promise.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hongyan::config::keys::{KEYS, Key};
use hongyan::config::{Inputs, Profile, load, show};

mod cluster;
mod dist;
mod manifest;
mod nats;
mod start;
mod nginx;
mod prometheus;

const SHIPPED: [&str; 30] = [
    "docs/CLUSTER.md",
    "docs/DAY0.md",
    "docs/DAY0.zh-CN.md",
    "deploy/systemd/node.conf",
    "docs/OPERATIONS.md",
    "Dockerfile",
    "hongyan.example.toml",
    "compose.yaml",
    "deploy/make-secrets",
    "deploy/nats/nats.conf",
    "deploy/prometheus/prometheus.yml",
    "deploy/prometheus/rules.yml",
    "deploy/grafana/hongyan.json",
    "deploy/grafana/provisioning/dashboards/hongyan.yml",
    "deploy/grafana/provisioning/datasources/prometheus.yml",
    "deploy/nginx/hongyan.conf",
    "deploy/nginx/nginx.conf",
    "deploy/nginx/nodes/one.conf",
    "deploy/nginx/nodes/several.conf",
    "deploy/nginx/nodes/compose.conf",
    "deploy/kubernetes/hongyan.yaml",
    "deploy/kubernetes/nats.yaml",
    "deploy/kubernetes/ingress.yaml",
    "deploy/kubernetes/secret.example.yaml",
    "scripts/image",
    "deploy/systemd/hongyan.service",
    "deploy/systemd/hongyan.toml",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Makefile",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Runs the binary in an empty folder with an environment of its own.
fn hongyan(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
    command
        .env_clear()
        .envs(environment.iter().copied())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_variable_that_is_named_is_a_setting() {
    for file in SHIPPED {
        let text = text(file);
        for name in text
            .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
            .filter(|word| word.len() > 8 && word.starts_with("HONGYAN_"))
        {
            let known = KEYS
                .iter()
                .any(|key| key.environment() == name || format!("{}_FILE", key.environment()) == name);
            let general =
                ["HONGYAN_CONFIG", "HONGYAN_COMMIT", "HONGYAN_SECTION__KEY", "HONGYAN_SECTION__KEY_FILE"]
                    .contains(&name);
            let of_tests = ["HONGYAN_PROPTEST_CASES", "HONGYAN_BIN"].contains(&name);
            assert!(known || general || of_tests, "{file} names {name}");
        }
    }
}

#[test]
fn every_setting_that_is_named_in_prose_is_one() {
    let sections = hongyan::config::keys::sections();
    for file in SHIPPED.into_iter().filter(|file| file.starts_with("deploy/")) {
        let text = text(file);
        for word in text.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '.')) {
            let Some((section, key)) = word.trim_end_matches('.').split_once('.') else { continue };
            let is_file =
                ["toml", "db", "conf", "sock", "target", "service"].iter().any(|end| key.ends_with(end));
            if sections.contains(&section) && !is_file && !key.contains('.') {
                assert!(Key::named(&format!("{section}.{key}")).is_some(), "{file} names {section}.{key}");
            }
        }
    }
}

#[test]
fn the_command_lines_of_the_image_and_the_unit_are_understood() {
    let exec = |text: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        line.split(' ').map(str::to_owned).collect()
    };
    let unit = exec(&text("deploy/systemd/hongyan.service"));
    assert_eq!(unit[0], "/usr/local/bin/hongyan");
    hongyan::cli::command().try_get_matches_from(unit).unwrap();

    let image = text("Dockerfile");
    let json = |start: &str| -> Vec<String> {
        let line = image.lines().find(|line| line.trim_start().starts_with(start)).unwrap();
        serde_json::from_str(line.split_at(line.find('[').unwrap()).1).unwrap()
    };
    assert_eq!(json("ENTRYPOINT"), ["/usr/local/bin/hongyan"]);
    hongyan::cli::command().try_get_matches_from([json("ENTRYPOINT"), json("CMD [")].concat()).unwrap();
    hongyan::cli::command().try_get_matches_from(json("HEALTHCHECK")).unwrap();
    for line in ["USER 10001:10001", "EXPOSE 9999 9990", "STOPSIGNAL SIGTERM", "VOLUME /data"] {
        assert!(image.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn the_example_settings_can_be_loaded() {
    let inputs = |file: PathBuf| Inputs { file: Some(file), ..Inputs::default() };
    let loaded = load(&Profile::Tool, &inputs(root().join("hongyan.example.toml"))).unwrap();
    assert_eq!(loaded.config.wechat.appid, "wx0123456789abcdef");
    // What is commented out is right as well.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.toml");
    let all = text("hongyan.example.toml").replace("# secret = \"…\"", "secret = \"s\"");
    fs::write(&file, all.replace("# keys = [\"k1:…\"]", "keys = [\"k1:0123456789abcdef0123456789abcdef\"]"))
        .unwrap();
    load(&Profile::Serve, &inputs(file)).unwrap();
}

/// Files that people copy secrets from, and what they begin with there.
#[test]
fn no_secret_of_a_shipped_file_is_accepted() {
    let files = [
        "README.md",
        "README.zh-CN.md",
        "compose.yaml",
        "hongyan.example.toml",
        "deploy/make-secrets",
        "deploy/systemd/hongyan.service",
        "deploy/kubernetes/secret.example.yaml",
        "deploy/kubernetes/hongyan.yaml",
        "docs/OPERATIONS.md",
        "docs/CLUSTER.md",
        "Dockerfile",
    ];
    let mut keys = Vec::new();
    for file in files {
        // Whatever follows `k1:` or `k2:` up to the end of its quotes or its line.
        for line in text(file).lines() {
            for id in ["k1:", "k2:"] {
                let Some(at) =
                    line.find(id).filter(|at| *at == 0 || !line.as_bytes()[at - 1].is_ascii_alphanumeric())
                else {
                    continue;
                };
                let rest = &line[at..];
                let end = rest.find(['"', '\'', '`']).unwrap_or(rest.len());
                keys.push((file, rest[..end].trim_end_matches([']', ' ', ')']).to_owned(), rest.to_owned()));
            }
        }
    }
    assert!(keys.len() >= 5, "the examples were not found: {keys:?}");
    let folder = tempfile::tempdir().unwrap();
    for (file, key, line) in keys {
        for key in [key, line] {
            let all = [
                ("HONGYAN_WECHAT__APPID", "wx1"),
                ("HONGYAN_WECHAT__SECRET", "s"),
                ("HONGYAN_AUTH__KEYS", key.as_str()),
            ];
            for command in
                [&["config", "check"][..], &["serve", "--listen", "127.0.0.1:0", "--ops-listen", ""]]
            {
                let out = hongyan(folder.path(), command, &all);
                assert_eq!(out.status.code(), Some(2), "{file}: {key} is accepted by {command:?}");
                assert!(stderr(&out).contains("auth.keys"), "{file}: {}", stderr(&out));
            }
        }
    }
    // The other secrets of the example for Kubernetes.
    let example = text("deploy/kubernetes/secret.example.yaml");
    let value = |name: &str| {
        example.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: "))).unwrap().to_owned()
    };
    let good = format!("k1:{}", "k".repeat(32));
    let nats = [
        ("HONGYAN_RELAY__NATS_URL", value("nats-url")),
        ("HONGYAN_DATABASE__URL", "postgres://h:p@db/h".to_owned()),
    ];
    for (name, variable) in [
        ("wechat-secret", "HONGYAN_WECHAT__SECRET"),
        ("admin-keys", "HONGYAN_ADMIN__KEYS"),
        ("database-url", "HONGYAN_DATABASE__URL"),
        ("nats-url", "HONGYAN_RELAY__NATS_URL"),
    ] {
        let secret = value(name);
        let mut all = vec![("HONGYAN_WECHAT__APPID", "wx1"), ("HONGYAN_AUTH__KEYS", good.as_str())];
        if name != "wechat-secret" {
            all.push(("HONGYAN_WECHAT__SECRET", "s"));
        }
        if name == "nats-url" {
            all.push((nats[1].0, nats[1].1.as_str()));
        }
        all.push((variable, secret.as_str()));
        let out = hongyan(folder.path(), &["config", "check"], &all);
        assert_eq!(
            (out.status.code(), stderr(&out).lines().count()),
            (Some(2), 1),
            "{name}: {}",
            stderr(&out)
        );
        assert!(stderr(&out).contains("the value of an example"), "{name}: {}", stderr(&out));
    }
}

#[test]
fn wrong_settings_end_with_one_line_and_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = hongyan(folder.path(), &["serve", "--listen", "9999"], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(stderr(&wrong).lines().count(), 1, "{}", stderr(&wrong));
    assert!(
        stderr(&wrong)
            .starts_with("hongyan: server.listen (flag --listen): \"9999\" is not allowed: must be ")
    );

    let missing = hongyan(folder.path(), &["serve"], &[("HONGYAN_WECHAT__APPID", "wx1")]);
    assert_eq!(
        (missing.status.code(), stderr(&missing).lines().count()),
        (Some(2), 2),
        "{}",
        stderr(&missing)
    );

    let open = hongyan(folder.path(), &["dev"], &[("HONGYAN_SERVER__LISTEN", "0.0.0.0:9999")]);
    assert_eq!((open.status.code(), stderr(&open).lines().count()), (Some(2), 1), "{}", stderr(&open));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a refused start leaves nothing behind");

    let flag = hongyan(folder.path(), &["serve", "--lisen", "x"], &[]);
    assert_eq!(flag.status.code(), Some(2));
}

/// What is not built with it says so at once, wherever TLS is asked for.
#[test]
#[cfg(not(feature = "postgres-tls"))]
fn tls_to_postgresql_is_refused_by_a_build_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let good = format!("k1:{}", "k".repeat(32));
    let own = [
        ("HONGYAN_WECHAT__APPID", "wx1"),
        ("HONGYAN_WECHAT__SECRET", "s"),
        ("HONGYAN_AUTH__KEYS", good.as_str()),
    ];
    let url =
        |parameters: &str| ("HONGYAN_DATABASE__URL", format!("postgres://h:p@127.0.0.1:1/h{parameters}"));
    for (parameters, variable) in [("?sslmode=verify-full", None), ("", Some(("PGSSLMODE", "require")))] {
        let (name, value) = url(parameters);
        let all = [&own[..], &[(name, value.as_str())], variable.as_slice()].concat();
        for command in [
            &["config", "check"][..],
            &["serve", "--listen", "127.0.0.1:0", "--ops-listen", ""],
            &["migrate"],
        ] {
            let out = hongyan(folder.path(), command, &all);
            assert_eq!(
                (out.status.code(), stderr(&out).lines().count()),
                (Some(2), 1),
                "{command:?}: {}",
                stderr(&out)
            );
            assert!(
                stderr(&out).contains("asks for TLS, and this hongyan is built without"),
                "{command:?}: {}",
                stderr(&out)
            );
        }
    }
    // A service file is libpq's to read.
    let service = folder.path().join("pg_service.conf");
    fs::write(&service, "[im]\nhost=127.0.0.1\nport=1\nsslmode=require\n").unwrap();
    let (file, services) = (service.to_str().unwrap(), ("HONGYAN_DATABASE__URL", "postgres:///h?service=im"));
    let out = hongyan(
        folder.path(),
        &["serve", "--listen", "127.0.0.1:0"],
        &[&own[..], &[services, ("PGSERVICEFILE", file)]].concat(),
    );
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    assert!(stderr(&out).contains("build it with --features postgres-tls"), "{}", stderr(&out));
    let far = ("HONGYAN_DATABASE__URL", "postgres://h:p@db.internal/h");
    let out = hongyan(folder.path(), &["config", "check"], &[&own[..], &[far]].concat());
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("in the clear"), "{said}");
}

/// Write it anew with `cargo run -- config docs` where this fails.
#[test]
fn the_manual_has_every_setting() {
    let manual = text("docs/OPERATIONS.md");
    let (_, rest) = manual.split_once("<!-- settings: printed by `hongyan config docs` -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- end of settings -->").unwrap();
    assert_eq!(table.trim(), show::docs().trim());
}

#[test]
fn config_show_tells_sources_and_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hongyan.toml"), "[wechat]\nsecret = \"app-s3cret\"\n").unwrap();
    let shown = hongyan(
        folder.path(),
        &["config", "show", "--set", "limits.bad_frames=11"],
        &[("HONGYAN_LOG__FORMAT", "json")],
    );
    let out = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success() && !out.contains("app-s3cret"), "{out}");
    for (key, source) in [
        ("wechat.secret", "hongyan.toml:2"),
        ("log.format", "environment HONGYAN_LOG__FORMAT"),
        ("limits.bad_frames", "flag --set"),
    ] {
        assert!(out.lines().any(|line| line.starts_with(key) && line.ends_with(source)), "{out}");
    }
    assert_eq!(hongyan(folder.path(), &["config", "check"], &[]).status.code(), Some(2));
    let docs = hongyan(folder.path(), &["config", "docs"], &[]);
    assert_eq!(String::from_utf8(docs.stdout).unwrap(), show::docs());
}

#[test]
fn the_unit_leaves_time_to_drain() {
    let unit = text("deploy/systemd/hongyan.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(stop.parse::<u64>().unwrap() > 10);
    assert!(unit.contains("KillSignal=SIGTERM") && unit.contains("RestartPreventExitStatus=2"));
}
