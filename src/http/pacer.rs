//! New connections take turns, as handshakes do.

use std::cell::RefCell;
use std::future::{Future as _, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_service::{Service, ServiceFactory, fn_factory};
use tokio::time::Sleep;

use crate::limits::Pacer;

/// New connections of a worker: one in so much time at the most, whatever they are for.
const CONNECTION: Duration = Duration::from_micros(150);

/// Where a worker's connections come in, one at a turn.
pub fn accept_pacer<T: 'static>()
-> impl ServiceFactory<T, Config = (), Response = T, Error = DispatchError, InitError = ()> {
    fn_factory(|| async { Ok(AcceptPacer::new()) })
}

/// While it is not ready, its worker takes no further connection up.
struct AcceptPacer {
    pacer: Pacer,
    waiting: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl AcceptPacer {
    fn new() -> Self {
        Self { pacer: Pacer::new(CONNECTION), waiting: RefCell::default() }
    }
}

impl<T> Service<T> for AcceptPacer {
    type Response = T;
    type Error = DispatchError;
    type Future = Ready<Result<T, DispatchError>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), DispatchError>> {
        let mut waiting = self.waiting.borrow_mut();
        let wait = self.pacer.wait(Instant::now());
        if wait.is_zero() {
            *waiting = None;
            return Poll::Ready(Ok(()));
        }
        let sleep = waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        sleep.as_mut().poll(cx).map(|()| {
            *waiting = None;
            Ok(())
        })
    }

    fn call(&self, connection: T) -> Self::Future {
        let _ = self.pacer.take(Instant::now(), Duration::MAX);
        ready(Ok(connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_doorway_opens_once_a_turn() {
        let accept_pacer = AcceptPacer::new();
        let open =
            async || std::future::poll_fn(|cx| Service::<u32>::poll_ready(&accept_pacer, cx)).await.unwrap();
        let began = Instant::now();
        let many = 40_u32;
        for n in 0..many {
            open().await;
            assert_eq!(accept_pacer.call(n).await.unwrap(), n);
        }
        assert!(began.elapsed() + Pacer::SLACK >= CONNECTION * (many - 1));
    }
}
