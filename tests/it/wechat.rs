//! What WeChat tells by itself, as its double tells it; and the double as people see it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::{Http, Server};

const EVENT: &str = r#"{"MsgType":"event","Event":"debug_demo"}"#;

async fn tell(server: &Server) -> Value {
    let event: Value = serde_json::from_str(EVENT).unwrap();
    server.wechat().post("/__push", &event).await.1["outcome"].clone()
}

/// Pushes taken so far, by the status of their answers.
async fn answered(server: &Server, status: u16) -> f64 {
    server
        .metric(&format!(r#"hongyan_http_responses_total{{route="/wechat/events",status="{status}"}}"#))
        .await
}

#[actix_web::test]
async fn dev_takes_what_its_double_tells_and_nothing_unsigned() {
    let server = Server::alone(&[]);
    assert_eq!(tell(&server).await, "success");
    assert_eq!(answered(&server, 200).await, 1.0);
    for path in ["/wechat/events", "/wechat/events?signature=x&timestamp=1&nonce=2"] {
        for method in [Method::GET, Method::POST] {
            let (status, body) = server.http().call(method, path, Some(EVENT.to_owned())).await;
            assert_eq!((status, &body["error"]), (401, &json!("unauthorized")));
        }
    }
    let taken_over = |changes: Value| {
        let mut push =
            json!({ "url": format!("http://{}/wechat/events", server.at), "token": "devpushtoken" });
        push.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({ "push": push })
    };
    for changes in [json!({}), json!({ "aes_key": "x".repeat(43) }), json!({ "token": "another" })] {
        assert_eq!(server.wechat().post("/__control", &taken_over(changes.clone())).await.0, 204);
        assert_eq!(tell(&server).await, "HTTP 401", "{changes}");
    }
    let reset = json!({ "reset": true });
    assert_eq!(server.wechat().post("/__control", &reset).await.0, 204);
    assert_eq!(tell(&server).await, "success");
}

#[actix_web::test]
async fn plain_pushes_are_taken_where_no_key_is_set_and_none_without_a_token() {
    let server = Server::alone(&[("wechat.push_aes_key", "")]);
    assert_eq!(tell(&server).await, "success");
    let server = Server::alone(&[("wechat.push_token", ""), ("wechat.push_aes_key", "")]);
    assert_eq!(tell(&server).await, "nobody to tell");
    for method in [Method::GET, Method::POST] {
        assert_eq!(server.http().call(method, "/wechat/events", None).await.0, 404);
    }
}

#[actix_web::test]
async fn what_was_pushed_stands_in_no_log() {
    let server = Server::alone(&[("log.filter", "trace")]);
    assert_eq!(tell(&server).await, "success");
    let log = server.log();
    assert!(log.contains("TRACE") && !log.contains("devpush"), "a secret");
    assert!(!log.contains("signature="), "a signature");
}

#[actix_web::test]
async fn the_double_has_a_page_and_no_page_of_anothers_steers_it() {
    let server = Server::alone(&[]);
    let double = server.wechat();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let file = double.fetch(Method::GET, path, &[]).await;
        assert_eq!((file.status, file.header("content-type")), (200, kind));
        assert!(
            file.header("content-security-policy")
                .starts_with("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';")
        );
    }
    assert_eq!(
        double.fetch(Method::GET, "/__journal", &[("sec-fetch-site", "cross-site")]).await.status,
        403
    );
}

#[actix_web::test]
async fn the_double_runs_alone() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hongyan"))
        .args(["fake-wechat", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let at = line.trim().strip_prefix("hongyan: wechat double at ").unwrap();
    let server = Server::alone(&[("wechat.api_base", &format!("http://{at}"))]);
    server.http_as("alice").await;
    let (status, calls) = Http::new(at, None).get("/__calls").await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((status, &calls["code2session"]), (200, &json!(1)));
}
