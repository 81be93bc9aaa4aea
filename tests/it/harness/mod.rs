//! What the tests stand on. A test opens in one line and waits for answers, never for time to pass.

mod client;
mod cluster;
mod http;
mod nats;
mod nginx;
mod prometheus;
pub mod raw;
mod server;

pub use client::{Client, Said};
pub use cluster::Cluster;
#[allow(unused_imports, reason = "the proofs in tests/torture do")]
pub use http::Http;
pub use nats::Nats;
pub use nginx::Nginx;
#[allow(unused_imports, reason = "the proofs in tests/torture do")]
pub use nginx::WORKER_LEAVES_S;
#[allow(unused_imports, reason = "the proofs in tests/torture do without")]
pub use prometheus::Prometheus;
pub use raw::Raw;
pub use server::Server;

use std::time::Duration;

/// How long an answer may take before a test gives up: far more than it ever does.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until the answer is `Some`, or patience ends.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
