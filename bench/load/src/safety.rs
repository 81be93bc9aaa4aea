//! What checking costs: with a WeChat that takes its time, with one conversation that hangs there, and with
//! the word list alone.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::fleet::{Crowd, Dialect, Done, Fleet};
use crate::report::Row;
use crate::servers::{Programs, Server};
use crate::stats::{Samples, median, micros};

/// What one call to WeChat takes.
const CALL: Duration = Duration::from_millis(80);
/// Users who keep one message under way each: without a limit but the call itself, 1 250 messages a second.
const USERS: usize = 100;
const TEXT_BYTES: usize = 100;
/// Messages a second that a node must check.
const RATE: f64 = 500.0;
/// The load of the suite's first shape, for what needs no WeChat.
const WINDOW: usize = 4;
/// Entries of the word list.
const WORDS: usize = 10_000;

pub struct Safety {
    pub programs: Programs,
    pub rounds: usize,
    pub seconds: u64,
    pub began: Instant,
}

/// A load's messages a second and its times from send to ack.
struct Round {
    per_second: f64,
    acks: Samples,
}

impl Safety {
    pub fn run(&self) -> Result<Vec<Row>> {
        let mut rows = self.asking()?;
        rows.push(self.list()?);
        Ok(rows)
    }

    fn say(&self, what: &str) {
        eprintln!("[{:4} s] {what}", self.began.elapsed().as_secs());
    }

    /// Each message is asked about, with and without a conversation that WeChat never answers for.
    fn asking(&self) -> Result<Vec<Row>> {
        let (mut rates, mut p99, mut beside_hang) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            let calm = self.asked(false)?;
            let hanging = self.asked(true)?;
            let (alone, beside) = (micros(calm.acks.p99()) / 1_000.0, micros(hanging.acks.p99()) / 1_000.0);
            self.say(&format!(
                "round {round}: {:.0}/s, p99 {alone:.1} ms, beside one that hangs {beside:.1} ms",
                calm.per_second
            ));
            rates.push(calm.per_second);
            p99.push(alone);
            beside_hang.push(beside / alone);
        }
        let (rate, p99) = (median(rates), median(p99));
        let call = micros(CALL) / 1_000.0;
        Ok(vec![
            Row::at_least(
                "messages/s of which WeChat is asked about each, 80 ms a call, against 500/s",
                rate / RATE,
                1.0,
                " ×",
                &format!("{rate:.0}/s, {USERS} users, window 1"),
            ),
            Row::at_most(
                "send to ack under that load, p99, against one call",
                p99 / call,
                3.0,
                " ×",
                &format!("{p99:.1} ms"),
            ),
            Row::at_most(
                "the same p99 while the calls of one conversation hang, against without",
                median(beside_hang),
                1.25,
                " ×",
                "eight messages that WeChat never answers for",
            ),
        ])
    }

    fn asked(&self, hangs: bool) -> Result<Round> {
        let double = self.programs.double()?;
        let wechat = format!("http://{}", double.at);
        let server = self.programs.hongyan(&[
            ("HONGYAN_SAFETY__MODE", "wechat"),
            ("HONGYAN_SAFETY__PER_MINUTE", "0"),
            ("HONGYAN_SAFETY__PER_MINUTE_PER_USER", "0"),
            ("HONGYAN_SAFETY__CACHE_ENTRIES", "0"),
            ("HONGYAN_SAFETY__TIMEOUT_MS", "60000"),
            ("HONGYAN_WECHAT__API_BASE", &wechat),
        ])?;
        let crowd = Crowd {
            homes: &[server.at],
            users: USERS,
            first: 0,
            dialect: Dialect::V1,
            done: Done::Acked,
            text_bytes: TEXT_BYTES,
            may_spin: true,
        };
        let mut fleet = Fleet::join(&crowd)?;
        let mut others = Fleet::join(&Crowd { users: 2, first: USERS, ..crowd })?;
        let no_limit = u32::MAX;
        let how = format!(
            r#"{{"latency_ms":{},"checks_per_minute":{no_limit},"checks_per_day":{no_limit},"only":["msg_sec_check"]}}"#,
            CALL.as_millis()
        );
        tell(double.at, "/__control", &how)?;
        if hangs {
            others.begin("dev-hang", 8)?;
        }
        let load = fleet.load(1, Duration::from_secs(1), Duration::from_secs(self.seconds))?;
        Ok(Round { per_second: load.per_second, acks: Samples::new(load.latencies) })
    }

    /// The word list alone, against no check.
    fn list(&self) -> Result<Row> {
        let words = self.programs.folder()?;
        let list = words.path().join("words");
        // Words of every length that no text of the load has; what is found early is no work.
        let entries: String = (0..WORDS).map(|n| format!("listed{n:x}\n坏词{n:x}\n")).collect();
        std::fs::write(&list, entries)?;
        let list = std::path::absolute(&list)?;
        let local =
            [("HONGYAN_SAFETY__MODE", "local"), ("HONGYAN_SAFETY__WORDS", list.to_str().unwrap_or_default())];
        let (mut off, mut on, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            let without = self.plain(&self.programs.hongyan(&[])?)?;
            let with = self.plain(&self.programs.hongyan(&local)?)?;
            self.say(&format!("round {round}: off {without:.0}/s, local {with:.0}/s"));
            ratios.push(with / without);
            off.push(without);
            on.push(with);
        }
        let detail = format!("{:.0}/s against {:.0}/s, a list of {}", median(on), median(off), WORDS * 2);
        Ok(Row::at_least(
            "messages/s with `safety.mode = \"local\"` against `off`",
            median(ratios),
            0.75,
            " ×",
            &detail,
        ))
    }

    fn plain(&self, server: &Server) -> Result<f64> {
        let mut fleet = Fleet::connect(server.at, USERS, Dialect::V1, TEXT_BYTES)?;
        Ok(fleet.load(WINDOW, Duration::from_secs(1), Duration::from_secs(self.seconds))?.per_second)
    }
}

/// Posts to the double.
fn tell(at: SocketAddr, path: &str, body: &str) -> Result<()> {
    let mut stream = TcpStream::connect(at)?;
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(
        answer.starts_with("HTTP/1.1 2"),
        "the double said {}",
        answer.lines().next().unwrap_or_default()
    );
    Ok(())
}
