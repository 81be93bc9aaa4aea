//! Newcomers take turns, so that a crowd that comes at once does not hold up those who are connected.

use std::cell::RefCell;
use std::future::{Future as _, Ready, ready};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_service::{Service, ServiceFactory, fn_factory};
use tokio::time::Sleep;

/// Who is late for a turn may make up for so much: timers are no finer than a millisecond.
const SLACK: Duration = Duration::from_millis(2);
/// New connections of a worker: one in so much time at the most, whatever they are for.
const CONNECTION: Duration = Duration::from_micros(150);

/// Gives out turns, a gap apart, in the order of asking.
pub struct HandshakePacer {
    gap: Duration,
    next: Mutex<Instant>,
}

impl HandshakePacer {
    pub fn new(gap: Duration) -> Self {
        Self { gap, next: Mutex::new(Instant::now()) }
    }

    /// Takes the next turn: how long it is until then. Where that is more than `at_most` no turn is taken,
    /// and the error says how long it would be.
    pub fn take(&self, now: Instant, at_most: Duration) -> Result<Duration, Duration> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now.checked_sub(SLACK).unwrap_or(now));
        let wait = turn.saturating_duration_since(now);
        if wait > at_most {
            return Err(wait);
        }
        *next = turn + self.gap;
        Ok(wait)
    }

    /// How long it is until the next turn.
    fn wait(&self, now: Instant) -> Duration {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).saturating_duration_since(now)
    }
}

/// Where a worker's connections come in, one at a turn.
pub fn accept_pacer<T: 'static>()
-> impl ServiceFactory<T, Config = (), Response = T, Error = DispatchError, InitError = ()> {
    fn_factory(|| async { Ok(AcceptPacer::new()) })
}

/// While it is not ready, its worker takes no further connection up.
struct AcceptPacer {
    pacer: HandshakePacer,
    waiting: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl AcceptPacer {
    fn new() -> Self {
        Self { pacer: HandshakePacer::new(CONNECTION), waiting: RefCell::default() }
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

    const GAP: Duration = Duration::from_millis(10);

    #[test]
    fn turns_are_a_gap_apart_and_nobody_waits_for_longer_than_allowed() {
        let (pacer, now) = (HandshakePacer::new(GAP), Instant::now() + GAP);
        let _ = pacer.take(now, Duration::MAX);
        let waits: Vec<_> = (0..3).map(|_| pacer.take(now, 3 * GAP)).collect();
        assert_eq!(waits, [1, 2, 3].map(|n| Ok(n * GAP - SLACK)));
        assert_eq!(pacer.take(now, 3 * GAP), Err(4 * GAP - SLACK));
        assert_eq!(pacer.take(now + GAP, 3 * GAP), Ok(3 * GAP - SLACK), "who was refused took no turn");
    }

    #[test]
    fn time_that_nobody_used_is_not_saved_up() {
        let (pacer, later) = (HandshakePacer::new(GAP), Instant::now() + 100 * GAP);
        assert_eq!(pacer.take(later, Duration::MAX), Ok(Duration::ZERO));
        assert_eq!(pacer.take(later, Duration::MAX), Ok(GAP - SLACK));
    }

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
        assert!(began.elapsed() + SLACK >= CONNECTION * (many - 1));
    }
}
