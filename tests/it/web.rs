//! The browser client's files.

use awc::http::Method;
use serde_json::json;

use crate::harness::Server;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[actix_web::test]
async fn the_client_is_served_with_all_that_its_page_names() {
    let server = Server::start().await;
    let http = server.http();
    let page = http.fetch(Method::GET, "/", &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let named = html.split(['"', '\'']).filter(|part| part.starts_with("/assets/"));
    let mut paths: Vec<&str> = named.chain(["/", "/assets/config.json"]).collect();
    paths.dedup();
    assert!(paths.contains(&"/assets/hongyan.js"), "{paths:?}");
    for path in paths {
        let whole = http.fetch(Method::GET, path, &[]).await;
        assert_eq!(whole.status, 200, "{path}");
        for (header, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(whole.header(header), value, "{path}");
        }
        let kind = match path.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "json" => "application/json",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(whole.header("content-type"), kind, "{path}");
        let head = http.fetch(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), whole.body.len().to_string(), "{path}");
        assert_eq!(head.header("etag"), whole.header("etag"));
    }
}

#[actix_web::test]
async fn a_browser_asks_again_and_is_sent_nothing_that_it_has() {
    let server = Server::start().await;
    let http = server.http();
    for path in ["/", "/assets/app.js", "/assets/app.css", "/assets/hongyan.js"] {
        let first = http.fetch(Method::GET, path, &[]).await;
        let etag = first.header("etag");
        assert!(etag.starts_with('"') && etag.len() == 66, "{etag}");
        for has_it in [etag, &format!("W/{etag}")] {
            let again = http.fetch(Method::GET, path, &[("if-none-match", has_it)]).await;
            assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, etag), "{path}");
            assert_eq!(
                (again.header("cache-control"), again.header("content-security-policy")),
                ("no-cache", POLICY)
            );
        }
        let other = http.fetch(Method::GET, path, &[("if-none-match", "\"of the release before\"")]).await;
        assert_eq!((other.status, other.body), (200, first.body));
    }
}

#[actix_web::test]
async fn the_page_is_told_how_people_sign_in() {
    let dev = Server::start().await;
    assert_eq!(dev.http().get("/assets/config.json").await, (200, json!({ "sign_in": "dev" })));
    // Without the double nobody signs in by a name.
    let base = format!("http://{}", dev.double);
    let real = Server::with([("wechat.api_base", base.as_str())]).await;
    assert_eq!(real.http().get("/assets/config.json").await, (200, json!({ "sign_in": "token" })));
}

#[actix_web::test]
async fn where_it_is_off_there_is_nothing() {
    let server = Server::with([("web.enabled", "false")]).await;
    for path in ["/", "/assets", "/assets/", "/assets/index.html", "/assets/app.js", "/assets/config.json"] {
        let (status, body) = server.http().get(path).await;
        assert_eq!((status, &body["error"]), (404, &json!("not_found")), "{path}");
    }
}

#[actix_web::test]
async fn nothing_else_is_served_and_sessions_are_where_they_were() {
    let server = Server::start().await;
    let http = server.http();
    for path in [
        "/index.html/",
        "/assets",
        "/assets/",
        "/assets/..",
        "/assets/../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/assets/app.js%00",
        "/assets/app.js/",
        "/assets/sub/app.js",
        "/assets/APP.JS",
        "/assets/hongyan.d.ts",
        "/assets//app.js",
        "//assets/app.js",
    ] {
        let (status, body) = http.get(path).await;
        assert_eq!((status, &body["error"]), (404, &json!("not_found")), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        for path in ["/", "/assets/app.js"] {
            assert_eq!(http.call(method.clone(), path, None).await.0, 404, "{method} {path}");
        }
    }
    // A path of one segment is still somebody's.
    assert_eq!(http.get("/index").await.0, 400);
    let (mut alice, mut bob) = (server.v1("alice").await, server.v1("bob").await);
    alice.say("bob", "1", "x").await;
    bob.expect("text").await;
}

#[actix_web::test]
async fn dev_tells_a_newcomer_where_to_look_first() {
    use std::io::{BufRead as _, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_hongyan"))
        .args(["dev", "--listen", "127.0.0.1:0", "--set", "ops.listen="])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let at = lines.find_map(|line| line.strip_prefix("hongyan: chat at ").map(str::to_owned)).unwrap();
    let first = lines.find(|line| line.contains("://")).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(first.trim(), format!("http://{at}/"));
}
