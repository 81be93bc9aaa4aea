//! Signals that a server waits for.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// What the server is told from outside. They count from here on: before, each ends the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup? })
    }

    /// The signal that ends it. Until then SIGHUP has lists read anew, where there is somebody to be told.
    pub(super) async fn leave(mut self, reload: Option<&Notify>) -> &'static str {
        loop {
            match (self.next().await, reload) {
                ("SIGHUP", Some(reload)) => reload.notify_one(),
                (name, _) => return name,
            }
        }
    }

    /// The next signal that ends a start.
    pub(super) async fn ending(&mut self, hangup_ends: bool) -> &'static str {
        loop {
            match self.next().await {
                "SIGHUP" if !hangup_ends => {}
                name => return name,
            }
        }
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
