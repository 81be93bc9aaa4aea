//! The text of a message: the one place that decides what of it people may come to read, and so is checked.
//! No client of this project shows more: `message`, but the address of an image or a recording; and a name of
//! its own for each type.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::event::{Draft, body};
use crate::wechat::MediaKind;

/// Types that have a name of their own in every client.
const NAMED_TYPES: [&str; 8] = ["text", "image", "voice", "video", "file", "location", "card", "custom"];

/// Names of fields that every message has.
const NAMED_FIELDS: [&str; 4] = ["message", "client_msg_id", "date", "created_at"];

/// A field of the top level that is shown to nobody, and of a form of its own.
const NOT_SHOWN: &str = "client_msg_id";

/// What is checked of one message: every string in it, at any depth, and what its sender calls things. Their
/// length is bounded by `limits.fields_bytes`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// `message` first where there is one, then every further string as they stand.
    texts: Vec<String>,
    /// Names of fields at any depth, and a type that is none of [`NAMED_TYPES`], each once.
    names: BTreeSet<String>,
    /// A file that WeChat can look at.
    pub media: Option<Media>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    pub url: String,
    pub kind: MediaKind,
}

impl Shown {
    pub fn of(draft: &Draft) -> Self {
        let Found { message, mut texts, mut names } = Found::in_message(&draft.body);
        let kind = match draft.kind.as_str() {
            "image" => Some(MediaKind::Image),
            "voice" => Some(MediaKind::Audio),
            _ => None,
        };
        let media = kind
            .zip(message.as_ref().filter(|message| is_address(message)))
            .map(|(kind, url)| Media { url: url.clone(), kind });
        if let (Some(message), None) = (message, &media) {
            texts.insert(0, message);
        }
        texts.retain(|text| !text.trim().is_empty());
        names.retain(|name| !NAMED_FIELDS.contains(&name.as_str()) && !name.trim().is_empty());
        if !NAMED_TYPES.contains(&draft.kind.as_str()) {
            names.insert(draft.kind.as_str().to_owned());
        }
        Self { texts, names, media }
    }

    /// All in one, a line each, as WeChat is asked for it. Names that look like a program's are left out:
    /// they are the same in every message.
    pub fn whole(&self) -> String {
        let names = self.names.iter().filter(|name| !is_identifier(name));
        self.texts.iter().chain(names).map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// What the word list looks at: the strings as lines of one text, so that a word does not hide in two of
    /// them, with the message before the others and behind them; and each name alone, since names of a letter
    /// would spell things.
    pub fn views(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let joined: Vec<Cow<'_, str>> = match self.texts.as_slice() {
            [] => Vec::new(),
            [text] => vec![Cow::from(text)],
            [first, rest @ ..] => {
                let rest = rest.join("\n");
                vec![Cow::from(format!("{first}\n{rest}")), Cow::from(format!("{rest}\n{first}"))]
            }
        };
        joined.into_iter().chain(self.names.iter().map(Cow::from))
    }
}

/// What stands in a JSON object.
#[derive(Default)]
struct Found {
    /// `message` of the top level.
    message: Option<String>,
    texts: Vec<String>,
    names: BTreeSet<String>,
}

impl Found {
    fn in_message(body: &str) -> Self {
        let mut found = Self::default();
        for (name, value) in body::fields(body).unwrap_or_default() {
            match (name.as_ref(), body::string(value)) {
                ("message", Some(message)) => found.message = Some(message.into_owned()),
                (NOT_SHOWN, Some(_)) => {}
                _ => found.take(value),
            }
            found.names.insert(name.into_owned());
        }
        found
    }

    /// Depth was checked when the frame came in, so that this ends. Numbers are not looked at: none is too
    /// large for it.
    fn take(&mut self, value: &RawValue) {
        match value.get().as_bytes().first() {
            Some(b'"') => self.texts.extend(body::string(value).map(Cow::into_owned)),
            Some(b'{') => {
                for (name, value) in body::fields(value.get()).unwrap_or_default() {
                    self.take(value);
                    self.names.insert(name.into_owned());
                }
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                items.into_iter().for_each(|item| self.take(item));
            }
            _ => {}
        }
    }
}

