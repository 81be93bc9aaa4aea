//! One frame from a client: parsed once into what it asks for, or refused with an error.

use smallvec::SmallVec;

use super::json::{self, TopLevel};
use super::presence;
use super::sync::{self, SyncRequest};
use super::{CallerError, ErrorCode, FrameLimits, errors};
use crate::event::cursor::SyncCursor;
use crate::event::{ReceiptKind, body};
use crate::ids::{Address, ClientMsgId, Kind, Malformed, OpenId, RequestId, Seq};

/// Which protocol a session speaks: the seed's, or `hongyan.v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Dialect {
    Plain,
    V1,
}

/// A frame, and the `id` that its direct answer carries.
#[derive(Debug)]
pub struct Parsed {
    pub id: Option<RequestId>,
    pub frame: ClientFrame,
}

#[derive(Debug)]
pub enum ClientFrame {
    Heart,
    /// Boxed: it is far larger than its siblings.
    Message(Box<ClientMessage>),
    /// Takes a message of one's own back.
    Recall {
        to: Address,
        target: Seq,
    },
    Receipt {
        kind: ReceiptKind,
        to: Address,
        seq: Seq,
    },
    Typing(Address),
    /// What was missed?
    Sync(Box<SyncRequest>),
    /// Which chat is on screen.
    Open(Option<Address>),
    /// Whether the user looks at the app.
    Attention(Attention),
    /// Whose presence is watched from now on.
    Presence(Vec<OpenId>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    Foreground,
    Background,
}

/// A message as its sender gave it; `body` as in [`crate::event::Draft`].
#[derive(Debug, PartialEq, Eq)]
pub struct ClientMessage {
    /// `None`: the open chat.
    pub to: Option<Address>,
    pub kind: Kind,
    pub client_msg_id: Option<ClientMsgId>,
    pub body: Box<str>,
    /// The message that it quotes; a plain client quotes none.
    pub quote: Option<Seq>,
}

/// A frame that is refused; it names what it was, as far as that could be read.
#[derive(Debug)]
pub struct Rejected {
    pub error: CallerError,
    pub id: Option<RequestId>,
    pub client_msg_id: Option<ClientMsgId>,
}

/// Message types of v1 clients.
const V1_KINDS: [&str; 8] = ["text", "image", "voice", "video", "file", "location", "card", "custom"];

/// Types that are no message's: those of control frames, either way, and of events that only the server
/// writes.
pub const RESERVED_TYPES: [&str; 23] = [
    "heart",
    "recall",
    "read",
    "recv",
    "typing",
    "open",
    "background",
    "foreground",
    "sync",
    "init",
    "ack",
    "error",
    "cleared",
    "settings",
    "status",
    "group",
    "edit",
    "reaction",
    "readers",
    "presence",
    "stream",
    "deleted",
    "erased",
];

/// Fields that the server owns: dropped silently from what a sender gives.
pub const SERVER_FIELDS: [&str; 23] = [
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
];

/// Fields that a message carries outside its body.
const ENVELOPE: [&str; 3] = ["type", "from_user_openid", "to_user_openid"];

/// Parses one frame that `openid` sent over a session of this dialect.
///
/// # Errors
/// [`Rejected`] with `bad_frame`, `too_large` or `sender_mismatch`.
pub fn parse(
    text: &str,
    dialect: Dialect,
    openid: &OpenId,
    limits: &FrameLimits,
) -> Result<Parsed, Rejected> {
    json::check(text).map_err(|e| unreadable(text, e.to_string()))?;
    let top: TopLevel<'_> =
        serde_json::from_str(text).map_err(|e| unreadable(text, format!("not a frame: {}", category(&e))))?;
    let fields = Fields(&top);
    let id = fields.id(dialect).map_err(|e| unreadable(text, e.to_string()))?;
    let client_msg_id = fields.client_msg_id();
    let known = client_msg_id.as_ref().ok().cloned().flatten();
    client_msg_id
        .map_err(Fault::from)
        .and_then(|client_msg_id| frame(&fields, dialect, openid, limits, client_msg_id))
        .map(|frame| Parsed { id: id.clone(), frame })
        .map_err(|Fault(error)| Rejected { error, id, client_msg_id: known })
}

/// The refusal of a frame that cannot be read as one, with what tells its sender which one it was, where that
/// can be read.
fn unreadable(text: &str, why: String) -> Rejected {
    #[derive(serde::Deserialize, Default)]
    struct Names<'a> {
        #[serde(borrow, default)]
        id: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        client_msg_id: Option<&'a serde_json::value::RawValue>,
    }
    let named: Names<'_> = serde_json::from_str(text).unwrap_or_default();
    let fit = |raw: &serde_json::value::RawValue| {
        json::check(raw.get()).is_ok().then(|| body::string(raw).map(|text| text.into_owned())).flatten()
    };
    let id = named.id.and_then(|raw| RequestId::parse(raw.get(), &fit(raw)?).ok());
    let client_msg_id = named.client_msg_id.and_then(|raw| ClientMsgId::parse(&fit(raw)?).ok());
    Rejected { error: CallerError::worded(ErrorCode::BadFrame, why), id, client_msg_id }
}

