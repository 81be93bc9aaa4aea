//! Three nodes behind nginx, one of which, or what they share, is taken away while everybody writes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join;
use rand::Rng as _;
use serde_json::json;

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Client, Cluster, Http, Said, WORKER_LEAVES_S, eventually};
use crate::lookout::{Lookout, Passage};
use crate::size::{figure, is_long, ms, p99, size};

/// How long a node may take to leave.
const LEAVES: Duration = Duration::from_secs(10);

async fn cluster() -> Option<Cluster> {
    Cluster::with(&[UNLIMITED.as_slice(), &[("session.drain_spread_ms", "1000")]].concat()).await
}

fn fleet(cluster: &Cluster) -> Fleet {
    Fleet::start_at(vec![cluster.nginx.at.clone()], Plan { users: 6, ..Plan::default() })
}

#[actix_web::test]
async fn nodes_are_restarted_one_after_another() {
    let Some(mut cluster) = cluster().await else { return };
    let fleet = fleet(&cluster);
    let (mut slowest, mut away) = (Duration::ZERO, Duration::ZERO);
    let mut ends = BTreeMap::<u16, usize>::new();
    fleet.take_longest_away();
    for _ in 0..size(1, 5) {
        for n in 0..cluster.nodes.len() {
            fleet.goes_on(50).await;
            let began = Instant::now();
            cluster.nodes[n].signal("TERM");
            assert!(cluster.nodes[n].ended().await.success());
            slowest = slowest.max(began.elapsed());
            cluster.nodes[n].again().await;
            cluster.meets().await;
            away = away.max(fleet.take_longest_away());
            fleet.take_ends().into_iter().for_each(|(code, many)| *ends.entry(code).or_default() += many);
        }
    }
    let report = fleet.finish(&cluster.nodes[0]).await;
    figure(
        "rolling restart of three nodes",
        format!(
            "exit after {} ms at most, away for {} ms at most, ends by close code {ends:?}; {report}",
            slowest.as_millis(),
            away.as_millis()
        ),
    );
    assert!(report.is_clean(), "{report}");
    assert!(slowest <= LEAVES && away <= LEAVES, "{slowest:?} {away:?}");
    assert!(ends.keys().all(|code| *code == 4001), "somebody was not told: {ends:?}");
}

#[actix_web::test]
async fn nodes_are_killed_at_random() {
    let Some(mut cluster) = cluster().await else { return };
    let fleet = fleet(&cluster);
    fleet.take_longest_away();
    let (rounds, mut away) = (size(3, 50), Duration::ZERO);
    for _ in 0..rounds {
        fleet.goes_on(50).await;
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..80))).await;
        let n = rand::rng().random_range(0..cluster.nodes.len());
        cluster.nodes[n].again().await;
        fleet.goes_on(50).await;
        away = away.max(fleet.take_longest_away());
    }
    let report = fleet.finish(&cluster.nodes[0]).await;
    figure(
        "kill -9 of a random node of three",
        format!("{rounds} kills, away for {} ms at most; {report}", away.as_millis()),
    );
    assert!(report.is_clean(), "{report}");
    assert!(away <= Duration::from_secs(5), "{away:?}");
}

/// What is done to NATS, and how that ends.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Stopped,
    Frozen,
    Killed,
}

