//! A Prometheus of a test's own, with the shipped alarms.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Http, eventually};

/// Ends with the test.
pub struct Prometheus {
    child: Child,
    _folder: TempDir,
    http: Http,
}

impl Prometheus {
    /// Scrapes these operators' ports every two seconds, since a database that is away is waited for, and
    /// evaluates `deploy/prometheus/rules.yml`. Only how long an alarm waits is changed: to half a second.
    /// `None`, and a word on why, without the program that `make test` finds or installs.
    pub async fn watching(targets: &[&str]) -> Option<Self> {
        let Some(program) =
            std::env::var("HONGYAN_TEST_PROMETHEUS").ok().filter(|program| !program.is_empty())
        else {
            println!("skipped: HONGYAN_TEST_PROMETHEUS is not set; `make test` finds prometheus");
            return None;
        };
        let shipped =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/rules.yml"))
                .unwrap();
        let rules = shipped.lines().fold(String::new(), |mut rules, line| {
            let line = if line.trim_start().starts_with("for: ") { "        for: 500ms" } else { line };
            writeln!(rules, "{line}").unwrap();
            rules
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        let config = serde_json::json!({
            "global": { "scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "250ms" },
            "rule_files": ["rules.yml"],
            "scrape_configs": [{ "job_name": "hongyan", "static_configs": [{ "targets": targets }] }],
        });
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        // A port that was free a moment ago; nobody else binds to it meanwhile but by chance.
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let arguments = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            &format!("--web.listen-address={at}"),
        ]
        .map(str::to_owned);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let prometheus = Self { child, _folder: folder, http: Http::new(&at, None) };
        eventually("Prometheus listens", async || std::net::TcpStream::connect(&at).ok()).await;
        eventually("Prometheus is ready", async || {
            (prometheus.http.text("/-/ready").await.contains("is Ready")).then_some(())
        })
        .await;
        Some(prometheus)
    }

    /// The answer to a PromQL expression.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let query = percent_encoding::utf8_percent_encode(expression, percent_encoding::NON_ALPHANUMERIC);
        let (status, body) = self.http.get(&format!("/api/v1/query?query={query}")).await;
        assert_eq!((status, &body["status"]), (200, &Value::from("success")), "{expression}: {body}");
        body["data"]["result"].as_array().unwrap().clone()
    }

    /// The alarms that ring, each as its name and the node's address.
    pub async fn rings(&self) -> Vec<(String, String)> {
        let (_, body) = self.http.get("/api/v1/alerts").await;
        let alarms = body["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let rings = alarms.iter().filter(|alarm| alarm["state"] == "firing").map(|alarm| {
            let label = |name: &str| alarm["labels"][name].as_str().unwrap_or_default().to_owned();
            (label("alertname"), label("instance"))
        });
        rings.collect()
    }

    pub async fn rings_for(&self, alarm: &str, instance: &str) {
        let wanted = (alarm.to_owned(), instance.to_owned());
        eventually(&format!("{alarm} of {instance} rings"), async || {
            self.rings().await.contains(&wanted).then_some(())
        })
        .await;
    }

    /// Waits until an alarm no longer rings for anybody.
    pub async fn is_still(&self, alarm: &str) {
        eventually(&format!("{alarm} is still"), async || {
            (!self.rings().await.iter().any(|(name, _)| name == alarm)).then_some(())
        })
        .await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
