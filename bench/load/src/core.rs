//! The server's core: what a message and an idle session cost it, beside an earlier build in turn, and beside a
//! router that stores nothing.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::fleet::{Dialect, Fleet, Load};
use crate::memory::{self, Resident};
use crate::report::Row;
use crate::servers::{Programs, Server};
use crate::stats::median;

pub struct Core {
    pub programs: Programs,
    /// The same of the build that it is measured beside.
    pub earlier: Programs,
    /// Turns of each.
    pub rounds: usize,
    /// Measured seconds of a turn.
    pub seconds: u64,
    /// Idle sessions whose processor time is measured, and how long they are watched.
    pub sessions: usize,
    pub idle: Duration,
    pub began: Instant,
}

/// Users, and the window of each.
const SHAPES: [(usize, usize); 3] = [(100, 4), (1_000, 4), (10_000, 1)];
/// At this shape it is held against the router.
const OF_ROUTER: (usize, usize) = (1_000, 4);
const TEXT_BYTES: usize = 100;
const SETTLED_AFTER: Duration = Duration::from_secs(3);
const SESSIONS_IN_MEMORY: usize = 15_000;
/// As the SDK sends them.
const HEART: Duration = Duration::from_secs(30);
/// Rates say something of the server only where the load has room.
const LOAD_BUSY: f64 = 0.8;

/// One turn of one server.
#[derive(Clone, Copy)]
struct Turn {
    per_second: f64,
    /// Processor time a message, microseconds.
    micros: f64,
    /// Share of its core that the load had work for.
    load_busy: f64,
}

impl Core {
    pub fn run(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for shape in SHAPES {
            rows.extend(self.shape(shape)?);
        }
        rows.push(self.idle()?);
        rows.extend(self.memory()?);
        Ok(rows)
    }

    fn say(&self, what: &str) {
        eprintln!("[{:4} s] {what}", self.began.elapsed().as_secs());
    }

    fn shape(&self, (users, window): (usize, usize)) -> Result<Vec<Row>> {
        let shape = format!("{users} users, window {window}");
        let (mut now, mut earlier, mut router) = (Turns::default(), Turns::default(), Turns::default());
        for round in 1..=self.rounds {
            earlier.0.push(self.turn(&self.earlier.hongyan(&[])?, users, window)?);
            now.0.push(self.turn(&self.programs.hongyan(&[])?, users, window)?);
            self.say(&format!("{shape}, round {round}, earlier: {}, now: {}", earlier.last(), now.last()));
            if (users, window) == OF_ROUTER {
                router.0.push(self.turn(&self.programs.router()?, users, window)?);
                self.say(&format!("{shape}, round {round}, router: {}", router.last()));
            }
        }
        let mut rows =
            vec![now.against(&earlier, &shape), now.rate_against(&earlier, &shape, "the earlier build", 1.5)];
        if !router.0.is_empty() {
            rows.push(now.rate_against(&router, &shape, "a router on uWebSockets.js without a store", 0.75));
        }
        Ok(rows)
    }

    /// From the last handshake to the last message.
    fn turn(&self, server: &Server, users: usize, window: usize) -> Result<Turn> {
        let mut fleet = Fleet::connect(server.at, users, Dialect::V1, TEXT_BYTES)?;
        let before = server.processor_time()?;
        let Load { per_second, sent, busy, .. } =
            fleet.load(window, Duration::from_secs(2), Duration::from_secs(self.seconds))?;
        let spent = server.processor_time()?.saturating_sub(before);
        Ok(Turn { per_second, micros: spent.as_secs_f64() * 1e6 / sent as f64, load_busy: busy })
    }

