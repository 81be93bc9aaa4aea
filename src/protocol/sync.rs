//! `sync`: what is asked, and what was missed, cut into frames.

use std::fmt::{self, Write as _};

use bytestring::ByteString;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::outbound;
use crate::event::Message;
use crate::event::cursor::SyncCursor;
use crate::event::overview::{Overview, SyncPage};
use crate::ids::{Address, Malformed, OpenId, RequestId, Seq};

/// What a `sync` asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct SyncRequest {
    pub since: Option<SyncCursor>,
    /// Conversations, each with the last seq that the asker has of it.
    pub named: Vec<(Address, Seq)>,
    /// Messages a conversation.
    pub limit: usize,
}

/// Conversations that one `sync` may name.
const NAMED_AT_MOST: usize = 200;
/// Messages a conversation that one `sync` may ask for, and for how many it asks when it does not say.
const LIMIT: i64 = 200;
pub(super) const LIMIT_DEFAULT: usize = 20;

/// What one answer holds at most, in bytes, all its frames together.
pub const ANSWER_BYTES: usize = 256 * 1024;
/// What one frame holds at most, in bytes, unless a single message is larger.
const FRAME_BYTES: usize = 64 * 1024;
/// What the frames of one answer take beside their conversations and the heads of those that are cut: an id
/// of 64 characters, escaped, a cursor, and the names, five times.
pub const OVERHEAD_BYTES: usize = 8 * 1024;
/// The most that a conversation takes beside its messages: a peer of 64 bytes, eight numbers of 19 digits,
/// and the names.
pub const CONVERSATION_BYTES: usize = 448;

/// Reads the conversations that a `sync` names.
///
/// # Errors
/// [`Malformed`].
pub(super) fn named(json: &str) -> Result<Vec<(Address, Seq)>, Malformed> {
    let wrong = Malformed("conversations", "an object of at most 200 peers, each once, with a seq");
    serde_json::from_str::<Named>(json).map(|named| named.0).map_err(|_| wrong)
}

/// Reads the `limit` of a `sync`.
///
/// # Errors
/// [`Malformed`].
pub(super) fn limit(json: &str) -> Result<usize, Malformed> {
    let limit = json.parse::<i64>().ok().filter(|n| (1..=LIMIT).contains(n));
    limit.and_then(|n| usize::try_from(n).ok()).ok_or(Malformed("limit", "an integer from 1 to 200"))
}

