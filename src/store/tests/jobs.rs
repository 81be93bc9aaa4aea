//! Jobs: who may take one when, and what the runner makes of them, on several nodes where the database can have some.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::backoff::Backoff;
use crate::jobs::{Job, JobKind, Jobs, Runner, Task, TaskOutcome};
use crate::lifecycle::Vital;
use crate::store::jobs::*;

on_both!(
    a_job_that_is_taken_is_nobody_elses_until_its_node_is_dead,
    what_a_node_has_and_does_not_do_is_taken_when_its_lease_ends,
    what_came_of_a_job_is_said_by_who_has_it,
    so_many_of_a_kind_wait_and_no_more,
    each_job_is_done_by_one_node,
    what_fails_is_tried_again_and_given_up,
    what_a_dead_node_had_is_done_again,
    what_may_not_run_twice_is_lost_with_its_node,
    who_leaves_leaves_its_jobs_to_others,
    what_stands_is_done_again_and_again,
);

const KIND: JobKind = JobKind::MediaResult;

fn kind() -> &'static str {
    KIND.into()
}

async fn enqueue(rig: &Rig, key: &str) -> bool {
    rig.call(EnqueueJob { kind: kind(), key: key.to_owned(), payload: "p".to_owned() }).await.unwrap()
}

async fn claim(rig: &Rig, node: &str, lease_ms: i64) -> Vec<ClaimedJob> {
    let claim = ClaimJobs { kinds: vec![kind()], node: node.to_owned(), lease_ms, limit: 10 };
    rig.call(claim).await.unwrap()
}

async fn next(rig: &Rig, node: &str) -> Option<u64> {
    rig.store.next_job(NextJob { kinds: vec![kind()], node: node.to_owned() }).await.unwrap()
}

async fn a_job_that_is_taken_is_nobody_elses_until_its_node_is_dead(db: &mut Db) {
    let rig = db.open();
    assert_eq!(next(&rig, "a").await, None);
    assert!(enqueue(&rig, "1").await && enqueue(&rig, "1").await, "the same one");
    assert_eq!(next(&rig, "a").await, Some(0));
    let [job] = &claim(&rig, "a", 60_000).await[..] else { panic!("one") };
    assert_eq!((&*job.key, &*job.payload, job.tries, job.is_resumed), ("1", "p", 1, false));
    assert_eq!(claim(&rig, "a", 60_000).await, [], "it runs there");
    assert!(next(&rig, "a").await.unwrap() > 30_000);
    if db.admin.is_some() {
        assert!(next(&rig, "b").await.unwrap() > 30_000);
        assert_eq!(claim(&rig, "b", 60_000).await, []);
        // Renewed, it stays where it is; a node that says nothing for so long is dead.
        rig.call(RenewJobs { ids: vec![job.id], node: "a".into(), lease_ms: 120_000 }).await.unwrap();
        assert!(next(&rig, "b").await.unwrap() > 90_000);
        rig.call(RenewJobs { ids: vec![job.id], node: "a".into(), lease_ms: -1 }).await.unwrap();
    }
    // A SQLite file has one process: another name is a later one.
    assert_eq!(next(&rig, "b").await, Some(0));
    let [again] = &claim(&rig, "b", 60_000).await[..] else { panic!("one") };
    assert_eq!((again.id, again.tries, again.is_resumed), (job.id, 2, true));
}

/// The node never heard that it has them: the connection broke as it took them.
async fn what_a_node_has_and_does_not_do_is_taken_when_its_lease_ends(db: &mut Db) {
    let rig = db.open();
    enqueue(&rig, "1").await;
    enqueue(&rig, "2").await;
    let taken = claim(&rig, "a", 300).await;
    rig.call(RenewJobs { ids: vec![taken[0].id], node: "a".into(), lease_ms: 60_000 }).await.unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while next(&rig, "a").await != Some(0) {
        assert!(Instant::now() < end, "its lease does not end");
        sleep(Duration::from_millis(20)).await;
    }
    let again = claim(&rig, "a", 60_000).await;
    let ids: Vec<_> = again.iter().map(|job| (job.id, job.is_resumed)).collect();
    assert_eq!(ids, [(taken[1].id, true)]);
}

