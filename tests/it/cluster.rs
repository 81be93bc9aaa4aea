//! Users on different nodes: the same as on one.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Cluster, Http, Nats, Server, eventually};

#[actix_web::test]
async fn a_message_reaches_the_peer_and_the_senders_other_devices_on_other_nodes() {
    let Some(cluster) = Cluster::start().await else { return };
    let (mut alice, mut tablet, mut bob) =
        (cluster.v1(0, "alice").await, cluster.v1(1, "alice").await, cluster.v1(2, "bob").await);
    let ack = alice.say("bob", "m1", "hello").await;
    for client in [&mut bob, &mut tablet] {
        let message = client.expect("text").await;
        assert_eq!((&message["seq"], &message["message"]), (&ack["seq"], &json!("hello")));
    }
    bob.say("alice", "m2", "hi").await;
    for client in [&mut alice, &mut tablet] {
        assert_eq!(client.expect("text").await["seq"], 2);
    }
    // Once each: nothing else came.
    for client in [&mut alice, &mut tablet, &mut bob] {
        client.nothing_came().await;
    }
}

#[actix_web::test]
async fn receipts_typing_recall_settings_and_clearing_cross_nodes() {
    let Some(cluster) = Cluster::start().await else { return };
    let (mut alice, mut bob, mut bobs_tablet) =
        (cluster.v1(0, "alice").await, cluster.v1(1, "bob").await, cluster.v1(2, "bob").await);
    alice.say("bob", "m1", "hello").await;
    bob.expect("text").await;
    bobs_tablet.expect("text").await;
    bob.say("alice", "m2", "hi").await;
    alice.expect("text").await;
    bobs_tablet.expect("text").await;

    bob.send(json!({ "type": "typing", "to_user_openid": "alice" })).await;
    assert_eq!(alice.expect("typing").await["from_user_openid"], "bob");

    bob.send(json!({ "type": "read", "id": "r", "to_user_openid": "alice", "seq": 1 })).await;
    bob.expect("read").await;
    assert_eq!(alice.expect("read").await["seq"], 1);
    assert_eq!(bobs_tablet.expect("read").await["seq"], 1);

    alice.send(json!({ "type": "recall", "id": "c", "to_user_openid": "bob", "target_seq": 1 })).await;
    alice.expect("ack").await;
    for client in [&mut bob, &mut bobs_tablet] {
        assert_eq!(client.expect("recall").await["target_seq"], 1);
    }

    let bobs_calls = cluster.http_as("bob").await;
    let pin = json!({ "pinned": true });
    assert_eq!(bobs_calls.put("/v1/conversations/alice/settings", &pin).await.0, 204);
    for client in [&mut bob, &mut bobs_tablet] {
        let settings = client.expect("settings").await;
        assert_eq!((&settings["muted"], &settings["pinned"]), (&json!(false), &json!(true)));
    }
    assert_eq!(bobs_calls.delete("/v1/conversations/alice").await.0, 204);
    for client in [&mut bob, &mut bobs_tablet] {
        assert_eq!(client.expect("cleared").await["seq"], 3);
    }
    alice.nothing_came().await;
}

#[actix_web::test]
async fn a_plain_client_on_another_node_gets_what_is_sent_and_has_read_it() {
    let Some(cluster) = Cluster::start().await else { return };
    let (mut alice, mut bob) = (cluster.v1(0, "alice").await, cluster.nodes[1].seed("bob", "alice").await);
    alice.say("bob", "m1", "hello").await;
    assert_eq!(bob.expect("text").await["message"], "hello");
    let calls = cluster.http_as("bob").await;
    eventually("read", async || (calls.get("/v1/unread").await.1["total"] == 0).then_some(())).await;
}

#[actix_web::test]
async fn one_session_a_device_on_all_nodes() {
    let Some(cluster) = Cluster::start().await else { return };
    let mut first = cluster.nodes[0].v1_device("alice", "phone").await;
    let mut other = cluster.nodes[0].v1_device("alice", "tablet").await;
    let mut second = cluster.nodes[1].v1_device("alice", "phone").await;
    assert_eq!(first.expect_close(4503).await, "replaced");
    let mut third = cluster.nodes[2].v1_device("alice", "phone").await;
    assert_eq!(second.expect_close(4503).await, "replaced");
    other.nothing_came().await;
    third.nothing_came().await;
}

