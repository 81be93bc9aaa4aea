//! A PgBouncer of a test's own, in transaction mode: it gives each transaction another connection, and keeps
//! few of them.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Whom it runs as where the test runs as root, which it refuses.
const NOBODY: u32 = 65_534;

/// Ends with the test.
pub struct PgBouncer {
    folder: TempDir,
    program: PathBuf,
    port: u16,
    child: Child,
}

/// Where PgBouncer is, or why it is not used.
///
/// # Errors
/// What to print.
pub fn program() -> Result<PathBuf, &'static str> {
    match std::env::var_os("HONGYAN_TEST_PGBOUNCER") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Err("HONGYAN_TEST_PGBOUNCER is not set; `make test` finds or installs PgBouncer"),
    }
}

impl PgBouncer {
    /// Before the PostgreSQL of such a URL, with the settings that docs/OPERATIONS.md names.
    pub fn before(url: &str, program: PathBuf) -> Self {
        let authority = url.split_once("://").unwrap().1.split('/').next().unwrap();
        let (user, address) = authority.rsplit_once('@').unwrap();
        let (host, target) = address.rsplit_once(':').unwrap();
        let folder = tempfile::tempdir().unwrap();
        // A port that was free a moment ago; nobody else binds to it meanwhile but by chance.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n* = host={host} port={target} user={user}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\nlogfile = {}\n\
             pool_mode = transaction\ndefault_pool_size = 3\nquery_wait_timeout = 2\nserver_login_retry = 1\n",
            folder.path().join("log").display()
        );
        std::fs::write(folder.path().join("pgbouncer.ini"), settings).unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), None).unwrap();
        }
        let child = launch(&program, folder.path(), port);
        Self { folder, program, port, child }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://hongyan@127.0.0.1:{}/{database}", self.port)
    }

    /// Ends it at once, as a crash does.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn start(&mut self) {
        self.child = launch(&self.program, self.folder.path(), self.port);
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!(
                "--- PgBouncer's log\n{}---",
                std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
            );
        }
    }
}

fn launch(program: &Path, folder: &Path, port: u16) -> Child {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.arg("-q").arg(folder.join("pgbouncer.ini")).current_dir(folder);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "PgBouncer does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn is_root() -> bool {
    // SAFETY: it reads a number.
    unsafe { libc::geteuid() == 0 }
}
