//! Two versions side by side on one PostgreSQL and one NATS, as in a rolling upgrade: this one, and one of an
//! earlier commit that does not know the last steps of the tables. Each is killed and restarted under load.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::fleet::{Fleet, Plan, UNLIMITED};
use crate::harness::{Cluster, Nats, Server};
use crate::lookout::Lookout;
use crate::size::{figure, is_long, skipped};

/// The last commit before the newest expand step, that of the jobs.
const EARLIER: &str = "50a00b53f4a5b8646e2af186f0b23d67ea949734";

/// Restarts of each node: half by `kill -9`, half in order.
const RESTARTS: usize = 10;

/// How long a message between the versions may take while both are up.
const BETWEEN_NODES: Duration = Duration::from_secs(5);

/// How long nobody may be without a connection, whichever node goes.
const AWAY: Duration = Duration::from_secs(10);

/// An earlier version: its sources, and its binary.
struct Build {
    sources: PathBuf,
    program: String,
}

impl Build {
    /// Takes the commit out of this repository and builds it under `target`, where that was not done before.
    /// `None`, and why, where this is no clone with that commit.
    fn earlier() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let in_root = |program: &str| {
            let mut command = Command::new(program);
            command.current_dir(root);
            command
        };
        let known = in_root("git").args(["cat-file", "-e", &format!("{EARLIER}^{{commit}}")]).output();
        if !known.is_ok_and(|known| known.status.success()) {
            skipped(&format!("commit {EARLIER} is not in this clone, which may be a shallow one"));
            return None;
        }
        let folder = root.join("target/earlier");
        let sources = folder.join(EARLIER);
        std::fs::create_dir_all(&sources).unwrap();
        // Whoever else builds it waits.
        let lock = std::fs::File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        let archive = folder.join(format!("{EARLIER}.tar"));
        run(in_root("git").args(["archive", "--output"]).arg(&archive).arg(EARLIER));
        run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&sources));
        println!("building commit {EARLIER} in {}", sources.display());
        let target = sources.join("target");
        run(Command::new("cargo")
            .args(["build", "--locked", "--features", "hongyan/failpoints", "--bin", "hongyan"])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(&sources));
        Some(Self { sources, program: target.join("debug/hongyan").display().to_string() })
    }

    /// Steps of PostgreSQL's tables that it knows.
    fn steps(&self) -> usize {
        std::fs::read_dir(self.sources.join("migrations/postgresql")).unwrap().count()
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// The steps that a database has.
fn applied_steps(database: &str) -> usize {
    let mut conn = PgConnection::establish(database).unwrap();
    let count = diesel::dsl::sql::<BigInt>("(SELECT count(*) FROM __diesel_schema_migrations)");
    usize::try_from(diesel::select(count).get_result::<i64>(&mut conn).unwrap()).unwrap()
}

/// A node that stays where it is when it is started again; of this version without a `program`.
fn node(program: Option<&str>, settings: &[(&str, &str)]) -> Server {
    let mut node = match program {
        Some(program) => Server::of_binary(program, settings),
        None => Server::alone(settings),
    };
    let at = node.at.clone();
    node.set_variable("HONGYAN_SERVER__LISTEN", Some(&at));
    node
}

async fn meet(nodes: &[Server; 2]) {
    for node in nodes {
        node.metric_becomes("hongyan_relay_up", 1.0).await;
        node.metric_becomes("hongyan_relay_nodes", 1.0).await;
    }
}

/// The longest that a message took from one node to the other, either way.
async fn between(nodes: &[Server; 2], fleet: &Fleet, round: usize) -> Duration {
    let mut lookouts = Vec::new();
    for (n, (from, to)) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])].into_iter().enumerate() {
        let reader = format!("to{round}-{n}");
        let (writer, client) = (from.v1(&format!("from{round}-{n}")).await, to.v1(&reader).await);
        lookouts.push(Lookout::start(writer, client, &reader));
    }
    fleet.goes_on(50).await;
    let mut slowest = Duration::ZERO;
    for lookout in lookouts {
        let passages = lookout.stop().await;
        slowest = passages.iter().map(|passage| passage.arrived_after).fold(slowest, Duration::max);
    }
    slowest
}

/// One after the other on an empty database, the second while clients of the first write.
async fn side_by_side(order: &str, programs: [Option<&str>; 2], known: usize) {
    let (Some(nats), Some((database, _))) = (Nats::start(), Server::fresh_postgres()) else { return };
    let nats_url = nats.url();
    let own = [
        ("database.url", database.as_str()),
        ("relay.nats_url", nats_url.as_str()),
        ("session.drain_spread_ms", "1000"),
    ];
    let settings = [UNLIMITED.as_slice(), Cluster::SHARED, &own].concat();
    let named = |name| [settings.as_slice(), &[("server.node", name)]].concat();
    let first = node(programs[0], &named("first"));
    let fleet = Fleet::start(&first, Plan { users: 6, ..Plan::default() });
    fleet.goes_on(100).await;
    let mut nodes = [first, node(programs[1], &named("second"))];
    let unknown = applied_steps(&database) - known;
    assert!(unknown > 0, "the earlier version knows every step");
    fleet.spread_over(nodes.iter().map(|node| node.at.clone()).collect());
    meet(&nodes).await;
    fleet.take_longest_away();

    let (mut slowest, mut away, mut ready) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for round in 0..RESTARTS {
        for n in 0..nodes.len() {
            slowest = slowest.max(between(&nodes, &fleet, round * nodes.len() + n).await);
            if round % 2 == 0 {
                nodes[n].signal("TERM");
                assert!(nodes[n].ended().await.success());
            } else {
                nodes[n].signal("KILL");
                nodes[n].ended().await;
            }
            // The other one serves alone.
            fleet.everybody_goes_on(5).await;
            let began = Instant::now();
            nodes[n].again().await;
            ready = ready.max(began.elapsed());
            meet(&nodes).await;
            away = away.max(fleet.take_longest_away());
        }
    }
    fleet.everybody_goes_on(20).await;
    let reports = fleet.finish_on([&nodes[0], &nodes[1]]).await;
    figure(
        &format!("two versions side by side, {order}"),
        format!(
            "{RESTARTS} restarts each, ready after {} ms at most, away for {} ms at most, between nodes {} ms at most, \
             steps that the earlier one does not know: {unknown}; {}; by what the other node says {} violations",
            ready.as_millis(),
            away.as_millis(),
            slowest.as_millis(),
            reports[0],
            reports[1].totals.values().sum::<usize>()
        ),
    );
    for report in &reports {
        assert!(report.is_clean(), "{report}");
    }
    assert!(slowest <= BETWEEN_NODES && away <= AWAY, "{slowest:?} {away:?}");
}

#[actix_web::test]
async fn an_earlier_version_joins_one_that_brought_the_tables_further() {
    if !is_long() {
        return;
    }
    let Some(build) = Build::earlier() else { return };
    side_by_side("the earlier one second", [None, Some(&build.program)], build.steps()).await;
}

#[actix_web::test]
async fn a_version_that_brings_the_tables_further_joins_an_earlier_one() {
    if !is_long() {
        return;
    }
    let Some(build) = Build::earlier() else { return };
    side_by_side("the earlier one first", [Some(&build.program), None], build.steps()).await;
}
