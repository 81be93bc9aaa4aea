//! Floods that are cheap to send end, and others are answered meanwhile.

use serde_json::json;

use crate::harness::raw::frame;
use crate::harness::{Client, Http, Server, eventually};

/// A heart of some 60 KB with 20 000 arrays in it.
fn heavy_heart() -> Vec<u8> {
    let arrays = vec!["[]"; 20_000].join(",");
    frame(0x81, format!(r#"{{"type":"heart","id":"h","a":[{arrays}]}}"#).as_bytes())
}

#[actix_web::test]
async fn a_flood_of_control_frames_ends_and_others_are_answered() {
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::with([("server.transport", transport)]).await;
        let mut ann = server.v1("ann").await;
        let mut flood = server.raw().await;
        flood.handshake("mallory", "ann", "Sec-WebSocket-Protocol: hongyan.v1\r\n").await;
        let heart = heavy_heart();
        let told = async || server.metric(r#"hongyan_errors_total{error="rate_limited"}"#).await;
        let mut sent = 0;
        while told().await < 200.0 {
            for _ in 0..20 {
                flood.send(&heart).await;
            }
            sent += 20;
            assert!(sent < 2_000, "{transport}: it is never ended");
            ann.nothing_came().await;
        }
        assert_eq!(flood.close_code().await, 4_506, "{transport}");
        #[allow(clippy::float_cmp)]
        let is_last = told().await == 200.0;
        assert!(is_last, "{transport}: frames behind the end are not answered");
    }
}

#[actix_web::test]
async fn a_flood_of_small_hearts_ends_in_both_dialects() {
    let server = Server::with([]).await;
    for header in ["Sec-WebSocket-Protocol: hongyan.v1\r\n", ""] {
        let mut flood = server.raw().await;
        flood.handshake("mallory", "ann", header).await;
        flood.send(&frame(0x81, br#"{"type":"heart","id":"h"}"#).repeat(2_000)).await;
        assert_eq!(flood.close_code().await, 4_506, "{header:?}");
    }
}

#[actix_web::test]
async fn what_is_beyond_a_users_bytes_is_not_even_parsed() {
    // A frame of 60 KB is paid for after half a minute: the test does not depend on how fast the machine is.
    let server = Server::with([
        ("limits.messages_per_second", "1"),
        ("limits.controls_per_second", "1"),
        ("limits.message_bytes", "256"),
        ("limits.fields_bytes", "256"),
        ("limits.bad_frames", "1000"),
    ])
    .await;
    let mut mallory = server.v1("mallory").await;
    let rubbish = "[".repeat(60_000);
    let mut words = Vec::new();
    for _ in 0..60 {
        mallory.text(&rubbish).await;
        let error = mallory.expect("error").await;
        words.push(error["error"].as_str().unwrap().to_owned());
    }
    assert_eq!((words[0].as_str(), words[59].as_str()), ("bad_frame", "rate_limited"), "{words:?}");
    let (mut ann, mut ben) = (server.v1("ann").await, server.v1("ben").await);
    ann.say("ben", "1", "others have budgets of their own").await;
    ben.expect("text").await;
    // Another session of the same user is as poor.
    let mut again = server.v1("mallory").await;
    again.text(&rubbish).await;
    again.expect_error("rate_limited").await;
}

#[actix_web::test]
async fn a_users_fastest_messages_are_within_the_bytes() {
    let server = Server::with([]).await;
    let mut ann = server.v1("ann").await;
    for n in 0..40 {
        let text = "x".repeat(8_000);
        let more = "y".repeat(7_000);
        let id = n.to_string();
        ann.send(json!({ "type": "text", "to_user_openid": "ben", "client_msg_id": id, "message": text, "more": more })).await;
    }
    for n in 0..40 {
        assert_eq!(ann.expect("ack").await["client_msg_id"], n.to_string());
    }
}

#[actix_web::test]
async fn bad_codes_of_an_address_are_counted_before_wechat_is_asked() {
    let server = Server::with([("limits.bad_codes_per_minute", "5")]).await;
    let known = server.http_as("ann").await;
    let http = server.http();
    for _ in 0..5 {
        assert_eq!(http.post("/v1/login", &json!({ "code": "nonsense" })).await.0, 401);
    }
    for code in ["nonsense", "dev:ben"] {
        let (status, body) = http.post("/v1/login", &json!({ "code": code })).await;
        assert_eq!((status, &body["error"]), (429, &json!("rate_limited")));
        assert!((1..=12_000).contains(&body["retry_after_ms"].as_u64().unwrap()), "{body}");
    }
    let url = format!("ws://{}/ben?to_user_openid=ann&code=dev:ben", server.at);
    let mut refused = Client::connect(&url, &["hongyan.v1"], None).await.unwrap();
    refused.expect_error("rate_limited").await;
    refused.expect_close(4005).await;
    assert_eq!(
        server.metric(r#"hongyan_wechat_calls_total{call="code2session",result="bad_code"}"#).await,
        5.0
    );
    assert_eq!(server.metric(r#"hongyan_wechat_calls_total{call="code2session",result="ok"}"#).await, 1.0);
    assert_eq!(known.get("/v1/unread").await.0, 200, "who has a token is not asked for a code");
}

#[actix_web::test]
async fn what_anybody_may_ask_has_a_rate_too() {
    let server = Server::with([("limits.handshakes_per_second_per_address", "3")]).await;
    let http = server.http();
    for path in ["/healthz", "/v1/openapi.json"] {
        for wanted in [200, 429] {
            eventually(&format!("{path} {wanted}"), async || {
                let (status, _) = http.get(path).await;
                assert!([200, 429].contains(&status), "{path}: {status}");
                (status == wanted).then_some(())
            })
            .await;
        }
    }
    let ops = Http::new(&server.ops, None);
    for _ in 0..30 {
        assert_eq!(ops.get("/healthz").await.0, 200, "operators are not counted");
    }
}
