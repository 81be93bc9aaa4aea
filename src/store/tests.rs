//! What the store promises, held against both databases by the same tests; then the troubles that only one of them has.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::AtomicU8;

use actix::{Actor, Context, Handler};
use diesel::connection::SimpleConnection;
use tokio::sync::{mpsc, oneshot};

use super::messages::*;
use super::*;
use crate::config::Database;
use crate::event::{Asker, Draft, Event, Refusal};
use crate::ids::{ClientMsgId, Kind, Seq, SessionId};

/// A database of one test's own.
struct Db {
    config: Database,
    limits: StoreLimits,
    /// Where to reach PostgreSQL past every proxy.
    admin: Option<(String, String)>,
    dir: tempfile::TempDir,
}

const LIMITS: StoreLimits = StoreLimits { writes_in_flight: 10_000, new_conversations_per_day: 0 };

impl Db {
    fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(dir.path().join("made/by/the/server.db"));
        Self { config: Database { url, lanes: 3, readers: 2, cache_kib: 4096 }, limits: LIMITS, admin: None, dir }
    }

    /// `None` when there is no PostgreSQL to test with.
    fn postgres() -> Option<Self> {
        let Ok(admin) = std::env::var("HONGYAN_TEST_POSTGRES_URL") else {
            eprintln!("skipped: HONGYAN_TEST_POSTGRES_URL is not set; `make test` starts one");
            return None;
        };
        let name = format!("hongyan_test_{:016x}", rand::random::<u64>());
        conn::postgres(&admin).unwrap().batch_execute(&format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")).unwrap();
        let (base, query) = admin.split_once('?').map_or((admin.as_str(), None), |(base, query)| (base, Some(query)));
        let slash = base.find("://").map_or(0, |at| at + 3);
        let authority = base[slash..].find('/').map_or(base, |at| &base[..slash + at]);
        let url = format!("{authority}/{name}{}", query.map(|q| format!("?{q}")).unwrap_or_default());
        let config = Database { url: DatabaseUrl::Postgres(url), lanes: 3, readers: 2, cache_kib: 4096 };
        Some(Self { config, limits: LIMITS, admin: Some((admin, name)), dir: tempfile::tempdir().unwrap() })
    }

    fn path(&self) -> PathBuf {
        match &self.config.url {
            DatabaseUrl::Sqlite(path) => path.clone(),
            DatabaseUrl::Postgres(_) => panic!("not a file"),
        }
    }

    fn exec(&self, sql: &str) {
        match &self.config.url {
            DatabaseUrl::Sqlite(path) => conn::sqlite_writer(path, 1000).unwrap().batch_execute(sql).unwrap(),
            DatabaseUrl::Postgres(url) => conn::postgres(url).unwrap().batch_execute(sql).unwrap(),
        }
    }

    fn open(&self) -> Rig {
        let (sender, events) = mpsc::unbounded_channel();
        let metrics = Metrics::new();
        let committed = Sink(sender).start().recipient();
        let store = Store::open(&self.config, self.limits, &metrics, &Draining::default(), committed).unwrap();
        Rig { store, events, ready: VecDeque::new(), metrics }
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if let Some((admin, name)) = &self.admin
            && let Ok(mut conn) = conn::postgres(admin)
        {
            let _ = conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

struct Sink(mpsc::UnboundedSender<Committed>);

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Committed> for Sink {
    type Result = ();

    fn handle(&mut self, committed: Committed, _: &mut Context<Self>) {
        let _ = self.0.send(committed);
    }
}

/// An open store, and what it emits.
struct Rig {
    store: Store,
    events: mpsc::UnboundedReceiver<Committed>,
    ready: VecDeque<Event>,
    metrics: Metrics,
}

impl Rig {
    fn submit(&self, write: impl Into<Write>) {
        self.store.submit(write.into()).unwrap();
    }

    async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            let committed = tokio::time::timeout(Duration::from_secs(10), self.events.recv()).await;
            self.ready.extend(committed.expect("the store says nothing").unwrap().events);
        }
    }

    async fn outcome(&mut self, write: impl Into<Write>) -> Event {
        self.submit(write);
        self.event().await
    }

    /// Sends one that must be stored; its seq.
    async fn send(&mut self, from: &str, to: &str, text: &str) -> i64 {
        match self.outcome(append(from, to, None, text)).await {
            Event::Appended { seq, .. } => seq.get(),
            other => panic!("{other:?}"),
        }
    }

    async fn read(&mut self, who: &str, peer: &str, seq: i64) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        self.submit(Write::MarkRead(MarkRead { openid: o(who), peer: o(peer), seq: s(seq), answer: Answer::Caller(answer) }));
        answered.await.unwrap()
    }

    async fn clear(&mut self, who: &str, peer: &str, up_to: Option<i64>) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        self.submit(Write::Clear(Clear { openid: o(who), peer: o(peer), up_to: up_to.map(s), answer: Answer::Caller(answer) }));
        answered.await.unwrap()
    }

    async fn history(&self, who: &str, peer: &str, window: Window, limit: usize) -> (Vec<i64>, bool) {
        let page = self.store.ask(History { openid: o(who), peer: o(peer), window, limit }).await.unwrap();
        (page.messages.iter().map(|m| m.seq.get()).collect(), page.has_more)
    }

    async fn list(&self, who: &str, limit: usize, after: Option<ListPlace>) -> ConversationPage {
        self.store.ask(Conversations { openid: o(who), limit, after }).await.unwrap()
    }

    async fn unread(&self, who: &str) -> (i64, Vec<(String, i64)>) {
        let summary = self.store.ask(Unread { openid: o(who), limit: 100 }).await.unwrap();
        (summary.total, summary.conversations.iter().map(|c| (c.peer.to_string(), c.unread)).collect())
    }

    /// Repeats until the database is back, for as long as that may take.
    async fn until_stored(&mut self, from: &str, to: &str, id: &str) {
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            match self.outcome(append(from, to, Some(id), "back")).await {
                Event::Appended { .. } | Event::Repeated { .. } => return,
                other => assert!(Instant::now() < until, "{other:?}"),
            }
        }
    }
}

