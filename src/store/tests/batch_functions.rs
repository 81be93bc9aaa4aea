//! The functions that write a batch: one version for each release, side by side on one database.

use std::sync::Barrier;

use super::postgres::functions::{
    COMMIT, COMMIT_FUNCTION, COMMIT_SQL, Function, GROUPS_FUNCTION, NameFunctions,
};
use super::*;

directly_and_pooled!(
    two_versions_of_a_function_commit_to_one_database,
    a_function_that_is_gone_is_created_anew_under_a_running_node,
    a_function_is_dropped_when_no_node_has_named_it_for_a_day,
    many_nodes_start_at_once_on_an_empty_database,
);

impl Db {
    /// Names of the functions that write batches, sorted.
    fn functions(&self) -> Vec<String> {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            name: String,
        }
        let query = "SELECT proname::text AS name FROM pg_proc WHERE proname ~ '^hongyan_(commit|profiles)' ORDER BY proname";
        let rows: Vec<Row> = diesel::sql_query(query).load(&mut self.direct()).unwrap();
        rows.into_iter().map(|row| row.name).collect()
    }

    /// Creates the commit function of another release, as its start does.
    fn with_other_release(&self) -> Function {
        let other = Function::of(COMMIT, &COMMIT_SQL.replace("-- op:\n", "-- op (of another release):\n"));
        self.direct()
            .transaction(|conn| {
                crate::store::migrations::lock(conn)?;
                other.make(conn)
            })
            .unwrap();
        other
    }
}

fn own() -> [String; 2] {
    [&COMMIT_FUNCTION, &GROUPS_FUNCTION].map(|function| function.name.clone())
}

fn with_own(other: &Function) -> Vec<String> {
    let mut all = own().to_vec();
    all.push(other.name.clone());
    all.sort();
    all
}

async fn two_versions_of_a_function_commit_to_one_database(db: &mut Db) {
    let mut rig = db.open();
    let other = db.with_other_release();
    assert_eq!(db.functions(), with_own(&other));
    assert_eq!(rig.send("a", "b", "own").await, 1);
    let by_other = format!(
        "SELECT seq AS number FROM {}('{{0}}', '{{b}}', '{{a}}', '{{d:a:b}}', '{{m}}', '{{text}}', ARRAY['{{\"message\":\"x\"}}'], '{{0}}', {}, 0, 120000, 0)",
        other.name,
        now_ms()
    );
    assert_eq!(db.numbers(&by_other), [2]);
    assert_eq!(rig.send("a", "b", "own").await, 3);
    let repeated = rig.outcome(append("b", "a", Some("m"), "x")).await;
    assert!(matches!(&repeated, Event::Repeated { stored, .. } if stored.seq == s(2)), "{repeated:?}");
    // A node that starts leaves the other's as it is.
    assert_eq!(db.open().send("a", "b", "own").await, 4);
    assert_eq!(db.functions(), with_own(&other));
}

async fn a_function_that_is_gone_is_created_anew_under_a_running_node(db: &mut Db) {
    db.config.lanes = 1;
    let mut rig = db.open();
    rig.send("a", "b", "1").await;
    let signature = format!("FROM pg_proc WHERE proname = '{}'", COMMIT_FUNCTION.name);
    for seq in [2, 3] {
        db.exec(&format!(
            "DO $$ BEGIN EXECUTE (SELECT 'DROP FUNCTION ' || oid::regprocedure {signature}); END $$"
        ));
        assert_eq!(rig.send("a", "b", "again").await, seq);
    }
    assert_eq!(db.functions(), own());
}

async fn a_function_is_dropped_when_no_node_has_named_it_for_a_day(db: &mut Db) {
    let rig = db.open();
    let other = db.with_other_release();
    const AGO: &str =
        "UPDATE batch_functions SET named_at = (extract(epoch FROM now()) * 1000)::bigint - 3600000 *";
    let old = "SELECT count(*) AS number FROM batch_functions WHERE named_at < (extract(epoch FROM now()) * 1000)::bigint - 1800000";
    db.exec(&format!("{AGO} 23"));
    crate::store::migrate(&db.config).unwrap();
    assert_eq!(db.functions(), with_own(&other), "not yet a day");
    assert_eq!(db.numbers(old), [1], "a start names its own");
    db.exec(&format!("{AGO} 25"));
    rig.store.ask(NameFunctions).await.unwrap();
    assert_eq!(db.numbers(old), [1], "a running node names its own");
    crate::store::migrate(&db.config).unwrap();
    assert_eq!(db.functions(), own());
    assert_eq!(db.numbers("SELECT count(*) AS number FROM batch_functions"), [2]);
}

async fn many_nodes_start_at_once_on_an_empty_database(db: &mut Db) {
    let line = Barrier::new(6);
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    line.wait();
                    crate::store::migrate(&db.config)
                })
            })
            .collect();
        for start in starts {
            start.join().unwrap().unwrap();
        }
    });
    assert_eq!(db.functions(), own());
    assert_eq!(db.open().send("a", "b", "x").await, 1);
}
