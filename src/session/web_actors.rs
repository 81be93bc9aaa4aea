//! The transport of actix-web-actors: the socket stays with the HTTP server, and the session is the body of
//! its answer.

use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt as _, AsyncContext, Handler, StreamHandler, WrapFuture as _,
};
use actix_web::error::PayloadError;
use actix_web::web::Payload;
use actix_web_actors::ws::{Message, ProtocolError, WebsocketContext};
use bytes::Bytes;
use futures_util::{Stream, stream};

use super::driver::{CLOSE_WAIT, ConnectionHandler, Driver, Next, Then};
use super::frame_guard::SocketLimits;
use super::message_stream::{MessageStream, SocketEvent, Source};
use crate::chat::messages::Wake;

/// Before the rest of a full outbox is handed on. The HTTP server polls its session, and with it this timer,
/// only while it has room.
const TAKE_AGAIN: Duration = Duration::from_millis(1);

/// The actor of one WebSocket. `Permit` is freed when it ends.
pub struct SessionActor<R: ConnectionHandler, Permit> {
    driver: Driver<R>,
    _permit: Permit,
}

type Context<R, Permit> = WebsocketContext<SessionActor<R, Permit>>;

/// Starts the session; the stream is the body of the 101 answer.
pub fn start<R: ConnectionHandler, Permit: Unpin + 'static>(
    driver: Driver<R>,
    limits: SocketLimits,
    permit: Permit,
    payload: Payload,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> + use<R, Permit> {
    // The context's own stream of frames stays silent: its codec buffers a frame before it judges its size.
    WebsocketContext::with_factory(stream::pending::<Result<Bytes, PayloadError>>(), move |ctx| {
        ctx.add_stream(MessageStream::new(payload, Bytes::new(), limits, driver.gate()));
        SessionActor { driver, _permit: permit }
    })
}

impl<R: ConnectionHandler, Permit: Unpin + 'static> SessionActor<R, Permit> {
    fn follow(&mut self, next: Next, ctx: &mut Context<R, Permit>) {
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

    fn deliver(&mut self, ctx: &mut Context<R, Permit>) {
        let outgoing = self.driver.outgoing();
        for message in outgoing.messages {
            ctx.write_raw(message);
        }
        if outgoing.more {
            ctx.run_later(TAKE_AGAIN, |actor, ctx| actor.deliver(ctx));
        }
        match outgoing.then {
            Then::Stay => {}
            Then::AwaitClose => {
                ctx.run_later(CLOSE_WAIT, |_, ctx| ctx.stop());
            }
            Then::Stop => ctx.stop(),
        }
    }
}

impl<R: ConnectionHandler, Permit: Unpin + 'static> Actor for SessionActor<R, Permit> {
    type Context = Context<R, Permit>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let next = self.driver.started(ctx.address().recipient());
        self.follow(next, ctx);
    }
}

impl<R: ConnectionHandler, Permit: Unpin + 'static> Handler<Wake> for SessionActor<R, Permit> {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.deliver(ctx);
    }
}

impl<R: ConnectionHandler, Permit: Unpin + 'static> StreamHandler<SocketEvent> for SessionActor<R, Permit> {
    fn handle(&mut self, said: SocketEvent, ctx: &mut Self::Context) {
        let next = self.driver.received(said);
        self.follow(next, ctx);
    }
}

/// Required by the context; its stream is silent.
impl<R: ConnectionHandler, Permit: Unpin + 'static> StreamHandler<Result<Message, ProtocolError>>
    for SessionActor<R, Permit>
{
    fn handle(&mut self, _: Result<Message, ProtocolError>, _: &mut Self::Context) {}
}

impl Source for Payload {
    fn poll_bytes(&mut self, cx: &mut Task<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<bool> {
        match ready!(std::pin::Pin::new(self).poll_next(cx)) {
            Some(Ok(bytes)) => {
                sink(&bytes);
                Poll::Ready(true)
            }
            _ => Poll::Ready(false),
        }
    }
}
