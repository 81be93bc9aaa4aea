//! What must not grow with the number of a user's conversations, nor by what a stranger does: each is asked for
//! two users in turn, on one server, and the ratio of the medians is printed beside its bar.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection, SqliteConnection};
use serde_json::{Value, json};

use crate::fleet::UNLIMITED;
use crate::harness::{Client, Server};
use crate::size::{figure, ms, size, skipped};

/// A server whose database can be written past it.
struct World {
    server: Server,
    /// Of PostgreSQL.
    url: Option<String>,
}

impl World {
    async fn on_sqlite() -> Self {
        Self { server: Server::with(UNLIMITED).await, url: None }
    }

    async fn on_postgres() -> Option<Self> {
        let (url, _) = Server::fresh_postgres()?;
        let server = Server::with_all(&[&UNLIMITED[..], &[("database.url", &url)]].concat()).await;
        Some(Self { server, url: Some(url) })
    }

    fn name(&self) -> &'static str {
        if self.url.is_some() { "PostgreSQL" } else { "SQLite" }
    }

    /// Rows that would take days to be sent. A series is a recursive query, which both databases know.
    fn exec(&self, sql: &str) {
        match &self.url {
            Some(url) => PgConnection::establish(url).unwrap().batch_execute(sql).unwrap(),
            None => {
                let mut conn = SqliteConnection::establish(self.server.database().to_str().unwrap()).unwrap();
                conn.batch_execute(&format!("PRAGMA busy_timeout = 60000; {sql}")).unwrap();
            }
        }
    }

    /// The store's time goes on, past that of the rows.
    async fn go_on(&self) {
        self.server.v1("somebody").await.say("nobody", "1", "x").await;
    }

    /// Medians of what each call takes for two users, asked in turn, and their ratio.
    async fn compare(&self, what: &str, users: [&str; 2], bar: f64) {
        self.go_on().await;
        let mut clients = Vec::new();
        for openid in users {
            let (http, mut client) = (self.server.http_as(openid).await, self.server.v1(openid).await);
            let (_, cursor) = first_sync(&mut client).await;
            clients.push((openid, http, client, cursor));
        }
        self.change(users);
        let mut took: [[Vec<Duration>; 3]; 2] = Default::default();
        for _ in 0..size(5, 21) {
            for ((openid, http, client, cursor), took) in clients.iter_mut().zip(&mut took) {
                for (path, took) in ["/v1/conversations?limit=50", "/v1/unread"].into_iter().zip(&mut *took) {
                    let began = Instant::now();
                    let (status, answer) = http.get(path).await;
                    took.push(began.elapsed());
                    assert_eq!(status, 200, "{openid} {path}: {answer}");
                    assert_eq!(answer["total"].as_i64().unwrap_or(UNREAD), UNREAD, "{openid}: {answer}");
                }
                let began = Instant::now();
                let (changed, _) = sync(client, cursor).await;
                took[2].push(began.elapsed());
                assert_eq!(changed, CHANGED, "{openid}");
            }
        }
        let [few, many] = took.map(|calls| {
            calls.map(|mut call| {
                call.sort_unstable();
                ms(call[call.len() / 2])
            })
        });
        let said: Vec<_> = ["list page", "unread", "sync"]
            .into_iter()
            .zip(few.iter().zip(&many))
            .map(|(call, (few, many))| format!("{call} {few:.2} and {many:.2} ms, {:.2} ×", many / few))
            .collect();
        figure(&format!("{what}, {}", self.name()), format!("{} (bar {bar} ×)", said.join(", ")));
    }

    /// Something changes in some conversations of each, and nothing is unread that was not: they are muted.
    fn change(&self, users: [&str; 2]) {
        let now = match self.url {
            Some(_) => "(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
            None => "(SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER))",
        };
        for openid in users {
            self.exec(&format!(
                "UPDATE members SET changed_at = {now} WHERE openid = '{openid}' AND peer IN \
                   (SELECT m.peer FROM members m WHERE m.openid = '{openid}' ORDER BY m.last_at LIMIT {CHANGED})"
            ));
        }
    }
}

/// Unread messages of each user, one a conversation.
const UNREAD: i64 = 50;
/// Conversations of each that change.
const CHANGED: usize = 20;

/// One answer: how many conversations it has, and the next cursor where there is more.
async fn sync(client: &mut Client, since: &Value) -> (usize, Value) {
    client.send(json!({ "type": "sync", "since": since, "limit": 1 })).await;
    let mut conversations = 0;
    loop {
        let frame: Value = serde_json::from_str(&client.expect_text().await).unwrap();
        assert_eq!(frame["error"], Value::Null, "{frame}");
        if frame["type"] == "sync" {
            conversations += frame["conversations"].as_array().map_or(0, Vec::len);
            if frame.get("cursor").is_some() {
                return (conversations, frame);
            }
        }
    }
}

/// Of one who has nothing yet: how many conversations came, and the last cursor.
async fn first_sync(client: &mut Client) -> (usize, Value) {
    let (mut since, mut conversations) = (Value::Null, 0);
    loop {
        let (more, last) = sync(client, &since).await;
        conversations += more;
        since = last["cursor"].clone();
        if last["has_more"] == false {
            return (conversations, since);
        }
    }
}