fn o(text: &str) -> OpenId {
    OpenId::parse(text).unwrap()
}

fn s(number: i64) -> Seq {
    Seq::parse(number).unwrap()
}

fn draft(from: &str, to: &str, id: Option<&str>, body: String) -> Draft {
    Draft {
        session: SessionId::fresh(),
        request_id: None,
        sender: o(from),
        peer: o(to),
        client_msg_id: id.map(|id| ClientMsgId::parse(id).unwrap()),
        kind: Kind::parse("text").unwrap(),
        body: body.into(),
    }
}

fn append(from: &str, to: &str, id: Option<&str>, text: &str) -> Append {
    Append { draft: draft(from, to, id, format!(r#"{{"message":"{text}"}}"#)), over_rate_ms: None }
}

impl From<Append> for Write {
    fn from(append: Append) -> Self {
        Self::Append(append)
    }
}

fn run(db: Option<Db>, test: impl for<'a> FnOnce(&'a mut Db) -> Pin<Box<dyn Future<Output = ()> + 'a>>) {
    let Some(mut db) = db else { return };
    actix::System::new().block_on(test(&mut db));
}

/// Each test once for each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::run(Some(super::Db::sqlite()), |db| Box::pin(super::$name(db))); })*
        }
        mod postgres {
            $(#[test] fn $name() { super::run(super::Db::postgres(), |db| Box::pin(super::$name(db))); })*
        }
    };
}

on_both!(
    a_message_is_stored_once,
    other_content_under_the_same_id_is_a_conflict,
    a_repeat_of_a_recalled_message_is_no_conflict,
    one_order_without_holes,
    a_batch_with_repeats_inside,
    past_the_rate_only_repeats_are_answered,
    new_conversations_are_limited,
    one_bad_write_leaves_its_neighbours_alone,
    read_marks_are_clamped_and_never_go_back,
    unread_follows_the_rule,
    a_huge_backlog_is_not_walked,
    clearing_hides_until_a_message_follows,
    the_list_is_newest_first_and_pages,
    every_window_of_history,
    a_stranger_does_not_learn_that_you_read,
    revocations_are_followed,
    the_queue_is_bounded,
    after_the_drain_nothing_is_accepted,
    what_was_stored_is_there_after_a_restart,
    migrating_twice_changes_nothing,
);

