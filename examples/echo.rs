//! The transport of real sessions behind an echo: what `tests/conformance.rs` holds against RFC 6455.
//!
//! Frames, control frames and closes are judged and answered by the code of the server itself, under its
//! default limits. Only a text leads to something else here: it is said back.

use std::io;
use std::sync::Arc;

use actix::{Recipient, System};
use actix_http::ws::hash_key;
use bytes::{Bytes, BytesMut};
use hongyan::chat::messages::Wake;
use hongyan::chat::outbox::{Bounds, Outbox};
use hongyan::protocol::Dialect;
use hongyan::session::Outcome;
use hongyan::session::driver::{ConnectionHandler, Driver, Next};
use hongyan::session::frame_guard::SocketLimits;
use hongyan::session::takeover;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

const LIMITS: SocketLimits = SocketLimits { frame_bytes: 64 * 1024, fragments: 16 };
const OUTBOX_BYTES: usize = 1024 * 1024;
const OUTBOXES_BYTES: usize = 32 * 1024 * 1024;

/// The longest head of a request that is read.
const HEAD_BYTES: usize = 8 * 1024;

struct Echo;

impl ConnectionHandler for Echo {
    fn started(&mut self, _: &Arc<Outbox>, _: Recipient<Wake>) -> Next {
        Next::Nothing
    }

    fn text(&mut self, text: &str, _: u64) -> Outcome {
        Outcome::Reply(text.into())
    }
}

fn main() -> io::Result<()> {
    System::new().block_on(serve())
}

async fn serve() -> io::Result<()> {
    let outboxes = Bounds::new(OUTBOX_BYTES, OUTBOXES_BYTES, Gauge::default());
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("echo: listening at {}", listener.local_addr()?);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            accepted = listener.accept() => {
                let (socket, _) = accepted?;
                let outboxes = outboxes.clone();
                actix::spawn(async move {
                    if let Err(error) = connect(socket, outboxes).await {
                        eprintln!("echo: {error}");
                    }
                });
            }
        }
    }
}

/// Takes the key as it comes: the real handshake stands in the server, and is tested there.
async fn connect(mut socket: TcpStream, outboxes: Arc<Bounds>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (head, early) = head(&mut socket).await?;
    let key = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map(|(_, key)| hash_key(key.trim().as_bytes()))
        .ok_or_else(|| io::Error::other("a request without a key"))?;
    let key = String::from_utf8_lossy(&key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
    );
    let driver = Driver::new(Echo, Dialect::V1, outboxes);
    driver.gate().open();
    takeover::start(driver, LIMITS, (), socket, BytesMut::from(answer.as_str()), early);
    Ok(())
}

/// The head of a request, and what came behind it.
async fn head(socket: &mut TcpStream) -> io::Result<(String, Bytes)> {
    let mut read = BytesMut::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = read.split_to(end + 4);
            return Ok((String::from_utf8_lossy(&head).into_owned(), read.freeze()));
        }
        if read.len() > HEAD_BYTES || socket.read_buf(&mut read).await? == 0 {
            return Err(io::Error::other("no whole head of a request"));
        }
    }
}
