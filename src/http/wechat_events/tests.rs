use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::test::{self as t, TestRequest};
use actix_web::{App, web};

use super::*;
use crate::config::{Config, Secret};
use crate::http::{public, testing};
use crate::wechat::push::signature;

const TOKEN: &str = "AAAAA";
const EVENT: &str = r#"{"MsgType":"event","Event":"debug_demo","CreateTime":1,"FromUserName":"o"}"#;

fn with_token() -> Config {
    let mut config = testing::config();
    config.wechat.push_token = Secret::new(TOKEN);
    config
}

/// A server, and what it hands on.
struct Place {
    state: web::Data<State>,
    handed: Arc<Mutex<Vec<Push>>>,
}

struct Handed(Arc<Mutex<Vec<Push>>>);

impl PushHandler for Handed {
    fn pushed(&self, push: Push) {
        self.0.lock().unwrap().push(push);
    }
}

impl Place {
    fn new(config: Config) -> Self {
        let handed = Arc::new(Mutex::new(Vec::new()));
        let handler = Handed(handed.clone());
        let state = testing::state_with(config, |state| state.push_handler = Box::new(handler));
        Self { state, handed }
    }

    async fn call(&self, request: TestRequest) -> (StatusCode, String) {
        let server = t::init_service(App::new().configure(|c| public(c, &self.state))).await;
        let request = request.peer_addr("192.0.2.1:5".parse().unwrap()).to_request();
        let answer = t::call_service(&server, request).await;
        (answer.status(), String::from_utf8(t::read_body(answer).await.to_vec()).unwrap())
    }

    async fn post(&self, query: &str, body: &str) -> (StatusCode, String) {
        self.call(TestRequest::post().uri(&format!("{PATH}?{query}")).set_payload(body.to_owned())).await
    }

    fn handed(&self) -> usize {
        self.handed.lock().unwrap().len()
    }
}

/// Signed so many seconds ago.
fn query(nonce: &str, ago_s: i64) -> String {
    let timestamp = (now_ms() / 1_000 - ago_s).to_string();
    format!("signature={}&timestamp={timestamp}&nonce={nonce}", signature(&[TOKEN, &timestamp, nonce]))
}

fn success() -> (StatusCode, String) {
    (StatusCode::OK, "success".to_owned())
}

#[actix_web::test]
async fn the_console_gets_its_echo_and_nobody_else() {
    let place = Place::new(with_token());
    let ask = async |query: String| place.call(TestRequest::get().uri(&format!("{PATH}?{query}"))).await;
    assert_eq!(
        ask(format!("{}&echostr=4375120948345356249", query("1", 0))).await,
        (StatusCode::OK, "4375120948345356249".to_owned())
    );
    for bad in [
        "echostr=1".to_owned(),
        format!("{}&echostr=1", query("1", 700)),
        query("1", 0).replace("nonce=1", "nonce=2"),
    ] {
        assert_eq!(ask(bad).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[actix_web::test]
async fn a_signature_that_asked_whether_somebody_is_here_tells_nothing() {
    let place = Place::new(with_token());
    let seen = query("1", 0);
    let ask = async |echo: &str| {
        place.call(TestRequest::get().uri(&format!("{PATH}?{seen}&echostr={echo}"))).await.0
    };
    assert_eq!((ask("1").await, ask("1").await), (StatusCode::OK, StatusCode::OK));
    assert_eq!(ask("2").await, StatusCode::UNAUTHORIZED);
    assert_eq!(place.post(&seen, EVENT).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(place.handed(), 0);
}

#[actix_web::test]
async fn what_is_longer_than_wechats_names_is_no_event_and_is_not_remembered() {
    let place = Place::new(with_token());
    let named = |length: usize| EVENT.replace("{", &format!(r#"{{"MsgId":"{}","#, "9".repeat(length)));
    assert_eq!(place.post(&query("1", 0), &named(257)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(place.post(&query("2", 0), &named(60_000)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        place.post(&query("3", 0), &EVENT.replace("debug_demo", &"x".repeat(257))).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(place.handed(), 0);
    assert_eq!(place.state.pushes.as_ref().unwrap().taken().len(), 0);
    assert_eq!(place.post(&query("4", 0), &named(256)).await, success());
    assert_eq!(place.post(&query("5", 0), &named(256)).await, success());
    assert_eq!(place.handed(), 1);
}

#[actix_web::test]
async fn without_a_token_there_is_no_such_path() {
    let place = Place::new(testing::config());
    for method in [TestRequest::get(), TestRequest::post()] {
        assert_eq!(
            place.call(method.uri(&format!("{PATH}?{}", query("1", 0)))).await.0,
            StatusCode::NOT_FOUND
        );
    }
}

#[actix_web::test]
async fn an_event_is_handed_on_once() {
    let place = Place::new(with_token());
    let first = query("1", 0);
    assert_eq!(place.post(&first, EVENT).await, success());
    assert_eq!(*place.handed.lock().unwrap(), [Push::Other { event: "debug_demo".into() }]);
    // The same again, and the same event signed anew: both are known. The same signature with something else
    // is somebody else's.
    assert_eq!(place.post(&first, EVENT).await, success());
    assert_eq!(place.post(&first, &EVENT.replace("debug_demo", "other")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(place.post(&query("2", 0), EVENT).await, success());
    assert_eq!(place.handed(), 1);
    assert_eq!(place.post(&query("3", 0), &EVENT.replace("debug_demo", "another")).await, success());
    assert_eq!(place.handed(), 2);
}

#[actix_web::test]
async fn what_is_not_wechats_is_refused_before_its_body_is_read() {
    let place = Place::new(with_token());
    let huge = "x".repeat(BODY_BYTES + 1);
    for bad in [String::new(), "signature=&timestamp=&nonce=".to_owned(), query("1", 601), query("1", -700)] {
        assert_eq!(place.post(&bad, &huge).await.0, StatusCode::UNAUTHORIZED, "{bad}");
    }
    assert_eq!(place.post(&query("2", 0), &huge).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(place.post(&query("3", 0), &"x".repeat(BODY_BYTES)).await.0, StatusCode::BAD_REQUEST);
    let padded = format!("{EVENT}{}", " ".repeat(BODY_BYTES - EVENT.len()));
    assert_eq!(place.post(&query("4", 0), &padded).await, success());
    assert_eq!(place.handed(), 1);
    assert_eq!(place.call(TestRequest::delete().uri(PATH)).await.0, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn what_cannot_be_read_may_come_again() {
    let place = Place::new(with_token());
    let signed = query("1", 0);
    assert_eq!(place.post(&signed, "{}").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(place.post(&signed, EVENT).await, success());
    assert_eq!(place.handed(), 1);
}

#[actix_web::test]
async fn where_a_key_is_set_plain_events_are_refused() {
    let mut config = with_token();
    config.wechat.push_aes_key = Secret::new("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG");
    let place = Place::new(config);
    assert_eq!(place.post(&query("1", 0), EVENT).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(place.handed(), 0);
}

#[actix_web::test]
async fn an_address_that_tells_too_much_is_slowed_down_and_logs_in_as_ever() {
    let mut config = with_token();
    config.limits.handshakes_per_second_per_address = 1;
    let place = Place::new(config);
    assert_eq!(place.post(&query("1", 0), EVENT).await, success());
    assert_eq!(place.post(&query("2", 0), EVENT).await.0, StatusCode::TOO_MANY_REQUESTS);
    let login = TestRequest::post().uri("/v1/login").set_payload(r#"{"code":"someone"}"#);
    assert_eq!(place.call(login).await.0, StatusCode::OK);
}
