//! The server API: who may call it, what each call leaves in the audit log, and bans that end by themselves.

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::{Cluster, Http, Server, eventually};

const READ: &str = "read-read-read-read-read-read-read";
const MODERATE: &str = "moderate-moderate-moderate-moderate";
const SEND: &str = "send-send-send-send-send-send-send";
const EVERY: &str = "every-every-every-every-every-every";

fn keys() -> String {
    format!(
        "reader:{READ}:read,night:{MODERATE}:moderate,shop:{SEND}:send,boss:{EVERY}:read+send+manage+moderate"
    )
}

fn by(server: &Server, secret: &str) -> Http {
    Http::new(&server.admin, Some(secret))
}

async fn acts(server: &Server) -> Vec<Value> {
    by(server, EVERY).get("/admin/v1/audit?limit=100").await.1["acts"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn a_key_opens_what_its_scopes_say_and_nothing_else() {
    let server = Server::alone(&[("admin.keys", &keys())]);
    server.v1("ann").await;
    let calls = [
        (Method::GET, "/admin/v1/reviews", [false, true, false, true]),
        (Method::POST, "/admin/v1/reviews/1", [false, true, false, true]),
        (Method::GET, "/admin/v1/users/ann", [true, false, false, true]),
        (Method::GET, "/admin/v1/users/ann/sessions", [true, false, false, true]),
        (Method::DELETE, "/admin/v1/users/ann/profile", [false, true, false, true]),
        (Method::POST, "/admin/v1/users/ann/kick", [false, false, false, true]),
        (Method::GET, "/admin/v1/bans", [true, true, false, true]),
        (Method::PUT, "/admin/v1/bans/ann", [false, true, false, true]),
        (Method::DELETE, "/admin/v1/bans/ann", [false, true, false, true]),
        (Method::GET, "/admin/v1/audit", [true, false, false, true]),
        (Method::GET, "/admin/v1/openapi.json", [true; 4]),
    ];
    assert_eq!(calls.len(), hongyan::http::admin::CALLS.len(), "a new call must be asked here");
    for (method, path, opened) in calls {
        for (secret, is_open) in [READ, MODERATE, SEND, EVERY].into_iter().zip(opened) {
            let body = Some(json!({ "for_s": 60, "decision": "pass" }).to_string());
            let (status, answer) = by(&server, secret).call(method.clone(), path, body).await;
            assert_eq!(
                answer["error"] == "forbidden",
                !is_open,
                "{method} {path} {secret}: {status} {answer}"
            );
        }
        for stranger in
            [None, Some("every-every-every-every-every-every-"), Some("every"), Some(""), Some("boss")]
        {
            let (status, answer) = Http::new(&server.admin, stranger).call(method.clone(), path, None).await;
            assert_eq!((status, &answer["error"]), (401, &json!("unauthorized")), "{method} {path}");
        }
        let user = server.http_as("ben").await;
        assert_eq!(
            Http::new(&server.admin, Some(user.token())).call(method.clone(), path, None).await.0,
            401,
            "a user's token is no key"
        );
        // Neither the public port nor the operators' has any of it.
        for port in [&server.at, &server.ops] {
            assert_eq!(
                Http::new(port, Some(EVERY)).call(method.clone(), path, None).await.0,
                404,
                "{port} {path}"
            );
        }
    }
    for path in ["/reviews", "/reviews/1", "/profiles/ann"] {
        assert_eq!(Http::new(&server.ops, None).get(path).await.0, 404, "the operators' port has no powers");
    }
    assert_eq!(by(&server, EVERY).call(Method::PATCH, "/admin/v1/bans/ann", None).await.0, 404);
    assert_eq!(by(&server, EVERY).get("/admin/v1/nothing").await.0, 404);
    assert_eq!(Http::new(&server.admin, None).get("/healthz").await.0, 200);
    let log = server.log();
    assert!(log.contains("an operator called"), "{log}");
    assert!(
        [READ, MODERATE, SEND, EVERY].iter().all(|secret| !log.contains(secret)),
        "no key stands in the log"
    );
}

#[actix_web::test]
async fn without_keys_there_is_no_server_api_and_without_a_port_it_is_on_the_public_one() {
    let off = Server::alone(&[("admin.keys", ""), ("admin.listen", "")]);
    assert_eq!(Http::new(&off.at, Some(EVERY)).get("/admin/v1/bans").await.0, 404);
    let public = Server::alone(&[("admin.keys", &keys()), ("admin.listen", "")]);
    assert_eq!(public.admin, "");
    let asked = Http::new(&public.at, Some(EVERY));
    assert_eq!(asked.get("/admin/v1/bans").await, (200, json!({ "bans": [] })));
    assert_eq!(Http::new(&public.at, None).get("/admin/v1/bans").await.0, 401);
    let preflight = asked.fetch(
        Method::OPTIONS,
        "/admin/v1/bans",
        &[("origin", "http://localhost:1"), ("access-control-request-method", "GET")],
    );
    let preflight = preflight.await;
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-origin")),
        (404, ""),
        "no page of a browser's may call"
    );
}

#[actix_web::test]
async fn a_newcomer_has_a_key_and_is_told_how_to_use_it() {
    let mut server = Server::alone(&[("admin.listen", "")]);
    server.set_variable("HONGYAN_ADMIN__KEYS", None);
    server.again().await;
    let kept = std::fs::read_to_string(server.folder().join("data/dev-admin.key")).unwrap();
    let secret = kept.split(':').nth(1).unwrap().to_owned();
    let asked = Http::new(&server.at, Some(&secret));
    assert_eq!(asked.get("/admin/v1/bans").await.0, 200);
    server.again().await;
    assert_eq!(Http::new(&server.at, Some(&secret)).get("/admin/v1/bans").await.0, 200, "it is kept");
    assert!(!server.log().contains(&secret));
}

#[actix_web::test]
async fn every_call_is_in_the_audit_log_with_key_what_and_whom() {
    for server in [
        Some(Server::alone(&[("admin.keys", &keys())])),
        Server::on_postgres_with(&[("admin.keys", &keys())]).await.map(|(s, _)| s),
    ] {
        let Some(server) = server else { continue };
        server.v1("ann").await;
        let boss = by(&server, EVERY);
        eventually("ann is known", async || (boss.get("/admin/v1/users/ann").await.0 == 200).then_some(()))
            .await;
        let ban = json!({ "reason": "sells tea", "for_s": 3_600 });
        assert_eq!(boss.put("/admin/v1/bans/ann", &ban).await.0, 200);
        assert_eq!(boss.put("/admin/v1/bans/nobody", &json!({})).await.0, 404);
        assert_eq!(by(&server, READ).delete("/admin/v1/bans/ann").await.0, 403);
        assert!(server.command(&["unban", "--dev", "ann"]).status.success());
        let found = eventually("what became of them", async || {
            let acts = acts(&server).await;
            acts.iter().skip(1).all(|act| act.get("outcome").is_some()).then_some(acts)
        })
        .await;
        let shown = |act: &Value| {
            ["via", "who", "act", "target", "outcome"]
                .map(|field| act[field].as_str().unwrap_or_default().to_owned())
        };
        let found: Vec<_> = found
            .iter()
            .map(shown)
            .filter(|act| act[2] != "GET /admin/v1/audit" && !act[2].starts_with("GET"))
            .collect();
        let wanted = [
            ["cli", &found[0][1], "unban", "ann", "done"],
            ["api", "reader", "DELETE /admin/v1/bans/{openid}", "ann", "forbidden"],
            ["api", "boss", "PUT /admin/v1/bans/{openid}", "nobody", "not_found"],
            ["api", "boss", "PUT /admin/v1/bans/{openid}", "ann", "done"],
        ];
        assert_eq!(found, wanted.map(|act| act.map(str::to_owned)));
        assert!(found[0][1].contains(" on "), "{}", found[0][1]);
        let details = boss.get("/admin/v1/audit?of=ann&limit=100").await.1;
        assert!(details["acts"].as_array().unwrap().iter().all(|act| act["target"] == "ann"));
        assert!(details.to_string().contains(": sells tea"), "{details}");
        // The list itself was looked at, too.
        assert!(
            acts(&server)
                .await
                .iter()
                .any(|act| act["act"] == "GET /admin/v1/audit" && act["outcome"] == "done")
        );
    }
}

#[actix_web::test]
async fn a_key_has_its_pace_and_strangers_slow_down_themselves_alone() {
    let server = Server::alone(&[
        ("admin.keys", &keys()),
        ("admin.calls_per_second", "3"),
        ("limits.handshakes_per_second_per_address", "2"),
    ]);
    let statuses = async |secret: &str| {
        let mut statuses = Vec::new();
        for _ in 0..12 {
            statuses.push(by(&server, secret).get("/admin/v1/bans").await.0);
        }
        statuses
    };
    let strangers = statuses("a-key-that-nobody-has-0123456789").await;
    assert!(strangers.contains(&401) && strangers.contains(&429), "{strangers:?}");
    let boss = statuses(EVERY).await;
    assert_eq!(boss[..3], [200; 3], "{boss:?}");
    assert!(boss.contains(&429), "{boss:?}");
    assert_eq!(by(&server, READ).get("/admin/v1/bans").await.0, 200);
}

#[actix_web::test]
async fn a_moderators_bans_have_an_end() {
    let server = Server::alone(&[("admin.keys", &keys())]);
    server.v1("ann").await;
    let (night, boss) = (by(&server, MODERATE), by(&server, EVERY));
    eventually("ann is known", async || (boss.get("/admin/v1/users/ann").await.0 == 200).then_some(())).await;
    assert_eq!(night.put("/admin/v1/bans/ann", &json!({})).await.1["error"], "forbidden");
    assert_eq!(night.put("/admin/v1/bans/ann", &json!({ "for_s": 60 })).await.0, 200);
    assert_eq!(night.delete("/admin/v1/bans/ann").await.0, 204);
    assert_eq!(
        boss.put("/admin/v1/bans/ann", &json!({ "reason": "for good" })).await.1,
        json!({ "openid": "ann" })
    );
    for call in [
        night.put("/admin/v1/bans/ann", &json!({ "for_s": 60 })).await,
        night.delete("/admin/v1/bans/ann").await,
    ] {
        assert_eq!(call.1["error"], "forbidden", "what is for good is not theirs to change");
    }
    let bans = boss.get("/admin/v1/bans").await.1;
    assert_eq!(
        (&bans["bans"][0]["reason"], &bans["bans"][0]["by"]),
        (&json!("for good"), &json!("key boss"))
    );
    for wrong in [
        json!({ "for_s": 0 }),
        json!({ "until": 1 }),
        json!({ "until": 1, "for_s": 1 }),
        json!({ "reason": "a\nb" }),
        json!({ "for_s": "1" }),
    ] {
        assert_eq!(boss.put("/admin/v1/bans/ann", &wrong).await.0, 400, "{wrong}");
    }
}

#[actix_web::test]
async fn a_ban_ends_by_itself_on_every_node_and_frees_live_tokens() {
    let Some(cluster) = Cluster::of(2, &[("admin.keys", &keys())]).await else { return };
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let ann = two.http_as("ann").await;
    let mut session = two.v1("ann").await;
    let ban = json!({ "for_s": 6, "force": true, "reason": "cools down" });
    let until = by(one, EVERY).put("/admin/v1/bans/ann", &ban).await.1["until"].as_i64().unwrap();
    session.expect_close(4505).await;
    for node in [one, two] {
        let there = Http::new(&node.at, Some(ann.token()));
        eventually("the ban", async || (there.get("/v1/unread").await.1["error"] == "banned").then_some(()))
            .await;
        assert_eq!(node.http().post("/v1/login", &json!({ "code": "dev:ann" })).await.1["error"], "banned");
    }
    for node in [one, two] {
        let there = Http::new(&node.at, Some(ann.token()));
        // The token from before died with the ban: its holder logs in anew, and stays.
        eventually("its end", async || {
            (there.get("/v1/unread").await.1["error"] == "unauthorized").then_some(())
        })
        .await;
        let back = node.http_as("ann").await;
        eventually("the word of it", async || {
            assert_eq!(back.get("/v1/unread").await.0, 200, "who came back is not sent away again");
            (by(node, EVERY).get("/admin/v1/bans").await.1 == json!({ "bans": [] })).then_some(())
        })
        .await;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!(i128::from(until) <= i128::try_from(now).unwrap(), "not before its time");
    // It is not the pardon that let them in: nodes of the release before are told, and whoever logged in
    // since stays.
    two.v1("ann").await;
}
