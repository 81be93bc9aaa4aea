//! What grows with the number of a user's conversations, and what a stranger can make grow: measured and
//! printed. The bars come with the model that mends it.

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

    /// What the calls of a client take for `openid`.
    async fn measure(&self, openid: &str) -> String {
        // The store's time goes on, past that of the rows.
        self.server.v1("somebody").await.say("nobody", "1", "x").await;
        let http = self.server.http_as(openid).await;
        let mut said = Vec::new();
        for path in ["/v1/conversations?limit=50", "/v1/unread"] {
            let began = Instant::now();
            let (status, _) = http.get(path).await;
            said.push(format!("{path} {status} after {:.0} ms", ms(began.elapsed())));
        }
        let mut client = self.server.v1(openid).await;
        said.push(first_sync(&mut client).await);
        said.join(", ")
    }
}

/// Of one who has nothing yet, for a minute at the most.
async fn first_sync(client: &mut Client) -> String {
    let (began, mut since, mut answers, mut conversations) = (Instant::now(), Value::Null, 0, 0);
    loop {
        client.send(json!({ "type": "sync", "since": since, "limit": 1 })).await;
        let last = loop {
            let frame: Value = serde_json::from_str(&client.expect_text().await).unwrap();
            match (frame["type"].as_str(), frame["error"].as_str()) {
                (Some("sync"), _) => {
                    conversations += frame["conversations"].as_array().map_or(0, Vec::len);
                    if frame.get("cursor").is_some() {
                        break frame;
                    }
                }
                (_, Some(word)) => {
                    return format!("sync: {word} after {answers} answers, {:.0} ms", ms(began.elapsed()));
                }
                _ => {}
            }
        };
        answers += 1;
        if last["has_more"] == false || began.elapsed() > Duration::from_secs(60) {
            let how = if last["has_more"] == false { "whole" } else { "unfinished" };
            return format!(
                "first sync {how} after {answers} answers of {conversations} conversations, {:.0} ms",
                ms(began.elapsed())
            );
        }
        since = last["cursor"].clone();
    }
}

/// `count` conversations of `me`, in each of which the other one has written once.
async fn many_conversations(world: &World, count: usize) {
    let ours = "FROM conversations WHERE pair LIKE 'me:p%'";
    world.exec(&format!(
        "INSERT INTO conversations (pair, created_by, created_at) \
           WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) \
           SELECT 'me:p' || n, 'p' || n, n FROM s; \
         INSERT INTO members (openid, peer, conversation_id, sent_seq, shown_at) SELECT created_by, 'me', id, 1, created_at {ours}; \
         INSERT INTO members (openid, peer, conversation_id) SELECT 'me', created_by, id {ours}; \
         INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at) \
           SELECT id, 1, created_by, 'text', '{{\"message\":\"hello\"}}', created_at {ours}; \
         ANALYZE"
    ));
    figure(
        &format!("a user with many conversations, {}", world.name()),
        format!("{count}: {}", world.measure("me").await),
    );
}

/// A stranger who has sent and recalled `count` messages, all above what `me` has read.
async fn many_recalls(world: &World, count: usize) {
    let ours = "FROM conversations WHERE pair = 'me:stranger'";
    world.exec(&format!(
        "INSERT INTO conversations (pair, created_by, created_at) VALUES ('me:stranger', 'stranger', 1); \
         INSERT INTO members (openid, peer, conversation_id, sent_seq, shown_at) SELECT 'stranger', 'me', id, {count}, 1 {ours}; \
         INSERT INTO members (openid, peer, conversation_id) SELECT 'me', 'stranger', id {ours}; \
         INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, recalled, target_seq) \
           WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) \
           SELECT (SELECT id {ours}), n, 'stranger', CASE WHEN n % 2 = 1 THEN 'text' ELSE 'recall' END, '{{}}', n, n % 2 = 1, \
             CASE WHEN n % 2 = 0 THEN n - 1 END FROM s; \
         ANALYZE"
    ));
    figure(
        &format!("recalls above the read mark, {}", world.name()),
        format!("{count}: {}", world.measure("me").await),
    );
}

#[actix_web::test]
async fn a_user_with_many_conversations_is_measured() {
    let counts: &[usize] = size(&[2_000], &[20_000, 100_000]);
    for count in counts {
        many_conversations(&World::on_sqlite().await, *count).await;
        match World::on_postgres().await {
            Some(world) => many_conversations(&world, *count).await,
            None => skipped("HONGYAN_TEST_POSTGRES_URL is not set"),
        }
    }
}

#[actix_web::test]
async fn recalls_above_the_read_mark_are_measured() {
    let count = size(20_000, 1_000_000);
    many_recalls(&World::on_sqlite().await, count).await;
    match World::on_postgres().await {
        Some(world) => many_recalls(&world, count).await,
        None => skipped("HONGYAN_TEST_POSTGRES_URL is not set"),
    }
}

/// The list while the node's clock is an hour behind what it was: which place the newest chat has, and how
/// many rows its pages lose.
#[actix_web::test]
async fn the_list_after_the_clock_was_set_back_an_hour_is_measured() {
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
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = http.get(&format!("/v1/conversations?limit=20{cursor}")).await;
        listed.extend(
            page["conversations"].as_array().unwrap().iter().map(|c| c["peer"].as_str().unwrap().to_owned()),
        );
        // Between two pages somebody writes.
        let written = listed.len() % count;
        clients[written].say("me", &format!("meanwhile{written}"), "x").await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let place = listed
        .iter()
        .position(|peer| *peer == format!("p{}", count / 2))
        .map_or("none".to_owned(), |at| (at + 1).to_string());
    let mut seen = listed.clone();
    seen.sort_unstable();
    seen.dedup();
    figure(
        "the list with the clock set back an hour",
        format!(
            "the newest of {count} chats stands at place {place}; its pages have {} of them, {} twice",
            seen.len(),
            listed.len() - seen.len()
        ),
    );
}
