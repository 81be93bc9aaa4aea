//! A model of the server and its clients: no sockets, and a fault where one is wanted.

use std::collections::BTreeMap;

use crate::log::{Groups, Histories, Key, Log, Mark, Marks, Message, Place, Via, View, What, stamp};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// Acks leave when a write is taken, before its batch is committed.
    AckBeforeCommit,
    /// No unique index: a retry is stored again.
    NoUniqueIndex,
    /// The seq comes from a counter that a rollback leaves where it is.
    CounterOutsideTransaction,
    /// The same counter, and after a crash it is found as it was some time before.
    CounterBehind,
    /// Messages are pushed when they are taken, before they are committed.
    PushBeforeCommit,
    /// A sync leaves out the first message that it should give.
    SyncFromOneTooHigh,
    /// What a batch has stored is pushed the last first.
    PushLastFirst,
    /// A read is answered when it is taken; a crash loses it.
    ReadBeforeCommit,
}

#[derive(Default, Clone)]
struct Conversation {
    messages: Vec<Message>,
    read: BTreeMap<String, i64>,
    cleared: BTreeMap<String, i64>,
}

impl Conversation {
    fn last_seq(&self) -> i64 {
        self.messages.iter().map(|m| m.seq).max().unwrap_or(0)
    }

    fn stored(&self, sender: &str, key: Key<&str>) -> Option<&Message> {
        self.messages.iter().find(|m| m.from == sender && m.key() == key)
    }

    fn marks(&self, me: &str, peer: &str) -> Marks {
        let mark = |of: &BTreeMap<String, i64>, who: &str| of.get(who).copied().unwrap_or(0);
        let own =
            |who: &str| self.messages.iter().filter(|m| m.from == who && !m.is_recall()).map(|m| m.seq).max();
        let (read_seq, cleared_seq) = (mark(&self.read, me), mark(&self.cleared, me));
        let floor = read_seq.max(own(me).unwrap_or(0)).max(cleared_seq);
        let uncounted =
            self.messages.iter().filter(|m| m.seq > floor && (m.is_recall() || m.recalled)).count();
        Marks {
            last_seq: self.last_seq(),
            cleared_seq,
            read_seq,
            peer_read_seq: own(peer).map_or(0, |_| mark(&self.read, peer)),
            unread: if me == peer { 0 } else { self.last_seq() - floor - i64::try_from(uncounted).unwrap() },
            ..Marks::default()
        }
    }
}

/// A write that was taken and is not committed yet.
struct Taken {
    client: usize,
    /// The connection that is answered, if it is still there.
    connection: u64,
    message: Message,
    /// From the counter, where there is one.
    seq: Option<i64>,
}

struct Client {
    connection: Option<u64>,
    /// The last seq that it has, by peer.
    has: BTreeMap<String, i64>,
}

fn place(user: &str, address: &str) -> Place<String> {
    Place::of(user, address).owned()
}

pub struct Sim {
    fault: Fault,
    pub logs: Vec<Log>,
    groups: Groups,
    clients: Vec<Client>,
    committed: BTreeMap<Place<String>, Conversation>,
    taken: Vec<Taken>,
    reads: Vec<(String, String, i64)>,
    counters: BTreeMap<Place<String>, i64>,
    counters_on_disk: BTreeMap<Place<String>, i64>,
    connections: u64,
    now: i64,
}

impl Sim {
    pub fn new(fault: Fault, clients: &[(&str, &str)]) -> Self {
        Self {
            fault,
            logs: clients.iter().map(|(openid, device)| Log::new(openid, device)).collect(),
            groups: Groups::new(),
            clients: clients.iter().map(|_| Client { connection: None, has: BTreeMap::new() }).collect(),
            committed: BTreeMap::new(),
            taken: Vec::new(),
            reads: Vec::new(),
            counters: BTreeMap::new(),
            counters_on_disk: BTreeMap::new(),
            connections: 0,
            now: 1_000,
        }
    }

