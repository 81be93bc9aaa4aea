//! The power fails under load, and the disk keeps what it had flushed and nothing else: every acked message
//! is among that.

use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::Text;
use rand::Rng as _;

use crate::disk::Disk;
use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::Server;
use crate::size::{figure, size};

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

fn integrity(database: &Path) -> String {
    let mut conn = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    diesel::sql_query("PRAGMA integrity_check").get_result::<Answer>(&mut conn).unwrap().integrity_check
}

#[actix_web::test]
async fn what_is_acked_survives_a_power_cut() {
    let Some(mut disk) = Disk::ext4() else { return };
    let database = disk.path().join("hongyan.db");
    let url = format!("sqlite://{}", database.display());
    let mut server = Server::with_all(&[&UNLIMITED[..], &[("database.url", &url)]].concat()).await;
    let fleet = Fleet::start(&server, Plan::default());
    let rounds = size(2, 50);
    for _ in 0..rounds {
        fleet.goes_on(30).await;
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..80))).await;
        disk.cut_power();
        server.signal("KILL");
        server.ended().await;
        disk.restore_power();
        assert_eq!(integrity(&database), "ok");
        server.again().await;
        fleet.moved(&server);
    }
    fleet.goes_on(30).await;
    let report = fleet.finish(&server).await;
    figure("power cut, SQLite", format!("{rounds} cuts, integrity_check ok each time; {report}"));
    assert!(report.is_clean(), "{report}");
}

diesel::table! {
    kept (n) {
        n -> BigInt,
    }
}

/// The same cut under a database that does not flush what it commits must lose some of it, or the cut is
/// none.
#[test]
fn a_database_that_does_not_flush_loses_some() {
    let Some(mut disk) = Disk::ext4() else { return };
    let path = disk.path().join("control.db");
    let (mut acked, mut lost) = (0, 0);
    // A cut just after a checkpoint's flush loses nothing: in the short form others follow until one does.
    for cut in 1..=size(20, 50) {
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE IF NOT EXISTS kept (n INTEGER PRIMARY KEY)",
        )
        .unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(150) {
            acked += 1;
            diesel::insert_into(kept::table).values(kept::n.eq(acked)).execute(&mut conn).unwrap();
        }
        disk.cut_power();
        drop(conn);
        disk.restore_power();
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        // The first cut may take the table itself.
        let there: i64 = kept::table.count().get_result(&mut conn).unwrap_or(0);
        lost = acked - there;
        if cut >= size(2, 50) && lost > 0 {
            break;
        }
    }
    figure("power cut, control with synchronous=NORMAL", format!("{lost} of {acked} committed rows lost"));
    assert!(lost > 0, "none of {acked} rows was lost");
}
