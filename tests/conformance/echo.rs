//! Starts the example, sends it a case and reads what comes back, judging every byte of it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::case::{Case, Said, report};
use super::harness::PATIENCE;

/// Ends with the test.
struct Echo {
    child: Child,
    at: String,
}

impl Echo {
    fn start() -> Self {
        let tests = std::env::current_exe().unwrap();
        let binary = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples/echo");
        assert!(
            binary.exists(),
            "the example is not built: run `cargo build --example echo`, then the test again"
        );
        let mut child = Command::new(binary).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line
            .trim()
            .strip_prefix("echo: listening at ")
            .unwrap_or_else(|| panic!("it says {line:?}"))
            .to_owned();
        Self { child, at }
    }

    /// The example ends by itself when it is asked to.
    fn end(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How the bytes of a case are handed to the network.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    /// The start and the end byte by byte, a long middle in larger pieces.
    Singly,
    Odd,
}

impl Cut {
    fn of(self, bytes: &[u8]) -> Vec<&[u8]> {
        const EDGE: usize = 400;
        match self {
            Self::Whole => vec![bytes],
            Self::Singly if bytes.len() <= 2 * EDGE => bytes.chunks(1).collect(),
            Self::Singly => {
                let (start, rest) = bytes.split_at(EDGE);
                let (middle, end) = rest.split_at(rest.len() - EDGE);
                start.chunks(1).chain(middle.chunks(1_021)).chain(end.chunks(1)).collect()
            }
            Self::Odd => {
                let mut rest = bytes;
                let mut pieces = Vec::new();
                for size in [3, 7, 2, 5, 11, 1, 13, 4_099].iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (piece, behind) = rest.split_at(rest.len().min(*size));
                    pieces.push(piece);
                    rest = behind;
                }
                pieces
            }
        }
    }
}

/// Holds the echo against every case, cut in every way, all at once: each that ends in a fault waits out the
/// time a peer has to answer.
pub async fn hold(group: &str, cases: Vec<Case>) {
    let echo = Echo::start();
    let at = &echo.at;
    let failed = join_all(cases.iter().map(async |case| {
        let runs = [Cut::Whole, Cut::Singly, Cut::Odd].map(async |cut| {
            let told = run(at, case, cut).await.err();
            told.map(|why| format!("{} (RFC 6455 §{}, {cut:?}): {why}", case.name, case.section))
        });
        join_all(runs).await.into_iter().flatten().next()
    }));
    let failed: Vec<String> = failed.await.into_iter().flatten().collect();
    echo.end();
    report(group, cases.len(), &failed);
}

async fn run(at: &str, case: &Case, cut: Cut) -> Result<(), String> {
    let mut socket = shake(at).await;
    for piece in cut.of(&case.sent) {
        // A server that has ended the connection takes no more; what it said before is read all the same.
        if timeout(PATIENCE, socket.write_all(piece)).await.map_err(|_| "the server does not read")?.is_err()
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    if case.hangs_up {
        let _ = socket.shutdown().await;
    }
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, socket.read_to_end(&mut bytes))
        .await
        .map_err(|_| "the server does not end the connection")?;
    let got = frames(&bytes)?;
    if got != case.want {
        return Err(format!("got {}, not {}", shown(&got), shown(&case.want)));
    }
    match ended {
        Err(error) if !case.may_reset => Err(format!("the connection ended with {error}")),
        _ => Ok(()),
    }
}

async fn shake(at: &str) -> TcpStream {
    let mut socket = TcpStream::connect(at).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: echo\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, socket.read_u8()).await.expect("the handshake hangs").unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    socket
}

/// Frames of a server: whole, unmasked, without reserved bits, their lengths in the shortest form (§5.1,
/// §5.2).
fn frames(bytes: &[u8]) -> Result<Vec<Said>, String> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let [first, second, behind @ ..] = rest else { return Err("half a header".into()) };
        let (length, behind, least) = match (second, behind) {
            (0..=125, _) => (u64::from(*second), behind, 0),
            (126, [a, b, behind @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), behind, 126),
            (127, [a, b, c, d, e, f, g, h, behind @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), behind, 65_536)
            }
            _ => return Err(format!("masked, or half a header: {first:x} {second:x}")),
        };
        if length < least {
            return Err(format!("{length} is not in its shortest form"));
        }
        let length = usize::try_from(length).unwrap();
        let (payload, behind) = behind.split_at_checked(length).ok_or("half a frame")?;
        rest = behind;
        all.push(match (first, payload) {
            (0x81, text) => Said::Text(text.to_vec()),
            (0x8A, data) => Said::Pong(data.to_vec()),
            (0x88, []) => Said::Close(None),
            (0x88, [a, b, reason @ ..]) if std::str::from_utf8(reason).is_ok() => {
                Said::Close(Some(u16::from_be_bytes([*a, *b])))
            }
            _ => return Err(format!("a frame {first:x} with {payload:?}")),
        });
    }
    Ok(all)
}

/// Short enough to be read.
fn shown(all: &[Said]) -> String {
    format!("{all:?}").chars().take(200).collect()
}
