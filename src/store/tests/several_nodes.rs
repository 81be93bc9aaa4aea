//! What nodes on one PostgreSQL, and others who use it, do to each other: each test on connections of the
//! store's own, and on pooled ones.

use diesel::sql_types::{BigInt, Text};

use super::*;
use crate::ids::TemplateId;
use crate::store::notices::Teller;

directly_and_pooled!(
    the_same_message_at_two_nodes_at_once,
    a_batch_that_loses_a_deadlock_is_stored,
    what_may_pass_is_tried_again_and_not_for_ever,
    a_lock_that_somebody_holds,
    a_node_waits_for_another_that_migrates,
    every_commit_is_durable,
    a_reservation_waits_for_what_is_being_read,
    many_users_notices_at_two_nodes_wait_for_each_other_in_one_order,
    a_heartbeat_shows_a_node_alive_until_it_leaves_or_is_too_old,
    nodes_of_the_release_before_say_that_they_are_cut_off_and_see_who_is,
);

fn count(conn: &mut PgConnection, query: &str) -> i64 {
    diesel::select(diesel::dsl::sql::<BigInt>(&format!("({query})"))).get_result(conn).unwrap()
}

fn text(conn: &mut PgConnection, query: &str) -> String {
    diesel::select(diesel::dsl::sql::<Text>(&format!("({query})"))).get_result(conn).unwrap()
}