async fn a_message_is_stored_once(db: &mut Db) {
    let mut rig = db.open();
    let Event::Appended { seq, sent_at, .. } = rig.outcome(append("a", "b", Some("m1"), "hi")).await else { panic!() };
    assert_eq!(seq, s(1));
    for _ in 0..2 {
        let Event::Repeated { stored, .. } = rig.outcome(append("a", "b", Some("m1"), "hi")).await else { panic!() };
        assert_eq!((stored.seq, stored.sent_at, &*stored.body), (seq, sent_at, r#"{"message":"hi"}"#));
    }
    // The key is the sender's own, and of this conversation.
    assert!(matches!(rig.outcome(append("b", "a", Some("m1"), "hi")).await, Event::Appended { seq, .. } if seq == s(2)));
    assert!(matches!(rig.outcome(append("a", "c", Some("m1"), "hi")).await, Event::Appended { seq, .. } if seq == s(1)));
    // Without a key every message is another one.
    assert_eq!((rig.send("a", "b", "x").await, rig.send("a", "b", "x").await), (3, 4));
    assert_eq!(rig.history("b", "a", Window::Newest, 10).await, (vec![1, 2, 3, 4], false));
}

async fn other_content_under_the_same_id_is_a_conflict(db: &mut Db) {
    let mut rig = db.open();
    rig.outcome(append("a", "b", Some("m"), "hi")).await;
    assert!(matches!(rig.outcome(append("a", "b", Some("m"), "ho")).await, Event::Refused { why: Refusal::Conflict, .. }));
    let mut other = append("a", "b", Some("m"), "hi");
    other.draft.kind = Kind::parse("image").unwrap();
    assert!(matches!(rig.outcome(other).await, Event::Refused { why: Refusal::Conflict, .. }));
    let same = r#"{ "date":"later", "created_at":5, "id":"7", "message":"\u0068i" }"#;
    let again = Append { draft: draft("a", "b", Some("m"), same.into()), over_rate_ms: None };
    assert!(matches!(rig.outcome(again).await, Event::Repeated { stored, .. } if &*stored.body == r#"{"message":"hi"}"#));
}

async fn a_repeat_of_a_recalled_message_is_no_conflict(db: &mut Db) {
    let mut rig = db.open();
    rig.outcome(append("a", "b", Some("m"), "hi")).await;
    db.exec("UPDATE messages SET recalled = TRUE, body = '{}'");
    assert!(matches!(rig.outcome(append("a", "b", Some("m"), "hi")).await, Event::Repeated { stored, .. } if stored.recalled));
}

async fn one_order_without_holes(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..600 {
        rig.submit(append(if i % 3 == 0 { "b" } else { "a" }, if i % 3 == 0 { "a" } else { "b" }, Some(&format!("m{i}")), &i.to_string()));
    }
    for i in 0..600 {
        match rig.event().await {
            Event::Appended { draft, seq, .. } => {
                assert_eq!((seq.get(), &*draft.body), (i + 1, &*format!(r#"{{"message":"{i}"}}"#)));
            }
            other => panic!("{other:?}"),
        }
    }
    let page = rig.store.ask(History { openid: o("a"), peer: o("b"), window: Window::After(s(0)), limit: 600 }).await.unwrap();
    assert!(page.messages.iter().enumerate().all(|(i, m)| m.seq.get() == i as i64 + 1 && *m.body == *format!(r#"{{"message":"{i}"}}"#)));
    assert_eq!(page.messages.len(), 600);
}

async fn a_batch_with_repeats_inside(db: &mut Db) {
    let mut rig = db.open();
    // Submitted together: what follows the first is one batch, or two.
    for (id, text) in [("x", "0"), ("m", "1"), ("m", "1"), ("m", "2"), ("n", "3")] {
        rig.submit(append("a", "b", Some(id), text));
    }
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(1)));
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(2)));
    assert!(matches!(rig.event().await, Event::Repeated { stored, .. } if stored.seq == s(2)));
    assert!(matches!(rig.event().await, Event::Refused { why: Refusal::Conflict, .. }));
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(3)));
}

async fn past_the_rate_only_repeats_are_answered(db: &mut Db) {
    let mut rig = db.open();
    let fast = |to, id, text| Append { over_rate_ms: Some(70), ..append("a", to, Some(id), text) };
    let limited = |event: &Event| matches!(event, Event::Refused { why: Refusal::RateLimited { retry_after_ms: 70 }, .. });
    rig.outcome(append("a", "b", Some("m"), "hi")).await;
    assert!(matches!(rig.outcome(fast("b", "m", "hi")).await, Event::Repeated { stored, .. } if stored.seq == s(1)));
    assert!(limited(&rig.outcome(fast("b", "n", "hi")).await));
    assert!(limited(&rig.outcome(fast("new", "n", "hi")).await));
    assert!(rig.list("new", 10, None).await.conversations.is_empty());
    // In one batch: refused before the first, a repeat after it.
    rig.submit(append("a", "b", None, "to fill the first batch"));
    rig.submit(fast("b", "p", "hi"));
    rig.submit(append("a", "b", Some("p"), "hi"));
    rig.submit(fast("b", "p", "hi"));
    rig.event().await;
    assert!(limited(&rig.event().await));
    let Event::Appended { seq, .. } = rig.event().await else { panic!() };
    assert!(matches!(rig.event().await, Event::Repeated { stored, .. } if stored.seq == seq));
}

async fn new_conversations_are_limited(db: &mut Db) {
    db.limits.new_conversations_per_day = 3;
    let mut rig = db.open();
    for peer in ["p0", "p1", "p2", "p3", "p4"] {
        rig.submit(append("a", peer, None, "hi"));
    }
    let mut stored = 0;
    for _ in 0..5 {
        match rig.event().await {
            Event::Appended { .. } => stored += 1,
            Event::Refused { why: Refusal::RateLimited { retry_after_ms }, .. } => {
                assert!((86_390_000..=86_400_000).contains(&retry_after_ms), "{retry_after_ms}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stored, 3);
    // Others may still begin, and what has begun goes on.
    rig.send("q", "a", "hi").await;
    rig.send("a", "q", "hi").await;
    // The wait is what it says: a day after the third newest, one more may begin.
    db.exec("UPDATE conversations SET created_at = created_at - 86400000 + 60000 WHERE created_by = 'a'");
    let refused = rig.outcome(append("a", "p9", None, "hi")).await;
    assert!(matches!(refused, Event::Refused { why: Refusal::RateLimited { retry_after_ms: 1..=60_000 }, .. }), "{refused:?}");
    db.exec("UPDATE conversations SET created_at = created_at - 60000 WHERE created_by = 'a'");
    rig.send("a", "p9", "hi").await;
}

async fn one_bad_write_leaves_its_neighbours_alone(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "first").await;
    db.exec(match &db.config.url {
        DatabaseUrl::Sqlite(_) => {
            "CREATE TRIGGER poison BEFORE INSERT ON messages WHEN NEW.body LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        DatabaseUrl::Postgres(_) => {
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
             CREATE TRIGGER poison BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.body LIKE '%poison%') EXECUTE FUNCTION poison()"
        }
    });
    for text in ["1", "2", "poison", "3", "4"] {
        rig.submit(append("a", "b", None, text));
    }
    let mut seqs = Vec::new();
    for _ in 0..5 {
        match rig.event().await {
            Event::Appended { seq, .. } => seqs.push(seq.get()),
            Event::Refused { why: Refusal::Unavailable, draft } => assert!(draft.body.contains("poison")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seqs, [2, 3, 4, 5]);
}

async fn read_marks_are_clamped_and_never_go_back(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..3 {
        rig.send("a", "b", &i.to_string()).await;
    }
    rig.read("b", "a", 2).await.unwrap();
    assert!(matches!(rig.event().await, Event::Read { seq, asker: None, .. } if seq == s(2)));
    rig.read("b", "a", 1).await.unwrap();
    let asker = Asker { session: SessionId::fresh(), request_id: None };
    let ask = |seq, asker| Write::MarkRead(MarkRead { openid: o("b"), peer: o("a"), seq: s(seq), answer: Answer::Session(asker) });
    // The one before moved nothing and nobody asked, so this is the next event.
    assert!(matches!(rig.outcome(ask(1, asker.clone())).await, Event::Read { seq, asker: Some(_), .. } if seq == s(2)));
    assert!(matches!(rig.outcome(ask(99, asker.clone())).await, Event::Read { seq, .. } if seq == s(3)));
    assert_eq!(rig.list("b", 1, None).await.conversations[0].read_seq, s(3));
    // A message that comes later is not read by a mark from before.
    rig.send("a", "b", "later").await;
    assert_eq!(rig.unread("b").await, (1, vec![("a".into(), 1)]));
    // Several in one batch.
    for seq in [4, 3, 4] {
        rig.submit(ask(seq, asker.clone()));
    }
    for _ in 0..3 {
        assert!(matches!(rig.event().await, Event::Read { seq, .. } if seq == s(4)));
    }
    rig.read("b", "nobody", 5).await.unwrap();
    rig.read("nobody", "a", 5).await.unwrap();
}

async fn unread_follows_the_rule(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..10 {
        rig.send("a", "b", &i.to_string()).await;
    }
    assert_eq!(rig.unread("b").await, (10, vec![("a".into(), 10)]));
    assert_eq!(rig.unread("a").await, (0, vec![]));
    rig.read("b", "a", 4).await.unwrap();
    rig.event().await;
    assert_eq!(rig.unread("b").await.0, 6);
    // 10 recalls 7: neither counts. 3 was read before it was recalled, so it is off already.
    db.exec("UPDATE messages SET target_seq = 7 WHERE seq = 10; UPDATE messages SET recalled = TRUE WHERE seq IN (3, 7)");
    assert_eq!(rig.unread("b").await.0, 4);
    assert_eq!(rig.list("b", 9, None).await.conversations[0].unread, 4);
    // One's own message says that one has seen what came before.
    rig.send("b", "a", "yes").await;
    assert_eq!((rig.unread("b").await.0, rig.unread("a").await.0), (0, 1));
    rig.send("c", "b", "hello").await;
    rig.send("a", "b", "more").await;
    assert_eq!(rig.unread("b").await, (2, vec![("a".into(), 1), ("c".into(), 1)]));
    let one = rig.store.ask(Unread { openid: o("b"), limit: 1 }).await.unwrap();
    assert_eq!((one.total, one.conversations.len(), one.has_more), (2, 1, true));
    let none = rig.store.ask(Unread { openid: o("b"), limit: 0 }).await.unwrap();
    assert_eq!((none.total, none.conversations.len(), none.has_more), (2, 0, true));
    // With oneself nothing is ever unread.
    rig.send("b", "b", "note").await;
    assert_eq!(rig.unread("b").await.0, 2);
    rig.read("b", "b", 1).await.unwrap();
    assert_eq!(rig.list("b", 9, None).await.conversations.len(), 3);
}

async fn a_huge_backlog_is_not_walked(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "first").await;
    let series = match &db.config.url {
        DatabaseUrl::Sqlite(_) => "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n",
        DatabaseUrl::Postgres(_) => "SELECT i FROM generate_series(2, 100000) AS g (i)",
    };
    db.exec(&format!(
        "INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at) \
         SELECT (SELECT max(id) FROM conversations), n.i, 'a', 'text', '{{}}', n.i FROM ({series}) n"
    ));
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(rig.unread("b").await.0, 100_000);
    }
    // Walking it takes ten times as long, twenty times.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

async fn clearing_hides_until_a_message_follows(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..4 {
        rig.send("a", "b", &i.to_string()).await;
    }
    rig.clear("b", "a", Some(2)).await.unwrap();
    assert!(matches!(rig.event().await, Event::Cleared { seq, .. } if seq == s(2)));
    assert_eq!(rig.history("b", "a", Window::Newest, 9).await, (vec![3, 4], false));
    assert_eq!(rig.history("a", "b", Window::Newest, 9).await.0.len(), 4);
    assert_eq!(rig.unread("b").await.0, 2);
    rig.clear("b", "a", None).await.unwrap();
    rig.clear("b", "a", Some(1)).await.unwrap();
    assert!(matches!(rig.event().await, Event::Cleared { seq, .. } if seq == s(4)));
    assert!(rig.list("b", 9, None).await.conversations.is_empty());
    assert_eq!(rig.list("a", 9, None).await.conversations.len(), 1);
    assert_eq!((rig.unread("b").await.0, rig.history("b", "a", Window::After(s(0)), 9).await), (0, (vec![], false)));
    assert_eq!(rig.send("a", "b", "again").await, 5);
    let list = rig.list("b", 9, None).await.conversations;
    assert_eq!((list[0].unread, list[0].cleared_seq), (1, s(4)));
    rig.clear("b", "nobody", None).await.unwrap();
}

async fn the_list_is_newest_first_and_pages(db: &mut Db) {
    let mut rig = db.open();
    for peer in ["p1", "p2", "p3", "p4", "p5"] {
        rig.send(peer, "me", "hi").await;
    }
    // p3 and p4 at the same time: then by name.
    for (peer, at) in [("p1", 50), ("p2", 10), ("p3", 30), ("p4", 30), ("p5", 20)] {
        db.exec(&format!("UPDATE messages SET sent_at = {at} WHERE sender = '{peer}'"));
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = rig.list("me", 2, after).await;
        assert!(page.conversations.iter().all(|c| c.unread == 1 && c.last_message.as_ref().is_some_and(|m| m.sender == c.peer)));
        seen.extend(page.conversations.iter().map(|c| c.peer.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["p1", "p3", "p4", "p5", "p2"]);
    assert_eq!(rig.list("me", 5, None).await.next, None);
    assert!(rig.list("nobody", 5, None).await.conversations.is_empty());
}

async fn every_window_of_history(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..9 {
        rig.send("a", "b", &i.to_string()).await;
    }
    assert_eq!(rig.history("b", "a", Window::Newest, 3).await, (vec![7, 8, 9], true));
    assert_eq!(rig.history("b", "a", Window::Before(s(4)), 3).await, (vec![1, 2, 3], false));
    assert_eq!(rig.history("b", "a", Window::Before(s(5)), 3).await, (vec![2, 3, 4], true));
    assert_eq!(rig.history("b", "a", Window::After(s(6)), 3).await, (vec![7, 8, 9], false));
    assert_eq!(rig.history("b", "a", Window::After(s(5)), 3).await, (vec![6, 7, 8], true));
    assert_eq!(rig.history("b", "a", Window::Between { after: s(2), before: s(6) }, 2).await, (vec![3, 4], true));
    assert_eq!(rig.history("b", "a", Window::Between { after: s(2), before: s(6) }, 3).await, (vec![3, 4, 5], false));
    assert_eq!(rig.history("b", "nobody", Window::Newest, 3).await, (vec![], false));
    assert_eq!(rig.history("c", "a", Window::Newest, 3).await, (vec![], false));
}

async fn a_stranger_does_not_learn_that_you_read(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "hi").await;
    rig.read("b", "a", 1).await.unwrap();
    rig.event().await;
    assert_eq!(rig.list("a", 1, None).await.conversations[0].peer_read_seq, s(0));
    rig.send("b", "a", "hello").await;
    assert_eq!(rig.list("a", 1, None).await.conversations[0].peer_read_seq, s(1));
}

async fn revocations_are_followed(db: &mut Db) {
    let rig = db.open();
    let all = [Revoked::Token { issued_ms: 5 }, Revoked::AllTokens, Revoked::Sessions, Revoked::Access, Revoked::Nothing];
    let before = now_ms();
    for what in all {
        let (answer, answered) = oneshot::channel();
        rig.submit(Write::Revoke(Revoke { openid: o("a"), what, answer: Answer::Caller(answer) }));
        answered.await.unwrap().unwrap();
    }
    // The command line writes beside a server that runs.
    super::revoke(&db.config, &o("b"), Revoked::Access).unwrap();
    let log = rig.store.ask(RevocationsSince { at: before }).await.unwrap();
    assert_eq!(log.iter().take(5).map(|r| r.what).collect::<Vec<_>>(), all);
    assert_eq!((log.len(), &log[5].openid), (6, &o("b")));
    assert!(log.windows(2).all(|two| two[0].id < two[1].id));
    assert!(rig.store.ask(RevocationsSince { at: now_ms() + 1000 }).await.unwrap().is_empty());
    rig.store.ask(Ping).await.unwrap();
}

async fn the_queue_is_bounded(db: &mut Db) {
    db.limits.writes_in_flight = 3;
    let mut rig = db.open();
    for i in 0..3 {
        rig.submit(append("a", "b", None, &i.to_string()));
    }
    assert!(rig.store.submit(append("a", "b", None, "4").into()).is_err());
    let mut held = Vec::new();
    while held.iter().map(|c: &Committed| c.events.len()).sum::<usize>() < 3 {
        held.push(rig.events.recv().await.unwrap());
    }
    // Committed, but not delivered yet: the places are still taken.
    assert!(rig.store.submit(append("a", "b", None, "4").into()).is_err());
    drop(held);
    assert_eq!(rig.send("a", "b", "4").await, 4);
    assert!(rig.metrics.encode().contains("hongyan_batch_writes_count"));
}

async fn after_the_drain_nothing_is_accepted(db: &mut Db) {
    let mut rig = db.open();
    for i in 0..100 {
        rig.submit(append("a", "b", None, &i.to_string()));
    }
    assert!(rig.store.drain(Duration::from_secs(10)).await);
    assert!(rig.store.submit(append("a", "b", None, "late").into()).is_err());
    for _ in 0..100 {
        assert!(matches!(rig.event().await, Event::Appended { .. }));
    }
}

async fn what_was_stored_is_there_after_a_restart(db: &mut Db) {
    let mut rig = db.open();
    rig.outcome(append("a", "b", Some("m"), "hi")).await;
    rig.read("b", "a", 1).await.unwrap();
    drop(rig);
    let mut rig = reopened(db).await;
    assert!(matches!(rig.outcome(append("a", "b", Some("m"), "hi")).await, Event::Repeated { .. }));
    assert_eq!(rig.send("b", "a", "next").await, 2);
    assert_eq!(rig.list("b", 1, None).await.conversations[0].read_seq, s(1));
}

/// Opens again what was just closed: a SQLite file stays locked until its lane's thread has ended.
async fn reopened(db: &Db) -> Rig {
    if let DatabaseUrl::Sqlite(path) = &db.config.url {
        let until = Instant::now() + Duration::from_secs(5);
        while let Err(error) = conn::FileLock::take(path) {
            assert!(Instant::now() < until, "{error}");
            tokio::task::yield_now().await;
        }
    }
    db.open()
}

async fn migrating_twice_changes_nothing(db: &mut Db) {
    super::migrate(&db.config).unwrap();
    super::migrate(&db.config).unwrap();
    db.exec("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')");
    assert!(matches!(super::migrate(&db.config), Err(OpenError::Newer { .. })));
}

#[test]
fn two_servers_do_not_share_a_file() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let _rig = db.open();
            let (sender, _events) = mpsc::unbounded_channel();
            let recipient = Sink(sender).start().recipient();
            let second = Store::open(&db.config, LIMITS, &Metrics::new(), &Draining::default(), recipient);
            assert!(matches!(second, Err(OpenError::Locked { .. })));
            // But the tables may be looked after.
            super::migrate(&db.config).unwrap();
        })
    });
}

#[test]
fn a_locked_file_means_unavailable_until_it_is_free() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            let mut other = conn::sqlite_writer(&db.path(), 1000).unwrap();
            other.batch_execute("BEGIN IMMEDIATE").unwrap();
            let began = Instant::now();
            for i in 0..20 {
                rig.submit(append("a", "b", None, &i.to_string()));
            }
            for _ in 0..20 {
                assert!(matches!(rig.event().await, Event::Refused { why: Refusal::Unavailable, .. }));
            }
            assert!(rig.read("b", "a", 1).await.is_err());
            assert!(began.elapsed() < Duration::from_millis(5000), "{:?}", began.elapsed());
            // Reading goes on.
            assert_eq!(rig.history("a", "b", Window::Newest, 9).await.0, [1]);
            other.batch_execute("COMMIT").unwrap();
            assert_eq!(rig.send("a", "b", "2").await, 2);
        })
    });
}

