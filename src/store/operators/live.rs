//! Live sessions of a user, asked of every node: `hongyan user` writes a question, each node reads the
//! questions once a second and writes an answer of its own, an empty one too, so that silence is told from
//! none.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{self, DatabaseUrl};
use crate::event::LiveSession;
use crate::ids::{OpenId, now_ms};
use crate::store::Query;
use crate::store::database::conn::{self, Conn};
use crate::store::database::error::OpenError;
use crate::store::database::statement::{Statement, Writer};
use crate::store::nodes::heartbeats::{ALIVE_MS, nodes};
use crate::store::readers::query::unreadable;

/// Questions that are open at a time.
const QUESTIONS_AT_MOST: i64 = 64;
/// A question that is older is answered no more, in milliseconds: nobody waits for so long.
const ANSWERED_WITHIN_MS: i64 = 10_000;
/// A question that is older is taken away by the next one: who asked it was killed.
const KEPT_MS: i64 = 60_000;
/// How often each node looks for questions.
pub const ANSWER_INTERVAL: Duration = Duration::from_secs(1);
/// How long answers are waited for, and when who waits is told so.
const WAITS: Duration = ANSWER_INTERVAL.saturating_mul(3);
const TELLS_AFTER: Duration = ANSWER_INTERVAL.saturating_mul(2);
const LOOKS_EVERY: Duration = Duration::from_millis(50);
const POSTGRES_NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// A question that this node has not answered.
#[derive(Debug, Clone)]
pub struct SessionQuestion {
    pub id: String,
    pub openid: OpenId,
}

#[derive(QueryableByName)]
struct QuestionRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    openid: String,
}

#[derive(QueryableByName)]
struct AnswerRow {
    #[diesel(sql_type = Text)]
    node: String,
    #[diesel(sql_type = Text)]
    sessions: String,
}

/// A user's live sessions on all nodes, as far as they answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserSessions {
    /// By node, and of each the oldest first: the newest 256.
    pub sessions: Vec<NodeSession>,
    /// The nodes that answered. Where it is empty no server runs, or none answers.
    pub nodes: Vec<String>,
    /// Nodes that should have answered and did not: what sessions the user has there is not known.
    pub not_heard: Vec<String>,
}

/// A live session, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NodeSession {
    pub node: String,
    /// The label that its client gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub device: Option<String>,
    /// `v1` or `plain`.
    pub dialect: String,
    /// When it was let in, by the clock of its node: Unix milliseconds.
    pub since: i64,
    /// Whether the user looks at the app there, as far as the client told.
    pub in_foreground: bool,
}

/// Questions for a user's live sessions that this node has not answered.
#[derive(Debug)]
pub struct OpenQuestions {
    pub node: String,
}

impl Query for OpenQuestions {
    type Answer = Vec<SessionQuestion>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Vec<SessionQuestion>> {
        const OPEN: &str = "SELECT q.id, q.openid FROM session_questions q WHERE q.asked_at > {since} \
             AND NOT EXISTS (SELECT 1 FROM session_answers a WHERE a.question = q.id AND a.node = $2) ORDER BY q.id LIMIT $3";
        let rows: Vec<QuestionRow> = match conn {
            Conn::Postgres(conn) => {
                let open = Statement::new(OPEN.replace("{since}", &format!("{POSTGRES_NOW} - $1")));
                Writer::rows(
                    conn,
                    open.number(ANSWERED_WITHIN_MS).text(&self.node).number(QUESTIONS_AT_MOST),
                )?
            }
            Conn::Sqlite(conn) => {
                let open =
                    Statement::new(OPEN.replace("{since}", "$1")).number(now_ms() - ANSWERED_WITHIN_MS);
                Writer::rows(conn, open.text(&self.node).number(QUESTIONS_AT_MOST))?
            }
        };
        let question = |QuestionRow { id, openid }| {
            Ok(SessionQuestion { id, openid: OpenId::parse(&openid).map_err(unreadable)? })
        };
        rows.into_iter().map(question).collect()
    }
}

/// Writes what a node answers, over a connection of its own: questions are rare, and a reader of SQLite
/// cannot write. Blocking.
///
/// # Errors
/// [`OpenError`]. The questions stay open then, for the next time.
pub fn answer(
    config: &config::Database,
    node: &str,
    answers: &[(String, Vec<LiveSession>)],
) -> Result<(), OpenError> {
    match &mut writer(config)? {
        Conn::Sqlite(conn) => conn.immediate_transaction(|conn| write_answers(conn, node, answers)),
        Conn::Postgres(conn) => conn.transaction(|conn| write_answers(conn, node, answers)),
    }
    .map_err(unwritten)
}

/// A question that was taken away meanwhile has nobody who waits.
fn write_answers(
    conn: &mut impl Writer,
    node: &str,
    answers: &[(String, Vec<LiveSession>)],
) -> QueryResult<()> {
    const ANSWER: &str = "INSERT INTO session_answers (question, node, sessions) SELECT id, $1, $2 FROM session_questions WHERE id = $3 \
         ON CONFLICT (question, node) DO NOTHING";
    for (question, sessions) in answers {
        let sessions = serde_json::to_string(sessions)
            .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
        conn.run(Statement::new(ANSWER).text(node).text(&sessions).text(question))?;
    }
    Ok(())
}

