//! What of a message people read, and so is checked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::event::Draft;
use crate::wechat::MediaKind;

/// Fields that are kept for programs and shown to nobody, or of a form of their own.
const NOT_SHOWN: [&str; 1] = ["client_msg_id"];

/// The texts of one message: `message` first, then every further field of the top level that is a string. What stands deeper, in objects
/// and arrays, is for programs: no client shows it. Their length is bounded by `limits.fields_bytes`.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub texts: Vec<String>,
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
        // What the parser of frames has let in is an object of distinct names.
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(&draft.body).unwrap_or_default();
        let string = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
        let message = fields.get("message").and_then(|raw| string(raw)).unwrap_or_default();
        let kind = match draft.kind.as_str() {
            "image" => Some(MediaKind::Image),
            "voice" => Some(MediaKind::Audio),
            _ => None,
        };
        let media = kind.filter(|_| is_url(&message)).map(|kind| Media { url: message.clone(), kind });
        let message = if media.is_some() { None } else { Some(message) };
        let others = fields.iter().filter(|(name, _)| *name != "message" && !NOT_SHOWN.contains(&name.as_ref()));
        let texts = message.into_iter().chain(others.filter_map(|(_, raw)| string(raw)));
        Self { texts: texts.filter(|text| !text.trim().is_empty()).collect(), media }
    }

    /// All in one, as WeChat is asked for it.
    pub fn whole(&self) -> String {
        self.texts.join("\n")
    }
}

fn is_url(text: &str) -> bool {
    let has_scheme = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    has_scheme && text.len() <= 2_048 && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Names a text without telling it.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Kind, OpenId, SessionId};

    fn shown(kind: &str, body: &str) -> Shown {
        Shown::of(&Draft {
            session: SessionId::fresh(),
            request_id: None,
            sender: OpenId::parse("a").unwrap(),
            peer: OpenId::parse("b").unwrap(),
            client_msg_id: None,
            kind: Kind::parse(kind).unwrap(),
            body: body.into(),
            target: None,
        })
    }

    #[test]
    fn every_string_that_is_shown_is_checked() {
        let body = r#"{"title":"t\u0061","message":"hello","client_msg_id":"x","n":1,"deep":{"a":"b"},"list":["c"],"empty":" ","no":null}"#;
        assert_eq!(shown("text", body).texts, ["hello", "ta"]);
        assert_eq!(shown("text", body).whole(), "hello\nta");
        assert!(shown("dice", r#"{"n":6}"#).texts.is_empty());
    }

    #[test]
    fn the_address_of_an_image_is_no_text() {
        let image = shown("image", r#"{"message":"https://example.com/a.png","caption":"see"}"#);
        assert_eq!(image.media, Some(Media { url: "https://example.com/a.png".into(), kind: MediaKind::Image }));
        assert_eq!(image.texts, ["see"]);
        for (kind, message) in [("text", "https://example.com/a"), ("image", "https://a b"), ("image", "words"), ("video", "https://a/b")] {
            let shown = shown(kind, &format!(r#"{{"message":"{message}"}}"#));
            assert_eq!((shown.media, shown.texts.as_slice()), (None, &[message.to_owned()][..]));
        }
    }
}