#[test]
fn another_writer_in_the_file_is_noticed() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            db.exec("INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at) VALUES (1, 2, 'a', 'text', '{}', 1)");
            assert_eq!(rig.send("a", "b", "3").await, 3);
        })
    });
}

#[test]
fn a_backup_is_one_moment_under_load() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            for i in 0..2000 {
                rig.submit(append("a", "b", None, &i.to_string()));
            }
            rig.event().await;
            let copy = db.dir.path().join("copy.db");
            let (config, file) = (db.config.clone(), copy.clone());
            std::thread::spawn(move || super::backup(&config, &file)).join().unwrap().unwrap();
            assert!(matches!(super::backup(&db.config, &copy), Err(OpenError::BackupExists { .. })));
            while !rig.store.drain(Duration::from_secs(10)).await {}
            db.config.url = DatabaseUrl::Sqlite(copy);
            let mut rig = db.open();
            let last = rig.send("a", "b", "next").await;
            assert_eq!(rig.history("a", "b", Window::After(s(0)), 3000).await.0, (1..=last).collect::<Vec<_>>());
            // Nor does it need a server.
            drop(rig);
            drop(conn::FileLock::take(&db.path()));
            super::backup(&db.config, &db.dir.path().join("third.db")).unwrap();
            db.config.url = DatabaseUrl::Sqlite(db.dir.path().join("none.db"));
            assert!(matches!(super::backup(&db.config, &db.dir.path().join("x.db")), Err(OpenError::NothingToBackUp { .. })));
        })
    });
}