    /// Makes a group, whose name begins with `g:`.
    pub fn group(&mut self, name: &str, members: &[&str]) {
        self.groups.insert(name.to_owned(), members.iter().map(|&member| member.to_owned()).collect());
    }

    pub fn openid(&self, client: usize) -> String {
        self.logs[client].openid.clone()
    }

    pub fn is_connected(&self, client: usize) -> bool {
        self.clients[client].connection.is_some()
    }

    /// Connects and catches up.
    pub fn connect(&mut self, client: usize) {
        self.connections += 1;
        self.clients[client].connection = Some(self.connections);
        self.logs[client].push(What::Connected { session: self.connections.to_string() });
        self.sync(client);
    }

    pub fn disconnect(&mut self, client: usize) {
        if self.clients[client].connection.take().is_some() {
            self.logs[client].push(What::Disconnected);
        }
    }

    pub fn sync(&mut self, client: usize) {
        let (me, asked) = (self.openid(client), stamp());
        for (place, conversation) in &self.committed {
            let place = place.borrowed();
            if !place.members(&self.groups).contains(&me.as_str()) {
                continue;
            }
            let peer = place.address(&me);
            let marks = conversation.marks(&me, peer);
            self.logs[client].push(What::SyncMarks { peer: peer.to_owned(), asked, marks });
            let has = self.clients[client].has.entry(peer.to_owned()).or_insert(0);
            let mut since = (*has).max(marks.cleared_seq);
            if self.fault == Fault::SyncFromOneTooHigh && *has > 0 {
                since += 1;
            }
            for message in conversation.messages.iter().filter(|m| m.seq > since) {
                let message = Message { peer: peer.to_owned(), ..message.clone() };
                self.logs[client].push(What::Received { message, via: Via::Sync });
            }
            *has = (*has).max(marks.last_seq);
        }
    }

    pub fn send(&mut self, client: usize, peer: &str, id: &str, content: &str) {
        self.take(client, peer, "text", content, Some(id), None);
    }

    pub fn recall(&mut self, client: usize, peer: &str, target: i64) {
        self.take(client, peer, "recall", "{}", None, Some(target));
    }

    fn take(
        &mut self,
        client: usize,
        peer: &str,
        kind: &str,
        content: &str,
        id: Option<&str>,
        target_seq: Option<i64>,
    ) {
        let me = self.openid(client);
        let message = Message {
            peer: peer.to_owned(),
            seq: 0,
            from: me.clone(),
            to: peer.to_owned(),
            sent_at: 0,
            client_msg_id: id.map(str::to_owned),
            kind: kind.to_owned(),
            content: Some(content.to_owned()),
            recalled: false,
            target_seq,
        };
        let key = owned(message.key());
        self.logs[client].push(What::Sent {
            peer: peer.to_owned(),
            key,
            kind: kind.to_owned(),
            content: content.to_owned(),
        });
        let Some(connection) = self.clients[client].connection else { return };
        let place = place(&me, peer);
        let conversation = self.committed.entry(place.clone()).or_default();
        let ahead: Vec<_> = self.taken.iter().filter(|t| is_in(&t.message, &place)).collect();
        let repeats = conversation.stored(&me, message.key()).is_some()
            || ahead.iter().any(|t| t.message.from == me && t.message.key() == message.key());
        let next = conversation.last_seq() + i64::try_from(ahead.len()).unwrap() + 1;
        let counts =
            matches!(self.fault, Fault::CounterOutsideTransaction | Fault::CounterBehind) && !repeats;
        let seq = counts.then(|| {
            let counter = self.counters.entry(place).or_insert(0);
            *counter += 1;
            *counter
        });
        let early = Message { seq: next, sent_at: self.now, ..message.clone() };
        if self.fault == Fault::AckBeforeCommit && !repeats && !message.is_recall() {
            self.ack(client, &early, false);
        }
        if self.fault == Fault::PushBeforeCommit && !repeats && !message.is_recall() {
            self.push(&early, Some(client));
        }
        self.taken.push(Taken { client, connection, message, seq });
    }

