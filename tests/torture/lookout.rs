//! Two who stay where they are, on two nodes: how long the one's messages take to the other, whatever happens between.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
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
            let (mut sent, mut acked, mut arrived) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
            let mut pause = tokio::time::interval(PAUSE);
            let mut until = None;
            loop {
                tokio::select! {
                    _ = pause.tick() => {
                        if !told.get() {
                            let frame = json!({ "type": "text", "to_user_openid": to_openid, "client_msg_id": sent.len().to_string(), "message": "passing by" });
                            sent.push(Instant::now());
                            from.send(frame).await;
                        } else if arrived.len() == sent.len() && acked.len() == sent.len() {
                            break;
                        } else {
                            let until = *until.get_or_insert_with(|| Instant::now() + LAST);
                            assert!(Instant::now() < until, "{} sent, {} acked, {} arrived", sent.len(), acked.len(), arrived.len());
                        }
                    }
                    said = from.hear() => note(said, "ack", &mut acked),
                    said = to.hear() => note(said, "text", &mut arrived),
                }
            }
            sent.into_iter()
                .enumerate()
                .map(|(n, at)| Passage { sent: at, acked_after: acked[&n] - at, arrived_after: arrived[&n] - at })
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

/// The first time that each came.
fn note(said: Said, kind: &str, seen: &mut BTreeMap<usize, Instant>) {
    let Said::Frame(frame) = said else { panic!("a session that nobody touched ended: {said:?}") };
    if frame["type"] == kind {
        seen.entry(frame["client_msg_id"].as_str().unwrap().parse().unwrap()).or_insert_with(Instant::now);
    }
}
