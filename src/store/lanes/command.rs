//! Writes beside messages, marks and blocks: each says itself what it does, once for both databases. To add one,
//! write a type and its [`Command`]; nothing else in the store names it.

use std::any::Any;
use std::fmt;

use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::Sqlite;
use tokio::sync::oneshot;

use crate::event::{Conversation, Event, Places, Refusal};
use crate::store::database::statement::{Statement, Writer};

/// A write of its own kind, committed with the messages of its batch.
pub trait Command: fmt::Debug + Send + Sync + 'static {
    /// Outcome that the caller hears once it is durable.
    type Reply: Send + 'static;

    /// What it keeps its order with.
    fn order(&self) -> Order;

    /// Locks that it needs against other nodes, on PostgreSQL.
    fn locks(&self, _: &mut Locks) {}

    /// Whether doing it twice is the same as once. If not, it is never tried again where its first outcome is unknown.
    fn is_idempotent(&self) -> bool {
        true
    }

    /// Whether its caller waits for the outcome however late, instead of hearing `unavailable` at the deadline.
    fn outlasts_deadline(&self) -> bool {
        false
    }

    /// Whether it brings so much that only a few of its kind may be under way.
    fn is_large(&self) -> bool {
        false
    }

    /// Name of what it sets, where its event is outdated once another write has set the same.
    fn setting(&self) -> Option<String> {
        None
    }

    /// Event for the chat.
    fn event(&self, _: &Self::Reply) -> Option<Event> {
        None
    }

    /// Does it, within the transaction of the batch, after what came before it. Only the store calls it.
    ///
    /// # Errors
    /// The database's: then nothing of the batch is stored.
    #[doc(hidden)]
    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<Self::Reply, Refusal>>;
}

/// What a command keeps its order with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Order {
    /// The messages and marks of this conversation, whose row it holds.
    Conversation(Conversation),
    /// Commands that say the same.
    Own(String),
}

/// Times of a batch, in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Times {
    /// The system's clock, for people.
    pub(in crate::store) system: i64,
    /// The store's own, which never goes back.
    pub(in crate::store) store: i64,
    /// The database's clock as it stands; on SQLite the store's own.
    pub(in crate::store) database: i64,
}

#[derive(QueryableByName)]
struct Clocks {
    #[diesel(sql_type = BigInt)]
    store: i64,
    #[diesel(sql_type = BigInt)]
    database: i64,
}

impl Times {
    /// On PostgreSQL, by its clock as it stands now.
    pub(in crate::store) fn of_postgres(conn: &mut PgConnection, system: i64) -> QueryResult<Self> {
        const CLOCKS: &str = "SELECT c.now AS database, greatest(c.now, (SELECT reached FROM store_clock)) AS store \
             FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS c";
        let Clocks { store, database } = Statement::new(CLOCKS).get_result(conn)?;
        Ok(Self { system, store, database })
    }
}

/// Locks of a batch against those of other nodes. They are taken at once and in one order, so that no two
/// transactions wait for each other in a circle.
#[derive(Debug, Default)]
pub struct Locks {
    names: Vec<String>,
    notices: Vec<String>,
}

impl Locks {
    /// What concerns one user.
    pub(in crate::store) fn user(&mut self, what: &str, openid: &str) {
        self.names.push(format!("{what} {openid}"));
    }

    /// What concerns all.
    pub(in crate::store) fn all(&mut self, what: &str) {
        self.names.push(what.to_owned());
    }

    /// Notices of the user to whom the notice with this id goes.
    pub(in crate::store) fn notice(&mut self, id: i64) {
        self.notices.push(id.to_string());
    }

