//! What a batch reads must not grow with what is stored, on a database that PostgreSQL has no statistics of
//! least of all.

use diesel::prelude::*;

use super::*;

const BATCH: u64 = 200;
/// A row of a batch may look up a few others, each by an index.
const READS: u64 = 20 * BATCH;

/// One batch of `BATCH` writes between 100 pairs. A plan that was made in this session stays.
fn batch(round: u64, op: u8) -> String {
    let column = |value: &str, kind: &str| {
        format!("(SELECT array_agg(({value})::{kind} ORDER BY n) FROM generate_series(1, {BATCH}) n)")
    };
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
            let number = |conn: &mut PgConnection, sql: &str| {
                let Number { number } = diesel::sql_query(sql).get_result(conn).unwrap();
                u64::try_from(number).unwrap()
            };
            const READ: &str = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint AS number FROM pg_stat_xact_user_tables";
            for round in 0..20 {
                // Appends, the same again, read marks, recalls, those of the operator.
                for op in [0, 0, 2, 6, 10] {
                    conn.batch_execute("BEGIN").unwrap();
                    // What transactions before have read is in it until PostgreSQL finds the time to add it
                    // up.
                    let before = number(&mut conn, READ);
                    assert_eq!(number(&mut conn, &batch(round, op)), BATCH);
                    let read = number(&mut conn, READ) - before;
                    conn.batch_execute("COMMIT").unwrap();
                    assert!(read <= READS, "round {round}, op {op}: a batch of {BATCH} read {read} rows");
                }
            }
        })
    });
}
