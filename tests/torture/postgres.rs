//! A PostgreSQL of a test's own, which can be stopped and started, and a wire to it that can be cut.

use std::fs::{OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::size::skipped;

/// Ends with the test.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// `None`, and a word on why, without the programs that `make test` finds or installs.
    pub fn start() -> Option<Self> {
        let postgres = Self::made()?;
        postgres.resume();
        Some(postgres)
    }

    /// The same, not started yet.
    pub fn made() -> Option<Self> {
        let postgres = Self::nowhere()?;
        postgres.run("initdb", &["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        Some(postgres)
    }

    /// One whose commits wait until a standby has them.
    pub fn synchronous() -> Option<Self> {
        let postgres = Self::made()?;
        postgres.resume_with("-c synchronous_standby_names='*'");
        Some(postgres)
    }

    /// A standby of this one, streaming.
    pub fn standby(&self) -> Self {
        let standby = Self::nowhere().unwrap();
        let from = format!("host=127.0.0.1 port={} user=postgres", self.port);
        standby.run("pg_basebackup", &["-R", "-X", "stream", "-c", "fast", "-d", &from]);
        standby.resume();
        standby
    }

    /// Makes a primary of a standby.
    pub fn promote(&self) {
        self.run("pg_ctl", &["-w", "promote"]);
    }

    /// Makes a standby of a stopped primary, as an operator does who has not rewound it: it may have nothing
    /// to stream.
    pub fn resume_as_standby_of(&self, primary: &Self) {
        let data = self.folder.path().join("data");
        let follow = format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n", primary.port);
        let mut settings = OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        settings.write_all(follow.as_bytes()).unwrap();
        std::fs::write(data.join("standby.signal"), "").unwrap();
        self.resume();
    }

    fn nowhere() -> Option<Self> {
        let Ok(programs) = std::env::var("HONGYAN_TEST_PG_BIN") else {
            skipped("HONGYAN_TEST_PG_BIN is not set; `make test` finds the programs of PostgreSQL");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        // A port that was free a moment ago; nobody else binds to it meanwhile but by chance.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if is_root() {
            assert!(
                Command::new("chown")
                    .args(["nobody", folder.path().to_str().unwrap()])
                    .status()
                    .unwrap()
                    .success()
            );
        }
        Some(Self { folder, programs: programs.into(), port })
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.address())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a crash does.
    pub fn stop(&self) {
        self.run("pg_ctl", &["-m", "immediate", "-w", "stop"]);
    }

    pub fn resume(&self) {
        self.resume_with("");
    }

    fn resume_with(&self, more: &str) {
        let options =
            format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' {more}", self.port);
        let log = self.folder.path().join("log");
        self.run("pg_ctl", &["-w", "-t", "60", "-l", log.to_str().unwrap(), "-o", &options, "start"]);
    }

    /// Makes it a standby of nobody and promotes it, as after a fail-over: it goes on in another timeline.
    pub fn change_timeline(&self) {
        self.run("pg_ctl", &["-m", "fast", "-w", "stop"]);
        let signal = self.folder.path().join("data/standby.signal");
        std::fs::write(&signal, "").unwrap();
        if is_root() {
            assert!(Command::new("chown").arg("nobody").arg(&signal).status().unwrap().success());
        }
        self.resume();
        self.promote();
    }

    /// From its next start on.
    pub fn serve_tls(&self, certificate: &Path, key: &Path) {
        let (folder, mut files) = (self.folder.path().join("data"), Vec::new());
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = folder.join(name);
            std::fs::copy(from, &to).unwrap();
            // Nobody else may read a key.
            std::fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
            files.push(to.to_str().unwrap().to_owned());
        }
        if is_root() {
            assert!(Command::new("chown").arg("nobody").args(files).status().unwrap().success());
        }
        let mut settings = OpenOptions::new().append(true).open(folder.join("postgresql.conf")).unwrap();
        settings.write_all(b"ssl = on\n").unwrap();
    }

    /// PostgreSQL refuses to run as root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "nobody", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let data = self.folder.path().join("data");
        command.args(["-D", data.to_str().unwrap()]).args(arguments);
        let done = command
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "{command:?}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.stop();
        }
    }
}

fn is_root() -> bool {
    // SAFETY: it reads a number.
    unsafe { libc::geteuid() == 0 }
}

/// A TCP proxy that, when told to, swallows every byte and says nothing: the peer's TCP acks, and that is
/// all. It has threads of its own, for the server wants to be served while the test waits for its start.
pub struct Wire {
    pub at: String,
    target: Arc<Mutex<String>>,
    is_cut: Arc<AtomicBool>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    pub fn to(target: String) -> Self {
        Self::from("127.0.0.1", target)
    }

    /// From a free port of this address.
    pub fn from(address: &str, target: String) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let wire =
            Self { at, target: Arc::new(Mutex::new(target)), is_cut: Arc::default(), ends: Arc::default() };
        let (target, is_cut, ends) = (wire.target.clone(), wire.is_cut.clone(), wire.ends.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let target = target.lock().unwrap().clone();
                let Ok(far) = TcpStream::connect(&target) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, is_cut) =
                        (from.try_clone().unwrap(), to.try_clone().unwrap(), is_cut.clone());
                    std::thread::spawn(move || pass(from, to, &is_cut));
                }
                ends.lock().unwrap().extend([near, far]);
            }
        });
        wire
    }

    /// Leads new connections elsewhere, as an address that moves; those that there are stay where they are.
    pub fn lead_to(&self, target: String) {
        *self.target.lock().unwrap() = target;
    }

    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// New connections pass again; those that lost bytes end.
    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !is_cut.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
