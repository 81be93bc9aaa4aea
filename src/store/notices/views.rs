//! State of conversations with one who is away.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use crate::store::conversations::queries::{floor, last_seq, of_address, unread};

/// A user's views of their conversations: where the unread part begins, where it ends, and whether they were
/// told of it already.
macro_rules! view {
    () => {
        concat!(
            "SELECT m.openid, m.peer, m.conversation_id, m.uncounted, m.muted, m.sent_seq > 0 AS has_written, ",
            floor!(),
            ", ",
            last_seq!(),
            ", coalesce((SELECT x.sent_at FROM messages x WHERE x.conversation_id = m.conversation_id ORDER BY x.seq DESC LIMIT 1), 0) \
             AS last_at FROM members m WHERE m.openid = $1 AND "
        )
    };
}

macro_rules! told {
    () => {
        "EXISTS (SELECT 1 FROM notices n WHERE n.openid = t.openid AND n.peer = t.peer AND n.told_seq > t.floor_seq) AS told"
    };
}

pub(super) const VIEW: &str = concat!(
    "WITH t AS MATERIALIZED (",
    view!(),
    of_address!("$2"),
    ") SELECT t.peer, t.floor_seq, t.last_seq, t.last_at, t.muted, t.has_written, ",
    unread!(),
    " AS unread, ",
    told!(),
    " FROM t"
);

pub(in crate::store) const VIEWS: &str = concat!(
    "WITH t AS MATERIALIZED (",
    view!(),
    "m.may_have_unread = TRUE) SELECT t.peer, t.floor_seq, t.last_seq, t.last_at, t.muted, t.has_written, ",
    unread!(),
    " AS unread, ",
    told!(),
    " FROM t WHERE t.last_at >= $2 AND t.last_seq > t.floor_seq ORDER BY t.last_at, t.peer"
);

#[derive(QueryableByName)]
pub(super) struct ViewRow {
    #[diesel(sql_type = Text)]
    pub(super) peer: String,
    #[diesel(sql_type = BigInt)]
    pub(super) floor_seq: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) last_seq: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) last_at: i64,
    #[diesel(sql_type = Bool)]
    pub(super) muted: bool,
    /// The user has written to the peer.
    #[diesel(sql_type = Bool)]
    pub(super) has_written: bool,
    #[diesel(sql_type = BigInt)]
    pub(super) unread: i64,
    #[diesel(sql_type = Bool)]
    pub(super) told: bool,
}
