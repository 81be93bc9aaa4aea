//! Reads over HTTP with much stored, against the same with little: a page of history, the unread badge, the
//! list of conversations.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;

use crate::servers::{Programs, Server};

/// The users `u00` … `u99` have a hundred conversations each; the first of `u00` is the big one.
const USERS: usize = 100;
const PEERS: usize = 100;

/// What is stored.
#[derive(Clone, Copy)]
pub struct Size {
    pub messages: usize,
    pub of_the_big_one: usize,
    /// Unread in the big one.
    pub unread: usize,
}

pub const LARGE: Size = Size { messages: 5_000_000, of_the_big_one: 1_000_000, unread: 100_000 };
pub const SMALL: Size = Size { messages: 50_000, of_the_big_one: 10_000, unread: 1_000 };

/// One kind of read, with its samples at each size.
pub struct Reads {
    pub what: &'static str,
    pub small: Vec<Duration>,
    pub large: Vec<Duration>,
}

/// Who asks for the nth read of a kind, and the path.
type Ask = fn(Size, usize) -> (usize, String);

/// Both servers stand side by side and are asked in turn, `each` times what was not asked before and
/// everything once beforehand.
pub fn measure(programs: &Programs, each: usize, mut progress: impl FnMut(&str)) -> Result<Vec<Reads>> {
    let mut fill = |size: Size| {
        progress(&format!("filling a database with {} messages", size.messages));
        let folder = programs.folder()?;
        fill_with(&programs.migrate(folder.path())?, size)?;
        anyhow::Ok(folder)
    };
    // Both are filled before either is served: an idle connection is closed after some seconds.
    let (small, large) = (fill(SMALL)?, fill(LARGE)?);
    let (mut small, mut large) = (Stored::serve(programs, small)?, Stored::serve(programs, large)?);
    let kinds: [(&'static str, Ask); 3] = [
        ("history page", history),
        ("unread", |_, n| (n % USERS, "/v1/unread".into())),
        ("conversation list", |_, n| (n % USERS, "/v1/conversations".into())),
    ];
    let mut all = Vec::new();
    for (what, path) in kinds {
        progress(&format!("asking for: {what}"));
        let mut reads = Reads { what, small: Vec::new(), large: Vec::new() };
        for n in 0..each * 2 {
            let (a, b) = (small.ask(path(SMALL, n))?, large.ask(path(LARGE, n))?);
            if n >= each {
                reads.small.push(a);
                reads.large.push(b);
            }
        }
        all.push(reads);
    }
    Ok(all)
}

/// Half of the pages are somewhere in the big conversation, half the newest of another one.
fn history(size: Size, n: usize) -> (usize, String) {
    let scattered = n.wrapping_mul(2_654_435_761);
    if n.is_multiple_of(2) {
        (0, format!("/v1/messages?peer=p00-00&before_seq={}", 21 + scattered % size.of_the_big_one))
    } else {
        let (user, peer) = (scattered % USERS, scattered / USERS % PEERS);
        (user, format!("/v1/messages?peer=p{user:02}-{peer:02}"))
    }
}

struct Stored {
    _server: Server,
    http: Http,
    tokens: Vec<String>,
}

impl Stored {
    fn serve(programs: &Programs, folder: tempfile::TempDir) -> Result<Self> {
        let server = programs.hongyan_in(folder, &[])?;
        let mut http = Http::connect(server.at)?;
        let tokens = (0..USERS).map(|user| http.login(&format!("u{user:02}"))).collect::<Result<_>>()?;
        Ok(Self { _server: server, http, tokens })
    }

    fn ask(&mut self, (user, path): (usize, String)) -> Result<Duration> {
        let since = Instant::now();
        let (status, body) = self.http.call("GET", &path, &self.tokens[user], "")?;
        let took = since.elapsed();
        ensure!(status == 200 && body.len() > 50, "{path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(took)
    }
}

/// Writes the rows that so many messages would have left. Messages of all conversations are mixed, as they
/// would have come.
fn fill_with(database: &Path, size: Size) -> Result<()> {
    let mut conn = SqliteConnection::establish(&database.to_string_lossy())?;
    let conversations = USERS * PEERS;
    let others = (size.messages - size.of_the_big_one) / (conversations - 1);
    let Size { messages, of_the_big_one: big, unread } = size;
    let share = messages / big;
    // When the last one of each was stored, to within a step.
    let last = 1_767_225_600_000 + messages;
    let body = format!(r#"{{"message":"{}","date":"12:00:00","created_at":1767225600000}}"#, "x".repeat(100));
    conn.batch_execute(&format!(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;
         BEGIN;
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {conversations})
         INSERT INTO conversations (id, kind, address, created_by, created_at)
         SELECT i + 1, 0, format('d:p%02d-%02d:u%02d', i / {PEERS}, i % {PEERS}, i / {PEERS}), format('u%02d', i / {PEERS}), 1767225600000 FROM n;

         INSERT INTO members (openid, peer, conversation_id, read_seq, may_have_unread, changed_at, last_at)
         SELECT substr(address, 10), substr(address, 3, 6), id, iif(id = 1, {big} - {unread}, {others} / 2), TRUE, {last}, {last} FROM conversations;
         INSERT INTO members (openid, peer, conversation_id, sent_seq, changed_at, last_at)
         SELECT substr(address, 3, 6), substr(address, 10), id, iif(id = 1, {big}, {others}), {last}, {last} FROM conversations;

         -- Every fifth message is the big one's, the others come round in turn.
         WITH RECURSIVE
             n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {messages}),
             o (i, other) AS (SELECT i, iif(i % {share} = 0, NULL, i - i / {share} - 1) FROM n),
             m (i, c, seq) AS (
                 SELECT i, ifnull(1 + other % ({conversations} - 1), 0), 1 + ifnull(other / ({conversations} - 1), i / {share}) FROM o
             )
         INSERT INTO messages (conversation_id, seq, sender, client_msg_id, kind, body, sent_at, stored_at)
         SELECT c + 1, seq, format('p%02d-%02d', c / {PEERS}, c % {PEERS}), format('%x', i), 'text', '{body}', 1767225600000 + i, 1767225600000 + i FROM m;
         -- No message of it is sent again: their keys can be missing.
         UPDATE idempotency_progress SET through_id = {messages};
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    ))?;
    Ok(())
}

/// HTTP/1.1 on one connection that is kept.
struct Http {
    stream: BufReader<TcpStream>,
}

impl Http {
    fn connect(at: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn login(&mut self, openid: &str) -> Result<String> {
        let (status, body) = self.call("POST", "/v1/login", "", &format!(r#"{{"code":"dev:{openid}"}}"#))?;
        ensure!(status == 200, "login: {status}");
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        Ok(answer["token"].as_str().context("no token")?.to_owned())
    }

    fn call(&mut self, method: &str, path: &str, token: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("no status")?.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}
