//! Settings for people: what is in force and why, and the table for the docs.

use std::fmt::Write as _;

use super::keys::{self, KEYS, Key, Shape, Shown};
use super::load::Loaded;
use super::value::Value;

/// Every key with its value and where that came from, as TOML that could be loaded again but for what is
/// masked.
pub fn settings(loaded: &Loaded) -> String {
    let lines: Vec<(String, String)> =
        KEYS.iter()
            .filter_map(|key| {
                loaded.given.get(key.name).map(|(value, source)| {
                    (format!("{} = {}", key.name, shown(key, value)), source.to_string())
                })
            })
            .collect();
    // Comments stand in one column, as far as lines are not much longer than the others.
    let width =
        lines.iter().map(|(line, _)| line.chars().count()).filter(|count| *count <= 60).max().unwrap_or(0);
    lines.iter().map(|(line, source)| format!("{line:width$}  # {source}\n")).collect()
}

/// A value as TOML, with as much hidden as the key asks for.
fn shown(key: &Key, value: &Value) -> String {
    let is_empty = value.items().is_some_and(|items| items.is_empty());
    match key.shape() {
        Shape::Number => value.number().map_or_else(|| quoted(""), |number| number.to_string()),
        Shape::Switch => value.switch().map_or_else(|| quoted(""), |is_on| is_on.to_string()),
        Shape::Text => match value {
            Value::Text(text) => quoted(&mask(key.shown(), text)),
            Value::Integer(_) | Value::Boolean(_) | Value::List(_) | Value::Other(_) => quoted(""),
        },
        Shape::List if is_empty => "[]".to_owned(),
        Shape::List => {
            let items: Vec<String> = value
                .items()
                .unwrap_or_default()
                .iter()
                .map(|item| quoted(&mask(key.shown(), item)))
                .collect();
            format!("[{}]", items.join(", "))
        }
    }
}

fn mask(shown: Shown, text: &str) -> String {
    match shown {
        _ if text.is_empty() => String::new(),
        Shown::Whole => text.to_owned(),
        Shown::Nothing => "***".to_owned(),
        Shown::IdOnly => format!("{}:***", text.split(':').next().unwrap_or_default()),
        Shown::UrlWithoutCredentials => urls_without_credentials(text),
    }
}

/// Query parameters of a database URL that may be shown; a password can stand in others.
const OPEN_PARAMETERS: [&str; 8] = [
    "application_name",
    "connect_timeout",
    "dbname",
    "host",
    "port",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
];

/// One URL, or several separated by commas.
fn urls_without_credentials(text: &str) -> String {
    let urls: Vec<&str> = text.split(',').collect();
    // A comma may also stand in a password.
    match urls.iter().all(|url| url.contains("://")) {
        true => urls.into_iter().map(url_without_credentials).collect::<Vec<_>>().join(","),
        false => url_without_credentials(text),
    }
}

/// Hides rather too much than too little: a password with an unescaped `@`, `/` or `?` is hidden whole, and a
/// user without a password may be a token.
fn url_without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    if scheme == "sqlite" {
        return url.to_owned();
    }
    let (user, place) = match rest.rsplit_once('@') {
        Some((userinfo, place)) => match userinfo.split_once(':') {
            Some((user, _)) if !user.contains(['@', ',', '/']) => (format!("{user}:***@"), place),
            _ => ("***@".to_owned(), place),
        },
        None => (String::new(), rest),
    };
    let mut out = format!("{scheme}://{user}");
    let Some((place, query)) = place.split_once('?') else {
        out.push_str(place);
        return out;
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if OPEN_PARAMETERS.contains(&name) => parameter.to_owned(),
            Some((name, _)) => format!("{name}=***"),
            None => "***".to_owned(),
        })
        .collect();
    let _ = write!(out, "{place}?{}", parameters.join("&"));
    out
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The table of docs/OPERATIONS.md, in Markdown.
pub fn docs() -> String {
    let mut out = String::from("| key | must be | default | what it is |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = match key.default {
            keys::Default::Text("") => "(empty)".to_owned(),
            keys::Default::Text(text) => format!("`{text}`"),
            keys::Default::Cores => "the number of cores".to_owned(),
        };
        let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, key.allowed(), key.help);
    }
    out
}
