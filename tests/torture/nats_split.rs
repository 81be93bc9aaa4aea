//! Two NATS servers that lose each other, or never had each other, under nodes on both: each answers its own
//! nodes and brings nothing from the other's. And a NATS that is away for minutes, to clients who cannot tell
//! a message that comes twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Client, Cluster, Http, Nats, Nginx, Said, Server, eventually};
use crate::lookout::{Lookout, Passage};
use crate::postgres::Wire;
use crate::size::{figure, size};

/// What is promised while NATS is away or split, in its long form; the short one runs beside others.
fn late_at_most() -> Duration {
    Duration::from_secs(size(30, 11))
}

/// A port that was free a moment ago; nobody else binds to it meanwhile but by chance.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn plan() -> Plan {
    Plan { users: 6, pace: Duration::from_millis(20), ..Plan::default() }
}

/// The first and the last on the one server, the second on the other.
fn nodes(one: &Nats, other: &Nats, database: &str) -> Vec<Server> {
    let node = |nats: &Nats| {
        let url = nats.url();
        let own = [("database.url", database), ("relay.nats_url", url.as_str())];
        Server::alone(&[UNLIMITED.as_slice(), Cluster::SHARED, &own].concat())
    };
    vec![node(one), node(other), node(one)]
}

/// From the one side to the other, and back.
async fn lookouts(cluster: &Cluster) -> [Lookout; 2] {
    let (there, back) = (
        (cluster.v1(0, "one").await, cluster.v1(1, "other").await),
        (cluster.v1(1, "b").await, cluster.v1(2, "a").await),
    );
    [Lookout::start(there.0, there.1, "other"), Lookout::start(back.0, back.1, "a")]
}

async fn passages(lookouts: [Lookout; 2]) -> Vec<Passage> {
    let [there, back] = lookouts;
    [there.stop().await, back.stop().await].concat()
}

async fn finds_who_is_away(cluster: &Cluster) {
    for (node, away) in cluster.nodes.iter().zip([1.0, 2.0, 1.0]) {
        node.metric_becomes("hongyan_relay_nodes_away", away).await;
        let (status, ready) = Http::new(&node.ops, None).get("/readyz").await;
        let relay = &ready["details"]["relay"];
        assert_eq!((status, &relay["nats"], &relay["away"]), (200, &json!("split"), &json!(away as u64)));
    }
}

#[actix_web::test]
async fn the_route_between_two_nats_servers_is_cut() {
    let route_port = free_port();
    let route = Wire::to(format!("127.0.0.1:{route_port}"));
    let Some(one) = Nats::in_cluster(route_port, None) else { return };
    let (Some(other), Some((database, _))) =
        (Nats::in_cluster(free_port(), Some(&route.at)), Server::fresh_postgres())
    else {
        return;
    };
    let nodes = nodes(&one, &other, &database);
    let Some(cluster) = Cluster::of_nodes(nodes, one).await else { return };
    let fleet = Fleet::start_at(vec![cluster.nginx.at.clone()], plan());
    let lookouts = lookouts(&cluster).await;
    fleet.goes_on(50).await;
    route.cut();
    let cut = Instant::now();
    finds_who_is_away(&cluster).await;
    let noticed = cut.elapsed();
    while cut.elapsed() < Duration::from_secs(size(8, 180)) {
        fleet.goes_on(20).await;
    }
    route.mend();
    let mended = Instant::now();
    cluster.meets().await;
    for node in &cluster.nodes {
        node.metric_becomes("hongyan_relay_nodes_away", 0.0).await;
    }
    let met = mended.elapsed();
    fleet.goes_on(50).await;
    let passages = passages(lookouts).await;
    let report = fleet.finish(&cluster.nodes[0]).await;
    let slowest = passages.iter().map(|p| p.arrived_after).max().unwrap();
    let until_all = passages
        .iter()
        .filter(|p| p.sent < mended)
        .map(|p| (p.sent + p.arrived_after).saturating_duration_since(mended))
        .max();
    figure(
        "two NATS servers whose route is cut",
        format!(
            "noticed by all after {} ms, between nodes {} ms at most; {} ms from its return until the nodes met, {} ms until all had come; {report}",
            noticed.as_millis(),
            slowest.as_millis(),
            met.as_millis(),
            until_all.unwrap_or_default().as_millis()
        ),
    );
    assert!(report.is_clean(), "{report}");
    assert!(slowest <= late_at_most(), "{slowest:?}");
}