    /// With so small a page cache of SQLite's that it does not count.
    fn memory(&self) -> Result<[Row; 2]> {
        self.say(&format!("{SESSIONS_IN_MEMORY} sessions, {} s idle", self.idle.as_secs()));
        let settings = [("HONGYAN_DATABASE__CACHE_KIB", "1024")];
        let Resident { fresh, used } =
            memory::measure(&self.programs, SESSIONS_IN_MEMORY, self.idle, &settings)?;
        let detail = format!("{SESSIONS_IN_MEMORY} sessions, SQLite's page cache at 1 MiB");
        let row = |figure: &str, bytes: f64, bar| Row::at_most(figure, bytes / 1024.0, bar, " KB", &detail);
        Ok([
            row("resident memory an idle session without the page cache, fresh", fresh, 2.5),
            row("the same without it, after ten 1 KB messages each way and idle time", used, 3.5),
        ])
    }

    /// What hearts and pings cost, less what the server spends alone: the median second of each, because what is
    /// done seldom (a checkpoint, when users were last seen) is not an idle session's.
    fn idle(&self) -> Result<Row> {
        self.say(&format!("{} idle sessions, {} s", self.sessions, self.idle.as_secs()));
        let server = self.programs.hongyan(&[])?;
        // What a start and handshakes leave to be done is not theirs.
        std::thread::sleep(SETTLED_AFTER);
        let alone = self.median_second(&server)?;
        let mut fleet = Fleet::connect(server.at, self.sessions, Dialect::V1, TEXT_BYTES)?;
        fleet.idle(SETTLED_AFTER)?;
        let with = std::thread::scope(|scope| {
            let median = scope.spawn(|| self.median_second(&server));
            fleet.idle_with_hearts(self.idle, HEART)?;
            median.join().map_err(|_| anyhow::anyhow!("the server was not watched"))?
        })?;
        let each = (with - alone).max(0.0) / self.sessions as f64;
        let (heart, idle) = (HEART.as_secs(), self.idle.as_secs());
        let detail = format!("{} sessions, a heart every {heart} s, {idle} s", self.sessions);
        Ok(Row::at_most("processor time of an idle session a second", each, 0.6, " µs", &detail))
    }

    /// Processor time of the median second, microseconds.
    fn median_second(&self, server: &Server) -> Result<f64> {
        let second = |_| {
            let before = server.processor_time()?;
            std::thread::sleep(Duration::from_secs(1));
            Ok(server.processor_time()?.saturating_sub(before).as_secs_f64() * 1e6)
        };
        (0..self.idle.as_secs()).map(second).collect::<Result<_>>().map(median)
    }
}

/// Turns of one server, in order.
#[derive(Default)]
struct Turns(Vec<Turn>);

impl Turns {
    fn last(&self) -> String {
        self.0.last().map_or(String::new(), |turn| format!("{:.1} µs, {:.0}/s", turn.micros, turn.per_second))
    }

    fn micros(&self) -> f64 {
        median(self.0.iter().map(|turn| turn.micros).collect())
    }

    fn per_second(&self) -> f64 {
        median(self.0.iter().map(|turn| turn.per_second).collect())
    }

    fn against(&self, earlier: &Self, shape: &str) -> Row {
        let ratios = self.0.iter().zip(&earlier.0).map(|(now, earlier)| now.micros / earlier.micros);
        let detail = format!("{:.1} µs against {:.1} µs", self.micros(), earlier.micros());
        let figure = format!(
            "processor time of the whole server a durable message, {shape}, against the earlier build"
        );
        Row::at_most(figure, median(ratios.collect()), 0.65, " ×", &detail)
    }

    fn rate_against(&self, others: &Self, shape: &str, name: &str, bar: f64) -> Row {
        let ratios = self.0.iter().zip(&others.0).map(|(now, other)| now.per_second / other.per_second);
        let busy = median(self.0.iter().map(|turn| turn.load_busy).collect());
        let detail = format!(
            "{:.0}/s against {:.0}/s; the load's core {:.0} % busy{}",
            self.per_second(),
            others.per_second(),
            busy * 100.0,
            if busy > LOAD_BUSY { ", which is too much" } else { "" }
        );
        Row::at_least(
            format!("durable messages/s, {shape}, against {name}"),
            median(ratios.collect()),
            bar,
            " ×",
            &detail,
        )
    }
}
