//! Frames as they go over the wire, turned into a log.

use serde_json::Value;

use crate::log::{Histories, Key, Log, Mark, Marks, Message, Place, Via, View, What, stamp};

/// What the answer to a frame id is an answer to.
pub enum Awaited {
    Recall { peer: String, target_seq: i64 },
    Read { peer: String },
    Sync { asked: u64 },
}

/// Fields that are no content: the server's own, and those that a log has beside it.
const NO_CONTENT: [&str; 27] = [
    "status",
    "seq",
    "sent_at",
    "id",
    "session",
    "server_time",
    "duplicate",
    "target_seq",
    "recalled",
    "error",
    "retry_after_ms",
    "group",
    "of_seq",
    "mentions",
    "quote",
    "forward",
    "forwarded",
    "media",
    "reactions",
    "edited_at",
    "edited_seq",
    "stream",
    "deleted",
    "type",
    "from_user_openid",
    "to_user_openid",
    "client_msg_id",
];

/// Frames that leave nothing to check.
const UNCHECKED: [&str; 6] = ["heart", "typing", "open", "background", "foreground", "settings"];

fn text(frame: &Value, field: &str) -> String {
    frame[field].as_str().unwrap_or_else(|| panic!("no {field} in {frame}")).to_owned()
}

fn optional(frame: &Value, field: &str) -> Option<String> {
    frame[field].as_str().map(str::to_owned)
}

fn number(frame: &Value, field: &str) -> i64 {
    frame[field].as_i64().unwrap_or_else(|| panic!("no {field} in {frame}"))
}

/// The sender's further fields; a `Value` keeps its fields sorted, so that their order does not count.
pub fn content(frame: &Value) -> String {
    let fields = frame.as_object().unwrap().iter().filter(|(name, _)| !NO_CONTENT.contains(&name.as_str()));
    Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect()).to_string()
}

impl Message {
    /// A message, pushed or from a page, as `openid` sees it.
    pub fn read(openid: &str, frame: &Value) -> Self {
        let (from, to) = (text(frame, "from_user_openid"), text(frame, "to_user_openid"));
        let recalled = frame["recalled"] == true;
        Self {
            peer: Place::of(&from, &to).address(openid).to_owned(),
            seq: number(frame, "seq"),
            sent_at: number(frame, "sent_at"),
            client_msg_id: optional(frame, "client_msg_id"),
            kind: text(frame, "type"),
            // A recalled message that still has content must not pass for one without.
            content: Some(content(frame)).filter(|content| !recalled || content != "{}"),
            recalled,
            target_seq: frame["target_seq"].as_i64(),
            from,
            to,
        }
    }
}

impl Marks {
    /// A conversation of a sync or of `GET /v1/conversations`.
    pub fn read(entry: &Value) -> Self {
        Self {
            last_seq: number(entry, "last_seq"),
            cleared_seq: number(entry, "cleared_seq"),
            read_seq: number(entry, "read_seq"),
            recv_seq: number(entry, "recv_seq"),
            peer_read_seq: number(entry, "peer_read_seq"),
            peer_recv_seq: number(entry, "peer_recv_seq"),
            unread: number(entry, "unread"),
        }
    }
}

impl Log {
    /// Before a frame is written to the socket. Messages and recalls must name their recipient; recalls,
    /// syncs and reads whose echo counts must carry an `id`.
    pub fn sends(&mut self, frame: &Value) {
        let id = optional(frame, "id");
        match frame["type"].as_str().unwrap_or("text") {
            "recall" => {
                let (peer, target_seq) = (text(frame, "to_user_openid"), number(frame, "target_seq"));
                self.awaited.insert(
                    id.expect("a recall without an id"),
                    Awaited::Recall { peer: peer.clone(), target_seq },
                );
                self.push(What::Sent {
                    peer,
                    key: Key::Recall(target_seq),
                    kind: "recall".into(),
                    content: content(frame),
                });
            }
            "sync" => {
                self.awaited.insert(id.expect("a sync without an id"), Awaited::Sync { asked: stamp() });
            }
            "read" => {
                if let Some(id) = id {
                    self.awaited.insert(id, Awaited::Read { peer: text(frame, "to_user_openid") });
                }
            }
            "recv" => {}
            other if UNCHECKED.contains(&other) => {}
            kind => {
                let (peer, key) = (text(frame, "to_user_openid"), optional(frame, "client_msg_id"));
                if let Some(key) = &key {
                    self.recipients.insert(key.clone(), peer.clone());
                    if id.is_some() {
                        self.with_id.insert(key.clone());
                    }
                }
                let key = key.map_or(Key::Plain, Key::Message);
                self.push(What::Sent { peer, key, kind: kind.to_owned(), content: content(frame) });
            }
        }
    }

