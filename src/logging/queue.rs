//! The way of a line to standard error: through a bounded queue and a thread, so that no worker waits for a
//! reader that has stopped.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Lines that may wait; beyond it they are dropped, and counted.
const LINES: usize = 8_192;

/// How long the last lines of a process are waited for.
const FLUSH: Duration = Duration::from_millis(500);

enum Item {
    Line(Vec<u8>),
    /// Everything before it has been written.
    Flush(SyncSender<()>),
}

/// The entrance. One call of `write` is one line; it never blocks and never fails.
#[derive(Clone)]
pub struct Queue {
    entrance: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (entrance, exit) = sync_channel(LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let queue = Self { entrance, lost: lost.clone() };
        std::thread::Builder::new().name("hongyan-log".into()).spawn(move || write_out(out, &exit, &lost))?;
        Ok(queue)
    }

    /// Waits until what was handed in is written, for half a second at most.
    pub fn flush(&self) {
        let until = Instant::now() + FLUSH;
        let (tell, told) = sync_channel(1);
        let mut item = Item::Flush(tell);
        while let Err(TrySendError::Full(back)) = self.entrance.try_send(item) {
            if Instant::now() >= until {
                return;
            }
            item = back;
            std::thread::sleep(Duration::from_millis(5));
        }
        // Past its time the rest is given up.
        let _ = told.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.entrance.try_send(Item::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(mut out: impl Write, exit: &Receiver<Item>, lost: &AtomicU64) {
    for item in exit {
        match item {
            // With standard error closed there is nobody to tell.
            Item::Line(line) => _ = out.write_all(&line),
            Item::Flush(tell) => _ = tell.try_send(()),
        }
        let lines = lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            log::warn!(lines = lines; "log lines were dropped: nobody read standard error");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A reader that takes nothing until it is told to.
    #[derive(Clone, Default)]
    struct Stalled(Arc<Reader>);

    #[derive(Default)]
    struct Reader {
        reads: Mutex<bool>,
        changed: Condvar,
        written: Mutex<Vec<u8>>,
    }

    impl Write for Stalled {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            drop(self.0.changed.wait_while(self.0.reads.lock().unwrap(), |reads| !*reads).unwrap());
            self.0.written.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_stopped() {
        let reader = Stalled::default();
        let mut queue = Queue::start(reader.clone()).unwrap();
        for n in 0..LINES + 100 {
            assert_eq!(queue.write(format!("{n}\n").as_bytes()).unwrap(), format!("{n}\n").len());
        }
        // One or none is out of the queue and in the writer's hands.
        assert!((98..=100).contains(&queue.lost.load(Ordering::Relaxed)));
        Queue::flush(&queue);
        *reader.0.reads.lock().unwrap() = true;
        reader.0.changed.notify_all();
        while queue.entrance.try_send(Item::Line(b"last\n".to_vec())).is_err() {
            std::thread::yield_now();
        }
        Queue::flush(&queue);
        let written = String::from_utf8(reader.0.written.lock().unwrap().clone()).unwrap();
        assert!(written.starts_with("0\n1\n2\n") && written.ends_with("last\n"));
    }
}
