//! PostgreSQL by TLS: whom the server takes for its database, and what it says about others. It needs a
//! hongyan with the feature `postgres-tls`: the tests' own build where it has it, or the one that `make test`
//! builds beside it.

use std::path::Path;
use std::process::{Command, Stdio};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::harness::Server;
use crate::postgres::Postgres;
use crate::size::skipped;

/// A certificate authority, and what it has signed for `localhost`.
fn certificates(folder: &Path, name: &str) -> bool {
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        command.args(line.split(' ')).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost").unwrap();
    openssl(&format!("req -x509 {key} -days 2 -subj /CN={name} -keyout {name}.key -out {name}.crt"))
        && openssl(&format!("req {key} -subj /CN=localhost -keyout server.key -out server.csr"))
        && openssl(&format!(
            "x509 -req -in server.csr -CA {name}.crt -CAkey {name}.key -CAcreateserial -days 2 -extfile names -out server.crt"
        ))
}

#[actix_web::test]
async fn only_the_database_of_the_right_name_and_issuer_is_trusted() {
    if !cfg!(feature = "postgres-tls") && std::env::var_os("HONGYAN_TEST_BIN").is_none() {
        return skipped(
            "this hongyan is built without TLS to PostgreSQL; `make test` runs it with one that is not",
        );
    }
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    if !certificates(theirs.path(), "theirs") || !certificates(ours.path(), "ours") {
        return skipped("there is no openssl to make certificates with");
    }
    let Some(postgres) = Postgres::start() else { return };
    let plain = format!("postgres://postgres@{}/postgres", postgres.address());
    let (_, port) = plain.rsplit_once(':').unwrap();
    let url = |host: &str, sslmode: &str, issuer: &Path| {
        format!("postgres://postgres@{host}:{port}?sslmode={sslmode}&sslrootcert={}", issuer.display())
    };
    let (right, wrong) = (ours.path().join("ours.crt"), theirs.path().join("theirs.crt"));
    let server = Server::start().await;
    let refused = |url: &str| {
        let done = server.command(&["migrate", "--dev", "--database-url", url]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{url}: {said}");
        assert!(said.contains("check sslmode and sslrootcert in database.url"), "{url}: {said}");
        said
    };
    let said = refused(&url("localhost", "verify-full", &right));
    assert!(said.contains("does not support SSL"), "{said}");

    postgres.stop();
    postgres.serve_tls(&ours.path().join("server.crt"), &ours.path().join("server.key"));
    postgres.resume();
    let said = refused(&url("localhost", "verify-full", &wrong));
    assert!(said.contains("certificate verify failed"), "{said}");
    let said = refused(&url("127.0.0.1", "verify-full", &right));
    assert!(said.contains("does not match host name"), "{said}");
    let said = refused(&url("localhost", "verify-full", &ours.path().join("none.crt")));
    assert!(said.contains("none.crt"), "{said}");

    let server = Server::with_all(&[("database.url", &url("localhost", "verify-full", &right))]).await;
    assert_eq!(server.v1("alice").await.say("bob", "1", "x").await["seq"], 1);
    let mut admin = PgConnection::establish(&plain).unwrap();
    let connections = |what: &str| {
        format!(
            "(SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'hongyan' AND {what})"
        )
    };
    let mut count = |what: &str| {
        diesel::select(diesel::dsl::sql::<BigInt>(&connections(what))).get_result::<i64>(&mut admin).unwrap()
    };
    assert!(count("ssl") >= 2, "lanes and readers");
    assert_eq!(count("NOT ssl"), 0);
}
