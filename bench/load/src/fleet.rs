//! Many users on one thread: sockets in one poll, messages in windows, every answer accounted for.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::v1::{Ack, Known, Push, Synced};
use crate::{frame, xmpp};

/// What the users speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// The seed's protocol: nothing is acked.
    Plain,
    /// hongyan.v1, every message with a client_msg_id.
    V1,
    /// XMPP, without TLS. The accounts have to be there, with the password `secret`.
    Xmpp,
}

/// When a message is done, and its sender sends the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Acked,
    Delivered,
    AckedAndDelivered,
}

impl Done {
    /// The strongest that the server tells the sender.
    pub fn of(dialect: Dialect) -> Self {
        if dialect == Dialect::V1 { Self::Acked } else { Self::Delivered }
    }
}

/// Who is to be connected, and where.
pub struct Crowd<'a> {
    /// User n is at the n-th of them, and round again.
    pub homes: &'a [SocketAddr],
    pub users: usize,
    /// The number in the first user's name, an even one.
    pub first: usize,
    pub dialect: Dialect,
    pub done: Done,
    pub text_bytes: usize,
    /// Whether the poll is asked again and again instead of waited for. A load that sleeps has to be woken by
    /// the server, which then pays for it with most of its time in the kernel. A load that shares its core
    /// with the server must sleep.
    pub may_spin: bool,
}

/// Users come in pairs, 0 with 1, 2 with 3, and write to each other.
pub struct Fleet {
    poll: Poll,
    first: usize,
    dialect: Dialect,
    done: Done,
    may_spin: bool,
    clients: Vec<Client>,
    /// Clients with bytes to write.
    dirty: Vec<usize>,
    scratch: Box<[u8]>,
    text: String,
    /// Whether a message that is done is followed by another one.
    refill: bool,
    spinning: bool,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    ready: usize,
    sent: u64,
    done: u64,
    delivered: u64,
    repeated: u64,
    fetched: u64,
    latencies: Vec<Duration>,
    /// How long a spinning poll found nothing.
    nothing: Duration,
}

struct Client {
    stream: TcpStream,
    stage: Stage,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: u64,
    /// Of what this client has sent.
    acked: u64,
    delivered: u64,
    done: u64,
    since: VecDeque<Instant>,
    /// What a v1 client knows of its conversation, where deliveries count.
    known: Known,
}

#[derive(PartialEq)]
enum Stage {
    Handshake,
    Init,
    Open,
}

/// What a measured stretch of load gave.
pub struct Load {
    pub per_second: f64,
    pub latencies: Vec<Duration>,
    /// Messages sent, stored and delivered in all, before and after the measured stretch too.
    pub sent: u64,
    pub repeated: u64,
    /// Messages that clients fetched, because they saw a hole.
    pub fetched: u64,
    /// Share of the measured stretch in which a spinning load had something to do.
    pub busy: f64,
}

/// Handshakes under way at one time.
const CONNECTING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether somebody lacks something.
const LOOK: Duration = Duration::from_secs(1);
const HEARTS_TOGETHER: Duration = Duration::from_millis(20);

impl Fleet {
    /// Connects that many users of one server to a load with a core of its own.
    pub fn connect(at: SocketAddr, users: usize, dialect: Dialect, text_bytes: usize) -> Result<Self> {
        Self::join(&Crowd {
            homes: &[at],
            users,
            first: 0,
            dialect,
            done: Done::of(dialect),
            text_bytes,
            may_spin: true,
        })
    }

