//! nginx does what its site promises, before one node and before several.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use hongyan::config::Config;

use crate::{stderr, text};

/// nginx, where there is one. `make test` sees to it and says where; a bare `cargo test` can do without.
fn nginx() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("HONGYAN_TEST_NGINX") {
        return Some(path.into());
    }
    let found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists());
    if found.is_none() {
        eprintln!("not checked: no nginx here; `make test` installs it");
    }
    found
}

/// A call on a connection that the server is closing is a 502.
#[test]
fn nginx_gives_connections_up_before_hongyan_does() {
    for nodes in ["one", "several", "compose"] {
        let upstream = text(&format!("deploy/nginx/nodes/{nodes}.conf"));
        let line = upstream
            .lines()
            .find_map(|line| line.trim().strip_prefix("keepalive_timeout ")?.strip_suffix("s;"));
        let kept = Duration::from_secs(line.unwrap().parse().unwrap());
        assert!(kept + Duration::from_secs(10) < hongyan::http::serve::KEEP_ALIVE, "{nodes}: {kept:?}");
    }
}

struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    plain: u16,
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

/// The shipped site, under the shipped main file, with only paths and ports replaced, in front of `nodes`:
/// one of deploy/nginx/nodes.
fn start_nginx(program: &Path, nodes: &str) -> Nginx {
    let folder = tempfile::tempdir().unwrap();
    let ports = set_up(folder.path(), nodes);
    let main = command(program, folder.path());
    check(program, folder.path());
    started(main, folder, ports)
}

fn started(main: Command, folder: tempfile::TempDir, (plain, tls): (u16, u16)) -> Nginx {
    let child = { main }.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let nginx = Nginx { child, folder, plain, tls };
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", tls)).is_err() {
        assert!(Instant::now() < deadline, "nginx does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    nginx
}

fn command(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-p").arg(dir).arg("-e").arg(dir.join("main.log")).arg("-c").arg(dir.join("nginx.conf"));
    command
}

/// `nginx -t`, which says neither error nor warning.
fn check(program: &Path, dir: &Path) {
    let check = command(program, dir).arg("-t").output().unwrap();
    assert!(check.status.success(), "nginx -t: {}", stderr(&check));
    assert!(!stderr(&check).contains("[warn]"), "nginx -t: {}", stderr(&check));
}

/// Writes everything that nginx reads; the ports, plain and of TLS.
fn set_up(dir: &Path, nodes: &str) -> (u16, u16) {
    let here = dir.display().to_string();
    fs::write(dir.join("privkey.pem"), CERTIFICATE.signing_key.serialize_pem()).unwrap();
    fs::write(dir.join("fullchain.pem"), CERTIFICATE.cert.pem()).unwrap();
    let (plain, tls) = (free_port(), free_port());
    let site = changed(
        &text("deploy/nginx/hongyan.conf"),
        &[
            ("/etc/ssl/hongyan/", &format!("{here}/")),
            ("/var/log/nginx/", &format!("{here}/")),
            ("/var/www/acme", &format!("{here}/acme")),
            ("listen 80;", &format!("listen 127.0.0.1:{plain};")),
            ("listen 80 default_server;", &format!("listen 127.0.0.1:{plain} default_server;")),
            ("listen [::]:80;", ""),
            ("listen [::]:80 default_server;", ""),
            ("listen 443 ssl;", &format!("listen 127.0.0.1:{tls} ssl;")),
            ("listen 443 ssl default_server;", &format!("listen 127.0.0.1:{tls} ssl default_server;")),
            ("listen [::]:443 ssl;", ""),
            ("listen [::]:443 ssl default_server;", ""),
        ],
    );
    fs::create_dir(dir.join("conf.d")).unwrap();
    fs::write(dir.join("conf.d/hongyan.conf"), site).unwrap();
    fs::write(dir.join("conf.d/hongyan-nodes.conf"), nodes).unwrap();
    // As root, workers would become another user, who cannot enter the folder.
    let user = if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        "user root;"
    } else {
        ""
    };
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {here}/{name};"))
        .join("\n");
    let main = changed(
        &text("deploy/nginx/nginx.conf"),
        &[
            (
                "worker_processes auto;",
                &format!(
                    "{user}\ndaemon off;\npid {here}/pid;\nerror_log {here}/main.log;\nworker_processes 2;"
                ),
            ),
            ("worker_rlimit_nofile 131072;", ""),
            ("worker_connections 65536;", "worker_connections 256;"),
            ("http {", &format!("http {{\n{temp}")),
        ],
    );
    fs::write(dir.join("nginx.conf"), main).unwrap();
    (plain, tls)
}

