//! Bans with an end, the audit log, and what is known of users; in both databases.

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn both(test: impl for<'a> Fn(&'a mut Db) -> Pin<Box<dyn Future<Output = ()> + 'a>>) {
    run(Some(Db::sqlite()), &test);
    run(Db::postgres(), &test);
}

async fn commit(rig: &Rig, write: impl Submit) {
    drop(rig.call(write).await.unwrap());
}

async fn names(rig: &Rig) -> Vec<String> {
    let page = rig.store.ask(Bans { limit: 10, before: None }).await.unwrap();
    page.bans.iter().map(|ban| ban.openid.as_str().to_owned()).collect()
}

#[test]
fn bans_are_listed_until_their_end_or_a_pardon() {
    both(|db| {
        Box::pin(async {
            let rig = db.open();
            let now = rig.store.ask(Bans { limit: 1, before: None }).await.unwrap().now;
            for (name, until) in
                [("good", None), ("hour", Some(now + HOUR_MS)), ("over", Some(now - 1)), ("lifted", None)]
            {
                assert_eq!(operate(&db.config, &ban(&o(name), until)).unwrap().until, until);
            }
            let pardon = |openid| Revoking {
                openid,
                what: Revoked::Nothing,
                for_ms: None,
                reason: None,
                known_only: true,
            };
            let unban = |openid| Operation {
                who: "ann on here".into(),
                act: "unban",
                target: None,
                detail: None,
                revoke: Some(pardon(openid)),
            };
            let lifted = o("lifted");
            let done = operate(&db.config, &unban(&lifted)).unwrap();
            assert_eq!(
                done.ban_before.map(|ban| (ban.until, ban.reason.unwrap(), ban.by.unwrap())),
                Some((None, "spam".into(), "root on here".into()))
            );
            assert_eq!(names(&rig).await, ["hour", "good"]);
            let first = rig.store.ask(Bans { limit: 1, before: None }).await.unwrap();
            let rest = rig.store.ask(Bans { limit: 5, before: Some(first.bans[0].id) }).await.unwrap();
            assert!(first.has_more && !rest.has_more && rest.bans[0].openid == o("good"));

            // A second pardon would end tokens of who has logged in since.
            let newest = async || {
                rig.store.revocations(LogQuestion::After { id: 0, missing: Vec::new() }).await.unwrap().newest
            };
            let before = newest().await;
            assert_eq!(operate(&db.config, &unban(&lifted)).unwrap().ban_before, None);
            // Nobody knows them: nothing is written, but for the audit log.
            let stranger = o("stranger");
            let mut known_only = ban(&stranger, None);
            known_only.revoke.as_mut().unwrap().known_only = true;
            assert!(operate(&db.config, &known_only).unwrap().is_unknown);
            assert_eq!(newest().await, before);
            rig.store.saw(&stranger, Sight::Here);
            rig.store.write_seen();
            until(async || rig.store.ask(IsKnown { openid: stranger.clone() }).await.unwrap()).await;
            known_only.revoke.as_mut().unwrap().for_ms = Some(60_000);
            let done = operate(&db.config, &known_only).unwrap();
            assert_eq!((done.is_unknown, done.until), (false, Some(done.now + 60_000)));

            let acts = rig
                .store
                .ask(Acts { limit: 10, target: Some("stranger".into()), ..Acts::default() })
                .await
                .unwrap()
                .acts;
            assert_eq!(
                acts.iter().map(|act| act.outcome.as_deref().unwrap()).collect::<Vec<_>>(),
                ["done", "unknown user"]
            );
        })
    });
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never was");
}

#[test]
fn the_end_of_a_ban_is_noted_once_for_nodes_that_know_of_none() {
    both(|db| {
        Box::pin(async {
            let rig = db.open();
            let now = rig.store.ask(Bans { limit: 1, before: None }).await.unwrap().now;
            let (over, again) = (o("over"), o("again"));
            let end = now - 1_000;
            operate(&db.config, &ban(&over, Some(end))).unwrap();
            operate(&db.config, &ban(&again, Some(end))).unwrap();
            let ended = rig.store.ask(EndedBans { limit: 10 }).await.unwrap();
            assert_eq!(ended.iter().map(|ban| ban.openid.as_str()).collect::<Vec<_>>(), ["over", "again"]);
            // Meanwhile somebody bans one of them anew; both nodes have seen the old end.
            operate(&db.config, &ban(&again, None)).unwrap();
            for openid in [&over, &again, &over] {
                let what = Revoked::Lapsed { until: end };
                commit(&rig, Revoke { openid: openid.clone(), what, decision: None }).await;
            }
            assert_eq!(
                db.numbers(
                    "SELECT CAST(what AS BIGINT) AS number FROM revocations WHERE openid = 'over' ORDER BY id"
                ),
                [3, 4]
            );
            assert_eq!(db.numbers("SELECT CAST(what AS BIGINT) AS number FROM revocations WHERE openid = 'again' ORDER BY id"), [3, 3]);
            assert!(rig.store.ask(EndedBans { limit: 10 }).await.unwrap().is_empty());
            assert_eq!(names(&rig).await, ["again"]);
        })
    });
}

