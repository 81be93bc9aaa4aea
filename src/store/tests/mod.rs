//! What the store promises, held against both databases by the same tests; then the troubles that only one of
//! them has.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use actix::{Actor, Context, Handler};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tokio::sync::{mpsc, oneshot};

use super::blocks::*;
use super::conversations::*;
use super::messages::*;
use super::moderation::*;
use super::nodes::*;
use super::notices::*;
use super::operators::*;
use super::profiles::*;
use super::receipts::*;
use super::revocations::*;
use super::*;
use crate::config::Database;
use crate::event::cursor::{SessionTag, SyncCursor};
use crate::event::overview::Overview;
use crate::event::overview::{ListPlace, SyncPage};
use crate::event::revocation::Revoked;
use crate::event::{
    Audience, Conversation, Draft, Event, MemberSettings, Receipt, ReceiptKind, Refusal, RequestState,
};
use crate::ids::{Address, ClientMsgId, DatabaseGeneration, Kind, RequestId, Seq, SessionId};

/// Each test once for each database, and once with a pooler before it.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::super::run(Some(super::super::Db::sqlite()), |db| Box::pin(super::$name(db))); })*
        }
        mod postgres {
            $(#[test] fn $name() { super::super::run(super::super::Db::postgres(), |db| Box::pin(super::$name(db))); })*
        }
        mod pooled {
            $(#[test] fn $name() { super::super::run(super::super::Db::pooled(), |db| Box::pin(super::$name(db))); })*
        }
    };
}

/// Each test on connections of the store's own to PostgreSQL, and on pooled ones.
macro_rules! directly_and_pooled {
    ($($name:ident),* $(,)?) => {
        mod directly {
            $(#[test] fn $name() { super::super::run(super::super::Db::postgres(), |db| Box::pin(super::$name(db))); })*
        }
        mod pooled {
            $(#[test] fn $name() { super::super::run(super::super::Db::pooled(), |db| Box::pin(super::$name(db))); })*
        }
    };
}

mod promises;
mod recalls_and_blocks;
mod syncs;
mod groups;
mod presence;
mod profiles;
mod audits;
mod operators;
mod notices;
mod pins;
mod jobs;
mod late_indexes;
mod model;
mod op;
mod steps;
mod against_model;
mod sqlite_only;
mod idempotency_keys;
mod postgres_only;
mod plans;
mod several_nodes;
mod schema_steps;
mod batch_functions;
#[path = "../../../tests/torture/pgbouncer.rs"]
mod pgbouncer;

use pgbouncer::PgBouncer;

/// A database of one test's own.
struct Db {
    config: Database,
    limits: StoreLimits,
    /// Where to reach PostgreSQL past every proxy: the server's own database, and the name of the test's.
    admin: Option<(String, String)>,
    pooler: Option<PgBouncer>,
    dir: tempfile::TempDir,
}

/// A small answer, so that it is soon full.
const BOUNDS: SyncBounds = SyncBounds {
    answer_bytes: 10_000,
    message_bytes: |message| message.body.len() + 100,
    conversation_bytes: 200,
};

const LIMITS: StoreLimits = StoreLimits {
    writes_in_flight: 10_000,
    new_conversations_per_day: 0,
    recall_within_ms: 120_000,
    blocks_per_user: 0,
    bytes_per_day: 0,
};

impl Db {
    fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(dir.path().join("made/by/the/server.db"));
        Self {
            config: Database { url, lanes: 3, readers: 2, cache_kib: 4096, prepared_statements: true },
            limits: LIMITS,
            admin: None,
            pooler: None,
            dir,
        }
    }

    /// `None` when there is no PostgreSQL to test with.
    fn postgres() -> Option<Self> {
        let Ok(admin) = std::env::var("HONGYAN_TEST_POSTGRES_URL") else {
            eprintln!("skipped: HONGYAN_TEST_POSTGRES_URL is not set; `make test` starts one");
            return None;
        };
        let name = format!("hongyan_test_{:016x}", rand::random::<u64>());
        let mut conn = conn::postgres(&admin, true).unwrap();
        // On a busy machine it takes longer than any statement of the store may.
        conn.batch_execute("SET statement_timeout = 0").unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")).unwrap();
        let config = Database {
            url: DatabaseUrl::Postgres(database_of(&admin, &name)),
            lanes: 3,
            readers: 2,
            cache_kib: 4096,
            prepared_statements: true,
        };
        Some(Self {
            config,
            limits: LIMITS,
            admin: Some((admin, name)),
            pooler: None,
            dir: tempfile::tempdir().unwrap(),
        })
    }

    /// `None` when there is no PostgreSQL to test with, or no PgBouncer.
    fn pooled() -> Option<Self> {
        let program = pgbouncer::program().inspect_err(|why| eprintln!("skipped: {why}")).ok()?;
        let mut db = Self::postgres()?;
        let (admin, name) = db.admin.clone()?;
        db.exec(&format!("ALTER DATABASE {name} SET statement_timeout = '2s'"));
        let pooler = PgBouncer::before(&admin, program);
        db.config.url = DatabaseUrl::Postgres(pooler.url(&name));
        db.config.prepared_statements = false;
        db.pooler = Some(pooler);
        Some(db)
    }

    /// PostgreSQL, past every proxy and pooler.
    fn direct(&self) -> PgConnection {
        let (admin, name) = self.admin.as_ref().unwrap();
        conn::postgres(&database_of(admin, name), true).unwrap()
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
            DatabaseUrl::Postgres(_) => self.direct().batch_execute(sql).unwrap(),
        }
    }

    /// Makes a group. No call does yet.
    fn make_group(&self, group: &Conversation, members: &[OpenId]) {
        let (address, now) = (group.store_address(), now_ms());
        self.exec(&format!(
            "UPDATE store_clock SET reached = CASE WHEN reached < {now} THEN {now} ELSE reached END; \
             INSERT INTO conversations (kind, address, created_by, created_at, changed_at) VALUES (1, '{address}', 'x', {now}, {now})"
        ));
        for member in members {
            self.exec(&format!(
                "INSERT INTO members (conversation_id, openid) SELECT id, '{member}' FROM conversations WHERE address = '{address}'"
            ));
        }
    }

    /// What a query says, a `number` a row.
    fn numbers(&self, sql: &str) -> Vec<i64> {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            number: i64,
        }
        let rows: Vec<Row> = match &self.config.url {
            DatabaseUrl::Sqlite(path) => {
                diesel::sql_query(sql).load(&mut conn::sqlite_writer(path, 1000).unwrap()).unwrap()
            }
            DatabaseUrl::Postgres(_) => diesel::sql_query(sql).load(&mut self.direct()).unwrap(),
        };
        rows.into_iter().map(|row| row.number).collect()
    }

    fn open(&self) -> Rig {
        let (sender, events) = mpsc::unbounded_channel();
        let metrics = Metrics::new();
        let committed = Sink(sender).start().recipient();
        let store =
            Store::open(&self.config, self.limits, &metrics, &Draining::default(), committed).unwrap();
        Rig { store, events, ready: VecDeque::new(), metrics }
    }
}

