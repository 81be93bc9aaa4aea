//! Notices: a subscribe message of WeChat's to who is away and has something unread.

mod schedule;
mod quiet;
mod compose;
