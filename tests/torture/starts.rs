//! Nodes that start at once on an empty database.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::harness::{Http, Server};
use crate::pgbouncer::{self, PgBouncer};
use crate::size::{figure, ms, size, skipped};

#[actix_web::test]
async fn nodes_start_at_once_on_an_empty_database() {
    let (nodes, rounds) = size((4, 2), (16, 20));
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        let Some((url, name)) = Server::fresh_postgres() else { return };
        slowest = slowest.max(start(nodes, &[("database.url", &url)], &name).await);
    }
    figure(
        "nodes started at once",
        format!("{nodes} on an empty database, {rounds} times: all ready within {:.0} ms", ms(slowest)),
    );
}

#[actix_web::test]
async fn nodes_start_at_once_behind_pgbouncer() {
    let program = match pgbouncer::program() {
        Ok(program) => program,
        Err(why) => return skipped(why),
    };
    let Some((_, name)) = Server::fresh_postgres() else { return };
    admin("postgres").batch(&format!("ALTER DATABASE {name} SET statement_timeout = '2s'"));
    let pooler = PgBouncer::before(&std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap(), program);
    start(4, &[("database.url", &pooler.url(&name)), ("database.prepared_statements", "false")], &name).await;
}

/// How long it took until all were ready.
async fn start(nodes: usize, settings: &[(&str, &str)], database: &str) -> Duration {
    let settings: Vec<_> = settings
        .iter()
        .chain(&[("database.lanes", "1"), ("database.readers", "1")])
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect();
    let line = Arc::new(Barrier::new(nodes));
    let began = Instant::now();
    let starts: Vec<_> = (0..nodes)
        .map(|_| {
            let (line, settings) = (line.clone(), settings.clone());
            std::thread::spawn(move || {
                let settings: Vec<_> =
                    settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                line.wait();
                actix_web::rt::System::new().block_on(Server::with_all(&settings))
            })
        })
        .collect();
    let servers: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
    let took = began.elapsed();
    let migrations =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgresql")).unwrap().count();
    assert_eq!(
        usize::try_from(admin(database).count("SELECT count(*) FROM __diesel_schema_migrations")).unwrap(),
        migrations
    );
    let functions = "SELECT count(*) FROM pg_proc WHERE proname ~ '^hongyan_commit_[0-9a-f]{8}$'";
    assert_eq!(admin(database).count(functions), 1);
    for (n, server) in servers.iter().enumerate() {
        assert_eq!(Http::new(&server.ops, None).get("/readyz").await.0, 200);
        let ack = server.v1("alice").await.say("bob", &n.to_string(), "x").await;
        assert_eq!(ack["seq"], n + 1);
    }
    took
}

struct Admin(PgConnection);

/// On a database of the PostgreSQL of `make test`.
fn admin(database: &str) -> Admin {
    let url = std::env::var("HONGYAN_TEST_POSTGRES_URL").unwrap();
    let (base, _) = url.rsplit_once('/').unwrap();
    Admin(PgConnection::establish(&format!("{base}/{database}")).unwrap())
}

impl Admin {
    fn batch(&mut self, sql: &str) {
        diesel::connection::SimpleConnection::batch_execute(&mut self.0, sql).unwrap();
    }

    fn count(&mut self, query: &str) -> i64 {
        diesel::select(diesel::dsl::sql::<BigInt>(&format!("({query})"))).get_result(&mut self.0).unwrap()
    }
}
