//! Several nodes on one database, and a database that goes away.

use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize};

use super::*;

#[test]
fn two_nodes_store_a_message_once() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let mut nodes = [db.open(), db.open()];
            for i in 0..300 {
                for node in &nodes {
                    node.submit(append("a", "b", Some(&format!("m{i}")), "same"));
                    node.submit(append("b", "a", Some(&format!("m{}", i % 50)), "same"));
                }
            }
            let mut stored = 0;
            for node in &mut nodes {
                for _ in 0..600 {
                    match node.event().await {
                        Event::Appended { .. } => stored += 1,
                        Event::Repeated { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert_eq!(stored, 350);
            assert_eq!(
                nodes[0].history("a", "b", Window::After(s(0)), 1000).await.0,
                (1..=350).collect::<Vec<_>>()
            );
        })
    });
}

#[test]
fn many_nodes_begin_many_conversations() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            db.limits.new_conversations_per_day = 40;
            let mut nodes = [db.open(), db.open(), db.open()];
            for i in 0..50 {
                for (n, node) in nodes.iter().enumerate() {
                    let peer = format!("p{}", (i * 7 + n * 13) % 50);
                    node.submit(append("a", &peer, Some(&format!("{n}-{i}")), "hi"));
                    node.submit(append(&peer, "z", Some(&format!("{n}-{i}")), "hi"));
                }
            }
            for node in &mut nodes {
                for _ in 0..100 {
                    let event = node.event().await;
                    let fine = matches!(
                        event,
                        Event::Appended { .. } | Event::Refused { why: Refusal::RateLimited { .. }, .. }
                    );
                    assert!(fine, "{event:?}");
                }
            }
            assert_eq!(nodes[0].list("a", 100, None).await.conversations.len(), 40);
            assert_eq!(nodes[0].list("z", 100, None).await.conversations.len(), 50);
        })
    });
}

/// Stands between the store and PostgreSQL.
struct Proxy {
    mode: Arc<AtomicU8>,
    /// How often the store spoke after it was answered, or at first.
    round_trips: Arc<AtomicUsize>,
    url: String,
}

const PASS: u8 = 0;
/// Connections are broken, new ones too.
const CUT: u8 = 1;
/// Everything is taken and nothing is said.
const SILENT: u8 = 2;

impl Proxy {
    fn before(url: &str) -> Self {
        let (head, tail) = url.split_once("://").unwrap();
        let (authority, path) = tail.split_once('/').unwrap();
        let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        let target = host.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = if user.is_empty() { String::new() } else { format!("{user}@") };
        let url = format!("{head}://{at}{}/{path}", listener.local_addr().unwrap());
        let mode = Arc::new(AtomicU8::new(PASS));
        let round_trips = Arc::new(AtomicUsize::new(0));
        let (set, counter) = (mode.clone(), round_trips.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let is_asked = Arc::new(AtomicBool::new(false));
                for (asks, from, to) in [
                    (true, client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (false, server, client),
                ] {
                    let (mode, round_trips, is_asked) = (set.clone(), counter.clone(), is_asked.clone());
                    let heard = move || {
                        if is_asked.swap(asks, Ordering::SeqCst) != asks && asks {
                            round_trips.fetch_add(1, Ordering::SeqCst);
                        }
                    };
                    std::thread::spawn(move || pass_on(from, to, &mode, heard));
                }
            }
        });
        Self { mode, round_trips, url }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mode: &AtomicU8, heard: impl Fn()) {
    from.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut buffer = [0; 65536];
    loop {
        match mode.load(Ordering::SeqCst) {
            CUT => break,
            SILENT => std::thread::sleep(Duration::from_millis(10)),
            _ => match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    heard();
                    // What came in before the silence was noticed is held back, and passed on late.
                    while mode.load(Ordering::SeqCst) == SILENT {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    if to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                Err(e)
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                _ => break,
            },
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn through_proxy(db: &mut Db) -> Proxy {
    let DatabaseUrl::Postgres(url) = &db.config.url else { panic!() };
    let proxy = Proxy::before(url);
    db.config.url = DatabaseUrl::Postgres(proxy.url.clone());
    proxy
}

async fn trouble(db: &mut Db, mode: u8) {
    let proxy = through_proxy(db);
    let mut rig = db.open();
    rig.send("a", "b", "1").await;
    proxy.set(mode);
    let began = Instant::now();
    for i in 0..50 {
        rig.submit(append("a", "b", None, &i.to_string()));
        rig.submit(append("a", &format!("p{i}"), None, &i.to_string()));
    }
    for _ in 0..100 {
        let event = rig.event().await;
        assert!(matches!(event, Event::Refused { why: Refusal::Unavailable, .. }), "{event:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(rig.store.ask(Ping).await.is_err());
    assert!(began.elapsed() < Duration::from_millis(3500), "{:?}", began.elapsed());
    proxy.set(PASS);
    rig.until_stored("a", "b", "back").await;
    let until = Instant::now() + Duration::from_secs(15);
    while rig.store.ask(Ping).await.is_err() {
        assert!(Instant::now() < until);
    }
    let (seqs, _) = rig.history("a", "b", Window::After(s(0)), 100).await;
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>());
}

#[test]
fn a_database_that_is_cut_off_comes_back_by_itself() {
    run(Db::postgres(), |db| Box::pin(trouble(db, CUT)));
}

#[test]
fn a_database_that_falls_silent_comes_back_by_itself() {
    run(Db::postgres(), |db| Box::pin(trouble(db, SILENT)));
}

#[test]
fn a_thread_that_was_given_up_tells_what_it_stored() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let proxy = through_proxy(db);
            db.config.lanes = 1;
            let mut rig = db.open();
            rig.send("a", "b", "1").await;
            // Nothing is lost on the way: it is late.
            proxy.set(SILENT);
            let event = rig.outcome(append("a", "b", Some("2"), "2")).await;
            assert!(matches!(event, Event::Refused { why: Refusal::Unavailable, .. }), "{event:?}");
            proxy.set(PASS);
            let event = rig.event().await;
            assert!(
                matches!(event, Event::Appended { seq, request: RequestState::Answered, .. } if seq == s(2)),
                "{event:?}"
            );
            rig.until_stored("a", "b", "3").await;
            proxy.set(SILENT);
            let request = RequestId::parse("1", "1").unwrap();
            let receipt = Receipt { session: Some(SessionId::fresh()), ..read("b", "a", 1) };
            rig.submit_for(Mark { receipt }, Reply::Session(request));
            let event = rig.event().await;
            assert!(matches!(event, Event::MarkRefused { .. }), "{event:?}");
            proxy.set(PASS);
            let event = rig.event().await;
            assert!(
                matches!(
                    &event,
                    Event::Marked {
                        receipt: Receipt { session: None, .. },
                        audience,
                        request_id: None,
                    } if !audience.is_empty()
                ),
                "{event:?}"
            );
            rig.until_stored("a", "b", "4").await;
            assert!(matches!(
                rig.outcome(append("a", "b", Some("2"), "2")).await,
                Event::Repeated { request: RequestState::Open, .. }
            ));
            assert_eq!(rig.history("a", "b", Window::After(s(0)), 100).await.0, [1, 2, 3, 4]);
        })
    });
}