/// Why one frame is refused, before it is known what it was.
struct Fault(CallerError);

impl From<CallerError> for Fault {
    fn from(error: CallerError) -> Self {
        Self(error)
    }
}

impl From<Malformed> for Fault {
    fn from(e: Malformed) -> Self {
        Self(CallerError::worded(ErrorCode::BadFrame, e.to_string()))
    }
}

fn frame(
    fields: &Fields<'_>,
    dialect: Dialect,
    openid: &OpenId,
    limits: &FrameLimits,
    client_msg_id: Option<ClientMsgId>,
) -> Result<ClientFrame, Fault> {
    let kind = match (fields.text("type")?, dialect) {
        (Some(kind), _) => Kind::parse(&kind)?,
        (None, Dialect::Plain) => Kind::parse("text")?,
        (None, Dialect::V1) => return Err(errors::TYPE_MISSING.into()),
    };
    match (dialect, kind.as_str()) {
        (_, "heart") => Ok(ClientFrame::Heart),
        (Dialect::Plain, name) if RESERVED_TYPES.contains(&name) => Err(errors::TYPE_RESERVED.into()),
        (Dialect::Plain, _) => message(fields, dialect, openid, limits, kind, client_msg_id),
        (Dialect::V1, name) if V1_KINDS.contains(&name) => {
            message(fields, dialect, openid, limits, kind, client_msg_id)
        }
        (Dialect::V1, "recall") => {
            Ok(ClientFrame::Recall { to: fields.required_to()?, target: fields.seq("target_seq")? })
        }
        (Dialect::V1, "read") => fields.receipt(ReceiptKind::Read),
        (Dialect::V1, "recv") => fields.receipt(ReceiptKind::Recv),
        (Dialect::V1, "typing") => Ok(ClientFrame::Typing(fields.required_to()?)),
        (Dialect::V1, "sync") => Ok(ClientFrame::Sync(Box::new(fields.sync()?))),
        (Dialect::V1, "open") => Ok(ClientFrame::Open(fields.to_or_null()?)),
        (Dialect::V1, "presence") => Ok(ClientFrame::Presence(fields.peers()?)),
        (Dialect::V1, "background") => Ok(ClientFrame::Attention(Attention::Background)),
        (Dialect::V1, "foreground") => Ok(ClientFrame::Attention(Attention::Foreground)),
        (Dialect::V1, _) => Err(errors::TYPE_UNKNOWN.into()),
    }
}

fn message(
    fields: &Fields<'_>,
    dialect: Dialect,
    openid: &OpenId,
    limits: &FrameLimits,
    kind: Kind,
    client_msg_id: Option<ClientMsgId>,
) -> Result<ClientFrame, Fault> {
    if let Some(from) = fields.text("from_user_openid")?
        && from != openid.as_str()
    {
        return Err(errors::SENDER_IS_ANOTHER.into());
    }
    if dialect == Dialect::V1 && client_msg_id.is_none() {
        return Err(errors::CLIENT_MSG_ID_MISSING.into());
    }
    match fields.text("message")? {
        Some(text) if text.len() > limits.message_bytes => {
            return Err(errors::message_too_long(limits.message_bytes).into());
        }
        None if dialect == Dialect::V1 => return Err(errors::MESSAGE_MISSING.into()),
        _ => {}
    }
    let body = fields.body();
    if body.len() > limits.fields_bytes {
        return Err(errors::fields_too_long(limits.fields_bytes).into());
    }
    let quote = if dialect == Dialect::V1 { fields.quote()? } else { None };
    Ok(ClientFrame::Message(Box::new(ClientMessage { to: fields.to()?, kind, client_msg_id, body, quote })))
}

