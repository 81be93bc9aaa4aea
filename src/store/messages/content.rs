//! Comparison of two JSON objects by what they say, whatever their spelling: the order of fields, escapes,
//! white space, `1.0` for `1e0`. Numbers are compared digit by digit: what one client's numbers can hold,
//! another's may not.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::event::body::{self, Fields};

/// Compares two objects without those of their top-level fields. False where one of them cannot be read.
pub(in crate::store) fn same(a: &str, b: &str, without: &[&str]) -> bool {
    let read = |text| -> Option<Value<'_>> {
        let mut fields = body::fields(text)?;
        fields.retain(|(name, _)| !without.contains(&name.as_ref()));
        object(fields)
    };
    matches!((read(a), read(b)), (Some(a), Some(b)) if a == b)
}

#[derive(PartialEq)]
enum Value<'a> {
    /// `true`, `false`, `null`.
    Word(&'a str),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    /// By name; a name that stands twice keeps both values, in their order.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// `digits` × 10^`exponent`, without zeros at either end; zero has no digits and no sign.
#[derive(PartialEq)]
struct Number {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// Depth was checked when the frame came in, so that this ends.
fn value(raw: &RawValue) -> Option<Value<'_>> {
    let text = raw.get();
    Some(match text.as_bytes().first()? {
        b'{' => object(body::fields(text)?)?,
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Value::List(items.into_iter().map(value).collect::<Option<_>>()?)
        }
        b'"' => Value::Text(body::string(raw)?),
        b't' | b'f' | b'n' => Value::Word(text),
        _ => Value::Number(number(text)?),
    })
}

fn object(fields: Fields<'_>) -> Option<Value<'_>> {
    let mut values =
        fields.into_iter().map(|(name, raw)| Some((name, value(raw)?))).collect::<Option<Vec<_>>>()?;
    values.sort_by(|(a, _), (b, _)| a.cmp(b));
    Some(Value::Object(values))
}

/// RFC 8259 §6. None: an exponent that no client means.
fn number(text: &str) -> Option<Number> {
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, Ok(0)), |(mantissa, e)| (mantissa, e.parse::<i64>()));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let kept = all.trim_end_matches('0');
    let zeros = i64::try_from(all.len() - kept.len()).ok()?;
    let exponent = exponent.ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    let digits = kept.trim_start_matches('0');
    let is_zero = digits.is_empty();
    Some(Number {
        negative: sign && !is_zero,
        digits: digits.to_owned(),
        exponent: if is_zero { 0 } else { exponent },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_count_and_every_digit_does() {
        let alike = |a: &str, b: &str| {
            same(&format!("{{\"n\":{a},\"id\":1}}"), &format!("{{ \"id\" : 2, \"\\u006e\": {b} }}"), &["id"])
        };
        for (a, b) in [
            ("1", "1.0"),
            ("1e2", "100"),
            ("1E+2", "0.01e4"),
            ("1e400", "1E400"),
            ("-0", "0.0e9"),
            (r#""a\/\u00e9""#, r#""a/é""#),
            (r#"{"a":1,"b":[true,null]}"#, r#"{ "b" : [ true , null ], "a" : 1 }"#),
        ] {
            assert!(alike(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("1", "-1"),
            ("18446744073709551616", "18446744073709551617"),
            ("1000000000000000000000000000000", "1000000000000000000000000000001"),
            ("0.1", "0.10000000000000000001"),
            ("1e-400", "2e-400"),
            ("1", r#""1""#),
            ("[1,2]", "[2,1]"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("true", "false"),
        ] {
            assert!(!alike(a, b), "{a} {b}");
        }
    }
}
