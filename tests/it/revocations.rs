//! The log of revocations as nodes of one PostgreSQL read it: in the order of its ids, with gaps that another
//! node's commit fills late.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use serde_json::json;

use crate::harness::{Http, Server, eventually};

async fn server() -> Option<(Server, PgConnection)> {
    let (server, name) = Server::on_postgres().await?;
    let url = std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap();
    let database = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
    Some((server, PgConnection::establish(&database).unwrap()))
}

/// What another node writes: everything of this user's is ended, at the database's time less so many seconds.
fn logout_of_all(openid: &str, seconds_ago: u32) -> String {
    format!(
        "INSERT INTO revocations (openid, what, at) \
         VALUES ('{openid}', 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint - {seconds_ago} * 1000);"
    )
}

async fn is_logged_out(http: &Http) {
    eventually("the logout", async || (http.get("/v1/unread").await.0 == 401).then_some(())).await;
}

#[actix_web::test]
async fn an_entry_that_is_committed_after_a_later_one_is_read_however_old_it_says_it_is() {
    let Some((server, mut other)) = server().await else { return };
    let (alice, bob) = (server.http_as("alice").await, server.http_as("bob").await);
    // One that is rolled back leaves a gap for good.
    other.batch_execute(&format!("BEGIN; {} ROLLBACK", logout_of_all("carol", 0))).unwrap();
    other.batch_execute(&format!("BEGIN; {}", logout_of_all("alice", 600))).unwrap();
    assert_eq!(bob.post("/v1/logout", &json!({ "all": true })).await.0, 204);
    is_logged_out(&bob).await;
    assert_eq!(alice.get("/v1/unread").await.0, 200);
    other.batch_execute("COMMIT").unwrap();
    is_logged_out(&alice).await;
}

#[actix_web::test]
async fn a_logout_of_all_reaches_what_was_issued_before_its_commit_and_nothing_after() {
    let Some((server, mut other)) = server().await else { return };
    other.batch_execute(&format!("BEGIN; {}", logout_of_all("alice", 0))).unwrap();
    // Dated later than the entry, and issued before it was there.
    let between = server.http_as("alice").await;
    let mut session = server.v1("alice").await;
    assert_eq!(between.get("/v1/unread").await.0, 200);
    other.batch_execute("COMMIT").unwrap();
    let after = server.http_as("alice").await;
    session.expect_close(4501).await;
    is_logged_out(&between).await;
    assert_eq!(after.get("/v1/unread").await.0, 200);
}

#[actix_web::test]
async fn logins_go_on_while_the_log_cannot_be_read() {
    let Some((server, mut other)) = server().await else { return };
    other.batch_execute("ALTER TABLE revocations RENAME TO hidden").unwrap();
    eventually("word of it", async || server.log().contains("revocations cannot be read").then_some(()))
        .await;
    let alice = server.http_as("alice").await;
    assert_eq!(alice.get("/v1/unread").await.0, 200);
    other.batch_execute("ALTER TABLE hidden RENAME TO revocations").unwrap();
    assert_eq!(alice.post("/v1/logout", &json!({ "all": true })).await.0, 204);
    is_logged_out(&alice).await;
}
