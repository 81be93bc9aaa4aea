//! What a batch or a question reads must not grow with what is stored, whatever statistics a database has.

use diesel::prelude::*;

use super::*;
use crate::store;
use crate::store::conversations::groups;

const BATCH: u64 = 200;
/// A row of a batch may look up a few others, each by an index.
const READS: u64 = 20 * BATCH;

/// A column of a batch: `value`, by the number `n` of the write.
fn column(value: &str, kind: &str) -> String {
    format!("(SELECT array_agg(({value})::{kind} ORDER BY n) FROM generate_series(1, {BATCH}) n)")
}

/// One batch of `BATCH` writes between 100 pairs. A plan that was made in this session stays.
fn batch(round: u64, op: u8) -> String {
    let columns = [
        column(&op.to_string(), "smallint"),
        column("'a' || n % 100", "text"),
        column("'b' || n % 100", "text"),
        column("'d:a' || n % 100 || ':b' || n % 100", "text"),
        column(&format!("'{round}-{op}-' || n"), "text"),
        column("'text'", "text"),
        column("'{}'", "text"),
        // Of a recall the message, of a mark where it moves to.
        column(&(2 * round + 1).to_string(), "bigint"),
    ];
    format!(
        "SELECT count(*) AS number FROM {}({}, {}, 0, 120000, 1000)",
        postgres::functions::COMMIT_FUNCTION.name,
        columns.join(", "),
        crate::ids::now_ms()
    )
}

/// One batch of `BATCH` writes of the members a1, a2 … of 100 groups.
fn group_batch(round: u64, op: u8) -> String {
    let columns = [
        column(&op.to_string(), "smallint"),
        column("'a' || n % 100", "text"),
        column("'g:' || n % 100", "text"),
        column(&format!("'{round}-{op}-' || n"), "text"),
        column("'text'", "text"),
        column("'{}'", "text"),
        column(&(2 * round + 1).to_string(), "bigint"),
    ];
    format!(
        "SELECT count(*) AS number FROM {}({}, {}, 120000)",
        postgres::functions::GROUPS_FUNCTION.name,
        columns.join(", "),
        crate::ids::now_ms()
    )
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    number: i64,
}

#[test]
fn a_batch_reads_by_index_on_a_young_database() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            drop(db.open());
            db.exec("ALTER TABLE messages SET (autovacuum_enabled = off); ALTER TABLE members SET (autovacuum_enabled = off)");
            db.exec("INSERT INTO blocks (openid, blocked, at) SELECT 'x' || n, 'y', 0 FROM generate_series(1, 5000) n");
            let DatabaseUrl::Postgres(url) = &db.config.url else { panic!("not PostgreSQL") };
            let mut conn = conn::postgres(url, true).unwrap();
            for round in 0..20 {
                // Appends, the same again, read marks, recalls, those of the operator.
                for op in [0, 0, 2, 6, 10] {
                    batch_reads_at_most(&mut conn, &batch(round, op));
                }
            }
        })
    });
}

#[test]
fn a_batch_about_groups_reads_by_index_on_a_young_database() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            drop(db.open());
            db.exec(
                "ALTER TABLE messages SET (autovacuum_enabled = off); ALTER TABLE members SET (autovacuum_enabled = off); \
                 ALTER TABLE conversations SET (autovacuum_enabled = off); \
                 INSERT INTO conversations (kind, address, created_by, created_at) SELECT 1, 'g:' || n, 'x', 0 FROM generate_series(0, 99) n; \
                 INSERT INTO members (conversation_id, openid) \
                   SELECT id, m || substr(address, 3) FROM conversations CROSS JOIN unnest(ARRAY['a', 'b', 'c']) m",
            );
            let DatabaseUrl::Postgres(url) = &db.config.url else { panic!("not PostgreSQL") };
            let mut conn = conn::postgres(url, true).unwrap();
            for round in 0..20 {
                for op in [0, 0, 2, 3, 6, 10] {
                    batch_reads_at_most(&mut conn, &group_batch(round, op));
                }
            }
        })
    });
}