/// Asks every node for a user's live sessions, beside servers that may be running, and waits for their
/// answers, some seconds at most. `name_of` tells a node's name from its id; `waits` is told once, when it
/// takes long. Blocking.
///
/// # Errors
/// [`OpenError`]; each says what to do.
pub fn ask(
    config: &config::Database,
    openid: &OpenId,
    name_of: fn(&str) -> &str,
    mut waits: impl FnMut(),
) -> Result<UserSessions, OpenError> {
    let mut conn = writer(config)?;
    let id = format!("{:016x}", rand::random::<u64>());
    match &mut conn {
        Conn::Sqlite(conn) => {
            conn.immediate_transaction(|conn| write_question(conn, &id, openid, &now_ms().to_string()))
        }
        Conn::Postgres(conn) => conn.transaction(|conn| {
            // Two that ask at once do not both take the last place.
            conn.batch_execute("LOCK TABLE session_questions IN SHARE ROW EXCLUSIVE MODE")?;
            write_question(conn, &id, openid, POSTGRES_NOW)
        }),
    }
    .map_err(unwritten)?;
    let answers = wait(&mut conn, config, &id, &mut waits);
    // Where it cannot be taken away now it goes with a later question.
    for text in
        ["DELETE FROM session_questions WHERE id = $1", "DELETE FROM session_answers WHERE question = $1"]
    {
        let _ = Statement::new(text).text(&id).execute(&mut conn);
    }
    let (answers, alive) = answers?;
    let (mut sessions, mut nodes) = (Vec::new(), Vec::new());
    for AnswerRow { node, sessions: answer } in &answers {
        // An answer of a later release that cannot be read is no answer.
        let Ok(live) = serde_json::from_str::<Vec<LiveSession>>(answer) else { continue };
        nodes.push(name_of(node).to_owned());
        sessions.extend(live.into_iter().map(|LiveSession { device, dialect, since, in_foreground }| {
            NodeSession { node: name_of(node).to_owned(), device, dialect, since, in_foreground }
        }));
    }
    // A node that was killed and is back answers under its new start.
    let not_heard = alive.iter().map(|id| name_of(id).to_owned()).filter(|name| !nodes.contains(name));
    let (not_heard, nodes) = (each_once(not_heard), each_once(nodes.iter().cloned()));
    Ok(UserSessions { sessions, nodes, not_heard })
}

fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The answers, and the nodes of which one is expected: those that the database shows alive. Of SQLite, and
/// without other nodes, it shows none, and the first answer is all.
fn wait(
    conn: &mut Conn,
    config: &config::Database,
    id: &str,
    waits: &mut impl FnMut(),
) -> Result<(Vec<AnswerRow>, Vec<String>), OpenError> {
    const ANSWERS: &str = "SELECT node, sessions FROM session_answers WHERE question = $1 ORDER BY node";
    let alive: Vec<String> =
        nodes(config)?.into_iter().filter(|node| node.age_ms < ALIVE_MS).map(|node| node.name).collect();
    let (began, mut told) = (Instant::now(), false);
    loop {
        let answers: Vec<AnswerRow> = Statement::new(ANSWERS)
            .text(id)
            .load(conn)
            .map_err(|error| OpenError::Read { reason: error.to_string() })?;
        let is_whole =
            !answers.is_empty() && alive.iter().all(|id| answers.iter().any(|answer| answer.node == *id));
        if is_whole || began.elapsed() >= WAITS {
            return Ok((answers, alive));
        }
        if !told && began.elapsed() >= TELLS_AFTER {
            told = true;
            waits();
        }
        std::thread::sleep(LOOKS_EVERY);
    }
}

/// `now` is an expression of the database's.
fn write_question(conn: &mut impl Writer, id: &str, openid: &OpenId, now: &str) -> QueryResult<()> {
    conn.run(
        Statement::new(format!(
            "DELETE FROM session_questions WHERE asked_at < {now} - $1 OR asked_at > {now} + $2"
        ))
        .number(KEPT_MS)
        .number(KEPT_MS),
    )?;
    conn.run(Statement::new(
        "DELETE FROM session_answers WHERE question NOT IN (SELECT id FROM session_questions)",
    ))?;
    let ask = format!(
        "INSERT INTO session_questions (id, openid, asked_at) SELECT $1, $2, {now} WHERE (SELECT count(*) FROM session_questions) < $3"
    );
    match conn.run(Statement::new(ask).text(id).text(openid.as_str()).number(QUESTIONS_AT_MOST))? {
        0 => Err(diesel::result::Error::RollbackTransaction),
        _ => Ok(()),
    }
}

fn writer(config: &config::Database) -> Result<Conn, OpenError> {
    match &config.url {
        DatabaseUrl::Sqlite(path) => {
            conn::is_ours(path)?;
            conn::sqlite_writer(path, config.cache_kib).map(Conn::Sqlite)
        }
        DatabaseUrl::Postgres(url) => conn::postgres(url, config.prepared_statements).map(Conn::Postgres),
    }
}

fn unwritten(error: diesel::result::Error) -> OpenError {
    let text = error.to_string();
    match error {
        diesel::result::Error::RollbackTransaction => {
            OpenError::TooManyQuestions { at_most: QUESTIONS_AT_MOST }
        }
        _ if text.contains("no such table: session_")
            || (text.contains("session_") && text.contains("does not exist")) =>
        {
            OpenError::TablesTooOld
        }
        _ => OpenError::Write { reason: text },
    }
}
