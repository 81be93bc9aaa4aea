//! A read, and what reads have in common.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::ids::Seq;
use crate::store::database::conn::Conn;

/// A read. Every answer is what is committed at that moment.
pub trait Query: Send + 'static {
    type Answer: Send + 'static;

    /// Answers from the tables, on a reading thread. Only the store calls it.
    #[doc(hidden)]
    fn run(&self, conn: &mut Conn) -> QueryResult<Self::Answer>;
}

/// Whether the database answers.
#[derive(Debug)]
pub struct Ping;

impl Query for Ping {
    type Answer = ();

    fn run(&self, conn: &mut Conn) -> QueryResult<()> {
        diesel::select(diesel::dsl::sql::<BigInt>("CAST(1 AS BIGINT)")).get_result::<i64>(conn).map(|_| ())
    }
}

pub(in crate::store) fn seq(number: i64) -> Seq {
    Seq::parse(number).unwrap_or_default()
}

pub(in crate::store) fn unreadable(error: crate::ids::Malformed) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(error))
}

/// One more than wanted tells whether there is more.
pub(in crate::store) fn and_one(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1)
}