/// A ban by the command line.
fn ban(openid: &OpenId, until: Option<i64>) -> Operation<'_> {
    let revoke = Revoking {
        openid,
        what: Revoked::Access { until },
        for_ms: None,
        reason: Some("spam".into()),
        known_only: false,
    };
    Operation {
        who: "root on here".into(),
        act: "ban",
        target: Some(openid.as_str()),
        detail: None,
        revoke: Some(revoke),
    }
}

/// The URL of another database on the same server.
fn database_of(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let slash = base.find("://").map_or(0, |at| at + 3);
    let authority = base[slash..].find('/').map_or(base, |at| &base[..slash + at]);
    format!("{authority}/{name}{}", query.map(|q| format!("?{q}")).unwrap_or_default())
}

impl Drop for Db {
    fn drop(&mut self) {
        if let Some((admin, name)) = &self.admin
            && let Ok(mut conn) = conn::postgres(admin, true)
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
    fn submit(&self, write: impl Submit) {
        self.submit_for(write, Reply::Nobody);
    }

    fn submit_for(&self, write: impl Submit, reply: Reply) {
        self.store.submit(write, reply).unwrap();
    }

    /// Hands it in; what to wait for.
    fn calling<S: Submit>(&self, write: S) -> oneshot::Receiver<Result<S::Reply, Refusal>> {
        let (reply, outcome) = PendingReply::new();
        self.submit_for(write, Reply::Caller(reply));
        outcome
    }

    async fn call<S: Submit>(&self, write: S) -> Result<S::Reply, Refusal> {
        self.calling(write).await.unwrap()
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

    async fn outcome(&mut self, write: impl Submit) -> Event {
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
        self.call(Mark { receipt: read(who, peer, seq) }).await
    }

    async fn clear(&mut self, who: &str, peer: &str, up_to: Option<i64>) -> Result<(), Refusal> {
        self.call(Clear { openid: o(who), conversation: with(who, peer), up_to: up_to.map(s) }).await
    }

    async fn block(&mut self, who: &str, peer: &str, change: BlockChange) -> Result<(), Refusal> {
        self.call(Block { openid: o(who), peer: o(peer), change }).await?;
        if change == BlockChange::Block {
            let event = self.event().await;
            assert!(
                matches!(&event, Event::PresenceWithdrawn { openid, from } if *openid == o(who) && *from == Some(o(peer))),
                "{event:?}"
            );
        }
        Ok(())
    }

    async fn sync(
        &self,
        who: &str,
        since: Option<SyncCursor>,
        named: &[(&str, i64)],
        limit: usize,
    ) -> SyncPage {
        self.sync_in(SessionTag::NONE, who, since, named, limit).await
    }

    async fn sync_in(
        &self,
        session: SessionTag,
        who: &str,
        since: Option<SyncCursor>,
        named: &[(&str, i64)],
        limit: usize,
    ) -> SyncPage {
        let named = named.iter().map(|(peer, seq)| (with(who, peer), s(*seq))).collect();
        self.store
            .sync(Sync {
                openid: o(who),
                kinds: Kinds::Direct,
                since,
                session,
                named,
                limit,
                sent_since: None,
                bounds: BOUNDS,
            })
            .await
            .unwrap()
    }

    async fn history(&self, who: &str, peer: &str, window: Window, limit: usize) -> (Vec<i64>, bool) {
        let (openid, conversation) = (o(who), with(who, peer));
        let page = self.store.ask(History { openid, conversation, window, limit }).await.unwrap();
        (page.messages.iter().map(|m| m.seq.get()).collect(), page.has_more)
    }

    async fn list(&self, who: &str, limit: usize, after: Option<ListPlace>) -> ConversationPage {
        self.listed(who, Choice::All, limit, after).await
    }

    async fn listed(
        &self,
        who: &str,
        choice: Choice,
        limit: usize,
        after: Option<ListPlace>,
    ) -> ConversationPage {
        let page = Conversations { openid: o(who), kinds: Kinds::Direct, choice, limit, after };
        self.store.ask(page).await.unwrap()
    }

    async fn unread(&self, who: &str) -> (i64, Vec<(String, i64)>) {
        let summary =
            self.store.ask(Unread { openid: o(who), kinds: Kinds::Direct, limit: 100 }).await.unwrap();
        let one = |c: &Listed| (peer_of(&c.overview, who).to_owned(), c.overview.unread);
        (summary.total, summary.conversations.iter().map(one).collect())
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

/// The conversation that `who` calls `address`.
fn with(who: &str, address: &str) -> Conversation {
    Conversation::of(&o(who), Address::parse(address).unwrap())
}

fn peer_of<'a>(overview: &'a Overview, who: &str) -> &'a str {
    overview.conversation.address_str(&o(who))
}

fn s(number: i64) -> Seq {
    Seq::parse(number).unwrap()
}

fn draft(from: &str, to: &str, id: Option<&str>, body: String) -> Draft {
    Draft {
        session: SessionId::fresh(),
        request_id: None,
        sender: o(from),
        conversation: with(from, to),
        client_msg_id: id.map(|id| ClientMsgId::parse(id).unwrap()),
        kind: Kind::parse("text").unwrap(),
        body: body.into(),
        target: None,
        quote: None,
    }
}

fn recall(from: &str, to: &str, target: i64) -> Append {
    let draft = Draft { kind: Kind::recall(), target: Some(s(target)), ..draft(from, to, None, "{}".into()) };
    Append { draft, admission: Admission::Open, finding: None, charge: None }
}

/// Of one who writes too fast.
const OVER_RATE: Admission = Admission::RepeatsOnly(Refusal::RateLimited { retry_after_ms: 70 });

fn read(who: &str, peer: &str, seq: i64) -> Receipt {
    Receipt {
        kind: ReceiptKind::Read,
        openid: o(who),
        conversation: with(who, peer),
        seq: s(seq),
        session: None,
    }
}

fn recv(who: &str, peer: &str, seq: i64) -> Receipt {
    Receipt { kind: ReceiptKind::Recv, ..read(who, peer, seq) }
}

fn append(from: &str, to: &str, id: Option<&str>, text: &str) -> Append {
    Append {
        draft: draft(from, to, id, format!(r#"{{"message":"{text}"}}"#)),
        admission: Admission::Open,
        finding: None,
        charge: None,
    }
}

impl Submit for Write {
    type Reply = ();

    fn into_write(self) -> Write {
        self
    }
}

fn run(db: Option<Db>, test: impl for<'a> FnOnce(&'a mut Db) -> Pin<Box<dyn Future<Output = ()> + 'a>>) {
    let Some(mut db) = db else { return };
    actix::System::new().block_on(test(&mut db));
}

/// Opens again what was just closed: a SQLite file stays locked until its lane's thread has ended.
async fn reopened(db: &Db) -> Rig {
    if let DatabaseUrl::Sqlite(path) = &db.config.url {
        let until = Instant::now() + Duration::from_secs(5);
        while let Err(error) = FileLock::take(path) {
            assert!(Instant::now() < until, "{error}");
            tokio::task::yield_now().await;
        }
    }
    db.open()
}
