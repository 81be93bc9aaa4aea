//! One message and one user followed through the logs of all nodes, and request ids.

use std::io::Write as _;
use std::process::{Command, Stdio};

use awc::http::Method;
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::harness::{Cluster, Http, Server, eventually};

/// The lines of a log in JSON.
fn lines(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn hops(server: &Server) -> Vec<Value> {
    lines(&server.log()).into_iter().filter(|line| line["target"] == "hongyan::trace").collect()
}

async fn hop(server: &Server, msg: &str) -> Value {
    eventually(msg, async || hops(server).into_iter().find(|line| line["msg"] == msg)).await
}

fn traced(server: &Server, arguments: &[&str]) -> String {
    let done = server.command(&[&["trace"], arguments].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[actix_web::test]
async fn a_message_is_followed_over_two_nodes_by_the_recipe_that_is_printed() {
    let Some(cluster) = Cluster::with(&[("log.format", "json")]).await else { return };
    let (mut alice, mut bob) = (cluster.v1(0, "alice").await, cluster.v1(1, "bob").await);
    alice.say("bob", "before", "not yet").await;
    bob.expect("text").await;
    let printed = traced(&cluster.nodes[0], &["alice", "--minutes", "1"]);
    for node in &cluster.nodes {
        hop(node, "trace begins").await;
    }
    alice.say("bob", "m1", "a secret").await;
    bob.expect("text").await;
    bob.send(serde_json::json!({ "type": "read", "id": "r", "to_user_openid": "alice", "seq": 2 })).await;
    bob.expect("read").await;
    hop(&cluster.nodes[1], "read").await;
    let pushed = hop(&cluster.nodes[1], "pushed").await;
    assert_eq!(
        (&pushed["from"], &pushed["to"], &pushed["seq"], &pushed["node"]),
        (&"alice".into(), &"bob".into(), &2.into(), &"n1".into())
    );

    // As the command says it, over the logs of all nodes.
    let recipe = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("cat LOGS | "))
        .unwrap()
        .replace("CLIENT_MSG_ID", "m1");
    let logs: String = cluster.nodes.iter().map(Server::log).collect();
    assert!(!logs.contains("a secret"), "no text stands in a log");
    let told = shell(&recipe, &logs);
    let told: Vec<Vec<&str>> = told.lines().map(|line| line.split('\t').collect()).collect();
    let story: Vec<(&str, &str)> = told.iter().map(|hop| (hop[1], hop[2])).collect();
    for wanted in [
        ("n0", "received"),
        ("n0", "committed"),
        ("n0", "acked"),
        ("n0", "relayed"),
        ("n1", "heard"),
        ("n1", "pushed"),
    ] {
        assert!(story.contains(&wanted), "{wanted:?} in {story:?}");
    }
    assert_eq!(story[..3], [("n0", "received"), ("n0", "committed"), ("n0", "acked")]);
    assert!(!logs.contains("\"client_msg_id\":\"before\""), "nothing was traced before");

    // Ended, on every node.
    traced(&cluster.nodes[2], &["alice", "--stop"]);
    for node in &cluster.nodes {
        hop(node, "trace ends").await;
    }
    alice.say("bob", "after", "x").await;
    bob.expect("text").await;
    let logs: String = cluster.nodes.iter().map(Server::log).collect();
    assert!(!logs.contains("\"client_msg_id\":\"after\""));
}

/// Runs a line of shell over a text. The recipe is for jq; without one here the test has nothing to run.
fn shell(line: &str, input: &str) -> String {
    let mut child =
        Command::new("sh").args(["-c", line]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(out.status.success(), "{line}");
    String::from_utf8(out.stdout).unwrap()
}

#[actix_web::test]
async fn a_trace_shows_refusals_and_calls_and_ends_by_itself() {
    let server = Server::alone(&[("log.format", "json"), ("log.filter", "error")]);
    let mut alice = server.v1("alice").await;
    assert_eq!(traced(&server, &[]), "nobody is traced\n");
    traced(&server, &["alice"]);
    // Whatever log.filter says.
    hop(&server, "trace begins").await;
    assert!(traced(&server, &[]).starts_with("alice  "));
    let bob = server.http_as("bob").await;
    assert_eq!(bob.put("/v1/blocks/alice", &Value::Null).await.0, 204);
    alice.send(serde_json::json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "m1", "message": "x" })).await;
    alice.expect_error("blocked").await;
    let refused = hop(&server, "refused").await;
    assert_eq!((&refused["error"], &refused["client_msg_id"]), (&"blocked".into(), &"m1".into()));

    let calls = server.http_as("alice").await;
    let fetched =
        calls.fetch(Method::GET, "/v1/conversations", &[("x-request-id", "a-request-of-mine")]).await;
    assert_eq!((fetched.status, fetched.header("x-request-id")), (200, "a-request-of-mine"));
    let call = hop(&server, "http").await;
    assert_eq!(
        (&call["request_id"], &call["status"], &call["user"]),
        (&"a-request-of-mine".into(), &200.into(), &"alice".into())
    );

    // A session's lines have the id of its handshake.
    let begun = hops(&server).len();
    let _second = server.v1("alice").await;
    let connected = eventually("connected", async || {
        hops(&server).into_iter().skip(begun).find(|line| line["msg"] == "connected")
    })
    .await;
    assert_eq!(connected["request_id"].as_str().unwrap().len(), 32);
}

/// The time is over in the database's row: nobody asked for the end.
#[actix_web::test]
async fn a_trace_ends_when_its_time_is_over() {
    let server = Server::alone(&[("log.format", "json")]);
    traced(&server, &["alice"]);
    hop(&server, "trace begins").await;
    let set = end_all(&server);
    assert!(set > 0);
    hop(&server, "trace ends").await;
    assert_eq!(traced(&server, &[]), "nobody is traced\n");
}

/// Sets the end of every trace to now.
fn end_all(server: &Server) -> usize {
    use diesel::RunQueryDsl as _;
    let mut conn = server.sqlite();
    diesel::sql_query("UPDATE traces SET until = 1").execute(&mut conn).unwrap()
}

#[actix_web::test]
async fn no_more_users_are_traced_than_may_be() {
    let server = Server::alone(&[]);
    for n in 0..16 {
        traced(&server, &[&format!("u{n}")]);
    }
    let refused = server.command(&["trace", "one-more"]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && why.contains("16 users are traced already"), "{why}");
    // One of them may have more time.
    traced(&server, &["u3", "--minutes", "20"]);
}

#[actix_web::test]
async fn every_line_and_readyz_name_the_node() {
    let server = Server::alone(&[("log.format", "json"), ("server.node", "chat-1")]);
    let (status, readyz) = Http::new(&server.ops, None).get("/readyz").await;
    assert_eq!((status, &readyz["node"]), (200, &"chat-1".into()));
    let log = server.log();
    let all = lines(&log);
    assert_eq!(all.len(), log.lines().count());
    assert!(all.iter().all(|line| line["node"] == "chat-1"), "{log}");
    assert!(all.iter().any(|line| line["msg"] == "ready" && line["start"].is_string()), "{log}");
}

#[actix_web::test]
async fn every_answer_has_a_request_id_and_odd_ones_are_replaced() {
    let server = Server::alone(&[]);
    for (at, path) in [
        (&server.at, "/v1/conversations"),
        (&server.at, "/nowhere/at/all"),
        (&server.at, "/healthz"),
        (&server.ops, "/readyz"),
    ] {
        let http = Http::new(at, None);
        let own = http.fetch(Method::GET, path, &[("x-request-id", "not an id")]).await;
        assert_eq!(own.header("x-request-id").len(), 32, "{path}");
        let given = http.fetch(Method::GET, path, &[("x-request-id", "0123456789abcdef")]).await;
        assert_eq!(given.header("x-request-id"), "0123456789abcdef", "{path}");
    }
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::alone(&[("server.transport", transport)]);
        let url = format!("ws://{}/alice?code=dev:alice&device=d", server.at);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("hongyan.v1"));
        request.headers_mut().insert("x-request-id", HeaderValue::from_static("0123456789abcdef"));
        let (_socket, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], "0123456789abcdef", "{transport}");
    }
}