#[actix_web::test]
async fn eight_sessions_a_user_on_all_nodes_together() {
    let Some(cluster) = Cluster::start().await else { return };
    let mut clients = Vec::new();
    for n in 0..9 {
        clients.push(cluster.nodes[n % 3].v1_device("alice", &format!("d{n}")).await);
        // In this order: ids of one millisecond have none.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(clients[0].expect_close(4503).await, "replaced");
    for client in &mut clients[1..] {
        client.nothing_came().await;
    }
}

#[actix_web::test]
async fn a_device_is_taken_over_only_so_often_on_all_nodes_together() {
    let Some(cluster) = Cluster::start().await else { return };
    let mut clients = Vec::new();
    for n in 0..7 {
        clients.push(cluster.nodes[n % 3].v1_device("alice", "phone").await);
        if n < 6 && n > 0 {
            assert_eq!(clients[n - 1].expect_close(4503).await, "replaced");
        }
    }
    clients[6].expect_error("rate_limited").await;
    clients[6].expect_close(4005).await;
    clients[5].nothing_came().await;
}

#[actix_web::test]
async fn a_logout_ends_the_sessions_on_every_node_and_the_token_everywhere() {
    let Some(cluster) = Cluster::start().await else { return };
    let calls = cluster.nodes[0].http_as("alice").await;
    let mut sessions = Vec::new();
    for node in &cluster.nodes {
        let url = format!("ws://{}/alice?device={}", node.at, sessions.len());
        let mut client =
            crate::harness::Client::connect(&url, &["hongyan.v1"], Some(calls.token())).await.unwrap();
        client.expect("init").await;
        sessions.push(client);
    }
    assert_eq!(calls.post("/v1/logout", &json!({})).await.0, 204);
    for session in &mut sessions {
        session.expect_close(4501).await;
    }
    for node in &cluster.nodes {
        let call = Http::new(&node.at, Some(calls.token()));
        eventually("refused", async || (call.get("/v1/unread").await.0 == 401).then_some(())).await;
    }
}

#[actix_web::test]
async fn nats_away_delays_and_loses_nothing() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let (mut alice, mut bob) = (cluster.v1(0, "alice").await, cluster.v1(1, "bob").await);
    cluster.nats.kill();
    for n in 1..=3 {
        alice.say("bob", &format!("m{n}"), "while it is away").await;
    }
    for n in 1..=3 {
        assert_eq!(bob.expect("text").await["seq"], n);
    }
    for node in &cluster.nodes {
        let (status, ready) = Http::new(&node.ops, None).get("/readyz").await;
        assert_eq!((status, &ready["details"]["relay"]["nats"]), (200, &json!("unavailable")));
    }
    cluster.nats.resume();
    cluster.meets().await;
    alice.say("bob", "m4", "and back").await;
    loop {
        let message = bob.expect_message().await;
        if message["seq"] == 4 {
            break;
        }
    }
}

/// An operator's monitor, which hears everything and answers nothing: the link to NATS is judged as without
/// it.
#[actix_web::test]
async fn a_passive_listener_on_every_subject_changes_nothing() {
    for subject in ["hongyan.>", ">"] {
        let (Some(nats), Some((database, _))) = (Nats::start(), Server::fresh_postgres()) else { return };
        let monitor = async_nats::connect(nats.url()).await.unwrap();
        let mut heard = monitor.subscribe(subject).await.unwrap();
        let Some(cluster) = Cluster::over(2, nats, &database, &[]).await else { return };
        let (mut alice, mut bob) = (cluster.v1(0, "alice").await, cluster.v1(1, "bob").await);
        // What nodes say every second: several probes of each have come and gone.
        let mut words = 0;
        while words < 10 {
            words += usize::from(heard.next().await.unwrap().subject.as_str() == "hongyan.nodes");
        }
        alice.say("bob", "m1", "hello").await;
        assert_eq!(bob.expect("text").await["seq"], 1);
        for node in &cluster.nodes {
            assert_eq!(node.metric("hongyan_relay_up").await, 1.0, "{subject}");
            assert!(!node.log().contains("NATS does not answer"), "{subject}: {}", node.log());
        }
    }
}

/// A TCP proxy that hands everything on to its target so late, and nothing back later than it came.
async fn late(target: String, late: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    actix_web::rt::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (mut from_near, mut to_near) = near.into_split();
            let (mut from_far, mut to_far) = TcpStream::connect(&target).await.unwrap().into_split();
            actix_web::rt::spawn(async move { tokio::io::copy(&mut from_far, &mut to_near).await });
            let (hold, mut held) = tokio::sync::mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
            actix_web::rt::spawn(async move {
                while let Some((due, bytes)) = held.recv().await {
                    tokio::time::sleep_until(due.into()).await;
                    if to_far.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
            actix_web::rt::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(read @ 1..) = from_near.read(&mut buffer).await {
                    let _ = hold.send((Instant::now() + late, buffer[..read].to_vec()));
                }
            });
        }
    });
    at
}