#[test]
fn an_act_stands_once_with_what_became_of_it() {
    both(|db| {
        Box::pin(async {
            let rig = db.open();
            let mut act = OperatorAct::new(5 * HOUR_MS, Via::Api, "shop", "POST /admin/v1/reviews/{id}");
            act.target = Some("17".into());
            commit(&rig, RecordAct { act: act.clone() }).await;
            let all = async || rig.store.ask(Acts { limit: 10, ..Acts::default() }).await.unwrap().acts;
            assert_eq!(all().await, [act.clone()], "what became of it is not known yet");
            (act.outcome, act.detail) = (Some("done".into()), Some("recall".into()));
            commit(&rig, RecordAct { act: act.clone() }).await;
            let old = OperatorAct::new(HOUR_MS, Via::CommandLine, "root on here", "token");
            commit(&rig, RecordAct { act: old.clone() }).await;
            assert_eq!(all().await, [act.clone(), old]);
            let since =
                rig.store.ask(Acts { limit: 10, since: Some(2 * HOUR_MS), ..Acts::default() }).await.unwrap();
            assert_eq!(since.acts, [act.clone()]);
            let page =
                rig.store.ask(Acts { limit: 1, before: Some(act.id), ..Acts::default() }).await.unwrap();
            assert_eq!((page.acts[0].act.as_str(), page.has_more), ("token", false));
            upkeep::prune(&rig.store, PrunedLog::Acts, 2 * HOUR_MS).await.unwrap();
            assert_eq!(all().await, [act]);
        })
    });
}

#[test]
fn a_users_standing_is_what_the_tables_say() {
    both(|db| {
        Box::pin(async {
            let mut rig = db.open();
            let (ann, ben) = (o("ann"), o("ben"));
            let nobody = rig.store.ask(UserOverview { openid: ann.clone() }).await.unwrap();
            assert!(!nobody.is_known && nobody.first_seen.is_none() && nobody.ban.is_none());
            rig.send("ann", "ben", "1").await;
            rig.send("ann", "ben", "2").await;
            rig.send("cid", "ann", "3").await;
            let block = Block { openid: ben.clone(), peer: ann.clone(), change: BlockChange::Block };
            commit(&rig, block).await;
            let users = vec![(ann.clone(), 1_000), (ben.clone(), 1_000)];
            commit(&rig, SeenUsers { users }).await;
            // What comes late sets nothing back.
            for at in [9_000, 4_000] {
                commit(&rig, SeenUsers { users: vec![(ann.clone(), at)] }).await;
            }
            operate(&db.config, &ban(&ann, None)).unwrap();
            let standing = rig.store.ask(UserOverview { openid: ann.clone() }).await.unwrap();
            assert_eq!((standing.first_seen, standing.last_seen), (Some(1_000), Some(9_000)));
            assert_eq!((standing.conversations, standing.conversations_started, standing.unread), (2, 1, 1));
            assert_eq!((standing.blocks, standing.blocked_by), (0, 1));
            assert!(
                standing.last_message >= standing.last_written
                    && standing.last_written.is_some()
                    && standing.last_revoked.is_some()
            );
            assert_eq!(standing.ban.and_then(|ban| ban.reason).as_deref(), Some("spam"));
        })
    });
}

/// A node of the release before: its statements, as they were.
#[test]
fn nodes_of_the_release_before_read_and_write_the_log() {
    both(|db| {
        Box::pin(async {
            let rig = db.open();
            db.exec("INSERT INTO revocations (openid, what, issued_ms, at) VALUES ('old', 3, NULL, 1)");
            operate(&db.config, &ban(&o("new"), Some(i64::MAX / 2))).unwrap();
            assert_eq!(names(&rig).await, ["new", "old"]);
            let told = rig
                .store
                .revocations(LogQuestion::After { id: 0, missing: Vec::new() })
                .await
                .unwrap()
                .entries;
            assert_eq!(told[0].what, Revoked::Access { until: None });
            assert_eq!(
                db.numbers("SELECT CAST(what AS BIGINT) AS number FROM revocations ORDER BY id"),
                [3, 3]
            );
        })
    });
}
