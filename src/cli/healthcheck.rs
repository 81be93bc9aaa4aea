//! Asks a running server whether it is ready: for containers and scripts, with nothing but the standard
//! library.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::config::{Config, Listen};
use crate::store::REPLY_TIMEOUT;

/// Connecting, asking and the answer, together: twice what `/readyz` gives its database.
const TIMEOUT: Duration = REPLY_TIMEOUT;
/// Of the answer, so much is read.
const ANSWER_BYTES: u64 = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("{at} does not answer")]
    Silent { at: String, source: io::Error },
    #[error("{at} answers {answer}")]
    Unready { at: String, answer: String },
}

/// Asks `/readyz` of the operators' port; without one, `/healthz` of the public one. Gives what was found, in
/// one line.
pub fn check(config: &Config) -> Result<String, NotReady> {
    match (config.ops.listen, &config.server.listen) {
        (Some(ops), _) => ask(&Listen::Tcp(ops), "/readyz"),
        (None, public) => ask(public, "/healthz"),
    }
}

fn ask(listen: &Listen, path: &str) -> Result<String, NotReady> {
    let at = match listen {
        Listen::Tcp(address) => format!("http://{}{path}", reachable(*address)),
        Listen::Unix(socket) => format!("unix:{} {path}", socket.display()),
    };
    let answer = exchange(listen, path).map_err(|source| NotReady::Silent { at: at.clone(), source })?;
    let head = answer.lines().next().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if head.starts_with("HTTP/1.1 200 ") {
        return Ok(one_line(format!("ready: {at} answers {body}")));
    }
    let answer = one_line(format!("{head} {body}"));
    Err(NotReady::Unready { at, answer })
}

/// The whole answer to a GET, head and body.
pub(super) fn exchange(listen: &Listen, path: &str) -> io::Result<String> {
    let deadline = Instant::now() + TIMEOUT;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    match listen {
        Listen::Tcp(address) => {
            let mut stream = TcpStream::connect_timeout(&reachable(*address), TIMEOUT)?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            stream.write_all(request.as_bytes())?;
            read(stream, TcpStream::set_read_timeout, deadline)
        }
        Listen::Unix(socket) => {
            let mut stream = UnixStream::connect(socket)?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            stream.write_all(request.as_bytes())?;
            read(stream, UnixStream::set_read_timeout, deadline)
        }
    }
}

/// Reads until the other side closes. The time-out is set anew for every read, so that a trickle cannot
/// stretch it.
fn read<S: Read>(
    mut stream: S,
    set_timeout: fn(&S, Option<Duration>) -> io::Result<()>,
    deadline: Instant,
) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut part = [0_u8; 1024];
    while (answer.len() as u64) < ANSWER_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        set_timeout(&stream, Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            n => answer.extend(part.iter().take(n)),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A server that listens on every address is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
