//! A repeat is known on SQLite wherever its key stands: in memory, half written, in the table.

use super::*;

/// More than are gathered in tests, several times over.
const MESSAGES: i64 = 100;

fn message(n: i64) -> Append {
    append(
        if n % 3 == 0 { "a" } else { "b" },
        if n % 3 == 0 { "b" } else { "a" },
        Some(&format!("m{n}")),
        "hi",
    )
}

async fn are_repeats(rig: &mut Rig) {
    for n in 0..MESSAGES {
        let event = rig.outcome(message(n)).await;
        assert!(matches!(&event, Event::Repeated { stored, .. } if stored.seq == s(n + 1)), "{n}: {event:?}");
    }
}

async fn filled(db: &Db) -> Rig {
    let mut rig = db.open();
    for n in 0..MESSAGES {
        assert!(matches!(rig.outcome(message(n)).await, Event::Appended { seq, .. } if seq == s(n + 1)));
    }
    rig
}

fn keys(db: &Db) -> i64 {
    db.numbers("SELECT count(*) AS number FROM idempotency_keys")[0]
}

#[test]
fn a_repeat_is_known_however_old_it_is() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = filled(db).await;
            let written = keys(db);
            assert!(written > MESSAGES / 2 && written < MESSAGES, "{written}");
            are_repeats(&mut rig).await;
            drop(rig);
            let mut rig = reopened(db).await;
            are_repeats(&mut rig).await;
            assert_eq!(rig.send("a", "b", "new").await, MESSAGES + 1);
        })
    });
}

#[test]
fn keys_that_the_table_lacks_are_made_up_for() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            drop(filled(db).await);
            db.exec("DELETE FROM idempotency_keys; UPDATE idempotency_progress SET through_id = 0");
            let mut rig = reopened(db).await;
            assert!(keys(db) > 0);
            are_repeats(&mut rig).await;
        })
    });
}

#[test]
fn what_another_writer_has_sent_is_a_repeat_too() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = filled(db).await;
            db.exec(
                "INSERT INTO messages (conversation_id, seq, sender, client_msg_id, kind, body, sent_at, stored_at) \
                 VALUES (1, 101, 'a', 'theirs', 'text', '{\"message\":\"hi\"}', 1, 1)",
            );
            let event = rig.outcome(append("a", "b", Some("theirs"), "hi")).await;
            assert!(matches!(&event, Event::Repeated { stored, .. } if stored.seq == s(101)), "{event:?}");
            are_repeats(&mut rig).await;
        })
    });
}

#[test]
fn of_a_batch_that_was_undone_nothing_is_a_repeat() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = filled(db).await;
            db.exec(
                "CREATE TRIGGER broken BEFORE INSERT ON messages WHEN new.kind = 'text' BEGIN SELECT raise(ABORT, 'no'); END",
            );
            for _ in 0..3 {
                let event = rig.outcome(append("a", "b", Some("late"), "hi")).await;
                assert!(matches!(event, Event::Refused { why: Refusal::Unavailable, .. }), "{event:?}");
            }
            db.exec("DROP TRIGGER broken");
            let event = rig.outcome(append("a", "b", Some("late"), "hi")).await;
            assert!(matches!(event, Event::Appended { seq, .. } if seq == s(MESSAGES + 1)), "{event:?}");
            are_repeats(&mut rig).await;
        })
    });
}

#[test]
fn a_hash_that_two_messages_share_makes_neither_a_repeat() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = filled(db).await;
            let (old, new) = (message(0), append("a", "b", Some("new"), "hi"));
            let hash = crate::store::sqlite::key_hash("a", "new");
            db.exec(&format!(
                "INSERT INTO idempotency_keys (conversation_id, hash, seq) VALUES (1, {hash}, 1)"
            ));
            drop(rig);
            rig = reopened(db).await;
            assert!(matches!(rig.outcome(new.clone()).await, Event::Appended { .. }));
            for again in [old, new] {
                assert!(matches!(rig.outcome(again).await, Event::Repeated { .. }));
            }
        })
    });
}