/// NATS is slow to confirm: who was let in meanwhile is told what hints could not bring.
#[actix_web::test]
async fn who_is_let_in_before_the_subscription_stands_misses_nothing() {
    let (Some(nats), Some((database, _))) = (Nats::start(), Server::fresh_postgres()) else { return };
    // Longer than a session waits, and shorter than what is taken for away.
    let slow =
        format!("nats://{}", late(format!("127.0.0.1:{}", nats.port), Duration::from_millis(1_800)).await);
    let start = |url: &str| {
        Server::alone(&[Cluster::SHARED, &[("database.url", &database), ("relay.nats_url", url)]].concat())
    };
    let nodes = [start(&nats.url()), start(&slow)];
    for node in &nodes {
        node.metric_becomes("hongyan_relay_up", 1.0).await;
        node.metric_becomes("hongyan_relay_nodes", 1.0).await;
    }
    let mut alice = nodes[0].v1("alice").await;
    for n in 0..3 {
        let name = format!("bob{n}");
        let mut bob = nodes[1].v1(&name).await;
        alice.say(&name, &name, "are you there?").await;
        assert_eq!(bob.expect("text").await["seq"], 1);
    }
}

/// More than one asking brings to one user: it goes on, at a pace that the user's outbox can bear.
#[actix_web::test]
async fn what_was_missed_without_nats_comes_whole_however_much_it_is() {
    const PEERS: usize = 20;
    const EACH: usize = 15;
    let unlimited = [("limits.messages_per_second", "0"), ("limits.handshakes_per_second_per_address", "0")];
    let Some(mut cluster) = Cluster::of(2, &unlimited).await else { return };
    let mut bob = cluster.v1(1, "bob").await;
    let text = "x".repeat(8_000);
    let mut peers = Vec::new();
    for n in 0..PEERS {
        peers.push(cluster.v1(0, &format!("peer{n}")).await);
    }
    cluster.nats.kill();
    let write = peers.iter_mut().map(async |peer| {
        for m in 0..EACH {
            let frame = json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": m.to_string(), "message": text });
            peer.send(frame).await;
        }
        for _ in 0..EACH {
            peer.expect("ack").await;
        }
    });
    futures_util::future::join_all(write).await;
    let mut came = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for _ in 0..PEERS * EACH {
        let message = bob.expect("text").await;
        came.entry(message["from_user_openid"].as_str().unwrap().to_owned())
            .or_default()
            .push(message["seq"].as_u64().unwrap());
    }
    assert!(
        came.len() == PEERS && came.values().all(|seqs| seqs.iter().copied().eq(1..=EACH as u64)),
        "{came:?}"
    );
}

/// NATS answers both and brings neither what the other says: the database shows that the other lives.
#[actix_web::test]
async fn nodes_on_two_nats_servers_that_are_no_cluster_find_each_other_in_the_database() {
    let (Some(one), Some(other), Some((database, _))) =
        (Nats::start(), Nats::start(), Server::fresh_postgres())
    else {
        return;
    };
    let start = |nats: &Nats| {
        Server::alone(
            &[Cluster::SHARED, &[("database.url", &database), ("relay.nats_url", &nats.url())]].concat(),
        )
    };
    let mut nodes = [start(&one), start(&other)];
    let (mut alice, mut bob) = (nodes[0].v1("alice").await, nodes[1].v1("bob").await);
    for n in 1..=3 {
        alice.say("bob", &format!("m{n}"), "before it is noticed").await;
    }
    for n in 1..=3 {
        assert_eq!(bob.expect("text").await["seq"], n);
    }
    for node in &nodes {
        node.metric_becomes("hongyan_relay_nodes_away", 1.0).await;
        let (status, ready) = Http::new(&node.ops, None).get("/readyz").await;
        assert_eq!(
            (status, &ready["details"]["relay"]),
            (200, &json!({ "nats": "split", "nodes": 0, "away": 1 }))
        );
        assert_eq!(
            node.log().matches("shows nodes alive that NATS does not bring here").count(),
            1,
            "{}",
            node.log()
        );
    }
    bob.say("alice", "m4", "while it is known").await;
    assert_eq!(alice.expect("text").await["seq"], 4);
    bob.nothing_came().await;
    // Who leaves in order is missed no more, and what it told last comes.
    bob.say("alice", "m5", "farewell").await;
    nodes[1].signal("TERM");
    assert!(nodes[1].ended().await.success());
    nodes[0].metric_becomes("hongyan_relay_nodes_away", 0.0).await;
    assert_eq!(alice.expect("text").await["seq"], 5);
    assert_eq!(nodes[0].log().matches("are heard again, or have ended").count(), 1, "{}", nodes[0].log());
}

#[actix_web::test]
async fn a_node_starts_without_nats() {
    let Some(mut nats) = Nats::start() else { return };
    nats.kill();
    let Some((database, _)) = Server::fresh_postgres() else { return };
    let url = nats.url();
    let server = Server::with_all(&[("database.url", &database), ("relay.nats_url", &url)]).await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.say("bob", "m1", "hello").await;
    bob.expect("text").await;
    nats.resume();
    server.metric_becomes("hongyan_relay_up", 1.0).await;
}
