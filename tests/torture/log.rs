//! What the checker reads: a log of each client, and what history says at the end.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::record::Awaited;

/// A moment that compares across all logs of this process.
pub fn stamp() -> u64 {
    static CLOCK: AtomicU64 = AtomicU64::new(1);
    CLOCK.fetch_add(1, Ordering::SeqCst)
}

/// What one device of one user saw and did, in that order.
///
/// What goes out is entered before it is written to the socket, what comes in after it was read: only then
/// does "acked before it was sent" mean that one was over before the other began.
pub struct Log {
    pub openid: String,
    pub device: String,
    /// The client caught up after the last write, and claims to have all that it may see.
    pub complete: bool,
    pub entries: Vec<Entry>,
    /// Frame ids whose answers need to be told apart.
    pub awaited: HashMap<String, Awaited>,
    /// Whom a client message id was sent to: an error names the id only.
    pub recipients: HashMap<String, String>,
    /// Client message ids that were sent in frames with an `id`: an ack without one answers none of them.
    pub with_id: HashSet<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub at: u64,
    pub what: What,
}

#[derive(Clone, PartialEq, Debug)]
pub enum What {
    Connected {
        session: String,
    },
    Disconnected,
    /// An attempt: a retry is entered again.
    Sent {
        peer: String,
        key: Key<String>,
        kind: String,
        content: String,
    },
    Acked {
        peer: String,
        key: Key<String>,
        seq: i64,
        sent_at: i64,
        duplicate: bool,
    },
    /// An ack without an `id`: of an attempt that had one, and was answered as unavailable before.
    ToldStored {
        peer: String,
        key: Key<String>,
        seq: i64,
        sent_at: i64,
        duplicate: bool,
    },
    /// An error frame. Only `unavailable` leaves open whether the attempt was stored.
    Refused {
        peer: String,
        key: Key<String>,
        error: String,
    },
    Received {
        message: Message,
        via: Via,
    },
    /// A mark that came unasked: the peer's, or one that another device of the same user moved.
    Receipt {
        from: String,
        to: String,
        mark: Mark,
        seq: i64,
    },
    /// An own mark that was answered: by an echo, which says where it stands; by the `cleared` frame; or by a
    /// 204, with the seq that was asked for, which must be one that existed then.
    MarkAnswered {
        peer: String,
        mark: Mark,
        seq: i64,
    },
    /// What a sync or `GET /v1/conversations` that was asked for at `asked` said of one conversation.
    SyncMarks {
        peer: String,
        asked: u64,
        marks: Marks,
    },
    /// The unread count as any call gave it when nothing was written any more.
    UnreadAnswered {
        peer: String,
        unread: i64,
    },
}

/// A conversation: the two of a direct one, in order, or a group, whose name begins with `g:`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place<S> {
    Direct(S, S),
    Group(S),
}

/// Members of each group, by its name.
pub type Groups = HashMap<String, Vec<String>>;

impl<'a> Place<&'a str> {
    /// The one that `user` calls so.
    pub fn of(user: &'a str, address: &'a str) -> Self {
        if address.starts_with("g:") {
            Self::Group(address)
        } else if user <= address {
            Self::Direct(user, address)
        } else {
            Self::Direct(address, user)
        }
    }

    /// Its name for one of its members.
    pub fn address(self, user: &str) -> &'a str {
        match self {
            Self::Direct(lower, higher) => {
                if user == lower {
                    higher
                } else {
                    lower
                }
            }
            Self::Group(name) => name,
        }
    }

    /// Everybody in it, each once.
    pub fn members(self, groups: &'a Groups) -> Vec<&'a str> {
        match self {
            Self::Direct(lower, higher) if lower == higher => vec![lower],
            Self::Direct(lower, higher) => vec![lower, higher],
            Self::Group(name) => groups.get(name).into_iter().flatten().map(String::as_str).collect(),
        }
    }

    pub fn owned(self) -> Place<String> {
        match self {
            Self::Direct(lower, higher) => Place::Direct(lower.to_owned(), higher.to_owned()),
            Self::Group(name) => Place::Group(name.to_owned()),
        }
    }
}

impl Place<String> {
    pub fn borrowed(&self) -> Place<&str> {
        match self {
            Self::Direct(lower, higher) => Place::Direct(lower, higher),
            Self::Group(name) => Place::Group(name),
        }
    }
}

/// What makes a write idempotent within a conversation and sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Key<S> {
    Message(S),
    /// A recall, by the seq of its target.
    Recall(i64),
    /// A plain client's message without an id: none.
    Plain,
}

impl Key<String> {
    pub fn borrowed(&self) -> Key<&str> {
        match self {
            Self::Message(id) => Key::Message(id),
            Self::Recall(target) => Key::Recall(*target),
            Self::Plain => Key::Plain,
        }
    }
}

/// How a client came to a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    Live,
    /// Catching up after a reconnect: by a sync, or by `GET /v1/messages?after_seq=` from the last seq that
    /// the client has.
    Sync,
    /// Any other look at history: it must agree, but does not make a client complete.
    History,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mark {
    Read,
    Recv,
    Cleared,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The conversation, as the one who sees it names it.
    pub peer: String,
    pub seq: i64,
    pub from: String,
    pub to: String,
    pub sent_at: i64,
    pub client_msg_id: Option<String>,
    pub kind: String,
    /// The sender's further fields, in one spelling; none of a recalled message.
    pub content: Option<String>,
    pub recalled: bool,
    pub target_seq: Option<i64>,
}

impl Message {
    pub fn is_recall(&self) -> bool {
        self.target_seq.is_some() || self.kind == "recall"
    }

    pub fn key(&self) -> Key<&str> {
        match (self.target_seq, &self.client_msg_id) {
            (Some(target), _) => Key::Recall(target),
            (None, Some(id)) => Key::Message(id),
            (None, None) => Key::Plain,
        }
    }
}

/// What sync and the list of conversations say of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    pub last_seq: i64,
    pub cleared_seq: i64,
    pub read_seq: i64,
    pub recv_seq: i64,
    pub peer_read_seq: i64,
    pub peer_recv_seq: i64,
    pub unread: i64,
}

/// The truth at the end, read over HTTP once nothing was written any more: a view of every conversation for
/// each of its members.
#[derive(Clone, Default)]
pub struct Histories {
    pub views: Vec<View>,
    pub groups: Groups,
    /// The total of `GET /v1/unread`, by user.
    pub totals: HashMap<String, i64>,
}

#[derive(Clone)]
pub struct View {
    pub openid: String,
    pub peer: String,
    /// All pages of `GET /v1/messages`.
    pub messages: Vec<Message>,
    /// Its entry in the list of conversations, where it is listed.
    pub overview: Option<Marks>,
}

impl Log {
    pub fn new(openid: &str, device: &str) -> Self {
        Self {
            openid: openid.to_owned(),
            device: device.to_owned(),
            complete: false,
            entries: Vec::new(),
            awaited: HashMap::new(),
            recipients: HashMap::new(),
            with_id: HashSet::new(),
        }
    }

    pub fn push(&mut self, what: What) {
        self.entries.push(Entry { at: stamp(), what });
    }
}