/// A text with each of `changes`, which all have a place in it.
fn changed(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// deploy/nginx/nodes/one.conf before a port of loopback.
fn one(port: u16) -> String {
    changed(
        &text("deploy/nginx/nodes/one.conf"),
        &[("server 127.0.0.1:9999;", &format!("server 127.0.0.1:{port};"))],
    )
}

/// deploy/nginx/nodes/several.conf before two nodes.
fn two(first: &str, second: &str) -> String {
    let changes = [
        ("10.0.0.11:9999", first),
        ("10.0.0.12:9999", second),
        ("    server 10.0.0.13:9999 max_fails=1 fail_timeout=2s;\n", ""),
    ];
    // The comment at the head names the first address, too.
    let nodes = text("deploy/nginx/nodes/several.conf");
    changed(nodes.split_once("\n\n").unwrap().1, &changes)
}

/// The site's, which is good for another name as well: who is refused by that name is refused by nginx.
static CERTIFICATE: LazyLock<rcgen::CertifiedKey<rcgen::KeyPair>> = LazyLock::new(|| {
    rcgen::generate_simple_self_signed(["chat.example.com".to_owned(), "evil.example".to_owned()]).unwrap()
});

type TlsStream = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

fn tls(port: u16) -> TlsStream {
    tls_as("chat.example.com", port).unwrap()
}

/// With this name in the handshake.
fn tls_as(name: &str, port: u16) -> Option<TlsStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CERTIFICATE.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut connection =
        rustls::ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    match connection.complete_io(&mut stream) {
        Ok(_) => Some(rustls::StreamOwned::new(connection, stream)),
        Err(error) => {
            let refused = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            assert!(matches!(refused, Some(rustls::Error::AlertReceived(_))), "{error}");
            None
        }
    }
}

/// The head of a request or an answer.
fn head(stream: &mut impl Read) -> String {
    let mut head = String::new();
    let mut reader = BufReader::with_capacity(1, stream);
    // nginx does not say farewell on a connection that it drops.
    let read = |read: std::io::Result<usize>| match read {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
        read => read.unwrap(),
    };
    while !head.ends_with("\r\n\r\n") && read(reader.read_line(&mut head)) > 0 {}
    head
}

#[test]
fn nginx_passes_upgrades_on_tells_the_real_address_and_logs_no_code() {
    let Some(program) = nginx() else { return };
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = start_nginx(&program, &one(upstream.local_addr().unwrap().port()));
    let server = std::thread::spawn(move || {
        let mut stream = upstream.accept().unwrap().0;
        let asked = head(&mut stream);
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            )
            .unwrap();
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
    for line in [
        "upgrade: websocket",
        "connection: upgrade",
        "host: chat.example.com",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: https",
    ] {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line}: {asked}");
    }
    assert!(!asked.contains("203.0.113.9"), "{asked}");

    // The upstream is gone now: even the failure says nothing of the query.
    drop(client);
    let mut client = tls(nginx.tls);
    client
        .write_all(b"GET /bob?code=c0de HTTP/1.1\r\nHost: chat.example.com\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 502 "));
    let folder = nginx.folder.path().to_owned();
    let log = || fs::read_to_string(folder.join("access.log")).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(5);
    while log().lines().count() < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        log().contains("\"GET /alice HTTP/1.1\" 101 ") && log().contains("\"GET /bob HTTP/1.1\" 502 "),
        "{}",
        log()
    );
    for file in ["access.log", "error.log", "main.log"] {
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

static SCRIPT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let headers = "Content-Type: text/javascript; charset=utf-8\r\nCache-Control: no-cache\r\nETag: \"abc\"\r\nContent-Length: 4000";
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{}", " ".repeat(4_000)).into_bytes()
});

