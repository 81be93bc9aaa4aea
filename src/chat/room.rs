//! Room for live frames that wait for their predecessors, in all sessions together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;

/// What waits in all sessions together, a frame counted for each session that it waits for.
pub(super) const HELD_FRAMES: usize = 16_384;
const HELD_BYTES: usize = 16 << 20;

/// What waits in all sessions, and how much may.
#[derive(Debug, Clone)]
pub struct Room(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    frames: AtomicUsize,
    bytes: AtomicUsize,
    shown: Gauge,
}

/// A part of it, given back when dropped.
#[derive(Debug)]
pub(super) struct Space {
    taken: Arc<Taken>,
    bytes: usize,
}

impl Room {
    /// `shown` shows how many frames wait.
    pub fn new(shown: Gauge) -> Self {
        Self(Arc::new(Taken { frames: AtomicUsize::new(0), bytes: AtomicUsize::new(0), shown }))
    }

    /// A part of it for one more frame of so many bytes, if there is one.
    pub(super) fn take(&self, bytes: usize) -> Option<Space> {
        let Taken { frames, bytes: all_bytes, shown } = &*self.0;
        if frames.load(Ordering::Relaxed) >= HELD_FRAMES
            || all_bytes.load(Ordering::Relaxed) + bytes > HELD_BYTES
        {
            return None;
        }
        frames.fetch_add(1, Ordering::Relaxed);
        all_bytes.fetch_add(bytes, Ordering::Relaxed);
        shown.inc();
        Some(Space { taken: self.0.clone(), bytes })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.taken.frames.fetch_sub(1, Ordering::Relaxed);
        self.taken.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.taken.shown.dec();
    }
}
