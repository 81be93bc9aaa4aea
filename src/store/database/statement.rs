//! Statements that are written out and prepared once a connection. diesel prepares its `sql_query` anew each
//! time, and for SQLite that takes longer than what is asked.

use std::borrow::Cow;

use diesel::backend::Backend;
use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Text, Untyped};
use diesel::sqlite::Sqlite;

/// A text with `$1`, `$2` and so on, each once and in this order, and what stands there. It is known again by
/// its text, so the texts must be few.
pub(in crate::store) struct Statement<'a> {
    text: Cow<'static, str>,
    binds: Vec<Bind<'a>>,
}

enum Bind<'a> {
    Text(&'a str),
    Number(i64),
}

impl<'a> Statement<'a> {
    pub(in crate::store) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), binds: Vec::new() }
    }

    pub(in crate::store) fn text(mut self, text: &'a str) -> Self {
        self.binds.push(Bind::Text(text));
        self
    }

    pub(in crate::store) fn number(mut self, number: i64) -> Self {
        self.binds.push(Bind::Number(number));
        self
    }
}

impl<DB> QueryFragment<DB> for Statement<'_>
where
    DB: Backend + HasSqlType<Text> + HasSqlType<BigInt>,
    str: ToSql<Text, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let mut pieces = self.text.split('$');
        out.push_sql(pieces.next().unwrap_or_default());
        for (bind, piece) in self.binds.iter().zip(pieces) {
            match bind {
                Bind::Text(text) => out.push_bind_param::<Text, str>(text)?,
                Bind::Number(number) => out.push_bind_param::<BigInt, i64>(number)?,
            }
            out.push_sql(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl<C> RunQueryDsl<C> for Statement<'_> {}

/// A connection that writes: what both databases take in the same words is said once.
pub(in crate::store) trait Writer {
    /// How many rows were changed.
    fn run(&mut self, statement: Statement<'_>) -> QueryResult<usize>;

    fn rows<R>(&mut self, statement: Statement<'_>) -> QueryResult<Vec<R>>
    where
        R: QueryableByName<Sqlite> + QueryableByName<Pg> + 'static;
}

impl Writer for SqliteConnection {
    fn run(&mut self, statement: Statement<'_>) -> QueryResult<usize> {
        statement.execute(self)
    }

    fn rows<R>(&mut self, statement: Statement<'_>) -> QueryResult<Vec<R>>
    where
        R: QueryableByName<Sqlite> + QueryableByName<Pg> + 'static,
    {
        statement.load(self)
    }
}

impl Writer for PgConnection {
    fn run(&mut self, statement: Statement<'_>) -> QueryResult<usize> {
        statement.execute(self)
    }

    fn rows<R>(&mut self, statement: Statement<'_>) -> QueryResult<Vec<R>>
    where
        R: QueryableByName<Sqlite> + QueryableByName<Pg> + 'static,
    {
        statement.load(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use diesel::connection::InstrumentationEvent;

    use super::*;
    use crate::store::database::conn::Conn;

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
        #[diesel(sql_type = BigInt)]
        number: i64,
    }

    #[test]
    fn a_text_is_prepared_once_and_its_parameters_are_bound_each_time() {
        let mut conn = Conn::Sqlite(SqliteConnection::establish(":memory:").unwrap());
        let prepared = Arc::new(AtomicUsize::new(0));
        let count = prepared.clone();
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::CacheQuery { .. } = event {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        for n in 0..12_i64 {
            let name = format!("{n}");
            let statement =
                Statement::new("SELECT $1 || '!' AS text, $2 + 10 AS number").text(&name).number(n);
            let row = statement.get_result::<Row>(&mut conn).unwrap();
            assert_eq!((row.text, row.number), (format!("{n}!"), n + 10));
        }
        assert_eq!(prepared.load(Ordering::Relaxed), 1);
    }
}
