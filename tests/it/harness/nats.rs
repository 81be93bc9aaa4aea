//! A nats-server of a test's own, which can be stopped, frozen and killed.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::PATIENCE;

/// Ends with the test.
pub struct Nats {
    program: String,
    pub port: u16,
    /// What it is told beside where to listen.
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Nats {
    /// `None`, and a word on why, without the program that `make test` finds or installs.
    pub fn start() -> Option<Self> {
        Self::with(Vec::new())
    }

    /// One of a cluster: it takes routes from others at this port, and keeps one of its own to that address.
    pub fn in_cluster(route_port: u16, route: Option<&str>) -> Option<Self> {
        let own = format!("nats://127.0.0.1:{route_port}");
        let mut arguments =
            ["--cluster_name", "hongyan", "--cluster", &own, "--no_advertise"].map(str::to_owned).to_vec();
        if let Some(route) = route {
            arguments.extend(["--routes".to_owned(), format!("nats-route://{route}")]);
        }
        Self::with(arguments)
    }

    /// One that takes its rights from this file.
    pub fn of_file(file: &std::path::Path) -> Option<Self> {
        Self::with(vec!["-c".to_owned(), file.display().to_string()])
    }

    fn with(arguments: Vec<String>) -> Option<Self> {
        let Ok(program) = std::env::var("HONGYAN_TEST_NATS") else {
            println!("skipped: HONGYAN_TEST_NATS is not set; `make test` finds nats-server");
            return None;
        };
        // A port that was free a moment ago; nobody else binds to it meanwhile but by chance.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut nats = Self { program, port, arguments, child: None };
        nats.resume();
        Some(nats)
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it on the same port, and waits until it listens.
    pub fn resume(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new(&self.program);
        command
            .args(["-a", "127.0.0.1", "-p", &port])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "nats-server does not listen");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) {
        self.signal("TERM");
        self.child.take().unwrap().wait().unwrap();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