    /// Commits what was taken, in its order; then answers and pushes.
    pub fn commit(&mut self) {
        for (openid, peer, seq) in std::mem::take(&mut self.reads) {
            self.store_read(&openid, &peer, seq);
        }
        let mut put_off = Vec::new();
        for Taken { client, connection, message, seq } in std::mem::take(&mut self.taken) {
            let answers = self.clients[client].connection == Some(connection);
            let conversation = self.committed.entry(place(&message.from, &message.to)).or_default();
            let stored = conversation.stored(&message.from, message.key()).cloned();
            if let Some(stored) = stored.filter(|_| self.fault != Fault::NoUniqueIndex || message.is_recall())
            {
                let same = stored.recalled || stored.is_recall() || stored.content == message.content;
                match (same, answers) {
                    (true, true) => self.ack(client, &stored, true),
                    (false, true) => self.refuse(client, &message, "conflict"),
                    _ => {}
                }
                if same {
                    self.push(&stored, answers.then_some(client));
                }
                continue;
            }
            if let Some(target) = message.target_seq {
                let own = |m: &&mut Message| m.seq == target && m.from == message.from && !m.is_recall();
                let Some(target) = conversation.messages.iter_mut().find(own) else {
                    if answers {
                        self.refuse(client, &message, "not_found");
                    }
                    continue;
                };
                (target.recalled, target.content) = (true, None);
            }
            let message =
                Message { seq: seq.unwrap_or(conversation.last_seq() + 1), sent_at: self.now, ..message };
            conversation.messages.push(message.clone());
            conversation.messages.sort_by_key(|m| m.seq);
            if answers && (self.fault != Fault::AckBeforeCommit || message.is_recall()) {
                self.ack(client, &message, false);
            }
            match self.fault {
                Fault::PushLastFirst => put_off.push((message, answers.then_some(client))),
                Fault::PushBeforeCommit if !message.is_recall() => {}
                _ => self.push(&message, answers.then_some(client)),
            }
        }
        for (message, but) in put_off.into_iter().rev() {
            self.push(&message, but);
        }
        self.now += 7;
        if self.now % 3 == 0 {
            self.counters_on_disk.clone_from(&self.counters);
        }
    }

    /// The batch fails: nothing of it is stored.
    pub fn roll_back(&mut self) {
        for Taken { client, connection, message, .. } in std::mem::take(&mut self.taken) {
            if self.clients[client].connection == Some(connection) {
                self.refuse(client, &message, "unavailable");
            }
        }
    }

    /// What was not committed is lost, and so is every connection.
    pub fn crash(&mut self) {
        self.taken.clear();
        self.reads.clear();
        (0..self.clients.len()).for_each(|client| self.disconnect(client));
        match self.fault {
            Fault::CounterBehind => self.counters.clone_from(&self.counters_on_disk),
            _ => {
                self.counters =
                    self.committed.iter().map(|(place, c)| (place.clone(), c.last_seq())).collect()
            }
        }
    }

    fn ack(&mut self, client: usize, message: &Message, duplicate: bool) {
        let (peer, seq) = (message.to.clone(), message.seq);
        let has = self.clients[client].has.entry(peer.clone()).or_insert(0);
        *has = (*has).max(seq);
        self.logs[client].push(What::Acked {
            peer,
            key: owned(message.key()),
            seq,
            sent_at: message.sent_at,
            duplicate,
        });
    }

    fn refuse(&mut self, client: usize, message: &Message, error: &str) {
        self.logs[client].push(What::Refused {
            peer: message.to.clone(),
            key: owned(message.key()),
            error: error.to_owned(),
        });
    }