#[test]
fn a_full_disk_means_unavailable_until_there_is_room() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let disk = db.dir.path().join("disk");
            std::fs::create_dir(&disk).unwrap();
            let Some(_mounted) = Mount::small(&disk) else {
                eprintln!("skipped: this user cannot mount a small disk");
                return;
            };
            db.config.url = DatabaseUrl::Sqlite(disk.join("im.db"));
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            std::fs::write(disk.join("ballast"), vec![0; 1 << 20]).unwrap();
            let big = "x".repeat(8000);
            let mut stored = 1;
            loop {
                let began = Instant::now();
                let event = rig.outcome(append("a", "b", None, &big)).await;
                assert!(began.elapsed() < Duration::from_secs(3));
                match event {
                    Event::Appended { seq, .. } => stored = seq.get(),
                    Event::Refused { why: Refusal::Unavailable, .. } => break,
                    other => panic!("{other:?}"),
                }
            }
            assert!(stored > 1);
            std::fs::remove_file(disk.join("ballast")).unwrap();
            assert_eq!(rig.send("a", "b", "2").await, stored + 1);
            assert_eq!(rig.history("a", "b", Window::After(s(0)), 3000).await.0, (1..=stored + 1).collect::<Vec<_>>());
            drop(rig);
            reopened(db).await;
        })
    });
}

