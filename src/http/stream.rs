//! An accepted socket: it holds its place among the port's connections, and ends when it must make room or
//! when its peer does not read.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::{TcpStream, UnixStream};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::either::Either;

use super::connections::{ConnectionHandle, ConnectionPermit};

/// Bytes that the kernel keeps unsent for a peer that does not read (tcp(7), `TCP_NOTSENT_LOWAT`). Left alone
/// it would take megabytes.
const UNSENT_BYTES: u32 = 128 << 10;

/// An accepted socket.
pub type Socket = Either<TcpStream, UnixStream>;

/// Address of the peer; `None` behind a Unix socket.
pub fn peer(socket: &Socket) -> Option<SocketAddr> {
    match socket {
        Either::Left(tcp) => tcp.peer_addr().ok(),
        Either::Right(_) => None,
    }
}

/// Sets what HTTP needs. The kernel drops a socket when what was sent stays unread or unacknowledged for
/// `unsent_after` (tcp(7), `TCP_USER_TIMEOUT`), because a session whose peer does not read is not polled and
/// cannot drop itself.
pub fn prepare(socket: &Socket, unsent_after: Duration) {
    let Either::Left(tcp) = socket else { return };
    let socket = SockRef::from(tcp);
    let set = tcp
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_user_timeout(Some(unsent_after)))
        .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT_BYTES));
    if let Err(error) = set {
        log::debug!(error:% = error; "a socket could not be set up");
    }
}

/// Writes as much as goes at once, past the runtime: a socket just accepted is not known to be writable yet.
pub fn write_at_once(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    match socket {
        Either::Left(tcp) => SockRef::from(tcp).send(bytes),
        Either::Right(unix) => SockRef::from(unix).send(bytes),
    }
}

/// A socket and its place among the connections of its port.
pub struct GuardedStream {
    // Closed before its place is given back.
    socket: Socket,
    permit: ConnectionPermit,
    write_timeout: Duration,
    /// Runs while the peer takes nothing of what is to be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl GuardedStream {
    pub fn new(socket: Socket, permit: ConnectionPermit, write_timeout: Duration) -> Self {
        Self { socket, permit, write_timeout, stalled: None }
    }

    pub fn handle(&self) -> ConnectionHandle {
        self.permit.handle()
    }

    /// The socket for a session, which has bounds of its own.
    pub fn into_session(self) -> Socket {
        if let Either::Left(tcp) = &self.socket {
            // 0: the system's default (Linux, net.ipv4.tcp_notsent_lowat).
            let _ = SockRef::from(tcp).set_tcp_notsent_lowat(0);
        }
        self.socket
    }

    fn stay(&self, cx: &Context<'_>) -> io::Result<()> {
        if self.permit.must_close(cx.waker()) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Watches a write: one that goes on stops the clock, one that stands still lets it run.
    fn watch<R>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if write.is_ready() || self.permit.is_session() {
            self.stalled = None;
            return write;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stay(cx)?;
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stay(cx)?;
        let write = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watch(cx, write)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stay(cx)?;
        let write = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.watch(cx, write)
    }
}
