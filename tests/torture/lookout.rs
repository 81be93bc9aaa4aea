//! Two who stay where they are, on two nodes: how long the one's messages take to the other, whatever happens
//! between.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{Client, PATIENCE, Said};

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the last message may take.
const LAST: Duration = Duration::from_secs(40);

pub struct Lookout {
    enough: Rc<Cell<bool>>,
    task: JoinHandle<Vec<Passage>>,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    pub sent: Instant,
    /// From the send to the ack, and to its arrival.
    pub acked_after: Duration,
    pub arrived_after: Duration,
}

impl Lookout {
    pub fn start(mut from: Client, mut to: Client, to_openid: &str) -> Self {
        let enough = Rc::new(Cell::new(false));
        let (told, to_openid) = (enough.clone(), to_openid.to_owned());
        let task = actix_web::rt::spawn(async move {
            let (mut sent, mut acked, mut reader) = (Vec::new(), BTreeMap::new(), Reader::default());
            let mut pause = tokio::time::interval(PAUSE);
            let mut until = None;
            loop {
                tokio::select! {
                    _ = pause.tick() => {
                        if let Some(question) = reader.question() {
                            to.send(question).await;
                        }
                        if !told.get() {
                            let frame = json!({ "type": "text", "to_user_openid": to_openid, "client_msg_id": sent.len().to_string(), "message": "passing by" });
                            sent.push(Instant::now());
                            from.send(frame).await;
                        } else if reader.arrived.len() == sent.len() && acked.len() == sent.len() {
                            break;
                        } else {
                            let until = *until.get_or_insert_with(|| Instant::now() + LAST);
                            assert!(Instant::now() < until, "{} sent, {} acked, {} arrived", sent.len(), acked.len(), reader.arrived.len());
                        }
                    }
                    said = from.hear() => {
                        let frame = frame(said);
                        if frame["type"] == "ack" {
                            note(&frame, &mut acked);
                        }
                    }
                    said = to.hear() => reader.came(&frame(said)),
                }
            }
            sent.into_iter()
                .enumerate()
                .map(|(n, at)| Passage {
                    sent: at,
                    acked_after: acked[&n] - at,
                    arrived_after: reader.arrived[&n] - at,
                })
                .collect()
        });
        Self { enough, task }
    }

    /// Waits for what is on its way; every message that was sent.
    pub async fn stop(self) -> Vec<Passage> {
        self.enough.set(true);
        tokio::time::timeout(LAST + PATIENCE, self.task).await.expect("a message does not arrive").unwrap()
    }
}

/// The one who is written to. A v1 client that sees a hole fetches what is missing.
#[derive(Default)]
struct Reader {
    arrived: BTreeMap<usize, Instant>,
    peer: String,
    /// All up to one, and those above the first hole.
    up_to: i64,
    above: BTreeSet<i64>,
    is_asking: bool,
}

impl Reader {
    fn came(&mut self, frame: &Value) {
        match frame["type"].as_str() {
            Some("text") => self.takes(frame),
            Some("sync") => {
                for conversation in frame["conversations"].as_array().unwrap() {
                    conversation["messages"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .for_each(|message| self.takes(message));
                }
                self.is_asking &= frame.get("cursor").is_none();
            }
            Some("error") => self.is_asking = false,
            _ => {}
        }
    }

    fn takes(&mut self, message: &Value) {
        note(message, &mut self.arrived);
        self.peer = message["from_user_openid"].as_str().unwrap().to_owned();
        self.above.extend(message["seq"].as_i64().filter(|seq| *seq > self.up_to));
        while self.above.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }

    fn question(&mut self) -> Option<Value> {
        let asks = !self.above.is_empty() && !self.is_asking;
        self.is_asking |= asks;
        asks.then(|| json!({ "type": "sync", "id": "hole", "limit": 200, "conversations": { self.peer.clone(): self.up_to } }))
    }
}

fn frame(said: Said) -> Value {
    let Said::Frame(frame) = said else { panic!("a session that nobody touched ended: {said:?}") };
    frame
}

/// The first time that each came.
fn note(frame: &Value, seen: &mut BTreeMap<usize, Instant>) {
    seen.entry(frame["client_msg_id"].as_str().unwrap().parse().unwrap()).or_insert_with(Instant::now);
}
