//! Users who write to each other whatever becomes of the server, and record what they see: each sends again
//! what was not answered, syncs after every reconnect, and at the end has to have everything.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::checker::{Report, check};
use crate::harness::{Client, Http, PATIENCE, Said, Server, eventually};
use crate::log::{Histories, Log, What, stamp};

/// Settings under which nothing but what is tested says no.
pub const UNLIMITED: [(&str, &str); 8] = [
    ("limits.messages_per_second", "0"),
    ("limits.http_per_second", "0"),
    ("limits.answer_bytes_per_second", "0"),
    ("limits.handshakes_per_second_per_address", "0"),
    ("limits.replacements_per_minute", "0"),
    ("limits.new_conversations_per_day", "0"),
    ("limits.controls_per_second", "0"),
    ("limits.bytes_per_day", "0"),
];

/// Writes that a user may have unanswered.
const WINDOW: usize = 8;
/// How long a user waits before they try again what failed.
const AGAIN: Duration = Duration::from_millis(40);
/// At the end everybody has what they wrote acked within so long.
const SETTLE: Duration = Duration::from_secs(60);

/// How the users behave.
#[derive(Clone, Copy)]
pub struct Plan {
    pub users: usize,
    /// Between two writes of one user.
    pub pace: Duration,
    pub seed: u64,
    /// Characters of a message at most.
    pub text: usize,
    /// All but the first one write to that one alone.
    pub has_hub: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { users: 5, pace: Duration::from_millis(3), seed: 1, text: 400, has_hub: false }
    }
}

/// What the users and their keeper share.
struct Common {
    /// Where one may connect; each time one of them is chosen.
    places: RefCell<Vec<String>>,
    /// How connections ended, by close code; 1006: without one.
    ends: RefCell<BTreeMap<u16, usize>>,
    /// The longest that somebody was without a connection.
    longest_away: Cell<Duration>,
    /// Nothing new is written any more.
    stopping: Cell<bool>,
    /// Users who have all that they wrote acked.
    settled: Cell<usize>,
    /// Everybody has settled: look for the last time.
    closing: Cell<bool>,
    acked: Cell<u64>,
    /// The same by user.
    acked_of: RefCell<BTreeMap<String, u64>>,
    names: Vec<String>,
}

pub struct Fleet {
    common: Rc<Common>,
    users: Vec<JoinHandle<Log>>,
}

impl Fleet {
    pub fn start(server: &Server, plan: Plan) -> Self {
        Self::start_at(vec![server.at.clone()], plan)
    }

    pub fn start_at(places: Vec<String>, plan: Plan) -> Self {
        let names = (0..plan.users).map(|n| format!("user{n}")).collect();
        let common = Rc::new(Common {
            places: RefCell::new(places),
            ends: RefCell::default(),
            longest_away: Cell::default(),
            stopping: Cell::new(false),
            settled: Cell::new(0),
            closing: Cell::new(false),
            acked: Cell::new(0),
            acked_of: RefCell::default(),
            names,
        });
        let users = (0..plan.users).map(|n| {
            let user = User::new(&common, n, plan);
            actix_web::rt::spawn(user.live())
        });
        Self { users: users.collect(), common }
    }

    /// The server is somewhere else now.
    pub fn moved(&self, server: &Server) {
        self.spread_over(vec![server.at.clone()]);
    }

    /// Each connects to one of these from the next time on.
    pub fn spread_over(&self, places: Vec<String>) {
        *self.common.places.borrow_mut() = places;
    }

    /// How connections ended since the last call, by close code; 1006: without one.
    pub fn take_ends(&self) -> BTreeMap<u16, usize> {
        self.common.ends.take()
    }

    /// The longest that somebody was without a connection since the last call.
    pub fn take_longest_away(&self) -> Duration {
        self.common.longest_away.take()
    }

    /// Writes acked so far.
    pub fn acked(&self) -> u64 {
        self.common.acked.get()
    }

