//! Three nodes on PostgreSQL with the relay, against ejabberd with its message archive on the same
//! PostgreSQL; all of it, and the load, on the same cores.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::fleet::{Crowd, Dialect, Done, Fleet, Load};
use crate::report::Row;
use crate::servers::{Programs, Server};
use crate::services::{Ejabberd, Nats, Postgres};
use crate::stats::{Samples, median, micros};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Throughput,
    Latency,
}

pub struct Cluster {
    pub programs: Programs,
    pub postgres: PathBuf,
    pub users: Vec<usize>,
    pub window: usize,
    pub rounds: usize,
    pub seconds: u64,
    pub sql_pool: usize,
    pub relay: bool,
    pub began: Instant,
}

const NODES: usize = 3;
const TEXT_BYTES: usize = 100;
/// How many times ejabberd hongyan must reach.
const THROUGHPUT: f64 = 5.0;
/// What a message to another node may take of one to the same node.
const LATENCY: f64 = 2.0;
/// Messages of the lone pair in a round.
const LONE: usize = 500;

struct Nodes(Vec<Server>);

impl Nodes {
    /// The two of a pair on different nodes, all nodes in turn.
    fn spread(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|node| node.at).collect()
    }

    /// The two of a pair on the same node.
    fn together(&self) -> Vec<SocketAddr> {
        self.0.iter().flat_map(|node| [node.at; 2]).collect()
    }
}

impl Cluster {
    pub fn run(&self, parts: &[Part]) -> Result<Vec<Row>> {
        let postgres = Postgres::start(&self.postgres, &self.programs)?;
        let nats = self.relay.then(|| Nats::start(&self.programs)).transpose()?;
        let mut rows = Vec::new();
        for part in parts {
            match part {
                Part::Throughput => rows.extend(self.throughput(&postgres, nats.as_ref())?),
                // Without the relay there is nothing between two nodes to measure.
                Part::Latency if self.relay => rows.push(self.latency(&postgres, nats.as_ref())?),
                Part::Latency => {}
            }
        }
        Ok(rows)
    }

    fn say(&self, what: &str) {
        eprintln!("[{:4} s] {what}", self.began.elapsed().as_secs());
    }

    fn nodes(&self, database: &str, nats: Option<&Nats>) -> Result<Nodes> {
        let mut settings = vec![("HONGYAN_DATABASE__URL", database)];
        settings.extend(nats.map(|nats| ("HONGYAN_RELAY__NATS_URL", nats.url.as_str())));
        Ok(Nodes((0..NODES).map(|_| self.programs.node(&settings)).collect::<Result<_>>()?))
    }