/// What a node of these tests does with a request, once it has read its head.
#[derive(Clone, Copy)]
enum Answer {
    Welcome,
    /// As a node that drains.
    Unavailable,
    /// As a node that is killed.
    Die,
    /// A file of the browser client.
    Script,
}

impl Answer {
    /// To each request of a connection; nginx may keep one for later.
    fn give(self, mut stream: TcpStream, read: &Mutex<Vec<IpAddr>>) {
        while !head(&mut stream).is_empty() {
            read.lock().unwrap().push(stream.peer_addr().unwrap().ip());
            let answer: &[u8] = match self {
                Self::Welcome => {
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
                }
                Self::Unavailable => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nbusy\n",
                Self::Die => return,
                Self::Script => &SCRIPT,
            };
            stream.write_all(answer).unwrap();
        }
    }
}

/// A node, and where the requests that it has read came from.
struct Node {
    at: String,
    read: Arc<Mutex<Vec<IpAddr>>>,
}

impl Node {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = Self { at: listener.local_addr().unwrap().to_string(), read: Arc::default() };
        let read = node.read.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, read) = (stream.unwrap(), read.clone());
                std::thread::spawn(move || answer.give(stream, &read));
            }
        });
        node
    }

    fn has_read(&self) -> usize {
        self.read.lock().unwrap().len()
    }
}

/// The status that a handshake is answered with.
fn handshake(nginx: &Nginx) -> u16 {
    ask(
        nginx,
        "GET /alice?to_user_openid=bob&code=c0de HTTP/1.1\r\nHost: chat.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    )
}

fn unread(nginx: &Nginx) -> u16 {
    ask(nginx, "GET /v1/unread HTTP/1.1\r\nHost: chat.example.com\r\n\r\n")
}

fn login(nginx: &Nginx) -> u16 {
    let start = "POST /v1/login HTTP/1.1\r\nHost: chat.example.com\r\nContent-Type: application/json\r\nConnection: close\r\n";
    ask(nginx, &format!("{start}Content-Length: 15\r\n\r\n{{\"code\":\"c0de\"}}"))
}

fn ask(nginx: &Nginx, request: &str) -> u16 {
    let answer = answer(nginx, request);
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().unwrap()
}

/// Its head.
fn answer(nginx: &Nginx, request: &str) -> String {
    let mut client = tls(nginx.tls);
    client.write_all(request.as_bytes()).unwrap();
    head(&mut client)
}

#[test]
fn nginx_passes_the_server_api_to_nobody() {
    let Some(program) = nginx() else { return };
    let node = Node::start(Answer::Script);
    let nginx = start_nginx(&program, &two(&node.at, &node.at));
    for path in [
        "/admin/v1/bans",
        "/admin/",
        "//admin/v1/bans",
        "/x/../admin/v1/bans",
        "/admin%2fv1/bans",
        "/%61dmin/v1/bans",
    ] {
        assert_eq!(
            ask(&nginx, &format!("GET {path} HTTP/1.1\r\nHost: chat.example.com\r\n\r\n")),
            404,
            "{path}"
        );
    }
    assert_eq!(node.has_read(), 0);
    assert_eq!(unread(&nginx), 200);
}

/// The size of what is packed tells of what stands in it: of tokens, too.
#[test]
fn nginx_packs_the_files_of_the_browser_client_and_nothing_else() {
    let Some(program) = nginx() else { return };
    let node = Node::start(Answer::Script);
    let nginx = start_nginx(&program, &two(&node.at, &node.at));
    let get = |path: &str| {
        answer(
            &nginx,
            &format!("GET {path} HTTP/1.1\r\nHost: chat.example.com\r\nAccept-Encoding: gzip\r\n\r\n"),
        )
    };
    let file = get("/assets/app.js");
    for line in
        ["Content-Encoding: gzip", "Vary: Accept-Encoding", "ETag: W/\"abc\"", "Cache-Control: no-cache"]
    {
        assert!(file.lines().any(|l| l == line), "{line}: {file}");
    }
    for path in ["/v1/unread", "/v1/avatars/x", "/"] {
        assert!(get(path).starts_with("HTTP/1.1 200 ") && !get(path).contains("Content-Encoding"), "{path}");
    }
}

#[test]
fn a_node_that_takes_no_connection_is_passed_over_and_the_client_does_not_notice() {
    let Some(program) = nginx() else { return };
    let folder = tempfile::tempdir().unwrap();
    let stale = folder.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    let missing = folder.path().join("missing.sock");
    let refuses = format!("127.0.0.1:{}", free_port());
    // One that is full to the brim: the kernel answers nothing, as for a machine that is gone.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    silent.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    silent.listen(0).unwrap();
    let silent_at = silent.local_addr().unwrap().as_socket().unwrap();
    let _waiting: Vec<_> = (0..8)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&silent_at.into());
            socket
        })
        .collect();

    for dead in [
        format!("unix:{}", stale.display()),
        format!("unix:{}", missing.display()),
        refuses,
        silent_at.to_string(),
    ] {
        let alive = Node::start(Answer::Welcome);
        let nginx = start_nginx(&program, &two(&dead, &alive.at));
        for n in 1..=3 {
            assert_eq!(handshake(&nginx), 101, "{dead}");
            assert_eq!(alive.has_read(), n, "{dead}");
        }
        assert_eq!(login(&nginx), 101, "{dead}: the double's only answer");
        let tried = fs::read_to_string(nginx.folder.path().join("error.log")).unwrap_or_default();
        assert!(!tried.contains("c0de"), "{tried}");
    }
}

