//! Secrets and texts that are put everywhere are found nowhere: not in the log, not in an error, not where
//! operators look.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use serde_json::{Value, json};

use crate::harness::{Client, Http, Raw, Said, Server, eventually};
use crate::size::figure;

const WECHAT_SECRET: &str = "canary-wechat-secret";
const AUTH_KEY: &str = "canary-auth-key-of-more-than-32-bytes";
const PASSWORD: &str = "canary-database-password";
/// What WeChat's double gives with every login.
const SESSION_KEY: &str = "ZG91YmxlIHNlc3Npb24ga2V5IQ";
const TEXT: &str = "canary-text";
const FIELD: &str = "canary-field";
const ID: &str = "canary-id";
const CODE: &str = "canary-code";
/// Stands in the token as its owner; a name of its own would be no secret.
const OWNER: &str = "alice";

/// What must be found nowhere, and how often it was looked for.
struct Hunt {
    canaries: Vec<String>,
    places: usize,
}

impl Hunt {
    fn new(token: &str) -> Self {
        // The signature alone is as good as the token to whoever knows the rest.
        let signature = token.rsplit('.').next().unwrap();
        let canaries = [signature, WECHAT_SECRET, AUTH_KEY, PASSWORD, SESSION_KEY, TEXT, FIELD, ID, CODE];
        Self { canaries: canaries.map(str::to_owned).into(), places: 0 }
    }

    fn look(&mut self, place: &str, text: &str) {
        self.places += 1;
        for canary in &self.canaries {
            let at = text.find(canary);
            assert!(
                at.is_none(),
                "{canary} is in {place}: {}",
                text.lines().find(|line| line.contains(canary)).unwrap_or_default()
            );
        }
    }

    /// An error frame repeats the ids of what failed, to its sender alone; nothing else of it.
    fn look_at_frame(&mut self, what: &str, mut frame: Value) {
        for echo in ["id", "client_msg_id"] {
            frame.as_object_mut().unwrap().remove(echo);
        }
        self.look(what, &frame.to_string());
    }

    /// What operators look at, and the log.
    async fn look_around(&mut self, server: &Server) {
        let ops = Http::new(&server.ops, None);
        self.look("/metrics", &ops.text("/metrics").await);
        self.look("/readyz", &ops.text("/readyz").await);
        for what in ["show", "check"] {
            let said = server.command(&["config", what, "--dev"]);
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            self.look(&format!("config {what}"), &printed(&said));
        }
        let log = server.log();
        assert!(log.contains(" DEBUG hongyan"), "the log shows little: {log}");
        self.look("the log", &log);
    }
}

fn printed(said: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
}

fn settings<'a>(key: &'a str, database: &'a str) -> [(&'a str, &'a str); 8] {
    [
        ("auth.keys", key),
        ("wechat.secret", WECHAT_SECRET),
        ("wechat.timeout_ms", "200"),
        ("database.url", database),
        ("limits.bad_frames", "1000"),
        ("limits.message_burst", "0"),
        ("limits.http_burst", "0"),
        // The libraries' own lines are not ours, and are off by default.
        ("log.filter", "warn,hongyan=trace,actix_http=off"),
    ]
}

fn message(id: &str) -> Value {
    json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": format!("{ID}-{id}"), "message": TEXT, FIELD: FIELD })
}

#[actix_web::test]
async fn canaries_in_every_place_are_found_nowhere() {
    let server = Server::with(settings(&format!("dev:{AUTH_KEY}"), "sqlite://data/hongyan.db")).await;
    let alice = server.http_as(OWNER).await;
    let mut hunt = Hunt::new(alice.token());
    calls(&server, alice.token(), &mut hunt).await;
    handshakes(&server, alice.token(), &mut hunt).await;
    frames(&server, alice.token(), &mut hunt).await;
    hunt.look_around(&server).await;
    sqlite_trouble(&server, &alice, &mut hunt).await;
    hunt.look_around(&server).await;
    failed_commands(&server, &mut hunt);
    figure("canaries", format!("{} canaries, {} places, 0 found", hunt.canaries.len(), hunt.places));
}