async fn nats_in_trouble(trouble: Trouble) {
    let Some(mut cluster) = cluster().await else { return };
    let fleet = fleet(&cluster);
    let (from, to) = (cluster.v1(0, "from").await, cluster.v1(1, "to").await);
    let lookout = Lookout::start(from, to, "to");
    fleet.goes_on(50).await;
    let gone = Instant::now();
    match trouble {
        Trouble::Stopped => cluster.nats.stop(),
        Trouble::Frozen => cluster.nats.signal("STOP"),
        Trouble::Killed => cluster.nats.kill(),
    }
    // Short enough that it is back before the database is first asked, long enough that it is asked again and
    // again.
    let until = gone + Duration::from_secs(size(5, 30));
    while Instant::now() < until {
        fleet.goes_on(20).await;
    }
    match trouble {
        Trouble::Stopped | Trouble::Killed => cluster.nats.resume(),
        Trouble::Frozen => cluster.nats.signal("CONT"),
    }
    let back = Instant::now();
    cluster.meets().await;
    let met = back.elapsed();
    fleet.goes_on(50).await;
    let passages = lookout.stop().await;
    let report = fleet.finish(&cluster.nodes[0]).await;
    let slowest = |some: &dyn Fn(&Passage) -> bool| {
        passages.iter().filter(|p| some(p)).map(|p| p.arrived_after).max().unwrap_or_default()
    };
    let (while_away, after) = (slowest(&|p| p.sent < back), slowest(&|p| p.sent >= back));
    let until_all = passages
        .iter()
        .filter(|p| p.sent < back)
        .map(|p| (p.sent + p.arrived_after).saturating_duration_since(back))
        .max();
    figure(
        &format!("NATS {trouble:?} under load"),
        format!(
            "between nodes {} ms at most while away and {} ms after; {} ms from its return until all had come, {} ms until the nodes met; {report}",
            while_away.as_millis(),
            after.as_millis(),
            until_all.unwrap_or_default().as_millis(),
            met.as_millis()
        ),
    );
    assert!(report.is_clean(), "{report}");
    assert!(while_away <= Duration::from_secs(30), "{while_away:?}");
    assert!(
        after <= Duration::from_secs(5) && until_all <= Some(Duration::from_secs(5)),
        "{after:?} {until_all:?}"
    );
}

#[actix_web::test]
async fn nats_is_stopped() {
    nats_in_trouble(Trouble::Stopped).await;
}

#[actix_web::test]
async fn nats_is_frozen() {
    nats_in_trouble(Trouble::Frozen).await;
}

#[actix_web::test]
async fn nats_is_killed() {
    nats_in_trouble(Trouble::Killed).await;
}

/// Acks do not wait for NATS: with it and while it is frozen, side by side.
#[actix_web::test]
async fn acks_take_no_longer_while_nats_is_frozen() {
    if !is_long() {
        return;
    }
    let Some(cluster) = cluster().await else { return };
    let fleet = fleet(&cluster);
    let mut ratios = Vec::new();
    for pair in 0..5 {
        let mut times = Vec::new();
        for trouble in [false, true] {
            if trouble {
                cluster.nats.signal("STOP");
                // It takes a while until that is seen, and that while counts.
            }
            let (from, to) = (
                cluster.v1(0, &format!("from{pair}{trouble}")).await,
                cluster.v1(0, &format!("to{pair}{trouble}")).await,
            );
            let lookout = Lookout::start(from, to, &format!("to{pair}{trouble}"));
            tokio::time::sleep(Duration::from_secs(15)).await;
            let acks: Vec<_> = lookout.stop().await.iter().map(|p| p.acked_after).collect();
            times.push(ms(p99(&acks)));
            if trouble {
                cluster.nats.signal("CONT");
                cluster.meets().await;
            }
        }
        ratios.push(times[1] / times[0]);
    }
    ratios.sort_by(f64::total_cmp);
    let report = fleet.finish(&cluster.nodes[0]).await;
    figure(
        "ack p99 with NATS frozen, against NATS well",
        format!("{:.2} × (median of {ratios:.2?}); {report}", ratios[2]),
    );
    assert!(report.is_clean(), "{report}");
    assert!(ratios[2] <= 1.25, "{ratios:?}");
}