struct Fields<'a>(&'a TopLevel<'a>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a serde_json::value::RawValue> {
        self.0.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    fn text(&self, name: &'static str) -> Result<Option<std::borrow::Cow<'a, str>>, Malformed> {
        match self.get(name) {
            None => Ok(None),
            Some(raw) => body::string(raw).map(Some).ok_or(Malformed(name, "a string")),
        }
    }

    /// A plain client never asked for an echo: an `id` of its own that does not fit is dropped like any.
    fn id(&self, dialect: Dialect) -> Result<Option<RequestId>, Malformed> {
        let id = || match (self.get("id"), self.text("id")?) {
            (Some(raw), Some(text)) => RequestId::parse(raw.get(), &text).map(Some),
            _ => Ok(None),
        };
        if dialect == Dialect::Plain { Ok(id().unwrap_or(None)) } else { id() }
    }

    fn client_msg_id(&self) -> Result<Option<ClientMsgId>, Malformed> {
        self.text("client_msg_id")?.map(|text| ClientMsgId::parse(&text)).transpose()
    }

    fn to(&self) -> Result<Option<Address>, Malformed> {
        self.text("to_user_openid")?.map(|text| Address::parse_served(&text)).transpose()
    }

    fn required_to(&self) -> Result<Address, Malformed> {
        self.to()?.ok_or(Malformed("to_user_openid", "given"))
    }

    fn to_or_null(&self) -> Result<Option<Address>, Malformed> {
        match self.get("to_user_openid") {
            Some(raw) if raw.get() == "null" => Ok(None),
            Some(_) => self.to(),
            None => Err(Malformed("to_user_openid", "an openid or null")),
        }
    }

    fn seq(&self, name: &'static str) -> Result<Seq, Malformed> {
        let raw = self.get(name).ok_or(Malformed(name, A_SEQ))?;
        seq(raw).ok_or(Malformed(name, A_SEQ))
    }

    fn quote(&self) -> Result<Option<Seq>, Malformed> {
        #[derive(serde::Deserialize)]
        struct Quote {
            seq: i64,
        }
        let Some(raw) = self.get("quote") else { return Ok(None) };
        let quote =
            serde_json::from_str::<Quote>(raw.get()).ok().and_then(|quote| Seq::parse(quote.seq).ok());
        quote
            .filter(|seq| *seq > Seq::ZERO)
            .map(Some)
            .ok_or(Malformed("quote", "an object with a seq from 1 on"))
    }

    fn receipt(&self, kind: ReceiptKind) -> Result<ClientFrame, Fault> {
        Ok(ClientFrame::Receipt { kind, to: self.required_to()?, seq: self.seq("seq")? })
    }

    fn sync(&self) -> Result<SyncRequest, Fault> {
        let since = match self.get("since") {
            Some(raw) if raw.get() == "null" => None,
            _ => self.text("since")?.map(|text| SyncCursor::parse(&text)).transpose()?.flatten(),
        };
        let named =
            self.get("conversations").map(|raw| sync::named(raw.get())).transpose()?.unwrap_or_default();
        let limit =
            self.get("limit").map(|raw| sync::limit(raw.get())).transpose()?.unwrap_or(sync::LIMIT_DEFAULT);
        Ok(SyncRequest { since, named, limit })
    }

    fn peers(&self) -> Result<Vec<OpenId>, Malformed> {
        presence::peers(self.get("peers").map_or("null", |raw| raw.get()))
    }

    /// The sender's own fields as a JSON object, values byte for byte as given.
    fn body(&self) -> Box<str> {
        let is_own = |key: &str| !SERVER_FIELDS.contains(&key) && !ENVELOPE.contains(&key);
        let own: SmallVec<[_; 8]> = self.0.0.iter().filter(|(key, _)| is_own(key)).collect();
        // Exact, but for names with escapes: what is kept of a message takes no more than it needs.
        let bytes = own.iter().map(|(key, value)| key.len() + value.get().len() + 4).sum::<usize>() + 1;
        let mut body = String::with_capacity(bytes.max(2));
        for (key, value) in own {
            body.push(if body.is_empty() { '{' } else { ',' });
            json::push_string(&mut body, key);
            body.push(':');
            body.push_str(value.get());
        }
        if body.is_empty() {
            body.push('{');
        }
        body.push('}');
        body.into()
    }
}

const A_SEQ: &str = "an integer from 0 on";

