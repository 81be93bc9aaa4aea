//! Each node in turn cannot reach NATS, then PostgreSQL, then is not reached by nginx: bytes go nowhere, and nobody says so.

use std::time::{Duration, Instant};

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Cluster, Nats, Nginx, Server, Way};
use crate::postgres::Wire;
use crate::size::{figure, size};

/// A node and its ways to the rest of the world, each of which can be cut.
struct Wired {
    nats: Wire,
    database: Wire,
    nginx: Wire,
}

#[actix_web::test]
async fn each_node_is_cut_off_in_turn() {
    let (Some(nats), Some((database, _))) = (Nats::start(), Server::fresh_postgres()) else { return };
    let place = database.rsplit_once('@').unwrap().1.split('/').next().unwrap();
    let outward = |_| (Wire::to(format!("127.0.0.1:{}", nats.port)), Wire::to(place.to_owned()));
    let outward: Vec<_> = (0..3).map(outward).collect();
    let ways: Vec<_> =
        outward.iter().map(|(n, d)| Way { nats: format!("nats://{}", n.at), database: database.replace(place, &d.at) }).collect();
    // Heard or not is found out sooner than by default, for the test is to end.
    let settings =
        [UNLIMITED.as_slice(), &[("session.ping_after_ms", "2000"), ("session.silent_after_ms", "5000"), ("session.heartbeat_ms", "2000")]]
            .concat();
    let nodes = Cluster::nodes(&ways, &settings).await;
    let wires: Vec<_> = outward
        .into_iter()
        .zip(&nodes)
        .map(|((nats, database), node)| Wired { nats, database, nginx: Wire::to(node.at.clone()) })
        .collect();
    let before: Vec<_> = wires.iter().map(|wired| wired.nginx.at.clone()).collect();
    let Some(nginx) = Nginx::before(&before) else { return };
    let cluster = Cluster { nodes, nats, nginx };
    cluster.meets().await;
    let fleet = Fleet::start_at(vec![cluster.nginx.at.clone()], Plan { users: 6, pace: Duration::from_millis(20), ..Plan::default() });
    let mut slowest = Duration::ZERO;
    for _ in 0..size(1, 5) {
        for wired in &wires {
            for wire in [&wired.nats, &wired.database, &wired.nginx] {
                fleet.goes_on(50).await;
                wire.cut();
                tokio::time::sleep(Duration::from_secs(size(4, 10))).await;
                wire.mend();
                let healed = Instant::now();
                cluster.meets().await;
                fleet.everybody_goes_on(1).await;
                slowest = slowest.max(healed.elapsed());
            }
        }
    }
    let report = fleet.finish(&cluster.nodes[0]).await;
    figure(
        "each node cut from NATS, PostgreSQL and nginx",
        format!("everybody at it again {} ms after healing at most; {report}", slowest.as_millis()),
    );
    assert!(report.is_clean(), "{report}");
    assert!(slowest <= Duration::from_secs(30), "{slowest:?}");
}
