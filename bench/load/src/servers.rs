//! The servers that are measured: started in folders of their own, held to one core, ended with their value.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The core that servers run on; the load runs on the other one.
pub const SERVER_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;

const START: Duration = Duration::from_secs(30);

/// Where the programs are, and where they may write. A measurement gives those that it starts.
#[derive(Default)]
pub struct Programs {
    pub hongyan: PathBuf,
    pub baseline: PathBuf,
    pub router: PathBuf,
    /// Variables of [`SETTINGS`] that this build does not know.
    pub unknown: Vec<String>,
    pub data: PathBuf,
}

/// A running server and its folder; both end with it.
pub struct Server {
    pub at: SocketAddr,
    child: Child,
    folder: tempfile::TempDir,
    /// The baseline's double of WeChat.
    _double: Option<Box<Server>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Programs {
    pub fn folder(&self) -> Result<tempfile::TempDir> {
        std::fs::create_dir_all(&self.data)?;
        Ok(tempfile::Builder::new().prefix("run.").tempdir_in(&self.data)?)
    }

    fn command(&self, folder: &Path) -> Result<Command> {
        let mut command = pinned(SERVER_CORE, &std::path::absolute(&self.hongyan)?);
        command.current_dir(folder).envs(SETTINGS);
        for name in &self.unknown {
            command.env_remove(name);
        }
        Ok(command)
    }

    /// One node of several, held to no core.
    pub fn node(&self, settings: &[(&str, &str)]) -> Result<Server> {
        let mut command = Command::new(std::path::absolute(&self.hongyan)?);
        command.envs(SETTINGS);
        self.dev(command, self.folder()?, settings)
    }

    /// `hongyan dev`, without limits on what one user or one address may do.
    pub fn hongyan(&self, settings: &[(&str, &str)]) -> Result<Server> {
        self.hongyan_in(self.folder()?, settings)
    }

    /// The same on a database that is there.
    pub fn hongyan_in(&self, folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Result<Server> {
        self.dev(self.command(folder.path())?, folder, settings)
    }

    fn dev(
        &self,
        mut command: Command,
        folder: tempfile::TempDir,
        settings: &[(&str, &str)],
    ) -> Result<Server> {
        command.arg("dev").current_dir(folder.path()).envs(settings.iter().copied());
        let (child, at) = start(
            command,
            folder.path(),
            |line| line.strip_prefix("hongyan: chat at ").map(str::to_owned),
            "hongyan: ready",
        )?;
        Ok(Server { at: at.parse()?, child, folder, _double: None })
    }

    /// Makes hongyan's tables in `folder`; the path of the database.
    pub fn migrate(&self, folder: &Path) -> Result<PathBuf> {
        let done = self.command(folder)?.args(["migrate", "--dev"]).stderr(Stdio::null()).status()?;
        ensure!(done.success(), "hongyan migrate failed");
        Ok(folder.join("data/hongyan.db"))
    }

    /// The double of WeChat, on the core of the load.
    pub fn double(&self) -> Result<Server> {
        let folder = self.folder()?;
        let mut command = pinned(LOAD_CORE, &std::path::absolute(&self.hongyan)?);
        command.current_dir(folder.path()).args(["fake-wechat", "--listen", "127.0.0.1:0"]);
        let (child, at) = start(
            command,
            folder.path(),
            |line| line.strip_prefix("hongyan: wechat double at ").map(str::to_owned),
            "hongyan: wechat double",
        )?;
        Ok(Server { at: at.parse()?, child, folder, _double: None })
    }

    /// The router on uWebSockets.js.
    pub fn router(&self) -> Result<Server> {
        let folder = self.folder()?;
        let port = free_port()?.to_string();
        let mut command = pinned(SERVER_CORE, Path::new("node"));
        command.arg(std::path::absolute(self.router.join("server.js"))?).args(["--port", &port]);
        let (child, _) = start(command, folder.path(), |_| None, "ready")?;
        Ok(Server { at: format!("127.0.0.1:{port}").parse()?, child, folder, _double: None })
    }

    /// The seed's design in Node, with a double of WeChat on the other core.
    pub fn baseline(&self) -> Result<Server> {
        let double = self.double()?;
        let folder = self.folder()?;
        let port = free_port()?.to_string();
        let mut command = pinned(SERVER_CORE, Path::new("node"));
        command.arg(std::path::absolute(self.baseline.join("server.js"))?).current_dir(folder.path());
        command.args([
            "--port",
            &port,
            "--wechat",
            &format!("http://{}", double.at),
            "--appid",
            APPID,
            "--secret",
            SECRET,
        ]);
        let (child, _) = start(command, folder.path(), |_| None, "ready")?;
        Ok(Server {
            at: format!("127.0.0.1:{port}").parse()?,
            child,
            folder,
            _double: Some(Box::new(double)),
        })
    }
}

/// What the double alone expects.
const APPID: &str = "wx-dev";
const SECRET: &str = "dev-secret";

const SETTINGS: [(&str, &str); 15] = [
    ("HONGYAN_SERVER__LISTEN", "127.0.0.1:0"),
    ("HONGYAN_OPS__LISTEN", "127.0.0.1:0"),
    ("HONGYAN_SERVER__WORKERS", "1"),
    ("HONGYAN_LIMITS__MESSAGES_PER_SECOND", "0"),
    ("HONGYAN_LIMITS__BYTES_PER_DAY", "0"),
    ("HONGYAN_LIMITS__HTTP_PER_SECOND", "0"),
    ("HONGYAN_LIMITS__ANSWER_BYTES_PER_SECOND", "0"),
    ("HONGYAN_LIMITS__HANDSHAKES_PER_SECOND", "0"),
    ("HONGYAN_LIMITS__HANDSHAKES_PER_SECOND_PER_ADDRESS", "0"),
    ("HONGYAN_LIMITS__SESSIONS_PER_ADDRESS", "0"),
    ("HONGYAN_LIMITS__CONNECTIONS_PER_ADDRESS", "0"),
    ("HONGYAN_LIMITS__SESSIONS_PER_USER", "0"),
    ("HONGYAN_LIMITS__NEW_CONVERSATIONS_PER_DAY", "0"),
    ("HONGYAN_SAFETY__MODE", "off"),
    ("HONGYAN_NOTICE__TEMPLATE_ID", ""),
];

impl Server {
    /// Resident memory, in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// Processor time that its threads have used.
    pub fn processor_time(&self) -> Result<Duration> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        threads
            .map(|thread| {
                // One that has ended meanwhile has no file: servers keep their threads.
                let text = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
                let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
                Ok(Duration::from_nanos(nanos))
            })
            .sum()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// Starts it and reads what it prints up to the line that begins with `ready`; gives what `find` found.
fn start(
    mut command: Command,
    folder: &Path,
    find: fn(&str) -> Option<String>,
    ready: &'static str,
) -> Result<(Child, String)> {
    let log = folder.join("log");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log)?);
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let out = BufReader::new(child.stdout.take().context("no output")?);
    let (tell, told) = mpsc::channel();
    // Goes on reading, so that the server never waits for its output to be read.
    std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
    let mut found = String::new();
    loop {
        let Ok(line) = told.recv_timeout(START) else {
            let _ = child.kill();
            let _ = child.wait();
            anyhow::bail!("it did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        if let Some(at) = find(&line) {
            found = at;
        }
        if line.starts_with(ready) {
            return Ok((child, found));
        }
    }
}
