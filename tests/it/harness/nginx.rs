//! An nginx of a test's own before several nodes.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::PATIENCE;

/// How long a worker that has been told to leave keeps its connections, in seconds.
pub const WORKER_LEAVES_S: u64 = 3;

/// Ends with the test.
pub struct Nginx {
    folder: TempDir,
    child: Child,
    pub at: String,
}

impl Nginx {
    /// `None`, and a word on why, without the program that `make test` finds or installs.
    pub fn before(nodes: &[String]) -> Option<Self> {
        let Ok(program) = std::env::var("HONGYAN_TEST_NGINX") else {
            println!("skipped: HONGYAN_TEST_NGINX is not set; `make test` finds nginx");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let at = format!("127.0.0.1:{port}");
        std::fs::write(folder.path().join("nginx.conf"), site(&at, nodes)).unwrap();
        let mut command = Command::new(program);
        command.args(["-p", folder.path().to_str().unwrap(), "-c", "nginx.conf", "-e", "stderr"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { folder, child, at };
        nginx.listens();
        Some(nginx)
    }

    /// Sends what comes from now on to these nodes; connections that are there stay where they are.
    pub fn now_before(&self, nodes: &[String]) {
        std::fs::write(self.folder.path().join("nginx.conf"), site(&self.at, nodes)).unwrap();
        self.reload();
    }

    /// Has new workers take over; the old ones leave within [`WORKER_LEAVES_S`].
    pub fn reload(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The worker processes of now.
    pub fn workers(&self) -> Vec<u32> {
        let path = PathBuf::from(format!("/proc/{pid}/task/{pid}/children", pid = self.child.id()));
        std::fs::read_to_string(path).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    fn listens(&self) {
        let began = Instant::now();
        while TcpStream::connect(&self.at).is_err() {
            assert!(began.elapsed() < PATIENCE, "nginx does not listen");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers would outlive a kill.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// What deploy/nginx says of the way to the nodes, without TLS and limits.
fn site(at: &str, nodes: &[String]) -> String {
    let mut servers = String::new();
    for node in nodes {
        // A node that restarts is tried again soon.
        writeln!(servers, "server {node} max_fails=1 fail_timeout=1s;").unwrap();
    }
    format!(
        "daemon off; worker_processes 2; pid nginx.pid; worker_shutdown_timeout {WORKER_LEAVES_S}s;
events {{ worker_connections 4096; }}
http {{
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    upstream hongyan {{ least_conn; {servers} }}
    map $http_upgrade $hongyan_connection {{ default upgrade; '' ''; }}
    server {{
        listen {at};
        location / {{
            proxy_pass http://hongyan; proxy_http_version 1.1; proxy_buffering off;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $hongyan_connection;
            proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
            proxy_connect_timeout 2s; proxy_read_timeout 120s; proxy_send_timeout 120s;
        }}
    }}
}}
"
    )
}
