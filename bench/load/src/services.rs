//! The programs of others that the measurements of several nodes need: PostgreSQL, NATS and ejabberd, thrown
//! away after use.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, getuid, kill_process_group};
use tempfile::TempDir;

use crate::servers::{Programs, free_port};
use crate::xmpp;

const START: Duration = Duration::from_secs(60);

/// What both sides have. Durable: a commit waits for the disk. Room enough that no round meets a checkpoint
/// or a table read anew.
const SETTINGS: [&str; 9] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_connections=200",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
];

/// A process and those it has started; they end with their value.
struct Service {
    child: Child,
    log: PathBuf,
    ending: Signal,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), self.ending);
        let _ = self.child.wait();
    }
}

impl Service {
    /// Starts it and waits until it takes connections at `port`.
    fn start(mut command: Command, folder: &Path, port: u16, ending: Signal) -> Result<Self> {
        let log = folder.join("log");
        let out = File::create(&log)?;
        command
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let mut service = Self { child, log, ending };
        let deadline = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = service.child.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                bail!(
                    "{command:?} did not start: {}",
                    std::fs::read_to_string(&service.log).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(service)
    }
}

/// Commands as `user` where this process is root: PostgreSQL refuses to run as root, and nobody else may
/// write what is its own.
struct Owner(Option<(u32, u32)>);

impl Owner {
    fn named(user: &str) -> Result<Self> {
        if !getuid().is_root() {
            return Ok(Self(None));
        }
        let id = |which: &str| -> Result<u32> {
            let out = Command::new("id").args([which, user]).output()?;
            ensure!(out.status.success(), "there is no user {user}");
            Ok(String::from_utf8(out.stdout)?.trim().parse()?)
        };
        Ok(Self(Some((id("-u")?, id("-g")?))))
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }

    fn folder(&self, programs: &Programs) -> Result<TempDir> {
        let folder = programs.folder()?;
        if let Some((user, group)) = self.0 {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))?;
        }
        Ok(folder)
    }
}

pub struct Postgres {
    bin: PathBuf,
    port: u16,
    _service: Service,
    _folder: TempDir,
}

impl Postgres {
    pub fn start(bin: &Path, programs: &Programs) -> Result<Self> {
        let owner = Owner::named("postgres")?;
        let folder = owner.folder(programs)?;
        let data = folder.path().join("data");
        let mut command = owner.command(bin.join("initdb"));
        command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
        let made = command.current_dir(folder.path()).output().context("initdb")?;
        ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port()?;
        let mut command = owner.command(bin.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // To its children, which lead groups of their own, PostgreSQL passes on this one.
        let service = Service::start(command, folder.path(), port, Signal::QUIT)?;
        let postgres = Self { bin: bin.to_owned(), port, _service: service, _folder: folder };
        let deadline = Instant::now() + START;
        while postgres.ask("postgres", "SELECT 1").is_err() {
            ensure!(Instant::now() < deadline, "PostgreSQL does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(postgres)
    }

    /// An empty database, gone with its value.
    pub fn database(&self, name: &'static str) -> Result<Database<'_>> {
        // What the side before has left in memory is written now, and not while this one is measured.
        self.ask("postgres", "CHECKPOINT")?;
        self.ask("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(Database { postgres: self, name })
    }

    fn ask(&self, database: &str, sql: &str) -> Result<String> {
        self.psql(database, &["-c", sql])
    }

    fn psql(&self, database: &str, what: &[&str]) -> Result<String> {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database)]).args(what);
        let out = command.output().context("psql")?;
        ensure!(out.status.success(), "psql {what:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?.trim().to_owned())
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

pub struct Database<'a> {
    postgres: &'a Postgres,
    name: &'static str,
}

impl Database<'_> {
    pub fn url(&self) -> String {
        self.postgres.url(self.name)
    }

    pub fn count(&self, table: &str) -> Result<u64> {
        Ok(self.postgres.ask(self.name, &format!("SELECT count(*) FROM {table}"))?.parse()?)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let _ = self.postgres.ask("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

pub struct Nats {
    pub url: String,
    _service: Service,
    _folder: TempDir,
}

impl Nats {
    pub fn start(programs: &Programs) -> Result<Self> {
        let folder = programs.folder()?;
        let port = free_port()?;
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        let service = Service::start(command, folder.path(), port, Signal::KILL)?;
        Ok(Self { url: format!("nats://127.0.0.1:{port}"), _service: service, _folder: folder })
    }
}

/// ejabberd as its package starts it, with the message archive in a database of its own, and no module that
/// this load has no use for.
pub struct Ejabberd {
    pub at: SocketAddr,
    _service: Service,
    _folder: TempDir,
}

const SCHEMA: &str = "/usr/share/ejabberd/sql/pg.sql";

impl Ejabberd {
    pub fn start(
        programs: &Programs,
        database: &Database<'_>,
        users: usize,
        sql_pool: usize,
    ) -> Result<Self> {
        let postgres = database.postgres;
        postgres.psql(database.name, &["-f", SCHEMA])?;
        let accounts = format!(
            "INSERT INTO users (username, password) SELECT 'u' || to_char(n, 'FM00000'), '{}' FROM generate_series(0, {users} - 1) n",
            xmpp::PASSWORD
        );
        postgres.ask(database.name, &accounts)?;

        let owner = Owner::named("ejabberd")?;
        let folder = owner.folder(programs)?;
        let (port, distribution) = (free_port()?, free_port()?);
        // Its listeners take five connections at a time when nobody says otherwise: too few for a load that
        // comes all at once.
        let settings = format!(
            "hosts: [{host}]\n\
             loglevel: warning\n\
             listen:\n  - {{port: {port}, ip: \"127.0.0.1\", module: ejabberd_c2s, backlog: 1024}}\n\
             auth_method: sql\n\
             auth_password_format: plain\n\
             default_db: sql\n\
             sql_type: pgsql\n\
             sql_server: 127.0.0.1\n\
             sql_port: {sql_port}\n\
             sql_database: {name}\n\
             sql_username: postgres\n\
             sql_pool_size: {sql_pool}\n\
             modules:\n  mod_mam: {{db_type: sql, default: always, assume_mam_usage: true}}\n",
            host = xmpp::HOST,
            sql_port = postgres.port,
            name = database.name,
        );
        let file = |name: &str, text: &str| -> Result<PathBuf> {
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let config = file("ejabberd.yml", &settings)?;
        // A port of its own for Erlang's distribution: no daemon is left behind.
        let ctl = file(
            "ejabberdctl.cfg",
            &format!("ERL_OPTIONS=\"-env ERL_CRASH_DUMP_BYTES 0\"\nERL_DIST_PORT={distribution}\n"),
        )?;
        let mut command = owner.command("/usr/sbin/ejabberdctl");
        command.env("HOME", folder.path()).arg("--config").arg(config).arg("--ctl-config").arg(ctl);
        command.arg("--spool").arg(folder.path()).arg("--logs").arg(folder.path()).arg("foreground");
        let service = Service::start(command, folder.path(), port, Signal::KILL)?;
        Ok(Self { at: SocketAddr::from(([127, 0, 0, 1], port)), _service: service, _folder: folder })
    }
}
