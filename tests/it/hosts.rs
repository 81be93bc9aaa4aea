//! Ports that ask nobody who they are answer to their own names only, and to no page of somebody else's.

use awc::http::Method;
use serde_json::json;

use crate::harness::{Http, Server};

const EVIL: &[(&str, &str)] = &[("host", "evil.example")];

async fn status(http: &Http, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
    http.fetch(method, path, headers).await.status
}

#[actix_web::test]
async fn a_name_that_was_made_to_point_here_reads_and_deletes_nothing() {
    let server = Server::alone(&[("ops.allowed_hosts", "ops.internal")]);
    let (ops, double, public) = (Http::new(&server.ops, None), server.wechat(), server.http());
    for (http, paths) in [
        (&ops, &["/healthz", "/readyz", "/metrics"][..]),
        (&double, &["/", "/__calls"]),
        (&public, &["/", "/healthz"]),
    ] {
        for path in paths {
            assert_ne!(status(http, Method::GET, path, &[]).await, 403, "{path}");
            let refused = http.fetch(Method::GET, path, EVIL).await;
            assert_eq!(refused.status, 403, "{path}");
            assert!(
                String::from_utf8_lossy(&refused.body).contains("ops.allowed_hosts"),
                "the answer says what to set"
            );
            for own in ["ops.internal:9990", "localhost:9990", "10.244.0.7:9990", "[fd00::7]:9990"] {
                assert_ne!(status(http, Method::GET, path, &[("host", own)]).await, 403, "{path} {own}");
            }
        }
    }
    assert_eq!(status(&double, Method::POST, "/__control", EVIL).await, 403);
}

#[actix_web::test]
async fn a_page_of_somebody_elses_asks_nothing() {
    let server = Server::alone(&[]);
    let (ops, double) = (Http::new(&server.ops, None), server.wechat());
    for (http, at) in [(&ops, &server.ops), (&double, &server.double)] {
        let own = format!("http://{at}");
        for (origin, is_refused) in [
            ("https://evil.example", true),
            ("null", true),
            ("http://127.0.0.1:1", true),
            (own.as_str(), false),
        ] {
            let got = status(http, Method::GET, "/", &[("origin", origin)]).await;
            assert_eq!(got == 403, is_refused, "{at} {origin}");
        }
    }
}

#[actix_web::test]
async fn no_page_but_those_of_this_machine_logs_in_at_dev() {
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::alone(&[
            ("server.transport", transport),
            ("server.allowed_origins", "https://chat.example.com"),
        ]);
        for (origin, is_refused) in [
            ("https://evil.example", true),
            ("null", true),
            ("http://127.0.0.1:5173", false),
            ("http://localhost:1", false),
            ("https://chat.example.com", false),
        ] {
            let mut raw = server.raw().await;
            let head = raw.try_handshake("ann", "ben", &format!("Origin: {origin}\r\n")).await;
            let wanted = if is_refused { "403" } else { "101" };
            assert!(head.starts_with(&format!("HTTP/1.1 {wanted}")), "{transport} {origin}: {head}");
        }
        let login =
            server.http().fetch(Method::POST, "/v1/login", &[("origin", "https://evil.example")]).await;
        assert_eq!(login.status, 403);
    }
    let server = Server::alone(&[]);
    for (origin, status) in [
        ("https://evil.example", "403"),
        ("null", "403"),
        ("http://127.0.0.1:5173", "101"),
        ("https://servicewechat.com", "101"),
    ] {
        let head = server.raw().await.try_handshake("ann", "ben", &format!("Origin: {origin}\r\n")).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{origin}: {head}");
    }
}

#[actix_web::test]
async fn under_serve_the_public_port_has_any_name_and_the_operators_has_not() {
    let server = Server::serving(&[]);
    let public = server.http();
    assert_eq!(status(&public, Method::GET, "/healthz", &[("host", "chat.example.com")]).await, 200);
    let (login, _) = public.post("/v1/login", &json!({ "code": "x" })).await;
    assert_ne!(login, 403);
    assert_eq!(status(&Http::new(&server.ops, None), Method::GET, "/readyz", EVIL).await, 403);
    let checked = server.command(&["healthcheck", "--ops-listen", &server.ops]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