/// Whether it is a web address and nothing else (RFC 3986 §2), so that a client can show a name instead of
/// it.
fn is_address(text: &str) -> bool {
    let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&c);
    rest.is_some_and(|rest| !rest.is_empty() && text.len() <= 2_048 && rest.bytes().all(fits))
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c))
}

/// Names a text without telling it.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Conversation;
    use crate::ids::{Kind, OpenId, SessionId};

    fn shown(kind: &str, body: &str) -> Shown {
        Shown::of(&Draft {
            session: SessionId::fresh(),
            request_id: None,
            sender: OpenId::parse("a").unwrap(),
            conversation: Conversation::direct(OpenId::parse("a").unwrap(), OpenId::parse("b").unwrap()),
            client_msg_id: None,
            kind: Kind::parse(kind).unwrap(),
            body: body.into(),
            target: None,
            quote: None,
        })
    }

    #[test]
    fn every_string_is_checked_at_any_depth() {
        let body = r#"{"title":"t\u0061","message":"hello","client_msg_id":"x","n":1.5e400,"deep":{"a":"b","a":["c",{"z":"d"}]},"empty":" ","no":null}"#;
        assert_eq!(shown("text", body).texts, ["hello", "ta", "b", "c", "d"]);
        assert_eq!(shown("text", body).whole(), "hello\nta\nb\nc\nd");
        assert!(shown("custom", r#"{"n":6,"yes":true}"#).texts.is_empty());
        let deep = format!(r#"{{"a":{}"x"{}}}"#, "[".repeat(30), "]".repeat(30));
        assert_eq!(shown("text", &deep).texts, ["x"]);
    }

    #[test]
    fn names_of_the_senders_own_are_checked() {
        let names = |kind, body: &str| shown(kind, body).names.into_iter().collect::<Vec<_>>();
        assert_eq!(names("text", r#"{"message":"","date":"","created_at":1,"client_msg_id":""}"#), [""; 0]);
        assert_eq!(names("dice", r#"{"n":{"坏":1}}"#), ["dice", "n", "坏"]);
        // WeChat is asked about those that are words.
        assert_eq!(shown("dice", r#"{"message":"x","avatarUrl":"y","坏 词":1}"#).whole(), "x\ny\n坏 词");
    }

    #[test]
    fn the_list_sees_the_fields_as_lines_of_one_text() {
        let views = |body| shown("text", body).views().map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(views(r#"{"message":"坏"}"#), ["坏"]);
        assert_eq!(views(r#"{"a":"1","message":"m","b":["2"]}"#), ["m\n1\n2", "1\n2\nm", "a", "b"]);
        assert!(views("{}").is_empty());
    }

    #[test]
    fn the_address_of_an_image_is_no_text_and_nothing_else_is_one() {
        let image = shown("image", r#"{"message":"https://example.com/a.png?x=%20","caption":"see"}"#);
        assert_eq!(
            image.media,
            Some(Media { url: "https://example.com/a.png?x=%20".into(), kind: MediaKind::Image })
        );
        assert_eq!(image.texts, ["see"]);
        assert_eq!(shown("voice", r#"{"message":"http://a/b"}"#).media.unwrap().kind, MediaKind::Audio);
        let long = format!("https://a/{}", "b".repeat(2_048));
        for (kind, message) in [
            ("text", "https://example.com/a"),
            ("image", "https://a b"),
            ("image", "https://a/坏词"),
            ("image", "https://a\u{FEFF}b"),
            ("image", "HTTPS://a/b"),
            ("image", "https://"),
            ("image", &long),
            ("image", "words"),
            ("video", "https://a/b"),
        ] {
            let shown = shown(kind, &format!(r#"{{"message":"{message}"}}"#));
            assert_eq!((shown.media, shown.texts.as_slice()), (None, &[message.to_owned()][..]));
        }
    }
}
