//! The ledger of grants, what was sent to those who are away, and who wants to be left alone.

use diesel::prelude::*;

use super::conn::Conn;
use super::messages::{Candidate, NoticeCandidates, NoticeStanding, NoticeState, Query, UntoldPage, UntoldSince};

impl Query for NoticeCandidates {
    type Answer = Vec<Candidate>;

    fn run(&self, _: &mut Conn) -> QueryResult<Vec<Candidate>> {
        Err(diesel::result::Error::NotFound)
    }
}

impl Query for NoticeState {
    type Answer = NoticeStanding;

    fn run(&self, _: &mut Conn) -> QueryResult<NoticeStanding> {
        Err(diesel::result::Error::NotFound)
    }
}

impl Query for UntoldSince {
    type Answer = UntoldPage;

    fn run(&self, _: &mut Conn) -> QueryResult<UntoldPage> {
        Err(diesel::result::Error::NotFound)
    }
}
