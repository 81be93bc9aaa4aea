//! Life and death of the process: what must live as long as it does, and how it knows that it is leaving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code when a part that must not die has died.
pub const EXIT_VITAL_PART_DIED: i32 = 70;

/// Whether the process is on its way out; shared by every room that has to refuse new work then.
#[derive(Clone, Default, Debug)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    pub fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Held by an actor without which the process is a zombie. When it is dropped, by a panic's unwinding for example,
/// while the process is not draining, the process ends at once with [`EXIT_VITAL_PART_DIED`].
#[derive(Debug)]
pub struct Vital {
    part: &'static str,
    draining: Draining,
}

impl Vital {
    pub fn new(part: &'static str, draining: &Draining) -> Self {
        Self { part, draining: draining.clone() }
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.draining.is_set() {
            log::error!(part = self.part; "a vital part died; ending the process, so that its supervisor starts it anew");
            log::logger().flush();
            std::process::exit(EXIT_VITAL_PART_DIED);
        }
    }
}