#[test]
fn a_code_that_a_node_may_have_read_is_sent_to_no_other() {
    let Some(program) = nginx() else { return };
    for request in [handshake, login, unread] {
        let nodes = [Node::start(Answer::Die), Node::start(Answer::Die)];
        let nginx = start_nginx(&program, &two(&nodes[0].at, &nodes[1].at));
        assert_eq!(request(&nginx), 502);
        assert_eq!(nodes[0].has_read() + nodes[1].has_read(), 1);
    }
}

#[test]
fn a_node_that_drains_hands_newcomers_on() {
    let Some(program) = nginx() else { return };
    let (draining, other) = (Node::start(Answer::Unavailable), Node::start(Answer::Welcome));
    let nginx = start_nginx(&program, &two(&draining.at, &other.at));
    for n in 1..=10 {
        assert_eq!(handshake(&nginx), 101);
        assert_eq!(other.has_read(), n);
    }
    // least_conn alone would have tried it each time.
    assert!((1..=5).contains(&draining.has_read()), "{}", draining.has_read());

    // Where all are full, the client is told so; and what the API answers is passed on as it is.
    let full = [Node::start(Answer::Unavailable), Node::start(Answer::Unavailable)];
    let nginx = start_nginx(&program, &two(&full[0].at, &full[1].at));
    assert_eq!(login(&nginx), 503);
    assert_eq!(full[0].has_read() + full[1].has_read(), 1);
    assert_eq!(handshake(&nginx), 503);
    assert_eq!(full[0].has_read() + full[1].has_read(), 3);
}

#[test]
fn nginx_reaches_a_node_from_several_addresses() {
    let Some(program) = nginx() else { return };
    let node = Node::start(Answer::Welcome);
    let nodes = two(&node.at, &node.at);
    let (upstream, more) = nodes.split_once("\n#split_clients").unwrap();
    let split = changed(
        &format!("split_clients{more}"),
        &[("\n#", "\n"), ("10.0.0.2;", "127.0.0.2;"), ("10.0.0.3;", "127.0.0.3;")],
    );
    let nginx = start_nginx(&program, &format!("{upstream}\n{split}"));
    let seen = || node.read.lock().unwrap().iter().map(IpAddr::to_string).collect::<BTreeSet<_>>();
    for _ in 0..64 {
        assert_eq!(handshake(&nginx), 101);
        if seen().len() == 2 {
            break;
        }
    }
    assert_eq!(seen().into_iter().collect::<Vec<_>>(), ["127.0.0.2", "127.0.0.3"]);
}

