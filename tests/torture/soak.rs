//! Half an hour of people who come, talk and go: memory does not creep, descriptors come back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::Rng as _;
use serde_json::json;

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Client, Said, Server};
use crate::size::{figure, is_long, skipped};

/// Connections that come and go beside those who stay.
const VISITORS: usize = 20;
/// Connections of the reading pool, by default.
const READERS: usize = 4;
/// HTTP connections that are kept alive end within so long.
const SETTLE: Duration = Duration::from_secs(90);
/// Bytes that memory may grow in ten minutes once it is warm.
const SLOPE: f64 = 1_048_576.0;

/// Open descriptors by kind: sockets, and each file by its name.
fn descriptors(server: &Server) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap() {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap_or_default();
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        *kinds.entry(name.split(':').next().unwrap().to_owned()).or_default() += 1;
    }
    kinds
}

/// Growth in bytes a second, by least squares.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let n = samples.len() as f64;
    let (mean_x, mean_y) =
        (samples.iter().map(|s| s.0).sum::<f64>() / n, samples.iter().map(|s| s.1).sum::<f64>() / n);
    let covariance: f64 = samples.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    covariance / samples.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

#[test]
fn a_slope_is_what_it_is() {
    let samples: Vec<_> = (0..10).map(|n| (f64::from(n), f64::from(3 * n + 7))).collect();
    assert!((slope(&samples) - 3.0).abs() < 1e-9);
}

/// Says something, again while the store has no answer: a disk may stall once in half an hour. How often that
/// was so.
async fn tell(client: &mut Client, peer: &str, id: &str) -> u64 {
    let mut refusals = 0;
    loop {
        client
            .send(json!({ "type": "text", "to_user_openid": peer, "client_msg_id": id, "message": "hello" }))
            .await;
        match client.next().await {
            Said::Frame(frame) if frame["type"] == "ack" => return refusals,
            Said::Frame(frame) if frame["error"] == "unavailable" => {
                refusals += 1;
                tokio::time::sleep(Duration::from_millis(frame["retry_after_ms"].as_u64().unwrap())).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn half_an_hour_of_coming_and_going() {
    if !is_long() {
        skipped("it is in the long form only (`make torture`)");
        return;
    }
    let minutes: u64 = std::env::var("HONGYAN_SOAK_MINUTES").map_or(30, |text| text.parse().unwrap());
    let server = Server::with(UNLIMITED).await;
    let mut tokens = Vec::new();
    for n in 0..VISITORS {
        tokens.push(server.http_as(&format!("visitor{n}")).await.token().to_owned());
    }
    // Each thread of the server has come up, now that all have served.
    let at_start = descriptors(&server);
    let fleet =
        Fleet::start(&server, Plan { users: 8, pace: Duration::from_millis(80), seed: 3, ..Plan::default() });
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut visitors = Vec::new();
    for (n, token) in tokens.into_iter().enumerate() {
        let url = format!("ws://{}/visitor{n}?device=d", server.at);
        visitors.push(actix_web::rt::spawn(async move {
            let (mut visits, mut refusals) = (0_u64, 0_u64);
            while Instant::now() < end {
                let mut client = Client::connect(&url, &["hongyan.v1"], Some(&token)).await.unwrap();
                client.expect("init").await;
                refusals += tell(&mut client, &format!("host{n}"), &visits.to_string()).await;
                tokio::time::sleep(Duration::from_millis(rand::rng().random_range(20..400))).await;
                visits += 1;
            }
            (visits, refusals)
        }));
    }
    let (began, mut samples) = (Instant::now(), Vec::new());
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(5)).await;
        samples.push((began.elapsed().as_secs_f64(), server.memory() as f64));
    }
    let (mut visits, mut refusals) = (0, 0);
    for visitor in visitors {
        let (more, refused) = visitor.await.unwrap();
        visits += more;
        refusals += refused;
    }
    let warm = &samples[samples.len() / 3..];
    let growth = slope(warm) * 600.0;
    let report = fleet.finish(&server).await;
    server.metric_becomes("hongyan_sessions", 0.0).await;
    // Of files, the pool of reading connections may have grown to its size.
    let files = |kinds: &BTreeMap<String, usize>| {
        kinds.iter().filter(|(kind, _)| *kind != "socket").map(|(_, n)| n).sum::<usize>()
    };
    let sockets = |kinds: &BTreeMap<String, usize>| kinds.get("socket").copied().unwrap_or(0);
    let is_back = |now: &BTreeMap<String, usize>| {
        sockets(now) <= sockets(&at_start) && files(now) <= files(&at_start) + 3 * READERS
    };
    let mut left = descriptors(&server);
    let began = Instant::now();
    while !is_back(&left) && began.elapsed() < SETTLE {
        tokio::time::sleep(Duration::from_millis(200)).await;
        left = descriptors(&server);
    }
    assert!(is_back(&left), "{at_start:?} became {left:?}");
    let (start, left) = (sockets(&at_start) + files(&at_start), sockets(&left) + files(&left));
    let memory = warm.last().unwrap().1 / 1_048_576.0;
    figure(
        "soak with churn",
        format!(
            "{minutes} min, {visits} visits, {refusals} times unavailable; memory {memory:.1} MB, slope {:.2} MB/10 min after warm-up; descriptors {start} → {left}; {report}",
            growth / 1_048_576.0
        ),
    );
    assert!(report.is_clean(), "{report}");
    assert!(growth < SLOPE, "{growth} bytes in ten minutes");
}