#[actix_web::test]
async fn two_nats_servers_are_no_cluster() {
    let (Some(one), Some(other), Some((database, _))) =
        (Nats::start(), Nats::start(), Server::fresh_postgres())
    else {
        return;
    };
    let nodes = nodes(&one, &other, &database);
    let addresses: Vec<_> = nodes.iter().map(|node| node.at.clone()).collect();
    let Some(nginx) = Nginx::before(&addresses) else { return };
    let cluster = Cluster { nodes, nats: one, nginx };
    let fleet = Fleet::start_at(vec![cluster.nginx.at.clone()], plan());
    let lookouts = lookouts(&cluster).await;
    finds_who_is_away(&cluster).await;
    let known = Instant::now();
    while known.elapsed() < Duration::from_secs(size(5, 60)) {
        fleet.goes_on(20).await;
    }
    let passages = passages(lookouts).await;
    let report = fleet.finish(&cluster.nodes[0]).await;
    let slowest = passages.iter().map(|p| p.arrived_after).max().unwrap();
    figure(
        "two NATS servers that are no cluster",
        format!("between nodes {} ms at most; {report}", slowest.as_millis()),
    );
    assert!(report.is_clean(), "{report}");
    assert!(slowest <= late_at_most(), "{slowest:?}");
}

/// How often each message came to a plain client.
#[derive(Clone, Default)]
struct Plain(Rc<RefCell<BTreeMap<u64, usize>>>);

impl Plain {
    fn listen(mut client: Client) -> Self {
        let plain = Self::default();
        let came = plain.clone();
        actix_web::rt::spawn(async move {
            loop {
                match client.hear().await {
                    Said::Frame(frame) if frame["type"] == "text" => {
                        *came.0.borrow_mut().entry(number(&frame)).or_default() += 1
                    }
                    Said::Frame(_) => {}
                    _ => return,
                }
            }
        });
        plain
    }
}

fn number(frame: &Value) -> u64 {
    frame["message"].as_str().unwrap().parse().unwrap()
}

#[actix_web::test]
async fn minutes_without_nats_bring_plain_clients_nothing_twice() {
    let Some(mut cluster) = Cluster::with(&UNLIMITED).await else { return };
    let fleet = Fleet::start_at(vec![cluster.nginx.at.clone()], plan());
    let listeners = [("near", 0), ("far", 1), ("farther", 2)];
    let mut plain = Vec::new();
    for (name, node) in listeners {
        plain.push(Plain::listen(cluster.nodes[node].seed(name, "writer").await));
    }
    let mut writer = cluster.v1(0, "writer").await;
    cluster.nats.kill();
    let (gone, mut written) = (Instant::now(), 0_u64);
    // So few that all of them are among the newest of their conversation.
    let mut pace = tokio::time::interval(Duration::from_millis(size(200, 2_000)));
    while gone.elapsed() < Duration::from_secs(size(5, 300)) {
        pace.tick().await;
        for (name, _) in listeners {
            let text = written.to_string();
            writer.say(name, &format!("{name}{text}"), &text).await;
        }
        written += 1;
    }
    let asked = async |node: &Server| node.metric("hongyan_relay_catch_ups_total").await;
    let mut before = Vec::new();
    for node in &cluster.nodes {
        before.push(asked(node).await);
    }
    cluster.nats.resume();
    cluster.meets().await;
    // Once at its return and once more after, in between every node says what it could not say.
    for (node, before) in cluster.nodes.iter().zip(before) {
        eventually("two askings", async || (asked(node).await >= before + 2.0).then_some(())).await;
    }
    for plain in &plain {
        eventually("everything", async || (plain.0.borrow().len() as u64 == written).then_some(())).await;
    }
    let twice: Vec<_> =
        plain.iter().map(|plain| plain.0.borrow().values().filter(|times| **times > 1).count()).collect();
    let report = fleet.finish(&cluster.nodes[0]).await;
    figure(
        "minutes without NATS",
        format!("{written} messages to each of three plain clients, came twice: {twice:?}; {report}"),
    );
    assert!(report.is_clean(), "{report}");
    assert_eq!(twice, [0, 0, 0]);
}
