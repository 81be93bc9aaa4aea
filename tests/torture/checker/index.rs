//! Logs and histories by conversation and by write, built once for all invariants.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::log::{Entry, Histories, Key, Log, Mark, Message, Place, View, What};

#[derive(Clone, Copy)]
pub enum Answer {
    Open,
    Refused,
    Acked { seq: i64, duplicate: bool },
}

/// One sending of one write.
pub struct Attempt<'a> {
    pub at: u64,
    pub log: usize,
    /// Counts the connections of that log.
    pub connection: usize,
    pub write: usize,
    pub kind: &'a str,
    pub content: &'a str,
    pub answer: Answer,
    /// Nothing else of this key was open when an answer came, so that the answer is this attempt's.
    pub sure: bool,
}

#[derive(Clone, Copy)]
pub struct Ack {
    pub at: u64,
    pub seq: i64,
    pub sent_at: i64,
    pub duplicate: bool,
    pub attempt: usize,
}

/// All that is sent under one key.
pub struct Write<'a> {
    pub place: Place<&'a str>,
    pub sender: &'a str,
    pub key: Key<&'a str>,
    pub first_sent: u64,
    pub attempts: Vec<usize>,
    /// As they came, over all clients.
    pub acks: Vec<Ack>,
}

#[derive(Default)]
pub struct Conversation<'a> {
    pub views: Vec<&'a View>,
    /// What each view hides.
    pub cleared: Vec<i64>,
    /// What any of them sees, by seq.
    pub record: Vec<&'a Message>,
    pub by_seq: HashMap<i64, &'a Message>,
    pub by_key: HashMap<(&'a str, Key<&'a str>), Vec<&'a Message>>,
    pub last_seq: i64,
}

impl<'a> Conversation<'a> {
    /// Up to here nobody sees anything any more.
    pub fn hidden(&self) -> i64 {
        self.cleared.iter().copied().min().unwrap_or(0)
    }

    pub fn stored(&self, sender: &'a str, key: Key<&'a str>) -> &[&'a Message] {
        self.by_key.get(&(sender, key)).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, view: &'a View, cleared: i64) {
        for message in &view.messages {
            let same_key = self.by_key.entry((&message.from, message.key())).or_default();
            let there_already = match message.key() {
                // All of a sender's are under this one.
                Key::Plain => self
                    .by_seq
                    .get(&message.seq)
                    .is_some_and(|m| m.from == message.from && m.key() == Key::Plain),
                _ => same_key.iter().any(|m| m.seq == message.seq),
            };
            if there_already && !self.views.is_empty() {
                continue;
            }
            same_key.push(message);
            self.by_seq.entry(message.seq).or_insert(message);
            self.record.push(message);
            self.last_seq = self.last_seq.max(message.seq);
        }
        // Of a view that is cleared to the end, that is all there is to know.
        self.last_seq = self.last_seq.max(view.overview.map_or(cleared, |marks| marks.last_seq));
        self.views.push(view);
        self.cleared.push(cleared);
    }
}

