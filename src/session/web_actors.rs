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

use super::driver::{CLOSE_WAIT, Driver, Next, Role, Then};
use super::inbound::InboundLimits;
use super::incoming::{Incoming, Incomings, Source};
use crate::chat::messages::Wake;

/// Before the rest of a full outbox is handed on. The HTTP server polls its session, and with it this timer,
/// only while it has room.
const TAKE_AGAIN: Duration = Duration::from_millis(1);

/// The actor of one WebSocket. `Seat` is freed when it ends.
pub struct SessionActor<R: Role, Seat> {
    driver: Driver<R>,
    _seat: Seat,
}

type Context<R, Seat> = WebsocketContext<SessionActor<R, Seat>>;

/// Starts the session; the stream is the body of the 101 answer.
pub fn start<R: Role, Seat: Unpin + 'static>(
    driver: Driver<R>,
    limits: InboundLimits,
    seat: Seat,
    payload: Payload,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> + use<R, Seat> {
    // The context's own stream of frames stays silent: its codec buffers a frame before it judges its size.
    WebsocketContext::with_factory(stream::pending::<Result<Bytes, PayloadError>>(), move |ctx| {
        ctx.add_stream(Incomings::new(payload, Bytes::new(), limits, driver.gate()));
        SessionActor { driver, _seat: seat }
    })
}

impl<R: Role, Seat: Unpin + 'static> SessionActor<R, Seat> {
    fn follow(&mut self, next: Next, ctx: &mut Context<R, Seat>) {
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

    fn deliver(&mut self, ctx: &mut Context<R, Seat>) {
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

impl<R: Role, Seat: Unpin + 'static> Actor for SessionActor<R, Seat> {
    type Context = Context<R, Seat>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let next = self.driver.started(ctx.address().recipient());
        self.follow(next, ctx);
    }
}

impl<R: Role, Seat: Unpin + 'static> Handler<Wake> for SessionActor<R, Seat> {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.deliver(ctx);
    }
}

impl<R: Role, Seat: Unpin + 'static> StreamHandler<Incoming> for SessionActor<R, Seat> {
    fn handle(&mut self, said: Incoming, ctx: &mut Self::Context) {
        let next = self.driver.incoming(said);
        self.follow(next, ctx);
    }
}

/// Required by the context; its stream is silent.
impl<R: Role, Seat: Unpin + 'static> StreamHandler<Result<Message, ProtocolError>> for SessionActor<R, Seat> {
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
