//! Few descriptors: a start says how many it needs, and no process lives that nobody hears.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::harness::{Client, Http, eventually};

const WORKERS: usize = 8;

/// `hongyan dev` under a limit, with so many descriptors taken by what it inherits.
struct Limited {
    folder: tempfile::TempDir,
    child: Child,
    chat: String,
    ops: String,
}

impl Limited {
    fn start(limit: u64, inherited: usize) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (folder, chat, ops) = (tempfile::tempdir().unwrap(), free(), free());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
        command.arg("dev").current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.env("HONGYAN_SERVER__LISTEN", &chat).env("HONGYAN_OPS__LISTEN", &ops);
        command.env("HONGYAN_SERVER__WORKERS", WORKERS.to_string());
        let limited = move || {
            // Without the flag that closes them at an exec.
            (0..inherited).try_for_each(|_| {
                if unsafe { libc::dup(0) } < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            })?;
            Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) })?)
        };
        // SAFETY: only system calls are made between fork and exec.
        let child = unsafe { command.pre_exec(limited) }.spawn().unwrap();
        Self { folder, child, chat, ops }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Whether it has ended; `None` while it neither has nor answers on both ports.
    async fn settles(&mut self) -> bool {
        let Self { child, chat, ops, .. } = self;
        eventually("an end, or two ports that answer", async || {
            if child.try_wait().unwrap().is_some() {
                return Some(true);
            }
            [&*chat, &*ops].into_iter().all(|at| is_alive(at).is_ok_and(|alive| alive)).then_some(false)
        })
        .await
    }
}

fn is_alive(at: &str) -> std::io::Result<bool> {
    let mut socket = TcpStream::connect(at)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    socket.read_exact(&mut answer)?;
    Ok(&answer == b"HTTP/1.1 200")
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}

#[actix_web::test]
async fn a_start_with_too_few_descriptors_says_how_many_it_needs() {
    let mut few = Limited::start(64, 0);
    assert!(few.settles().await);
    assert_eq!(few.child.wait().unwrap().code(), Some(1));
    let log = few.log();
    assert_eq!(log.lines().count(), 1, "{log}");
    let needed = log.split_once("the limit on open files is 64, and these settings need ").unwrap().1;
    let needed: u64 = needed.split(':').next().unwrap().parse().unwrap();

    let mut enough = Limited::start(needed, 0);
    assert!(!enough.settles().await);
    eventually("ready", async || (Http::new(&enough.ops, None).get("/readyz").await.0 == 200).then_some(()))
        .await;
    let mut alice =
        Client::connect(&format!("ws://{}/alice?code=dev:alice", enough.chat), &["hongyan.v1"], None)
            .await
            .unwrap();
    alice.expect("init").await;
    assert_eq!(alice.say("bob", "1", "x").await["seq"], 1);
    assert!(!enough.log().contains("panic"), "{}", enough.log());
}

#[actix_web::test]
async fn a_start_counts_what_it_inherits_and_either_ends_or_answers() {
    let (mut ended, mut answered) = (0, 0);
    for inherited in (0..=170).step_by(10) {
        let mut server = Limited::start(180, inherited);
        if server.settles().await {
            assert!(
                server.log().contains("the limit on open files is 180, and these settings need "),
                "{}",
                server.log()
            );
            ended += 1;
        } else {
            answered += 1;
        }
    }
    assert!(ended > 0 && answered > 0, "{ended} ended, {answered} answered: the limit never mattered");
}
