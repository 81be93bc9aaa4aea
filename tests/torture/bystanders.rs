//! Others who go on talking: what their messages take from the send to the ack.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    thread: JoinHandle<Vec<Duration>>,
}

impl Bystanders {
    pub fn start(at: &str) -> Self {
        let (at, enough) = (at.to_owned(), Arc::new(AtomicBool::new(false)));
        let told = enough.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(join_all((0..MANY).map(|n| talk(&at, n, &told)))).concat()
        });
        Self { enough, thread }
    }

    /// The times of all their messages.
    pub fn stop(self) -> Vec<Duration> {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

async fn talk(at: &str, n: usize, enough: &AtomicBool) -> Vec<Duration> {
    let url = format!("ws://{at}/bystander{n}?code=dev:bystander{n}&device={:x}", rand::random::<u64>());
    let mut client = Client::connect(&url, &["hongyan.v1"], None).await.unwrap();
    client.expect("init").await;
    let mut times = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let id = format!("{:x}", rand::random::<u64>());
        let began = Instant::now();
        client.say("nobody", &id, "how long does this take").await;
        times.push(began.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    times
}
