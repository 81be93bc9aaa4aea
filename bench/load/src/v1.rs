//! What a v1 client keeps of its conversation, and the frames of hongyan.v1 that this tool reads.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// The seqs that a client has of its one conversation, its own messages' among them.
#[derive(Default)]
pub struct Known {
    seqs: HashSet<u64>,
    /// It has all up to here.
    whole: u64,
    last: u64,
    /// Since when something is missing before the last.
    hole: Option<Instant>,
    /// A sync is under way.
    pub is_asking: bool,
}

impl Known {
    /// Whether that is new.
    pub fn take(&mut self, seq: u64) -> bool {
        let is_new = self.seqs.insert(seq);
        self.last = self.last.max(seq);
        while self.seqs.contains(&(self.whole + 1)) {
            self.whole += 1;
        }
        self.hole = if self.whole < self.last { self.hole.or_else(|| Some(Instant::now())) } else { None };
        is_new
    }

    pub fn has_had_a_hole_for(&self, time: Duration) -> bool {
        self.hole.is_some_and(|since| since.elapsed() >= time)
    }

    /// A sync of the conversation with `peer`, unless one is under way.
    pub fn ask(&mut self, peer: &str) -> Option<String> {
        let whole = self.whole;
        let sync =
            || format!(r#"{{"type":"sync","id":"s","conversations":{{"{peer}":{whole}}},"limit":200}}"#);
        (!std::mem::replace(&mut self.is_asking, true)).then(sync)
    }
}

#[derive(serde::Deserialize)]
pub struct Push<'a> {
    pub from_user_openid: &'a str,
    pub seq: u64,
}

#[derive(serde::Deserialize)]
pub struct Ack {
    pub seq: u64,
}

#[derive(serde::Deserialize)]
pub struct Synced<'a> {
    #[serde(borrow)]
    conversations: Vec<Conversation<'a>>,
    /// In the last frame of an answer alone.
    cursor: Option<&'a str>,
}

#[derive(serde::Deserialize)]
pub struct Conversation<'a> {
    #[serde(borrow)]
    messages: Vec<Push<'a>>,
}

impl<'a> Synced<'a> {
    pub fn messages(&self) -> impl Iterator<Item = &Push<'a>> {
        self.conversations.iter().flat_map(|conversation| &conversation.messages)
    }

    /// Whether this frame ends the answer.
    pub fn is_the_end(&self) -> bool {
        self.cursor.is_some()
    }
}
