//! Others who go on talking: what their messages take from the send to the ack.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::Client;

const MANY: usize = 4;
/// Between two messages of one of them.
const PAUSE: Duration = Duration::from_millis(5);

/// On a thread of their own, so that they do not wait for what the test itself does.
pub struct Bystanders {
    enough: Arc<AtomicBool>,
    times: Arc<Mutex<Vec<Duration>>>,
    thread: JoinHandle<()>,
}

impl Bystanders {
    pub fn start(at: &str) -> Self {
        let (at, enough, times) = (at.to_owned(), Arc::new(AtomicBool::new(false)), Arc::default());
        let (told, taken) = (enough.clone(), Arc::clone(&times));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(join_all((0..MANY).map(|n| talk(&at, n, &told, &taken))));
        });
        Self { enough, times, thread }
    }

    /// The times of their messages since the last call.
    pub fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.times.lock().unwrap())
    }

    /// The same, and they talk no more.
    pub fn stop(self) -> Vec<Duration> {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut self.times.lock().unwrap())
    }
}

async fn talk(at: &str, n: usize, enough: &AtomicBool, times: &Mutex<Vec<Duration>>) {
    let url = format!("ws://{at}/bystander{n}?code=dev:bystander{n}&device={:x}", rand::random::<u64>());
    let mut client = Client::connect(&url, &["hongyan.v1"], None).await.unwrap();
    client.expect("init").await;
    while !enough.load(Ordering::Relaxed) {
        let id = format!("{:x}", rand::random::<u64>());
        let began = Instant::now();
        client.say("nobody", &id, "how long does this take").await;
        times.lock().unwrap().push(began.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
}
