//! Several nodes: one grant is one notice, and who looks at another node looks.

use std::time::Duration;

use super::{SET_UP, WeChat, grants, say};
use crate::harness::{Cluster, Server, eventually};

/// Three nodes with one WeChat, and the server that it is a part of.
async fn nodes(delay: &str) -> Option<(Cluster, Server)> {
    let wechat = Server::alone(&[]);
    let base = format!("http://{}", wechat.double);
    let settings = [SET_UP, &[("notice.delay_ms", delay), ("wechat.api_base", base.as_str())]].concat();
    Some((Cluster::with(&settings).await?, wechat))
}

/// On all nodes together.
async fn came_to(cluster: &Cluster, outcomes: &[&str], count: usize) {
    eventually(&format!("{outcomes:?} {count}"), async || {
        let mut sum = 0.0;
        for node in &cluster.nodes {
            for outcome in outcomes {
                sum += node.metric(&format!("hongyan_notices_total{{outcome=\"{outcome}\"}}")).await;
            }
        }
        (sum as usize == count).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn one_grant_is_one_notice_on_all_nodes_together() {
    let Some((cluster, other)) = nodes("300").await else { return };
    let (wechat, bobs) = (WeChat::of(&other), cluster.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    // WeChat would take more than the server may send.
    wechat.accept_silently("bob").await;
    wechat.accept_silently("bob").await;
    let (mut alice, mut carol, mut dave) =
        (cluster.v1(0, "alice").await, cluster.v1(1, "carol").await, cluster.v1(2, "dave").await);
    futures_util::future::join3(say(&mut alice, "m1"), say(&mut carol, "m1"), say(&mut dave, "m1")).await;
    came_to(&cluster, &["sent", "no_grant"], 3).await;
    assert_eq!((wechat.shown().await.len(), wechat.asked().await, grants(&bobs).await), (1, 1, 0));
}

#[actix_web::test]
async fn one_conversation_is_told_of_once_whichever_nodes_it_goes_through() {
    let Some((cluster, other)) = nodes("300").await else { return };
    let (wechat, bobs) = (WeChat::of(&other), cluster.http_as("bob").await);
    for _ in 0..3 {
        wechat.accept(&bobs, "bob").await;
    }
    let (mut phone, mut tablet) = (cluster.v1(0, "alice").await, cluster.v1(1, "alice").await);
    // Each of the devices hears the other's message too, before or after its ack.
    phone.send(serde_json::json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "1", "message": "x" })).await;
    tablet.send(serde_json::json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "2", "message": "x" })).await;
    came_to(&cluster, &["sent", "told"], 2).await;
    assert_eq!((wechat.shown().await.len(), grants(&bobs).await), (1, 2));
}

#[actix_web::test]
async fn who_looks_at_the_app_on_another_node_is_not_told() {
    let Some((cluster, other)) = nodes("2000").await else { return };
    let (wechat, bobs) = (WeChat::of(&other), cluster.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let (mut alice, mut bob, mut tablet) =
        (cluster.v1(0, "alice").await, cluster.v1(1, "bob").await, cluster.v1(2, "bob").await);
    // On yet another node they are only in the background.
    tablet.send(serde_json::json!({ "type": "background" })).await;
    tablet.nothing_came().await;
    say(&mut alice, "m1").await;
    for session in [&mut bob, &mut tablet] {
        session.expect("text").await;
        session.nothing_came().await;
    }
    came_to(&cluster, &["attending"], 1).await;
    assert_eq!((wechat.asked().await, grants(&bobs).await), (0, 1));

    // Where they looked nothing is heard of them any more, for longer than the question takes.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    say(&mut alice, "m2").await;
    bob.expect("text").await;
    tablet.expect("text").await;
    tablet.nothing_came().await;
    wechat.shows(1).await;
}

/// Without NATS nobody knows who looks at another node: what the database says decides.
#[actix_web::test]
async fn without_nats_the_database_decides() {
    let Some((mut cluster, other)) = nodes("300").await else { return };
    let (wechat, bobs) = (WeChat::of(&other), cluster.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let mut alice = cluster.v1(0, "alice").await;
    cluster.nats.kill();
    say(&mut alice, "m1").await;
    wechat.shows(1).await;
    came_to(&cluster, &["sent"], 1).await;
    assert_eq!(grants(&bobs).await, 0);
}