/// A disk of 3 MiB, gone when dropped.
struct Mount(PathBuf);

impl Mount {
    fn small(at: &Path) -> Option<Self> {
        let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(at).output().ok()?;
        mount.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn two_nodes_store_a_message_once() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let mut nodes = [db.open(), db.open()];
            for i in 0..300 {
                for node in &nodes {
                    node.submit(append("a", "b", Some(&format!("m{i}")), "same"));
                    node.submit(append("b", "a", Some(&format!("m{}", i % 50)), "same"));
                }
            }
            let mut stored = 0;
            for node in &mut nodes {
                for _ in 0..600 {
                    match node.event().await {
                        Event::Appended { .. } => stored += 1,
                        Event::Repeated { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert_eq!(stored, 350);
            assert_eq!(nodes[0].history("a", "b", Window::After(s(0)), 1000).await.0, (1..=350).collect::<Vec<_>>());
        })
    });
}

#[test]
fn many_nodes_begin_many_conversations() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            db.limits.new_conversations_per_day = 40;
            let mut nodes = [db.open(), db.open(), db.open()];
            for i in 0..50 {
                for (n, node) in nodes.iter().enumerate() {
                    let peer = format!("p{}", (i * 7 + n * 13) % 50);
                    node.submit(append("a", &peer, Some(&format!("{n}-{i}")), "hi"));
                    node.submit(append(&peer, "z", Some(&format!("{n}-{i}")), "hi"));
                }
            }
            for node in &mut nodes {
                for _ in 0..100 {
                    let event = node.event().await;
                    let fine = matches!(event, Event::Appended { .. } | Event::Refused { why: Refusal::RateLimited { .. }, .. });
                    assert!(fine, "{event:?}");
                }
            }
            assert_eq!(nodes[0].list("a", 100, None).await.conversations.len(), 40);
            assert_eq!(nodes[0].list("z", 100, None).await.conversations.len(), 50);
        })
    });
}

