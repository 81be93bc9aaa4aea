//! NATS takes the shipped settings, and hongyan's user may do what the relay does and nothing else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::cluster::make_secrets;
use crate::{stderr, text};

/// nats-server, where there is one.
fn nats() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("HONGYAN_TEST_NATS") {
        return Some(path.into());
    }
    let found =
        ["/usr/sbin/nats-server", "/usr/local/bin/nats-server", "/usr/bin/nats-server"].map(PathBuf::from);
    let found = found.into_iter().find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: no nats-server here");
    }
    found
}

struct Server {
    child: Child,
    at: String,
    monitor: String,
    password: String,
    /// What it said since it listens.
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shipped settings with the password that `deploy/make-secrets` made, on free ports.
fn start(program: &Path, folder: &Path) -> Server {
    let secrets = folder.join("made");
    make_secrets(&secrets);
    fs::create_dir(folder.join("secrets")).unwrap();
    fs::copy(secrets.join("nats_password.conf"), folder.join("secrets/password.conf")).unwrap();
    let file = folder.join("nats.conf");
    let shipped = text("deploy/nats/nats.conf");
    fs::write(&file, &shipped).unwrap();
    let check = Command::new(program).arg("-t").arg("-c").arg(&file).output().unwrap();
    assert!(check.status.success(), "nats-server -t: {}", stderr(&check));

    let free = shipped
        .replace("port: 4222", "host: 127.0.0.1\nport: -1")
        .replace("http: \"127.0.0.1:8222\"", "http: \"127.0.0.1:-1\"");
    assert_eq!(free.matches("-1").count(), 2);
    fs::write(&file, free).unwrap();
    let mut child = Command::new(program).arg("-c").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut after = |what: &str| {
        lines
            .find_map(|line| line.split_once(what).map(|(_, at)| at.trim_start_matches("http://").to_owned()))
            .unwrap()
    };
    let monitor = after("Starting http monitor on ");
    let at = after("Listening for client connections on ");
    // nats-server blocks where nobody reads what it logs.
    let log = Arc::<Mutex<Vec<String>>>::default();
    let kept = log.clone();
    std::thread::spawn(move || lines.for_each(|line| kept.lock().unwrap().push(line)));
    let url = fs::read_to_string(secrets.join("nats_url")).unwrap();
    let password = url.trim().strip_prefix("nats://hongyan:").unwrap().split('@').next().unwrap().to_owned();
    Server { child, at, monitor, password, log }
}

/// A client by hand.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(server: &Server, password: &str) -> Self {
        let stream = TcpStream::connect(&server.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self(BufReader::new(stream));
        assert!(client.line().starts_with("INFO "));
        client.send(&format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true,\"user\":\"hongyan\",\"pass\":\"{password}\"}}"
        ));
        client
    }

    fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Everything that the server says up to its answer to a ping: so nothing more is to come.
    fn said(&mut self) -> Vec<String> {
        self.send("PING");
        std::iter::from_fn(|| Some(self.line()).filter(|line| line != "PONG")).collect()
    }
}

#[test]
fn the_relay_s_user_may_use_its_own_subjects_and_no_others() {
    let Some(program) = nats() else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = start(&program, folder.path());
    let mut stranger = Client::connect(&server, "wrong");
    assert_eq!(stranger.line(), "-ERR 'Authorization Violation'");

    let mut node = Client::connect(&server, &server.password);
    for (number, subject) in ["hongyan.1", "hongyan.probe.node1", "_INBOX.abc.1"].iter().enumerate() {
        node.send(&format!("SUB {subject} {number}"));
    }
    assert!(node.said().is_empty());
    node.send("PUB hongyan.probe.node1 2\r\nhi");
    assert_eq!(node.said(), ["MSG hongyan.probe.node1 1 2", "hi"]);

    for (line, refused) in [
        ("SUB > 7", "Subscription to \">\""),
        ("SUB other.1 8", "Subscription to \"other.1\""),
        ("PUB other.1 0\r\n", "Publish to \"other.1\""),
        ("PUB _INBOX.abc.1 0\r\n", "Publish to \"_INBOX.abc.1\""),
    ] {
        node.send(line);
        let said = node.said();
        assert!(
            matches!(&said[..], [error] if error.contains(&format!("Permissions Violation for {refused}"))),
            "{line}: {said:?}"
        );
    }

    // What tells the relay that the link lives: its own message comes back, whoever else hears it.
    let mut monitor = Client::connect(&server, &server.password);
    monitor.send("SUB hongyan.> 1");
    assert!(monitor.said().is_empty());
    node.send("PUB hongyan.probe.node1 hongyan.from.node1 1\r\n7");
    assert_eq!(node.said(), ["MSG hongyan.probe.node1 1 hongyan.from.node1 1", "7"]);
    assert_eq!(monitor.said(), ["MSG hongyan.probe.node1 1 hongyan.from.node1 1", "7"]);
}

/// A node with the URL that `deploy/make-secrets` made.
#[test]
fn a_node_is_let_in_and_keeps_to_its_subjects() {
    use diesel::{Connection as _, PgConnection, RunQueryDsl as _};
    let Some(program) = nats() else { return };
    let Ok(database) = std::env::var("HONGYAN_TEST_POSTGRES_URL") else {
        println!("skipped: HONGYAN_TEST_POSTGRES_URL is not set; `make test` starts a PostgreSQL");
        return;
    };
    let name = format!("hongyan_packaging_{:016x}", rand::random::<u64>());
    let mut admin = PgConnection::establish(&database).unwrap();
    diesel::sql_query(format!("CREATE DATABASE {name}")).execute(&mut admin).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let server = start(&program, folder.path());
    let mut watcher = Client::connect(&server, &server.password);
    watcher.send("SUB hongyan.> 1");
    assert!(watcher.said().is_empty());
    let url =
        fs::read_to_string(folder.path().join("made/nats_url")).unwrap().replace("nats:4222", &server.at);
    let url_file = folder.path().join("nats_url");
    fs::write(&url_file, url).unwrap();
    let mut node = Command::new(env!("CARGO_BIN_EXE_hongyan"));
    node.args(["dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env_clear();
    node.env("HONGYAN_RELAY__NATS_URL_FILE", &url_file);
    node.env("HONGYAN_DATABASE__URL", format!("{}/{name}", database.rsplit_once('/').unwrap().0));
    let mut node = node.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // What it says to the other nodes every second; the read times out after ten.
    let heard = watcher.line();
    node.kill().unwrap();
    node.wait().unwrap();
    diesel::sql_query(format!("DROP DATABASE {name} WITH (FORCE)")).execute(&mut admin).unwrap();
    assert!(heard.starts_with("MSG hongyan."), "{heard}");
    let log = server.log.lock().unwrap().join("\n");
    assert!(!log.contains("Violation") && !log.contains("authentication error"), "{log}");
}

#[test]
fn nats_answers_its_health_check() {
    let Some(program) = nats() else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = start(&program, folder.path());
    let mut stream = TcpStream::connect(&server.monitor).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