    /// Waits until so many more writes have been acked.
    pub async fn goes_on(&self, writes: u64) {
        let wanted = self.acked() + writes;
        eventually("more acks", async || (self.acked() >= wanted).then_some(())).await;
    }

    /// Waits until so many more writes of every user have been acked.
    pub async fn everybody_goes_on(&self, writes: u64) {
        let before = self.common.acked_of.borrow().clone();
        let has = |name: &String| self.common.acked_of.borrow().get(name).copied().unwrap_or_default();
        eventually("more acks of everybody", async || {
            let all = self
                .common
                .names
                .iter()
                .all(|name| has(name) >= before.get(name).copied().unwrap_or_default() + writes);
            all.then_some(())
        })
        .await;
    }

    /// Lets everybody finish, and compares what they saw with what is stored.
    pub async fn finish(self, server: &Server) -> Report {
        let names = self.common.names.clone();
        check(&self.settle().await, &histories(server, &names).await)
    }

    /// The same, for what each of two nodes says.
    pub async fn finish_on(self, nodes: [&Server; 2]) -> [Report; 2] {
        let names = self.common.names.clone();
        let logs = self.settle().await;
        let [one, other] = nodes.map(|node| histories(node, &names));
        [check(&logs, &one.await), check(&logs, &other.await)]
    }

    /// Lets everybody finish; what they saw.
    async fn settle(self) -> Vec<Log> {
        self.common.stopping.set(true);
        let settled = async {
            while self.common.settled.get() < self.users.len() {
                tokio::time::sleep(AGAIN).await;
            }
        };
        assert!(tokio::time::timeout(SETTLE, settled).await.is_ok(), "somebody's writes are never acked");
        self.common.closing.set(true);
        let mut logs = Vec::new();
        for user in self.users {
            logs.push(
                tokio::time::timeout(SETTLE, user).await.expect("a user does not come to an end").unwrap(),
            );
        }
        logs
    }
}

/// All that history says, to every user.
pub async fn histories(server: &Server, names: &[String]) -> Histories {
    let mut histories = Histories::default();
    for openid in names {
        let http = server.http_as(openid).await;
        let (mut list, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, page) = http.get(&format!("/v1/conversations?limit=100{cursor}")).await;
            list.extend(page["conversations"].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        for peer in names {
            let overview = list.iter().find(|c| c["peer"] == *peer);
            histories.add(openid, peer, &pages(&http, peer).await, overview);
        }
        let (_, unread) = http.get("/v1/unread").await;
        histories.totals.insert(openid.clone(), unread["total"].as_i64().unwrap());
    }
    histories
}

async fn pages(http: &Http, peer: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map_or(0, |m| m["seq"].as_i64().unwrap());
        let (status, page) = http.get(&format!("/v1/messages?peer={peer}&after_seq={after}&limit=100")).await;
        assert_eq!(status, 200, "{page}");
        all.extend(page["messages"].as_array().unwrap().clone());
        if page["has_more"] == false {
            return all;
        }
    }
}

/// One device of one user.
struct User {
    common: Rc<Common>,
    log: Log,
    random: StdRng,
    plan: Plan,
    written: u64,
    /// Not answered yet, in the order written.
    waiting: VecDeque<Waiting>,
    cursor: Option<String>,
    /// What is there of the conversation with each peer.
    have: BTreeMap<String, Have>,
    /// Own messages that were acked and may be recalled: peer and seq.
    own: Vec<(String, i64)>,
    settled: bool,
}

/// Messages of one conversation: all up to one, and those above the first hole.
#[derive(Default)]
struct Have {
    up_to: i64,
    above: BTreeSet<i64>,
}

impl Have {
    fn add(&mut self, seq: i64) {
        if seq > self.up_to {
            self.above.insert(seq);
        }
        while self.above.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }
}

