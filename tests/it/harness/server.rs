//! A server of a test's own: the real binary, as a process.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{LazyLock, mpsc};

use tempfile::TempDir;

use super::{Client, Cluster, Http, Nats, Nginx, PATIENCE, Raw, eventually};

/// The secret of the key that tests call the server API with.
pub const ADMIN_SECRET: &str = "0123456789abcdefghijklmnopqrstuv";

/// The binary that was built with the tests, or another build of it.
static BINARY: LazyLock<String> = LazyLock::new(|| {
    std::env::var("HONGYAN_TEST_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_hongyan").to_owned())
});

/// Ends with the test; its folder goes with it.
pub struct Server {
    folder: TempDir,
    /// The binary that it runs.
    program: String,
    /// `dev`, or `serve`.
    command: &'static str,
    settings: BTreeMap<String, String>,
    /// Its limit on open files; `None`: that of the tests.
    descriptors: Option<u32>,
    child: Child,
    pub at: String,
    pub ops: String,
    /// Where the server API is, on a port of its own.
    pub admin: String,
    /// Where its double of WeChat is.
    pub double: String,
    /// What stands beside it where tests run against several nodes.
    beside: Option<Beside>,
}

/// Further nodes, and what all of them share.
struct Beside {
    others: Vec<Server>,
    _nats: Nats,
    _nginx: Nginx,
}

impl Server {
    /// `hongyan dev` on free ports, with SQLite in a folder of its own.
    pub async fn start() -> Self {
        Self::with([]).await
    }

    /// The same, with settings such as `("limits.message_burst", "3")`.
    pub async fn with<const N: usize>(settings: [(&str, &str); N]) -> Self {
        Self::with_all(&settings).await
    }

    /// With `HONGYAN_TEST_NODES` so many nodes behind nginx take its place, over a PostgreSQL and a NATS:
    /// what one server does, they must do together.
    pub async fn with_all(settings: &[(&str, &str)]) -> Self {
        match std::env::var("HONGYAN_TEST_NODES") {
            Ok(nodes) => Self::several(nodes.parse().unwrap(), settings).await,
            Err(_) => Self::alone(settings),
        }
    }

    /// One server whatever `HONGYAN_TEST_NODES` says.
    pub fn alone(settings: &[(&str, &str)]) -> Self {
        Self::of_binary(&BINARY, settings)
    }

    /// The same, of another binary.
    pub fn of_binary(program: &str, settings: &[(&str, &str)]) -> Self {
        Self::run(program, "dev", settings, None)
    }

    /// One server that may open so many files.
    pub fn with_descriptors(descriptors: u32, settings: &[(&str, &str)]) -> Self {
        Self::run(&BINARY, "dev", settings, Some(descriptors))
    }

    /// `hongyan serve`, without a WeChat.
    pub fn serving(settings: &[(&str, &str)]) -> Self {
        let keys = format!("k1:{}", "k".repeat(32));
        let own = [
            ("wechat.appid", "wx0"),
            ("wechat.secret", "secret"),
            ("wechat.api_base", "http://127.0.0.1:1"),
            ("auth.keys", &keys),
        ];
        Self::run(&BINARY, "serve", &[&own, settings].concat(), None)
    }

