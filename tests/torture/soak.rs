//! Half an hour of people who come, talk and go: memory does not creep, descriptors come back.

use std::time::{Duration, Instant};

use rand::Rng as _;

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Server, eventually};
use crate::size::{figure, is_long, skipped};

/// Connections that come and go beside those who stay.
const VISITORS: usize = 20;
/// Bytes that memory may grow in ten minutes once it is warm.
const SLOPE: f64 = 1_048_576.0;

fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// Growth in bytes a second, by least squares.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let n = samples.len() as f64;
    let (mean_x, mean_y) = (samples.iter().map(|s| s.0).sum::<f64>() / n, samples.iter().map(|s| s.1).sum::<f64>() / n);
    let covariance: f64 = samples.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    covariance / samples.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

#[test]
fn a_slope_is_what_it_is() {
    let samples: Vec<_> = (0..10).map(|n| (f64::from(n), f64::from(3 * n + 7))).collect();
    assert!((slope(&samples) - 3.0).abs() < 1e-9);
}

#[actix_web::test]
async fn half_an_hour_of_coming_and_going() {
    if !is_long() {
        skipped("it is in the long form only (`make torture`)");
        return;
    }
    let minutes: u64 = std::env::var("HONGYAN_SOAK_MINUTES").map_or(30, |text| text.parse().unwrap());
    let server = Server::with(UNLIMITED).await;
    let at_start = descriptors(&server);
    let fleet = Fleet::start(&server, Plan { users: 8, pace: Duration::from_millis(80), seed: 3 });
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let visitors: Vec<_> = (0..VISITORS)
        .map(|n| {
            let at = server.at.clone();
            actix_web::rt::spawn(async move {
                let mut visits = 0_u64;
                while Instant::now() < end {
                    let url = format!("ws://{at}/visitor{n}?device=d&code=dev:visitor{n}");
                    let mut client = crate::harness::Client::connect(&url, &["hongyan.v1"], None).await.unwrap();
                    client.expect("init").await;
                    client.say(&format!("host{n}"), &format!("{visits}"), "hello").await;
                    tokio::time::sleep(Duration::from_millis(rand::rng().random_range(20..400))).await;
                    visits += 1;
                }
                visits
            })
        })
        .collect();
    let (began, mut samples) = (Instant::now(), Vec::new());
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(5)).await;
        samples.push((began.elapsed().as_secs_f64(), server.memory() as f64));
    }
    let mut visits = 0;
    for visitor in visitors {
        visits += visitor.await.unwrap();
    }
    let warm = &samples[samples.len() / 3..];
    let growth = slope(warm) * 600.0;
    let report = fleet.finish(&server).await;
    server.metric_becomes("hongyan_sessions", 0.0).await;
    // A connection of the pool may stay, and be closed later.
    let left = eventually("the descriptors back", async || Some(descriptors(&server)).filter(|n| *n <= at_start + 16)).await;
    let memory = warm.last().unwrap().1 / 1_048_576.0;
    figure(
        "soak with churn",
        format!(
            "{minutes} min, {visits} visits; memory {memory:.1} MB, slope {:.2} MB/10 min after warm-up; descriptors {at_start} → {left}; {report}",
            growth / 1_048_576.0
        ),
    );
    assert!(report.is_clean(), "{report}");
    assert!(growth < SLOPE, "{growth} bytes in ten minutes");
}
