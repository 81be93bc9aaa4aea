//! The process ends between any two steps: nobody is told twice, and who was to be told is.

use serde_json::json;

use super::{SET_UP, SOON, WeChat, came_to, grants, say};
use crate::harness::Server;

/// A server whose WeChat outlives it.
async fn pair(delay: &str) -> (Server, Server) {
    let wechat = Server::alone(&[]);
    let base = format!("http://{}", wechat.double);
    let settings = [SET_UP, &[("notice.delay_ms", delay), ("wechat.api_base", base.as_str())]].concat();
    (Server::alone(&settings), wechat)
}

#[actix_web::test]
async fn what_waited_when_the_process_ended_is_told_by_the_next() {
    let (mut server, other) = pair("600000").await;
    let (wechat, bobs) = (WeChat::of(&other), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    say(&mut server.v1("alice").await, "m1").await;
    server.metric_becomes("hongyan_notices_pending", 1.0).await;
    server.signal("KILL");
    server.set_variable("HONGYAN_NOTICE__DELAY_MS", Some(SOON.1));
    server.again().await;
    wechat.shows(1).await;
    came_to(&server, "sent", 1).await;
    // Told is told, after the next restart too.
    server.signal("KILL");
    server.again().await;
    say(&mut server.v1("alice").await, "m2").await;
    came_to(&server, "no_grant", 1).await;
    assert_eq!(wechat.asked().await, 1);
}

/// Between the reservation and the answer of WeChat's nobody knows whether it went out: it does not go again.
#[actix_web::test]
async fn a_crash_between_reservation_and_sending_tells_nobody_twice() {
    if cfg!(not(feature = "failpoints")) {
        println!("skipped: this build has no abort points; `make test` builds with --features failpoints");
        return;
    }
    for (point, sent) in [("before-notice", 0), ("after-notice", 1)] {
        let (mut server, other) = pair(SOON.1).await;
        let wechat = WeChat::of(&other);
        for _ in 0..2 {
            wechat.accept(&server.http_as("bob").await, "bob").await;
        }
        server.set_variable("FAILPOINTS", Some(&format!("{point}=return")));
        server.again().await;
        say(&mut server.v1("alice").await, "m1").await;
        let status = server.ended().await;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{point}: {status}");
        server.set_variable("FAILPOINTS", None);
        server.again().await;
        say(&mut server.v1("alice").await, "m2").await;
        came_to(&server, "told", 1).await;
        assert_eq!(wechat.asked().await, sent, "{point}");
        let bobs = server.http_as("bob").await;
        assert_eq!(grants(&bobs).await, 1, "{point}: it is spent, and only it");
        // Once they have read, they are told as ever.
        assert_eq!(bobs.post("/v1/read", &json!({ "peer": "alice", "seq": 2 })).await.0, 204);
        say(&mut server.v1("alice").await, "m3").await;
        wechat.shows(sent as usize + 1).await;
    }
}

/// A server that leaves waits for what is under way, so that its outcome is known.
#[actix_web::test]
async fn a_server_that_leaves_settles_what_is_under_way() {
    let (mut server, other) = pair(SOON.1).await;
    let (wechat, bobs) = (WeChat::of(&other), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    wechat.control(json!({ "latency_ms": 1_000 })).await;
    say(&mut server.v1("alice").await, "m1").await;
    server.metric_becomes("hongyan_notices_in_flight", 1.0).await;
    server.signal("TERM");
    assert_eq!(server.ended().await.code(), Some(0));
    assert_eq!(wechat.shown().await.len(), 1);
    let log = server.log();
    assert!(!log.contains("the store did not take"), "{log}");
    assert_eq!(settled(&server), ["1"], "sent, and written so");
}

/// The states of the notices in the file of a server that has ended.
fn settled(server: &Server) -> Vec<String> {
    use diesel::sql_types::Text;
    use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};
    let mut conn = SqliteConnection::establish(server.database().to_str().unwrap()).unwrap();
    let states: String =
        diesel::select(diesel::dsl::sql::<Text>("(SELECT coalesce(group_concat(state), '') FROM notices)"))
            .get_result(&mut conn)
            .unwrap();
    states.split(',').map(str::to_owned).collect()
}
