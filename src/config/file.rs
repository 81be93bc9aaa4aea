//! Settings from a TOML file, each with the line it stands on.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::keys;
use super::load::Given;
use super::problem::{Problem, Source};
use super::value::Value;

/// # Errors
/// One [`Problem`] when the file cannot be read or is no TOML. A syntax error never quotes the line: a secret may stand there.
pub fn read(path: &Path) -> Result<Vec<Given>, Problem> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Problem::new(&shown, None, format!("cannot be read: {error}")))?;
    let line_of = |byte: usize| text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1;
    let source = |byte: usize| Source::File { path: path.to_owned(), line: line_of(byte) };
    let table = DeTable::parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        Problem::new(format!("{shown}:{line}"), None, format!("is not TOML: {}", error.message()))
    })?;
    let mut found = Vec::new();
    for (section, content) in table.get_ref() {
        let name = section.get_ref();
        match content.get_ref() {
            DeValue::Table(keys) if keys::sections().contains(&name.as_ref()) => {
                for (key, value) in keys {
                    found.push(Given {
                        key: format!("{name}.{}", key.get_ref()),
                        value: convert(value.get_ref()),
                        source: source(key.span().start),
                    });
                }
            }
            // An unknown section, or a value outside any: named as it stands, refused by the loader.
            _ => found.push(Given { key: name.to_string(), value: Value::Other("table"), source: source(section.span().start) }),
        }
    }
    // The map is sorted by name; problems read better in the file's order.
    found.sort_by_key(|given| match given.source {
        Source::File { line, .. } => line,
        _ => 0,
    });
    Ok(found)
}

fn convert(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Value::Other("integer"), Value::Integer),
        DeValue::Boolean(is_on) => Value::Boolean(*is_on),
        DeValue::Array(items) => list(items).unwrap_or(Value::Other("array")),
        other => Value::Other(other.type_str()),
    }
}

/// Texts, or tables of an id and a secret.
fn list(items: &DeArray<'_>) -> Option<Value> {
    let item = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Table(table) if table.len() == 2 => {
            Some(format!("{}:{}", table.get("id")?.get_ref().as_str()?, table.get("secret")?.get_ref().as_str()?))
        }
        _ => None,
    };
    items.iter().map(item).collect::<Option<Vec<String>>>().map(Value::List)
}