struct Named(Vec<(Address, Seq)>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Named;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("peers with their seqs")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                let mut named: Vec<(Address, Seq)> = Vec::new();
                while let Some((peer, number)) = map.next_entry::<String, i64>()? {
                    let entry = Address::parse_served(&peer)
                        .and_then(|address| Seq::parse(number).map(|seq| (address, seq)));
                    let (address, seq) = entry.map_err(serde::de::Error::custom)?;
                    if named.len() >= NAMED_AT_MOST || named.iter().any(|(other, _)| *other == address) {
                        return Err(serde::de::Error::custom("too many peers, or one of them twice"));
                    }
                    named.push((address, seq));
                }
                Ok(Named(named))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// The most that a message takes in an answer.
pub fn message_bytes(message: &Message) -> usize {
    // Both openids of 64 bytes and numbers of 19 digits, with the names of the fields.
    const ENVELOPE: usize = 224;
    // An id has no character that needs more than one byte and an escape.
    let id = message.client_msg_id.as_ref().map_or(0, |id| 2 * id.as_str().len() + 24);
    let names = message.kind.as_str().len() + message.sender.as_str().len() + 64;
    let quote = message.quote.as_ref().map_or(0, |quote| quote.bytes());
    ENVELOPE + names + id + quote + message.body.len()
}

/// The frames, in order: each has `conversations`, the last one `has_more`, `caught_up` and `cursor` too. A
/// conversation that does not fit goes on in the next frame, under the same peer.
pub fn frames(page: &SyncPage, id: Option<&RequestId>, reader: &OpenId) -> Vec<ByteString> {
    let mut frames = Vec::new();
    let mut frame = Frame::begin(id);
    for missed in &page.conversations {
        let mut messages = missed
            .messages
            .iter()
            .map(|message| outbound::stored(message, &missed.overview.conversation))
            .peekable();
        loop {
            if frame.is_begun
                && frame.text.len() + CONVERSATION_BYTES + messages.peek().map_or(0, String::len)
                    > FRAME_BYTES
            {
                frames.push(std::mem::replace(&mut frame, Frame::begin(id)).end());
            }
            frame.open(&missed.overview, reader);
            let mut is_first = true;
            while let Some(message) =
                messages.next_if(|m| is_first || frame.text.len() + m.len() + TAIL_BYTES <= FRAME_BYTES)
            {
                frame.message(&message, is_first);
                is_first = false;
            }
            let goes_on = messages.peek().is_some();
            frame.close(goes_on || missed.has_more);
            if !goes_on {
                break;
            }
            frames.push(std::mem::replace(&mut frame, Frame::begin(id)).end());
        }
    }
    let _ = write!(
        frame.text,
        r#"],"has_more":{},"caught_up":{},"cursor":"{}"}}"#,
        page.has_more,
        page.caught_up,
        page.cursor.encode()
    );
    frames.push(frame.text.into());
    frames
}

/// What follows the last message of a frame.
const TAIL_BYTES: usize = 192;

/// One frame as it is written.
struct Frame {
    text: String,
    /// It has a conversation.
    is_begun: bool,
}

impl Frame {
    fn begin(id: Option<&RequestId>) -> Self {
        let mut text = String::from(r#"{"type":"sync","status":200"#);
        outbound::push_ids(&mut text, id, None);
        text.push_str(r#","conversations":["#);
        Self { text, is_begun: false }
    }

    fn open(&mut self, overview: &Overview, reader: &OpenId) {
        if std::mem::replace(&mut self.is_begun, true) {
            self.text.push(',');
        }
        let Overview {
            conversation,
            last_seq,
            cleared_seq,
            read_seq,
            recv_seq,
            peer_read_seq,
            peer_recv_seq,
            unread,
            muted,
            pinned,
        } = overview;
        let peer = conversation.address_str(reader);
        let _ = write!(
            self.text,
            r#"{{"peer":"{peer}","last_seq":{last_seq},"cleared_seq":{cleared_seq},"read_seq":{read_seq},"recv_seq":{recv_seq},"peer_read_seq":{peer_read_seq},"peer_recv_seq":{peer_recv_seq},"unread":{unread},"muted":{muted},"pinned":{pinned},"messages":["#
        );
    }

    fn message(&mut self, message: &str, is_first: bool) {
        if !is_first {
            self.text.push(',');
        }
        self.text.push_str(message);
    }

    fn close(&mut self, has_more: bool) {
        let _ = write!(self.text, r#"],"has_more":{has_more}}}"#);
    }

    fn end(mut self) -> ByteString {
        self.text.push_str("]}");
        self.text.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::event::Conversation;
    use crate::event::cursor::SyncPlace;
    use crate::event::overview::Missed;
    use crate::ids::{ClientMsgId, DatabaseGeneration, Kind};

    fn me() -> OpenId {
        OpenId::parse("me").unwrap()
    }

    fn message(seq: i64, bytes: usize) -> Message {
        Message {
            seq: Seq::parse(seq).unwrap(),
            sender: OpenId::parse(&"s".repeat(64)).unwrap(),
            kind: Kind::parse(&"k".repeat(32)).unwrap(),
            body: format!(r#"{{"message":"{}"}}"#, "x".repeat(bytes)).into(),
            sent_at: i64::MAX,
            client_msg_id: ClientMsgId::parse(&"\"".repeat(64)).ok(),
            recalled: false,
            target: None,
            quote: None,
        }
    }

    fn missed(peer: &str, messages: Vec<Message>) -> Missed {
        let seq = Seq::parse(i64::MAX).unwrap();
        let overview = Overview {
            conversation: Conversation::direct(me(), OpenId::parse(peer).unwrap()),
            last_seq: seq,
            cleared_seq: seq,
            read_seq: seq,
            recv_seq: seq,
            peer_read_seq: seq,
            peer_recv_seq: seq,
            unread: i64::MAX,
            muted: false,
            pinned: false,
        };
        Missed { overview, messages, has_more: false }
    }

    fn cut(conversations: Vec<Missed>) -> Vec<Value> {
        let place = SyncPlace::Through { began: 36 };
        let cursor = SyncCursor { generation: DatabaseGeneration::of_number(35), place };
        let page = SyncPage { conversations, has_more: true, caught_up: false, cursor };
        let id = RequestId::parse(r#""r""#, "r").unwrap();
        let frames = frames(&page, Some(&id), &me());
        frames.iter().for_each(|frame| assert!(frame.len() <= FRAME_BYTES, "{}", frame.len()));
        frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
    }

    fn seqs(frames: &[Value], peer: &str) -> Vec<i64> {
        let conversations = frames.iter().flat_map(|f| f["conversations"].as_array().unwrap());
        let messages =
            conversations.filter(|c| c["peer"] == peer).flat_map(|c| c["messages"].as_array().unwrap());
        messages.map(|m| m["seq"].as_i64().unwrap()).collect()
    }

    #[test]
    fn named_conversations_are_peers_each_once_with_a_seq() {
        let named = |json: &str| {
            super::named(json).map(|named| named.iter().map(|(p, s)| format!("{p}{s}")).collect::<Vec<_>>())
        };
        assert_eq!(named(r#"{"b":2,"a":0}"#).unwrap(), ["b2", "a0"]);
        let many =
            |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"p{i}\":1")).collect::<Vec<_>>().join(","));
        assert_eq!(named(&many(200)).unwrap().len(), 200);
        for bad in [
            "[]",
            "null",
            r#"{"a":-1}"#,
            r#"{"a":1.5}"#,
            r#"{"a":"1"}"#,
            r#"{"v1":1}"#,
            r#"{"a":1,"a":2}"#,
            &many(201),
        ] {
            assert!(named(bad).is_err(), "{bad:.40}");
        }
        for bad in ["0", "201", "1.0", "\"5\"", "null", "-1"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_missed_is_one_frame() {
        insta::assert_snapshot!(
            Value::Array(cut(Vec::new())),
            @r#"[{"caught_up":false,"conversations":[],"cursor":"c1.z.10","has_more":true,"id":"r","status":200,"type":"sync"}]"#
        );
    }

    #[test]
    fn frames_keep_their_size_and_lose_nothing() {
        for bytes in [1, 500, 5_000, 16_000] {
            let many = |n: i64| (1..=n).map(|seq| message(seq, bytes)).collect::<Vec<_>>();
            let frames = cut(vec![
                missed("a", many(1)),
                missed("b", many(20)),
                missed("c", Vec::new()),
                missed("d", many(3)),
            ]);
            for (peer, count) in [("a", 1), ("b", 20), ("c", 0), ("d", 3)] {
                assert_eq!(seqs(&frames, peer), (1..=count).collect::<Vec<_>>(), "{peer}, {bytes}");
            }
            let (last, before) = frames.split_last().unwrap();
            assert!(
                last["cursor"].is_string()
                    && before.iter().all(|f| f.get("cursor").is_none() && f.get("has_more").is_none())
            );
        }
        let many = (0..600).map(|n| missed(&format!("{n:064}"), Vec::new())).collect();
        assert_eq!(
            cut(many).iter().map(|f| f["conversations"].as_array().unwrap().len()).sum::<usize>(),
            600
        );
    }

    #[test]
    fn what_a_part_takes_is_never_underrated() {
        let bare = cut(vec![missed(&"p".repeat(64), Vec::new())])[0]["conversations"][0].to_string().len();
        assert!(bare < CONVERSATION_BYTES, "{bare}");
        let me = OpenId::parse(&"m".repeat(64)).unwrap();
        let mut m = message(i64::MAX, 100);
        for (recalled, target) in [(false, None), (true, None), (false, Some(m.seq))] {
            (m.recalled, m.target) = (recalled, target);
            let conversation = Conversation::direct(m.sender.clone(), me.clone());
            assert!(outbound::stored(&m, &conversation).len() < message_bytes(&m));
        }
    }
}