/// Until so many wait for a lock in the test's database.
fn until_waiting(conn: &mut PgConnection, wanted: i64) {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let until = Instant::now() + Duration::from_secs(10);
    while count(conn, query) != wanted {
        assert!(Instant::now() < until, "nobody waits for a lock");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lock(users: &str) -> String {
    format!("SELECT FROM conversations WHERE address = 'd:{users}' FOR UPDATE")
}

async fn the_same_message_at_two_nodes_at_once(db: &mut Db) {
    const SENDS: usize = 500;
    let mut nodes = [db.open(), db.open()];
    // Every fifth begins a conversation.
    for i in 0..SENDS {
        for node in &nodes {
            node.submit(append("a", &format!("p{}", i / 5), Some(&i.to_string()), "same"));
        }
    }
    let mut places = [HashMap::new(), HashMap::new()];
    let mut stored = 0;
    for (node, places) in nodes.iter_mut().zip(&mut places) {
        for _ in 0..SENDS {
            let (draft, seq) = match node.event().await {
                Event::Appended { draft, seq, .. } => {
                    stored += 1;
                    (draft, seq)
                }
                Event::Repeated { draft, stored, .. } => (draft, stored.seq),
                other => panic!("{other:?}"),
            };
            places.insert((draft.conversation, draft.client_msg_id), seq);
        }
    }
    assert_eq!(stored, SENDS);
    assert_eq!(places[0].len(), SENDS);
    assert_eq!(places[0], places[1]);
    let rows = count(&mut db.direct(), "SELECT count(*) FROM messages");
    assert_eq!(usize::try_from(rows).unwrap(), SENDS);
}

async fn a_batch_that_loses_a_deadlock_is_stored(db: &mut Db) {
    db.config.lanes = 1;
    let mut rig = db.open();
    for peer in ["b", "c", "d"] {
        rig.send("a", peer, "1").await;
    }
    let (mut gate, mut other) = (db.direct(), db.direct());
    gate.batch_execute(&format!("BEGIN; {}", lock("a:d"))).unwrap();
    // The one who looks for a deadlock is the one who gives way: the lane.
    other
        .batch_execute(&format!(
            "SET deadlock_timeout = '60s'; SET statement_timeout = '10s'; SET lock_timeout = 0; BEGIN; {}",
            lock("a:c")
        ))
        .unwrap();
    let mut watcher = db.direct();
    rig.submit(append("a", "d", None, "2"));
    until_waiting(&mut watcher, 1);
    // One batch, for the lane is at work.
    rig.submit(append("a", "b", None, "2"));
    rig.submit(append("a", "c", None, "2"));
    gate.batch_execute("ROLLBACK").unwrap();
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(2)));
    until_waiting(&mut watcher, 1);
    other.batch_execute(&format!("{}; COMMIT", lock("a:b"))).unwrap();
    for _ in 0..2 {
        let event = rig.event().await;
        assert!(matches!(event, Event::Appended { seq, .. } if seq == s(2)), "{event:?}");
    }
    let until = Instant::now() + Duration::from_secs(10);
    while count(&mut watcher, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        != 1
    {
        assert!(Instant::now() < until, "there was no deadlock");
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn what_may_pass_is_tried_again_and_not_for_ever(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "1").await;
    db.exec("CREATE SEQUENCE tries");
    let mut conn = db.direct();
    let mut seq = 1;
    for (code, failures, tries) in [("40001", 2, 3), ("40P01", 2, 3), ("40001", 1000, 4), ("40P01", 1000, 4)]
    {
        conn.batch_execute(&format!(
            "ALTER SEQUENCE tries RESTART; DROP TRIGGER IF EXISTS refuse ON messages; \
             CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('tries') <= {failures} THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{code}'; END IF; RETURN NULL; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON messages EXECUTE FUNCTION refuse()"
        ))
        .unwrap();
        let outcome = rig.outcome(append("a", "b", None, code)).await;
        if failures < tries {
            seq += 1;
            assert!(
                matches!(outcome, Event::Appended { seq: at, .. } if at == s(seq)),
                "{code}: {outcome:?}"
            );
        } else {
            assert!(
                matches!(outcome, Event::Refused { why: Refusal::Unavailable, .. }),
                "{code}: {outcome:?}"
            );
        }
        assert_eq!(count(&mut conn, "SELECT last_value FROM tries"), tries, "{code}");
    }
}

async fn a_lock_that_somebody_holds(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "1").await;
    let mut other = db.direct();
    other.batch_execute(&format!("BEGIN; {}", lock("a:b"))).unwrap();
    let began = Instant::now();
    let outcome = rig.outcome(append("a", "b", Some("2"), "2")).await;
    assert!(matches!(outcome, Event::Refused { why: Refusal::Unavailable, .. }), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    other.batch_execute("ROLLBACK").unwrap();
    rig.until_stored("a", "b", "2").await;
    assert_eq!(rig.history("a", "b", Window::After(s(0)), 10).await.0, [1, 2]);
}

async fn a_node_waits_for_another_that_migrates(db: &mut Db) {
    let mut other = db.direct();
    other
        .batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({})", migrations::MIGRATION_LOCK))
        .unwrap();
    let config = db.config.clone();
    let node = std::thread::spawn(move || crate::store::migrate(&config));
    let mut watcher = db.direct();
    until_waiting(&mut watcher, 1);
    // Longer than any other statement may take.
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(!node.is_finished(), "it did not wait: {:?}", node.join());
    other.batch_execute("COMMIT").unwrap();
    node.join().unwrap().unwrap();
    assert_eq!(db.open().send("a", "b", "1").await, 1);
}

async fn every_commit_is_durable(db: &mut Db) {
    let (_, name) = db.admin.clone().unwrap();
    crate::store::migrate(&db.config).unwrap();
    // Looked at when the commit begins.
    db.exec(
        "CREATE TABLE seen (at BIGINT GENERATED ALWAYS AS IDENTITY, value TEXT); \
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen (value) VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER see AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION see(); \
         CREATE CONSTRAINT TRIGGER see AFTER INSERT ON revocations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION see()",
    );
    for (set, wanted) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
        db.exec(&format!("TRUNCATE seen; ALTER DATABASE {name} SET synchronous_commit = {set}"));
        if let Some(pooler) = &mut db.pooler {
            // It makes new connections.
            pooler.stop();
            pooler.start();
        }
        db.open().send("a", "b", set).await;
        let (who, openid) = ("root on here".to_owned(), o("a"));
        let revoke = Revoking {
            openid: &openid,
            what: Revoked::Sessions,
            for_ms: None,
            reason: None,
            known_only: false,
        };
        operate(
            &db.config,
            &Operation { who, act: "kick", target: None, detail: None, revoke: Some(revoke) },
        )
        .unwrap();
        assert_eq!(
            text(&mut db.direct(), "SELECT string_agg(value, ' ') FROM seen"),
            format!("{wanted} {wanted}"),
            "{set}"
        );
    }
}

#[test]
fn a_node_takes_as_many_connections_as_it_has_lanes_and_readers() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let mut node = db.open();
            for round in 0..3 {
                let asked: Vec<_> = (0..50)
                    .map(|_| node.store.ask(Unread { openid: o("a"), kinds: Kinds::Direct, limit: 1 }))
                    .collect();
                for i in 0..100 {
                    node.submit(append("a", &format!("p{i}"), None, &round.to_string()));
                }
                futures_util::future::join_all(asked).await;
                for _ in 0..100 {
                    assert!(matches!(node.event().await, Event::Appended { .. }));
                }
            }
            let others = "datname = current_database() AND pid <> pg_backend_pid()";
            let connections =
                count(&mut db.direct(), &format!("SELECT count(*) FROM pg_stat_activity WHERE {others}"));
            assert_eq!(usize::try_from(connections).unwrap(), db.config.lanes + db.config.readers);
        })
    });
}