fn seq(raw: &serde_json::value::RawValue) -> Option<Seq> {
    raw.get().parse().ok().and_then(|number| Seq::parse(number).ok())
}

/// What kind of error it was, with the place but without the text, which may be a message.
fn category(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "not JSON",
        _ => "not a JSON object of at most 128 fields, each once",
    };
    format!("{kind} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits {
        frame_bytes: 65_536,
        message_bytes: 8_192,
        fields_bytes: 16_384,
        messages_per_second: 20,
        message_burst: 40,
    };

    fn read(text: &str, dialect: Dialect) -> Result<ClientFrame, (ErrorCode, String)> {
        parse(text, dialect, &OpenId::parse("alice").unwrap(), &LIMITS)
            .map(|p| p.frame)
            .map_err(|r| (r.error.code, r.error.text.into_owned()))
    }

    fn message(text: &str, dialect: Dialect) -> ClientMessage {
        match read(text, dialect) {
            Ok(ClientFrame::Message(m)) => *m,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_seeds_message_keeps_every_field_of_the_sender() {
        let m = message(
            r#"{"type":"text","message":"hi","from_user_openid":"alice","to_user_openid":"bob","date":"2020-1-1","created_at":1577808000000,"avatar":{"u":1}}"#,
            Dialect::Plain,
        );
        assert_eq!(m.to.unwrap().as_str(), "bob");
        assert_eq!(
            &*m.body,
            r#"{"message":"hi","date":"2020-1-1","created_at":1577808000000,"avatar":{"u":1}}"#
        );
    }

    #[test]
    fn a_plain_message_may_lack_a_type_and_have_any_other() {
        assert_eq!(message(r#"{"message":"x"}"#, Dialect::Plain).kind.as_str(), "text");
        assert_eq!(message(r#"{"type":"dice","n":6}"#, Dialect::Plain).kind.as_str(), "dice");
        assert!(read(r#"{"type":"recall"}"#, Dialect::Plain).is_err());
        assert!(read(r#"{"type":"dice","message":"x","client_msg_id":"1"}"#, Dialect::V1).is_err());
    }

    #[test]
    fn a_frame_that_cannot_be_read_is_named_all_the_same() {
        let many: String = (0..129).map(|n| format!(",\"f{n}\":1")).collect();
        let deep = "[".repeat(40) + &"]".repeat(40);
        for broken in
            [r#","a":1,"a":2"#, &many, &format!(",\"a\":{deep}"), r#","a":"\u0000""#, r#","a":"\ud800""#]
        {
            let text = format!(r#"{{"id":"I","client_msg_id":"c"{broken}}}"#);
            let rejected = parse(&text, Dialect::V1, &OpenId::parse("alice").unwrap(), &LIMITS).unwrap_err();
            assert_eq!(rejected.id.map(|id| id.as_json().to_owned()).as_deref(), Some("\"I\""), "{text}");
            assert_eq!(
                rejected.client_msg_id.map(|id| id.as_str().to_owned()).as_deref(),
                Some("c"),
                "{text}"
            );
        }
    }

    #[test]
    fn names_that_the_server_owns_are_dropped() {
        for dialect in [Dialect::Plain, Dialect::V1] {
            let mut frame = r#"{"type":"text","client_msg_id":"c","message":"x","url":"u""#.to_owned();
            for field in SERVER_FIELDS.iter().filter(|field| **field != "id") {
                // A v1 client quotes with one of them.
                let value = if *field == "quote" { r#"{"seq":1}"# } else { r#"["x",1]"# };
                frame += &format!(r#","{field}":{value}"#);
            }
            frame += r#","id":"1","event":"e","name":"n","of_seqs":1}"#;
            let kept = r#"{"client_msg_id":"c","message":"x","url":"u","event":"e","name":"n","of_seqs":1}"#;
            assert_eq!(&*message(&frame, dialect).body, kept, "{dialect:?}");
        }
    }

    #[test]
    fn a_v1_message_may_quote_and_a_plain_one_does_not() {
        let quoting =
            |quote: &str| format!(r#"{{"type":"text","client_msg_id":"c","message":"x","quote":{quote}}}"#);
        let quote = |text: &str| message(&quoting(text), Dialect::V1).quote.map(Seq::get);
        assert_eq!(quote(r#"{"seq":41}"#), Some(41));
        // What the server says of it itself is not taken.
        assert_eq!(quote(r#"{"seq":1,"from_user_openid":"bob","message":"of my own making"}"#), Some(1));
        let kept = r#"{"client_msg_id":"c","message":"x"}"#;
        assert_eq!(&*message(&quoting(r#"{"seq":41}"#), Dialect::V1).body, kept);
        for wrong in
            ["41", "null", "[]", "{}", r#"{"seq":0}"#, r#"{"seq":-1}"#, r#"{"seq":1.5}"#, r#"{"seq":"1"}"#]
        {
            assert_eq!(read(&quoting(wrong), Dialect::V1).unwrap_err().0, ErrorCode::BadFrame, "{wrong}");
            assert_eq!(message(&quoting(wrong), Dialect::Plain).quote, None);
        }
        assert_eq!(message(&quoting(r#"{"seq":41}"#), Dialect::Plain).quote, None);
    }

    #[test]
    fn reserved_types_are_no_messages() {
        for name in RESERVED_TYPES.iter().filter(|name| **name != "heart") {
            let frame = format!(r#"{{"type":"{name}","client_msg_id":"c","message":"x","of_seq":1}}"#);
            assert_eq!(read(&frame, Dialect::Plain).unwrap_err().0, ErrorCode::BadFrame, "{name}");
            let v1 = read(&frame, Dialect::V1);
            assert!(!matches!(v1, Ok(ClientFrame::Message(_))), "{name}: {v1:?}");
        }
        // Not a letter more is taken from plain clients.
        for name in ["Group", "groups", "edits", "edited", "reactions", "quote", "dice"] {
            assert_eq!(message(&format!(r#"{{"type":"{name}"}}"#), Dialect::Plain).kind.as_str(), name);
        }
    }

    #[test]
    fn the_sender_is_who_logged_in() {
        let got = read(r#"{"type":"text","message":"x","from_user_openid":"bob"}"#, Dialect::Plain);
        assert_eq!(got.unwrap_err().0, ErrorCode::SenderMismatch);
    }

    #[test]
    fn v1_messages_need_an_id_of_their_own_and_a_text() {
        assert_eq!(read(r#"{"type":"text","message":"x"}"#, Dialect::V1).unwrap_err().0, ErrorCode::BadFrame);
        assert_eq!(
            read(r#"{"type":"text","client_msg_id":"1"}"#, Dialect::V1).unwrap_err().0,
            ErrorCode::BadFrame
        );
        assert!(read(r#"{"type":"text","message":"x","client_msg_id":"1"}"#, Dialect::V1).is_ok());
    }

    #[test]
    fn sizes_are_of_the_decoded_text_and_of_all_fields() {
        let text = |n: usize| format!(r#"{{"message":"{}"}}"#, "x".repeat(n));
        assert!(read(&text(8_192), Dialect::Plain).is_ok());
        assert_eq!(read(&text(8_193), Dialect::Plain).unwrap_err().0, ErrorCode::TooLarge);
        let fields = format!(r#"{{"extra":"{}"}}"#, "x".repeat(16_384));
        assert_eq!(read(&fields, Dialect::Plain).unwrap_err().0, ErrorCode::TooLarge);
    }

    #[test]
    fn hostile_frames_are_bad_frames() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for bad in [
            "",
            "{",
            "[]",
            "1",
            "\"text\"",
            "null",
            r#"{"type":1}"#,
            r#"{"type":null}"#,
            r#"{"message":{}}"#,
            r#"{"type":"a","type":"b"}"#,
            r#"{"message":"\ud800"}"#,
            r#"{"message":"\u0000"}"#,
            r#"{"to_user_openid":5}"#,
            r#"{"to_user_openid":"a b"}"#,
            r#"{"to_user_openid":"g:team"}"#,
            r#"{"client_msg_id":7}"#,
            r#"{"type":"a b"}"#,
            &deep,
        ] {
            for dialect in [Dialect::Plain, Dialect::V1] {
                assert_eq!(read(bad, dialect).unwrap_err().0, ErrorCode::BadFrame, "{:.60}", bad);
            }
        }
    }

    #[test]
    fn a_refusal_names_what_it_refused() {
        let got = parse(
            r#"{"type":"nope","id":"r\n1","client_msg_id":"c1"}"#,
            Dialect::V1,
            &OpenId::parse("a").unwrap(),
            &LIMITS,
        );
        let rejected = got.unwrap_err();
        assert_eq!(rejected.id.unwrap().as_json(), r#""r\n1""#);
        assert_eq!(rejected.client_msg_id.unwrap().as_str(), "c1");
    }
}
