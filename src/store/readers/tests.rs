use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::config::DatabaseUrl;
use crate::lifecycle::EXIT_VITAL_PART_DIED;
use crate::store::database::conn::Conn;

/// A read that hangs until it is let go.
struct Hang {
    until: Mutex<mpsc::Receiver<()>>,
}

impl Query for Hang {
    type Answer = ();

    fn run(&self, _: &mut Conn) -> diesel::QueryResult<()> {
        let _ = self.until.lock().unwrap().recv();
        Ok(())
    }
}

const THREADS: usize = 2;

/// Threads that read, and the time as they are told.
struct Rig {
    readers: Readers,
    now: Instant,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("x.db"));
        let database =
            Database { url, lanes: 1, readers: THREADS, cache_kib: 1_000, prepared_statements: true };
        crate::store::database::migrations::migrate(&database).unwrap();
        Self {
            readers: Readers::start(&database, &Default::default(), &Metrics::new(), &Draining::default()),
            now: Instant::now(),
            _folder: folder,
        }
    }

    /// All threads hang and are replaced; dropped, what is given lets them go.
    async fn stall(&mut self) -> Vec<mpsc::Sender<()>> {
        let crew = self.readers.current();
        let mut gates = Vec::new();
        for _ in 0..THREADS {
            let (gate, until) = mpsc::channel();
            gates.push(gate);
            let place = Place::take(&crew.free, &self.readers.metrics).unwrap();
            let (answer, answered) = oneshot::channel();
            crew.address.do_send(Ask { query: Hang { until: Mutex::new(until) }, answer, place });
            // It is asked no more once nobody waits for it.
            actix_rt::spawn(answered);
        }
        until(|| at_work(&crew.at_work) == THREADS).await;
        self.now += READER_HUNG_AFTER + Duration::from_secs(1);
        self.readers.replace_hung(self.now);
        assert!(!Arc::ptr_eq(&self.readers.current().at_work, &crew.at_work), "they were not replaced");
        gates
    }
}

fn at_work(desks: &Desks) -> usize {
    desks.iter().filter(|desk| at_work_since(desk).is_some()).count()
}

async fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[actix_web::test]
async fn crews_that_came_back_are_counted_back() {
    let mut rig = Rig::new();
    // One more would end the process, were they at one time.
    for _ in 0..3 * REPLACED {
        let crew = rig.readers.current();
        drop(rig.stall().await);
        until(|| at_work(&crew.at_work) == 0).await;
        rig.readers.replace_hung(rig.now);
        assert_eq!(rig.readers.replaced.lock().unwrap().len(), 0);
    }
}

#[test]
fn crews_that_hang_at_one_time_end_the_process() {
    if std::env::var_os("HANGS").is_some() {
        actix_rt::System::new().block_on(async {
            let mut rig = Rig::new();
            let mut gates = Vec::new();
            for n in 0.. {
                println!("stall {n}");
                gates.push(rig.stall().await);
            }
        });
    }
    let mut same = Command::new(std::env::current_exe().unwrap());
    same.args([
        "--exact",
        "store::readers::tests::crews_that_hang_at_one_time_end_the_process",
        "--nocapture",
    ])
    .env("HANGS", "1");
    let ended = same.stderr(Stdio::null()).output().unwrap();
    assert_eq!(ended.status.code(), Some(EXIT_VITAL_PART_DIED));
    assert_eq!(
        String::from_utf8(ended.stdout).unwrap().lines().filter(|line| line.contains("stall")).count(),
        REPLACED + 1
    );
}
