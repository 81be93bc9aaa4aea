//! One file, one writer: what can go wrong with it.

use super::*;

#[test]
fn two_servers_do_not_share_a_file() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let _rig = db.open();
            let (sender, _events) = mpsc::unbounded_channel();
            let recipient = Sink(sender).start().recipient();
            let second = Store::open(&db.config, LIMITS, &Metrics::new(), &Draining::default(), recipient);
            assert!(matches!(second, Err(OpenError::Locked { .. })));
            // But the tables may be looked after.
            crate::store::migrate(&db.config).unwrap();
        })
    });
}

#[test]
fn a_locked_file_means_unavailable_until_it_is_free() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            let mut other = conn::sqlite_writer(&db.path(), 1000).unwrap();
            other.batch_execute("BEGIN IMMEDIATE").unwrap();
            let began = Instant::now();
            for i in 0..20 {
                rig.submit(append("a", "b", None, &i.to_string()));
            }
            for _ in 0..20 {
                assert!(matches!(rig.event().await, Event::Refused { why: Refusal::Unavailable, .. }));
            }
            assert!(rig.read("b", "a", 1).await.is_err());
            assert!(began.elapsed() < Duration::from_millis(5000), "{:?}", began.elapsed());
            // Reading goes on.
            assert_eq!(rig.history("a", "b", Window::Newest, 9).await.0, [1]);
            assert!(matches!(rig.store.look().await, Ok(DatabaseState::Unwritable(_))));
            other.batch_execute("COMMIT").unwrap();
            assert_eq!(rig.store.look().await.unwrap(), DatabaseState::Ok, "nobody has to send first");
            assert_eq!(rig.send("a", "b", "2").await, 2);
        })
    });
}

/// Sent there, messages would be lost with the file.
#[test]
fn a_file_that_was_moved_away_takes_no_writes_that_last() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let rig = db.open();
            assert_eq!(rig.store.look().await.unwrap(), DatabaseState::Ok);
            let elsewhere = db.dir.path().join("elsewhere.db");
            std::fs::rename(db.path(), &elsewhere).unwrap();
            let moved = |state| matches!(state, DatabaseState::Unwritable(reason) if reason.contains("was moved, removed or replaced"));
            assert!(moved(rig.store.look().await.unwrap()));
            std::fs::copy(&elsewhere, db.path()).unwrap();
            assert!(moved(rig.store.look().await.unwrap()));
            std::fs::rename(&elsewhere, db.path()).unwrap();
            assert_eq!(rig.store.look().await.unwrap(), DatabaseState::Ok);
        })
    });
}

#[test]
fn another_writer_in_the_file_is_noticed() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            db.exec("INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at) VALUES (1, 2, 'a', 'text', '{}', 1, 1)");
            assert_eq!(rig.send("a", "b", "3").await, 3);
        })
    });
}

#[test]
fn what_another_writer_has_changed_is_not_written_over() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            for n in 0..3 {
                rig.send("a", "b", &n.to_string()).await;
            }
            db.exec("UPDATE members SET read_seq = 3 WHERE openid = 'b'");
            let receipt = Receipt { session: Some(SessionId::fresh()), ..read("b", "a", 2) };
            rig.submit_for(Mark { receipt }, Reply::Session(RequestId::parse("1", "1").unwrap()));
            let event = rig.event().await;
            assert!(
                matches!(&event, Event::Marked { receipt, audience, .. } if audience.is_empty() && receipt.seq == s(3)),
                "{event:?}"
            );
        })
    });
}

#[test]
fn sqlite_is_built_as_the_figures_say() {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    let mut options = Vec::new();
    for option in ["THREADSAFE=2", "DEFAULT_MEMSTATUS=0", "ENABLE_QPSG", "ENABLE_MEMORY_MANAGEMENT"] {
        let used = format!("SELECT CAST(sqlite_compileoption_used('{option}') AS TEXT) AS value");
        options.push(conn::setting(&mut conn, &used).unwrap());
    }
    assert_eq!(options, ["1", "1", "1", "0"], "the flags in .cargo/config.toml did not reach the build");
    let version = conn::setting(&mut conn, "SELECT sqlite_version() AS value").unwrap();
    let version: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(version >= vec![3, 51, 3], "{version:?}");
}

