//! A lone message, from its sending to its ack, against what the disk asks for: one bare commit of the same
//! row.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use diesel::prelude::*;

use crate::fleet::{Dialect, Fleet};
use crate::servers::{Programs, SERVER_CORE};

diesel::table! {
    rows (id) {
        id -> BigInt,
        conversation_id -> BigInt,
        seq -> BigInt,
        sender -> Text,
        client_msg_id -> Text,
        kind -> Text,
        body -> Text,
        sent_at -> BigInt,
    }
}

/// Messages of one round, and commits of one.
const EACH: usize = 1000;
const TEXT_BYTES: usize = 100;

pub struct Round {
    pub ack: Vec<Duration>,
    pub commit: Vec<Duration>,
}

/// Rounds of messages and of commits in turn, on the same core and the same disk.
pub fn measure(programs: &Programs, rounds: usize) -> Result<Vec<Round>> {
    let server = programs.hongyan(&[])?;
    let mut fleet = Fleet::connect(server.at, 2, Dialect::V1, TEXT_BYTES)?;
    fleet.lone(EACH / 10)?;
    let mut bare = Bare::open(server.folder())?;
    (0..rounds).map(|_| Ok(Round { ack: fleet.lone(EACH)?, commit: bare.commits(EACH)? })).collect()
}

struct Bare(SqliteConnection);

impl Bare {
    fn open(folder: &Path) -> Result<Self> {
        use diesel::connection::SimpleConnection as _;
        let mut conn = SqliteConnection::establish(&folder.join("bare.db").to_string_lossy())?;
        conn.batch_execute(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (id INTEGER PRIMARY KEY, conversation_id BIGINT, \
             seq BIGINT, sender TEXT, client_msg_id TEXT, kind TEXT, body TEXT, sent_at BIGINT)",
        )?;
        Ok(Self(conn))
    }

    /// On the server's core, as the server's commits.
    fn commits(&mut self, count: usize) -> Result<Vec<Duration>> {
        let body = format!(
            r#"{{"message":"{}","date":"12:00:00","created_at":1767225600000}}"#,
            "x".repeat(TEXT_BYTES)
        );
        std::thread::scope(|scope| {
            let commits = scope.spawn(|| {
                let mut core = rustix::thread::CpuSet::new();
                core.set(SERVER_CORE);
                rustix::thread::sched_setaffinity(None, &core)?;
                (0..count)
                    .map(|n| {
                        let since = Instant::now();
                        let id = format!("0-{n:x}");
                        diesel::insert_into(rows::table)
                            .values((
                                rows::conversation_id.eq(1),
                                rows::seq.eq(n as i64),
                                rows::sender.eq("u00000"),
                                rows::client_msg_id.eq(&id),
                                rows::kind.eq("text"),
                                rows::body.eq(&body),
                                rows::sent_at.eq(1_767_225_600_000_i64),
                            ))
                            .execute(&mut self.0)?;
                        Ok(since.elapsed())
                    })
                    .collect::<Result<Vec<_>>>()
            });
            commits.join().unwrap_or_else(|_| anyhow::bail!("the thread of the bare commits failed"))
        })
    }
}
