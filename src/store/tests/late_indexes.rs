//! Indexes that come late: built beside servers on PostgreSQL, at the start on SQLite.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::until;
use super::*;
use crate::jobs::{BuildIndex, Jobs, Runner};
use crate::lifecycle::Vital;
use crate::store::database::indexes::build_on_sqlite;

const BY_SENDER: LateIndex = LateIndex { name: "messages_by_sender", on: "messages (sender, seq)" };
const INDEXES: &[LateIndex] = &[BY_SENDER];

#[test]
fn a_killed_build_is_dropped_and_done_again() {
    run(Db::postgres(), |db| Box::pin(killed(db)));
}

#[test]
fn two_nodes_build_an_index_once() {
    run(Db::postgres(), |db| Box::pin(two_nodes(db)));
}

/// There no build may take as long as it must.
#[test]
fn through_a_pooler_none_is_begun_and_it_says_what_to_do() {
    run(Db::pooled(), |db| {
        Box::pin(async {
            let rig = db.open();
            let error = rig.store.build_index(&BY_SENDER).unwrap_err().to_string();
            assert!(error.contains("hongyan migrate") && standing(db).is_empty(), "{error}");
        })
    });
}

/// Of the index: 1 where it is whole, 0 where it is not; none where there is none.
fn standing(db: &Db) -> Vec<i64> {
    db.numbers(
        "SELECT i.indisvalid::int::bigint AS number FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         WHERE c.relname = 'messages_by_sender'",
    )
}

/// Connections that build it.
fn builders(db: &Db) -> Vec<i64> {
    db.numbers(
        "SELECT pid::bigint AS number FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
         AND query LIKE 'CREATE INDEX CONCURRENTLY messages_by_sender%'",
    )
}

/// A transaction that a build waits for.
fn hold(db: &Db) -> PgConnection {
    let mut holder = db.direct();
    holder.batch_execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0").unwrap();
    holder.batch_execute("BEGIN; UPDATE messages SET recalled = recalled WHERE seq = 1").unwrap();
    holder
}

fn runner(rig: &Rig) -> Runner {
    let job = Arc::new(BuildIndex { store: rig.store.clone(), indexes: INDEXES });
    let runner = Runner::new(Jobs::new(rig.store.clone()), vec![job], rig.metrics.clone());
    // The process of a test outlives its runners.
    let ends = Draining::default();
    ends.begin();
    runner.start(Vital::new("jobs", &ends));
    runner
}

async fn killed(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "x").await;
    let mut holder = hold(db);
    let _runner = runner(&rig);
    until("it is being built", || builders(db).len() == 1).await;
    // Everybody is served meanwhile, and without it.
    assert_eq!((rig.send("a", "c", "y").await, standing(db)), (1, vec![0]));
    db.exec(&format!("SELECT pg_terminate_backend({})", builders(db)[0]));
    until("the build is dead", || builders(db).is_empty()).await;
    assert_eq!(standing(db), [0], "what it leaves is of no use");
    holder.batch_execute("COMMIT").unwrap();
    until("it is built anew", || standing(db) == [1]).await;
    until("and its job is done", || db.numbers("SELECT count(*) AS number FROM jobs") == [0]).await;
    // One that is whole is left alone.
    rig.store.build_index(&BY_SENDER).unwrap();
}

async fn two_nodes(db: &mut Db) {
    let mut rigs = [db.open(), db.open()];
    rigs[0].send("a", "b", "x").await;
    let mut holder = hold(db);
    let _first = runner(&rigs[0]);
    until("it is being built", || builders(db).len() == 1).await;
    let _second = runner(&rigs[1]);
    // Longer than the second one takes to look.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(builders(db).len(), 1);
    // Nor does one build it whose process was taken for dead while its connection goes on.
    assert!(rigs[1].store.build_index(&BY_SENDER).unwrap_err().to_string().contains("another connection"));
    holder.batch_execute("COMMIT").unwrap();
    until("it is built", || standing(db) == [1]).await;
    until("and its job is done", || db.numbers("SELECT count(*) AS number FROM jobs") == [0]).await;
    let done = "hongyan_jobs_total{kind=\"build_index\",result=\"done\"} 1\n";
    assert_eq!(rigs.iter().filter(|rig| rig.metrics.encode().contains(done)).count(), 1);
}

#[test]
fn on_sqlite_a_start_builds_what_is_not_there() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            drop(db.open());
            let mut conn = conn::sqlite_writer(&db.path(), 1_000).unwrap();
            for _ in 0..2 {
                build_on_sqlite(&mut conn, INDEXES).unwrap();
            }
            let built = "SELECT count(*) AS number FROM sqlite_schema WHERE type = 'index' AND name = 'messages_by_sender'";
            assert_eq!(db.numbers(built), [1]);
        })
    });
}
