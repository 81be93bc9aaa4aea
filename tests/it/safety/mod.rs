//! Content safety, against the double of WeChat: what a text says there decides what is said of it
//! (`dev-risky:20002`, `dev-review`, …).

mod local;
mod wechat;
mod outage;
mod late;
mod operators;
mod budget;

use std::path::Path;

use diesel::sql_types::{Binary, Integer, Nullable, SmallInt, Text};
use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection};
use serde_json::{Value, json};

use crate::harness::{Client, Http, Said, Server};

/// A server whose texts are checked, and the folder of its word list.
pub struct Guarded {
    pub server: Server,
    /// Of PostgreSQL; None: SQLite.
    database: Option<String>,
    folder: tempfile::TempDir,
}

impl std::ops::Deref for Guarded {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Guarded {
    /// With `badword` on its list, and settings such as `("safety.review", "refuse")`.
    pub fn new(mode: &str, settings: &[(&str, &str)]) -> Self {
        Self::on(None, mode, settings)
    }

    /// The same on each database.
    pub fn each(mode: &str, settings: &[(&str, &str)]) -> Vec<Self> {
        let postgres = Server::fresh_postgres().map(|(url, _)| Self::on(Some(url), mode, settings));
        std::iter::once(Self::new(mode, settings)).chain(postgres).collect()
    }

    fn on(database: Option<String>, mode: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (words, exceptions) = (folder.path().join("words"), folder.path().join("exceptions"));
        std::fs::write(&words, "badword\n").unwrap();
        std::fs::write(&exceptions, "badwordville\n").unwrap();
        let own = [
            ("safety.mode", mode),
            ("safety.words", words.to_str().unwrap()),
            ("safety.exceptions", exceptions.to_str().unwrap()),
            ("limits.http_burst", "0"),
            ("limits.message_burst", "0"),
        ];
        let database_url = database.as_deref().map(|url| ("database.url", url));
        let server = Server::alone(&[&own[..], database_url.as_slice(), settings].concat());
        Self { server, database, folder }
    }

    pub fn lists(&self) -> &Path {
        self.folder.path()
    }

    pub fn double(&self) -> Http {
        Http::new(&self.double, None)
    }

    /// Tells the double of WeChat how to be.
    pub async fn control(&self, how: Value) {
        let (status, answer) = self.double().post("/__control", &how).await;
        assert_eq!(status, 204, "{answer}");
    }

    /// How often WeChat was asked about a text.
    pub async fn asked(&self) -> i64 {
        self.double().get("/__calls").await.1["msg_sec_check"].as_i64().unwrap()
    }

    /// What stands in the table of findings.
    pub fn findings(&self) -> Vec<Finding> {
        let all = "SELECT openid, peer, seq, outcome, found_by, label, trace_id, hash, content, decision FROM audits ORDER BY id";
        match &self.database {
            Some(url) => diesel::sql_query(all).load(&mut PgConnection::establish(url).unwrap()).unwrap(),
            None => {
                let mut conn = SqliteConnection::establish(self.server.database().to_str().unwrap()).unwrap();
                diesel::sql_query(all).load(&mut conn).unwrap()
            }
        }
    }

    /// What was said in a conversation, as history has it.
    pub async fn history(&self, openid: &str, peer: &str) -> Vec<String> {
        let (status, page) =
            self.http_as(openid).await.get(&format!("/v1/messages?peer={peer}&limit=100")).await;
        assert_eq!(status, 200, "{page}");
        let text = |message: &Value| {
            message["message"].as_str().map_or_else(|| message["type"].to_string(), str::to_owned)
        };
        page["messages"].as_array().unwrap().iter().map(text).collect()
    }
}

pub const REFUSED: i16 = 0;
pub const REVIEW: i16 = 1;
pub const UNCHECKED: i16 = 2;
pub const PENDING: i16 = 3;

#[derive(QueryableByName, Debug)]
pub struct Finding {
    #[diesel(sql_type = Text)]
    pub openid: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub peer: Option<String>,
    #[diesel(sql_type = Nullable<diesel::sql_types::BigInt>)]
    pub seq: Option<i64>,
    #[diesel(sql_type = SmallInt)]
    pub outcome: i16,
    /// 0 the list, 1 WeChat.
    #[diesel(sql_type = SmallInt)]
    pub found_by: i16,
    #[diesel(sql_type = Integer)]
    pub label: i32,
    #[diesel(sql_type = Nullable<Text>)]
    pub trace_id: Option<String>,
    #[diesel(sql_type = Binary)]
    pub hash: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    pub content: Option<String>,
    /// 0 passed, 1 recalled.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub decision: Option<i16>,
}

pub fn text(peer: &str, id: &str, message: &str) -> Value {
    json!({ "type": "text", "to_user_openid": peer, "client_msg_id": id, "message": message })
}

/// Sends a text and hears what becomes of it: `ack`, or the word of the error.
pub async fn fate(client: &mut Client, peer: &str, id: &str, message: &str) -> String {
    client.send(text(peer, id, message)).await;
    answer(client).await.1
}

/// The next answer to a message of this client's own: of which, and `ack` or the word of the error.
pub async fn answer(client: &mut Client) -> (String, String) {
    loop {
        match client.next().await {
            Said::Frame(frame) if frame["type"] == "ack" || frame["type"] == "error" => {
                let word = if frame["type"] == "ack" { &frame["type"] } else { &frame["error"] };
                return (
                    frame["client_msg_id"].as_str().unwrap().to_owned(),
                    word.as_str().unwrap().to_owned(),
                );
            }
            Said::Frame(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
