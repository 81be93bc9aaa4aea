//! This node's hold on the log of revocations: how to have it read, and the database's time, which each
//! reading tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::Stopwatch;

/// How long a login waits for a reading; beyond it what was read before must do.
const READ_AT_MOST: Duration = Duration::from_secs(1);

/// Cloning shares it.
#[derive(Debug, Clone)]
pub struct RevocationLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    created: Stopwatch,
    /// The database's Unix milliseconds when this was created. Never ahead: a reading's answer is older than
    /// its arrival.
    base_ms: AtomicI64,
    asked: Notify,
    begun: AtomicU64,
    ended: watch::Sender<u64>,
    /// The database did not answer last time, or nobody reads.
    away: AtomicBool,
}

impl RevocationLog {
    /// `now_ms`: the database's time as it was answered just now.
    pub fn new(now_ms: i64) -> Self {
        Self(Arc::new(Shared {
            created: Stopwatch::start(),
            base_ms: AtomicI64::new(now_ms),
            asked: Notify::new(),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            away: AtomicBool::new(true),
        }))
    }

    /// The database's time in Unix milliseconds, behind it by the way of one answer at the most. It goes on
    /// while the database is away, by a clock that is never set.
    pub fn now_ms(&self) -> i64 {
        self.0.base_ms.load(Ordering::Relaxed).saturating_add(self.elapsed_ms())
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.0.created.elapsed_ms()).unwrap_or(i64::MAX)
    }

    /// Has the log read soon, because something was added to it.
    pub fn read_soon(&self) {
        self.0.asked.notify_one();
    }

    /// Has the log read, and waits until all is known that was committed before this call. While the database
    /// is away, or takes longer than a second, what is known must do.
    pub async fn read_now(&self) {
        if self.0.away.load(Ordering::SeqCst) {
            return;
        }
        let mut ended = self.0.ended.subscribe();
        let wanted = self.0.begun.load(Ordering::SeqCst) + 1;
        self.read_soon();
        let _ = tokio::time::timeout(READ_AT_MOST, ended.wait_for(|ended| *ended >= wanted)).await;
    }

    /// Ready when a reading is asked for.
    pub(super) async fn is_asked(&self) {
        self.0.asked.notified().await;
    }

    pub(super) fn begin(&self) {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the reading that was begun; whether that is news of the database: `Some(true)`: it has gone away.
    pub(super) fn end(&self, is_away: bool) -> Option<bool> {
        let was_away = self.0.away.swap(is_away, Ordering::SeqCst);
        self.0.ended.send_replace(self.0.begun.load(Ordering::SeqCst));
        (was_away != is_away).then_some(is_away)
    }

    /// Takes the database's time, as it was answered just now.
    pub(super) fn set(&self, now_ms: i64) {
        self.0.base_ms.store(now_ms.saturating_sub(self.elapsed_ms()), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[actix_web::test]
    async fn who_asks_waits_for_a_reading_that_began_after() {
        let log = RevocationLog::new(0);
        log.begin();
        log.end(false);
        log.begin();
        let waiting = log.clone();
        let mut waiting = Box::pin(async move { waiting.read_now().await });
        assert!((&mut waiting).now_or_never().is_none());
        log.end(false);
        assert!((&mut waiting).now_or_never().is_none(), "that one had begun before");
        log.begin();
        log.end(false);
        waiting.await;
    }

    #[actix_web::test]
    async fn while_the_database_is_away_nobody_waits() {
        let log = RevocationLog::new(0);
        assert!(log.read_now().now_or_never().is_some());
    }

    #[test]
    fn time_goes_on_between_answers_and_follows_the_database_back() {
        let log = RevocationLog::new(1_000_000);
        assert!((1_000_000..1_060_000).contains(&log.now_ms()));
        log.set(500_000);
        assert!((500_000..560_000).contains(&log.now_ms()));
    }
}
