//! `hongyan user`: where the user is now, over all nodes.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl as _};
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
    let of = |session: &Value| {
        [&session["node"], &session["device"]].map(|text| text.as_str().unwrap_or("-").to_owned())
    };
    live["sessions"].as_array().unwrap().iter().map(of).collect()
}

#[actix_web::test]
async fn one_node_tells_every_session_and_none_from_silence() {
    for server in [
        Some(Server::alone(&[("server.node", "only")])),
        Server::on_postgres_with(&[("server.node", "only")]).await.map(|(s, _)| s),
    ] {
        let Some(mut server) = server else { continue };
        let before = hongyan::ids::now_ms();
        let _phone = server.v1_device("ann", "phone").await;
        let mut tablet = server.v1_device("ann", "tablet").await;
        tablet.send(json!({ "type": "background" })).await;
        server.metric_becomes("hongyan_sessions_in_background", 1.0).await;
        let gone = server.v1_device("bob", "phone").await;

        let known = answered(&server, "ann", &["only"]).await;
        assert_eq!(
            devices(&known),
            [["only", "phone"], ["only", "tablet"]].map(|row| row.map(str::to_owned)),
            "{known}"
        );
        let [phone, tablet] = [&known["sessions"][0], &known["sessions"][1]];
        assert_eq!(
            (&phone["in_foreground"], &tablet["in_foreground"]),
            (&json!(true), &json!(false)),
            "{known}"
        );
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
            text(&server, "bob")
                .lines()
                .any(|line| line.starts_with("sessions ") && line.ends_with("  none"))
                .then_some(())
        })
        .await;
        let shown =
            eventually("two", async || Some(text(&server, "ann")).filter(|text| text.contains("  2 live\n")))
                .await;
        let row = |device: &str| {
            shown.lines().find(|line| line.starts_with(&format!("only  {device}"))).unwrap().to_owned()
        };
        assert!(row("phone").ends_with("foreground") && row("tablet").ends_with("background"), "{shown}");

        server.signal("TERM");
        server.ended().await;
        let silence = server.command(&["user", "ann", "--dev"]);
        let said = String::from_utf8(silence.stdout).unwrap();
        assert!(
            silence.status.success() && said.contains("no node answers: no sessions are known\n"),
            "{said}"
        );
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
    assert!(
        !shown.contains("tablet") && shown.lines().any(|line| line.starts_with("n0    phone")),
        "{shown}"
    );
    cluster.nodes[1].signal("CONT");
    assert_eq!(devices(&answered(&cluster.nodes[0], "ann", &["n0", "n1", "n2"]).await), wanted);
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    rows: i64,
}

const LEFT: &str =
    "SELECT (SELECT count(*) FROM session_questions) + (SELECT count(*) FROM session_answers) AS rows";

/// Whoever asked, nothing of it stays; 64 at a time, and what a killed asker left is no hindrance for long.
#[actix_web::test]
async fn questions_are_bounded_and_leave_nothing_behind() {
    for postgres in [None, Some(Server::fresh_postgres())] {
        let postgres = match postgres {
            Some(None) => continue,
            Some(Some((url, _))) => Some(url),
            None => None,
        };
        let server =
            Server::alone(&postgres.iter().map(|url| ("database.url", url.as_str())).collect::<Vec<_>>());
        let execute = |text: String| match &postgres {
            Some(url) => PgConnection::establish(url).unwrap().batch_execute(&text).unwrap(),
            None => server.sqlite().batch_execute(&text).unwrap(),
        };
        let left = || match &postgres {
            Some(url) => {
                diesel::sql_query(LEFT)
                    .get_result::<Count>(&mut PgConnection::establish(url).unwrap())
                    .unwrap()
                    .rows
            }
            None => diesel::sql_query(LEFT).get_result::<Count>(&mut server.sqlite()).unwrap().rows,
        };
        let _ann = server.v1_device("ann", "phone").await;
        let is_told = || live(&server, "ann").is_some_and(|live| live["sessions"][0]["device"] == "phone");
        eventually("an answer of which nothing stays", async || (is_told() && left() == 0).then_some(()))
            .await;

        // Too old for an answer, and too young to be taken away.
        let asked = |n: usize, at: i64| {
            format!("INSERT INTO session_questions (id, openid, asked_at) VALUES ('{n}', 'ann', {at});")
        };
        execute((0..64).map(|n| asked(n, hongyan::ids::now_ms() - 15_000)).collect());
        let refused = live(&server, "ann").unwrap();
        assert_eq!(
            refused,
            json!({ "problem": "64 questions for users' sessions are open already; ask again in a minute" })
        );
        assert!(
            text(&server, "ann").contains("sessions                      not known: 64 questions"),
            "{}",
            text(&server, "ann")
        );
        execute("UPDATE session_questions SET asked_at = asked_at - 200000".to_owned());
        eventually("an answer of which nothing stays", async || (is_told() && left() == 0).then_some(()))
            .await;
    }
}
