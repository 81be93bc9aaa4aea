//! The calls that need the access_token.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::Addr;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{calls, settings, start};
use crate::ids::OpenId;
use crate::metrics::Metrics;
use crate::wechat::*;

/// A way to a double, in which alice, who is asked about, has just logged in.
pub struct World {
    pub api: WeChatApi,
    pub base: String,
    metrics: Metrics,
}

impl World {
    pub async fn new() -> Self {
        Self::patient(Duration::from_secs(20)).await
    }

    async fn patient(timeout: Duration) -> Self {
        let (auth, base, metrics) = start(|_| {});
        assert!(super::login(&auth, "dev:alice").await.is_ok());
        Self { api: api(&auth, &base, &metrics, timeout), base, metrics }
    }

    pub async fn post(&self, path: &str, body: Value) -> u16 {
        awc::Client::new()
            .post(format!("{}{path}", self.base))
            .send_json(&body)
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    pub async fn control(&self, body: Value) {
        assert_eq!(self.post("/__control", body).await, 204);
    }

    /// A phone's accepted prompt.
    async fn accept(&self, openid: &str) {
        assert_eq!(self.post("/__subscribe", json!({ "openid": openid, "template_id": "T" })).await, 204);
    }

    async fn check(&self, content: &str) -> Result<Judgement, Failure> {
        self.check_of("alice", content).await
    }

    async fn check_of(&self, openid: &str, content: &str) -> Result<Judgement, Failure> {
        let openid = OpenId::parse(openid).unwrap();
        self.api
            .msg_sec_check(&TextCheck { openid: &openid, scene: Scene::Social, content, nickname: None })
            .await
    }

    pub async fn media(&self, url: &str) -> Result<TraceId, Failure> {
        let openid = OpenId::parse("alice").unwrap();
        self.api
            .media_check_async(&MediaCheck {
                openid: &openid,
                scene: Scene::Social,
                url,
                kind: MediaKind::Image,
            })
            .await
    }

    pub async fn send(&self, fields: &[(&str, &str)]) -> Result<Sent, SendFailure> {
        self.send_with(fields, |_| {}).await
    }

    async fn send_with(
        &self,
        fields: &[(&str, &str)],
        change: impl FnOnce(&mut SubscribeMessage<'_>),
    ) -> Result<Sent, SendFailure> {
        let touser = OpenId::parse("alice").unwrap();
        let data: BTreeMap<String, String> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut message = SubscribeMessage {
            touser: &touser,
            template_id: "T",
            page: Some("pages/chat/chat?peer=bob"),
            data: &data,
            miniprogram_state: MiniprogramState::Formal,
            lang: "zh_CN",
        };
        change(&mut message);
        self.api.send_subscribe(&message).await
    }

    async fn notices(&self) -> Value {
        let body = awc::Client::new()
            .get(format!("{}/__notices", self.base))
            .send()
            .await
            .unwrap()
            .body()
            .await
            .unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

fn api(auth: &Addr<WeChatAuth>, base: &str, metrics: &Metrics, timeout: Duration) -> WeChatApi {
    WeChatApi::new(&settings(base), auth.clone().recipient(), auth.clone().recipient(), metrics, timeout)
}

fn errcode<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> i64 {
    match outcome {
        Err(Failure::Code { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

fn refused(outcome: Result<Sent, SendFailure>) -> i64 {
    match outcome {
        Err(SendFailure::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

const FIELDS: [(&str, &str); 2] = [("thing1", "鸿雁"), ("number2", "3")];

#[actix_web::test]
async fn every_verdict_and_every_label_of_a_text_is_read() {
    let world = World::new().await;
    let found = world.check("你好").await.unwrap();
    assert_eq!((found.suggest, found.label, found.trace_id.len()), (Suggest::Pass, 100, 26));
    for label in [10001, 20001, 20002, 20003, 20006, 20008, 20012, 20013, 21000] {
        for (word, suggest) in [("risky", Suggest::Risky), ("review", Suggest::Review)] {
            let found = world.check(&format!("a text, dev-{word}:{label}, and so on")).await.unwrap();
            assert_eq!((found.suggest, found.label), (suggest, label));
        }
    }
}

/// The double tells of one way of looking that failed, as risky, and of one that did not.
#[actix_web::test]
async fn of_the_details_only_those_count_that_did_not_fail() {
    let world = World::new().await;
    for (text, suggest, label) in
        [("dev-detail", Suggest::Pass, 100), ("dev-detail dev-review:20012", Suggest::Review, 20012)]
    {
        let found = world.check(text).await.unwrap();
        assert_eq!((found.suggest, found.label), (suggest, label), "{text}");
    }
}

#[actix_web::test]
async fn a_nickname_is_judged_with_the_text() {
    let world = World::new().await;
    let openid = OpenId::parse("alice").unwrap();
    let check = TextCheck {
        openid: &openid,
        scene: Scene::Profile,
        content: "hello",
        nickname: Some("dev-risky:20003"),
    };
    assert_eq!(world.api.msg_sec_check(&check).await.unwrap().label, 20003);
}

#[actix_web::test]
async fn every_error_of_a_check_is_told_apart() {
    let world = World::new().await;
    assert_eq!(errcode(world.check_of("bob", "hello").await), INACTIVE);
    assert_eq!(errcode(world.check("dev-inactive").await), INACTIVE);
    assert_eq!(errcode(world.check_of("dev-foreign", "hello").await), 43104);
    assert_eq!(errcode(world.check(&"字".repeat(2_501)).await), 47001);
    assert!(world.check(&"字".repeat(2_500)).await.is_ok());
    for code in [40003, 40129, 43104, 44002, 45009, 45011, 47001, 61010] {
        assert_eq!(errcode(world.check(&format!("dev-errcode:{code}")).await), code);
        assert_eq!(errcode(world.media(&format!("https://x.test/dev-errcode:{code}")).await), code);
    }
    assert_eq!(errcode(world.media("not a url").await), 47001);
    let text = world.metrics.encode();
    for (call, result, times) in [
        ("msg_sec_check", "inactive", 3),
        ("msg_sec_check", "rate_limited", 2),
        ("media_check_async", "errcode", 6),
    ] {
        let line = format!(r#"hongyan_wechat_calls_total{{call="{call}",result="{result}"}} {times}"#);
        assert!(text.contains(&line), "{line}: {text}");
    }
}

#[actix_web::test]
async fn a_user_is_active_for_a_while_after_a_login() {
    let world = World::new().await;
    assert!(world.check("hello").await.is_ok());
    world.control(json!({ "inactive_after_ms": 0 })).await;
    assert_eq!(errcode(world.check("hello").await), INACTIVE);
    world.control(json!({ "reset": true })).await;
    assert!(world.check("hello").await.is_ok());
}

#[actix_web::test]
async fn a_refused_token_is_renewed_once_and_the_call_made_again() {
    for code in [40001, 40014, 42001] {
        let world = World::new().await;
        assert!(world.check("hello").await.is_ok());
        world.control(json!({ "end_token": code })).await;
        assert!(world.check("hello").await.is_ok(), "{code}");
        let calls = calls(&world.base).await;
        assert_eq!((&calls["msg_sec_check"], &calls["stable_token"]), (&json!(3), &json!(2)), "{code}");
    }
}

#[actix_web::test]
async fn a_token_that_is_always_refused_is_no_loop() {
    let world = World::new().await;
    world.accept("alice").await;
    world.control(json!({ "errcodes": { "msg_sec_check": 40001, "subscribe_send": 42001 } })).await;
    assert_eq!(errcode(world.check("hello").await), 40001);
    for _ in 0..5 {
        assert_eq!(errcode(world.check("hello").await), 40001);
        assert!(matches!(
            world.send(&FIELDS).await,
            Err(SendFailure::NotSent(Failure::Code { code: 40001, .. }))
        ));
    }
    let calls = calls(&world.base).await;
    assert_eq!(
        (&calls["msg_sec_check"], &calls["subscribe_send"], &calls["stable_token"]),
        (&json!(2), &json!(0), &json!(2))
    );
}

#[actix_web::test]
async fn a_message_refused_for_its_token_is_surely_not_sent() {
    let world = World::new().await;
    world.control(json!({ "errcodes": { "subscribe_send": 42001 } })).await;
    assert!(matches!(
        world.send(&FIELDS).await,
        Err(SendFailure::NotSent(Failure::Code { code: 42001, .. }))
    ));
    assert_eq!(calls(&world.base).await["subscribe_send"], 2);
}

#[actix_web::test]
async fn quotas_are_wechats() {
    let world = World::new().await;
    world.control(json!({ "checks_per_minute": 2, "media_per_minute": 1 })).await;
    assert!(world.check("one").await.is_ok() && world.check("two").await.is_ok());
    assert_eq!(errcode(world.check("three").await), 45011);
    assert!(world.media("https://x.test/1").await.is_ok());
    assert_eq!(errcode(world.media("https://x.test/2").await), 45011);
    world.control(json!({ "checks_per_minute": 4_000, "checks_per_day": 2 })).await;
    assert_eq!(errcode(world.check("four").await), 45009);
}

#[actix_web::test]
async fn a_message_needs_a_grant_and_uses_it_up() {
    let world = World::new().await;
    assert_eq!(refused(world.send(&FIELDS).await), NO_GRANT);
    world.accept("bob").await;
    assert_eq!(refused(world.send(&FIELDS).await), NO_GRANT);
    world.accept("alice").await;
    assert!(world.send(&FIELDS).await.unwrap().msgid.is_some());
    assert_eq!(refused(world.send(&FIELDS).await), NO_GRANT);
    let shown = world.notices().await;
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert_eq!((&shown[0]["to"], &shown[0]["page"]), (&json!("alice"), &json!("pages/chat/chat?peer=bob")));
    assert_eq!(shown[0]["data"], json!([["number2", "3"], ["thing1", "鸿雁"]]));

    for result in ["reject", "remove"] {
        world.accept("alice").await;
        world.post("/__subscribe", json!({ "openid": "alice", "template_id": "T", "result": result })).await;
        assert_eq!(
            world.send(&FIELDS).await.is_ok(),
            result == "reject",
            "a prompt declined later takes nothing away"
        );
    }
}

#[actix_web::test]
async fn every_error_of_a_message_is_told_apart_and_costs_no_grant() {
    let world = World::new().await;
    world.accept("alice").await;
    let long = "字".repeat(21);
    assert_eq!(refused(world.send(&[("thing1", &long)]).await), 47003);
    assert_eq!(refused(world.send(&[("number1", "three")]).await), 47003);
    assert_eq!(refused(world.send(&[]).await), 47003);
    assert_eq!(refused(world.send_with(&FIELDS, |m| m.template_id = "no template").await), 40037);
    assert_eq!(refused(world.send_with(&FIELDS, |m| m.page = Some("/pages/chat/chat")).await), 41030);
    assert_eq!(refused(world.send_with(&FIELDS, |m| m.lang = "de_DE").await), 47001);
    for code in [-1, 40003, 43101, 43104, 45009] {
        assert_eq!(refused(world.send(&[("thing1", &format!("dev-errcode:{code}"))]).await), code);
    }
    world.control(json!({ "templates": { "T": ["thing1", "time3"] } })).await;
    assert_eq!(refused(world.send(&FIELDS).await), 47003);
    world.control(json!({ "templates": { "U": ["thing1", "number2"] } })).await;
    assert_eq!(refused(world.send(&FIELDS).await), 40037);
    world.control(json!({ "templates": {} })).await;
    assert!(world.send(&FIELDS).await.is_ok());
    assert!(
        world
            .metrics
            .encode()
            .contains(r#"hongyan_wechat_calls_total{call="subscribe_send",result="no_grant"} 1"#)
    );
}

/// What a check, and what a message, makes of a WeChat that is away in one way.
#[actix_web::test]
async fn an_outage_of_every_kind_is_told_apart() {
    for (outage, failure, sent) in [
        ("status", Failure::Status(500), None),
        ("hang", Failure::Timeout, None),
        ("cut", Failure::Broken, None),
        ("garbage", Failure::Body, None),
        ("busy", Failure::Code { code: BUSY, rid: String::new() }, Some(BUSY)),
    ] {
        let world = World::patient(Duration::from_millis(400)).await;
        world.accept("alice").await;
        assert!(world.check("hello").await.is_ok());
        world.control(json!({ "outage": outage, "only": ["subscribe_send"] })).await;
        assert!(world.check("hello").await.is_ok(), "{outage}: it is of one call only");
        world.control(json!({ "only": ["msg_sec_check", "subscribe_send"] })).await;
        assert_eq!(without_rid(world.check("hello").await.unwrap_err()), failure, "{outage}");
        let outcome = world.send(&FIELDS).await;
        match sent {
            Some(code) => assert_eq!(refused(outcome), code),
            None => assert_eq!(outcome, Err(SendFailure::Unknown(failure)), "{outage}"),
        }
        assert_eq!(
            calls(&world.base).await["subscribe_send"],
            1,
            "{outage}: an unknown outcome is not tried again"
        );
        world.control(json!({ "outage": "none" })).await;
        assert!(world.check("hello").await.is_ok() && world.send(&FIELDS).await.is_ok(), "{outage}");
    }
}

fn without_rid(failure: Failure) -> Failure {
    match failure {
        Failure::Code { code, rid } => {
            assert!(!rid.is_empty());
            Failure::Code { code, rid: String::new() }
        }
        other => other,
    }
}

#[actix_web::test]
async fn a_message_whose_answer_is_cut_off_was_shown_and_is_unknown() {
    let world = World::new().await;
    world.accept("alice").await;
    assert_eq!(world.send(&[("thing1", "dev-cut")]).await, Err(SendFailure::Unknown(Failure::Broken)));
    assert_eq!(world.notices().await.as_array().unwrap().len(), 1);
    assert_eq!(refused(world.send(&FIELDS).await), NO_GRANT);
}

#[actix_web::test]
async fn where_no_connection_or_no_token_was_had_a_message_is_surely_not_sent() {
    let world = World::patient(Duration::from_millis(400)).await;
    let (auth, ..) = start(|_| {});
    let away =
        World { api: api(&auth, "http://127.0.0.1:1", &world.metrics, Duration::from_secs(5)), ..world };
    assert_eq!(away.send(&FIELDS).await, Err(SendFailure::NotSent(Failure::Connect)));
    assert_eq!(away.check("hello").await, Err(Failure::Connect));
    let elsewhere = World {
        api: api(&auth, &format!("{}/elsewhere", away.base), &away.metrics, Duration::from_secs(5)),
        ..away
    };
    assert_eq!(elsewhere.send(&FIELDS).await, Err(SendFailure::NotSent(Failure::Status(404))));

    // The wait for a token is within the call's time, whatever WeChatAuth has for its own.
    let (auth, base, metrics) = start(|config| config.timeout_ms = 60_000);
    let tokenless = World { api: api(&auth, &base, &metrics, Duration::from_millis(400)), base, metrics };
    tokenless.control(json!({ "outage": "hang", "only": ["stable_token"] })).await;
    let sent = tokio::time::timeout(Duration::from_secs(15), tokenless.send(&FIELDS)).await;
    assert_eq!(sent.unwrap(), Err(SendFailure::NotSent(Failure::Timeout)));
    assert_eq!(calls(&tokenless.base).await["subscribe_send"], 0);
}

/// A WeChat that takes one request, as bytes, and answers with these.
async fn once(answer: String) -> (String, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let heard = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"}") {
            assert_ne!(socket.read_buf(&mut heard).await.unwrap(), 0);
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(heard).unwrap()
    });
    (base, heard)
}

#[actix_web::test]
async fn an_answer_that_does_not_come_whole_leaves_it_open() {
    for (answer, failure) in [
        ("", Failure::Broken),
        ("HTTP/1.1 200 OK\r\ncontent-le", Failure::Broken),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"errcode\":0", Failure::Body),
    ] {
        let (auth, _, metrics) = start(|_| {});
        let (base, heard) = once(answer.to_owned()).await;
        let cut = World { api: api(&auth, &base, &metrics, Duration::from_secs(20)), base, metrics };
        assert_eq!(cut.send(&FIELDS).await, Err(SendFailure::Unknown(failure)), "{answer}");
        assert!(heard.await.unwrap().contains("/cgi-bin/message/subscribe/send?access_token="));
    }
}

#[actix_web::test]
async fn texts_go_out_as_they_are() {
    let (auth, _, metrics) = start(|_| {});
    let answer = r#"{"errcode":0,"errmsg":"ok","trace_id":"t","result":{"suggest":"review","label":"20012"},"detail":[]}"#;
    let (base, heard) =
        once(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())).await;
    let open = World { api: api(&auth, &base, &metrics, Duration::from_secs(20)), base, metrics };
    let found = open.check("你好 🪿 \"quoted\"").await;
    let heard = heard.await.unwrap();
    let (_, body) = heard.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"version":2,"openid":"alice","scene":4,"content":"你好 🪿 \"quoted\""}"#);
    assert_eq!(found, Ok(Judgement { suggest: Suggest::Review, label: 20012, trace_id: "t".into() }));
}

/// awc's own limit is a hundred connections.
#[actix_web::test]
async fn calls_that_no_answer_comes_for_keep_nobody_out() {
    let world = World::new().await;
    let hanging: Vec<_> = (0..150)
        .map(|n| {
            let api = world.api.clone();
            actix_web::rt::spawn(async move {
                let openid = OpenId::parse("alice").unwrap();
                let content = format!("dev-hang {n}");
                api.msg_sec_check(&TextCheck {
                    openid: &openid,
                    scene: Scene::Social,
                    content: &content,
                    nickname: None,
                })
                .await
            })
        })
        .collect();
    let all_there = async {
        while calls(&world.base).await["msg_sec_check"].as_u64().unwrap() < 150 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), all_there).await.unwrap();
    assert!(world.check("hello").await.is_ok());
    assert!(hanging.iter().all(|task| !task.is_finished()));
    for task in hanging {
        task.abort();
    }
}

#[actix_web::test]
async fn no_failure_shows_a_token_or_a_text() {
    let world = World::patient(Duration::from_millis(200)).await;
    for text in [
        "secret words dev-errcode:47001",
        "secret words dev-hang",
        "secret words dev-cut",
        "secret words dev-500",
    ] {
        let failure = world.check(text).await.unwrap_err();
        let shown = format!("{failure} {failure:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("double-") && !shown.contains("access_token"),
            "{shown}"
        );
    }
}
