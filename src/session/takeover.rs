//! The transport that takes the socket over at the upgrade: nothing of HTTP is left behind, and an idle
//! session has no buffer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Task, Poll, Waker, ready};

use actix::fut::ActorFuture;
use actix::{
    Actor, ActorContext, ActorFutureExt as _, AsyncContext, Context, Handler, StreamHandler, WrapFuture as _,
};
use actix_http::ws::{Codec, Message};
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::codec::Encoder as _;

use super::driver::{CLOSE_WAIT, ConnectionHandler, Driver, Next, Then};
use super::frame_guard::SocketLimits;
use super::message_stream::{MessageStream, SocketEvent, Source};
use crate::chat::messages::Wake;

/// Header of a frame from a server, and payload of a control frame, at most (RFC 6455 §5.2, §5.5).
const FRAME_HEADER_BYTES: usize = 10;
const CONTROL_PAYLOAD_BYTES: usize = 125;

/// A connected socket.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Socket for T {}

/// The actor of one WebSocket. `Permit` is freed when it ends.
pub struct SessionActor<R: ConnectionHandler, T, Permit> {
    driver: Driver<R>,
    socket: Rc<RefCell<T>>,
    codec: Codec,
    /// Encoded, and not yet written.
    out: BytesMut,
    /// A spawned future waits for the socket to take more.
    pumping: bool,
    /// The session's end has its time limit.
    limited: bool,
    then: Then,
    _permit: Permit,
}

/// Starts the session on the socket. `answer` is the response to the handshake, `early` what came behind the
/// request.
pub fn start<R: ConnectionHandler, T: Socket, Permit: Unpin + 'static>(
    driver: Driver<R>,
    limits: SocketLimits,
    permit: Permit,
    socket: T,
    answer: BytesMut,
    early: Bytes,
) {
    SessionActor::create(|ctx: &mut Context<SessionActor<R, T, Permit>>| {
        let socket = Rc::new(RefCell::new(socket));
        ctx.add_stream(MessageStream::new(Reader(socket.clone()), early, limits, driver.gate()));
        SessionActor {
            driver,
            socket,
            codec: Codec::new(),
            out: answer,
            pumping: false,
            limited: false,
            then: Then::Stay,
            _permit: permit,
        }
    });
}

impl<R: ConnectionHandler, T: Socket, Permit: Unpin + 'static> SessionActor<R, T, Permit> {
    fn follow(&mut self, next: Next, ctx: &mut Context<Self>) {
        match next {
            Next::Nothing => {}
            Next::Deliver => self.deliver(ctx),
            Next::Ask(ask) => {
                let answer = ask.answer().into_actor(self);
                ctx.spawn(answer.map(|answered, actor, ctx| {
                    actor.driver.answered(answered);
                    actor.deliver(ctx);
                }));
            }
            Next::Stop => ctx.stop(),
        }
    }

    /// Writes what the socket takes at once; for the rest a future waits.
    fn deliver(&mut self, ctx: &mut Context<Self>) {
        if self.pumping {
            self.driver.stuck();
            self.limit_the_end(ctx);
            return;
        }
        match self.pump(&mut Task::from_waker(Waker::noop())) {
            Poll::Ready(done) => self.pumped(&done, ctx),
            Poll::Pending => {
                self.pumping = true;
                ctx.spawn(Pump);
                self.limit_the_end(ctx);
            }
        }
    }

    /// Writes until the outbox is empty.
    fn pump(&mut self, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        // Whoever puts something into the outbox after it was emptied sends a wake.
        let mut more = true;
        loop {
            while !self.out.is_empty() {
                let written = ready!(Pin::new(&mut *self.socket.borrow_mut()).poll_write(task, &self.out))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.out.advance(written);
            }
            self.out = BytesMut::new();
            if !more {
                return Poll::Ready(Ok(()));
            }
            let outgoing = self.driver.outgoing();
            if outgoing.messages.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.out.reserve(outgoing.messages.iter().map(encoded_bytes).sum());
            for message in outgoing.messages {
                self.codec.encode(message, &mut self.out).map_err(io::Error::other)?;
            }
            (self.then, more) = (outgoing.then, outgoing.more);
        }
    }

    fn pumped(&mut self, done: &io::Result<()>, ctx: &mut Context<Self>) {
        match (done, self.then) {
            (Err(_), _) | (_, Then::Stop) => ctx.stop(),
            (_, Then::AwaitClose) => self.limit_the_end(ctx),
            (_, Then::Stay) => {}
        }
    }

    /// A session that is to end has [`CLOSE_WAIT`] for it: a peer that does not read would keep it for ever.
    fn limit_the_end(&mut self, ctx: &mut Context<Self>) {
        if self.driver.is_ending() && !std::mem::replace(&mut self.limited, true) {
            ctx.run_later(CLOSE_WAIT, |_, ctx| ctx.stop());
        }
    }
}

/// The most that a message takes as a frame.
fn encoded_bytes(message: &Message) -> usize {
    FRAME_HEADER_BYTES
        + match message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
            _ => CONTROL_PAYLOAD_BYTES,
        }
}

/// Goes on with [`SessionActor::pump`] whenever the socket takes more.
struct Pump;

impl<R: ConnectionHandler, T: Socket, Permit: Unpin + 'static> ActorFuture<SessionActor<R, T, Permit>>
    for Pump
{
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut SessionActor<R, T, Permit>,
        ctx: &mut Context<SessionActor<R, T, Permit>>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        let done = ready!(actor.pump(task));
        actor.pumping = false;
        actor.pumped(&done, ctx);
        Poll::Ready(())
    }
}

impl<R: ConnectionHandler, T: Socket, Permit: Unpin + 'static> Actor for SessionActor<R, T, Permit> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let _ = self.driver.started(ctx.address().recipient());
        // The answer to the handshake goes out first.
        self.deliver(ctx);
    }
}

impl<R: ConnectionHandler, T: Socket, Permit: Unpin + 'static> Handler<Wake> for SessionActor<R, T, Permit> {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.deliver(ctx);
    }
}

impl<R: ConnectionHandler, T: Socket, Permit: Unpin + 'static> StreamHandler<SocketEvent>
    for SessionActor<R, T, Permit>
{
    fn handle(&mut self, said: SocketEvent, ctx: &mut Self::Context) {
        let next = self.driver.received(said);
        self.follow(next, ctx);
    }
}

/// The reading half: one buffer a thread serves all sockets of it.
struct Reader<T>(Rc<RefCell<T>>);

/// What is read in one go.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8; READ_BYTES]>> = RefCell::new(Box::new([0; READ_BYTES]));
}

impl<T: Socket> Source for Reader<T> {
    fn poll_bytes(&mut self, cx: &mut Task<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<bool> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..]);
            let read = ready!(Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, &mut buffer));
            let bytes = buffer.filled();
            if read.is_err() || bytes.is_empty() {
                return Poll::Ready(false);
            }
            sink(bytes);
            Poll::Ready(true)
        })
    }
}
