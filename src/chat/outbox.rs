//! The bounded queue between the server and one session.
//!
//! It stands outside the session: a session whose peer does not read is not polled at all, so neither its
//! mailbox nor its timers can hold the bound. Whoever overfills it ends the session, and the frames are freed
//! at once.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;
use prometheus_client::metrics::gauge::Gauge;

use crate::clock::Stopwatch;
use crate::protocol::Close;

/// An outbox that holds fewer bytes takes a frame whatever waits in the others: a transport takes so many in
/// one go.
const ALWAYS: usize = 64 << 10;

/// How much may wait in outboxes, and how much does. One a process.
#[derive(Debug)]
pub struct Bounds {
    /// Bytes of frames that may wait in one of them; beyond it the session is a slow consumer.
    each: usize,
    /// Bytes of frames that may wait in all of them; beyond it one with [`ALWAYS`] takes no more.
    together: i64,
    waiting: Gauge,
}

/// Frames for one session that its transport has not taken yet, and the order to close, if one was given.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    bounds: Arc<Bounds>,
    /// Monotonic milliseconds of the last sign of life from the peer; see [`Outbox::heard`].
    last_heard: AtomicU64,
    /// Writes of the session that have their answer and that it has not yet taken note of.
    answered: AtomicU32,
    /// The session reads no further until a write of its own is answered.
    starved: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<ByteString>,
    bytes: usize,
    ping: bool,
    close: Option<Close>,
    /// A wake is on its way to the session and has not been answered by [`Outbox::take`].
    woken: bool,
    ended: bool,
}

/// What the caller of [`Outbox::push`] must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// Queued; a wake is already under way.
    Queued,
    /// Queued (or ordered to close): send the session one wake.
    Wake,
    /// A bound is passed: the queue was dropped and the session ordered to close with 4002. Send it one wake
    /// and forget it.
    Overflow,
    /// The session is closing: nothing was queued.
    Closed,
}

/// What a session takes out of its outbox in one go.
#[derive(Debug, Default)]
pub struct Taken {
    pub frames: Vec<ByteString>,
    /// Frames are left: come back for them (no wake is sent for these).
    pub more: bool,
    pub ping: bool,
    pub close: Option<Close>,
}

impl Bounds {
    /// `each` and `together` in bytes; `waiting` shows what waits in all outboxes.
    pub fn new(each: usize, together: usize, waiting: Gauge) -> Arc<Self> {
        Arc::new(Self { each, together: i64::try_from(together).unwrap_or(i64::MAX), waiting })
    }

    fn allow(&self, frame: usize, behind: usize) -> bool {
        behind + frame <= self.each && (behind < ALWAYS || self.waiting.get() < self.together)
    }

    fn came(&self, bytes: usize) {
        self.waiting.inc_by(bytes as i64);
    }

    fn went(&self, bytes: usize) {
        self.waiting.dec_by(bytes as i64);
    }
}

impl Outbox {
    pub fn new(bounds: Arc<Bounds>, now: u64) -> Self {
        Self {
            state: Mutex::default(),
            bounds,
            last_heard: AtomicU64::new(now),
            answered: AtomicU32::new(0),
            starved: AtomicBool::new(false),
        }
    }

    /// Queues one frame. It never blocks and never grows past the bounds.
    pub fn push(&self, frame: ByteString) -> Pushed {
        let mut state = self.lock();
        if state.close.is_some() || state.ended {
            return Pushed::Closed;
        }
        if !self.bounds.allow(frame.len(), state.bytes) {
            self.bounds.went(state.order_close(Close::SlowConsumer));
            return Pushed::Overflow;
        }
        self.bounds.came(frame.len());
        state.bytes += frame.len();
        state.frames.push(frame);
        state.wake()
    }

    /// Asks the session for one ping.
    pub fn ping(&self) -> Pushed {
        let mut state = self.lock();
        if state.close.is_some() || state.ended {
            return Pushed::Closed;
        }
        state.ping = true;
        state.wake()
    }

    /// Orders the session to close after what is queued; the first order stands. It always asks for a wake:
    /// one that is under way may have met a session that waits for its peer to read, and that one must learn
    /// that its time is limited.
    pub fn close(&self, close: Close) -> Pushed {
        let mut state = self.lock();
        if state.close.is_some() || state.ended {
            return Pushed::Closed;
        }
        state.close = Some(close);
        state.woken = true;
        Pushed::Wake
    }

    /// Takes frames up to `max_bytes` (at least one), and the order to close once no frame is left.
    pub fn take(&self, max_bytes: usize) -> Taken {
        let mut state = self.lock();
        state.woken = false;
        let ping = std::mem::take(&mut state.ping);
        if state.bytes <= max_bytes {
            self.bounds.went(std::mem::take(&mut state.bytes));
            let frames = std::mem::take(&mut state.frames);
            if state.close.is_some() {
                state.ended = true;
            }
            return Taken { frames, more: false, ping, close: state.close.clone() };
        }
        let mut bytes = 0;
        let fit = state
            .frames
            .iter()
            .take_while(|f| {
                bytes += f.len();
                bytes <= max_bytes
            })
            .count()
            .max(1);
        let frames: Vec<_> = state.frames.drain(..fit).collect();
        let taken = frames.iter().map(|f| f.len()).sum::<usize>();
        self.bounds.went(taken);
        state.bytes -= taken;
        // The taker comes back for the rest by itself.
        state.woken = true;
        Taken { frames, more: true, ping, close: None }
    }