/// Stands between the store and PostgreSQL.
struct Proxy {
    mode: Arc<AtomicU8>,
    url: String,
}

const PASS: u8 = 0;
/// Connections are broken, new ones too.
const CUT: u8 = 1;
/// Everything is taken and nothing is said.
const SILENT: u8 = 2;

impl Proxy {
    fn before(url: &str) -> Self {
        let (head, tail) = url.split_once("://").unwrap();
        let (authority, path) = tail.split_once('/').unwrap();
        let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        let target = host.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = if user.is_empty() { String::new() } else { format!("{user}@") };
        let url = format!("{head}://{at}{}/{path}", listener.local_addr().unwrap());
        let mode = Arc::new(AtomicU8::new(PASS));
        let set = mode.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                for (from, to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                    let mode = set.clone();
                    std::thread::spawn(move || pass_on(from, to, &mode));
                }
            }
        });
        Self { mode, url }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mode: &AtomicU8) {
    from.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut buffer = [0; 65536];
    loop {
        match mode.load(Ordering::SeqCst) {
            CUT => break,
            SILENT => std::thread::sleep(Duration::from_millis(10)),
            _ => match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    // What came in before the silence was noticed is held back, and passed on late.
                    while mode.load(Ordering::SeqCst) == SILENT {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    if to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                _ => break,
            },
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn through_proxy(db: &mut Db) -> Proxy {
    let DatabaseUrl::Postgres(url) = &db.config.url else { panic!() };
    let proxy = Proxy::before(url);
    db.config.url = DatabaseUrl::Postgres(proxy.url.clone());
    proxy
}

async fn trouble(db: &mut Db, mode: u8) {
    let proxy = through_proxy(db);
    let mut rig = db.open();
    rig.send("a", "b", "1").await;
    proxy.set(mode);
    let began = Instant::now();
    for i in 0..50 {
        rig.submit(append("a", "b", None, &i.to_string()));
        rig.submit(append("a", &format!("p{i}"), None, &i.to_string()));
    }
    for _ in 0..100 {
        let event = rig.event().await;
        assert!(matches!(event, Event::Refused { why: Refusal::Unavailable, .. }), "{event:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(rig.store.ask(Ping).await.is_err());
    assert!(began.elapsed() < Duration::from_millis(3500), "{:?}", began.elapsed());
    proxy.set(PASS);
    rig.until_stored("a", "b", "back").await;
    let until = Instant::now() + Duration::from_secs(15);
    while rig.store.ask(Ping).await.is_err() {
        assert!(Instant::now() < until);
    }
    let (seqs, _) = rig.history("a", "b", Window::After(s(0)), 100).await;
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>());
}

#[test]
fn a_database_that_is_cut_off_comes_back_by_itself() {
    run(Db::postgres(), |db| Box::pin(trouble(db, CUT)));
}

#[test]
fn a_database_that_falls_silent_comes_back_by_itself() {
    run(Db::postgres(), |db| Box::pin(trouble(db, SILENT)));
}

#[test]
fn a_connection_that_broke_while_it_was_quiet_is_made_anew() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.outcome(append("a", "b", Some("1"), "1")).await;
            db.exec(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            assert!(matches!(rig.outcome(append("a", "b", Some("2"), "2")).await, Event::Appended { seq, .. } if seq == s(2)));
        })
    });
}

#[test]
fn errors_tell_what_to_do_without_the_password() {
    actix::System::new().block_on(async {
        let url = DatabaseUrl::Postgres("postgres://me:s3cret@127.0.0.1:1/im".into());
        let config = Database { url, lanes: 1, readers: 1, cache_kib: 1000 };
        let error = super::migrate(&config).unwrap_err().to_string();
        assert!(error.contains("database.url") && !error.contains("s3cret"), "{error}");
        assert!(super::backup(&config, Path::new("x")).unwrap_err().to_string().contains("pg_dump"));
    });
}
