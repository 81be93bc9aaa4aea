//! Every send repeated, from two sockets at once: one row each.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::fleet::{UNLIMITED, histories};
use crate::harness::{Client, Server};
use crate::log::Log;
use crate::size::{figure, size};

/// Sends that are on their way at once.
const WINDOW: usize = 200;

#[actix_web::test]
async fn every_send_one_to_three_times_from_two_sockets_on_sqlite() {
    repeat("repeats, SQLite", Server::with(UNLIMITED).await).await;
}

#[actix_web::test]
async fn every_send_one_to_three_times_from_two_sockets_on_postgres() {
    let Some((server, _)) = Server::on_postgres_with(&UNLIMITED).await else { return };
    repeat("repeats, PostgreSQL", server).await;
}

async fn repeat(name: &str, server: Server) {
    let sends = size(2_000, 100_000);
    let mut sockets = Vec::new();
    for device in ["phone", "tablet"] {
        sockets.push((server.v1_device("alice", device).await, Log::new("alice", device)));
    }
    let mut random = StdRng::seed_from_u64(7);
    let mut attempts = 0;
    let mut places: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for first in (0..sends).step_by(WINDOW) {
        let mut open = [0, 0];
        for n in first..(first + WINDOW).min(sends) {
            let peer = format!("peer{}", n % 3);
            let frame = json!({ "type": "text", "to_user_openid": peer, "client_msg_id": n.to_string(), "message": n.to_string() });
            for ((client, log), open) in sockets.iter_mut().zip(&mut open) {
                for _ in 0..random.random_range(1..=3) {
                    log.sends(&frame);
                    client.send(frame.clone()).await;
                    *open += 1;
                    attempts += 1;
                }
            }
        }
        for ((client, log), open) in sockets.iter_mut().zip(open) {
            for _ in 0..open {
                let ack = next_ack(client, log).await;
                let place = (ack["seq"].as_i64().unwrap(), ack["client_msg_id"].as_str().unwrap().to_owned());
                places.entry(place.1).or_default().insert(place.0);
            }
        }
    }
    assert!(places.len() == sends && places.values().all(|seqs| seqs.len() == 1), "an id has two places");
    let names = ["alice", "peer0", "peer1", "peer2"].map(str::to_owned);
    let report = crate::checker::check(
        &sockets.into_iter().map(|(_, log)| log).collect::<Vec<_>>(),
        &histories(&server, &names).await,
    );
    figure(name, format!("{sends} messages in {attempts} attempts; {report}"));
    assert!(report.is_clean(), "{report}");
}

/// The next ack; what the other socket sent comes in between.
async fn next_ack(client: &mut Client, log: &mut Log) -> Value {
    loop {
        let frame: Value = serde_json::from_str(&client.expect_text().await).unwrap();
        log.came(&frame);
        match frame["type"].as_str() {
            Some("ack") => return frame,
            Some("text") => {}
            _ => panic!("{frame}"),
        }
    }
}
