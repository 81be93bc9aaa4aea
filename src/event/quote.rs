//! What a message quotes: another one of its conversation, as that stands when it is read.

use crate::event::body;
use crate::ids::{Kind, OpenId, Seq};

/// How much of a quoted message is shown.
const QUOTED_CHARS: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub seq: Seq,
    pub quoted: Quoted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quoted {
    Shown {
        sender: OpenId,
        kind: Kind,
        /// The beginning of its `message`, at most [`QUOTED_CHARS`] characters. None where that is no string.
        text: Option<Box<str>>,
    },
    /// It was recalled, and shows nothing.
    Recalled,
    /// It is stored no more.
    Gone,
}

impl Quoted {
    /// What is shown of a message with this body.
    pub fn shown(sender: OpenId, kind: Kind, body: &str) -> Self {
        let fields = body::fields(body).unwrap_or_default();
        let message = fields.into_iter().find(|(name, _)| name == "message");
        let text = message.and_then(|(_, raw)| body::string(raw)).map(|text| beginning(&text).into());
        Self::Shown { sender, kind, text }
    }
}

impl Quote {
    /// The most that it takes in a frame, in bytes.
    pub fn bytes(&self) -> usize {
        // An openid, a type and a seq with the names of the fields.
        const ENVELOPE: usize = 256;
        match &self.quoted {
            // A control character is written as six bytes.
            Quoted::Shown { text: Some(text), .. } => ENVELOPE + 6 * text.len(),
            Quoted::Shown { text: None, .. } | Quoted::Recalled | Quoted::Gone => ENVELOPE,
        }
    }
}

fn beginning(text: &str) -> &str {
    text.char_indices().nth(QUOTED_CHARS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> Option<Box<str>> {
        let sender = OpenId::parse("alice").unwrap();
        match Quoted::shown(sender, Kind::parse("text").unwrap(), body) {
            Quoted::Shown { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_beginning_of_what_was_said_is_shown() {
        assert_eq!(text(r#"{"message":"a\u00e9\n","date":"x"}"#).as_deref(), Some("aé\n"));
        let long = "鸿".repeat(201);
        assert_eq!(text(&format!(r#"{{"message":"{long}"}}"#)).as_deref(), Some(&*"鸿".repeat(200)));
        let fits = "雁".repeat(200);
        assert_eq!(text(&format!(r#"{{"message":"{fits}"}}"#)).as_deref(), Some(&*fits));
        for nothing in ["{}", r#"{"message":5}"#, ""] {
            assert_eq!(text(nothing), None);
        }
    }
}
