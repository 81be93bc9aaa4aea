//! `hongyan doctor` beside a server that runs, and before what is wrong around it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::harness::{Nats, PATIENCE, Server};

/// What the double of `hongyan dev` knows.
const WECHAT: [&str; 4] = ["--set", "wechat.appid=wx-dev", "--set", "wechat.secret=dev-secret"];
const KEYS: [&str; 2] = ["--set", "auth.keys=k1:0123456789abcdef0123456789abcdef"];

/// The report, and the exit code.
fn examined(server: &Server, more: &[&str]) -> (Option<i32>, Value) {
    let base = format!("wechat.api_base=http://{}", server.double);
    let own = ["doctor", "--json", "--ops-listen", &server.ops, "--listen", &server.at, "--set", &base];
    let done = server.command(&[&own[..], &WECHAT, &KEYS, more].concat());
    let report = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
    (done.status.code(), report)
}

fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("{check} in {report}"))
}

fn text<'a>(finding: &'a Value, field: &str) -> &'a str {
    finding[field].as_str().unwrap_or_else(|| panic!("{field} in {finding}"))
}

#[actix_web::test]
async fn a_server_in_order_passes_and_is_left_as_it_was() {
    let mut servers = vec![Server::alone(&[])];
    servers.extend(Server::fresh_postgres().map(|(url, _)| Server::alone(&[("database.url", &url)])));
    for server in servers {
        let mut alice = server.v1("alice").await;
        let (code, report) = examined(&server, &[]);
        assert_eq!((code, &report["ok"]), (Some(0), &Value::from(true)), "{report}");
        for (check, grade) in [
            ("settings", "ok"),
            ("server", "ok"),
            ("WeChat", "ok"),
            ("NATS", "skip"),
            ("certificate", "skip"),
        ] {
            assert_eq!(finding(&report, check)["grade"], grade, "{report}");
        }
        // How fast a disk is, and how full, is the machine's affair.
        assert!(["ok", "warn"].contains(&text(finding(&report, "database"), "grade")), "{report}");
        assert!(
            text(finding(&report, "database"), "found").contains("takes writes: 10 durable commits"),
            "{report}"
        );
        assert_eq!(
            server.is_on_postgres(),
            report["findings"].as_array().unwrap().iter().any(|found| found["check"] == "clock")
        );
        alice.say("bob", "m1", "still here").await;
        assert_eq!(server.command(&["trace"]).stdout, b"nobody is traced\n");
        assert!(!server.log().contains("WARN") && !server.log().contains("ERROR"), "{}", server.log());
    }
}

#[actix_web::test]
async fn what_is_wrong_is_told_with_what_to_do() {
    let server = Server::alone(&[]);
    let (code, report) = examined(&server, &["--set", "wechat.secret=another"]);
    let wechat = finding(&report, "WeChat");
    assert_eq!((code, text(wechat, "grade")), (Some(1), "fail"), "{report}");
    assert!(
        text(wechat, "advice").contains("wechat.secret is wrong") && !report.to_string().contains("another"),
        "{report}"
    );

    let (code, report) =
        examined(&server, &["--database-url", "sqlite://nowhere/none.db", "--set", "ops.listen=127.0.0.1:1"]);
    assert_eq!(
        (code, text(finding(&report, "database"), "grade")),
        (Some(0), "skip"),
        "the first start makes it: {report}"
    );
    assert!(!server.folder().join("nowhere").exists(), "nothing is made by looking");
    assert_eq!(text(finding(&report, "server"), "grade"), "warn");

    // As people read it.
    std::fs::write(server.folder().join("odd.db"), "no database").unwrap();
    let lines = server.command(&["doctor", "--database-url", "sqlite://odd.db"]);
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(
        lines.contains("FAIL  database") && lines.contains("→ ") && lines.contains(" failed, "),
        "{lines}"
    );
}

