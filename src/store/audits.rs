//! What checks of contents have found.

use diesel::prelude::*;

use super::conn::Conn;
use super::messages::{AuditedMessage, MessageOfTrace, Query, Review, ReviewById, ReviewPage, Reviews};

impl Query for MessageOfTrace {
    type Answer = Option<AuditedMessage>;

    fn run(&self, _: &mut Conn) -> QueryResult<Option<AuditedMessage>> {
        Err(diesel::result::Error::NotFound)
    }
}

impl Query for Reviews {
    type Answer = ReviewPage;

    fn run(&self, _: &mut Conn) -> QueryResult<ReviewPage> {
        Err(diesel::result::Error::NotFound)
    }
}

impl Query for ReviewById {
    type Answer = Option<Review>;

    fn run(&self, _: &mut Conn) -> QueryResult<Option<Review>> {
        Err(diesel::result::Error::NotFound)
    }
}
