//! `hongyan status`: one node, all nodes, and one that is silent.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use serde_json::Value;

use crate::harness::{Cluster, Nats, Server, eventually};

/// What the command prints as JSON, with its exit code.
fn status(server: &Server) -> (Option<i32>, Value) {
    let done = server.command(&["status", "--json", "--ops-listen", &server.ops]);
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap())
}

fn node<'a>(overview: &'a Value, name: &str) -> &'a Value {
    overview["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["node"] == name)
        .unwrap_or_else(|| panic!("{name} in {overview}"))
}

#[actix_web::test]
async fn all_nodes_are_shown_and_a_silent_one_as_such() {
    let (Some(nats), Some((database, _))) = (Nats::start(), Server::fresh_postgres()) else { return };
    let Some(cluster) = Cluster::over(3, nats, &database, &[]).await else { return };
    let (_alice, _bob) = (cluster.v1(0, "alice").await, cluster.v1(1, "bob").await);
    let (code, overview) = eventually("three nodes that are well", async || {
        let (code, overview) = status(&cluster.nodes[0]);
        let has_sessions =
            overview["nodes"].as_array()?.iter().filter(|node| node["sessions"] == 1).count() == 2;
        (code == Some(0) && has_sessions).then_some((code, overview))
    })
    .await;
    assert_eq!((code, overview["nodes"].as_array().unwrap().len()), (Some(0), 3), "{overview}");
    assert!(node(&overview, "n0")["is_this"] == true && node(&overview, "n1")["is_this"] == false);
    for name in ["n0", "n1", "n2"] {
        let node = node(&overview, name);
        assert!(
            node["is_heard"] == true
                && node["database"] == "ok"
                && node["relay"] == "ok"
                && node["hears"] == 2,
            "{node}"
        );
        assert!(
            node["up_since_ms"].as_i64().unwrap() > 1_700_000_000_000
                && node["version"] == env!("CARGO_PKG_VERSION"),
            "{node}"
        );
    }

    // Killed, its row stays; so does that of one that hangs.
    cluster.nodes[2].signal("KILL");
    let mut conn = PgConnection::establish(&database).unwrap();
    eventually("silence", async || {
        conn.batch_execute("UPDATE nodes SET seen_at = seen_at - 90000 WHERE name LIKE 'n2~%' AND seen_at > extract(epoch FROM clock_timestamp()) * 1000 - 60000").unwrap();
        (node(&status(&cluster.nodes[0]).1, "n2")["is_heard"] == false).then_some(())
    })
    .await;
    let table = cluster.nodes[0].command(&["status", "--ops-listen", &cluster.nodes[0].ops]);
    let text = String::from_utf8(table.stdout).unwrap();
    let silent = text.lines().find(|line| line.starts_with("n2")).unwrap();
    assert!(silent.contains("not heard since 1 min 3") && table.status.code() == Some(1), "{text}");
    assert!(text.starts_with("NODE  VERSION  UP") && text.contains("2 nodes, 2 sessions"), "{text}");
}

#[actix_web::test]
async fn one_node_is_asked_and_one_that_does_not_run_is_told() {
    let mut server = Server::alone(&[("server.node", "only")]);
    let mut alice = server.v1("alice").await;
    alice.say("bob", "m1", "x").await;
    let overview = eventually("a rate", async || {
        let (code, overview) = status(&server);
        assert_eq!(code, Some(0), "{overview}");
        (node(&overview, "only")["messages_per_second"].as_f64()? > 0.0).then_some(overview)
    })
    .await;
    assert_eq!(
        (&node(&overview, "only")["sessions"], &node(&overview, "only")["relay"]),
        (&1.into(), &"off".into())
    );
    server.signal("TERM");
    server.ended().await;
    let gone = server.command(&["status", "--ops-listen", &server.ops]);
    let text = String::from_utf8(gone.stdout).unwrap();
    assert!(gone.status.code() == Some(1) && text.contains("does not answer at"), "{text}");
}