    /// To everybody in the conversation who is connected, but for the one who gets the ack.
    fn push(&mut self, message: &Message, but: Option<usize>) {
        for (number, client) in self.clients.iter_mut().enumerate() {
            let log = &mut self.logs[number];
            let place = Place::of(&message.from, &message.to);
            let is_member = place.members(&self.groups).contains(&log.openid.as_str());
            if !is_member || Some(number) == but || client.connection.is_none() {
                continue;
            }
            let peer = place.address(&log.openid).to_owned();
            let has = client.has.entry(peer.clone()).or_insert(0);
            *has = (*has).max(message.seq);
            log.push(What::Received { message: Message { peer, ..message.clone() }, via: Via::Live });
        }
    }

    /// Reads up to there: answered with where the mark stands, and told to whom it concerns.
    pub fn read(&mut self, client: usize, peer: &str, seq: i64) {
        let me = self.openid(client);
        let Some(conversation) = self.committed.get(&place(&me, peer)) else { return };
        let before = conversation.read.get(&me).copied().unwrap_or(0);
        let seq = if self.fault == Fault::ReadBeforeCommit {
            self.reads.push((me.clone(), peer.to_owned(), seq));
            seq.min(conversation.last_seq()).max(before)
        } else {
            self.store_read(&me, peer, seq)
        };
        self.logs[client].push(What::MarkAnswered { peer: peer.to_owned(), mark: Mark::Read, seq });
        let peer_wrote =
            self.committed[&place(&me, peer)].messages.iter().any(|m| m.from == me && !m.is_recall());
        for (number, log) in self.logs.iter_mut().enumerate().filter(|(number, _)| *number != client) {
            let hears = log.openid == me || (log.openid == peer && peer_wrote);
            if hears && self.clients[number].connection.is_some() {
                log.push(What::Receipt { from: me.clone(), to: peer.to_owned(), mark: Mark::Read, seq });
            }
        }
    }

    fn store_read(&mut self, openid: &str, peer: &str, seq: i64) -> i64 {
        let conversation = self.committed.entry(place(openid, peer)).or_default();
        let last = conversation.last_seq();
        let mark = conversation.read.entry(openid.to_owned()).or_insert(0);
        *mark = (*mark).max(seq.min(last));
        *mark
    }

    pub fn clear(&mut self, client: usize, peer: &str) {
        let me = self.openid(client);
        let Some(conversation) = self.committed.get_mut(&place(&me, peer)) else { return };
        let seq = conversation.last_seq();
        conversation.cleared.insert(me, seq);
        self.logs[client].push(What::MarkAnswered { peer: peer.to_owned(), mark: Mark::Cleared, seq });
    }

    /// Everybody catches up; what they and history then say.
    pub fn finish(mut self) -> (Vec<Log>, Histories) {
        for client in 0..self.clients.len() {
            self.connect(client);
            self.logs[client].complete = true;
        }
        let mut histories = Histories { groups: self.groups.clone(), ..Histories::default() };
        for (place, conversation) in self.committed.iter().filter(|(_, c)| !c.messages.is_empty()) {
            let place = place.borrowed();
            for openid in place.members(&self.groups) {
                let peer = place.address(openid);
                let marks = conversation.marks(openid, peer);
                let seen = conversation.messages.iter().filter(|m| m.seq > marks.cleared_seq);
                let messages: Vec<_> = seen.map(|m| Message { peer: peer.to_owned(), ..m.clone() }).collect();
                let overview = (!messages.is_empty()).then_some(marks);
                *histories.totals.entry(openid.to_owned()).or_default() += marks.unread;
                if let Some(log) = self.logs.iter_mut().find(|log| log.openid == openid) {
                    log.push(What::UnreadAnswered { peer: peer.to_owned(), unread: marks.unread });
                }
                histories.views.push(View {
                    openid: openid.to_owned(),
                    peer: peer.to_owned(),
                    messages,
                    overview,
                });
            }
        }
        (self.logs, histories)
    }
}

fn owned(key: Key<&str>) -> Key<String> {
    match key {
        Key::Message(id) => Key::Message(id.to_owned()),
        Key::Recall(target) => Key::Recall(target),
        Key::Plain => Key::Plain,
    }
}

fn is_in(message: &Message, conversation: &Place<String>) -> bool {
    place(&message.from, &message.to) == *conversation
}
