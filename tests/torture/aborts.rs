//! The process aborts at each place where something could be half done.

use rand::Rng as _;

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::Server;
use crate::size::{figure, size, skipped};

const POINTS: [&str; 5] = ["before-commit", "within-commit", "after-commit", "before-ack", "before-push"];

async fn abort_at_every_point(name: &str, mut server: Server) {
    if cfg!(not(feature = "failpoints")) {
        skipped("this build has no abort points; `make test` builds with --features failpoints");
        return;
    }
    let fleet = Fleet::start(&server, Plan::default());
    let mut aborts = 0;
    for _ in 0..size(1, 20) {
        for point in POINTS {
            // Only SQLite's transaction is in our hands between its first and its last statement.
            if point == "within-commit" && server.is_on_postgres() {
                continue;
            }
            let after = rand::rng().random_range(5..60);
            server.set_variable("FAILPOINTS", Some(&format!("{point}={after}*off->return")));
            server.again().await;
            fleet.moved(&server);
            let status = server.ended().await;
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{point}: {status}");
            server.set_variable("FAILPOINTS", None);
            server.again().await;
            fleet.moved(&server);
            fleet.goes_on(20).await;
            aborts += 1;
        }
    }
    let report = fleet.finish(&server).await;
    figure(name, format!("{aborts} aborts; {report}"));
    assert!(report.is_clean(), "{report}");
}

#[actix_web::test]
async fn aborted_at_every_point_on_sqlite() {
    abort_at_every_point("aborts, SQLite", Server::with(UNLIMITED).await).await;
}

#[actix_web::test]
async fn aborted_at_every_point_on_postgres() {
    let Some((server, _)) = Server::on_postgres_with(&UNLIMITED).await else { return };
    abort_at_every_point("aborts, PostgreSQL", server).await;
}
