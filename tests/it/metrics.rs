//! What operators and Prometheus see of a server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hongyan::certificate;
use hongyan::config::PublicUrl;
use serde_json::{Value, json};

use crate::harness::{Client, Cluster, Http, Prometheus, Server, eventually};

fn series(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[actix_web::test]
async fn every_series_is_there_from_the_start() {
    let server = Server::alone(&[
        ("notice.template_id", "T"),
        ("notice.fields", "thing1={sender}"),
        ("safety.mode", "local+wechat"),
    ]);
    let ops = Http::new(&server.ops, None);
    let first = eventually("the size of the database", async || {
        Some(ops.text("/metrics").await)
            .filter(|text| text.contains("\nhongyan_last_backup_timestamp_seconds "))
    })
    .await;
    let mut alice = server.v1("alice").await;
    alice.say("bob", "1", "x").await;
    alice.text("{").await;
    alice.expect_error("bad_frame").await;
    let plain = server.seed("bob", "alice").await;
    let http = server.http_as("carol").await;
    for path in ["/v1/conversations", "/v1/me", "/nowhere/at/all", "/v1/openapi.json", "/healthz"] {
        http.get(path).await;
    }
    assert_eq!(server.http().get("/v1/me").await.0, 401);
    assert!(
        Client::connect(&format!("ws://{}/alice?code=wrong", server.at), &["hongyan.v1"], None).await.is_ok()
    );
    server.command(&["kick", "--dev", "alice"]);
    alice.expect_close(4504).await;
    drop(plain);
    server.metric_becomes("hongyan_sessions", 0.0).await;
    let last = ops.text("/metrics").await;
    assert_eq!(series(&first), series(&last));
    server.metric_becomes(r#"hongyan_session_closes_total{code="4504",reason="kicked"}"#, 1.0).await;
    server.metric_becomes(r#"hongyan_http_responses_total{route="/v1/me",status="401"}"#, 1.0).await;
}

#[actix_web::test]
async fn the_process_is_as_the_kernel_knows_it() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let server = Server::with_descriptors(4_096, &[]);
    let started = server.metric("process_start_time_seconds").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((before - 1.0..=now).contains(&started), "{before} {started} {now}");
    assert_eq!(server.metric("process_max_fds").await as u32, 4_096);
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as f64;
    let told = server.metric("process_open_fds").await;
    assert!((told - open).abs() <= 8.0, "{told} {open}");
    let (told, memory) = (server.metric("process_resident_memory_bytes").await, server.memory() as f64);
    assert!((0.5..2.0).contains(&(told / memory)), "{told} {memory}");
    assert!(server.metric("process_cpu_seconds_total").await > 0.0);
    // Not of another process than before.
    assert_eq!(server.metric("process_start_time_seconds").await.to_bits(), started.to_bits());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        server
            .metric(&format!(
                r#"hongyan_build_info{{version="{version}",arch="{}"}}"#,
                std::env::consts::ARCH
            ))
            .await as u8,
        1
    );
    let (_, ready) = Http::new(&server.ops, None).get("/readyz").await;
    assert_eq!((&ready["version"], ready["ready"].as_bool()), (&Value::from(version), Some(true)));
    let free = server.metric("hongyan_disk_free_bytes").await;
    assert!(free > 0.0 && free < server.metric("hongyan_disk_size_bytes").await);
    assert!(
        server.metric("hongyan_sessions_limit").await > 100.0
            && server.metric("hongyan_writes_in_flight_limit").await > 100.0
    );
}

#[actix_web::test]
async fn a_backup_is_known_to_the_server() {
    let postgres = Server::fresh_postgres().map(|(url, _)| Server::alone(&[("database.url", &url)]));
    for mut server in [Some(Server::alone(&[])), postgres].into_iter().flatten() {
        let ops = Http::new(&server.ops, None);
        let at = async |server: &Server| {
            let ops = Http::new(&server.ops, None);
            eventually("the last backup", async || {
                let text = ops.text("/metrics").await;
                text.lines().find_map(|line| {
                    line.strip_prefix("hongyan_last_backup_timestamp_seconds ")?.parse::<u64>().ok()
                })
            })
            .await
        };
        assert_eq!(at(&server).await, 0);
        assert!(ops.text("/metrics").await.contains("\nhongyan_database_bytes "));
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let arguments = if server.is_on_postgres() {
            ["backup", "--dev", "--record"]
        } else {
            ["backup", "--dev", "copy.db"]
        };
        let out = server.command(&arguments);
        assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        // It looks every five minutes, and at its start.
        server.again().await;
        let recorded = at(&server).await;
        assert!((before - 2..=before + 60).contains(&recorded), "{before} {recorded}");
    }
}

/// A certificate for so many days, where the site below looks for it.
fn make_certificate(folder: &Path, days: u32) -> bool {
    let days = days.to_string();
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout c.key -out c.crt -days";
    let mut command = Command::new("openssl");
    command
        .args(arguments.split(' '))
        .arg(days)
        .current_dir(folder)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[actix_web::test]
async fn the_end_of_the_certificate_is_the_one_that_clients_meet() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) =
        std::env::var_os("HONGYAN_TEST_NGINX").filter(|_| make_certificate(folder.path(), 20))
    else {
        println!("skipped: it needs nginx (HONGYAN_TEST_NGINX, which `make test` finds) and openssl");
        return;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let site = format!(
        "daemon off; pid nginx.pid; events {{}} http {{ access_log off; server {{ listen 127.0.0.1:{port} ssl; ssl_certificate c.crt; \
         ssl_certificate_key c.key; ssl_protocols TLSv1.2 TLSv1.3; }} }}"
    );
    std::fs::write(folder.path().join("nginx.conf"), site).unwrap();
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder.path())
        .args(["-c", "nginx.conf", "-e", "stderr"])
        .stderr(std::process::Stdio::null());
    let mut nginx = command.spawn().unwrap();
    let url = PublicUrl { host: "localhost".to_owned(), port };
    let day = Duration::from_secs(86_400).as_secs_f64();
    let days_left = async || {
        let end = certificate::expiry(&url).await.ok()? as f64;
        Some((end - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()) / day)
    };
    let seen = eventually("a certificate", days_left).await;
    assert!((19.9..20.1).contains(&seen), "{seen}");

    let server = Server::alone(&[("server.public_url", &format!("https://localhost:{port}"))]);
    server.metric_becomes("hongyan_certificate_seen", 1.0).await;
    let told = server.metric("hongyan_certificate_expiry_timestamp_seconds").await;
    assert!((told - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()) / day > 19.9);

    // A new file that nginx has not loaded is not what clients meet.
    assert!(make_certificate(folder.path(), 90));
    let seen = days_left().await.unwrap();
    assert!((19.9..20.1).contains(&seen), "{seen}");
    assert!(Command::new("kill").args(["-HUP", &nginx.id().to_string()]).status().unwrap().success());
    eventually("the new certificate", async || days_left().await.filter(|days| *days > 80.0)).await;

    assert!(Command::new("kill").args(["-TERM", &nginx.id().to_string()]).status().unwrap().success());
    nginx.wait().unwrap();
    assert!(certificate::expiry(&url).await.is_err());
    // The other end speaks no TLS.
    let (host, plain) = server.at.rsplit_once(':').unwrap();
    let plain = PublicUrl { host: host.to_owned(), port: plain.parse().unwrap() };
    assert!(matches!(certificate::expiry(&plain).await, Err(certificate::CertificateError::Handshake(_))));
}

