//! What is shipped beside the binary fits it: every setting, flag and path that the example, the image, the unit and the nginx site
//! name exists, and nginx does what its site promises.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hongyan::config::keys::{KEYS, Key};
use hongyan::config::{Config, Inputs, Profile, load, show};

const SHIPPED: [&str; 8] = [
    "docs/OPERATIONS.md",
    "Dockerfile",
    "hongyan.example.toml",
    "deploy/nginx/hongyan.conf",
    "deploy/systemd/hongyan.service",
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
    command.env_clear().envs(environment.iter().copied()).args(arguments).current_dir(folder).stdin(Stdio::null());
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_variable_that_is_named_is_a_setting() {
    for file in SHIPPED {
        let text = text(file);
        for name in
            text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|word| word.len() > 8 && word.starts_with("HONGYAN_"))
        {
            let known = KEYS.iter().any(|key| key.environment() == name || format!("{}_FILE", key.environment()) == name);
            let general = ["HONGYAN_CONFIG", "HONGYAN_SECTION__KEY", "HONGYAN_SECTION__KEY_FILE"].contains(&name);
            let of_tests = name == "HONGYAN_PROPTEST_CASES";
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
            let is_file = ["toml", "db", "conf", "sock", "target", "service"].iter().any(|end| key.ends_with(end));
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
    for line in ["USER 10001:10001", "EXPOSE 9999", "STOPSIGNAL SIGTERM", "VOLUME /data"] {
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
    fs::write(&file, all.replace("# keys = [\"k1:…\"]", "keys = [\"k1:0123456789abcdef0123456789abcdef\"]")).unwrap();
    load(&Profile::Serve, &inputs(file)).unwrap();
}

#[test]
fn wrong_settings_end_with_one_line_and_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = hongyan(folder.path(), &["serve", "--listen", "9999"], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(stderr(&wrong).lines().count(), 1, "{}", stderr(&wrong));
    assert!(stderr(&wrong).starts_with("hongyan: server.listen (flag --listen): \"9999\" is not allowed: must be "));

    let missing = hongyan(folder.path(), &["serve"], &[("HONGYAN_WECHAT__APPID", "wx1")]);
    assert_eq!((missing.status.code(), stderr(&missing).lines().count()), (Some(2), 2), "{}", stderr(&missing));

    let open = hongyan(folder.path(), &["dev"], &[("HONGYAN_SERVER__LISTEN", "0.0.0.0:9999")]);
    assert_eq!((open.status.code(), stderr(&open).lines().count()), (Some(2), 1), "{}", stderr(&open));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a refused start leaves nothing behind");

    let flag = hongyan(folder.path(), &["serve", "--lisen", "x"], &[]);
    assert_eq!(flag.status.code(), Some(2));
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
    let shown = hongyan(folder.path(), &["config", "show", "--set", "limits.bad_frames=11"], &[("HONGYAN_LOG__FORMAT", "json")]);
    let out = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success() && !out.contains("app-s3cret"), "{out}");
    for (key, source) in
        [("wechat.secret", "hongyan.toml:2"), ("log.format", "environment HONGYAN_LOG__FORMAT"), ("limits.bad_frames", "flag --set")]
    {
        assert!(out.lines().any(|line| line.starts_with(key) && line.ends_with(source)), "{out}");
    }
    assert_eq!(hongyan(folder.path(), &["config", "check"], &[]).status.code(), Some(2));
    let docs = hongyan(folder.path(), &["config", "docs"], &[]);
    assert_eq!(String::from_utf8(docs.stdout).unwrap(), show::docs());
}

/// nginx, where there is one. `make test` sees to it and says where; a bare `cargo test` can do without.
fn nginx() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("HONGYAN_TEST_NGINX") {
        return Some(path.into());
    }
    let found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].map(PathBuf::from).into_iter().find(|path| path.exists());
    if found.is_none() {
        eprintln!("not checked: no nginx here; `make test` installs it");
    }
    found
}

struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    tls: u16,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGQUIT and SIGTERM both work; a plain kill of the master would leave its workers.
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The shipped site in front of `upstream`, with only its paths and ports replaced.
fn start_nginx(program: &Path, upstream: u16) -> Nginx {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let (key, certificate) = certificate();
    fs::write(dir.join("privkey.pem"), key).unwrap();
    fs::write(dir.join("fullchain.pem"), certificate).unwrap();
    let (plain, tls) = (free_port(), free_port());
    let mut site = text("deploy/nginx/hongyan.conf");
    let here = dir.display().to_string();
    for (from, to) in [
        ("/etc/ssl/hongyan/", format!("{here}/")),
        ("/var/log/nginx/", format!("{here}/")),
        ("server 127.0.0.1:9999;", format!("server 127.0.0.1:{upstream};")),
        ("listen 80;", format!("listen 127.0.0.1:{plain};")),
        ("listen [::]:80;", String::new()),
        ("listen 443 ssl;", format!("listen 127.0.0.1:{tls} ssl;")),
        ("listen [::]:443 ssl;", String::new()),
    ] {
        assert!(site.contains(from), "{from}");
        site = site.replace(from, &to);
    }
    fs::write(dir.join("site.conf"), site).unwrap();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path {here}/{name};")).join("\n");
    // As root, workers would become another user, who cannot enter the folder.
    let user = if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) { "user root;" } else { "" };
    let main = format!(
        "{user}\ndaemon off;\npid {here}/pid;\nerror_log {here}/main.log;\nworker_processes 1;\nevents {{ worker_connections 256; }}\nhttp {{\n{temp}\ninclude {here}/site.conf;\n}}\n"
    );
    fs::write(dir.join("nginx.conf"), main).unwrap();
    let run = |check: &[&str]| {
        let mut command = Command::new(program);
        command.args(check).arg("-p").arg(dir).arg("-e").arg(dir.join("main.log")).arg("-c").arg(dir.join("nginx.conf"));
        command
    };
    let check = run(&["-t"]).output().unwrap();
    assert!(check.status.success(), "nginx -t: {}", stderr(&check));
    assert!(!stderr(&check).contains("[warn]"), "nginx -t: {}", stderr(&check));
    let child = run(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let nginx = Nginx { child, folder, tls };
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", tls)).is_err() {
        assert!(Instant::now() < deadline, "nginx does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    nginx
}

fn certificate() -> (Vec<u8>, Vec<u8>) {
    use openssl::{asn1::Asn1Time, ec, hash::MessageDigest, nid::Nid, pkey::PKey, x509};
    let group = ec::EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(ec::EcKey::generate(&group).unwrap()).unwrap();
    let mut name = x509::X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "chat.example.com").unwrap();
    let name = name.build();
    let mut builder = x509::X509::builder().unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (key.private_key_to_pem_pkcs8().unwrap(), builder.build().to_pem().unwrap())
}

fn tls(port: u16) -> openssl::ssl::SslStream<TcpStream> {
    use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
    let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    connector.build().configure().unwrap().verify_hostname(false).connect("chat.example.com", stream).unwrap()
}

/// The head of a request or an answer.
fn head(stream: &mut impl Read) -> String {
    let mut head = String::new();
    let mut reader = BufReader::with_capacity(1, stream);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    head
}

#[test]
fn nginx_passes_upgrades_on_tells_the_real_address_and_logs_no_code() {
    let Some(program) = nginx() else { return };
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = start_nginx(&program, upstream.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        let mut stream = upstream.accept().unwrap().0;
        let asked = head(&mut stream);
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n").unwrap();
        let mut frame = [0; 4];
        stream.read_exact(&mut frame).unwrap();
        stream.write_all(&frame).unwrap();
        asked
    });
    let mut client = tls(nginx.tls);
    client
        .write_all(
            b"GET /alice?to_user_openid=bob&code=c0de HTTP/1.1\r\nHost: chat.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\nReferer: https://x/?token=t0ken\r\n\r\n",
        )
        .unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 101 "));
    client.write_all(b"ping").unwrap();
    let mut echo = [0; 4];
    client.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"ping");
    let asked = server.join().unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("get /alice?to_user_openid=bob&code=c0de http/1.1\r\n"), "{asked}");
    for line in
        ["upgrade: websocket", "connection: upgrade", "host: chat.example.com", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https"]
    {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line}: {asked}");
    }
    assert!(!asked.contains("203.0.113.9"), "{asked}");

    // The upstream is gone now: even the failure says nothing of the query.
    drop(client);
    let mut client = tls(nginx.tls);
    client.write_all(b"GET /bob?code=c0de HTTP/1.1\r\nHost: chat.example.com\r\nConnection: close\r\n\r\n").unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 502 "));
    let folder = nginx.folder.path().to_owned();
    let log = || fs::read_to_string(folder.join("hongyan.access.log")).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(5);
    while log().lines().count() < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(log().contains("\"GET /alice HTTP/1.1\" 101 ") && log().contains("\"GET /bob HTTP/1.1\" 502 "), "{}", log());
    for file in ["hongyan.access.log", "hongyan.error.log", "main.log"] {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(!text.contains("c0de") && !text.contains("t0ken"), "{file}: {text}");
    }
}

#[test]
fn nginx_waits_longer_than_the_server_does() {
    let site = text("deploy/nginx/hongyan.conf");
    let seconds = |name: &str| -> u64 {
        let line = site.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
        line.trim().trim_end_matches("s;").parse().unwrap()
    };
    let silent = Config::default().session.silent_after_ms / 1000;
    assert!(seconds("proxy_read_timeout ") > silent && seconds("proxy_send_timeout ") > silent);
}

#[test]
fn the_unit_leaves_time_to_drain() {
    let unit = text("deploy/systemd/hongyan.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(stop.parse::<u64>().unwrap() > 10);
    assert!(unit.contains("KillSignal=SIGTERM") && unit.contains("RestartPreventExitStatus=2"));
}