#[actix_web::test]
async fn a_nats_user_without_rights_is_told_which() {
    let folder = tempfile::tempdir().unwrap();
    let rights = |publish: &str, subscribe: &str| {
        let file = folder.path().join("nats.conf");
        let user = format!(
            "{{user: hongyan, password: \"s3cret\", permissions: {{publish: \"{publish}\", subscribe: \"{subscribe}\"}}}}"
        );
        std::fs::write(&file, format!("authorization: {{users: [{user}]}}\n")).unwrap();
        file
    };
    let Some((database, _)) = Server::fresh_postgres() else { return };
    let server = Server::alone(&[("database.url", &database)]);
    for (publish, subscribe, refused) in [
        ("hongyan.>", "hongyan.>", None),
        ("hongyan.nodes", "hongyan.>", Some("Publish to \"hongyan.1048576.")),
        ("hongyan.>", "hongyan.nodes", Some("Subscription to \"hongyan.probe.doctor~")),
    ] {
        let Some(nats) = Nats::of_file(&rights(publish, subscribe)) else { return };
        let url = format!("relay.nats_url=nats://hongyan:s3cret@127.0.0.1:{}", nats.port);
        let (code, report) = examined(&server, &["--set", &url]);
        let found = finding(&report, "NATS");
        match refused {
            None => assert_eq!((code, text(found, "grade")), (Some(0), "ok"), "{report}"),
            Some(refused) => {
                assert_eq!((code, text(found, "grade")), (Some(1), "fail"), "{report}");
                assert!(
                    text(found, "found").to_lowercase().contains(&refused.to_lowercase()),
                    "{refused}: {found}"
                );
            }
        }
        let (_, report) = examined(&server, &["--set", &url.replace("s3cret", "wr0ng")]);
        assert!(
            text(finding(&report, "NATS"), "grade") == "fail" && !report.to_string().contains("wr0ng"),
            "{report}"
        );
    }
}

/// An nginx with TLS for `localhost`, whose certificate lasts so many days, before a server.
struct Site {
    folder: tempfile::TempDir,
    nginx: Child,
    port: u16,
}

impl Drop for Site {
    fn drop(&mut self) {
        // Its workers would outlive a kill.
        let _ = Command::new("kill").args(["-TERM", &self.nginx.id().to_string()]).status();
        let _ = self.nginx.wait();
    }
}

impl Site {
    fn before(server: &Server, days: u32, headers: &str) -> Option<Self> {
        let Ok(program) = std::env::var("HONGYAN_TEST_NGINX") else {
            println!("skipped: HONGYAN_TEST_NGINX is not set; `make test` finds nginx");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path(), days);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let site = format!(
            "daemon off; worker_processes 1; pid nginx.pid; events {{ worker_connections 64; }} http {{
                access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
                scgi_temp_path scgi;
                server {{ listen 127.0.0.1:{port} ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;
                    location / {{ proxy_pass http://{}; proxy_set_header X-Request-Id $request_id; {headers} }} }} }}",
            server.at
        );
        std::fs::write(folder.path().join("nginx.conf"), site).unwrap();
        let mut nginx = Command::new(program);
        nginx
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let site = Self { nginx: nginx.spawn().unwrap(), folder, port };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "nginx does not listen");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Some(site)
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn authority(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }
}

fn certificate(folder: &Path, days: u32) {
    let script = format!(
        "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
         openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=authority -days 3650
         openssl req -new $key -keyout key.pem -out csr.pem -subj /CN=localhost
         printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' >ext
         openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile ext -out cert.pem"
    );
    let made = Command::new("sh").args(["-e", "-c", &script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[actix_web::test]
async fn the_certificate_and_the_proxy_at_the_public_name_are_looked_at() {
    let forwards = "proxy_set_header X-Forwarded-For $remote_addr;";
    for (trusted, headers, days, certificate, proxies) in [
        ("127.0.0.1", forwards, 60, "ok", "ok"),
        ("", forwards, 10, "warn", "fail"),
        ("127.0.0.1", "", 60, "ok", "fail"),
    ] {
        let mut server = Server::alone(&[("server.trusted_proxies", trusted)]);
        let Some(site) = Site::before(&server, days, headers) else { return };
        server.set_variable("SSL_CERT_FILE", Some(&site.authority()));
        let (_, report) = examined(&server, &["--public", &site.url()]);
        let grades = ["certificate", "proxies"].map(|check| text(finding(&report, check), "grade"));
        assert_eq!(grades, [certificate, proxies], "{report}");
        if trusted.is_empty() {
            assert!(
                text(finding(&report, "proxies"), "advice")
                    .contains("add 127.0.0.1 to server.trusted_proxies"),
                "{report}"
            );
        }
        assert!(
            text(finding(&report, "certificate"), "found").contains(&format!("{} days left", days - 1)),
            "{report}"
        );

        // Of an issuer that this machine does not know.
        server.set_variable("SSL_CERT_FILE", Some("/dev/null"));
        let (code, report) = examined(&server, &["--public", &site.url()]);
        assert_eq!((code, text(finding(&report, "certificate"), "grade")), (Some(1), "fail"), "{report}");
    }
}