#[test]
fn nodes_behind_a_pooler_share_few_connections() {
    run(Db::pooled(), |db| {
        Box::pin(async {
            let mut nodes = [db.open(), db.open(), db.open()];
            for i in 0..30 {
                for node in &nodes {
                    node.submit(append("a", &format!("p{i}"), None, "x"));
                }
            }
            for node in &mut nodes {
                for _ in 0..30 {
                    assert!(matches!(node.event().await, Event::Appended { .. }));
                }
            }
            let others = "datname = current_database() AND pid <> pg_backend_pid()";
            let connections =
                count(&mut db.direct(), &format!("SELECT count(*) FROM pg_stat_activity WHERE {others}"));
            assert!((1..=3).contains(&connections), "{connections}");
        })
    });
}

#[test]
fn what_a_pooled_connection_lacks_is_said() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let (_, name) = db.admin.clone().unwrap();
            db.config.prepared_statements = false;
            let refused = |db: &Db| crate::store::migrate(&db.config).unwrap_err().to_string();
            let error = refused(db);
            assert!(
                error.contains("statement_timeout is 0 ms")
                    && error.contains("ALTER ROLE … SET statement_timeout = '2s'"),
                "{error}"
            );
            db.exec(&format!("ALTER DATABASE {name} SET statement_timeout = '1min'"));
            let error = refused(db);
            assert!(error.contains("statement_timeout is 60000 ms"), "{error}");
            db.exec(&format!("ALTER DATABASE {name} SET statement_timeout = '1500ms'; ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"));
            let error = refused(db);
            assert!(error.contains("default_transaction_isolation is serializable"), "{error}");
            db.exec(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'read committed'"));
            assert_eq!(db.open().send("a", "b", "1").await, 1);
        })
    });
}

impl Rig {
    fn granting(&self, who: &str) -> oneshot::Receiver<Result<(), Refusal>> {
        let key = format!("{:016x}", rand::random::<u64>());
        let (template, change) =
            (TemplateId::parse("t").unwrap(), Granted::Accepted { by: Teller::Client, key });
        self.calling(GrantChange { openid: o(who), template, change })
    }
}

async fn a_reservation_waits_for_what_is_being_read(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "x").await;
    rig.granting("b").await.unwrap().unwrap();
    let (mut node, mut conn) = (db.direct(), db.direct());
    node.batch_execute(&format!("BEGIN; {}", lock("a:b"))).unwrap();
    let answered = rig.calling(Reserve {
        openid: o("b"),
        conversation: with("b", "a"),
        template: TemplateId::parse("t").unwrap(),
        up_to: s(1),
        node: "node".to_owned(),
        strangers: true,
    });
    until_waiting(&mut conn, 1);
    node.batch_execute("UPDATE members SET read_seq = 1 WHERE openid = 'b'; COMMIT").unwrap();
    assert_eq!(answered.await.unwrap(), Ok(Reservation::NotUnread));
}