    /// Connects all and waits until each is ready: has its `init`, or sees its own presence.
    pub fn join(crowd: &Crowd) -> Result<Self> {
        let &Crowd { homes, users, first, dialect, done, text_bytes, may_spin } = crowd;
        ensure!(users >= 2 && users.is_multiple_of(2) && first.is_multiple_of(2), "users come in pairs");
        ensure!(!homes.is_empty(), "no server to connect to");
        let mut fleet = Self {
            poll: Poll::new()?,
            first,
            dialect,
            done,
            may_spin,
            clients: Vec::with_capacity(users),
            dirty: Vec::new(),
            scratch: vec![0; 256 * 1024].into(),
            text: "x".repeat(text_bytes),
            refill: false,
            spinning: false,
            tally: Tally::default(),
        };
        let deadline = Instant::now() + PATIENCE * 2;
        while fleet.tally.ready < users {
            while fleet.clients.len() < users && fleet.clients.len() - fleet.tally.ready < CONNECTING {
                fleet.dial(homes[fleet.clients.len() % homes.len()])?;
            }
            fleet
                .turn(deadline)
                .with_context(|| format!("{} of {users} users are connected", fleet.tally.ready))?;
        }
        Ok(fleet)
    }

    fn dial(&mut self, at: SocketAddr) -> Result<()> {
        let n = self.clients.len();
        // A blocking connect: on loopback it is done at once, and a refusal is told.
        let stream = std::net::TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(n), Interest::READABLE | Interest::WRITABLE)?;
        let output =
            if self.dialect == Dialect::Xmpp { xmpp::OPEN.to_owned() } else { self.handshake(n, at) };
        let (input, output, since) = (Vec::new(), output.into_bytes(), VecDeque::new());
        self.clients.push(Client {
            stream,
            stage: Stage::Handshake,
            input,
            output,
            sent: 0,
            acked: 0,
            delivered: 0,
            done: 0,
            since,
            known: Known::default(),
        });
        self.flush(n)
    }

    fn handshake(&self, n: usize, at: SocketAddr) -> String {
        let protocol =
            if self.dialect == Dialect::V1 { "Sec-WebSocket-Protocol: hongyan.v1\r\n" } else { "" };
        format!(
            "GET /{0}?to_user_openid={1}&code=dev:{0} HTTP/1.1\r\nHost: {at}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{protocol}\r\n",
            self.name(n),
            self.name(n ^ 1),
        )
    }

    /// The openid of a user.
    fn name(&self, n: usize) -> String {
        name(self.first + n)
    }

    /// Every user keeps `window` messages under way; those done between `warm` and `warm + measured` count.
    /// Then everything that was sent must arrive.
    pub fn load(&mut self, window: usize, warm: Duration, measured: Duration) -> Result<Load> {
        (self.refill, self.spinning) = (true, self.may_spin);
        for n in 0..self.clients.len() {
            for _ in 0..window {
                self.send(n);
            }
        }
        let begin = Instant::now() + warm;
        self.run_until(begin)?;
        self.tally.latencies.clear();
        self.tally.nothing = Duration::ZERO;
        let (done, since) = (self.tally.done, Instant::now());
        self.run_until(since + measured)?;
        let elapsed = since.elapsed().as_secs_f64();
        let per_second = (self.tally.done - done) as f64 / elapsed;
        let busy = 1.0 - self.tally.nothing.as_secs_f64() / elapsed;
        let latencies = std::mem::take(&mut self.tally.latencies);
        self.settle()?;
        let Tally { sent, repeated, fetched, .. } = self.tally;
        Ok(Load { per_second, latencies, sent, repeated, fetched, busy })
    }

    /// The first user sends so many messages with this text; nobody waits for what becomes of them.
    pub fn begin(&mut self, text: &str, messages: usize) -> Result<()> {
        text.clone_into(&mut self.text);
        for _ in 0..messages {
            self.send(0);
        }
        self.write_all()
    }

    /// Every user sends `each` messages, one after the other.
    pub fn exchange(&mut self, each: usize) -> Result<()> {
        for _ in 0..each {
            for n in 0..self.clients.len() {
                self.send(n);
            }
            self.settle()?;
        }
        Ok(())
    }

    /// The first user sends that many messages, each when the one before is done; how long each took.
    pub fn lone(&mut self, messages: usize) -> Result<Vec<Duration>> {
        self.tally.latencies.clear();
        self.spinning = self.may_spin;
        for _ in 0..messages {
            self.send(0);
            self.settle()?;
        }
        Ok(std::mem::take(&mut self.tally.latencies))
    }

    /// Nobody sends; pings are answered.
    pub fn idle(&mut self, time: Duration) -> Result<()> {
        self.spinning = false;
        self.run_until(Instant::now() + time)
    }

    /// Nobody sends but a heart each in every `interval`, one after the other; pings are answered.
    pub fn idle_with_hearts(&mut self, time: Duration, interval: Duration) -> Result<()> {
        self.spinning = false;
        let (begin, users) = (Instant::now(), self.clients.len());
        let each = interval.div_f64(users as f64);
        let mut hearts = 0u32;
        while begin.elapsed() < time {
            while each * hearts <= begin.elapsed() {
                let n = hearts as usize % users;
                frame::push(&mut self.clients[n].output, frame::TEXT, br#"{"type":"heart"}"#);
                self.dirty.push(n);
                hearts += 1;
            }
            // Some at once, so that the load does not wake for each.
            self.run_until(Instant::now() + HEARTS_TOGETHER)?;
        }
        Ok(())
    }

    /// Waits until all that was sent is done and delivered.
    fn settle(&mut self) -> Result<()> {
        self.refill = false;
        let deadline = Instant::now() + PATIENCE;
        let (mut next_look, mut came) = (Instant::now() + LOOK, 0);
        while self.tally.done < self.tally.sent || self.tally.delivered < self.tally.sent {
            self.turn(deadline).with_context(|| self.standing())?;
            if Instant::now() >= next_look {
                self.fetch_what_is_missing(came == self.tally.delivered);
                came = self.tally.delivered;
                next_look = Instant::now() + LOOK;
            }
        }
        let Tally { sent, done, delivered, .. } = self.tally;
        ensure!(done == sent && delivered == sent, "{}", self.standing());
        Ok(())
    }

    /// How much of what was sent has come, and of whom not all has.
    fn standing(&self) -> String {
        let Tally { sent, done, delivered, .. } = self.tally;
        let lacks = |client: &&Client| client.delivered.min(client.acked) < client.sent;
        let of_one = |(n, client): (usize, &Client)| {
            format!(
                "; {} has sent {}, {} are acked and {} delivered",
                self.name(n),
                client.sent,
                client.acked,
                client.delivered
            )
        };
        let some: String =
            (0..).zip(&self.clients).filter(|(_, client)| lacks(client)).take(5).map(of_one).collect();
        format!("of {sent} messages {done} are done and {delivered} delivered{some}")
    }

    fn run_until(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut next_look = Instant::now() + LOOK;
        loop {
            let now = Instant::now();
            if now >= next_look {
                self.fetch_what_is_missing(false);
                next_look = now + LOOK;
            }
            self.write_all()?;
            let left = end.saturating_duration_since(now);
            if left.is_zero() {
                return Ok(());
            }
            self.poll_once(&mut events, left.min(LOOK))?;
        }
    }

    /// One round of the poll; an error once nothing more may be awaited.
    fn turn(&mut self, deadline: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        self.write_all()?;
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "the server does not answer");
        self.poll_once(&mut events, left.min(LOOK))
    }

    /// Has the clients that see a hole ask for what is missing, as a v1 client must; where nothing comes any more,
    /// all that lack something.
    fn fetch_what_is_missing(&mut self, has_stalled: bool) {
        if self.dialect != Dialect::V1 || self.done == Done::Acked {
            return;
        }
        for n in 0..self.clients.len() {
            let peer = &self.clients[n ^ 1];
            let lacks_some = has_stalled && peer.delivered < peer.sent;
            let peer = name(self.first + (n ^ 1));
            let client = &mut self.clients[n];
            if (lacks_some || client.known.has_had_a_hole_for(LOOK))
                && let Some(sync) = client.known.ask(&peer)
            {
                frame::push(&mut client.output, frame::TEXT, sync.as_bytes());
                self.dirty.push(n);
            }
        }
    }

    fn synced(&mut self, n: usize, payload: &[u8]) -> Result<()> {
        let synced: Synced = serde_json::from_slice(payload)?;
        let peer = name(self.first + (n ^ 1));
        for message in synced.messages() {
            let is_new = self.clients[n].known.take(message.seq);
            if is_new && message.from_user_openid == peer {
                self.tally.fetched += 1;
                self.delivered(n ^ 1);
            }
        }
        self.clients[n].known.is_asking &= !synced.is_the_end();
        Ok(())
    }

    fn poll_once(&mut self, events: &mut Events, left: Duration) -> Result<()> {
        let wait = if self.spinning { Duration::ZERO } else { left };
        let since = Instant::now();
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        if events.is_empty() {
            self.tally.nothing += since.elapsed();
        }
        for event in events.iter() {
            let Token(n) = event.token();
            if event.is_writable() {
                self.flush(n)?;
            }
            if event.is_readable() {
                self.read(n)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, n: usize) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        loop {
            let client = &mut self.clients[n];
            let kept = client.input.len();
            scratch[..kept].copy_from_slice(&client.input);
            let read = match client.stream.read(&mut scratch[kept..]) {
                Ok(0) => bail!("the server ended the connection of {}", self.name(n)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let have = kept + read;
            let used = self.understand(n, &scratch[..have])?;
            let client = &mut self.clients[n];
            client.input = scratch[used..have].to_vec();
            // A short read emptied the socket; with edge triggering the next byte is an event of its own.
            if have < scratch.len() {
                break;
            }
        }
        self.scratch = scratch;
        Ok(())
    }

    /// Takes in what is whole; how many bytes that was.
    fn understand(&mut self, n: usize, bytes: &[u8]) -> Result<usize> {
        let mut used = 0;
        if self.dialect == Dialect::Xmpp {
            while let Some((element, length)) = xmpp::first(&bytes[used..]) {
                self.element(n, element)?;
                used += length;
            }
            return Ok(used);
        }
        if self.clients[n].stage == Stage::Handshake {
            let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(0) };
            let head = String::from_utf8_lossy(&bytes[..end]);
            ensure!(
                head.starts_with("HTTP/1.1 101"),
                "the handshake of {} was answered: {}",
                self.name(n),
                head.lines().next().unwrap_or("")
            );
            self.clients[n].stage = Stage::Init;
            used = end + 4;
        }
        while let Some((opcode, payload, length)) = frame::first(&bytes[used..]) {
            match opcode {
                frame::TEXT => self.text(n, payload)?,
                frame::PING => {
                    frame::push(&mut self.clients[n].output, frame::PONG, payload);
                    self.dirty.push(n);
                }
                frame::CLOSE => bail!("{} was closed: {:?}", self.name(n), String::from_utf8_lossy(payload)),
                _ => {}
            }
            used += length;
        }
        Ok(used)
    }

    fn text(&mut self, n: usize, payload: &[u8]) -> Result<()> {
        if self.clients[n].stage == Stage::Init {
            ensure!(
                payload.starts_with(br#"{"type":"init""#),
                "{} got no init: {}",
                self.name(n),
                String::from_utf8_lossy(payload)
            );
            self.ready(n);
        } else if payload.starts_with(br#"{"type":"ack""#) {
            if self.done != Done::Acked {
                let Ack { seq } = serde_json::from_slice(payload)?;
                self.clients[n].known.take(seq);
            }
            self.clients[n].acked += 1;
            self.advance(n);
        } else if payload.starts_with(br#"{"type":"text""#) {
            if self.dialect == Dialect::V1 && self.done != Done::Acked && !self.is_news(n, payload)? {
                self.tally.repeated += 1;
            } else {
                self.delivered(n ^ 1);
            }
        } else if payload.starts_with(br#"{"type":"sync""#) {
            self.synced(n, payload)?;
        } else {
            bail!("{} got {}", self.name(n), String::from_utf8_lossy(payload));
        }
        Ok(())
    }

    fn element(&mut self, n: usize, element: &[u8]) -> Result<()> {
        let is = |start: &str| element.starts_with(start.as_bytes());
        if is("<message") && !xmpp::is_error(element) {
            self.delivered(n ^ 1);
        } else if is("<presence") && !xmpp::is_error(element) {
            if self.clients[n].stage != Stage::Open {
                self.ready(n);
            }
        } else {
            let name = self.name(n);
            let Some(answer) = xmpp::answer(element, &name) else {
                bail!("{name} got {}", String::from_utf8_lossy(element))
            };
            self.clients[n].output.extend(answer.into_bytes());
            self.dirty.push(n);
        }
        Ok(())
    }

    /// Whether it is the peer's, and here for the first time: nodes that were not sure bring a message twice,
    /// and one's own too.
    fn is_news(&mut self, n: usize, payload: &[u8]) -> Result<bool> {
        let push: Push = serde_json::from_slice(payload)?;
        let is_new = self.clients[n].known.take(push.seq);
        Ok(is_new && push.from_user_openid == name(self.first + (n ^ 1)))
    }

    fn ready(&mut self, n: usize) {
        self.clients[n].stage = Stage::Open;
        self.tally.ready += 1;
    }

    /// A message of this sender has arrived.
    fn delivered(&mut self, n: usize) {
        self.tally.delivered += 1;
        self.clients[n].delivered += 1;
        self.advance(n);
    }

    fn advance(&mut self, n: usize) {
        let client = &self.clients[n];
        let done = match self.done {
            Done::Acked => client.acked,
            Done::Delivered => client.delivered,
            Done::AckedAndDelivered => client.acked.min(client.delivered),
        };
        while self.clients[n].done < done {
            self.clients[n].done += 1;
            self.done(n);
        }
    }

    fn done(&mut self, n: usize) {
        self.tally.done += 1;
        if let Some(since) = self.clients[n].since.pop_front() {
            self.tally.latencies.push(since.elapsed());
        }
        if self.refill {
            self.send(n);
        }
    }

    /// Queues one message, with the seed's fields.
    fn send(&mut self, n: usize) {
        let client = &mut self.clients[n];
        let (from, to, text) = (name(self.first + n), name(self.first + (n ^ 1)), &self.text);
        let id = format!("{n:x}-{:x}", client.sent);
        match self.dialect {
            Dialect::Xmpp => client.output.extend(xmpp::message(&to, &id, text).into_bytes()),
            Dialect::Plain | Dialect::V1 => {
                let created_at = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
                let id = if self.dialect == Dialect::V1 {
                    format!(r#","client_msg_id":"{id}""#)
                } else {
                    String::new()
                };
                let message = format!(
                    r#"{{"type":"text","message":"{text}","from_user_openid":"{from}","to_user_openid":"{to}","date":"12:00:00","created_at":{created_at}{id}}}"#
                );
                frame::push(&mut client.output, frame::TEXT, message.as_bytes());
            }
        }
        client.sent += 1;
        client.since.push_back(Instant::now());
        self.tally.sent += 1;
        self.dirty.push(n);
    }

    fn write_all(&mut self) -> Result<()> {
        while let Some(n) = self.dirty.pop() {
            self.flush(n)?;
        }
        Ok(())
    }

    /// Writes what the socket takes; an event says when it takes more.
    fn flush(&mut self, n: usize) -> Result<()> {
        let client = &mut self.clients[n];
        while !client.output.is_empty() {
            match client.stream.write(&client.output) {
                Ok(written) if written == client.output.len() => client.output = Vec::new(),
                Ok(written) => drop(client.output.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("writing for {}", name(self.first + n)));
                }
            }
        }
        Ok(())
    }
}

fn name(n: usize) -> String {
    format!("u{n:05}")
}
