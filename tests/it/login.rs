//! Login, tokens and what ends them.

use futures_util::future::{join, join_all};
use serde_json::json;

use crate::harness::{Client, Http, Server, eventually};

#[actix_web::test]
async fn every_error_of_wechat_has_its_word_over_http() {
    let server = Server::with([("wechat.timeout_ms", "300")]).await;
    let http = server.http();
    for (code, status, error) in [
        ("nonsense", 401, "bad_code"),
        ("dev-error:40029", 401, "bad_code"),
        ("dev-error:40163", 401, "bad_code"),
        ("dev-error:45011", 429, "rate_limited"),
        ("dev-error:40226", 403, "blocked_by_wechat"),
        ("dev-error:-1", 503, "wechat_unavailable"),
        ("dev-500", 503, "wechat_unavailable"),
        ("dev-slow:60000:alice", 503, "wechat_unavailable"),
        ("", 400, "bad_request"),
    ] {
        let (got, body) = http.post("/v1/login", &json!({ "code": code })).await;
        assert_eq!((got, &body["error"], &body["status"]), (status, &json!(error), &json!(status)), "{code}");
        assert_eq!(body["retry_after_ms"].is_u64(), matches!(status, 429 | 503), "{code}: {body}");
    }
    let (status, body) = http.post("/v1/login", &json!({ "code": "dev-flaky:2:alice:1" })).await;
    assert_eq!((status, &body["openid"], &body["expires_in"]), (200, &json!("alice"), &json!(604_800)));
}

#[actix_web::test]
async fn logout_ends_this_token_and_its_sessions_and_no_other() {
    let server = Server::start().await;
    let (one, two) = (server.http_as("alice").await, server.http_as("alice").await);
    let connect = async |http: &Http| {
        let url = format!("ws://{}/alice?device={:x}", server.at, rand::random::<u64>());
        let mut session = Client::connect(&url, &["hongyan.v1"], Some(http.token())).await.unwrap();
        session.expect("init").await;
        session
    };
    let (mut of_one, mut of_two) = (connect(&one).await, connect(&two).await);
    assert_eq!(one.post("/v1/logout", &json!({})).await.0, 204);
    assert_eq!(of_one.expect_close(4501).await, "unauthorized");
    assert_eq!(one.get("/v1/unread").await.0, 401);
    of_two.nothing_came().await;
    assert_eq!(two.post("/v1/logout", &json!({ "all": true })).await.0, 204);
    of_two.expect_close(4501).await;
    assert_eq!(two.get("/v1/unread").await.0, 401);
    assert_eq!(server.http_as("alice").await.get("/v1/unread").await.0, 200);
}

#[actix_web::test]
async fn a_kick_ends_sessions_and_lets_them_come_back() {
    let server = Server::start().await;
    let mut alice = server.seed("alice", "bob").await;
    assert!(server.command(&["kick", "--dev", "alice"]).status.success());
    alice.expect_close(4504).await;
    server.seed("alice", "bob").await;
}

#[actix_web::test]
async fn a_ban_ends_everything_until_it_is_lifted_and_outlives_a_restart() {
    let mut server = Server::start().await;
    let http = server.http_as("alice").await;
    let mut alice = server.v1("alice").await;
    assert!(server.command(&["ban", "--dev", "--force", "alice"]).status.success());
    assert_eq!(alice.expect_close(4505).await, "banned");
    assert_eq!(http.get("/v1/unread").await.1["error"], "banned");
    server.again().await;
    let (status, body) = server.http().post("/v1/login", &json!({ "code": "dev:alice" })).await;
    assert_eq!((status, &body["error"]), (403, &json!("banned")));
    let mut refused = server.v1_raw("alice", "code=dev:alice").await;
    refused.expect_error("banned").await;
    refused.expect_close(4505).await;
    assert!(server.command(&["unban", "--dev", "alice"]).status.success());
    eventually("the pardon", async || {
        let (status, _) = server.http().post("/v1/login", &json!({ "code": "dev:alice" })).await;
        (status == 200).then_some(())
    })
    .await;
    let old = Http::new(&server.at, Some(http.token()));
    assert_eq!(old.get("/v1/unread").await.0, 401, "tokens from before stay dead");
}

