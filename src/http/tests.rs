//! The routes as a client meets them.

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::{Method, StatusCode, Version, header};
use actix_web::test::{self as t, TestRequest, read_body};
use actix_web::{App, Error, web};
use serde_json::{Value, json};

use super::api::conversations::{ClearParams, ListParams, ReadRequest};
use super::api::messages::HistoryParams;
use super::body::Body;
use super::*;
use crate::auth::Identity;
use crate::ids::OpenId;
use crate::limits::ClientAddress;
use crate::protocol::ErrorCode;

async fn server(
    state: &web::Data<State>,
) -> impl Service<actix_http::Request, Response = ServiceResponse<impl MessageBody>, Error = Error> {
    t::init_service(App::new().configure(|c| public(c, state))).await
}

async fn ops_server(
    state: &web::Data<State>,
) -> impl Service<actix_http::Request, Response = ServiceResponse<impl MessageBody>, Error = Error> {
    t::init_service(App::new().configure(|c| ops(c, state))).await
}

async fn json_of(response: ServiceResponse<impl MessageBody>) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = read_body(response).await;
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {bytes:?}")))
}

fn from_somewhere(request: TestRequest) -> TestRequest {
    request.peer_addr("192.0.2.1:5".parse().unwrap())
}

#[actix_web::test]
async fn without_a_token_every_call_but_three_is_refused() {
    let state = testing::state(testing::config());
    let server = server(&state).await;
    for call in &api::CALLS {
        let request =
            from_somewhere(TestRequest::with_uri(call.path).method(call.method.clone())).to_request();
        let (status, body) = json_of(server.call(request).await.unwrap()).await;
        match call.path {
            "/v1/openapi.json" => assert_eq!((status, &body["info"]["title"]), (200, &json!("hongyan"))),
            "/v1/avatars/{sha256}" => assert_eq!((status, &body["error"]), (404, &json!("not_found"))),
            "/v1/login" => assert_eq!((status, &body["error"]), (400, &json!("bad_request"))),
            path => assert_eq!((status, &body["error"]), (401, &json!("unauthorized")), "{path}"),
        }
    }
    let metrics = state.metrics.encode();
    assert!(
        metrics.contains(r#"hongyan_http_responses_total{route="/v1/conversations/{peer}",status="401"} 1"#),
        "{metrics}"
    );
    let refused = format!(r#"hongyan_errors_total{{error="unauthorized"}} {}"#, api::CALLS.len() - 3);
    assert!(metrics.contains(&refused), "{metrics}");
}

#[actix_web::test]
async fn what_is_not_there_is_not_found_in_json() {
    let state = testing::state(testing::config());
    let server = server(&state).await;
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/a/b"),
        (Method::GET, "/v1"),
        (Method::GET, "/v1/nothing?token=x"),
        (Method::GET, "/v1/login"),
        (Method::PUT, "/v1/read"),
        (Method::POST, "/someone"),
        (Method::POST, "/healthz"),
        (Method::GET, "/readyz"),
        (Method::GET, "/metrics"),
        (Method::GET, "/favicon.ico"),
    ] {
        let response =
            server.call(TestRequest::with_uri(path).method(method.clone()).to_request()).await.unwrap();
        let (status, body) = json_of(response).await;
        assert_eq!(
            (status, &body["error"], &body["status"]),
            (404, &json!("not_found"), &json!(404)),
            "{method} {path}"
        );
    }
    let metrics = state.metrics.encode();
    assert!(!metrics.contains("favicon") && !metrics.contains("nothing"), "{metrics}");
    assert!(metrics.contains(r#"hongyan_http_responses_total{route="other",status="404"}"#), "{metrics}");
    assert!(
        metrics.contains(r#"hongyan_http_responses_total{route="/v1/login",status="404"} 1"#),
        "{metrics}"
    );
}

#[actix_web::test]
async fn a_handshake_that_is_none_is_a_bad_request() {
    let state = testing::state(testing::config());
    let server = server(&state).await;
    let shaken = || {
        let headers = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13")];
        let request = TestRequest::with_uri("/someone")
            .insert_header(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="));
        headers.into_iter().fold(request, TestRequest::insert_header)
    };
    for request in [
        TestRequest::with_uri("/someone").to_request(),
        shaken().insert_header(("sec-websocket-version", "8")).to_request(),
        shaken().insert_header(("sec-websocket-key", "short")).to_request(),
        shaken().version(Version::HTTP_10).to_request(),
    ] {
        let response = server.call(request).await.unwrap();
        assert_eq!(response.headers().get(header::SEC_WEBSOCKET_VERSION).unwrap(), "13");
        let (status, body) = json_of(response).await;
        assert_eq!((status, &body["error"]), (400, &json!("bad_request")));
    }
}

#[actix_web::test]
async fn the_answers_under_v1_are_kept_by_no_cache() {
    let state = testing::state(testing::config());
    let server = server(&state).await;
    for path in ["/v1/unread", "/v1/openapi.json", "/v1/nothing"] {
        let response = server.call(TestRequest::with_uri(path).to_request()).await.unwrap();
        assert_eq!(response.headers().get(header::CACHE_CONTROL).unwrap(), "no-store", "{path}");
    }
}

#[actix_web::test]
async fn a_login_is_refused_in_the_protocols_words() {
    let state = testing::state(testing::config());
    let server = server(&state).await;
    for (body, status, code) in [
        (r#"{"code":"bad"}"#, 401, "bad_code"),
        (r#"{"code":"busy"}"#, 429, "rate_limited"),
        (r#"{"code":"blocked"}"#, 403, "blocked_by_wechat"),
        (r#"{"code":"away"}"#, 503, "wechat_unavailable"),
        (r#"{"code":""}"#, 400, "bad_request"),
        (r#"{"code":7}"#, 400, "bad_request"),
        ("{}", 400, "bad_request"),
        ("", 400, "bad_request"),
        ("code=bad", 400, "bad_request"),
    ] {
        let request = from_somewhere(TestRequest::post().uri("/v1/login").set_payload(body)).to_request();
        let (got, answer) = json_of(server.call(request).await.unwrap()).await;
        assert_eq!((got, &answer["error"]), (status, &json!(code)), "{body}");
        assert_eq!(answer["retry_after_ms"].is_u64(), [429, 503].contains(&status), "{body}");
    }
    let long = format!(r#"{{"code":"{}"}}"#, "x".repeat(2_000));
    let request = from_somewhere(TestRequest::post().uri("/v1/login").set_payload(long)).to_request();
    assert_eq!(json_of(server.call(request).await.unwrap()).await.1["error"], "too_large");
}

#[actix_web::test]
async fn logins_of_one_address_are_slowed_down() {
    let mut config = testing::config();
    config.limits.handshakes_per_second_per_address = 1;
    let state = testing::state(config);
    let server = server(&state).await;
    let login =
        || from_somewhere(TestRequest::post().uri("/v1/login").set_payload(r#"{"code":"bad"}"#)).to_request();
    assert_eq!(server.call(login()).await.unwrap().status(), 401);
    let response = server.call(login()).await.unwrap();
    assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "1");
    assert_eq!(json_of(response).await.1["error"], "rate_limited");
}

#[actix_web::test]
async fn readiness_names_its_reasons_and_wechat_is_only_a_detail() {
    let state = testing::state(testing::config());
    let server = ops_server(&state).await;
    let ready = || TestRequest::with_uri("/readyz").to_request();
    let (status, body) = json_of(server.call(ready()).await.unwrap()).await;
    assert_eq!((status, &body["reasons"]), (200, &json!([])));
    assert_eq!(body["details"], json!({"database": "ok", "wechat": "ok"}));
    state.draining.begin();
    assert_eq!(
        api::login::exchange(&state, ClientAddress::Socket, "away".into()).await.unwrap_err().code(),
        ErrorCode::WechatUnavailable
    );
    let (_, body) = json_of(server.call(ready()).await.unwrap()).await;
    assert_eq!(body["reasons"], json!(["draining"]));
    assert_eq!(body["details"]["wechat"], "unavailable");
    assert!(api::login::exchange(&state, ClientAddress::Socket, "someone".into()).await.is_ok());
    assert_eq!(state.wechat_seen.away_for_ms(), None);
    let (status, _) =
        json_of(server.call(TestRequest::with_uri("/healthz").to_request()).await.unwrap()).await;
    assert_eq!(status, 200, "alive even while leaving");
}

#[actix_web::test]
async fn the_metrics_are_openmetrics_for_who_asks_for_that() {
    let state = testing::state(testing::config());
    let server = ops_server(&state).await;
    let asked = TestRequest::with_uri("/metrics")
        .insert_header((header::ACCEPT, "application/openmetrics-text; version=1.0.0"));
    let response = server.call(asked.to_request()).await.unwrap();
    let kind = response.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    assert!(read_body(response).await.ends_with(b"# EOF\n"));
    assert_eq!(server.call(TestRequest::with_uri("/someone").to_request()).await.unwrap().status(), 404);
}

fn preflight(origin: &'static str) -> actix_http::Request {
    TestRequest::with_uri("/v1/conversations/a")
        .method(Method::OPTIONS)
        .insert_header((header::ORIGIN, origin))
        .insert_header((header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE"))
        .insert_header((header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization, content-type"))
        .to_request()
}

#[actix_web::test]
async fn by_default_any_page_may_call_without_credentials() {
    let state = testing::state(testing::config());
    let server = server(&state).await;
    let response = server.call(preflight("https://a.example")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), "*");
    assert!(headers.get(header::ACCESS_CONTROL_ALLOW_METHODS).unwrap().to_str().unwrap().contains("DELETE"));
    assert!(
        headers
            .get(header::ACCESS_CONTROL_ALLOW_HEADERS)
            .unwrap()
            .to_str()
            .unwrap()
            .contains("authorization")
    );
    assert!(headers.get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS).is_none());
    let request =
        TestRequest::with_uri("/v1/unread").insert_header((header::ORIGIN, "https://a.example")).to_request();
    let response = server.call(request).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(
        response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(),
        "*",
        "errors too, or the page could not read them"
    );
}

#[actix_web::test]
async fn with_a_list_only_its_pages_may_call() {
    let mut config = testing::config();
    config.server.allowed_origins = vec!["https://a.example".into()];
    let state = testing::state(config);
    let server = server(&state).await;
    let allowed = |r: &ServiceResponse<_>| {
        r.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|v| v.to_str().unwrap().to_owned())
    };
    assert_eq!(
        allowed(&server.call(preflight("https://a.example")).await.unwrap()).as_deref(),
        Some("https://a.example")
    );
    assert_eq!(allowed(&server.call(preflight("https://b.example")).await.unwrap()), None);
}

#[actix_web::test]
async fn a_store_that_takes_nothing_is_unavailable_and_bad_parameters_come_first() {
    let state = testing::state(testing::config());
    state.store.drain(Duration::ZERO).await;
    let caller = || {
        AuthenticatedUser(Identity {
            openid: OpenId::parse("me").unwrap(),
            issued: crate::event::revocation::Issued::by_time(1),
        })
    };
    fn code<T>(outcome: Result<T, ApiError>) -> Option<ErrorCode> {
        outcome.err().map(|e| e.code())
    }

    let history = async |peer: &str, before_seq, limit| {
        let params = HistoryParams { peer: peer.into(), before_seq, after_seq: None, limit };
        code(api::messages::history(caller(), web::Query(params), state.clone()).await)
    };
    assert_eq!(history("peer", None, None).await, None);
    assert_eq!(history("pe er", None, None).await, Some(ErrorCode::BadRequest));
    assert_eq!(history("g:1", None, None).await, Some(ErrorCode::BadRequest));
    assert_eq!(history("peer", Some(-1), None).await, Some(ErrorCode::BadRequest));
    assert_eq!(history("peer", None, Some(101)).await, Some(ErrorCode::BadRequest));

    let list = async |limit, cursor: Option<&str>| {
        let params = ListParams { limit, cursor: cursor.map(str::to_owned), pinned: None };
        code(api::conversations::list(caller(), web::Query(params), state.clone()).await)
    };
    assert_eq!(list(Some(100), None).await, None);
    assert_eq!(list(Some(0), None).await, Some(ErrorCode::BadRequest));
    assert_eq!(list(None, Some("nonsense")).await, Some(ErrorCode::BadRequest));

    assert_eq!(code(api::conversations::unread(caller(), state.clone()).await), None);

    let read = async |peer: &str, seq| {
        code(
            api::conversations::read(caller(), Body(ReadRequest { peer: peer.into(), seq }), state.clone())
                .await,
        )
    };
    assert_eq!(read("peer", 3).await, Some(ErrorCode::Unavailable));
    assert_eq!(read("", 3).await, Some(ErrorCode::BadRequest));
    assert_eq!(read("peer", -3).await, Some(ErrorCode::BadRequest));

    let clear = async |peer: &str, up_to_seq| {
        let params = web::Query(ClearParams { up_to_seq });
        code(
            api::conversations::clear(caller(), web::Path::from(peer.to_owned()), params, state.clone())
                .await,
        )
    };
    assert_eq!(clear("peer", None).await, Some(ErrorCode::Unavailable));
    assert_eq!(clear("pe/er", None).await, Some(ErrorCode::BadRequest));
    assert_eq!(clear("peer", Some(-1)).await, Some(ErrorCode::BadRequest));

    let body = serde_json::from_str("{}").map(Body).unwrap();
    assert_eq!(code(api::login::logout(caller(), body, state.clone()).await), Some(ErrorCode::Unavailable));
}

/// One request over a Unix socket, as bytes, and the whole answer.
async fn raw(socket: &std::path::Path, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

#[actix_web::test]
async fn over_a_unix_socket_the_proxy_names_the_client_and_bodies_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("http");
    let mut config = testing::config();
    config.server.listen = crate::config::Listen::Unix(socket.clone());
    config.limits.handshakes_per_second_per_address = 1;
    let state = testing::state(config);
    let server = actix_web::HttpServer::new(move || {
        let state = state.clone();
        App::new().configure(move |c| public(c, &state))
    });
    let server = server.workers(1).disable_signals().bind_uds(&socket).unwrap().run();
    let handle = server.handle();
    actix_rt::spawn(server);

    let login = async |client: &str, body: &str| {
        let head = format!(
            "POST /v1/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6, {client}\r\n"
        );
        raw(&socket, &format!("{head}{body}")).await
    };
    let small = "Content-Length: 14\r\n\r\n{\"code\":\"bad\"}";
    assert!(login("192.0.2.1", small).await.starts_with("HTTP/1.1 401 "));
    assert!(login("192.0.2.2", small).await.starts_with("HTTP/1.1 401 "));
    assert!(login("192.0.2.1", small).await.starts_with("HTTP/1.1 429 "));
    assert!(
        login("192.0.2.3", "Content-Length: 1025\r\n\r\n").await.starts_with("HTTP/1.1 413 "),
        "answered before the body comes"
    );
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n", " ".repeat(0x800));
    assert!(login("192.0.2.4", &chunked).await.starts_with("HTTP/1.1 413 "));
    handle.stop(false).await;
}