    fn run(
        program: &str,
        command: &'static str,
        settings: &[(&str, &str)],
        descriptors: Option<u32>,
    ) -> Self {
        let mut all = BTreeMap::from([
            ("HONGYAN_SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("HONGYAN_OPS__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("HONGYAN_ADMIN__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("HONGYAN_ADMIN__KEYS".to_owned(), format!("test:{ADMIN_SECRET}:read+send+manage+moderate")),
            ("HONGYAN_SERVER__WORKERS".to_owned(), "2".to_owned()),
            ("HONGYAN_DATABASE__CACHE_KIB".to_owned(), "4096".to_owned()),
            ("HONGYAN_SAFETY__MODE".to_owned(), "off".to_owned()),
            ("HONGYAN_NOTICE__TEMPLATE_ID".to_owned(), String::new()),
            // What tests write into Host themselves.
            ("HONGYAN_OPS__ALLOWED_HOSTS".to_owned(), "t,x,test".to_owned()),
        ]);
        all.extend(settings.iter().map(|(key, value)| (variable(key), (*value).to_owned())));
        let folder = tempfile::tempdir().unwrap();
        let (child, [at, ops, double, admin]) = launch(program, folder.path(), command, &all, descriptors);
        let program = program.to_owned();
        Self {
            folder,
            program,
            command,
            settings: all,
            descriptors,
            child,
            at,
            ops,
            admin,
            double,
            beside: None,
        }
    }

    async fn several(nodes: usize, settings: &[(&str, &str)]) -> Self {
        let nats = Nats::start().unwrap();
        let (database, nats_url) = (Self::fresh_postgres().unwrap().0, nats.url());
        let own = [("database.url", database.as_str()), ("relay.nats_url", &nats_url)];
        // What a test sets itself goes before.
        let settings = [Cluster::SHARED, &own, settings].concat();
        let first = Self::alone(&settings);
        // One WeChat for all: it knows which codes were used.
        let wechat = format!("http://{}", first.double);
        let settings: Vec<_> = settings.into_iter().chain([("wechat.api_base", wechat.as_str())]).collect();
        let mut others: Vec<_> =
            std::iter::once(first).chain((1..nodes).map(|_| Self::alone(&settings))).collect();
        let addresses: Vec<_> = others.iter().map(|node| node.at.clone()).collect();
        let nginx = Nginx::before(&addresses).unwrap();
        for node in &others {
            node.metric_becomes("hongyan_relay_nodes", (nodes - 1) as f64).await;
        }
        let mut first = others.swap_remove(0);
        first.at.clone_from(&nginx.at);
        first.beside = Some(Beside { others, _nats: nats, _nginx: nginx });
        first
    }

    /// The same with a fresh database, named beside it, on the PostgreSQL of `make test`; `None` (and a word
    /// on why) without one.
    pub async fn on_postgres() -> Option<(Self, String)> {
        Self::on_postgres_with(&[]).await
    }

    pub async fn on_postgres_with(settings: &[(&str, &str)]) -> Option<(Self, String)> {
        let (url, name) = Self::fresh_postgres()?;
        let settings: Vec<_> = settings.iter().copied().chain([("database.url", url.as_str())]).collect();
        Some((Self::with_all(&settings).await, name))
    }

    /// The URL and the name of a fresh database on the PostgreSQL of `make test`; `None` (and a word on why)
    /// without one.
    pub fn fresh_postgres() -> Option<(String, String)> {
        use diesel::{PgConnection, RunQueryDsl as _};
        let Ok(url) = std::env::var("HONGYAN_TEST_POSTGRES_URL") else {
            println!("skipped: HONGYAN_TEST_POSTGRES_URL is not set; `make test` starts a PostgreSQL");
            return None;
        };
        let name = format!("hongyan_it_{:016x}", rand::random::<u64>());
        let mut admin = PgConnection::establish(&url).unwrap();
        diesel::sql_query(format!("CREATE DATABASE {name}")).execute(&mut admin).unwrap();
        let (base, _) = url.rsplit_once('/').unwrap();
        Some((format!("{base}/{name}"), name))
    }

    pub fn is_on_postgres(&self) -> bool {
        self.settings.get("HONGYAN_DATABASE__URL").is_some_and(|url| url.starts_with("postgres"))
    }

    /// Sets a variable of its environment, or takes it away, from the next start on.
    pub fn set_variable(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.settings.insert(name.to_owned(), value.to_owned()),
            None => self.settings.remove(name),
        };
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/hongyan.db")
    }

    /// A connection to its database that waits for it: the server writes at any time.
    pub fn sqlite(&self) -> SqliteConnection {
        let mut conn = SqliteConnection::establish(self.database().to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        conn
    }

    /// A client of the seed's protocol: its URL, its fields, its heart.
    pub async fn seed(&self, openid: &str, peer: &str) -> Client {
        let mut client = Client::connect(
            &format!("ws://{}/{openid}?to_user_openid={peer}&code=dev:{openid}", self.at),
            &[],
            None,
        )
        .await
        .unwrap();
        client.expect("init").await;
        client
    }

    /// A v1 client, logged in by code.
    pub async fn v1(&self, openid: &str) -> Client {
        self.v1_device(openid, &format!("{:x}", rand::random::<u64>())).await
    }

    pub async fn v1_device(&self, openid: &str, device: &str) -> Client {
        let mut client = self.v1_raw(openid, &format!("code=dev:{openid}&device={device}")).await;
        client.expect("init").await;
        client
    }

    /// A v1 handshake with this query, before `init` is read.
    pub async fn v1_raw(&self, openid: &str, query: &str) -> Client {
        Client::connect(&format!("ws://{}/{openid}?{query}", self.at), &["hongyan.v1"], None).await.unwrap()
    }

    /// Bare TCP to the public port.
    pub async fn raw(&self) -> Raw {
        Raw::connect(&self.at).await
    }

    /// HTTP without a token.
    pub fn http(&self) -> Http {
        Http::new(&self.at, None)
    }

    /// The server API, with a key of every scope.
    pub fn operators(&self) -> Http {
        Http::new(&self.admin, Some(ADMIN_SECRET))
    }

    /// The status and the body of `/readyz`.
    pub async fn readyz(&self) -> (u16, serde_json::Value) {
        Http::new(&self.ops, None).get("/readyz").await
    }

    /// Its double of WeChat, to be steered and asked.
    pub fn wechat(&self) -> Http {
        Http::new(&self.double, None)
    }

    /// HTTP as this user.
    pub async fn http_as(&self, openid: &str) -> Http {
        let (status, body) =
            self.http().post("/v1/login", &serde_json::json!({ "code": format!("dev:{openid}") })).await;
        assert_eq!(status, 200, "{body}");
        Http::new(&self.at, body["token"].as_str())
    }

    /// One number of `/metrics`, 0 where it is not there yet; of several nodes the sum. `name` may carry
    /// labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let others = self.beside.iter().flat_map(|beside| &beside.others);
        let mut sum = 0.0;
        for node in std::iter::once(self).chain(others) {
            let text = Http::new(&node.ops, None).text("/metrics").await;
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            sum += line.map_or(0.0, |number| number.parse().unwrap());
        }
        sum
    }

    pub async fn metric_becomes(&self, name: &str, wanted: f64) {
        #[allow(clippy::float_cmp)]
        eventually(&format!("{name} {wanted}"), async || (self.metric(name).await == wanted).then_some(()))
            .await;
    }

    /// Resident memory, bytes.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1_024
    }

