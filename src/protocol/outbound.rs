//! Frames from the server, encoded once and shared by every session that gets them.

use std::fmt::Write as _;

use bytestring::ByteString;
use serde_json::value::RawValue;

use super::{CallerError, FrameLimits, ServerFeature, json};
use crate::event::{Conversation, Draft, MemberSettings, Message, Quote, Quoted, Receipt, ReceiptKind};
use crate::ids::{ClientMsgId, DatabaseGeneration, Kind, OpenId, RequestId, Seq, SessionId};

/// The first frame of a session: the seed's three fields, and more that a plain client ignores. `features` is
/// for v1 clients.
pub fn init(
    openid: &OpenId,
    session: SessionId,
    now: i64,
    heartbeat_ms: u64,
    generation: DatabaseGeneration,
    limits: &FrameLimits,
    features: Option<&[ServerFeature]>,
) -> ByteString {
    let limits = serde_json::to_string(limits).unwrap_or_else(|_| "{}".into());
    let mut out = format!(
        r#"{{"type":"init","status":200,"data":"link ok","openid":"{openid}","session":"{session}","server_time":{now},"heartbeat_ms":{heartbeat_ms},"generation":"{generation}","limits":{limits}"#
    );
    if let Some(features) = features {
        let names: Vec<&str> = features.iter().map(<&str>::from).collect();
        let _ = write!(out, r#","features":{}"#, serde_json::json!(names));
    }
    out.push('}');
    out.into()
}

/// A message that was just stored: all that the sender gave, with what the server knows spliced in before it.
pub fn message(draft: &Draft, seq: Seq, sent_at: i64, quote: Option<&Quote>) -> ByteString {
    let mut out = String::with_capacity(draft.body.len() + 192 + quote.map_or(0, Quote::bytes));
    let Draft { kind, sender, conversation, target, .. } = draft;
    write_message(&mut out, kind, sender, conversation, seq, sent_at, *target);
    if let Some(quote) = quote {
        push_quote(&mut out, quote);
    }
    push_fields(&mut out, &draft.body);
    out.into()
}

/// The sender's id of a message, out of its frame.
pub fn client_msg_id(frame: &str) -> Option<ClientMsgId> {
    #[derive(serde::Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        client_msg_id: std::borrow::Cow<'a, str>,
    }
    ClientMsgId::parse(&serde_json::from_str::<Head<'_>>(frame).ok()?.client_msg_id).ok()
}

/// A stored message, as history and pushes give it: recalled ones without content, recall events with their
/// target.
pub fn stored(message: &Message, conversation: &Conversation) -> String {
    let mut out = String::with_capacity(message.body.len() + 192);
    let Message { kind, sender, seq, sent_at, target, .. } = message;
    write_message(&mut out, kind, sender, conversation, *seq, *sent_at, *target);
    if message.recalled {
        out.push_str(r#","recalled":true"#);
        if let Some(id) = &message.client_msg_id {
            out.push_str(r#","client_msg_id":"#);
            json::push_string(&mut out, id.as_str());
        }
        out.push('}');
    } else {
        if let Some(quote) = &message.quote {
            push_quote(&mut out, quote);
        }
        push_fields(&mut out, &message.body);
    }
    out
}

fn push_quote(out: &mut String, Quote { seq, quoted }: &Quote) {
    push_number(out, r#","quote":{"seq":"#, seq.get());
    match quoted {
        Quoted::Shown { sender, kind, text } => {
            let _ = write!(out, r#","from_user_openid":"{sender}","type":"{}""#, kind.as_str());
            if let Some(text) = text {
                out.push_str(r#","message":"#);
                json::push_string(out, text);
            }
        }
        Quoted::Recalled => out.push_str(r#","recalled":true"#),
        Quoted::Gone => out.push_str(r#","gone":true"#),
    }
    out.push('}');
}

/// [`stored`], ready to stand inside an HTTP answer.
pub fn stored_raw(message: &Message, conversation: &Conversation) -> Box<RawValue> {
    // `stored` writes JSON for every message that the parser let in.
    RawValue::from_string(stored(message, conversation)).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Begins the frame of a message. It names whom the message went to as its sender did.
fn write_message(
    out: &mut String,
    kind: &Kind,
    sender: &OpenId,
    conversation: &Conversation,
    seq: Seq,
    sent_at: i64,
    target: Option<Seq>,
) {
    out.push_str(r#"{"type":""#);
    out.push_str(kind.as_str());
    out.push_str(r#"","status":200"#);
    push_parties(out, sender, conversation.address_str(sender));
    push_number(out, r#","seq":"#, seq.get());
    push_number(out, r#","sent_at":"#, sent_at);
    if let Some(target) = target {
        push_number(out, r#","target_seq":"#, target.get());
    }
}

/// Whom a frame is from, and the conversation as they name it.
fn push_parties(out: &mut String, from: &OpenId, to: &str) {
    out.push_str(r#","from_user_openid":""#);
    out.push_str(from.as_str());
    out.push_str(r#"","to_user_openid":""#);
    out.push_str(to);
    out.push('"');
}

/// A field whose value is a number; `name` with all that stands before that. The frames that every message
/// draws are written without `format!`, which takes several times as long.
fn push_number(out: &mut String, name: &str, number: i64) {
    out.push_str(name);
    out.push_str(itoa::Buffer::new().format(number));
}

/// Appends the members of the JSON object `body`, and closes the frame.
fn push_fields(out: &mut String, body: &str) {
    match body.get(1..) {
        Some("}") | None => out.push('}'),
        Some(rest) => {
            out.push(',');
            out.push_str(rest);
        }
    }
}

/// What became of a message: sent only after its transaction is durable.
pub struct Ack<'a> {
    pub client_msg_id: Option<&'a ClientMsgId>,
    /// The conversation as the sender named it.
    pub to: &'a str,
    pub seq: Seq,
    pub sent_at: i64,
    pub duplicate: bool,
}

impl Ack<'_> {
    pub fn encode(&self, id: Option<&RequestId>) -> ByteString {
        let Self { client_msg_id, to, seq, sent_at, duplicate } = self;
        let mut out = String::with_capacity(192);
        out.push_str(r#"{"type":"ack","status":200"#);
        push_ids(&mut out, id, *client_msg_id);
        out.push_str(r#","to_user_openid":""#);
        out.push_str(to);
        push_number(&mut out, r#"","seq":"#, seq.get());
        push_number(&mut out, r#","sent_at":"#, *sent_at);
        out.push_str(if *duplicate { r#","duplicate":true}"# } else { r#","duplicate":false}"# });
        out.into()
    }
}

/// The answer to a heart that carries an `id`.
pub fn heart(id: &RequestId, now: i64) -> ByteString {
    format!(r#"{{"type":"heart","id":{},"status":200,"server_time":{now}}}"#, id.as_json()).into()
}

/// A receipt. Only the answer to the frame that asked for it has an `id`.
pub fn receipt(receipt: &Receipt, id: Option<&RequestId>) -> ByteString {
    let Receipt { kind, openid, conversation, seq, .. } = receipt;
    let to = conversation.address_str(openid);
    let name = match kind {
        ReceiptKind::Recv => "recv",
        ReceiptKind::Read => "read",
    };
    let mut out = String::with_capacity(160);
    out.push_str(r#"{"type":""#);
    out.push_str(name);
    out.push_str(r#"","status":200"#);
    push_ids(&mut out, id, None);
    push_parties(&mut out, openid, to);
    push_number(&mut out, r#","seq":"#, seq.get());
    out.push('}');
    out.into()
}

/// `who` types something in a conversation.
pub fn typing(who: &OpenId, conversation: &Conversation) -> ByteString {
    let to = conversation.address_str(who);
    format!(r#"{{"type":"typing","from_user_openid":"{who}","to_user_openid":"{to}"}}"#).into()
}

/// `user` has cleared their own view of a conversation up to `seq`.
pub fn cleared(user: &OpenId, conversation: &Conversation, seq: Seq) -> ByteString {
    let peer = conversation.address_str(user);
    format!(r#"{{"type":"cleared","peer":"{peer}","seq":{seq}}}"#).into()
}

/// What `user` has set for a conversation.
pub fn settings(user: &OpenId, conversation: &Conversation, settings: MemberSettings) -> ByteString {
    let (peer, MemberSettings { muted, pinned }) = (conversation.address_str(user), settings);
    format!(r#"{{"type":"settings","peer":"{peer}","muted":{muted},"pinned":{pinned}}}"#).into()
}

/// An error, with what it is about.
pub struct Failure<'a> {
    pub error: &'a CallerError,
    pub id: Option<&'a RequestId>,
    pub client_msg_id: Option<&'a ClientMsgId>,
}

impl Failure<'_> {
    pub fn encode(&self) -> ByteString {
        let Self { error: CallerError { code, text, retry_after_ms }, id, client_msg_id } = self;
        let mut out = String::with_capacity(160);
        let _ = write!(
            out,
            r#"{{"type":"error","status":{},"error":"{}","message":"#,
            code.status(),
            code.as_str()
        );
        json::push_string(&mut out, text);
        push_ids(&mut out, *id, *client_msg_id);
        if let Some(ms) = retry_after_ms {
            let _ = write!(out, r#","retry_after_ms":{ms}"#);
        }
        out.push('}');
        out.into()
    }
}

pub(super) fn push_ids(out: &mut String, id: Option<&RequestId>, client_msg_id: Option<&ClientMsgId>) {
    if let Some(id) = id {
        out.push_str(r#","id":"#);
        out.push_str(id.as_json());
    }
    if let Some(id) = client_msg_id {
        out.push_str(r#","client_msg_id":"#);
        json::push_string(out, id.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Address;
    use insta::assert_snapshot;

    fn openid(text: &str) -> OpenId {
        OpenId::parse(text).unwrap()
    }

    fn direct(a: &str, b: &str) -> Conversation {
        Conversation::direct(openid(a), openid(b))
    }

    #[test]
    fn init_tells_v1_clients_of_features_and_is_as_ever_for_plain_ones() {
        let (session, generation) = (SessionId::fresh(), DatabaseGeneration::default());
        let limits = FrameLimits {
            frame_bytes: 1,
            message_bytes: 2,
            fields_bytes: 3,
            messages_per_second: 4,
            message_burst: 5,
        };
        let init =
            |features| init(&openid("a"), session, 7, 30_000, generation, &limits, features).to_string();
        let head = format!(
            r#"{{"type":"init","status":200,"data":"link ok","openid":"a","session":"{session}","server_time":7,"heartbeat_ms":30000,"generation":"{generation}","limits":{{"frame_bytes":1,"message_bytes":2,"fields_bytes":3,"messages_per_second":4,"message_burst":5}}"#
        );
        assert_eq!(init(None), format!("{head}}}"));
        assert_eq!(init(Some(&[])), format!(r#"{head},"features":[]}}"#));
        let some = [ServerFeature::Messages, ServerFeature::Groups];
        assert_eq!(init(Some(&some)), format!(r#"{head},"features":["messages","groups"]}}"#));
    }

    #[test]
    fn a_message_has_the_seeds_status_and_every_field() {
        let draft = |body: &str, target| Draft {
            session: SessionId::fresh(),
            request_id: None,
            sender: openid("a"),
            conversation: direct("a", "b"),
            client_msg_id: None,
            kind: Kind::parse("text").unwrap(),
            body: body.into(),
            target,
            quote: None,
        };
        let seq = Seq::parse(7).unwrap();
        assert_snapshot!(
            message(&draft(r#"{"message":"hi"}"#, None), seq, 5, None),
            @r#"{"type":"text","status":200,"from_user_openid":"a","to_user_openid":"b","seq":7,"sent_at":5,"message":"hi"}"#
        );
        assert_snapshot!(
            message(&draft("{}", Some(seq)), seq, 5, None),
            @r#"{"type":"text","status":200,"from_user_openid":"a","to_user_openid":"b","seq":7,"sent_at":5,"target_seq":7}"#
        );
    }

    #[test]
    fn a_message_names_the_one_it_went_to() {
        let message = Message {
            seq: Seq::ZERO.next(),
            sender: openid("a"),
            kind: Kind::parse("text").unwrap(),
            body: r#"{"message":"hi"}"#.into(),
            sent_at: 1,
            client_msg_id: None,
            recalled: false,
            target: None,
            quote: None,
        };
        assert_snapshot!(
            stored(&message, &direct("a", "b")),
            @r#"{"type":"text","status":200,"from_user_openid":"a","to_user_openid":"b","seq":1,"sent_at":1,"message":"hi"}"#
        );
        assert_snapshot!(
            stored(&message, &Conversation::of(&openid("a"), Address::parse("g:team").unwrap())),
            @r#"{"type":"text","status":200,"from_user_openid":"a","to_user_openid":"g:team","seq":1,"sent_at":1,"message":"hi"}"#
        );
        assert_snapshot!(
            stored(&message, &direct("a", "a")),
            @r#"{"type":"text","status":200,"from_user_openid":"a","to_user_openid":"a","seq":1,"sent_at":1,"message":"hi"}"#
        );
    }

    #[test]
    fn a_recalled_message_shows_nothing_of_its_content() {
        let m = Message {
            seq: Seq::parse(3).unwrap(),
            sender: openid("a"),
            kind: Kind::parse("text").unwrap(),
            body: r#"{"message":"secret"}"#.into(),
            sent_at: 9,
            client_msg_id: Some(ClientMsgId::parse("\"c\\").unwrap()),
            recalled: true,
            target: None,
            quote: Some(Box::new(Quote { seq: Seq::ZERO.next(), quoted: Quoted::Gone })),
        };
        assert_snapshot!(
            stored(&m, &direct("a", "b")),
            @r#"{"type":"text","status":200,"from_user_openid":"a","to_user_openid":"b","seq":3,"sent_at":9,"recalled":true,"client_msg_id":"\"c\\"}"#
        );
    }

    #[test]
    fn a_quote_shows_what_is_left_of_the_quoted_message() {
        let quote = |quoted| {
            let mut out = String::new();
            push_quote(&mut out, &Quote { seq: Seq::ZERO.next(), quoted });
            out
        };
        let shown = |body| Quoted::shown(openid("a"), Kind::parse("text").unwrap(), body);
        assert_snapshot!(
            quote(shown(r#"{"message":"\"x\"\n","date":"d"}"#)),
            @r#","quote":{"seq":1,"from_user_openid":"a","type":"text","message":"\"x\"\u000a"}"#
        );
        assert_snapshot!(quote(shown("{}")), @r#","quote":{"seq":1,"from_user_openid":"a","type":"text"}"#);
        assert_snapshot!(quote(Quoted::Recalled), @r#","quote":{"seq":1,"recalled":true}"#);
        assert_snapshot!(quote(Quoted::Gone), @r#","quote":{"seq":1,"gone":true}"#);
    }

    #[test]
    fn ids_come_back_byte_for_byte() {
        let id = RequestId::parse(r#""\u00e9\n""#, "é\n").unwrap();
        let ack = Ack { client_msg_id: None, to: "b", seq: Seq::ZERO.next(), sent_at: 1, duplicate: false };
        assert_snapshot!(
            ack.encode(Some(&id)),
            @r#"{"type":"ack","status":200,"id":"\u00e9\n","to_user_openid":"b","seq":1,"sent_at":1,"duplicate":false}"#
        );
        let error = CallerError::worded(crate::protocol::ErrorCode::BadFrame, "\"x\"").after(9);
        let failure = Failure { error: &error, id: Some(&id), client_msg_id: None };
        assert_snapshot!(
            failure.encode(),
            @r#"{"type":"error","status":400,"error":"bad_frame","message":"\"x\"","id":"\u00e9\n","retry_after_ms":9}"#
        );
    }
}