pub struct Index<'a> {
    pub logs: &'a [Log],
    pub histories: &'a Histories,
    pub conversations: BTreeMap<Place<&'a str>, Conversation<'a>>,
    pub writes: Vec<Write<'a>>,
    pub attempts: Vec<Attempt<'a>>,
    /// Messages without an id that were sent, by conversation, sender, kind and content.
    pub plain: HashMap<(Place<&'a str>, &'a str, &'a str, &'a str), usize>,
    /// Acks that answer no attempt of their session: the log and the entry.
    pub unasked: Vec<(usize, &'a Entry)>,
    by_key: HashMap<(Place<&'a str>, &'a str, Key<&'a str>), usize>,
}

impl<'a> Index<'a> {
    pub fn new(logs: &'a [Log], histories: &'a Histories) -> Self {
        let mut index = Self {
            logs,
            histories,
            conversations: BTreeMap::new(),
            writes: Vec::new(),
            attempts: Vec::new(),
            plain: HashMap::new(),
            unasked: Vec::new(),
            by_key: HashMap::new(),
        };
        let mut cleared = HashMap::new();
        for (number, log) in logs.iter().enumerate() {
            index.add_log(number, log);
            for entry in &log.entries {
                if let What::MarkAnswered { peer, mark: Mark::Cleared, seq } = &entry.what {
                    let highest = cleared.entry((log.openid.as_str(), peer.as_str())).or_insert(0);
                    *highest = i64::max(*highest, *seq);
                }
            }
        }
        for write in &mut index.writes {
            write.acks.sort_by_key(|ack| ack.at);
        }
        for view in &histories.views {
            // The list leaves out what is cleared to the end: then only the answers say how far that is.
            let told = cleared.get(&(view.openid.as_str(), view.peer.as_str())).copied().unwrap_or(0);
            let cleared = view.overview.map_or(told, |marks| marks.cleared_seq);
            index.conversations.entry(Place::of(&view.openid, &view.peer)).or_default().add(view, cleared);
        }
        for conversation in index.conversations.values_mut() {
            conversation.record.sort_by_key(|m| m.seq);
            for same_key in conversation.by_key.values_mut() {
                same_key.sort_by_key(|m| m.seq);
            }
        }
        index
    }

    pub fn write(&self, place: Place<&'a str>, sender: &'a str, key: Key<&'a str>) -> Option<&Write<'a>> {
        self.by_key.get(&(place, sender, key)).map(|at| &self.writes[*at])
    }

    /// Everybody in a conversation.
    pub fn members(&self, place: Place<&'a str>) -> Vec<&'a str> {
        place.members(&self.histories.groups)
    }

    /// `alice/phone`.
    pub fn client(&self, log: usize) -> String {
        format!("{}/{}", self.logs[log].openid, self.logs[log].device)
    }

    fn add_log(&mut self, number: usize, log: &'a Log) {
        let mut connection = 0;
        let mut open: HashMap<(&str, Key<&str>), VecDeque<usize>> = HashMap::new();
        // Answered so: what became of them may still be told, once each.
        let mut unavailable: HashMap<(&str, Key<&str>), VecDeque<usize>> = HashMap::new();
        for entry in &log.entries {
            match &entry.what {
                What::Connected { .. } | What::Disconnected => {
                    connection += 1;
                    open.clear();
                    unavailable.clear();
                }
                What::Sent { peer, key: Key::Plain, kind, content } => {
                    *self
                        .plain
                        .entry((Place::of(&log.openid, peer), &log.openid, kind, content))
                        .or_default() += 1;
                }
                What::Sent { peer, key, kind, content } => {
                    let write = self.write_of(log, peer, key.borrowed(), entry.at);
                    let attempt = self.attempts.len();
                    self.attempts.push(Attempt {
                        at: entry.at,
                        log: number,
                        connection,
                        write,
                        kind,
                        content,
                        answer: Answer::Open,
                        sure: true,
                    });
                    self.writes[write].attempts.push(attempt);
                    open.entry((peer, key.borrowed())).or_default().push_back(attempt);
                }
                What::Acked { peer, key, seq, sent_at, duplicate }
                | What::ToldStored { peer, key, seq, sent_at, duplicate } => {
                    let (seq, sent_at, duplicate) = (*seq, *sent_at, *duplicate);
                    let asked =
                        if matches!(entry.what, What::Acked { .. }) { &mut open } else { &mut unavailable };
                    match self.answered(asked.get_mut(&(peer.as_str(), key.borrowed()))) {
                        Some(attempt) => {
                            self.attempts[attempt].answer = Answer::Acked { seq, duplicate };
                            let write = self.attempts[attempt].write;
                            self.writes[write].acks.push(Ack {
                                at: entry.at,
                                seq,
                                sent_at,
                                duplicate,
                                attempt,
                            });
                        }
                        None => self.unasked.push((number, entry)),
                    }
                }
                What::Refused { peer, key, error } => {
                    let key = (peer.as_str(), key.borrowed());
                    if let Some(attempt) = self.answered(open.get_mut(&key)) {
                        self.attempts[attempt].answer = Answer::Refused;
                        if error == "unavailable" {
                            unavailable.entry(key).or_default().push_back(attempt);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Which attempt an answer is about: the oldest, as the store answers in order. A refusal before the
    /// store (too many writes in flight) may overtake, so that with several open none is sure.
    fn answered(&mut self, open: Option<&mut VecDeque<usize>>) -> Option<usize> {
        let open = open?;
        if open.len() > 1 {
            open.iter().for_each(|attempt| self.attempts[*attempt].sure = false);
        }
        open.pop_front()
    }

    fn write_of(&mut self, log: &'a Log, peer: &'a str, key: Key<&'a str>, at: u64) -> usize {
        let (place, sender) = (Place::of(&log.openid, peer), log.openid.as_str());
        let write = *self.by_key.entry((place, sender, key)).or_insert_with(|| {
            self.writes.push(Write {
                place,
                sender,
                key,
                first_sent: at,
                attempts: Vec::new(),
                acks: Vec::new(),
            });
            self.writes.len() - 1
        });
        self.writes[write].first_sent = self.writes[write].first_sent.min(at);
        write
    }
}
