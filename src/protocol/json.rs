//! Reading hostile JSON: what serde_json's raw values do not check, and the top level of a frame.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::event::body::{Fields, Text};

/// Nesting that a frame may have; the frame itself is level 1.
pub const MAX_DEPTH: usize = 32;

/// Why a text is refused although it may be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("nesting deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("a lone surrogate")]
    LoneSurrogate,
    #[error("U+0000")]
    Nul,
}

/// One linear pass before any parser: depth, lone surrogates and U+0000, none of which a raw value checks,
/// and the last two of which PostgreSQL's text refuses.
///
/// # Errors
/// The first [`Unfit`] met. A text that is no JSON at all may pass: the parser says so.
pub fn check(text: &str) -> Result<(), Unfit> {
    let bytes = text.as_bytes();
    let (mut depth, mut in_string, mut at) = (0usize, false, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            0 => return Err(Unfit::Nul),
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += escape(bytes, at)?,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Unfit::TooDeep);
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// How many bytes of the escape at `at` follow the backslash.
fn escape(bytes: &[u8], at: usize) -> Result<usize, Unfit> {
    if bytes.get(at + 1) != Some(&b'u') {
        return Ok(1);
    }
    match unit(bytes, at) {
        Some(0) => Err(Unfit::Nul),
        Some(0xD800..=0xDBFF) => match unit(bytes, at + 6) {
            Some(0xDC00..=0xDFFF) => Ok(11),
            _ => Err(Unfit::LoneSurrogate),
        },
        Some(0xDC00..=0xDFFF) => Err(Unfit::LoneSurrogate),
        Some(_) => Ok(5),
        None => Ok(1),
    }
}

/// The UTF-16 code unit of the `\uXXXX` at `at`, if there is one.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    if bytes.get(at) != Some(&b'\\') || bytes.get(at + 1) != Some(&b'u') {
        return None;
    }
    let hex = bytes.get(at + 2..at + 6)?;
    u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}

/// The top level of a JSON object in the order given, its values as raw text. A key that stands twice is an
/// error.
#[derive(Debug)]
pub struct TopLevel<'a>(pub Fields<'a>);

impl<'de> Deserialize<'de> for TopLevel<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = TopLevel<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Fields<'de> = Vec::with_capacity(8);
                while let Some(Text(key)) = map.next_key()? {
                    if fields.len() >= MAX_FIELDS {
                        return Err(serde::de::Error::custom("too many fields"));
                    }
                    if fields.iter().any(|(k, _)| *k == key) {
                        return Err(serde::de::Error::custom("a field stands twice"));
                    }
                    fields.push((key, map.next_value()?));
                }
                Ok(TopLevel(fields))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Fields of one frame: keeps the search for doubles, which is quadratic, harmless.
const MAX_FIELDS: usize = 128;

/// Appends `text` to `out` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = fmt::Write::write_fmt(out, format_args!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(check(&nested(32)), Ok(()));
        assert_eq!(check(&nested(33)), Err(Unfit::TooDeep));
        assert_eq!(check(&format!("\"{}\"", "[".repeat(99))), Ok(()));
        assert_eq!(check(&"[".repeat(100_000)), Err(Unfit::TooDeep));
    }

    #[test]
    fn surrogates_must_be_pairs() {
        assert_eq!(check(r#""\ud83d\ude00""#), Ok(()));
        for bad in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\n""#, r#""\uDE00\uD83D""#] {
            assert_eq!(check(bad), Err(Unfit::LoneSurrogate), "{bad}");
        }
        assert_eq!(check(r#""\\ud83d""#), Ok(()), "an escaped backslash, then plain letters");
    }

    #[test]
    fn nul_is_refused_in_both_spellings() {
        assert_eq!(check("\"\u{0}\""), Err(Unfit::Nul));
        assert_eq!(check(r#""\u0000""#), Err(Unfit::Nul));
    }

    #[test]
    fn the_top_level_keeps_values_as_they_are() {
        let top: TopLevel<'_> =
            serde_json::from_str(r#"{"a":1.0e3, "b" : {"c": [1,  2]}, "\u0063":"x"}"#).unwrap();
        let got: Vec<_> = top.0.iter().map(|(k, v)| (k.as_ref(), v.get())).collect();
        assert_eq!(got, [("a", "1.0e3"), ("b", r#"{"c": [1,  2]}"#), ("c", "\"x\"")]);
    }

    #[test]
    fn doubles_are_found_even_when_spelled_with_escapes() {
        assert!(serde_json::from_str::<TopLevel<'_>>(r#"{"type":"a","\u0074ype":"b"}"#).is_err());
    }

    #[test]
    fn strings_are_written_so_that_they_read_back() {
        let mut out = String::new();
        push_string(&mut out, "a\"\\\u{1}\u{7f}鸿");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), "a\"\\\u{1}\u{7f}鸿");
    }
}