#[actix_web::test]
async fn nginx_is_reloaded_under_load() {
    let Some(cluster) = cluster().await else { return };
    let fleet = fleet(&cluster);
    let (rounds, mut slowest) = (size(2, 20), Duration::ZERO);
    for _ in 0..rounds {
        fleet.goes_on(50).await;
        let old = cluster.nginx.workers();
        let began = Instant::now();
        cluster.nginx.reload();
        eventually("the old workers' end", async || {
            let now = cluster.nginx.workers();
            (!now.is_empty() && old.iter().all(|pid| !now.contains(pid))).then_some(())
        })
        .await;
        slowest = slowest.max(began.elapsed());
    }
    fleet.goes_on(50).await;
    let report = fleet.finish(&cluster.nodes[0]).await;
    figure(
        "nginx reloaded under load",
        format!("{rounds} times, old workers gone after {} ms at most; {report}", slowest.as_millis()),
    );
    assert!(report.is_clean(), "{report}");
    assert!(slowest <= Duration::from_secs(WORKER_LEAVES_S + 2), "{slowest:?}");
}

#[actix_web::test]
async fn the_same_message_at_two_nodes_at_once_is_stored_once() {
    let Some(cluster) = cluster().await else { return };
    let rounds = size(500, 10_000);
    let (mut phone, mut tablet) = (cluster.v1(0, "alice").await, cluster.v1(1, "alice").await);
    for n in 0..rounds {
        let frame = json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": format!("m{n}"), "message": "once" });
        join(phone.send(frame.clone()), tablet.send(frame)).await;
        let (one, other) = join(ack_of(&mut phone, n), ack_of(&mut tablet, n)).await;
        assert_eq!(one["seq"], other["seq"]);
        assert_eq!([&one, &other].iter().filter(|ack| ack["duplicate"] == false).count(), 1, "{one} {other}");
    }
    let calls = cluster.http_as("alice").await;
    let (_, list) = calls.get("/v1/conversations").await;
    assert_eq!(list["conversations"][0]["last_seq"], rounds, "{list}");
    figure(
        "the same client_msg_id at two nodes at once",
        format!("{rounds} times, one row and one seq each"),
    );
}

async fn ack_of(client: &mut Client, n: usize) -> serde_json::Value {
    loop {
        match client.next().await {
            Said::Frame(frame) if frame["type"] == "ack" && frame["client_msg_id"] == format!("m{n}") => {
                return frame;
            }
            // The other's message, and its repeat.
            Said::Frame(frame) if frame["type"] == "text" => {}
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn who_is_banned_or_logged_out_on_one_node_is_out_on_all() {
    let Some(cluster) = cluster().await else { return };
    let (rounds, mut slowest) = (size(1, 20), Duration::ZERO);
    for round in 0..rounds {
        for ban in [false, true] {
            let openid = format!("user{round}{ban}");
            let calls = cluster.nodes[0].http_as(&openid).await;
            let mut sessions = Vec::new();
            for (n, node) in cluster.nodes.iter().enumerate() {
                let url = format!("ws://{}/{openid}?device={n}", node.at);
                let mut session = Client::connect(&url, &["hongyan.v1"], Some(calls.token())).await.unwrap();
                session.expect("init").await;
                sessions.push(session);
            }
            let began = Instant::now();
            if ban {
                assert!(cluster.nodes[0].command(&["ban", "--force", &openid]).status.success());
            } else {
                assert_eq!(calls.post("/v1/logout", &json!({ "all": true })).await.0, 204);
            }
            let committed = Instant::now();
            for session in &mut sessions {
                session.expect_close(if ban { 4505 } else { 4501 }).await;
            }
            slowest = slowest.max(if ban { committed } else { began }.elapsed());
            for node in &cluster.nodes {
                let http = Http::new(&node.at, Some(calls.token()));
                let status = http.get("/v1/unread").await.0;
                assert_eq!(status, if ban { 403 } else { 401 }, "{openid}");
            }
        }
    }
    figure(
        "banned or logged out on one node of three",
        format!("{rounds} each, all sessions gone after {} ms at most", slowest.as_millis()),
    );
    assert!(slowest <= Duration::from_secs(2), "{slowest:?}");
}