async fn what_came_of_a_job_is_said_by_who_has_it(db: &mut Db) {
    let rig = db.open();
    enqueue(&rig, "1").await;
    let id = claim(&rig, "a", 60_000).await[0].id;
    let settle = |node: &str, end| SettleJob { id, node: node.to_owned(), end };
    rig.call(settle("b", JobEnd::Gone)).await.unwrap();
    rig.call(settle("a", JobEnd::Failed { after_ms: 60_000 })).await.unwrap();
    assert!(next(&rig, "a").await.unwrap() > 30_000, "b did not have it");
    assert!(enqueue(&rig, "1").await);
    let again = claim(&rig, "a", 60_000).await;
    assert_eq!(
        (again[0].id, again[0].tries, again[0].is_resumed),
        (id, 2, false),
        "asked for, it is due now"
    );
    rig.call(settle("a", JobEnd::Again { after_ms: 0 })).await.unwrap();
    assert_eq!(claim(&rig, "a", 60_000).await[0].tries, 1, "it went well");
    rig.call(settle("a", JobEnd::Gone)).await.unwrap();
    assert_eq!(db.numbers("SELECT count(*) AS number FROM jobs"), [0]);
}

async fn so_many_of_a_kind_wait_and_no_more(db: &mut Db) {
    let rig = db.open();
    enqueue(&rig, "first").await;
    db.exec(&format!(
        "INSERT INTO jobs (kind, key, payload, created_at, due_at) WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n \
         WHERE i < {JOBS_OF_A_KIND}) SELECT '{}', CAST(i AS TEXT), '', 0, 0 FROM n",
        kind()
    ));
    assert!(!enqueue(&rig, "one more").await);
    assert!(enqueue(&rig, "first").await, "it waits already");
    let other = EnqueueJob { kind: JobKind::PruneActs.into(), key: "x".into(), payload: String::new() };
    assert!(rig.call(other).await.unwrap(), "another kind has places of its own");
}

type Notes = Arc<Mutex<Vec<String>>>;

/// Notes what it does, where, and ends as its payload says.
struct Noting {
    node: usize,
    may_run_twice: bool,
    notes: Notes,
}

impl Noting {
    fn note(&self, what: &str, key: &str) {
        self.notes.lock().unwrap().push(format!("{what} {key} at {}", self.node));
    }
}

impl Job for Noting {
    fn kind(&self) -> JobKind {
        KIND
    }

    fn standing(&self) -> Vec<String> {
        vec!["standing".to_owned()]
    }

    fn may_run_twice(&self) -> bool {
        self.may_run_twice
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_millis(1), Duration::from_millis(5)).tries(3)
    }

    fn run(self: Arc<Self>, task: Task) -> BoxFuture<'static, TaskOutcome> {
        Box::pin(async move {
            self.note("begun", &task.key);
            match (task.key.as_str(), task.payload.as_str()) {
                ("standing", _) => TaskOutcome::DoneUntil(Duration::from_millis(20)),
                (_, "fails") => TaskOutcome::Failed,
                (_, "panics") => panic!("on purpose"),
                (_, "hangs") => std::future::pending().await,
                _ => TaskOutcome::Done,
            }
        })
    }

    fn is_over(&self, task: &Task) {
        self.note("over", &task.key);
    }
}

struct Node {
    rig: Rig,
    jobs: Jobs,
    runner: Runner,
}

impl Node {
    fn start(db: &Db, node: usize, may_run_twice: bool, notes: &Notes) -> Self {
        let rig = db.open();
        let jobs = Jobs::new(rig.store.clone());
        let job = Arc::new(Noting { node, may_run_twice, notes: notes.clone() });
        let runner = Runner::new(jobs.clone(), vec![job], rig.metrics.clone());
        // The process of a test outlives its runners.
        let ends = Draining::default();
        ends.begin();
        runner.start(Vital::new("jobs", &ends));
        Self { rig, jobs, runner }
    }