/// Runs a batch, and holds what it reads against [`READS`].
fn batch_reads_at_most(conn: &mut PgConnection, batch: &str) {
    const READ: &str = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint AS number FROM pg_stat_xact_user_tables";
    conn.batch_execute("BEGIN").unwrap();
    let mut number = |sql: &str| {
        let Number { number } = diesel::sql_query(sql).get_result(conn).unwrap();
        u64::try_from(number).unwrap()
    };
    // What transactions before have read is in it until PostgreSQL finds the time to add it up.
    let before = number(READ);
    assert_eq!(number(batch), BATCH);
    let read = number(READ) - before;
    conn.batch_execute("COMMIT").unwrap();
    assert!(read <= READS, "a batch of {BATCH} read {read} rows: {batch}");
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

/// Of a user with many conversations and few that are unread, before somebody has run `ANALYZE` and after.
#[test]
fn a_users_rows_are_found_by_the_index_of_what_is_asked() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            drop(db.open());
            db.exec(
                "INSERT INTO conversations (kind, address, created_by, created_at) \
                   WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000) \
                   SELECT 0, 'd:me:p' || n, 'p' || n, n FROM s; \
                 INSERT INTO members (conversation_id, openid, peer, may_have_unread, pinned, changed_at, last_at) \
                   SELECT id, 'me', created_by, created_at > 1990, created_at > 1980, created_at, created_at FROM conversations; \
                 INSERT INTO members (conversation_id, openid, peer, changed_at, last_at) \
                   SELECT id, created_by, 'me', created_at, created_at FROM conversations; \
                 INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at) \
                   SELECT id, 1, created_by, 'text', '{}', created_at, created_at FROM conversations",
            );
            let asked = [
                (
                    queries::CONVERSATIONS,
                    "m USING INDEX members_by_last (openid=? AND last_at>? AND last_at<?)",
                ),
                (queries::UNREAD, "m USING INDEX members_unread (openid=? AND may_have_unread=?)"),
                (queries::PINNED, "m USING INDEX members_pinned (openid=? AND pinned=?)"),
                (
                    sync::CHANGED,
                    "m USING INDEX members_by_change (openid=? AND changed_at>? AND changed_at<?)",
                ),
                (
                    store::notices::views::VIEWS,
                    "m USING INDEX members_unread (openid=? AND may_have_unread=?)",
                ),
            ];
            for statistics in ["", "ANALYZE"] {
                db.exec(statistics);
                let mut conn = conn::sqlite_reader(&db.path(), 1_024).unwrap();
                for (text, index) in asked {
                    let steps: Vec<Step> =
                        diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}")).load(&mut conn).unwrap();
                    let plan: Vec<_> = steps.into_iter().map(|step| step.detail).collect();
                    let found = plan.iter().filter(|step| step.ends_with(index)).count();
                    let looked = plan.iter().filter(|step| step.contains(" m ")).count();
                    assert!(found > 0 && found == looked, "{statistics} {text}\n{plan:#?}");
                }
            }
        })
    });
}

/// Of a user with many conversations and few groups, before somebody has run `ANALYZE` and after.
#[test]
fn a_users_groups_are_found_by_index() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            drop(db.open());
            db.exec(
                "INSERT INTO conversations (kind, address, created_by, created_at) \
                   WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000) \
                   SELECT CASE WHEN n > 1990 THEN 1 ELSE 0 END, 'x' || n, 'p' || n, n FROM s; \
                 INSERT INTO members (conversation_id, openid, peer) \
                   SELECT id, 'me', CASE WHEN kind = 0 THEN created_by END FROM conversations; \
                 INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at, target_seq) \
                   SELECT id, 1, created_by, 'text', '{}', created_at, created_at, CASE WHEN kind = 1 THEN 9 END FROM conversations; \
                 INSERT INTO uncounted_blocks (conversation_id, block, uncounted) SELECT id, 0, 1 FROM conversations",
            );
            let of_user = "m USING INDEX members_of_groups (openid=?)";
            let named = format!("{} 'g:a', 'g:b' {}", groups::NAMED, groups::NAMED_END);
            let asked = [
                (groups::LISTED, of_user),
                (groups::UNREAD, of_user),
                (groups::CHANGED, of_user),
                (&named, "c USING INDEX sqlite_autoindex_conversations_1 (address=?)"),
            ];
            for statistics in ["", "ANALYZE"] {
                db.exec(statistics);
                let mut conn = conn::sqlite_reader(&db.path(), 1_024).unwrap();
                for (text, index) in asked {
                    let steps: Vec<Step> =
                        diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}")).load(&mut conn).unwrap();
                    let plan: Vec<_> = steps.into_iter().map(|step| step.detail).collect();
                    let uncounted = [
                        "x USING INDEX messages_uncounted (conversation_id=? AND seq>? AND seq<?)",
                        "b USING PRIMARY KEY (conversation_id=? AND block>?)",
                    ];
                    for search in uncounted.into_iter().chain([index]) {
                        assert!(
                            plan.iter().any(|step| step.ends_with(search)),
                            "{statistics} {search} {plan:#?}"
                        );
                    }
                    let is_table = |step: &&String| {
                        ["c", "m", "l", "x", "b"].iter().any(|name| **step == format!("SCAN {name}"))
                    };
                    assert_eq!(plan.iter().find(is_table), None, "{statistics} {plan:#?}");
                }
            }
        })
    });
}