/// Every expression of the dashboard, with Grafana's variables filled in.
fn dashboard() -> Vec<String> {
    let dashboard =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana/hongyan.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let targets = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let expressions = targets.chain(annotations).map(|target| target["expr"].as_str().unwrap());
    expressions.map(|e| e.replace("$instance", ".*").replace("$__rate_interval", "5s")).collect()
}

#[actix_web::test]
async fn alarms_ring_in_a_real_prometheus_and_the_dashboard_has_its_numbers() {
    let Some((database, name)) = Server::fresh_postgres() else { return };
    let Some(nats) = crate::harness::Nats::start() else { return };
    let Some(mut cluster) = Cluster::over(3, nats, &database, &[]).await else { return };
    let addresses: Vec<String> = cluster.nodes.iter().map(|node| node.ops.clone()).collect();
    let targets: Vec<&str> = addresses.iter().map(String::as_str).collect();
    // A new database was never backed up, and that is said.
    assert!(cluster.nodes[0].command(&["backup", "--dev", "--record"]).status.success());
    for node in &mut cluster.nodes {
        node.set_variable("HONGYAN_OPS__LISTEN", Some(&node.ops.clone()));
        node.again().await;
    }
    cluster.meets().await;
    let Some(prometheus) = Prometheus::watching(&targets).await else { return };
    let mut alice = cluster.v1(0, "alice").await;
    alice.say("bob", "1", "x").await;
    eventually("three nodes in Prometheus", async || {
        (prometheus.query("up == 1").await.len() == 3).then_some(())
    })
    .await;
    eventually("the message", async || {
        (!prometheus.query("sum(hongyan_acks_total) == 1").await.is_empty()).then_some(())
    })
    .await;

    // Every metric that the dashboard names is one that a node shows, and every expression is answered.
    let shown = Http::new(&addresses[0], None).text("/metrics").await;
    let names: BTreeSet<&str> =
        shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for expression in dashboard() {
        prometheus.query(&expression).await;
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("hongyan_") || word.starts_with("process_")) {
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            assert!(names.contains(base), "{expression}: {word}");
        }
    }
    let no_rates = dashboard()
        .into_iter()
        .filter(|e| !e.contains("rate(") && !e.contains("node_filesystem") && !e.contains("certificate"));
    for expression in no_rates.filter(|e| {
        !e.contains("> 0") && !e.contains("increase") && !e.contains("_bytes{") && !e.contains("disk")
    }) {
        eventually(&expression, async || (!prometheus.query(&expression).await.is_empty()).then_some(()))
            .await;
    }

    let rings = prometheus.rings().await;
    assert!(rings.is_empty(), "{rings:?}");

    cluster.nats.stop();
    prometheus.rings_for("HongyanRelayAway", targets[1]).await;
    cluster.nats.resume();
    cluster.meets().await;
    prometheus.is_still("HongyanRelayAway").await;

    // The database lets nobody in, and ends whom it had let in.
    let admin = |sql: &str| {
        use diesel::{Connection as _, RunQueryDsl as _};
        let url = std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap();
        diesel::sql_query(sql.to_owned())
            .execute(&mut diesel::PgConnection::establish(&url).unwrap())
            .unwrap();
    };
    admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    admin(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    prometheus.rings_for("HongyanDatabaseAway", targets[0]).await;
    admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    prometheus.is_still("HongyanDatabaseAway").await;

    cluster.nodes[2].signal("KILL");
    prometheus.rings_for("HongyanDown", targets[2]).await;
    eventually("the others miss it", async || {
        prometheus.rings().await.iter().any(|(alarm, _)| alarm == "HongyanNodeVanished").then_some(())
    })
    .await;
    cluster.nodes[2].again().await;
    prometheus.rings_for("HongyanRestarted", targets[2]).await;
    prometheus.is_still("HongyanDown").await;
    assert_eq!(json!(prometheus.query("count(hongyan_build_info)").await[0]["value"][1]), "3");
}
