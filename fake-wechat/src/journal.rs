//! What happened, for who looks: the last calls, the messages that phones would have shown, what was told to
//! the server.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::{Asked, Fault, Outcome, now_ms};

/// Of each kind.
const KEPT: usize = 300;

pub struct Journal {
    /// Another one each time that the double is started.
    pub run: String,
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    calls: VecDeque<Entry>,
    notices: VecDeque<Entry>,
    pushes: VecDeque<Entry>,
}

#[derive(Clone, Serialize)]
pub struct Entry {
    /// Rising over all kinds.
    pub n: u64,
    at: u64,
    #[serde(flatten)]
    what: What,
}

#[derive(Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum What {
    Call {
        call: &'static str,
        who: String,
        what: String,
        outcome: String,
    },
    Notice {
        to: String,
        template_id: String,
        page: String,
        data: Vec<(String, String)>,
        link: Option<String>,
    },
    Push {
        event: String,
        who: String,
        outcome: String,
    },
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            run: format!("{:016x}", rand::random::<u64>()),
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }
}

impl Journal {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, what: What) {
        let mut kept = self.kept();
        let n = *self.newest.borrow() + 1;
        let list = match &what {
            What::Call { .. } => &mut kept.calls,
            What::Notice { .. } => &mut kept.notices,
            What::Push { .. } => &mut kept.pushes,
        };
        if list.len() >= KEPT {
            list.pop_front();
        }
        list.push_back(Entry { n, at: now_ms(), what });
        self.newest.send_replace(n);
    }

    pub fn call(&self, call: &'static str, asked: &Asked, outcome: &Outcome) {
        self.add(What::Call {
            call,
            who: asked.who.clone(),
            what: asked.what.clone(),
            outcome: shown(outcome),
        });
    }

    /// A phone shows a message; a tap on it leads to the browser client, where that is known.
    pub fn notice(
        &self,
        to: &str,
        template_id: &str,
        page: &str,
        data: Vec<(String, String)>,
        client: Option<&str>,
    ) {
        let query = page.split_once('?').map_or("", |(_, query)| query);
        let peer = query.split('&').find_map(|pair| pair.strip_prefix("peer="));
        let link = client.zip(peer).map(|(client, peer)| format!("{client}#{peer}"));
        self.add(What::Notice {
            to: to.to_owned(),
            template_id: template_id.to_owned(),
            page: page.to_owned(),
            data,
            link,
        });
    }

    pub fn push(&self, event: &str, who: &str, outcome: &str) {
        self.add(What::Push { event: event.to_owned(), who: who.to_owned(), outcome: outcome.to_owned() });
    }

    /// What came after `n`, in order.
    pub fn after(&self, n: u64) -> Vec<Entry> {
        let kept = self.kept();
        let lists = [&kept.calls, &kept.notices, &kept.pushes];
        let mut found: Vec<Entry> =
            lists.into_iter().flatten().filter(|entry| entry.n > n).cloned().collect();
        found.sort_by_key(|entry| entry.n);
        found
    }

    pub fn notices(&self) -> Vec<Entry> {
        self.kept().notices.iter().cloned().collect()
    }

    /// Waits until something comes after `n`.
    pub async fn beyond(&self, n: u64) {
        // The sender lives as long as the journal.
        let _ = self.newest.subscribe().wait_for(|newest| *newest > n).await;
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Errcode(code) => format!("errcode {code}"),
        Outcome::Fault(Fault::Status) => "HTTP 500".to_owned(),
        Outcome::Fault(Fault::Hang) => "no answer".to_owned(),
        Outcome::Fault(Fault::Cut) => "cut off".to_owned(),
        Outcome::Fault(Fault::Garbage) => "garbage".to_owned(),
        Outcome::Answer(answer) => {
            let result = &answer["result"];
            match (result["suggest"].as_str(), result["label"].as_i64()) {
                (Some(suggest), Some(label)) => format!("{suggest} {label}"),
                _ => "ok".to_owned(),
            }
        }
    }
}