/// Over HTTP, with everything where it does not belong, and with logins that fail.
async fn calls(server: &Server, token: &str, hunt: &mut Hunt) {
    for path in [
        "/v1/unread",
        "/v1/messages",
        "/v1/conversations",
        "/v1/blocks",
        "/v1/me",
        "/v1/users",
        "/v1/avatars/x",
        "/v1/nowhere",
        "/healthz",
        "/alice",
        "/",
        "/assets/x",
    ] {
        for (query, header) in [
            (
                format!(
                    "token={token}&access_token={token}&code={CODE}&secret={WECHAT_SECRET}&peer={TEXT}%20&cursor={TEXT}&limit={TEXT}"
                ),
                String::new(),
            ),
            (format!("peer={token}&cursor={token}"), format!("Authorization: Bearer {token}\r\n")),
            (String::new(), format!("Authorization: Basic {token}\r\n")),
            (
                String::new(),
                format!(
                    "Authorization: Bearer {token}x\r\nCookie: token={token}\r\nOrigin: http://{TEXT}\r\nX-Forwarded-For: {token}\r\n"
                ),
            ),
            (
                token.to_owned(),
                format!("Authorization: {token}\r\nReferer: http://x/?code={CODE}\r\nUser-Agent: {TEXT}\r\n"),
            ),
        ] {
            let answer = send(server, "GET", &format!("{path}?{query}"), &header, "").await;
            hunt.look(path, &answer);
        }
    }
    for path in [
        format!("/{token}"),
        format!("/v1/{token}"),
        format!("/a/{token}"),
        format!("/v1/conversations/{token}."),
    ] {
        for method in ["GET", "DELETE", token] {
            hunt.look(
                &path,
                &send(server, method, &path, &format!("Authorization: Bearer {token}\r\n"), "").await,
            );
        }
    }
    for code in [
        CODE.to_owned(),
        format!("dev-error:40029:{CODE}"),
        format!("dev:{OWNER}:{CODE}"),
        token.to_owned(),
        format!("dev-flaky:9:{OWNER}:{CODE}"),
    ] {
        for _ in 0..2 {
            let (status, body) = server.http().post("/v1/login", &json!({ "code": code })).await;
            if status != 200 {
                hunt.look("/v1/login", &body.to_string());
            }
        }
    }
    for code in [
        "dev-error:-1",
        "dev-error:40226",
        "dev-error:45011",
        "dev-error:40125",
        "dev-500",
        "dev-slow:5000:alice",
    ] {
        hunt.look(
            "/v1/login",
            &server.http().post("/v1/login", &json!({ "code": code })).await.1.to_string(),
        );
    }
    // Of one who may be logged out by it.
    let authorization = format!("Authorization: Bearer {}\r\n", server.http_as("leaving").await.token());
    for body in [
        format!("{{\"code\":\"{CODE}"),
        format!("{{\"code\":[\"{CODE}\"]}}"),
        format!("{{\"peer\":\"{TEXT}!\",\"seq\":\"{TEXT}\"}}"),
        format!("{{\"nickname\":\"\\u0007{TEXT}\"}}"),
        format!("{{\"nickname\":\"{TEXT}\",\"avatar\":\"{TEXT}\"}}"),
        TEXT.to_owned(),
        TEXT.repeat(200),
    ] {
        for (method, path) in
            [("POST", "/v1/login"), ("POST", "/v1/read"), ("PUT", "/v1/me"), ("POST", "/v1/logout")]
        {
            hunt.look(path, &send(server, method, path, &authorization, &body).await);
        }
    }
}

/// Whatever is answered, up to the end of the connection.
async fn send(server: &Server, method: &str, target: &str, headers: &str, body: &str) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut raw = Raw::connect(&server.at).await;
    let length = body.len();
    raw.send(
        format!("{method} {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}").as_bytes(),
    )
    .await;
    let mut answer = Vec::new();
    raw.socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Handshakes with everything in the wrong place.
async fn handshakes(server: &Server, token: &str, hunt: &mut Hunt) {
    let bearer = format!("bearer.{token}x");
    for (target, protocols) in [
        (format!("alice?code={CODE}"), vec!["hongyan.v1"]),
        (format!("alice?code={CODE}&to_user_openid=bob"), vec![]),
        (format!("alice?token={token}"), vec!["hongyan.v1"]),
        (format!("alice?device={token}"), vec!["hongyan.v1"]),
        (format!("alice?to_user_openid={token}.."), vec!["hongyan.v1"]),
        (format!("{ID}?code=dev:alice:{CODE}2"), vec!["hongyan.v1"]),
        ("alice".to_owned(), vec!["hongyan.v1", &bearer]),
    ] {
        let mut client =
            Client::connect(&format!("ws://{}/{target}", server.at), &protocols, None).await.unwrap();
        let Said::Frame(error) = client.next().await else { panic!("{target}") };
        assert_eq!(error["type"], "error", "{target}");
        hunt.look_at_frame("a refusal", error);
        let Said::Closed(_, reason) = client.next().await else { panic!("{target}") };
        hunt.look("the reason of a close", &reason);
    }
    for protocols in [format!("bearer.{token}"), format!("{token}, {TEXT}")] {
        let mut raw = server.raw().await;
        hunt.look(
            "a refused handshake",
            &raw.try_handshake("alice", "bob", &format!("Sec-WebSocket-Protocol: {protocols}\r\n")).await,
        );
    }
}

