//! WeChatAuth and WeChatApi against the double, over real HTTP.

use std::net::TcpListener;

use actix::{Actor, Addr};
use fake_wechat::Settings;

use super::*;
mod calls;
mod pushes;
mod rules;

use crate::config::{Config, Secret, WeChat};
use crate::lifecycle::{Draining, Vital};
use crate::metrics::Metrics;

const SECRET: &str = "s3cret-of-the-app";

/// A double of a test's own: its address.
fn double() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    actix_web::rt::spawn(fake_wechat::serve(listener, Settings::of("wx1", SECRET), |_| None).unwrap());
    base
}

/// An actor that talks to a double of its own, and the double's address.
fn start(change: impl FnOnce(&mut WeChat)) -> (Addr<WeChatAuth>, String, Metrics) {
    let base = double();
    let mut config = settings(&base);
    change(&mut config);
    let metrics = Metrics::new();
    // A test's end is none of the process's.
    let draining = Draining::default();
    draining.begin();
    (WeChatAuth::new(&config, &metrics, Vital::new("wechat", &draining)).start(), base, metrics)
}

fn settings(base: &str) -> WeChat {
    WeChat {
        appid: "wx1".into(),
        secret: Secret::new(SECRET),
        api_base: base.to_owned(),
        timeout_ms: 5_000,
        ..Config::default().wechat
    }
}

async fn login(auth: &Addr<WeChatAuth>, code: &str) -> Result<String, LoginRefused> {
    auth.send(ValidateCode(code.into())).await.unwrap().map(|openid| openid.as_str().to_owned())
}

async fn calls(base: &str) -> serde_json::Value {
    let body = awc::Client::new().get(format!("{base}/__calls")).send().await.unwrap().body().await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[actix_web::test]
async fn every_error_of_wechat_has_its_word() {
    let (auth, ..) = start(|_| {});
    assert_eq!(login(&auth, "dev:alice").await, Ok("alice".into()));
    assert_eq!(login(&auth, "dev:alice").await, Ok("alice".into()));
    assert_eq!(login(&auth, "dev:alice:1").await, Ok("alice".into()));
    for (code, refused) in [
        ("dev:alice:1", LoginRefused::BadCode),
        ("nonsense", LoginRefused::BadCode),
        ("dev:a b", LoginRefused::BadCode),
        ("dev-error:40029", LoginRefused::BadCode),
        ("dev-error:40163", LoginRefused::BadCode),
        ("dev-error:41008", LoginRefused::BadCode),
        ("dev-error:45011", LoginRefused::RateLimited { retry_after_ms: 60_000 }),
        ("dev-error:40226", LoginRefused::Blocked),
        ("dev-error:40013", LoginRefused::Unavailable),
        ("dev-error:40125", LoginRefused::Unavailable),
        ("dev-error:40164", LoginRefused::Unavailable),
        ("dev-error:-1", LoginRefused::Unavailable),
        ("dev-500", LoginRefused::Unavailable),
    ] {
        assert_eq!(login(&auth, code).await, Err(refused), "{code}");
    }
}

#[actix_web::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let (auth, base, metrics) = start(|_| {});
    assert_eq!(login(&auth, "dev-flaky:2:bob:x").await, Ok("bob".into()));
    assert_eq!(calls(&base).await["code2session"], 3);
    assert_eq!(login(&auth, "dev-error:40029").await, Err(LoginRefused::BadCode));
    assert_eq!(calls(&base).await["code2session"], 4);
    assert_eq!(login(&auth, "dev-500").await, Err(LoginRefused::Unavailable));
    assert_eq!(calls(&base).await["code2session"], 7);
    let text = metrics.encode();
    assert!(text.contains(r#"hongyan_wechat_calls_total{call="code2session",result="busy"} 2"#), "{text}");
}

#[actix_web::test]
async fn the_quota_of_one_user_is_hers_alone() {
    let (auth, ..) = start(|_| {});
    for _ in 0..100 {
        assert!(login(&auth, "dev:alice").await.is_ok());
    }
    assert_eq!(login(&auth, "dev:alice").await, Err(LoginRefused::RateLimited { retry_after_ms: 60_000 }));
    assert!(login(&auth, "dev:bob").await.is_ok());
}

#[actix_web::test]
async fn no_answer_in_time_is_unavailable() {
    let (auth, ..) = start(|config| config.timeout_ms = 100);
    assert_eq!(login(&auth, "dev-slow:60000:alice").await, Err(LoginRefused::Unavailable));
}

#[actix_web::test]
async fn nobody_there_is_unavailable() {
    let (auth, ..) = start(|config| config.api_base = "http://127.0.0.1:1".into());
    assert_eq!(login(&auth, "dev:alice").await, Err(LoginRefused::Unavailable));
}

#[actix_web::test]
async fn a_hundred_who_ask_for_a_token_cost_one_call() {
    let (auth, base, _) = start(|_| {});
    let asked: Vec<_> = (0..100).map(|_| auth.send(GetAccessToken)).collect();
    let mut tokens = Vec::new();
    for told in asked {
        tokens.push(told.await.unwrap().unwrap());
    }
    assert!(tokens.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(calls(&base).await["stable_token"], 1);
    auth.send(AccessTokenRefused(tokens[0].clone())).await.unwrap();
    assert!(auth.send(GetAccessToken).await.unwrap().is_ok());
    assert_eq!(calls(&base).await["stable_token"], 2);
}

#[actix_web::test]
async fn a_wrong_secret_is_no_loop_and_is_never_shown() {
    let wrong = "another-s3cret";
    let (auth, base, _) = start(|config| config.secret = Secret::new(wrong));
    let failure = auth.send(GetAccessToken).await.unwrap().unwrap_err();
    assert!(matches!(failure, Failure::Code { code: 40001, .. }), "{failure:?}");
    assert!(auth.send(GetAccessToken).await.unwrap().is_err());
    assert_eq!(calls(&base).await["stable_token"], 1);
    let shown = format!("{failure} {failure:?} {:?}", LoginRefused::from(&failure));
    assert!(!shown.contains(wrong) && !shown.contains("secret="), "{shown}");
    assert_eq!(login(&auth, "dev:alice").await, Err(LoginRefused::Unavailable));
}

#[actix_web::test]
async fn a_login_without_appid_or_secret_says_which_is_wrong() {
    for (change, code, word) in [
        (
            Box::new(|c: &mut WeChat| c.appid = String::new()) as Box<dyn FnOnce(&mut WeChat)>,
            41002,
            "wechat.appid",
        ),
        (Box::new(|c| c.appid = "wx2".into()), 40013, "wechat.appid"),
        (Box::new(|c| c.secret = Secret::new("")), 41004, "wechat.secret"),
        (Box::new(|c| c.secret = Secret::new("another")), 40125, "wechat.secret"),
    ] {
        let base = double();
        let mut config = settings(&base);
        change(&mut config);
        let failure = client::WeChatClient::new(&config).code_to_openid("dev:alice").await.unwrap_err();
        assert!(matches!(&failure, Failure::Code { code: found, .. } if *found == code), "{failure}");
        assert!(hint(&failure).starts_with(word), "{failure}");
    }
}
