use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use super::*;
use crate::config::{Config, Listen};

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split(' '))
}

#[test]
fn the_commands_of_the_manual_are_there() {
    command().debug_assert();
    for line in [
        "hongyan serve --listen 127.0.0.1:1 --ops-listen 127.0.0.1:2 --database-url sqlite://x --log-format json",
        "hongyan dev --trusted-proxy 10.0.0.0/8 --trusted-proxy ::1 --set limits.bad_frames=3 --set log.filter=hongyan=debug",
        "hongyan migrate --config h.toml",
        "hongyan config check",
        "hongyan config show --dev",
        "hongyan config docs",
        "hongyan healthcheck",
        "hongyan token alice --dev",
        "hongyan ban alice",
        "hongyan unban alice",
        "hongyan kick alice",
        "hongyan trace alice --minutes 5",
        "hongyan trace alice --stop",
        "hongyan trace",
        "hongyan doctor --json --public https://chat.example.com",
        "hongyan status",
        "hongyan status --watch --json",
        "hongyan status --watch 5",
        "hongyan backup copy.db",
        "hongyan fake-wechat --listen 127.0.0.1:0",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
    for line in [
        "hongyan",
        "hongyan trace --stop",
        "hongyan trace alice --minutes 0",
        "hongyan ban",
        "hongyan ban a/b",
        "hongyan ban metrics",
        "hongyan serve --lisen x",
        "hongyan fake-wechat --listen x",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

fn serve(line: &str, environment: &[(&str, &str)]) -> Result<config::Loaded, Failure> {
    let Command::Serve { settings } = parse(line).unwrap().command else { panic!("{line}") };
    settings.load(
        settings::Want::Tool,
        environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
    )
}

#[test]
fn flags_become_settings() {
    let loaded = serve(
        "hongyan serve --listen unix:/run/h.sock --ops-listen= --trusted-proxy 10.0.0.0/8 --trusted-proxy ::1 --set log.filter=hongyan=debug",
        &[("HONGYAN_SERVER__TRUSTED_PROXIES", "192.0.2.0/24"), ("HONGYAN_LOG__FORMAT", "json")],
    )
    .unwrap();
    assert_eq!(loaded.config.server.listen, Listen::Unix("/run/h.sock".into()));
    assert_eq!((loaded.config.ops.listen, loaded.config.server.trusted_proxies.len()), (None, 2));
    assert_eq!(
        (loaded.config.log.filter.as_str(), loaded.config.log.format),
        ("hongyan=debug", config::LogFormat::Json)
    );
    assert_eq!(loaded.source("server.listen").unwrap().to_string(), "flag --listen");

    let failure = serve("hongyan serve --set secretly-given", &[]).unwrap_err();
    assert_eq!(lines(&failure), ["--set: must be SECTION.KEY=VALUE, such as --set limits.bad_frames=20"]);
    assert_eq!(failure.exit_code(), EXIT_SETTINGS);
}

#[test]
fn a_chain_of_causes_is_told_once() {
    let failure = Failure::Healthcheck(healthcheck::NotReady::Silent {
        at: "x".to_owned(),
        source: std::io::Error::other("refused"),
    });
    assert_eq!(lines(&failure), ["not ready: x does not answer: refused"]);
    assert_eq!(failure.exit_code(), 1);
}

#[test]
fn a_build_without_the_double_of_wechat_says_which_one_has_it() {
    let told = lines(&Failure::App(crate::app::Error::WithoutDouble));
    assert!(told.len() == 1 && told[0].contains("cargo run --release -- dev"), "{told:?}");
    // scripts/dist looks for these words.
    assert!(told[0].contains("built without the double of WeChat"), "{told:?}");
}

/// Answers one request on a stream.
fn answer(mut stream: impl Read + Write, answer: &str) -> String {
    let mut request = [0; 512];
    let n = stream.read(&mut request).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
    String::from_utf8_lossy(&request[..n]).into_owned()
}

#[test]
fn the_health_check_asks_the_operators_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::default();
    config.ops.listen = Some(format!("0.0.0.0:{}", listener.local_addr().unwrap().port()).parse().unwrap());
    let server = std::thread::spawn(move || {
        let ready = answer(listener.accept().unwrap().0, "HTTP/1.1 200 OK\r\n\r\n{}");
        answer(
            listener.accept().unwrap().0,
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"reasons\":[\"draining\"]}",
        );
        ready
    });
    assert!(healthcheck::check(&config).is_ok());
    let refused = healthcheck::check(&config).unwrap_err().to_string();
    assert!(
        refused.ends_with("answers HTTP/1.1 503 Service Unavailable {\"reasons\":[\"draining\"]}"),
        "{refused}"
    );
    assert!(server.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
    let gone = healthcheck::check(&config).unwrap_err();
    assert!(gone.to_string().ends_with("does not answer"), "{gone}");
}

#[test]
fn the_health_check_reaches_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut config = Config::default();
    config.ops.listen = None;
    config.server.listen = Listen::Unix(path);
    let server = std::thread::spawn(move || answer(listener.accept().unwrap().0, "HTTP/1.1 200 OK\r\n\r\n"));
    assert!(healthcheck::check(&config).is_ok());
    assert!(server.join().unwrap().starts_with("GET /healthz HTTP/1.1\r\n"));
}

#[test]
fn the_health_check_does_not_wait_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::default();
    config.ops.listen = Some(listener.local_addr().unwrap());
    let start = std::time::Instant::now();
    assert!(healthcheck::check(&config).is_err());
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}
