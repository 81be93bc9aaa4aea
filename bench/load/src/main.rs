//! A load tool for servers that speak the seed's chat protocol (`drive`), and the measurements of hongyan
//! (`suite`, `cluster`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, ValueEnum as _};

use crate::cluster::Cluster;
use crate::core::Core;
use crate::fleet::{Crowd, Dialect, Done, Fleet};
use crate::servers::{LOAD_CORE, Programs};
use crate::stats::{Samples, micros};
use crate::suite::{Part, Suite};

mod cluster;
mod core;
mod fleet;
mod frame;
mod history;
mod lone;
mod memory;
mod report;
mod safety;
mod servers;
mod services;
mod stats;
mod suite;
mod v1;
mod xmpp;

#[derive(Parser)]
#[command(name = "hongyan-load", version, about)]
enum Command {
    /// Load a server that is running: users in pairs write to each other
    Drive {
        at: SocketAddr,
        #[arg(long, default_value_t = 100)]
        users: usize,
        /// Messages that a user keeps under way
        #[arg(long, default_value_t = 4)]
        window: usize,
        #[arg(long, default_value = "plain")]
        dialect: Dialect,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Bytes of a message's text
        #[arg(long, default_value_t = 100)]
        text: usize,
        /// The number in the first user's name, an even one
        #[arg(long, default_value_t = 0)]
        first: usize,
    },
    /// Measure hongyan and the baseline side by side
    Suite {
        #[arg(long, default_value = "target/dist/hongyan")]
        hongyan: PathBuf,
        #[arg(long, default_value = "bench/seed-baseline")]
        baseline: PathBuf,
        /// Where databases go: a real disk
        #[arg(long, default_value = "target/bench")]
        data: PathBuf,
        /// Measure these only
        #[arg(long, value_delimiter = ',')]
        only: Vec<Part>,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Measured seconds of a round
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Idle sessions to measure the memory of
        #[arg(long, default_value_t = 15_000)]
        sessions: usize,
        /// Seconds that they are idle
        #[arg(long, default_value_t = 60)]
        idle: u64,
        /// The document whose table is written anew
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// Measure what a message and an idle session cost, beside an earlier build and a router without a store
    Core {
        #[arg(long, default_value = "target/dist/hongyan")]
        hongyan: PathBuf,
        /// The earlier build
        #[arg(long)]
        earlier: PathBuf,
        /// Settings that it does not know, as variables
        #[arg(long, value_delimiter = ',')]
        earlier_unknown: Vec<String>,
        #[arg(long, default_value = "bench/uwebsockets-baseline")]
        router: PathBuf,
        /// Where databases go: a real disk
        #[arg(long, default_value = "target/bench")]
        data: PathBuf,
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Measured seconds of a turn
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Idle sessions whose processor time is measured
        #[arg(long, default_value_t = 10_000)]
        sessions: usize,
        /// Seconds that they are watched
        #[arg(long, default_value_t = 60)]
        idle: u64,
        /// The document whose table is written anew
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// Measure what checks of contents cost
    Safety {
        #[arg(long, default_value = "target/dist/hongyan")]
        hongyan: PathBuf,
        /// Where databases go: a real disk
        #[arg(long, default_value = "target/bench")]
        data: PathBuf,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Measured seconds of a round
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// The document whose table is written anew
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// Measure three nodes on PostgreSQL beside ejabberd on the same PostgreSQL
    Cluster {
        #[arg(long, default_value = "target/dist/hongyan")]
        hongyan: PathBuf,
        /// Where databases go: a real disk, in a folder that the users of PostgreSQL and ejabberd may enter
        #[arg(long, default_value = "/var/tmp")]
        data: PathBuf,
        /// The folder of initdb, postgres and psql
        #[arg(long)]
        postgres: PathBuf,
        /// Measure these only
        #[arg(long, value_delimiter = ',')]
        only: Vec<cluster::Part>,
        /// Users of each measurement of the throughput
        #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000])]
        users: Vec<usize>,
        /// Messages that a user keeps under way
        #[arg(long, default_value_t = 4)]
        window: usize,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Measured seconds of a round
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// ejabberd's connections to PostgreSQL
        #[arg(long, default_value_t = 10)]
        sql_pool: usize,
        /// No relay: the two of a pair are on the same node then
        #[arg(long)]
        without_relay: bool,
        /// The document whose table is written anew
        #[arg(long)]
        write: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hongyan-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Drive { at, users, window, dialect, seconds, text, first } => {
            let done = Done::of(dialect);
            let mut fleet = Fleet::join(&Crowd {
                homes: &[at],
                users,
                first,
                dialect,
                done,
                text_bytes: text,
                may_spin: window > 0,
            })?;
            eprintln!("{users} users are connected");
            let load = fleet.load(window, Duration::from_secs(2), Duration::from_secs(seconds))?;
            let latencies = Samples::new(load.latencies);
            let (p50, p99) = (micros(latencies.p50()) / 1000.0, micros(latencies.p99()) / 1000.0);
            println!(
                "{:.0} messages/s, p50 {p50:.2} ms, p99 {p99:.2} ms; nothing is missing",
                load.per_second
            );
            Ok(())
        }
        Command::Suite { hongyan, baseline, data, only, rounds, seconds, sessions, idle, write } => {
            hold_to_core()?;
            let programs = Programs { hongyan, baseline, data, ..Programs::default() };
            let suite = Suite {
                programs,
                rounds,
                seconds,
                sessions,
                idle: Duration::from_secs(idle),
                began: Instant::now(),
            };
            let parts = if only.is_empty() { Part::value_variants().to_vec() } else { only };
            let mut rows = Vec::new();
            for part in parts {
                rows.extend(suite.run(part)?);
            }
            tell(&rows, "bench", write)
        }
        Command::Core {
            hongyan,
            earlier,
            earlier_unknown,
            router,
            data,
            rounds,
            seconds,
            sessions,
            idle,
            write,
        } => {
            hold_to_core()?;
            let of = |hongyan, unknown| Programs {
                hongyan,
                router: router.clone(),
                unknown,
                data: data.clone(),
                ..Programs::default()
            };
            let core = Core {
                programs: of(hongyan, Vec::new()),
                earlier: of(earlier, earlier_unknown),
                rounds,
                seconds,
                sessions,
                idle: Duration::from_secs(idle),
                began: Instant::now(),
            };
            tell(&core.run()?, "core", write)
        }
        Command::Safety { hongyan, data, rounds, seconds, write } => {
            hold_to_core()?;
            let programs = Programs { hongyan, data, ..Programs::default() };
            tell(&safety::Safety { programs, rounds, seconds, began: Instant::now() }.run()?, "safety", write)
        }
        Command::Cluster {
            hongyan,
            data,
            postgres,
            only,
            users,
            window,
            rounds,
            seconds,
            sql_pool,
            without_relay,
            write,
        } => {
            let programs = Programs { hongyan, data, ..Programs::default() };
            let cluster = Cluster {
                programs,
                postgres,
                users,
                window,
                rounds,
                seconds,
                sql_pool,
                relay: !without_relay,
                began: Instant::now(),
            };
            let parts = if only.is_empty() { cluster::Part::value_variants().to_vec() } else { only };
            tell(&cluster.run(&parts)?, "cluster", write)
        }
    }
}

fn tell(rows: &[report::Row], mark: &str, write: Option<PathBuf>) -> Result<()> {
    let text = format!("{}\nMeasured on: {}.\n", report::table(rows), report::machine());
    println!("{text}");
    write.map_or(Ok(()), |document| report::write(&document, mark, &text))
}

fn hold_to_core() -> Result<()> {
    let mut core = rustix::thread::CpuSet::new();
    core.set(LOAD_CORE);
    Ok(rustix::thread::sched_setaffinity(None, &core)?)
}