#[test]
fn a_connection_that_broke_while_it_was_quiet_is_made_anew() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let mut rig = db.open();
            rig.outcome(append("a", "b", Some("1"), "1")).await;
            db.exec(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            assert!(
                matches!(rig.outcome(append("a", "b", Some("2"), "2")).await, Event::Appended { seq, .. } if seq == s(2))
            );
        })
    });
}

#[test]
fn a_batch_is_one_round_trip() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let (_, name) = db.admin.clone().unwrap();
            db.exec(&format!("ALTER DATABASE {name} SET statement_timeout = '2s'"));
            let proxy = through_proxy(db);
            (db.config.lanes, db.config.readers) = (1, 1);
            for prepared_statements in [true, false] {
                db.config.prepared_statements = prepared_statements;
                let mut rig = db.open();
                // All connections are made, and what is prepared is prepared.
                rig.store.ask(Ping).await.unwrap();
                rig.send("a", "b", "warm").await;
                let before = proxy.round_trips.load(Ordering::SeqCst);
                for _ in 0..20 {
                    rig.send("a", "b", "x").await;
                }
                let round_trips = proxy.round_trips.load(Ordering::SeqCst) - before;
                assert_eq!(round_trips, 20, "with prepared statements: {prepared_statements}");
            }
        })
    });
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = DatabaseUrl::Postgres(format!("postgres://me@{}/im", silent.local_addr().unwrap()));
    let began = Instant::now();
    let config = Database { url, lanes: 1, readers: 1, cache_kib: 1000, prepared_statements: true };
    let error = crate::store::migrate(&config).unwrap_err().to_string();
    assert!(error.contains("timeout expired"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn errors_tell_what_to_do_without_the_password() {
    actix::System::new().block_on(async {
        let url = DatabaseUrl::Postgres("postgres://me:s3cret@127.0.0.1:1/im".into());
        let config = Database { url, lanes: 1, readers: 1, cache_kib: 1000, prepared_statements: true };
        let error = crate::store::migrate(&config).unwrap_err().to_string();
        assert!(error.contains("database.url") && !error.contains("s3cret"), "{error}");
        assert!(crate::store::backup(&config, Path::new("x")).unwrap_err().to_string().contains("pg_dump"));
    });
}

#[test]
fn tables_that_were_made_anew_are_another_database() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let rig = db.open();
            let original = rig.store.look_at_generation().await.unwrap();
            // As pg_restore --clean does.
            db.exec("CREATE TABLE restored (LIKE messages INCLUDING ALL); DROP TABLE messages; ALTER TABLE restored RENAME TO messages");
            assert_ne!(rig.store.look_at_generation().await.unwrap(), original);
        })
    });
}

#[test]
fn a_role_without_the_right_to_look_at_the_cluster_does_without() {
    run(Db::postgres(), |db| {
        Box::pin(async {
            let rig = db.open();
            let with = rig.store.generation();
            let role = format!("plain_{:016x}", rand::random::<u64>());
            // The function is one of each database.
            db.exec(&format!(
                "CREATE ROLE {role}; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; ALTER FUNCTION hongyan_generation() SECURITY DEFINER; \
                 GRANT USAGE, CREATE ON SCHEMA public TO {role}; ALTER FUNCTION hongyan_generation() OWNER TO {role}"
            ));
            let without = rig.store.look_at_generation().await;
            db.exec(&format!(
                "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC; ALTER FUNCTION hongyan_generation() OWNER TO CURRENT_USER; \
                 DROP OWNED BY {role}; DROP ROLE {role}"
            ));
            assert_ne!(without.unwrap(), with);
        })
    });
}
