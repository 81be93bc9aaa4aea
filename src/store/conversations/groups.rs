//! Groups as their members see them. A message to a group writes nothing for its members, so each question looks
//! at all groups of the user: a few look-ups by index for each, whatever the group has. How many groups that
//! may be is bounded.

use crate::store::conversations::queries::floor;

/// Seqs of a block of `uncounted_blocks`. The same number stands in `hongyan_commit_groups`.
macro_rules! block_seqs {
    () => {
        "1024"
    };
}

/// Rows `m` of a user's groups `c`, which follow as `FROM` and a condition.
macro_rules! own_groups {
    ($more:expr) => {
        concat!(
            "SELECT c.address AS peer, m.conversation_id, c.last_seq, m.read_seq, m.cleared_seq, m.muted, m.pinned, ",
            floor!(),
            $more,
            " FROM members m JOIN conversations c ON c.id = m.conversation_id "
        )
    };
}

/// Of the rows `t`: what list, unread and sync have in common. What does not count is looked up in the messages
/// of the floor's block, and summed up over the blocks above.
macro_rules! standing {
    () => {
        concat!(
            "t.peer, t.conversation_id, t.last_seq, t.cleared_seq, t.read_seq, CAST(0 AS BIGINT) AS recv_seq, t.muted, t.pinned, \
             CAST(0 AS BIGINT) AS peer_read_seq, CAST(0 AS BIGINT) AS peer_recv_seq, \
             CASE WHEN t.last_seq <= t.floor_seq THEN 0 ELSE t.last_seq - t.floor_seq \
             - (SELECT count(*) FROM messages x WHERE x.conversation_id = t.conversation_id AND x.seq > t.floor_seq \
             AND x.seq < (t.floor_seq / ",
            block_seqs!(),
            " + 1) * ",
            block_seqs!(),
            " AND (x.target_seq IS NOT NULL OR x.recalled)) \
             - coalesce((SELECT CAST(sum(b.uncounted) AS BIGINT) FROM uncounted_blocks b \
             WHERE b.conversation_id = t.conversation_id AND b.block > t.floor_seq / ",
            block_seqs!(),
            "), 0) END AS unread"
        )
    };
}

/// Last message of the group of the row `t`.
macro_rules! last_message {
    () => {
        "l.sender, l.kind, l.body, l.client_msg_id, l.recalled, l.target_seq, l.sent_at"
    };
}

/// One page of the groups that a condition leaves.
macro_rules! page {
    ($condition:literal) => {
        concat!(
            "WITH t AS MATERIALIZED (",
            own_groups!(", l.stored_at AS last_at"),
            "JOIN messages l ON l.conversation_id = c.id AND l.seq = c.last_seq \
             WHERE m.openid = $1 AND m.peer IS NULL AND ",
            $condition,
            "c.last_seq > m.cleared_seq \
             AND (l.stored_at < $2 OR (l.stored_at = $3 AND c.address > $4)) \
             ORDER BY l.stored_at DESC, c.address LIMIT $5) \
             SELECT ",
            standing!(),
            ", CAST(0 AS BIGINT) AS total, t.last_at, ",
            last_message!(),
            " FROM t JOIN messages l ON l.conversation_id = t.conversation_id AND l.seq = t.last_seq \
             ORDER BY t.last_at DESC, t.peer"
        )
    };
}

/// One page of the list, as [`super::queries::CONVERSATIONS`] is one of direct conversations.
pub(in crate::store) const LISTED: &str = page!("");

/// As [`super::queries::PINNED`].
pub(in crate::store) const PINNED: &str = page!("m.pinned = TRUE AND ");

/// As [`super::queries::UNREAD`].
pub(in crate::store) const UNREAD: &str = concat!(
    "WITH t AS MATERIALIZED (",
    own_groups!(""),
    "WHERE m.openid = $1 AND m.peer IS NULL), u AS MATERIALIZED (SELECT ",
    standing!(),
    " FROM t WHERE t.last_seq > t.floor_seq) \
     SELECT u.*, CAST(sum(u.unread) OVER () AS BIGINT) AS total, l.stored_at AS last_at, ",
    last_message!(),
    " FROM u JOIN messages l ON l.conversation_id = u.conversation_id AND l.seq = u.last_seq \
     WHERE u.unread > 0 ORDER BY l.stored_at DESC, u.peer LIMIT $2"
);

/// When anything that the member sees of their group changed.
macro_rules! changed_at {
    () => {
        ", CASE WHEN c.changed_at > m.changed_at THEN c.changed_at ELSE m.changed_at END AS changed_at"
    };
}

/// As [`super::sync::CHANGED`].
pub(in crate::store) const CHANGED: &str = concat!(
    "WITH v AS (",
    own_groups!(changed_at!()),
    "WHERE m.openid = $1 AND m.peer IS NULL), t AS MATERIALIZED (SELECT v.* FROM v \
     WHERE v.changed_at >= $2 AND v.changed_at <= $3 AND (v.changed_at < $4 OR v.peer > $5) \
     ORDER BY v.changed_at DESC, v.peer LIMIT $6) SELECT ",
    standing!(),
    ", t.changed_at FROM t ORDER BY t.changed_at DESC, t.peer"
);

/// Continued with as many placeholders as there are addresses, and [`NAMED_END`].
pub(in crate::store) const NAMED: &str =
    concat!("WITH t AS MATERIALIZED (", own_groups!(changed_at!()), "WHERE m.openid = $1 AND c.address IN (");
pub(in crate::store) const NAMED_END: &str = concat!(")) SELECT ", standing!(), ", t.changed_at FROM t");

pub(in crate::store) use block_seqs;

/// Merges what was found of direct conversations and of groups, both in the order of `key`, up to `limit`.
pub(in crate::store) fn merged<R, K: Ord>(
    direct: Vec<R>,
    groups: Vec<R>,
    limit: usize,
    key: impl Fn(&R) -> K,
) -> Vec<R> {
    if groups.is_empty() {
        return direct;
    }
    let mut all = direct;
    all.extend(groups);
    all.sort_by_cached_key(key);
    all.truncate(limit);
    all
}
