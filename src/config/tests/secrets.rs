//! What is secret stays so, and what is open to everybody is said.

use super::*;

#[test]
fn dev_fills_in_what_a_first_start_lacks() {
    let config = load(&dev(), &Case::new().inputs).unwrap().config;
    assert_eq!(
        (config.wechat.appid.as_str(), config.wechat.secret.expose(), config.wechat.api_base.as_str()),
        ("wx-dev", "dev-secret", "")
    );
    assert_eq!(
        (config.auth.keys[0].id.as_str(), config.database.url),
        ("k1", DatabaseUrl::Sqlite("data/hongyan.db".into()))
    );
    let case =
        Case::new().env("HONGYAN_WECHAT__APPID", "wx9").env("HONGYAN_WECHAT__API_BASE", "http://127.0.0.1:1");
    let config = load(&dev(), &case.inputs).unwrap().config;
    assert_eq!(
        (config.wechat.appid.as_str(), config.wechat.api_base.as_str()),
        ("wx9", "http://127.0.0.1:1")
    );
}

#[test]
fn dev_refuses_to_be_reached_from_elsewhere() {
    for (key, value) in
        [("server.listen", "0.0.0.0:9999"), ("server.listen", "[::]:9999"), ("ops.listen", "192.0.2.1:9990")]
    {
        let problems = load(&dev(), &Case::new().flag("--set", key, value).inputs).unwrap_err().to_string();
        assert!(
            problems.starts_with(&format!("{key} (flag --set): dev listens on this machine only")),
            "{problems}"
        );
        assert_eq!(problems.lines().count(), 1);
    }
    for value in ["127.0.0.2:1", "[::1]:9999", "unix:/run/h.sock"] {
        assert!(load(&dev(), &Case::new().flag("--set", "server.listen", value).inputs).is_ok());
    }
}

#[test]
fn the_signing_key_of_dev_is_made_once_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let made = [(DevKey::SIGNING, "dev.key"), (DevKey::ADMIN, dev::ADMIN_FILE)].map(|(key, file)| {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert_eq!(key.kept(&data), None);
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let data = data.clone();
                std::thread::spawn(move || key.keep(&data).unwrap())
            })
            .collect();
        let made: Vec<String> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(made.iter().all(|key| *key == made[0]), "{made:?}");
        assert_eq!(key.kept(&data).as_ref(), Some(&made[0]));
        assert_eq!(std::fs::metadata(data.join(file)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1, "nothing is left beside it");
        made[0].clone()
    });
    let [auth_keys, admin_keys] = made.map(Some);
    let config = load(&Profile::Dev { auth_keys, admin_keys }, &Case::new().inputs).unwrap().config;
    assert_eq!(config.admin.keys[0].scopes, Scope::ALL);
}

#[test]
fn an_admin_key_opens_nothing_else_and_stands_in_no_example() {
    let secret = KEY.split_once(':').unwrap().1;
    let said = |settings: &[(&str, &str)]| problems(&Profile::Serve, &[&COMPLETE[..], settings].concat());
    let own = format!("shop:{}:read", "s".repeat(32));
    assert_eq!(said(&[("admin.keys", &own)]), [""; 0]);
    for (refused, key) in [
        (format!("shop:{secret}:read"), "admin.keys"),
        (format!("dev-shop:{}:read", "s".repeat(32)), "admin.keys"),
        ("shop:YOUR-ADMIN-KEY-OF-32-BYTES-OR-MORE:read".to_owned(), "admin.keys"),
    ] {
        let problems = said(&[("admin.keys", &refused)]);
        assert!(problems.len() == 1 && problems[0].starts_with(key), "{refused}: {problems:?}");
    }
    for (name, taken) in [("server.listen", "127.0.0.1:7001"), ("ops.listen", "127.0.0.1:7001")] {
        let problems = said(&[("admin.keys", &own), (name, taken), ("admin.listen", taken)]);
        assert!(problems.len() == 1 && problems[0].starts_with("admin.listen ("), "{name}: {problems:?}");
    }
    assert_eq!(
        said(&[
            ("admin.listen", "127.0.0.1:0"),
            ("ops.listen", "127.0.0.1:0"),
            ("server.listen", "127.0.0.1:0")
        ]),
        [""; 0]
    );
}