    /// Another command of the binary, with this server's settings.
    pub fn command(&self, arguments: &[&str]) -> Output {
        prepare(&self.program, self.folder(), &self.settings).args(arguments).output().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the server's end", async || child.try_wait().unwrap()).await
    }

    /// Starts it again over the same data, on new ports.
    pub async fn again(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        (self.child, [self.at, self.ops, self.double, self.admin]) =
            launch(&self.program, self.folder.path(), self.command, &self.settings, self.descriptors);
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}

/// The variable of a setting; what is written as a variable is one.
fn variable(key: &str) -> String {
    if key.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        return key.to_owned();
    }
    format!("HONGYAN_{}", key.replace('.', "__").to_uppercase())
}

fn prepare(program: &str, folder: &Path, settings: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HONGYAN_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command.current_dir(folder).envs(settings);
    command
}

/// A line of a start as text, where it is one of `log.format=json`.
fn as_text(line: &str) -> String {
    let json = serde_json::from_str::<serde_json::Value>(line).ok();
    json.and_then(|event| event["msg"].as_str().map(|message| format!("hongyan: {message}")))
        .unwrap_or_else(|| line.to_owned())
}

/// Starts it and waits for its word that it is ready; gives its addresses: for clients, for operators, and
/// its double's.
fn launch(
    binary: &str,
    folder: &Path,
    command: &str,
    settings: &BTreeMap<String, String>,
    descriptors: Option<u32>,
) -> (Child, [String; 4]) {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut program = match descriptors {
        None => prepare(binary, folder, settings),
        Some(limit) => {
            let mut shell = prepare("sh", folder, settings);
            shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &limit.to_string(), binary]);
            shell
        }
    };
    let mut child =
        program.arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let mut addresses = [const { String::new() }; 4];
    loop {
        let Ok(line) = told.recv_timeout(PATIENCE).map(|line| as_text(&line)) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "the server did not start: {}",
                std::fs::read_to_string(folder.join("log")).unwrap_or_default()
            );
        };
        for (address, name) in addresses.iter_mut().zip(["chat", "operators", "wechat double", "server API"])
        {
            if let Some(told) = line.strip_prefix(&format!("hongyan: {name} at ")) {
                told.clone_into(address);
            }
        }
        if line == "hongyan: ready" {
            return (child, addresses);
        }
    }
}
