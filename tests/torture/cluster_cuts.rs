//! Each node in turn cannot reach NATS, then PostgreSQL, then is not reached by nginx: packets are lost, and
//! nobody says so.

use std::time::{Duration, Instant};

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Cluster, Nats, Server};
use crate::lookout::Lookout;
use crate::namespaces::{Link, Namespace};
use crate::postgres::Wire;
use crate::size::{figure, size};

const CONVERGED: Duration = Duration::from_secs(30);

/// A node's links to the rest of the world. Its namespace goes with it.
struct Linked {
    nats: Link,
    database: Link,
    nginx: Link,
    namespace: Namespace,
}

impl Linked {
    /// Each who is on this machine's loopback is reached through the link of its own.
    fn start(namespace: Namespace, nats: &Nats, database: &str) -> (Server, Self) {
        let links =
            Self { nats: namespace.link(), database: namespace.link(), nginx: namespace.link(), namespace };
        let place = database.rsplit_once('@').unwrap().1.split('/').next().unwrap();
        let to_nats = Wire::from(&links.nats.outside, format!("127.0.0.1:{}", nats.port));
        let to_database = Wire::from(&links.database.outside, place.to_owned());
        let (nats_url, database) =
            (format!("nats://{}", to_nats.at), database.replace(place, &to_database.at));
        let inside = links.nginx.inside.clone();
        let node = links.namespace.within(move || {
            // Heard or not is found out sooner than by default, for the test is to end.
            let own = [
                ("database.url", database.as_str()),
                ("relay.nats_url", &nats_url),
                ("session.ping_after_ms", "2000"),
                ("session.silent_after_ms", "5000"),
                ("session.heartbeat_ms", "2000"),
            ];
            let mut node = Server::alone(&[UNLIMITED.as_slice(), Cluster::SHARED, &own].concat());
            for at in [&mut node.at, &mut node.ops] {
                *at = Wire::from(&inside, at.clone()).at;
            }
            node
        });
        (node, links)
    }
}

#[actix_web::test]
async fn each_node_is_cut_off_in_turn() {
    let (Some(nats), Some((database, _))) = (Nats::start(), Server::fresh_postgres()) else { return };
    let Some(namespaces) = (0..3).map(|_| Namespace::new()).collect::<Option<Vec<_>>>() else { return };
    let (nodes, links): (Vec<_>, Vec<_>) =
        namespaces.into_iter().map(|own| Linked::start(own, &nats, &database)).unzip();
    let Some(cluster) = Cluster::of_nodes(nodes, nats).await else { return };
    let fleet = Fleet::start_at(
        vec![cluster.nginx.at.clone()],
        Plan { users: 6, pace: Duration::from_millis(20), ..Plan::default() },
    );
    let (mut slowest, mut longest) = (Duration::ZERO, Duration::ZERO);
    for round in 0..size(1, 5) {
        for (n, node) in links.iter().enumerate() {
            // Whom no cut ends: their messages come, however they find their way.
            let (from, to) = (format!("from{round}{n}"), format!("to{round}{n}"));
            let lookout = Lookout::start(cluster.v1((n + 1) % 3, &from).await, cluster.v1(n, &to).await, &to);
            fleet.goes_on(50).await;
            node.nats.cut();
            tokio::time::sleep(Duration::from_secs(size(4, 10))).await;
            node.nats.mend();
            healed(&cluster, &fleet, &mut slowest).await;
            longest = lookout
                .stop()
                .await
                .iter()
                .map(|passage| passage.arrived_after)
                .max()
                .max(Some(longest))
                .unwrap();
            for link in [&node.database, &node.nginx] {
                fleet.goes_on(50).await;
                link.cut();
                tokio::time::sleep(Duration::from_secs(size(4, 10))).await;
                link.mend();
                healed(&cluster, &fleet, &mut slowest).await;
            }
        }
    }
    let report = fleet.finish(&cluster.nodes[0]).await;
    figure(
        "each node cut from NATS, PostgreSQL and nginx",
        format!(
            "everybody at it again {} ms after healing at most, between nodes after {} ms at most while one had no NATS; {report}",
            slowest.as_millis(),
            longest.as_millis()
        ),
    );
    assert!(report.is_clean(), "{report}");
    assert!(slowest <= CONVERGED && longest <= CONVERGED, "{slowest:?} {longest:?}");
}

/// Waits until the nodes have each other, and every user goes on.
async fn healed(cluster: &Cluster, fleet: &Fleet, slowest: &mut Duration) {
    let since = Instant::now();
    cluster.meets().await;
    fleet.everybody_goes_on(1).await;
    *slowest = since.elapsed().max(*slowest);
}
