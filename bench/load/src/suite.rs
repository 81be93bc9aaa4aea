//! All measurements, each as a ratio of two things run in turn.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::fleet::{Dialect, Fleet};
use crate::report::Row;
use crate::servers::{Programs, Server};
use crate::stats::{Samples, median, micros};
use crate::{history, lone, memory};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Throughput,
    Lone,
    Memory,
    History,
}

pub struct Suite {
    pub programs: Programs,
    pub rounds: usize,
    pub seconds: u64,
    pub sessions: usize,
    pub idle: Duration,
    pub began: Instant,
}

/// Users, the window of each, and how many times the baseline hongyan must reach.
const SHAPES: [(usize, usize, f64); 3] = [(100, 4, 10.0), (1_000, 4, 10.0), (10_000, 1, 15.0)];
/// What messages at the last shape must be of those at the first.
const SHARE: f64 = 0.6;
const TEXT_BYTES: usize = 100;

/// Messages a second, a round each.
#[derive(Default)]
struct Rates {
    baseline: Vec<f64>,
    v1: Vec<f64>,
    plain: Vec<f64>,
    acks: Vec<Duration>,
}

impl Suite {
    pub fn run(&self, part: Part) -> Result<Vec<Row>> {
        match part {
            Part::Throughput => self.throughput(),
            Part::Lone => self.lone(),
            Part::Memory => self.memory(),
            Part::History => self.history(),
        }
    }

    fn say(&self, what: &str) {
        eprintln!("[{:4} s] {what}", self.began.elapsed().as_secs());
    }

    fn throughput(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut first = f64::NAN;
        for (users, window, bar) in SHAPES {
            let mut rates = Rates::default();
            for round in 1..=self.rounds {
                let baseline = self.load(&self.programs.baseline()?, users, window, Dialect::Plain)?.0;
                let (v1, acks) = self.load(&self.programs.hongyan(&[])?, users, window, Dialect::V1)?;
                let plain = self.load(&self.programs.hongyan(&[])?, users, window, Dialect::Plain)?.0;
                self.say(&format!("{users} users x {window}, round {round}: seed {baseline:.0}/s, v1 {v1:.0}/s, plain {plain:.0}/s"));
                rates.baseline.push(baseline);
                rates.v1.push(v1);
                rates.plain.push(plain);
                rates.acks.extend(acks);
            }
            let ratio = median(rates.v1.iter().zip(&rates.baseline).map(|(v1, base)| v1 / base).collect());
            let (baseline, v1, plain) = (median(rates.baseline), median(rates.v1), median(rates.plain));
            let acks = Samples::new(rates.acks);
            let shape = format!("{users} users, window {window}");
            let detail = format!("{v1:.0}/s against {baseline:.0}/s");
            rows.push(Row::at_least(
                format!("durable messages/s, {shape}, against the baseline"),
                ratio,
                bar,
                " ×",
                &detail,
            ));
            let (p50, p99) = (micros(acks.p50()) / 1000.0, micros(acks.p99()) / 1000.0);
            rows.push(Row::beside(
                format!("beside it: plain clients · send to ack under that load, p50 and p99, {shape}"),
                format!("{plain:.0}/s · {p50:.1} ms and {p99:.1} ms"),
            ));
            if first.is_nan() {
                first = v1;
            }
            if (users, window) == (SHAPES[2].0, SHAPES[2].1) {
                let detail = format!("{v1:.0}/s against {first:.0}/s");
                rows.push(Row::at_least(
                    "messages/s at 10 000 × 1 as a share of that at 100 × 4",
                    v1 / first,
                    SHARE,
                    "",
                    &detail,
                ));
            }
        }
        Ok(rows)
    }

    fn load(
        &self,
        server: &Server,
        users: usize,
        window: usize,
        dialect: Dialect,
    ) -> Result<(f64, Vec<Duration>)> {
        let mut fleet = Fleet::connect(server.at, users, dialect, TEXT_BYTES)?;
        let load = fleet.load(window, Duration::from_secs(2), Duration::from_secs(self.seconds))?;
        Ok((load.per_second, load.latencies))
    }

    fn lone(&self) -> Result<Vec<Row>> {
        self.say("lone messages and bare commits in turn");
        let rounds = lone::measure(&self.programs, self.rounds.max(3) * 2)?;
        let p50 = |samples: &Vec<Duration>| micros(Samples::new(samples.clone()).p50());
        let ratio = median(rounds.iter().map(|r| p50(&r.ack) / p50(&r.commit)).collect());
        let (ack, commit) = (
            median(rounds.iter().map(|r| p50(&r.ack)).collect()),
            median(rounds.iter().map(|r| p50(&r.commit)).collect()),
        );
        let detail = format!("{ack:.0} µs against {commit:.0} µs");
        Ok(vec![Row::at_most(
            "lone message, send to ack, p50, against one bare SQLite FULL commit of the same row",
            ratio,
            1.5,
            " ×",
            &detail,
        )])
    }

    fn memory(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (transport, bars) in [("takeover", Some((12.0, 14.0))), ("actix-web-actors", None)] {
            self.say(&format!("{} sessions on {transport}, {} s idle", self.sessions, self.idle.as_secs()));
            let settings = [("HONGYAN_SERVER__TRANSPORT", transport)];
            let memory::Resident { fresh, used } =
                memory::measure(&self.programs, self.sessions, self.idle, &settings)?;
            let (fresh, used) = (fresh / 1024.0, used / 1024.0);
            let sessions = self.sessions;
            match bars {
                Some((fresh_bar, used_bar)) => {
                    let detail = format!("{sessions} sessions");
                    rows.push(Row::at_most(
                        "resident memory an idle session, fresh",
                        fresh,
                        fresh_bar,
                        " KB",
                        &detail,
                    ));
                    let figure = "the same after ten 1 KB messages each way and 60 s idle";
                    rows.push(Row::at_most(figure, used, used_bar, " KB", &detail));
                }
                None => rows.push(Row::beside(
                    format!("beside it: transport `{transport}`"),
                    format!("{fresh:.1} KB · {used:.1} KB"),
                )),
            }
        }
        Ok(rows)
    }

    fn history(&self) -> Result<Vec<Row>> {
        let reads = history::measure(&self.programs, 2_000, |what| self.say(what))?;
        let row = |reads: history::Reads| {
            let (small, large) = (Samples::new(reads.small), Samples::new(reads.large));
            let ratio = micros(large.p99()) / micros(small.p99());
            let detail = format!(
                "p99 {:.0} µs against {:.0} µs; p50 {:.0} and {:.0} µs",
                micros(large.p99()),
                micros(small.p99()),
                micros(large.p50()),
                micros(small.p50())
            );
            Row::at_most(
                format!("{}, p99 at 5 million stored messages against 50 thousand", reads.what),
                ratio,
                2.0,
                " ×",
                &detail,
            )
        };
        Ok(reads.into_iter().map(row).collect())
    }
}