#[test]
fn the_log_has_room_ahead_and_another_writers_frames_survive_it() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            let log = std::fs::metadata(db.path().with_extension("db-wal")).unwrap();
            assert!(log.len() >= 4 << 20, "{}", log.len());
            db.exec("INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at) VALUES (1, 2, 'a', 'text', '{}', 1, 1)");
            assert_eq!(rig.send("a", "b", "3").await, 3);
            drop(rig);
            assert_eq!(reopened(db).await.history("a", "b", Window::Newest, 9).await.0, [1, 2, 3]);
        })
    });
}

#[test]
fn a_backup_is_one_moment_under_load() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            for i in 0..2000 {
                rig.submit(append("a", "b", None, &i.to_string()));
            }
            rig.event().await;
            let copy = db.dir.path().join("copy.db");
            let (config, file) = (db.config.clone(), copy.clone());
            std::thread::spawn(move || crate::store::backup(&config, &file)).join().unwrap().unwrap();
            assert!(matches!(crate::store::backup(&db.config, &copy), Err(OpenError::BackupExists { .. })));
            while !rig.store.drain(Duration::from_secs(10)).await {}
            db.config.url = DatabaseUrl::Sqlite(copy);
            let mut rig = db.open();
            let last = rig.send("a", "b", "next").await;
            assert_eq!(
                rig.history("a", "b", Window::After(s(0)), 3000).await.0,
                (1..=last).collect::<Vec<_>>()
            );
            // Nor does it need a server.
            drop(rig);
            drop(FileLock::take(&db.path()));
            crate::store::backup(&db.config, &db.dir.path().join("third.db")).unwrap();
            db.config.url = DatabaseUrl::Sqlite(db.dir.path().join("none.db"));
            assert!(matches!(
                crate::store::backup(&db.config, &db.dir.path().join("x.db")),
                Err(OpenError::NoDatabase { .. })
            ));
        })
    });
}

#[test]
fn a_full_disk_means_unavailable_until_there_is_room() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let disk = db.dir.path().join("disk");
            std::fs::create_dir(&disk).unwrap();
            let Some(_mounted) = Mount::small(&disk) else {
                eprintln!("skipped: this user cannot mount a small disk");
                return;
            };
            db.config.url = DatabaseUrl::Sqlite(disk.join("im.db"));
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            std::fs::write(disk.join("ballast"), vec![0; 1 << 20]).unwrap();
            let big = "x".repeat(8000);
            let mut stored = 1;
            loop {
                let began = Instant::now();
                let event = rig.outcome(append("a", "b", None, &big)).await;
                assert!(began.elapsed() < Duration::from_secs(3));
                match event {
                    Event::Appended { seq, .. } => stored = seq.get(),
                    Event::Refused { why: Refusal::Unavailable, .. } => break,
                    other => panic!("{other:?}"),
                }
            }
            assert!(stored > 1);
            let full =
                |state| matches!(state, DatabaseState::Unwritable(reason) if reason.contains("is full"));
            assert!(full(rig.store.look().await.unwrap()));
            std::fs::remove_file(disk.join("ballast")).unwrap();
            assert_eq!(rig.store.look().await.unwrap(), DatabaseState::Ok);
            assert_eq!(rig.send("a", "b", "2").await, stored + 1);
            assert_eq!(
                rig.history("a", "b", Window::After(s(0)), 3000).await.0,
                (1..=stored + 1).collect::<Vec<_>>()
            );
            drop(rig);
            reopened(db).await;
        })
    });
}