    /// The order to close, once it was given.
    pub fn ordered(&self) -> Option<Close> {
        self.lock().close.clone()
    }

    /// Notes that one write of the session has its answer; whether the session waits for that and wants a
    /// wake.
    pub fn credit_returned(&self) -> bool {
        self.answered.fetch_add(1, Ordering::SeqCst);
        self.starved.swap(false, Ordering::SeqCst)
    }

    /// How many writes were answered since the last call.
    pub fn take_answered(&self) -> u32 {
        self.answered.swap(0, Ordering::SeqCst)
    }

    /// Asks for a wake at the next answer. What was answered before this call is there for
    /// [`Outbox::take_answered`].
    pub fn wake_on_next_credit(&self) {
        self.starved.store(true, Ordering::SeqCst);
    }

    /// Notes a sign of life from the peer at `now` (monotonic milliseconds).
    pub fn heard(&self, now: u64) {
        self.last_heard.store(now, Ordering::Relaxed);
    }

    /// Monotonic milliseconds of the last sign of life.
    pub fn last_heard(&self) -> u64 {
        self.last_heard.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held cannot leave the queue half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) -> Pushed {
        if std::mem::replace(&mut self.woken, true) { Pushed::Queued } else { Pushed::Wake }
    }

    /// Frees the queue; how many bytes that were.
    fn order_close(&mut self, close: Close) -> usize {
        self.frames = Vec::new();
        self.close = Some(close);
        self.woken = true;
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.bounds.went(self.lock().bytes);
    }
}

/// Milliseconds since the process started, by a clock that never jumps.
pub fn monotonic_ms() -> u64 {
    static START: std::sync::LazyLock<Stopwatch> = std::sync::LazyLock::new(Stopwatch::start);
    START.elapsed_ms()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        Outbox::new(Bounds::new(10, 100, Gauge::default()), 0)
    }

    #[test]
    fn one_wake_until_taken() {
        let o = outbox();
        assert_eq!(o.push("ab".into()), Pushed::Wake);
        assert_eq!(o.push("cd".into()), Pushed::Queued);
        assert_eq!(o.take(64).frames, ["ab", "cd"]);
        assert_eq!(o.push("ef".into()), Pushed::Wake);
    }

    #[test]
    fn an_order_to_close_wakes_though_a_wake_is_under_way() {
        let o = outbox();
        assert_eq!(o.push("ab".into()), Pushed::Wake);
        assert_eq!(o.close(Close::Kicked), Pushed::Wake);
        assert_eq!(o.close(Close::Banned), Pushed::Closed);
        assert_eq!(o.take(64).close, Some(Close::Kicked));
    }

    #[test]
    fn overflow_frees_the_queue_and_orders_4002() {
        let o = outbox();
        let _ = o.push("123456".into());
        assert_eq!(o.push("123456".into()), Pushed::Overflow);
        let taken = o.take(64);
        assert!(taken.frames.is_empty());
        assert_eq!(taken.close, Some(Close::SlowConsumer));
        assert_eq!(o.push("x".into()), Pushed::Closed);
    }

    #[test]
    fn beyond_what_may_wait_in_all_each_may_hold_what_one_go_takes() {
        let waiting = Gauge::default();
        let bounds = Bounds::new(4 * ALWAYS, 5 * ALWAYS, waiting.clone());
        let [one, two, three] = std::array::from_fn(|_| Outbox::new(bounds.clone(), 0));
        let half: ByteString = "x".repeat(ALWAYS / 2).into();
        let fill =
            |outbox: &Outbox, halves: usize| (0..halves).map(|_| outbox.push(half.clone())).last().unwrap();
        assert_eq!(fill(&one, 8), Pushed::Queued);
        assert_eq!(fill(&two, 2), Pushed::Queued);
        assert_eq!(fill(&three, 2), Pushed::Queued);
        assert_eq!(fill(&two, 1), Pushed::Overflow);
        assert_eq!(waiting.get(), 5 * ALWAYS as i64);
        let _ = one.take(ALWAYS);
        assert_eq!(fill(&three, 1), Pushed::Queued);
        drop((one, two, three));
        assert_eq!(waiting.get(), 0);
    }

    #[test]
    fn taking_in_parts_keeps_order_and_closes_last() {
        let o = outbox();
        for f in ["aaa", "bbb", "ccc"] {
            let _ = o.push(f.into());
        }
        let _ = o.close(Close::Replaced);
        let first = o.take(6);
        assert_eq!((first.frames.len(), first.more, first.close), (2, true, None));
        let rest = o.take(6);
        assert_eq!((rest.frames.len(), rest.close), (1, Some(Close::Replaced)));
    }
}
