//! Settings from the environment: `HONGYAN_SECTION__KEY`, and `HONGYAN_SECTION__KEY_FILE` for a file that
//! holds the value.

use std::ffi::OsString;
use std::path::PathBuf;

use super::keys::KEYS;
use super::load::Given;
use super::problem::{Problem, Source};
use super::value::Value;
use super::value_file;

/// Of the variables, those that begin with `HONGYAN_` and have a `__` must be settings. A setting's name with
/// a single underscore between section and key is refused too: it would be ignored in silence.
pub fn read(variables: &[(OsString, OsString)], problems: &mut Vec<Problem>) -> Vec<Given> {
    let mut found: Vec<Given> = Vec::new();
    let mut variables: Vec<_> =
        variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value))).collect();
    variables.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix("HONGYAN_") else { continue };
        let unknown = |what: String| Problem::new(name, Some(Source::Environment(name.to_owned())), what);
        if !rest.contains("__") {
            if let Some(meant) =
                KEYS.iter().map(super::keys::Key::environment).find(|known| known.replace("__", "_") == name)
            {
                problems.push(unknown(format!("unknown variable: did you mean {meant} (two underscores)?")));
            }
            continue;
        }
        let named = |wanted: &str| KEYS.iter().find(|key| key.environment() == wanted);
        let (key, file) = match (named(name), name.strip_suffix("_FILE").and_then(named)) {
            (Some(key), _) => (key, None),
            (None, Some(key)) => (key, Some(PathBuf::from(value))),
            (None, None) => {
                problems
                    .push(unknown(super::load::unknown(&rest.replacen("__", ".", 1).to_ascii_lowercase())));
                continue;
            }
        };
        let source = match &file {
            None => Source::Environment(name.to_owned()),
            Some(path) => Source::EnvironmentFile { name: name.to_owned(), path: path.clone() },
        };
        if let Some(twice) = found.iter().find(|given| given.key == key.name) {
            problems.push(Problem::new(
                key.name,
                Some(source),
                format!("given twice, also by {}: keep one", twice.source),
            ));
            continue;
        }
        let text = match &file {
            None => value.to_str().map(str::to_owned).ok_or_else(|| "is not UTF-8".to_owned()),
            Some(path) => value_file::read(path).map_err(|what| format!("the file {what}")),
        };
        match text {
            Ok(text) => found.push(Given { key: key.name.to_owned(), value: Value::Text(text), source }),
            Err(what) => problems.push(Problem::new(key.name, Some(source), what)),
        }
    }
    found
}
