//! Format of hints on NATS: one line of JSON, and behind it the frame, if there is one. Nodes of neighbouring
//! versions understand each other: what a node does not know, a kind or a field, it leaves. A conversation
//! stands there as the user hears of it to whom the hint goes: `peer`.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::chat::messages::{ClusterEvent, ClusterEventKind, Replacements};
use crate::event::{Conversation, Receipt, ReceiptKind};
use crate::ids::{Address, Device, OpenId, Seq, SessionId};
use crate::protocol::Dialect;
use crate::protocol::client_frame::Attention;

/// The sessions that one answer names at most; no user has more on one node, unless the limit is off.
const SESSIONS: usize = 256;
/// Maximum length of a node's name.
const NODE_BYTES: usize = 64;

#[derive(Serialize, Deserialize)]
struct Head {
    to: String,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum Kind {
    Message {
        peer: String,
        seq: i64,
        #[serde(rename = "in")]
        incoming: bool,
        /// The message that it recalls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<i64>,
    },
    Frame,
    Receipt {
        who: String,
        peer: String,
        seq: i64,
        read: bool,
    },
    Cleared {
        peer: String,
        seq: i64,
    },
    Joined {
        session: String,
        v1: bool,
        device: Option<String>,
    },
    Present {
        joined: String,
        sessions: Vec<String>,
        age_ms: u64,
        count: u32,
    },
    Yield {
        sessions: Vec<String>,
    },
    TooOften {
        joined: String,
        retry_ms: u64,
    },
    Attention {
        ask: u64,
        within_ms: u64,
    },
    Attends {
        ask: u64,
    },
    PresenceWanted,
    Presence {
        at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<State>,
    },
    PresenceWithdrawn {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Foreground,
    Background,
}

/// Why a payload is no hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hint that this version knows")]
pub struct Unknown;

pub fn encode(hint: &ClusterEvent) -> Bytes {
    let peer = |conversation: &Conversation| conversation.address_str(&hint.to).to_owned();
    let texts = |sessions: &[SessionId]| sessions.iter().take(SESSIONS).map(SessionId::to_string).collect();
    let (kind, frame) = match &hint.kind {
        ClusterEventKind::Message { conversation, seq, incoming, target, frame } => {
            let (peer, target) = (peer(conversation), target.map(Seq::get));
            (Kind::Message { peer, seq: seq.get(), incoming: *incoming, target }, Some(frame))
        }
        ClusterEventKind::Frame(frame) => (Kind::Frame, Some(frame)),
        ClusterEventKind::Receipt(Receipt { kind, openid, conversation, seq, .. }) => {
            let (who, peer) = (openid.as_str().to_owned(), peer(conversation));
            (Kind::Receipt { who, peer, seq: seq.get(), read: *kind == ReceiptKind::Read }, None)
        }
        ClusterEventKind::Cleared { conversation, seq } => {
            (Kind::Cleared { peer: peer(conversation), seq: seq.get() }, None)
        }
        ClusterEventKind::Joined { session, dialect, device } => {
            let device = device.as_ref().map(|d| d.as_str().to_owned());
            (Kind::Joined { session: session.to_string(), v1: *dialect == Dialect::V1, device }, None)
        }
        ClusterEventKind::Present { joined, sessions, replacements: Replacements { age_ms, count } } => (
            Kind::Present {
                joined: joined.to_string(),
                sessions: texts(sessions),
                age_ms: *age_ms,
                count: *count,
            },
            None,
        ),
        ClusterEventKind::Yield { sessions } => (Kind::Yield { sessions: texts(sessions) }, None),
        ClusterEventKind::TooOften { joined, retry_ms } => {
            (Kind::TooOften { joined: joined.to_string(), retry_ms: *retry_ms }, None)
        }
        ClusterEventKind::Attention { ask, within_ms } => {
            (Kind::Attention { ask: *ask, within_ms: *within_ms }, None)
        }
        ClusterEventKind::Attends { ask } => (Kind::Attends { ask: *ask }, None),
        ClusterEventKind::PresenceWanted => (Kind::PresenceWanted, None),
        ClusterEventKind::Presence { node, attention } => {
            let state = attention.map(|attention| match attention {
                Attention::Foreground => State::Foreground,
                Attention::Background => State::Background,
            });
            (Kind::Presence { at: node.to_string(), state }, None)
        }
        ClusterEventKind::PresenceWithdrawn { from } => {
            (Kind::PresenceWithdrawn { from: from.as_ref().map(|from| from.as_str().to_owned()) }, None)
        }
    };
    let mut out = Vec::with_capacity(160 + frame.map_or(0, |f| f.len()));
    // Into a Vec, and of keys that are texts: it cannot fail.
    let _ = serde_json::to_writer(&mut out, &Head { to: hint.to.as_str().to_owned(), kind });
    if let Some(frame) = frame {
        out.push(b'\n');
        out.extend_from_slice(frame.as_bytes());
    }
    out.into()
}

/// # Errors
/// [`Unknown`].
pub fn decode(payload: &Bytes) -> Result<ClusterEvent, Unknown> {
    let end = payload.iter().position(|b| *b == b'\n').unwrap_or(payload.len());
    let head: Head = serde_json::from_slice(&payload[..end]).map_err(|_| Unknown)?;
    let frame = || ByteString::try_from(payload.slice((end + 1).min(payload.len())..)).map_err(|_| Unknown);
    let to = openid(&head.to)?;
    let conversation = |peer: &str| {
        Address::parse_served(peer).map(|address| Conversation::of(&to, address)).map_err(|_| Unknown)
    };
    let session = |text: &str| SessionId::parse(text).map_err(|_| Unknown);
    let sessions = |texts: &[String]| {
        texts.iter().take(SESSIONS).map(|text| session(text)).collect::<Result<Vec<_>, _>>()
    };
    let kind = match head.kind {
        Kind::Message { peer, seq, incoming, target } => {
            let target = target.map(parse_seq).transpose()?;
            ClusterEventKind::Message {
                conversation: conversation(&peer)?,
                seq: parse_seq(seq)?,
                incoming,
                target,
                frame: frame()?,
            }
        }
        Kind::Frame => ClusterEventKind::Frame(frame()?),
        Kind::Receipt { who, peer, seq, read } => ClusterEventKind::Receipt(Receipt {
            kind: if read { ReceiptKind::Read } else { ReceiptKind::Recv },
            openid: openid(&who)?,
            conversation: conversation(&peer)?,
            seq: parse_seq(seq)?,
            session: None,
        }),
        Kind::Cleared { peer, seq } => {
            ClusterEventKind::Cleared { conversation: conversation(&peer)?, seq: parse_seq(seq)? }
        }
        Kind::Joined { session: id, v1, device } => ClusterEventKind::Joined {
            session: session(&id)?,
            dialect: if v1 { Dialect::V1 } else { Dialect::Plain },
            device: device.map(|d| Device::parse(&d)).transpose().map_err(|_| Unknown)?,
        },
        Kind::Present { joined, sessions: ids, age_ms, count } => ClusterEventKind::Present {
            joined: session(&joined)?,
            sessions: sessions(&ids)?,
            replacements: Replacements { age_ms, count },
        },
        Kind::Yield { sessions: ids } => ClusterEventKind::Yield { sessions: sessions(&ids)? },
        Kind::TooOften { joined, retry_ms } => {
            ClusterEventKind::TooOften { joined: session(&joined)?, retry_ms }
        }
        Kind::Attention { ask, within_ms } => ClusterEventKind::Attention { ask, within_ms },
        Kind::Attends { ask } => ClusterEventKind::Attends { ask },
        Kind::PresenceWanted => ClusterEventKind::PresenceWanted,
        Kind::Presence { at, .. } if !(1..=NODE_BYTES).contains(&at.len()) => return Err(Unknown),
        Kind::Presence { at, state } => ClusterEventKind::Presence {
            node: at.into(),
            attention: state.map(|state| match state {
                State::Foreground => Attention::Foreground,
                State::Background => Attention::Background,
            }),
        },
        Kind::PresenceWithdrawn { from } => {
            ClusterEventKind::PresenceWithdrawn { from: from.map(|from| openid(&from)).transpose()? }
        }
    };
    Ok(ClusterEvent { to, kind })
}

fn parse_seq(seq: i64) -> Result<Seq, Unknown> {
    Seq::parse(seq).map_err(|_| Unknown)
}

fn openid(text: &str) -> Result<OpenId, Unknown> {
    OpenId::parse(text).map_err(|_| Unknown)
}

/// What nodes tell each other about themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMessage {
    /// Who says it.
    pub node: String,
    /// Over how many buckets it spreads users.
    pub buckets: u32,
    #[serde(flatten)]
    pub kind: NodeMessageKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub enum NodeMessageKind {
    /// It lives.
    Alive,
    /// It leaves; all that it had to say is said.
    Bye,
    /// Hints of the last so many milliseconds were not passed on.
    Lost { ago_ms: u64 },
    /// Something was added to the log of revocations.
    Revoked,
}

impl NodeMessage {
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// # Errors
    /// [`Unknown`].
    pub fn decode(payload: &[u8]) -> Result<Self, Unknown> {
        serde_json::from_slice(payload)
            .ok()
            .filter(|word: &Self| (1..=NODE_BYTES).contains(&word.node.len()))
            .ok_or(Unknown)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn id(text: &str) -> OpenId {
        OpenId::parse(text).unwrap()
    }

    #[test]
    fn every_hint_comes_back_as_it_went() {
        let (one, two) = (SessionId::fresh(), SessionId::fresh());
        let frame = ByteString::from("{\"message\":\"línea\\n\"}");
        let conversation = Conversation::direct(id("alice"), id("bob"));
        for kind in [
            ClusterEventKind::Message {
                conversation: conversation.clone(),
                seq: Seq::parse(7).unwrap(),
                incoming: true,
                target: None,
                frame: frame.clone(),
            },
            ClusterEventKind::Message {
                conversation: conversation.clone(),
                seq: Seq::parse(8).unwrap(),
                incoming: false,
                target: Seq::parse(7).ok(),
                frame: frame.clone(),
            },
            ClusterEventKind::Frame(frame),
            ClusterEventKind::Receipt(Receipt {
                kind: ReceiptKind::Recv,
                openid: id("alice"),
                conversation: conversation.clone(),
                seq: Seq::parse(3).unwrap(),
                session: None,
            }),
            ClusterEventKind::Cleared { conversation, seq: Seq::parse(4).unwrap() },
            ClusterEventKind::Joined { session: one, dialect: Dialect::V1, device: Device::parse("d").ok() },
            ClusterEventKind::Joined { session: one, dialect: Dialect::Plain, device: None },
            ClusterEventKind::Present {
                joined: one,
                sessions: vec![one, two],
                replacements: Replacements { age_ms: 5, count: 3 },
            },
            ClusterEventKind::Yield { sessions: vec![two] },
            ClusterEventKind::TooOften { joined: two, retry_ms: 9 },
            ClusterEventKind::Attention { ask: u64::MAX, within_ms: 60_000 },
            ClusterEventKind::Attends { ask: u64::MAX },
            ClusterEventKind::PresenceWanted,
            ClusterEventKind::Presence { node: "n1-5".into(), attention: Some(Attention::Foreground) },
            ClusterEventKind::Presence { node: "n1-5".into(), attention: Some(Attention::Background) },
            ClusterEventKind::Presence { node: "n1-5".into(), attention: None },
            ClusterEventKind::PresenceWithdrawn { from: Some(id("bob")) },
            ClusterEventKind::PresenceWithdrawn { from: None },
        ] {
            let hint = ClusterEvent { to: id("alice"), kind };
            assert_eq!(decode(&encode(&hint)).unwrap(), hint);
        }
    }

    /// Nodes of other versions read and write these bytes.
    #[test]
    fn hints_name_a_conversation_as_their_user_does() {
        let conversation = Conversation::direct(id("alice"), id("bob"));
        let seq = Seq::parse(7).unwrap();
        let encoded = |to: &str, kind| {
            String::from_utf8(encode(&ClusterEvent { to: id(to), kind }).to_vec())
                .unwrap()
                .replace('\n', " + ")
        };
        let message = |incoming, target| ClusterEventKind::Message {
            conversation: conversation.clone(),
            seq,
            incoming,
            target,
            frame: "{}".into(),
        };
        assert_snapshot!(
            encoded("alice", message(false, None)),
            @r#"{"to":"alice","k":"message","peer":"bob","seq":7,"in":false} + {}"#
        );
        assert_snapshot!(
            encoded("bob", message(true, Some(seq))),
            @r#"{"to":"bob","k":"message","peer":"alice","seq":7,"in":true,"target":7} + {}"#
        );
        let receipt = Receipt {
            kind: ReceiptKind::Read,
            openid: id("bob"),
            conversation: conversation.clone(),
            seq,
            session: None,
        };
        assert_snapshot!(
            encoded("bob", ClusterEventKind::Receipt(receipt.clone())),
            @r#"{"to":"bob","k":"receipt","who":"bob","peer":"alice","seq":7,"read":true}"#
        );
        assert_snapshot!(
            encoded("alice", ClusterEventKind::Receipt(receipt)),
            @r#"{"to":"alice","k":"receipt","who":"bob","peer":"bob","seq":7,"read":true}"#
        );
        assert_snapshot!(
            encoded("alice", ClusterEventKind::Cleared { conversation, seq }),
            @r#"{"to":"alice","k":"cleared","peer":"bob","seq":7}"#
        );
        let presence = |attention| ClusterEventKind::Presence { node: "n1-5".into(), attention };
        assert_snapshot!(
            encoded("bob", presence(Some(Attention::Background))),
            @r#"{"to":"bob","k":"presence","at":"n1-5","state":"background"}"#
        );
        assert_snapshot!(encoded("bob", presence(None)), @r#"{"to":"bob","k":"presence","at":"n1-5"}"#);
        let withdrawn = ClusterEventKind::PresenceWithdrawn { from: Some(id("alice")) };
        assert_snapshot!(
            encoded("bob", withdrawn),
            @r#"{"to":"bob","k":"presence_withdrawn","from":"alice"}"#
        );
    }

    #[test]
    fn what_another_version_says_is_left() {
        let hint = |text: &str| decode(&Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(
            hint("{\"to\":\"a\",\"k\":\"frame\",\"later\":1}\nx"),
            Ok(ClusterEvent { to: id("a"), kind: ClusterEventKind::Frame("x".into()) })
        );
        for text in [
            "",
            "{}",
            "{\"to\":\"a\",\"k\":\"later\"}",
            "{\"to\":\"a b\",\"k\":\"frame\"}\nx",
            "{\"to\":\"a\",\"k\":\"message\",\"peer\":\"b\",\"seq\":-1,\"in\":true}\n{}",
            "{\"to\":\"a\",\"k\":\"presence\",\"at\":\"\"}",
            "{\"to\":\"a\",\"k\":\"presence\",\"at\":\"n\",\"state\":\"later\"}",
            "{\"to\":\"a\",\"k\":\"message\",\"peer\":\"g:team\",\"seq\":1,\"in\":true}\n{}",
        ] {
            assert_eq!(hint(text), Err(Unknown), "{text}");
        }
        assert_eq!(decode(&Bytes::from_static(b"{\"to\":\"a\",\"k\":\"frame\"}\n\xFF")), Err(Unknown));
        assert_eq!(NodeMessage::decode(b"{\"node\":\"n\",\"buckets\":1,\"k\":\"later\"}"), Err(Unknown));
    }
}
