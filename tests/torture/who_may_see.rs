//! Nobody is shown what is somebody else's, and what is refused looks like what is not there.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Client, Http, Server};
use crate::size::figure;

/// Stands in everything that is between alice and bob, or is alice's.
pub const CANARY: &str = "canary-between-two";
/// Nobody has ever heard of them; their name is as long as alice's.
pub const UNKNOWN: &str = "aliza";

/// Alice and bob with a history, each connected; carol is nobody to them.
pub struct House {
    pub server: Server,
    pub alice: Client,
    pub bob: Client,
    pub as_alice: Http,
    pub as_bob: Http,
    pub as_carol: Http,
}

impl House {
    pub async fn furnished() -> Self {
        let server = Server::with([("limits.http_burst", "0"), ("limits.controls_per_second", "0")]).await;
        let (mut alice, mut bob) = (server.v1_device("alice", "alices-phone").await, server.v1("bob").await);
        for n in 1..=3 {
            let id = format!("{CANARY}-{n}");
            alice.send(json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": id, "message": CANARY, "extra": CANARY })).await;
            alice.expect("ack").await;
            bob.expect("text").await;
        }
        bob.say("alice", CANARY, CANARY).await;
        alice.expect("text").await;
        bob.send(json!({ "type": "read", "id": "r", "to_user_openid": "alice", "seq": 2 })).await;
        bob.expect("read").await;
        alice.expect("read").await;
        let (as_alice, as_bob, as_carol) =
            (server.http_as("alice").await, server.http_as("bob").await, server.http_as("carol").await);
        assert_eq!(as_alice.call(awc::http::Method::PUT, &format!("/v1/blocks/{CANARY}"), None).await.0, 204);
        Self { server, alice, bob, as_alice, as_bob, as_carol }
    }

    /// All that alice and bob see over HTTP.
    pub async fn views(&self) -> Vec<Value> {
        let mut views = Vec::new();
        for (http, peer) in [(&self.as_alice, "bob"), (&self.as_bob, "alice")] {
            for path in
                ["/v1/conversations", &format!("/v1/messages?peer={peer}"), "/v1/unread", "/v1/blocks"]
            {
                let (status, view) = http.get(path).await;
                assert_eq!(status, 200);
                views.push(view);
            }
        }
        views
    }

    /// What came of it all: nothing reached alice and bob, and all of theirs is as it was.
    pub async fn is_untouched(&mut self, before: &[Value]) {
        self.alice.nothing_came().await;
        self.bob.nothing_came().await;
        assert_eq!(self.views().await, before);
    }
}

/// A request's whole answer but for the date and the id of the request, its header lines sorted.
async fn answer(server: &Server, method: &str, path: &str, token: Option<&str>, body: &str) -> String {
    let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "{} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
        method.to_uppercase(),
        body.len()
    );
    let mut socket = TcpStream::connect(&server.at).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = String::new();
    socket.read_to_string(&mut bytes).await.unwrap();
    assert!(bytes.starts_with("HTTP/1.1 "), "{bytes}");
    // The order of the headers is chance, and that of the names in one of them: each worker draws its own.
    let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
    let lines =
        head.lines().filter(|line| !["date: ", "x-request-id: "].iter().any(|name| line.starts_with(name)));
    let mut lines: Vec<String> = lines
        .map(|line| match line.strip_prefix("access-control-expose-headers: ") {
            Some(names) => format!(
                "access-control-expose-headers: {}",
                names.split(", ").collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
            ),
            None => line.to_owned(),
        })
        .collect();
    lines.sort_unstable();
    format!("{}\n\n{body}", lines.join("\n"))
}

/// One call of the document about somebody, without and with its optional parameters; `cursor` is alice's.
fn requests(path: &str, operation: &Value, name: &str, cursor: &str) -> Vec<(String, String)> {
    let target = path.replace("{peer}", name).replace("{openid}", name).replace("{sha256}", &"0".repeat(64));
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let query = |all: bool| {
        let wanted = parameters.iter().filter(|p| p["in"] == "query" && (all || p["required"] == true));
        let pairs = wanted.map(|parameter| match parameter["name"].as_str().unwrap() {
            of @ ("peer" | "to_user_openid" | "openids") => format!("{of}={name}"),
            of @ "cursor" => format!("{of}={cursor}"),
            of @ "code" => format!("{of}={name}"),
            of @ "device" => format!("{of}=alices-phone"),
            of => format!("{of}=2"),
        });
        pairs.collect::<Vec<_>>().join("&")
    };
    let body = if operation["requestBody"].is_object() {
        json!({ "peer": name, "seq": 2, "code": name }).to_string()
    } else {
        String::new()
    };
    [query(false), query(true)].map(|query| (format!("{target}?{query}"), body.clone())).into()
}

#[actix_web::test]
async fn no_call_shows_anybody_what_is_somebody_elses() {
    let mut house = House::furnished().await;
    let cursor = cursor_of(&house).await;
    house.alice.expect("text").await;
    let before = house.views().await;
    let (_, document) = house.server.http().get("/v1/openapi.json").await;
    let forged = format!("{}x", house.as_alice.token());
    let mut calls = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let pairs = requests(path, operation, "alice", &cursor)
                .into_iter()
                .zip(requests(path, operation, UNKNOWN, &cursor));
            for ((known, known_body), (unknown, unknown_body)) in pairs {
                // Carol's own token is good for one logout only.
                let carol = house.server.http_as("carol").await;
                let carol_again = if path == "/v1/logout" {
                    house.server.http_as("carol").await
                } else {
                    Http::new("", Some(carol.token()))
                };
                for (token, other) in [
                    (Some(carol.token()), Some(carol_again.token())),
                    (None, None),
                    (Some(forged.as_str()), Some("forged")),
                ] {
                    let told = answer(&house.server, method, &known, token, &known_body).await;
                    let not_told = answer(&house.server, method, &unknown, other, &unknown_body).await;
                    assert!(!told.contains(CANARY), "{method} {known}: {told}");
                    assert_eq!(
                        told,
                        not_told.replace(UNKNOWN, "alice"),
                        "{method} {known} tells alice from somebody unknown"
                    );
                    let is_open =
                        ["/v1/login", "/v1/openapi.json", "/v1/avatars/{sha256}"].contains(&path.as_str());
                    if token != Some(carol.token()) && path.starts_with("/v1/") && !is_open {
                        assert!(told.contains("HTTP/1.1 401"), "{method} {known}: {told}");
                    }
                    calls += 1;
                }
            }
        }
    }
    house.is_untouched(&before).await;
    figure(
        "who may see",
        format!(
            "{calls} calls about alice and about somebody unknown, all answered alike, nothing of alice's shown"
        ),
    );
}

/// Where alice's list goes on behind their newest conversation.
async fn cursor_of(house: &House) -> String {
    house.server.v1("alice").await.say("dan", "1", CANARY).await;
    let (_, page) = house.as_alice.get("/v1/conversations?limit=1").await;
    page["next_cursor"].as_str().unwrap().to_owned()
}