    /// Takes them, until the end of the transaction.
    pub(in crate::store) fn take(&self, conn: &mut PgConnection) -> QueryResult<()> {
        const TAKE: &str = "SELECT count(pg_advisory_xact_lock(k.key)) FROM ( \
                 SELECT DISTINCT hashtextextended('hongyan ' || u.name, 0) AS key FROM ( \
                     SELECT unnest(string_to_array($1, ',')) AS name \
                     UNION SELECT 'notices ' || n.openid FROM notices n WHERE n.id = ANY (string_to_array($2, ',')::bigint[]) \
                 ) u ORDER BY 1 \
             ) k";
        if self.names.is_empty() && self.notices.is_empty() {
            return Ok(());
        }
        let (names, notices) = (self.names.join(","), self.notices.join(","));
        Statement::new(TAKE).text(&names).text(&notices).execute(conn).map(drop)
    }
}

/// The connection of a batch.
#[doc(hidden)]
pub enum Db<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

/// Runs the same on either database's connection.
macro_rules! on_either {
    ($db:expr, $conn:ident => $run:expr) => {
        match $db {
            $crate::store::lanes::command::Db::Sqlite($conn) => $run,
            $crate::store::lanes::command::Db::Postgres($conn) => $run,
        }
    };
}

pub(in crate::store) use on_either;

impl Writer for Db<'_> {
    fn run(&mut self, statement: Statement<'_>) -> QueryResult<usize> {
        on_either!(self, conn => conn.run(statement))
    }

    fn rows<R>(&mut self, statement: Statement<'_>) -> QueryResult<Vec<R>>
    where
        R: QueryableByName<Sqlite> + QueryableByName<Pg> + 'static,
    {
        on_either!(self, conn => conn.rows(statement))
    }
}

/// A reply of any command.
pub(in crate::store) type AnyReply = Box<dyn Any + Send>;

/// A [`Command`] whose reply's type is forgotten.
pub(in crate::store) trait AnyCommand: fmt::Debug + Send + Sync {
    fn order(&self) -> Order;
    fn locks(&self, locks: &mut Locks);
    fn is_idempotent(&self) -> bool;
    fn outlasts_deadline(&self) -> bool;
    fn is_large(&self) -> bool;
    fn setting(&self) -> Option<String>;
    fn event(&self, reply: &AnyReply) -> Option<Event>;
    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<AnyReply, Refusal>>;
}

impl<C: Command> AnyCommand for C {
    fn order(&self) -> Order {
        Command::order(self)
    }

    fn locks(&self, locks: &mut Locks) {
        Command::locks(self, locks);
    }

    fn is_idempotent(&self) -> bool {
        Command::is_idempotent(self)
    }

    fn outlasts_deadline(&self) -> bool {
        Command::outlasts_deadline(self)
    }

    fn is_large(&self) -> bool {
        Command::is_large(self)
    }

    fn setting(&self) -> Option<String> {
        Command::setting(self)
    }

    fn event(&self, reply: &AnyReply) -> Option<Event> {
        reply.downcast_ref().and_then(|reply| Command::event(self, reply))
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<AnyReply, Refusal>> {
        Command::apply(self, db, times).map(|outcome| outcome.map(|reply| Box::new(reply) as AnyReply))
    }
}

/// A command on its way.
#[derive(Debug)]
pub struct QueuedCommand {
    pub(in crate::store) command: Box<dyn AnyCommand>,
    /// Of a large one, given back with the last of it.
    pub(in crate::store) place: Option<Places>,
}

/// Reply that a caller waits for.
pub struct PendingReply(Box<dyn FnOnce(Result<AnyReply, Refusal>) + Send>);

impl PendingReply {
    /// The reply of a write, and what to wait for; that is closed where the write was not accepted.
    pub fn new<R: Send + 'static>() -> (Self, oneshot::Receiver<Result<R, Refusal>>) {
        let (sender, receiver) = oneshot::channel();
        let send = move |outcome: Result<AnyReply, Refusal>| {
            let reply = outcome.and_then(|reply| reply.downcast().map_err(|_| Refusal::Unavailable));
            // One who has gone is not told.
            drop(sender.send(reply.map(|reply: Box<R>| *reply)));
        };
        (Self(Box::new(send)), receiver)
    }

    pub(in crate::store) fn send(self, outcome: Result<AnyReply, Refusal>) {
        (self.0)(outcome);
    }
}

impl fmt::Debug for PendingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingReply")
    }
}