    async fn enqueue(&self, key: &str, payload: &str) {
        self.jobs.enqueue(KIND, key, payload.to_owned()).await.unwrap();
    }
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn noted(notes: &Notes, what: &str) -> usize {
    notes.lock().unwrap().iter().filter(|note| note.starts_with(what)).count()
}

/// As many nodes as the database can have.
fn nodes(db: &Db) -> usize {
    if db.admin.is_some() { 3 } else { 1 }
}

async fn each_job_is_done_by_one_node(db: &mut Db) {
    let notes = Notes::default();
    let nodes: Vec<_> = (0..nodes(db)).map(|n| Node::start(db, n, false, &notes)).collect();
    for n in 0..60 {
        nodes[n % nodes.len()].enqueue(&format!("job-{n:02}"), "").await;
    }
    until("all are done", || noted(&notes, "begun job-") >= 60).await;
    sleep(Duration::from_millis(300)).await;
    for n in 0..60 {
        assert_eq!(noted(&notes, &format!("begun job-{n:02}")), 1, "{n}");
    }
    assert_eq!(noted(&notes, "over"), 0);
    let done = "SELECT count(*) AS number FROM jobs WHERE key <> 'standing'";
    until("their rows are gone", || db.numbers(done) == [0]).await;
    if nodes.len() > 1 {
        let at = |n: usize| {
            let at = format!("at {n}");
            notes.lock().unwrap().iter().filter(|note| note.contains("job-") && note.ends_with(&at)).count()
        };
        assert!((0..3).filter(|n| at(*n) > 0).count() > 1, "more than one of them worked");
    }
}

async fn what_fails_is_tried_again_and_given_up(db: &mut Db) {
    let notes = Notes::default();
    let node = Node::start(db, 0, true, &notes);
    for payload in ["fails", "panics"] {
        node.enqueue(payload, payload).await;
        until("it is given up", || noted(&notes, &format!("over {payload}")) == 1).await;
        assert_eq!(noted(&notes, &format!("begun {payload}")), 3);
    }
    let counted = node.rig.metrics.encode();
    for (result, count) in [("failed", 4), ("given_up", 2), ("lost", 0)] {
        let line = format!("hongyan_jobs_total{{kind=\"media_result\",result=\"{result}\"}} {count}\n");
        assert!(counted.contains(&line), "{line} {counted}");
    }
}

/// A node of a later process, of which another one has died within a job.
async fn after_a_death(db: &Db, may_run_twice: bool, notes: &Notes) -> Node {
    let rig = db.open();
    enqueue(&rig, "begun before").await;
    assert_eq!(claim(&rig, "dead", 300).await.len(), 1);
    drop(rig);
    if let DatabaseUrl::Sqlite(path) = &db.config.url {
        until("the file is free", || FileLock::take(path).is_ok()).await;
    }
    Node::start(db, 0, may_run_twice, notes)
}

async fn what_a_dead_node_had_is_done_again(db: &mut Db) {
    let notes = Notes::default();
    let _node = after_a_death(db, true, &notes).await;
    until("it is done again", || noted(&notes, "begun begun before") == 1).await;
    let left = "SELECT count(*) AS number FROM jobs WHERE key <> 'standing'";
    until("its row is gone", || db.numbers(left) == [0]).await;
}

async fn what_may_not_run_twice_is_lost_with_its_node(db: &mut Db) {
    let notes = Notes::default();
    let node = after_a_death(db, false, &notes).await;
    until("it is lost", || noted(&notes, "over begun before") == 1).await;
    let left = "SELECT count(*) AS number FROM jobs WHERE key <> 'standing'";
    until("its row is gone", || db.numbers(left) == [0]).await;
    assert_eq!(noted(&notes, "begun begun before"), 0);
    // Nor is one that panics, which may have been half done.
    node.enqueue("panics", "panics").await;
    until("it is lost", || noted(&notes, "over panics") == 1).await;
    assert_eq!(noted(&notes, "begun panics"), 1);
}

async fn who_leaves_leaves_its_jobs_to_others(db: &mut Db) {
    let notes = Notes::default();
    let first = Node::start(db, 1, true, &notes);
    first.enqueue("long", "hangs").await;
    until("it runs", || noted(&notes, "begun long at 1") == 1).await;
    timeout(Duration::from_secs(4), first.runner.leave()).await.unwrap();
    // Well before its lease would end.
    let begun = Instant::now();
    let [job] =
        &claim(&first.rig, "b", 60_000).await.into_iter().filter(|job| job.key == "long").collect::<Vec<_>>()
            [..]
    else {
        panic!("one")
    };
    assert!(job.is_resumed && begun.elapsed() < Duration::from_secs(5));
    assert_eq!(noted(&notes, "begun long"), 1);
}

async fn what_stands_is_done_again_and_again(db: &mut Db) {
    let notes = Notes::default();
    let nodes: Vec<_> = (0..nodes(db)).map(|n| Node::start(db, n, true, &notes)).collect();
    until("it is done often", || noted(&notes, "begun standing") >= 5).await;
    assert_eq!(db.numbers("SELECT count(*) AS number FROM jobs"), [1], "one row for all nodes");
    for node in &nodes {
        node.runner.leave().await;
    }
    let so_far = noted(&notes, "begun");
    sleep(Duration::from_millis(200)).await;
    assert_eq!(noted(&notes, "begun"), so_far, "who has left begins nothing");
}