#[test]
fn show_masks_secrets_names_sources_and_can_be_loaded_again() {
    let case = Case::new()
        .file("[wechat]\nsecret = \"app-s3cret\"\n")
        .env("HONGYAN_AUTH__KEYS", KEY)
        .env("HONGYAN_DATABASE__URL", "postgres://h:p@ss:w/rd@db:5432/h?sslmode=prefer&password=pw-two")
        .flag("--listen", "server.listen", "unix:/run/\"h\".sock");
    let shown = show::settings(&case.loaded());
    for secret in ["app-s3cret", "0123456789abcdef", "p@ss", "w/rd", "pw-two"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let line =
        |name: &str| shown.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap().to_owned();
    assert!(
        line("wechat.secret").starts_with("wechat.secret = \"***\"")
            && line("wechat.secret").ends_with("h.toml:2")
    );
    assert!(line("auth.keys").starts_with("auth.keys = [\"k1:***\"]"));
    assert!(line("auth.keys").ends_with("# environment HONGYAN_AUTH__KEYS"));
    assert!(
        line("database.url")
            .starts_with("database.url = \"postgres://h:***@db:5432/h?sslmode=prefer&password=***\"")
    );
    assert!(line("server.listen").ends_with("# flag --listen"));
    assert!(line("limits.bad_frames").ends_with("# default"));
    assert_eq!(shown.lines().count(), KEYS.len());

    let defaults = show::settings(&Case::new().loaded());
    let again = Case::new().file(&defaults).loaded();
    assert_eq!(format!("{:?}", again.config), format!("{:?}", Config::default()));
}

#[test]
fn no_form_of_the_settings_prints_a_secret() {
    let case = Case::new().env("HONGYAN_AUTH__KEYS", KEY).env("HONGYAN_WECHAT__SECRET", "app-s3cret");
    let case =
        case.env("HONGYAN_WECHAT__PUSH_TOKEN", "pusht0ken").env("HONGYAN_WECHAT__PUSH_AES_KEY", PUSH_AES_KEY);
    let loaded = case.env("HONGYAN_DATABASE__URL", "postgres://h:pw@db/h").loaded();
    let text = format!("{:?}{}", loaded.config, show::settings(&loaded));
    assert!(!text.contains("pusht0ken") && !text.contains(PUSH_AES_KEY), "{text}");
    assert!(
        !text.contains("0123456789abcdef") && !text.contains("app-s3cret") && !text.contains("pw@"),
        "{text}"
    );
}

#[test]
fn a_check_that_can_be_inactive_without_a_list_behind_it_is_warned_of() {
    let warned = |settings: &[(&str, &str)]| {
        let case = settings.iter().fold(Case::new(), |case, (name, value)| case.env(name, value));
        case.loaded().warnings.iter().any(|warning| warning.contains("61010"))
    };
    let (mode, words, inactive) =
        ("HONGYAN_SAFETY__MODE", "HONGYAN_SAFETY__WORDS", "HONGYAN_SAFETY__ON_INACTIVE");
    for unread in [
        &[(mode, "wechat")][..],
        &[(mode, "local+wechat")],
        &[(mode, "wechat"), (inactive, "open")],
        &[(mode, "wechat"), (inactive, "open"), (words, "words.txt")],
    ] {
        assert!(warned(unread), "{unread:?}");
    }
    for read in [
        &[][..],
        &[(mode, "local")],
        &[(mode, "wechat"), (words, "words.txt")],
        &[(mode, "local+wechat"), (inactive, "open"), (words, "words.txt")],
        &[(mode, "wechat"), (inactive, "closed")],
        // The double that only `dev` has.
        &[(mode, "wechat"), ("HONGYAN_WECHAT__API_BASE", "")],
    ] {
        assert!(!warned(read), "{read:?}");
    }
}

#[test]
fn plain_http_to_another_machine_is_warned_of() {
    let warned = |base: &str| !Case::new().env("HONGYAN_WECHAT__API_BASE", base).loaded().warnings.is_empty();
    assert!(warned("http://wechat.internal:8080") && warned("http://192.0.2.1"));
    assert!(
        !warned("http://127.0.0.1:1")
            && !warned("http://[::1]:1")
            && !warned("http://localhost")
            && !warned("https://x")
    );
}

#[test]
fn serve_takes_no_secret_that_everybody_knows() {
    assert_eq!(problems(&Profile::Serve, &COMPLETE), [""; 0]);
    for (key, value) in [
        ("auth.keys", "k1:YOUR-SIGNING-KEY-OF-32-BYTES-OR-MORE"),
        ("auth.keys", "k1:$(head -c 32 /dev/urandom | base64)"),
        ("auth.keys", "k1:0123456789abcdef0123456789abcdef,k2:please-change-me-please-change-me"),
        ("wechat.secret", "YOUR-APP-SECRET"),
        ("database.url", "postgres://hongyan:YOUR-DATABASE-PASSWORD@db/hongyan"),
    ] {
        let said = problems(&Profile::Serve, &[&COMPLETE[..], &[(key, value)]].concat());
        assert_eq!(said.len(), 1, "{value}: {said:?}");
        assert!(said[0].starts_with(&format!("{key} (flag --set): the value of an example")), "{said:?}");
        assert!(!said[0].contains(value), "{said:?}");
    }
    for (key, value) in
        [("auth.keys", "dev:0123456789abcdef0123456789abcdef"), ("wechat.push_token", dev::PUSH_TOKEN)]
    {
        let said = problems(&Profile::Serve, &[&COMPLETE[..], &[(key, value)]].concat());
        assert!(said.len() == 1 && said[0].contains("is one of `hongyan dev`"), "{said:?}");
    }
}

#[test]
fn dev_does_not_sign_with_the_key_of_a_server() {
    let said =
        |settings: &[(&str, &str)]| problems(&Profile::Dev { auth_keys: None, admin_keys: None }, settings);
    let refused = said(&[("auth.keys", KEY)]);
    assert_eq!(
        refused,
        [
            "auth.keys (flag --set): dev would sign tokens for anybody with the key of a server: leave it out, or give one whose id begins with dev"
        ]
    );
    assert_eq!(
        said(&[("auth.keys", KEY), ("wechat.api_base", "http://127.0.0.1:9980")]),
        refused,
        "another double is one, too"
    );
    assert_eq!(said(&[("auth.keys", "dev2:0123456789abcdef0123456789abcdef")]), [""; 0]);
    assert_eq!(
        said(&[("auth.keys", KEY), ("wechat.api_base", "https://api.weixin.qq.com")]),
        [""; 0],
        "WeChat itself says who it is"
    );
}

#[test]
fn what_is_open_to_everybody_is_warned_of() {
    let warned = |profile: &Profile, settings: &[(&str, &str)]| -> Vec<String> {
        let all = [&COMPLETE[..], settings].concat();
        let case = all.iter().fold(Case::new(), |case, (key, value)| case.flag("--set", key, value));
        let warnings = load(profile, &case.inputs).unwrap().warnings;
        warnings.iter().map(|warning| warning.split(':').next().unwrap().to_owned()).collect()
    };
    assert_eq!(warned(&Profile::Serve, &[]), [""; 0]);
    for listen in ["0.0.0.0:9990", "[::]:9990"] {
        assert_eq!(warned(&Profile::Serve, &[("ops.listen", listen)]), ["ops.listen"]);
    }
    for everybody in ["0.0.0.0/0", "10.0.0.0/8,::/0"] {
        assert_eq!(
            warned(&Profile::Serve, &[("server.trusted_proxies", everybody)]),
            ["server.trusted_proxies"]
        );
    }
    for double in ["http://127.0.0.1:9980", "http://localhost:9980", "http://[::1]:9980"] {
        assert_eq!(warned(&Profile::Serve, &[("wechat.api_base", double)]), ["wechat.api_base"]);
        assert_eq!(warned(&Profile::Tool, &[("wechat.api_base", double)]), [""; 0]);
    }
}

#[test]
fn no_url_shows_what_lets_somebody_in() {
    for (key, url, shown) in [
        ("relay.nats_url", "nats://t0ken@nats:4222", "nats://***@nats:4222"),
        ("relay.nats_url", "nats://h:t0ken@a:4222,tls://t0ken@b", "nats://h:***@a:4222,tls://***@b"),
        ("relay.nats_url", "nats://t0ken@a,nats://h:t0ken@b", "nats://***@a,nats://h:***@b"),
        ("database.url", "postgres://t0ken@db/h", "postgres://***@db/h"),
        ("database.url", "postgres://h:a,t0k@en@db/h?password=t0ken", "postgres://h:***@db/h?password=***"),
    ] {
        let case = Case::new().flag("--set", key, url);
        // NATS wants a PostgreSQL beside it; that is not what is asked here.
        let case = if key == "relay.nats_url" {
            case.flag("--set", "database.url", "postgres://db/h")
        } else {
            case
        };
        let all = show::settings(&case.loaded());
        assert!(all.contains(&format!("{key} = \"{shown}\"")), "{url}: {all}");
        assert!(!all.contains("t0k"), "{all}");
    }
    let refused = Case::new().flag("--set", "wechat.api_base", "https://h:t0ken@wechat").line();
    assert!(!refused.contains("t0ken"), "{refused}");
}