/// Frames that are stored, and frames that are wrong.
async fn frames(server: &Server, token: &str, hunt: &mut Hunt) {
    let mut client =
        Client::connect(&format!("ws://{}/alice", server.at), &["hongyan.v1"], Some(token)).await.unwrap();
    client.expect("init").await;
    client.send(message("1")).await;
    client.expect("ack").await;
    let changed = json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": format!("{ID}-1"), "message": format!("{TEXT} changed") });
    let stranger = json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": ID, "message": TEXT, "from_user_openid": "carol" });
    for wrong in [
        changed.to_string(),
        stranger.to_string(),
        format!(r#"{{"type":"text","message":"{TEXT}"#),
        format!(r#"{{"type":"text","client_msg_id":"{ID}","message":["{TEXT}"]}}"#),
        format!(r#"{{"type":"text","message":"{TEXT}","message":"{TEXT}"}}"#),
        format!(r#"{{"type":"{TEXT}","message":"{TEXT}"}}"#),
        format!(r#"{{"type":"text","to_user_openid":"{token}.","client_msg_id":"{ID}","message":"{TEXT}"}}"#),
        format!(r#"{{"type":"text","to_user_openid":"bob","client_msg_id":"{ID} {ID}","message":"{TEXT}"}}"#),
        format!(
            r#"{{"type":"text","to_user_openid":"bob","client_msg_id":"{ID}","message":"{TEXT}\ud800"}}"#
        ),
        format!(
            r#"{{"type":"text","to_user_openid":"bob","client_msg_id":"{ID}","message":"{}"}}"#,
            TEXT.repeat(1_000)
        ),
        format!(
            r#"{{"type":"text","to_user_openid":"bob","client_msg_id":"{ID}","message":"x","{FIELD}":"{}"}}"#,
            FIELD.repeat(2_000)
        ),
        format!(
            r#"{{"type":"text","to_user_openid":"bob","client_msg_id":"{ID}","message":"x","{FIELD}":{}"{FIELD}"}}"#,
            "[".repeat(40)
        ),
        format!(r#"{{"type":"sync","since":"{TEXT}"}}"#),
        format!(r#"{{"type":"read","to_user_openid":"{TEXT}!","seq":"{TEXT}"}}"#),
        format!(r#"{{"type":"recall","to_user_openid":"bob","client_msg_id":"{ID}","target_seq":99}}"#),
        TEXT.to_owned(),
    ] {
        client.text(&wrong).await;
        let error = client.expect("error").await;
        hunt.look_at_frame(&wrong, error);
    }
    for (first, bytes) in
        [(0x82, TEXT.as_bytes().to_vec()), (0x81, [TEXT.as_bytes(), b"\xff"].concat()), (0xC1, TEXT.into())]
    {
        let mut raw = server.raw().await;
        raw.hello("mallory", "bob").await;
        raw.send(&crate::harness::raw::frame(first, &bytes)).await;
        let (opcode, payload) = raw.frame().await.unwrap();
        assert_eq!(opcode, 8);
        hunt.look("the reason of a close", &String::from_utf8_lossy(&payload));
    }
}

/// Sends until a message is refused because of the store.
async fn refused_by_the_store(server: &Server, hunt: &mut Hunt) {
    let mut client = server.v1(OWNER).await;
    client.send(message(&format!("{:x}", rand::random::<u64>()))).await;
    let error = client.expect_error("unavailable").await;
    hunt.look_at_frame("unavailable", error);
}

/// The database refuses what was to be stored, is locked, and has a table less.
async fn sqlite_trouble(server: &Server, alice: &Http, hunt: &mut Hunt) {
    let mut database = server.sqlite();
    database
        .batch_execute(
            "CREATE TRIGGER canary BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'no room'); END",
        )
        .unwrap();
    refused_by_the_store(server, hunt).await;
    database.batch_execute("DROP TRIGGER canary; BEGIN IMMEDIATE").unwrap();
    refused_by_the_store(server, hunt).await;
    database.batch_execute("ROLLBACK; ALTER TABLE messages RENAME TO messages_away").unwrap();
    refused_by_the_store(server, hunt).await;
    for path in ["/v1/messages?peer=bob", "/v1/conversations"] {
        let (status, body) = alice.get(path).await;
        assert_eq!(status, 503, "{body}");
        hunt.look(path, &body.to_string());
    }
    let log = server.log();
    assert!(
        log.contains("does not take writes") && log.contains("a read failed"),
        "the troubles are in the log: {log}"
    );
}

/// Commands that fail with secrets among their settings.
fn failed_commands(server: &Server, hunt: &mut Hunt) {
    let away = format!("postgres://user:{PASSWORD}@127.0.0.1:1/x?connect_timeout=1&options={PASSWORD}");
    let wrong = format!("postgres://user:{PASSWORD}@127.0.0.1:{PASSWORD}/x?{PASSWORD}={PASSWORD}");
    std::fs::write(server.folder().join("broken.db"), TEXT.repeat(1_000)).unwrap();
    for arguments in [
        vec!["migrate", "--dev", "--database-url", &away],
        vec!["migrate", "--dev", "--database-url", &wrong],
        vec!["migrate", "--dev", "--database-url", "sqlite://broken.db"],
        vec!["healthcheck", "--dev", "--database-url", &away, "--ops-listen", "127.0.0.1:1"],
        vec!["config", "check", "--dev", "--set", &format!("auth.keys={CODE}")],
        vec!["config", "check", "--dev", "--set", &format!("auth.keys=k:{CODE}")],
        vec!["config", "check", "--dev", "--set", &format!("auth.keys=k:{AUTH_KEY},k:{AUTH_KEY}")],
        vec!["config", "check", "--dev", "--set", &format!("wechat.secret={WECHAT_SECRET} {WECHAT_SECRET}")],
        vec!["config", "check", "--dev", "--database-url", &format!("mysql://user:{PASSWORD}@host/x")],
    ] {
        let said = server.command(&arguments);
        hunt.look(&arguments.join(" "), &printed(&said));
    }
    let shown = printed(&server.command(&["config", "show", "--dev", "--database-url", &away]));
    assert!(shown.contains("127.0.0.1:1"), "{shown}");
    hunt.look("config show", &shown);
}

#[actix_web::test]
async fn a_wechat_that_cannot_be_reached_shows_no_canary() {
    let server = Server::with([
        ("wechat.api_base", "http://127.0.0.1:1"),
        ("wechat.secret", WECHAT_SECRET),
        ("wechat.timeout_ms", "200"),
        ("log.filter", "warn,hongyan=trace,actix_http=off"),
    ])
    .await;
    let mut hunt = Hunt::new("no.token.canary-token");
    let (status, body) = server.http().post("/v1/login", &json!({ "code": CODE })).await;
    assert_eq!(status, 503);
    hunt.look("/v1/login", &body.to_string());
    let mut client = server.v1_raw("alice", &format!("code={CODE}")).await;
    let error = client.expect_error("wechat_unavailable").await;
    hunt.look_at_frame("a refusal", error);
    hunt.look_around(&server).await;
    assert!(server.log().contains("code2session failed"));
    figure("canaries", format!("WeChat away: {} places, 0 found", hunt.places));
}

#[actix_web::test]
async fn a_postgres_in_trouble_shows_no_canary() {
    let Some((url, name)) = Server::fresh_postgres() else { return };
    let with_password = url.replace("postgres@", &format!("postgres:{PASSWORD}@"));
    assert_ne!(url, with_password);
    let server = Server::with(settings(&format!("dev:{AUTH_KEY}"), &with_password)).await;
    let alice = server.http_as(OWNER).await;
    let mut hunt = Hunt::new(alice.token());
    frames(&server, alice.token(), &mut hunt).await;
    let mut database = PgConnection::establish(&url).unwrap();
    // The database says in its own words which row it does not take.
    database.batch_execute("ALTER TABLE messages ADD CONSTRAINT canary CHECK (seq < 0) NOT VALID").unwrap();
    refused_by_the_store(&server, &mut hunt).await;
    database
        .batch_execute(
            "ALTER TABLE messages DROP CONSTRAINT canary; ALTER TABLE messages RENAME TO messages_away",
        )
        .unwrap();
    refused_by_the_store(&server, &mut hunt).await;
    assert_eq!(alice.get("/v1/messages?peer=bob").await.0, 503);
    database.batch_execute("ALTER TABLE messages_away RENAME TO messages").unwrap();
    drop(database);
    let mut admin = PgConnection::establish(&url.replace(&name, "postgres")).unwrap();
    admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).unwrap();
    admin
        .batch_execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .unwrap();
    refused_by_the_store(&server, &mut hunt).await;
    eventually("a read that fails", async || {
        (alice.get("/v1/messages?peer=bob").await.0 == 503).then_some(())
    })
    .await;
    hunt.look_around(&server).await;
    figure("canaries", format!("PostgreSQL in trouble: {} places, 0 found", hunt.places));
}