    /// After a frame was read from the socket.
    pub fn came(&mut self, frame: &Value) {
        match frame["type"].as_str().unwrap_or_default() {
            "init" => self.push(What::Connected { session: text(frame, "session") }),
            "ack" => {
                let (peer, key) =
                    self.answered(frame).unwrap_or_else(|| panic!("an answer to nothing: {frame}"));
                let (seq, sent_at, duplicate) =
                    (number(frame, "seq"), number(frame, "sent_at"), frame["duplicate"] == true);
                let is_answer =
                    frame["id"].is_string() || !matches!(&key, Key::Message(id) if self.with_id.contains(id));
                self.push(if is_answer {
                    What::Acked { peer, key, seq, sent_at, duplicate }
                } else {
                    What::ToldStored { peer, key, seq, sent_at, duplicate }
                });
            }
            "error" => {
                if let Some((peer, key)) = self.answered(frame) {
                    self.push(What::Refused { peer, key, error: text(frame, "error") });
                }
            }
            "read" => self.mark(frame, Mark::Read),
            "recv" => self.mark(frame, Mark::Recv),
            "cleared" => self.push(What::MarkAnswered {
                peer: text(frame, "peer"),
                mark: Mark::Cleared,
                seq: number(frame, "seq"),
            }),
            "sync" => self.synced(frame),
            other if UNCHECKED.contains(&other) => {}
            _ => self.push(What::Received { message: Message::read(&self.openid, frame), via: Via::Live }),
        }
    }

    fn awaits(&self, frame: &Value) -> Option<&Awaited> {
        self.awaited.get(frame["id"].as_str()?)
    }

    /// Which write an ack or an error is about; `None` for an error about something else.
    fn answered(&self, frame: &Value) -> Option<(String, Key<String>)> {
        match (optional(frame, "client_msg_id"), self.awaits(frame)) {
            // Where the server says whom it was to, that is what counts.
            (Some(id), _) => Some((
                optional(frame, "to_user_openid").or_else(|| self.recipients.get(&id).cloned())?,
                Key::Message(id),
            )),
            (None, Some(Awaited::Recall { peer, target_seq })) => {
                Some((peer.clone(), Key::Recall(*target_seq)))
            }
            (None, _) => None,
        }
    }

    fn mark(&mut self, frame: &Value, mark: Mark) {
        let seq = number(frame, "seq");
        match self.awaits(frame) {
            Some(Awaited::Read { peer }) => {
                let peer = peer.clone();
                self.push(What::MarkAnswered { peer, mark, seq });
            }
            _ => self.push(What::Receipt {
                from: text(frame, "from_user_openid"),
                to: text(frame, "to_user_openid"),
                mark,
                seq,
            }),
        }
    }

    /// One frame of a sync's answer: they all carry its id.
    fn synced(&mut self, frame: &Value) {
        let Some(Awaited::Sync { asked }) = self.awaits(frame) else {
            panic!("a sync that nobody asked for: {frame}")
        };
        let asked = *asked;
        for conversation in frame["conversations"].as_array().into_iter().flatten() {
            self.told(asked, conversation);
            self.page(conversation, Via::Sync);
        }
    }

    /// A conversation of a sync or of `GET /v1/conversations`, asked for at `asked`.
    pub fn told(&mut self, asked: u64, conversation: &Value) {
        self.push(What::SyncMarks {
            peer: text(conversation, "peer"),
            asked,
            marks: Marks::read(conversation),
        });
    }

    /// The `messages` of a sync's conversation or of `GET /v1/messages`.
    pub fn page(&mut self, page: &Value, via: Via) {
        for message in page["messages"].as_array().into_iter().flatten() {
            self.push(What::Received { message: Message::read(&self.openid, message), via });
        }
    }
}

impl Histories {
    /// A view: all its messages, over all pages, and its entry in the list of conversations.
    pub fn add(&mut self, openid: &str, peer: &str, messages: &[Value], overview: Option<&Value>) {
        let messages = messages.iter().map(|message| Message::read(openid, message)).collect();
        self.views.push(View {
            openid: openid.to_owned(),
            peer: peer.to_owned(),
            messages,
            overview: overview.map(Marks::read),
        });
    }
}
