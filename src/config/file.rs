//! Settings from a TOML file, each with the line it stands on: `key = value`, or `key_file = "path"` for a
//! file that holds the value.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::keys::{self, Key};
use super::load::Given;
use super::problem::{Problem, Source};
use super::value::Value;
use super::value_file;

/// Adds what is wrong in single settings to `problems`.
///
/// # Errors
/// One [`Problem`] when the file cannot be read or is no TOML. A syntax error never quotes the line: a secret
/// may stand there.
pub fn read(path: &Path, problems: &mut Vec<Problem>) -> Result<Vec<Given>, Problem> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problem::new(&shown, None, value_file::unreadable(path, &error)))?;
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
            _ => found.push(Given {
                key: name.to_string(),
                value: Value::Other("table"),
                source: source(section.span().start),
            }),
        }
    }
    // The map is sorted by name; problems read better in the file's order.
    found.sort_by_key(|given| match given.source {
        Source::File { line, .. } => line,
        _ => 0,
    });
    Ok(with_files_read(path, found, problems))
}

/// Puts the contents of the files that `key_file` names in the place of their names. Those are relative to
/// the folder of the settings file.
fn with_files_read(settings: &Path, found: Vec<Given>, problems: &mut Vec<Problem>) -> Vec<Given> {
    let mut read: Vec<Given> = Vec::new();
    for given in found {
        let named = if Key::named(&given.key).is_none() {
            given.key.strip_suffix("_file").and_then(Key::named)
        } else {
            None
        };
        let (key, line) = match (named, &given.source) {
            (Some(key), Source::File { line, .. }) => (key, *line),
            _ => {
                read.push(given);
                continue;
            }
        };
        let Value::Text(name) = &given.value else {
            problems.push(Problem::new(
                given.key,
                Some(given.source),
                "must be the path of a file that holds the value",
            ));
            continue;
        };
        let file = settings.parent().unwrap_or(Path::new("")).join(name);
        match value_file::read(&file) {
            Ok(text) => {
                let source = Source::ValueFile { path: settings.to_owned(), line, file };
                read.push(Given { key: key.name.to_owned(), value: Value::Text(text), source });
            }
            Err(what) => problems.push(Problem::new(
                given.key,
                Some(given.source),
                format!("the file {} {what}", file.display()),
            )),
        }
    }
    let mut once: Vec<Given> = Vec::new();
    for given in read {
        match once.iter().find(|first| first.key == given.key) {
            Some(first) => problems.push(Problem::new(
                given.key,
                Some(given.source),
                format!("given twice, also by {}: keep one", first.source),
            )),
            None => once.push(given),
        }
    }
    once
}

fn convert(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Value::Other("integer"), Value::Integer),
        DeValue::Boolean(is_on) => Value::Boolean(*is_on),
        DeValue::Array(items) => list(items).unwrap_or(Value::Other("array")),
        other => Value::Other(other.type_str()),
    }
}

/// Texts, or tables of an id and a secret.
fn list(items: &DeArray<'_>) -> Option<Value> {
    let item = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Table(table) if table.len() == 2 => Some(format!(
            "{}:{}",
            table.get("id")?.get_ref().as_str()?,
            table.get("secret")?.get_ref().as_str()?
        )),
        _ => None,
    };
    items.iter().map(item).collect::<Option<Vec<String>>>().map(Value::List)
}