    fn throughput(&self, postgres: &Postgres, nats: Option<&Nats>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for &users in &self.users {
            let (mut theirs, mut ours) = (Vec::new(), Vec::new());
            let (mut their_times, mut our_times) = (Vec::new(), Vec::new());
            for round in 1..=self.rounds {
                let ejabberd = self.ejabberd(postgres, users)?;
                let hongyan = self.hongyan(postgres, nats, users)?;
                let (a, b) = (ejabberd.per_second, hongyan.per_second);
                self.say(&format!(
                    "{users} users x {}, round {round}: ejabberd {a:.0}/s, hongyan {b:.0}/s, {:.2} x",
                    self.window,
                    b / a
                ));
                theirs.push(a);
                ours.push(b);
                their_times.extend(ejabberd.latencies);
                our_times.extend(hongyan.latencies);
            }
            let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect());
            let detail = format!("{:.0}/s against {:.0}/s", median(ours), median(theirs));
            let shape = format!("{users} users, window {}", self.window);
            let figure = format!("durable messages/s, {shape}, three nodes against ejabberd");
            rows.push(Row::at_least(figure, ratio, THROUGHPUT, " ×", &detail));
            let times = |times| {
                let times = Samples::new(times);
                format!("{:.1} ms and {:.1} ms", micros(times.p50()) / 1000.0, micros(times.p99()) / 1000.0)
            };
            rows.push(Row::beside(
                format!(
                    "beside it: send to receive under that load, p50 and p99, hongyan · ejabberd, {shape}"
                ),
                format!("{} · {}", times(our_times), times(their_times)),
            ));
        }
        Ok(rows)
    }

    fn ejabberd(&self, postgres: &Postgres, users: usize) -> Result<Load> {
        let database = postgres.database("ejabberd")?;
        let server = Ejabberd::start(&self.programs, &database, users, self.sql_pool)?;
        let load = self.load(&[server.at], users, Dialect::Xmpp, Done::Delivered)?;
        let stored = database.count("archive")?;
        // Each of the two has a copy.
        ensure!(stored == 2 * load.sent, "ejabberd has archived {stored} rows of {} messages", load.sent);
        Ok(load)
    }

    fn hongyan(&self, postgres: &Postgres, nats: Option<&Nats>, users: usize) -> Result<Load> {
        let database = postgres.database("hongyan")?;
        let nodes = self.nodes(&database.url(), nats)?;
        let homes = if self.relay { nodes.spread() } else { nodes.together() };
        let load = self.load(&homes, users, Dialect::V1, Done::AckedAndDelivered)?;
        let stored = database.count("messages")?;
        if load.repeated > 0 {
            self.say(&format!("of {} messages {} came twice, or to their senders", load.sent, load.repeated));
        }
        if load.fetched > 0 {
            self.say(&format!(
                "of {} messages {} were fetched by clients that saw a hole",
                load.sent, load.fetched
            ));
        }
        ensure!(stored == load.sent, "hongyan has stored {stored} of {} messages", load.sent);
        Ok(load)
    }

    fn load(&self, homes: &[SocketAddr], users: usize, dialect: Dialect, done: Done) -> Result<Load> {
        let crowd = Crowd { homes, users, first: 0, dialect, done, text_bytes: TEXT_BYTES, may_spin: false };
        Fleet::join(&crowd)?.load(self.window, Duration::from_secs(3), Duration::from_secs(self.seconds))
    }

    /// A lone pair on the same node and one on two nodes, in turn.
    fn latency(&self, postgres: &Postgres, nats: Option<&Nats>) -> Result<Row> {
        let database = postgres.database("hongyan")?;
        let nodes = self.nodes(&database.url(), nats)?;
        let pair = |homes: &[SocketAddr], first| {
            let (dialect, done) = (Dialect::V1, Done::Delivered);
            Fleet::join(&Crowd {
                homes,
                users: 2,
                first,
                dialect,
                done,
                text_bytes: TEXT_BYTES,
                may_spin: false,
            })
        };
        let mut same = pair(&nodes.together()[..2], 0)?;
        let mut apart = pair(&nodes.spread()[..2], 2)?;
        let p50 = |pair: &mut Fleet| Ok::<_, anyhow::Error>(micros(Samples::new(pair.lone(LONE)?).p50()));
        // The first messages open conversations.
        for pair in [&mut same, &mut apart] {
            p50(pair)?;
        }
        let (mut one, mut two) = (Vec::new(), Vec::new());
        for round in 1..=self.rounds * 2 {
            let (a, b) = (p50(&mut same)?, p50(&mut apart)?);
            self.say(&format!(
                "lone pair, round {round}: one node {a:.0} µs, two nodes {b:.0} µs, {:.2} x",
                b / a
            ));
            one.push(a);
            two.push(b);
        }
        let ratio = median(two.iter().zip(&one).map(|(two, one)| two / one).collect());
        let detail = format!("{:.0} µs against {:.0} µs", median(two), median(one));
        Ok(Row::at_most(
            "send to receive from node to node, p50, against the same pair on one node",
            ratio,
            LATENCY,
            " ×",
            &detail,
        ))
    }
}
