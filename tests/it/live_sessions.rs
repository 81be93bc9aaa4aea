//! `hongyan user`: where the user is now, over all nodes.

use serde_json::{Value, json};

use crate::harness::{Cluster, Nats, Server, eventually};

/// What is known of the live sessions of a user, by the command.
fn live(server: &Server, openid: &str) -> Option<Value> {
    let done = server.command(&["user", openid, "--json", "--dev"]);
    let known: Value = serde_json::from_slice(&done.stdout).ok()?;
    Some(known["live"].clone())
}

fn text(server: &Server, openid: &str) -> String {
    String::from_utf8(server.command(&["user", openid, "--dev"]).stdout).unwrap()
}

/// Once these nodes have answered and no other is missed.
async fn answered(server: &Server, openid: &str, nodes: &[&str]) -> Value {
    eventually("every node's answer", async || {
        live(server, openid).filter(|live| live["nodes"] == json!(nodes) && live["not_heard"] == json!([]))
    })
    .await
}

fn devices(live: &Value) -> Vec<[String; 2]> {
    let of = |session: &Value| [&session["node"], &session["device"]].map(|text| text.as_str().unwrap_or("-").to_owned());
    live["sessions"].as_array().unwrap().iter().map(of).collect()
}

#[actix_web::test]
async fn one_node_tells_every_session_and_none_from_silence() {
    for server in
        [Some(Server::alone(&[("server.node", "only")])), Server::on_postgres_with(&[("server.node", "only")]).await.map(|(s, _)| s)]
    {
        let Some(mut server) = server else { continue };
        let before = hongyan::ids::now_ms();
        let _phone = server.v1_device("ann", "phone").await;
        let mut tablet = server.v1_device("ann", "tablet").await;
        tablet.send(json!({ "type": "background" })).await;
        server.metric_becomes("hongyan_sessions_in_background", 1.0).await;
        let gone = server.v1_device("bob", "phone").await;

        let known = answered(&server, "ann", &["only"]).await;
        assert_eq!(devices(&known), [["only", "phone"], ["only", "tablet"]].map(|row| row.map(str::to_owned)), "{known}");
        let [phone, tablet] = [&known["sessions"][0], &known["sessions"][1]];
        assert_eq!((&phone["in_foreground"], &tablet["in_foreground"]), (&json!(true), &json!(false)), "{known}");
        assert!(phone["dialect"] == "v1" && phone["since"].as_i64().unwrap() >= before, "{known}");
        let (status, called) = server.operators().get("/admin/v1/users/ann/sessions").await;
        assert_eq!(status, 200, "{called}");
        assert_eq!(server.operators().get("/admin/v1/users/nan/sessions").await.0, 404);
        eventually("the same by the server API", async || {
            (server.operators().get("/admin/v1/users/ann/sessions").await.1 == known).then_some(())
        })
        .await;

        drop(gone);
        server.metric_becomes("hongyan_sessions", 2.0).await;
        assert_eq!(answered(&server, "bob", &["only"]).await["sessions"], json!([]));
        eventually("none", async || {
            text(&server, "bob").lines().any(|line| line.starts_with("sessions ") && line.ends_with("  none")).then_some(())
        })
        .await;
        let shown = eventually("two", async || Some(text(&server, "ann")).filter(|text| text.contains("  2 live\n"))).await;
        let row = |device: &str| shown.lines().find(|line| line.starts_with(&format!("only  {device}"))).unwrap().to_owned();
        assert!(row("phone").ends_with("foreground") && row("tablet").ends_with("background"), "{shown}");

        server.signal("TERM");
        server.ended().await;
        let silence = server.command(&["user", "ann", "--dev"]);
        let said = String::from_utf8(silence.stdout).unwrap();
        assert!(silence.status.success() && said.contains("no node answers: no sessions are known\n"), "{said}");
        assert!(String::from_utf8(silence.stderr).unwrap().contains("waiting for the nodes' answers"));
    }
}

#[actix_web::test]
async fn every_node_answers_for_itself_and_a_silent_one_is_named() {
    let (Some(nats), Some((database, _))) = (Nats::start(), Server::fresh_postgres()) else { return };
    let Some(cluster) = Cluster::over(3, nats, &database, &[]).await else { return };
    let mut sessions = Vec::new();
    for (node, device) in [(0, "phone"), (1, "tablet"), (1, "watch")] {
        sessions.push(cluster.nodes[node].v1_device("ann", device).await);
    }
    // Asked on the node that has none of them.
    let known = answered(&cluster.nodes[2], "ann", &["n0", "n1", "n2"]).await;
    let wanted = [["n0", "phone"], ["n1", "tablet"], ["n1", "watch"]].map(|row| row.map(str::to_owned));
    assert_eq!(devices(&known), wanted, "{known}");

    // It hangs: nobody can tell what it has.
    cluster.nodes[1].signal("STOP");
    let shown = eventually("its silence", async || {
        let shown = text(&cluster.nodes[2], "ann");
        shown.contains("  1 live; not heard: n1\n").then_some(shown)
    })
    .await;
    assert!(!shown.contains("tablet") && shown.lines().any(|line| line.starts_with("n0    phone")), "{shown}");
    cluster.nodes[1].signal("CONT");
    assert_eq!(devices(&answered(&cluster.nodes[0], "ann", &["n0", "n1", "n2"]).await), wanted);
}