#[test]
fn the_nodes_of_compose_are_understood_by_nginx() {
    let Some(program) = nginx() else { return };
    let folder = tempfile::tempdir().unwrap();
    set_up(folder.path(), &text("deploy/nginx/nodes/compose.conf"));
    check(&program, folder.path());
}

#[test]
fn every_way_of_naming_nodes_says_the_same_of_the_rest() {
    let several = text("deploy/nginx/nodes/several.conf");
    let rest = |text: &str| -> BTreeSet<String> {
        let (_, block) = text.split_once("upstream hongyan {").unwrap();
        let lines = block.split_once("\n}").unwrap().0.lines().map(str::trim);
        lines
            .map(|line| {
                if line.starts_with("server ") { line.splitn(3, ' ').last().unwrap() } else { line }
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(rest(&several), rest(&text("deploy/nginx/nodes/compose.conf")));
}

#[test]
fn only_the_sites_own_name_is_answered_and_browsers_stay_with_https() {
    let Some(program) = nginx() else { return };
    let node = Node::start(Answer::Script);
    let nginx = start_nginx(&program, &two(&node.at, &node.at));
    let page = answer(&nginx, "GET / HTTP/1.1\r\nHost: chat.example.com\r\n\r\n");
    assert!(page.lines().any(|line| line == "Strict-Transport-Security: max-age=31536000"), "{page}");
    assert!(tls_as("evil.example", nginx.tls).is_none(), "no certificate for another name");
    // A name that the handshake did not have is no way around either.
    assert_eq!(answer(&nginx, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "");
    let plain = |host: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.plain)).unwrap();
        stream.write_all(format!("GET /a?code=c0de HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        head(&mut stream)
    };
    assert!(plain("chat.example.com").starts_with("HTTP/1.1 301 "));
    assert_eq!((plain("evil.example"), plain("127.0.0.1")), (String::new(), String::new()));
    // Refused by name, the request is not in the log of the site.
    let log = fs::read_to_string(nginx.folder.path().join("access.log")).unwrap_or_default();
    assert!(!log.contains("evil") && node.has_read() == 1, "{log}");
}

/// Proofs for a certificate's authority, in the clear (RFC 8555, 8.3); whatever else is asked there leads to
/// HTTPS.
#[test]
fn a_certificates_authority_finds_its_proof_and_nothing_else() {
    let Some(program) = nginx() else { return };
    let node = Node::start(Answer::Script);
    let nginx = start_nginx(&program, &two(&node.at, &node.at));
    let proofs = nginx.folder.path().join("acme/.well-known/acme-challenge");
    fs::create_dir_all(&proofs).unwrap();
    fs::write(proofs.join("to-ken_1"), "to-ken_1.thumb").unwrap();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.plain)).unwrap();
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: chat.example.com\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let proof = ask("/.well-known/acme-challenge/to-ken_1");
    assert!(proof.starts_with("HTTP/1.1 200 ") && proof.ends_with("to-ken_1.thumb"), "{proof}");
    assert!(ask("/.well-known/acme-challenge/other").starts_with("HTTP/1.1 404 "));
    for path in ["/.well-known/acme-challenge/../../privkey.pem", "/.well-known/other", "/v1/login?code=c0de"]
    {
        assert!(ask(path).starts_with("HTTP/1.1 301 "), "{path}");
    }
    assert_eq!(node.has_read(), 0);
}

/// The /64 of an IPv6 address is counted as one, as the shipped site has it, with a limit of two connections.
#[test]
fn nginx_counts_connections_of_ipv6_by_the_subscriber() {
    let Some(program) = nginx() else { return };
    let node = Node::start(Answer::Welcome);
    let folder = tempfile::tempdir().unwrap();
    let ports = set_up(folder.path(), &two(&node.at, &node.at));
    let site = folder.path().join("conf.d/hongyan.conf");
    let believed =
        "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; limit_conn hongyan_connections 2;";
    let changes = [("limit_conn hongyan_connections 2000;", believed)];
    fs::write(&site, changed(&fs::read_to_string(&site).unwrap(), &changes)).unwrap();
    check(&program, folder.path());
    let main = command(&program, folder.path());
    let nginx = started(main, folder, ports);
    // Of each group the first two are one subscriber's, as is the third, which is too many; the last is
    // another's.
    for [first, second, third, other] in [
        ["2001:db8:1:2::1", "2001:db8:1:2:a:b:c:d", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"],
        ["2001:db8::1", "2001:db8::2:3:4:5", "2001:db8::ffff:1", "2001:db8:0:1::1"],
        ["2001:db8:7::1", "2001:db8:7::8:9", "2001:db8:7::1:0:1", "2001:db8:8::1"],
        ["2001::5:1:2:3:4", "2001::5:6:7:8:9", "2001::5:1:1:1:1", "2001::6:1:2:3:4"],
        ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"],
        ["1::1", "1::2", "1::3:4", "1:1::1"],
    ] {
        let mut open = Vec::new();
        let mut statuses = Vec::new();
        for address in [first, second, third, other] {
            let mut client = tls(nginx.tls);
            let upgrade = "Upgrade: websocket\r\nConnection: Upgrade";
            client
                .write_all(
                    format!("GET /a?code=x HTTP/1.1\r\nHost: chat.example.com\r\nX-Forwarded-For: {address}\r\n{upgrade}\r\n\r\n")
                        .as_bytes(),
                )
                .unwrap();
            statuses.push(head(&mut client).split(' ').nth(1).unwrap_or_default().to_owned());
            open.push(client);
        }
        assert_eq!(statuses, ["101", "101", "429", "101"], "{third}");
    }
}

/// One request in the log of nginx and in that of hongyan, by the last column of the one and a field of the
/// other.
#[test]
fn a_request_has_one_id_in_the_logs_of_nginx_and_of_hongyan() {
    let Some(program) = nginx() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut hongyan = Ends(
        Command::new(env!("CARGO_BIN_EXE_hongyan"))
            .args(["dev", "--listen", "127.0.0.1:0", "--ops-listen", "", "--set", "log.filter=hongyan=debug"])
            .args([
                "--trusted-proxy",
                "127.0.0.1",
                "--set",
                "server.allowed_origins=",
                "--set",
                "ops.allowed_hosts=chat.example.com",
            ])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap(),
    );
    let mut out = BufReader::new(hongyan.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let at = out.find_map(|line| line.strip_prefix("hongyan: chat at ").map(str::to_owned)).unwrap();
    assert!(out.any(|line| line == "hongyan: ready"));
    let site = start_nginx(&program, &two(&at, &at));

    let refused = answer(
        &site,
        "GET /v1/unread HTTP/1.1\r\nHost: chat.example.com\r\nX-Request-Id: of-the-client\r\n\r\n",
    );
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let mut client = tls(site.tls);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let path = "/alice?to_user_openid=bob&code=dev:alice";
    client
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: chat.example.com\r\n{upgrade}\r\n\r\n").as_bytes())
        .unwrap();
    let accepted = head(&mut client);
    assert!(accepted.starts_with("HTTP/1.1 101 "), "{accepted}");
    drop(client);

    let given = |answer: &str| {
        let line = answer
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("x-request-id: ").map(str::to_owned));
        line.unwrap_or_else(|| panic!("{answer}"))
    };
    for (id, route, said) in
        [(given(&refused), "/v1/unread", " http "), (given(&accepted), "/alice", " session ")]
    {
        let of_nginx = || fs::read_to_string(site.folder.path().join("access.log")).unwrap_or_default();
        let of_hongyan = || fs::read_to_string(&log).unwrap_or_default();
        let in_nginx = || of_nginx().lines().any(|line| line.contains(route) && line.ends_with(&id));
        let in_hongyan = || {
            of_hongyan()
                .lines()
                .any(|line| line.contains(said) && line.contains(&format!(" request_id={id} ")))
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !(in_nginx() && in_hongyan()) {
            assert!(Instant::now() < deadline, "{id} in\n{}\n{}", of_nginx(), of_hongyan());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_ne!(id, "of-the-client");
    }
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