#[actix_web::test]
async fn who_is_banned_while_waiting_for_their_turn_does_not_come_in() {
    for transport in ["takeover", "actix-web-actors"] {
        let server =
            Server::with([("server.transport", transport), ("limits.handshakes_per_second", "1")]).await;
        let alice = server.http_as("alice").await;
        let urls: Vec<_> = ["a", "b", "c", "d", "e", "alice"]
            .iter()
            .map(|who| format!("ws://{}/{who}?code=dev:{who}", server.at))
            .collect();
        let first: Vec<_> =
            urls[..5].iter().map(|url| Box::pin(Client::connect(url, &["hongyan.v1"], None))).collect();
        let last = async {
            // They stand behind the others, whose turns take four seconds, and are banned meanwhile.
            eventually("the others' turns", async || {
                (server.metric("hongyan_sessions").await > 0.0).then_some(())
            })
            .await;
            let waiting = Client::connect(&urls[5], &["hongyan.v1"], None);
            let ban = async {
                assert!(server.command(&["ban", "--dev", "--force", "alice"]).status.success());
                eventually("the ban", async || {
                    (alice.get("/v1/unread").await.1["error"] == "banned").then_some(())
                })
                .await;
            };
            join(waiting, ban).await.0.unwrap()
        };
        let (_others, mut refused) = join(join_all(first), last).await;
        // An error; or `init`, where the ban took so long to be told that it finds a session to end.
        refused.next().await;
        refused.expect_close(4505).await;
    }
}

#[actix_web::test]
async fn one_user_does_not_take_all_the_turns() {
    let server = Server::with([("limits.http_burst", "3"), ("limits.http_per_second", "1")]).await;
    for _ in 0..3 {
        server.v1("alice").await;
    }
    let mut refused = server.v1_raw("alice", "code=dev:alice").await;
    assert!(refused.expect_error("rate_limited").await["retry_after_ms"].as_u64().unwrap() <= 1_000);
    refused.expect_close(4005).await;
    server.v1("bob").await;
}

#[actix_web::test]
async fn the_command_line_signs_tokens_that_the_server_takes() {
    let server = Server::start().await;
    let out = server.command(&["token", "--dev", "alice"]);
    let token = String::from_utf8(out.stdout).unwrap();
    let http = Http::new(&server.at, Some(token.trim()));
    assert_eq!(http.get("/v1/unread").await.0, 200);
    let tampered = format!("{}x", token.trim());
    assert_eq!(Http::new(&server.at, Some(&tampered)).get("/v1/unread").await.0, 401);
    assert_eq!(server.http().get("/v1/unread").await.0, 401);
}

#[actix_web::test]
async fn nothing_secret_and_no_message_stands_in_the_log() {
    let server = Server::with([("log.filter", "trace")]).await;
    let http = server.http_as("alice").await;
    let mut alice =
        Client::connect(&format!("ws://{}/alice", server.at), &["hongyan.v1"], Some(http.token()))
            .await
            .unwrap();
    alice.expect("init").await;
    alice.say("bob", "c1", "a-very-private-text").await;
    alice.text(r#"{"type":"text","message":"another-private-text"#).await;
    alice.expect_error("bad_frame").await;
    let mut bob = server.seed("bob", "alice").await;
    bob.send(json!({ "message": "third-private-text" })).await;
    alice.expect("text").await;
    server.http().post("/v1/login", &json!({ "code": "dev-500" })).await;
    server.http().post("/v1/login", &json!({ "code": "dev:carol:nonce-of-carol" })).await;
    let log = server.log();
    assert!(log.len() > 1_000);
    for secret in [
        "private-text",
        "dev-secret",
        "nonce-of-carol",
        http.token(),
        "session_key",
        "ZG91YmxlIHNlc3Npb24ga2V5IQ",
    ] {
        let at = log.find(secret);
        assert!(
            at.is_none(),
            "{secret}: {}",
            &log[at.unwrap().saturating_sub(300)..][..400.min(log.len() - at.unwrap() + 300)]
        );
    }
}
