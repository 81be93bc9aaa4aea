//! Who is silent is asked, and then let go.

use crate::harness::Server;
use crate::harness::raw::frame;

#[actix_web::test]
async fn a_silent_session_is_pinged_and_then_closed() {
    let server = Server::with([
        ("session.heartbeat_ms", "50"),
        ("session.ping_after_ms", "100"),
        ("session.silent_after_ms", "400"),
    ])
    .await;
    let mut silent = server.raw().await;
    silent.hello("alice", "bob").await;
    assert_eq!(silent.frame().await.unwrap().0, 9, "a ping first");
    assert_eq!(silent.close_code().await, 4003);
    server.metric_becomes("hongyan_sessions", 0.0).await;
    server
        .metric_becomes(r#"hongyan_session_closes_total{code="4003",reason="heartbeat_timeout"}"#, 1.0)
        .await;
}

#[actix_web::test]
async fn pongs_alone_keep_a_session() {
    let server = Server::with([
        ("session.heartbeat_ms", "50"),
        ("session.ping_after_ms", "100"),
        ("session.silent_after_ms", "2000"),
    ])
    .await;
    let mut quiet = server.raw().await;
    quiet.hello("alice", "bob").await;
    // Far more pings than a silent session would ever see.
    for _ in 0..30 {
        let (opcode, payload) = quiet.frame().await.unwrap();
        assert_eq!(opcode, 9);
        quiet.send(&frame(0x8A, &payload)).await;
    }
    server.metric_becomes("hongyan_sessions", 1.0).await;
}

#[actix_web::test]
async fn a_peer_that_vanished_without_a_word_leaves_the_map() {
    let server = Server::with([
        ("session.heartbeat_ms", "50"),
        ("session.ping_after_ms", "100"),
        ("session.silent_after_ms", "400"),
    ])
    .await;
    let mut gone = server.raw().await;
    gone.hello("alice", "bob").await;
    // It neither reads nor writes nor ends: as good as half-open.
    server.metric_becomes("hongyan_sessions", 0.0).await;
    drop(gone);
}
