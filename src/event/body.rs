//! The JSON objects that messages are: values stay the bytes that the sender wrote.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Fields of an object in the order given, values as raw text.
pub type Fields<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The fields of an object; of a name that stands twice, both. `None` where the text is no object.
pub fn fields(object: &str) -> Option<Fields<'_>> {
    serde_json::from_str::<Object<'_>>(object).ok().map(|object| object.0)
}

/// The text of a JSON string, borrowed unless it has escapes; `None` where the value is no string.
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        // Whatever else a string may not hold, no raw value does.
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// A JSON string, borrowed unless it has escapes (`Cow` alone always copies: serde-rs/serde#1852).
#[derive(serde::Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

struct Object<'a>(Fields<'a>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_as_they_were_written() {
        let text = r#"{"a":1.0e3,"\u0063" : {"b": [1,  2]},"a":"x\n"}"#;
        let read = fields(text).unwrap();
        let shown: Vec<_> = read.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(shown, [("a", "1.0e3"), ("c", r#"{"b": [1,  2]}"#), ("a", r#""x\n""#)]);
        assert_eq!((string(read[0].1), string(read[2].1).as_deref()), (None, Some("x\n")));
        for none in ["", "[]", "7", r#"{"a":}"#] {
            assert!(fields(none).is_none(), "{none}");
        }
    }
}