struct Waiting {
    /// As the answer names it.
    key: String,
    frame: Value,
    /// On the wire of this connection, and not refused since.
    is_sent: bool,
}

impl User {
    fn new(common: &Rc<Common>, number: usize, plan: Plan) -> Self {
        let name = &common.names[number];
        Self {
            common: common.clone(),
            log: Log::new(name, "device"),
            random: StdRng::seed_from_u64(plan.seed * 1_000 + number as u64),
            plan,
            written: 0,
            waiting: VecDeque::new(),
            cursor: None,
            have: BTreeMap::new(),
            own: Vec::new(),
            settled: false,
        }
    }

    /// Until everybody has settled, connection after connection.
    async fn live(mut self) -> Log {
        let mut away_since = Instant::now();
        loop {
            if let Some(mut client) = self.connect().await {
                self.common.longest_away.set(self.common.longest_away.get().max(away_since.elapsed()));
                let is_over = self.talk(&mut client).await;
                self.log.push(What::Disconnected);
                if is_over {
                    self.log.complete = true;
                    return self.log;
                }
                away_since = Instant::now();
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn connect(&mut self) -> Option<Client> {
        let at = {
            let places = self.common.places.borrow();
            places[self.random.random_range(0..places.len())].clone()
        };
        let openid = &self.log.openid;
        let mut client =
            Client::try_connect(&format!("ws://{at}/{openid}?device=d&code=dev:{openid}"), &["hongyan.v1"])
                .await?;
        match tokio::time::timeout(PATIENCE, client.hear()).await.expect("no init") {
            Said::Frame(init) if init["type"] == "init" => {
                self.log.came(&init);
                Some(client)
            }
            _ => None,
        }
    }

    /// One connection; whether it was the last.
    async fn talk(&mut self, client: &mut Client) -> bool {
        for waiting in &mut self.waiting {
            waiting.is_sent = false;
        }
        if !self.sync(client).await {
            return false;
        }
        let mut pace = tokio::time::interval(self.plan.pace);
        let mut again = tokio::time::interval(AGAIN);
        loop {
            tokio::select! {
                said = client.hear() => match said {
                    Said::Frame(frame) => self.came(&frame),
                    Said::Closed(code, _) => return self.cut_off(code),
                    Said::Gone => return self.cut_off(1006),
                },
                _ = again.tick() => self.send_waiting(client).await,
                _ = pace.tick() => {
                    if self.common.closing.get() {
                        return self.sync(client).await;
                    }
                    if self.common.stopping.get() {
                        if self.waiting.is_empty() && !std::mem::replace(&mut self.settled, true) {
                            self.common.settled.set(self.common.settled.get() + 1);
                        }
                    } else if self.waiting.len() < WINDOW {
                        self.write();
                        self.send_waiting(client).await;
                    }
                }
            }
        }
    }

    fn cut_off(&self, code: u16) -> bool {
        *self.common.ends.borrow_mut().entry(code).or_default() += 1;
        false
    }

    /// Asks until nothing is missing; whether the connection held.
    async fn sync(&mut self, client: &mut Client) -> bool {
        loop {
            let id = format!("sync{}", stamp());
            let frame = json!({ "type": "sync", "id": id, "since": self.cursor, "limit": 200, "conversations": self.named() });
            self.log.sends(&frame);
            client.send(frame).await;
            let has_more = loop {
                let Said::Frame(frame) =
                    tokio::time::timeout(PATIENCE, client.hear()).await.expect("a sync has no answer")
                else {
                    return false;
                };
                self.came(&frame);
                match (frame["id"] == id, frame["type"].as_str()) {
                    (true, Some("error")) => {
                        tokio::time::sleep(AGAIN).await;
                        break true;
                    }
                    (true, Some("sync")) if frame.get("cursor").is_some() => {
                        self.cursor = frame["cursor"].as_str().map(str::to_owned);
                        break frame["has_more"] == true;
                    }
                    _ => {}
                }
            };
            if !has_more {
                return true;
            }
        }
    }

    fn named(&self) -> Value {
        self.have
            .iter()
            .map(|(peer, have)| (peer.clone(), json!(have.up_to)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn came(&mut self, frame: &Value) {
        self.log.came(frame);
        let key = frame["client_msg_id"].as_str().or_else(|| frame["id"].as_str()).map(str::to_owned);
        match frame["type"].as_str().unwrap_or_default() {
            "ack" => {
                self.common.acked.set(self.common.acked.get() + 1);
                *self.common.acked_of.borrow_mut().entry(self.log.openid.clone()).or_default() += 1;
                let peer = frame["to_user_openid"].as_str().unwrap().to_owned();
                self.has(&peer, frame);
                if frame["client_msg_id"].is_string() {
                    self.own.push((peer, frame["seq"].as_i64().unwrap()));
                }
                self.waiting.retain(|w| Some(&w.key) != key.as_ref());
            }
            "error" => match frame["error"].as_str().unwrap() {
                "unavailable" | "rate_limited" => {
                    if let Some(waiting) = self.waiting.iter_mut().find(|w| Some(&w.key) == key.as_ref()) {
                        waiting.is_sent = false;
                    }
                }
                _ => self.waiting.retain(|w| Some(&w.key) != key.as_ref()),
            },
            "read" => self.waiting.retain(|w| Some(&w.key) != key.as_ref()),
            "sync" => {
                for conversation in frame["conversations"].as_array().unwrap() {
                    let peer = conversation["peer"].as_str().unwrap();
                    for message in conversation["messages"].as_array().unwrap() {
                        self.has(peer, message);
                    }
                }
            }
            "init" => {}
            _ if frame["status"] == 200 && frame["seq"].is_i64() && frame["sent_at"].is_i64() => {
                let own = frame["from_user_openid"] == self.log.openid.as_str();
                let peer = frame[if own { "to_user_openid" } else { "from_user_openid" }]
                    .as_str()
                    .unwrap()
                    .to_owned();
                self.has(&peer, frame);
            }
            _ => {}
        }
    }

    fn has(&mut self, peer: &str, message: &Value) {
        let have = self.have.entry(peer.to_owned()).or_default();
        have.add(message["seq"].as_i64().unwrap());
    }

    /// Thinks of something to send.
    fn write(&mut self) {
        self.written += 1;
        let key = format!("{}-{}", self.log.openid, self.written);
        let names = &self.common.names;
        let is_spoke = self.plan.has_hub && self.log.openid != names[0];
        let peer = names[if is_spoke { 0 } else { self.random.random_range(0..names.len()) }].clone();
        let frame = match self.random.random_range(0..100) {
            0..6 if !self.own.is_empty() => {
                let (peer, seq) = self.own.swap_remove(self.random.random_range(0..self.own.len()));
                json!({ "type": "recall", "id": key, "to_user_openid": peer, "target_seq": seq })
            }
            6..14 if !self.have.is_empty() => {
                let (peer, Have { up_to: seq, .. }) =
                    self.have.iter().nth(self.random.random_range(0..self.have.len())).unwrap();
                json!({ "type": "read", "id": key, "to_user_openid": peer, "seq": seq })
            }
            _ => {
                let message = "x".repeat(self.random.random_range(1..self.plan.text));
                json!({ "type": "text", "id": key, "to_user_openid": peer, "client_msg_id": key, "message": message, "n": self.written })
            }
        };
        self.waiting.push_back(Waiting { key, frame, is_sent: false });
    }

    async fn send_waiting(&mut self, client: &mut Client) {
        for waiting in self.waiting.iter_mut().filter(|w| !w.is_sent) {
            self.log.sends(&waiting.frame);
            client.send(waiting.frame.clone()).await;
            waiting.is_sent = true;
        }
    }
}