/// Somebody reads for so long that the log cannot be begun anew.
#[test]
fn a_log_that_grew_is_cut_when_it_is_begun_anew() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            let log = db.dir.path().join("made/by/the/server.db-wal");
            let mebibytes = || std::fs::metadata(&log).unwrap().len() >> 20;
            let mut reader = SqliteConnection::establish(db.path().to_str().unwrap()).unwrap();
            reader.batch_execute("BEGIN; SELECT count(*) FROM messages").unwrap();
            let mut other = conn::sqlite_writer(&db.path(), 1_024).unwrap();
            other
                .batch_execute("CREATE TABLE ballast (x); INSERT INTO ballast VALUES (randomblob(80000000))")
                .unwrap();
            assert!(mebibytes() > 70, "{}", mebibytes());
            reader.batch_execute("ROLLBACK").unwrap();
            other.batch_execute("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
            assert_eq!(rig.send("a", "b", "2").await, 2);
            assert_eq!(mebibytes(), 64);
            assert_eq!(rig.send("a", "b", "3").await, 3);
            assert_eq!(mebibytes(), 64);
        })
    });
}

#[test]
fn a_stop_in_order_leaves_everything_in_the_database_itself() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            assert!(rig.store.drain(Duration::from_secs(10)).await);
            let alone = db.dir.path().join("alone.db");
            std::fs::copy(db.path(), &alone).unwrap();
            let mut conn = SqliteConnection::establish(alone.to_str().unwrap()).unwrap();
            assert_eq!(
                conn::setting(&mut conn, "SELECT CAST(count(*) AS TEXT) AS value FROM messages").unwrap(),
                "1"
            );
        })
    });
}

#[test]
fn a_file_of_another_name_has_the_same_lock() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let _rig = db.open();
            let link = db.dir.path().join("link.db");
            std::os::unix::fs::symlink(db.path(), &link).unwrap();
            assert!(matches!(FileLock::take(&link), Err(OpenError::Locked { .. })));
        })
    });
}

#[test]
fn tools_neither_make_a_database_nor_take_another_for_one() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let openid = OpenId::parse("a").unwrap();
            let revoke = |db: &Db| crate::store::operate(&db.config, &ban(&openid, None));
            assert!(matches!(revoke(db), Err(OpenError::NoDatabase { .. })));
            assert!(!db.path().exists());
            db.config.url = DatabaseUrl::Sqlite(db.dir.path().join("other.db"));
            std::fs::write(db.path(), b"").unwrap();
            assert!(matches!(revoke(db), Err(OpenError::NoDatabase { .. })));
            assert!(matches!(
                crate::store::backup(&db.config, &db.dir.path().join("copy.db")),
                Err(OpenError::NoDatabase { .. })
            ));
        })
    });
}

/// A disk of 3 MiB, gone when dropped.
struct Mount(PathBuf);

impl Mount {
    fn small(at: &Path) -> Option<Self> {
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        mount.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn each_restore_of_a_backup_is_another_database() {
    run(Some(Db::sqlite()), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            let original = rig.store.generation();
            let copy = db.dir.path().join("copy.db");
            crate::store::backup(&db.config, &copy).unwrap();
            drop(rig);
            assert_eq!(reopened(db).await.store.generation(), original);
            let mut restored = Vec::new();
            for n in 0..2 {
                let file = db.dir.path().join(format!("restored{n}.db"));
                std::fs::copy(&copy, &file).unwrap();
                db.config.url = DatabaseUrl::Sqlite(file);
                let rig = reopened(db).await;
                assert_eq!(rig.history("a", "b", Window::Newest, 9).await.0, [1]);
                restored.push(rig.store.generation());
                drop(rig);
                assert_eq!(Some(&reopened(db).await.store.generation()), restored.last());
            }
            assert!(restored[0] != restored[1] && !restored.contains(&original), "{original:?} {restored:?}");
        })
    });
}