/// `count` conversations of `me`, in each of which the other one has written once; the last few are unread.
fn converse(world: &World, me: &str, count: usize) {
    let ours = format!("FROM conversations WHERE created_by LIKE '{me}-p%'");
    world.exec(&format!(
        "INSERT INTO conversations (kind, address, created_by, created_at) \
           WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) \
           SELECT 0, 'd:{me}:{me}-p' || n, '{me}-p' || n, n * 10000 FROM s; \
         INSERT INTO members (openid, peer, conversation_id, sent_seq, changed_at, last_at) \
           SELECT created_by, '{me}', id, 1, created_at, created_at {ours}; \
         INSERT INTO members (openid, peer, conversation_id, read_seq, may_have_unread, changed_at, last_at) \
           SELECT '{me}', created_by, id, CASE WHEN created_at <= ({count} - {UNREAD}) * 10000 THEN 1 ELSE 0 END, \
             created_at > ({count} - {UNREAD}) * 10000, created_at, created_at {ours}; \
         INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at) \
           SELECT id, 1, created_by, 'text', '{{\"message\":\"hello\"}}', created_at, created_at {ours}; \
         ANALYZE"
    ));
}

/// What a stranger has sent to each, one of whom got `count` more that were recalled: all above the read mark.
fn recall(world: &World, [few, many]: [&str; 2], count: usize) {
    for (me, recalled) in [(few, 0), (many, count)] {
        let ours = format!("FROM conversations WHERE address = 'd:{me}:stranger'");
        let last = recalled + 1;
        world.exec(&format!(
            "INSERT INTO conversations (kind, address, created_by, created_at) VALUES (0, 'd:{me}:stranger', 'stranger', 1); \
             INSERT INTO members (openid, peer, conversation_id, sent_seq, changed_at, last_at) \
               SELECT 'stranger', '{me}', id, {last}, 1, 1 {ours}; \
             INSERT INTO members (openid, peer, conversation_id, uncounted, may_have_unread, changed_at, last_at) \
               SELECT '{me}', 'stranger', id, {recalled}, TRUE, 1, 1 {ours}; \
             INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at, recalled, target_seq) \
               WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {last}) \
               SELECT (SELECT id {ours}), n, 'stranger', CASE WHEN n % 2 = 1 THEN 'text' ELSE 'recall' END, '{{}}', n, n, \
                 n % 2 = 1 AND n < {last}, CASE WHEN n % 2 = 0 THEN n - 1 END FROM s; \
             ANALYZE"
        ));
    }
}

async fn worlds() -> Vec<World> {
    let on_postgres = World::on_postgres().await;
    if on_postgres.is_none() {
        skipped("HONGYAN_TEST_POSTGRES_URL is not set");
    }
    [World::on_sqlite().await].into_iter().chain(on_postgres).collect()
}

#[actix_web::test]
async fn a_user_with_many_conversations_waits_no_longer_than_one_with_few() {
    let count = size(2_000, 100_000);
    for world in worlds().await {
        converse(&world, "few", 100);
        converse(&world, "many", count);
        world.compare(&format!("100 and {count} conversations of a user"), ["few", "many"], 2.0).await;
    }
}

#[actix_web::test]
async fn a_first_sync_takes_as_long_a_conversation_however_many_there_are() {
    let counts = size([200, 2_000], [10_000, 100_000]);
    for world in worlds().await {
        world.go_on().await;
        let mut each = Vec::new();
        for (me, count) in ["some", "many"].into_iter().zip(counts) {
            converse(&world, me, count);
            let mut client = world.server.v1(me).await;
            let began = Instant::now();
            assert_eq!(first_sync(&mut client).await.0, count);
            each.push(ms(began.elapsed()) * 1_000.0 / count as f64);
        }
        figure(
            &format!("first sync of {} and {} conversations, {}", counts[0], counts[1], world.name()),
            format!("{:.0} and {:.0} µs a conversation, {:.2} ×", each[0], each[1], each[1] / each[0]),
        );
    }
}

#[actix_web::test]
async fn recalls_above_the_read_mark_cost_nothing() {
    let count = size(20_000, 1_000_000);
    for world in worlds().await {
        for me in ["none", "many"] {
            converse(&world, me, 100);
            // One of those that are unread makes room for the stranger's.
            world.exec(&format!(
                "UPDATE members SET read_seq = 1, may_have_unread = FALSE WHERE openid = '{me}' AND peer = '{me}-p100'"
            ));
        }
        recall(&world, ["none", "many"], count);
        world.compare(&format!("none and {count} recalls above the read mark"), ["none", "many"], 2.0).await;
    }
}

/// While the node's clock is an hour behind what it was.
#[actix_web::test]
async fn a_clock_that_is_set_back_an_hour_moves_nothing_in_the_list() {
    let world = World::on_sqlite().await;
    let count = size(60, 600);
    let mut clients = Vec::new();
    for n in 0..count {
        let mut client = world.server.v1(&format!("p{n}")).await;
        client.say("me", "1", "before").await;
        clients.push(client);
    }
    // As if all that was by a clock an hour ahead.
    world.exec("UPDATE messages SET sent_at = sent_at + 3600000");
    clients[count / 2].say("me", "2", "the newest").await;
    let http = world.server.http_as("me").await;
    let (mut listed, mut wrote, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let (_, page) = http.get(&format!("/v1/conversations?limit=20{cursor}")).await;
        listed.extend(
            page["conversations"].as_array().unwrap().iter().map(|c| c["peer"].as_str().unwrap().to_owned()),
        );
        // Between two pages somebody writes.
        let written = listed.len() % count;
        wrote.push(written);
        clients[written].say("me", &format!("meanwhile{written}"), "x").await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed[0], format!("p{}", count / 2));
    let places = |n: usize| listed.iter().filter(|peer| **peer == format!("p{n}")).count();
    for n in 0..count {
        // Who has written meanwhile stands first now, on a page that was shown.
        assert!(places(n) == 1 || (places(n) == 0 && wrote.contains(&n)), "p{n}: {} places", places(n));
    }
}