async fn many_users_notices_at_two_nodes_wait_for_each_other_in_one_order(db: &mut Db) {
    const USERS: i64 = 40;
    // A deadlock is found by nobody, so that it is a time-out.
    let (_, name) = db.admin.clone().unwrap();
    db.exec(&format!("ALTER DATABASE {name} SET deadlock_timeout = '1h'"));
    let nodes = [db.open(), db.open()];
    for _ in 0..20 {
        let mut waiting = Vec::new();
        for user in 0..USERS {
            waiting.push(nodes[0].granting(&format!("u{user}")));
            waiting.push(nodes[1].granting(&format!("u{}", USERS - 1 - user)));
        }
        for answered in waiting {
            assert_eq!(answered.await.unwrap(), Ok(()));
        }
    }
    let mut conn = db.direct();
    assert_eq!(count(&mut conn, "SELECT sum(available)::bigint FROM grants"), 40 * USERS);
}

fn heartbeat(node: &str, cut_off: bool) -> WriteHeartbeat {
    WriteHeartbeat {
        node: node.to_owned(),
        version: "1.2.3",
        cut_off,
        status: r#"{"sessions":3}"#.to_owned(),
    }
}

async fn a_heartbeat_shows_a_node_alive_until_it_leaves_or_is_too_old(db: &mut Db) {
    let (rig, mut conn) = (db.open(), db.direct());
    let live = async |node: &str| {
        let mut live = rig.store.ask(heartbeat(node, node == "b")).await.unwrap();
        live.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(live.iter().all(|node| node.age_ms < 15_000), "{live:?}");
        live.into_iter().map(|node| (node.name, node.cut_off)).collect::<Vec<_>>()
    };
    let seen = |name: &str, cut_off| (name.to_owned(), cut_off);
    assert_eq!(live("a").await, []);
    assert_eq!(live("b").await, [seen("a", false)]);
    assert_eq!(live("c").await, [seen("a", false), seen("b", true)]);
    assert_eq!(live("a").await, [seen("b", true), seen("c", false)]);
    assert_eq!(text(&mut conn, "SELECT version FROM nodes WHERE name = 'a'"), "1.2.3");
    rig.store.ask(RemoveHeartbeat { node: "c".to_owned() }).await.unwrap();
    conn.batch_execute("UPDATE nodes SET seen_at = seen_at - 20001 WHERE name = 'b'").unwrap();
    assert_eq!(live("a").await, []);
    // Too old to be alive, it stands there for a while yet.
    assert_eq!(count(&mut conn, "SELECT count(*) FROM nodes"), 2);
    conn.batch_execute("UPDATE nodes SET seen_at = seen_at - 86400000").unwrap();
    assert_eq!(live("a").await, []);
    assert_eq!(count(&mut conn, "SELECT count(*) FROM nodes"), 1);
}

/// Word for word what they ask, which goes through a view now.
async fn nodes_of_the_release_before_say_that_they_are_cut_off_and_see_who_is(db: &mut Db) {
    let (rig, mut conn) = (db.open(), db.direct());
    let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    for _ in 0..2 {
        let say = format!(
            "INSERT INTO nodes_cut_off (node, at) VALUES ('old', {now}) ON CONFLICT (node) DO UPDATE SET at = excluded.at"
        );
        conn.batch_execute(&say).unwrap();
    }
    let live = rig.store.ask(heartbeat("new", false)).await.unwrap();
    assert!(matches!(&live[..], [LiveNode { name, cut_off: true, .. }] if name == "old"), "{live:?}");
    let others =
        format!("SELECT count(*) AS now FROM nodes_cut_off WHERE node <> 'old' AND at >= {now} - 20000");
    assert_eq!(count(&mut conn, &others), 0);
    rig.store.ask(heartbeat("new", true)).await.unwrap();
    assert_eq!(count(&mut conn, &others), 1);
    conn.batch_execute(&format!("DELETE FROM nodes_cut_off WHERE at < {now} + 1000")).unwrap();
    assert_eq!(rig.store.ask(heartbeat("new", false)).await.unwrap(), []);
}
