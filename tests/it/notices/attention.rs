//! Who looks, who has read, and who does not want to be told.

use serde_json::{Value, json};

use super::{LATER, SOON, WeChat, came_to, grants, say, server};

#[actix_web::test]
async fn who_looks_at_the_app_is_not_told() {
    let server = server([LATER]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    say(&mut alice, "m1").await;
    bob.expect("text").await;
    // Something is heard of them after the push.
    bob.nothing_came().await;
    came_to(&server, "attending", 1).await;
    assert_eq!((wechat.asked().await, grants(&bobs).await), (0, 1));
}

#[actix_web::test]
async fn a_session_that_is_silent_since_the_push_is_away() {
    let server = server([SOON]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    bob.nothing_came().await;
    say(&mut alice, "m1").await;
    bob.expect("text").await;
    wechat.shows(1).await;
}

#[actix_web::test]
async fn a_session_in_the_background_is_away_however_lively() {
    let server = server([LATER]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    bob.send(json!({ "type": "background" })).await;
    bob.nothing_came().await;
    say(&mut alice, "m1").await;
    bob.expect("text").await;
    bob.nothing_came().await;
    wechat.shows(1).await;
}

/// They were there after the first message and are gone when the last one comes: they are told of that.
#[actix_web::test]
async fn who_leaves_between_two_messages_is_told_of_the_last() {
    let server = server([LATER]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    say(&mut alice, "m1").await;
    bob.expect("text").await;
    bob.nothing_came().await;
    // What is heard of them in the millisecond of a push counts as heard after it.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    say(&mut alice, "m2").await;
    bob.expect("text").await;
    let shown = wechat.shows(1).await;
    assert_eq!(super::field(&shown[0], "number2"), "2");
    drop(bob);
}

#[actix_web::test]
async fn no_grant_is_used_up_for_who_came_back_and_read() {
    let server = server([LATER]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    say(&mut server.v1("alice").await, "m1").await;
    assert_eq!(bobs.post("/v1/read", &json!({ "peer": "alice", "seq": 1 })).await.0, 204);
    came_to(&server, "read", 1).await;
    assert_eq!((wechat.asked().await, grants(&bobs).await), (0, 1));
}

#[actix_web::test]
async fn what_was_recalled_meanwhile_is_nothing_to_be_told_of() {
    let server = server([LATER]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let mut alice = server.v1("alice").await;
    say(&mut alice, "m1").await;
    alice.send(json!({ "type": "recall", "id": "c", "to_user_openid": "bob", "target_seq": 1 })).await;
    alice.expect("ack").await;
    came_to(&server, "read", 1).await;
    assert_eq!((wechat.asked().await, grants(&bobs).await), (0, 1));
}

#[actix_web::test]
async fn a_muted_conversation_is_silent_and_the_users_devices_show_it() {
    let server = server([LATER]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let mute =
        async |muted: bool| bobs.put("/v1/conversations/alice/settings", &json!({ "muted": muted })).await;
    assert_eq!(mute(true).await.0, 404, "no conversation yet");
    let mut alice = server.v1("alice").await;
    say(&mut alice, "m1").await;
    // A device that is in the background all the time.
    let mut bob = server.v1("bob").await;
    bob.send(json!({ "type": "background" })).await;
    assert_eq!(mute(true).await.0, 204);
    let frame = bob.expect("settings").await;
    assert_eq!((&frame["peer"], &frame["muted"]), (&json!("alice"), &json!(true)));
    assert_eq!(bobs.get("/v1/conversations").await.1["conversations"][0]["muted"], true);
    came_to(&server, "muted", 1).await;
    assert_eq!((wechat.asked().await, grants(&bobs).await), (0, 1));

    assert_eq!(mute(false).await.0, 204);
    bob.expect("settings").await;
    say(&mut alice, "m2").await;
    wechat.shows(1).await;
}

/// Hours around this moment, in UTC; or six hours from now.
fn hours(around_now: bool) -> Value {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60 % 1_440;
    let clock = |minute: u64| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    let (from, to) = if around_now { (now + 1_440 - 120, now + 120) } else { (now + 360, now + 420) };
    json!({ "from": clock(from), "to": clock(to), "utc_offset_minutes": 0 })
}

#[actix_web::test]
async fn in_quiet_hours_nobody_is_told_and_the_next_message_asks_anew() {
    let server = server([SOON]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let night = hours(true);
    assert_eq!(bobs.put("/v1/notices/quiet", &night).await.0, 204);
    assert_eq!(bobs.get("/v1/notices").await.1["quiet"], night);
    let mut alice = server.v1("alice").await;
    say(&mut alice, "m1").await;
    came_to(&server, "quiet", 1).await;
    server.metric_becomes("hongyan_notices_pending", 1.0).await;
    assert_eq!((wechat.asked().await, grants(&bobs).await), (0, 1));

    assert_eq!(bobs.put("/v1/notices/quiet", &Value::Null).await.0, 204);
    assert_eq!(bobs.get("/v1/notices").await.1["quiet"], Value::Null);
    say(&mut alice, "m2").await;
    let shown = wechat.shows(1).await;
    assert_eq!(super::field(&shown[0], "number2"), "2");
}

#[actix_web::test]
async fn her_own_hours_go_before_the_servers() {
    let night = hours(true);
    let usual = format!("{}-{}", night["from"].as_str().unwrap(), night["to"].as_str().unwrap());
    let server = server([SOON, ("notice.quiet", &usual), ("notice.utc_offset", "+00:00")]).await;
    let (wechat, bobs, carols) =
        (WeChat::of(&server), server.http_as("bob").await, server.http_as("carol").await);
    wechat.accept(&bobs, "bob").await;
    wechat.accept(&carols, "carol").await;
    assert_eq!(carols.put("/v1/notices/quiet", &hours(false)).await.0, 204);
    let mut alice = server.v1("alice").await;
    say(&mut alice, "m1").await;
    alice.say("carol", "m1", "x").await;
    came_to(&server, "quiet", 1).await;
    assert_eq!(wechat.shows(1).await[0]["to"], "carol");
}
