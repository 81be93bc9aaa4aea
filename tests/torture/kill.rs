//! `kill -9` at random moments while everybody writes: nothing acked is lost, nothing doubled, and the server
//! is back at once.

use std::time::{Duration, Instant};

use rand::Rng as _;

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::Server;
use crate::size::{figure, size};

/// How long a start may take.
const READY: Duration = Duration::from_secs(5);

async fn kill_again_and_again(name: &str, mut server: Server, rounds: usize) {
    let fleet = Fleet::start(&server, Plan::default());
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        fleet.goes_on(20).await;
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..80))).await;
        let began = Instant::now();
        server.again().await;
        slowest = slowest.max(began.elapsed());
        fleet.moved(&server);
    }
    fleet.goes_on(20).await;
    let report = fleet.finish(&server).await;
    figure(name, format!("{rounds} kills, ready after {} ms at most; {report}", slowest.as_millis()));
    assert!(report.is_clean(), "{report}");
    assert!(slowest <= READY, "{slowest:?}");
}

#[actix_web::test]
async fn killed_at_random_moments_on_sqlite() {
    kill_again_and_again("kill -9, SQLite", Server::with(UNLIMITED).await, size(10, 200)).await;
}

#[actix_web::test]
async fn killed_at_random_moments_on_postgres() {
    let Some((server, _)) = Server::on_postgres_with(&UNLIMITED).await else { return };
    kill_again_and_again("kill -9, PostgreSQL", server, size(5, 200)).await;
}
