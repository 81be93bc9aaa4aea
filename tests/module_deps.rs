//! Allowed dependencies: the table of docs/ARCHITECTURE.md, held against the source.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What the code of a module may name. `lib` and `main` name the modules themselves. A line each: a test of
/// the documents reads them.
#[rustfmt::skip]
const ALLOWED: &[(&str, &str)] = &[
    ("ids", ""),
    ("config", "files"),
    ("node", "config"),
    ("files", ""),
    ("version", ""),
    ("lifecycle", ""),
    ("outage", ""),
    ("clock", ""),
    ("backoff", ""),
    ("gcra", ""),
    ("metrics", "protocol"),
    ("certificate", "config metrics"),
    ("trace", "event ids"),
    ("logging", "config trace"),
    ("event", "ids"),
    ("profile", "ids"),
    ("limits", "clock config gcra ids lifecycle"),
    ("protocol", "event ids"),
    ("chat", "clock event ids lifecycle metrics protocol trace"),
    ("store", "clock config event files ids lifecycle metrics outage profile trace"),
    ("jobs", "backoff event ids lifecycle metrics store"),
    ("wechat", "backoff clock config ids lifecycle metrics outage"),
    ("notice", "backoff clock config event ids jobs lifecycle metrics outage store wechat"),
    ("safety", "backoff clock config event files gcra ids jobs lifecycle metrics store wechat"),
    ("auth", "chat clock config event ids metrics protocol store"),
    ("session", "chat event gcra ids limits metrics protocol safety store trace"),
    ("relay", "chat clock event ids lifecycle metrics node outage protocol store trace"),
    ("http", "auth config event files ids lifecycle limits logging metrics node notice profile protocol relay safety session store trace version wechat"),
    ("app", "auth certificate chat config event http ids jobs lifecycle limits logging metrics node notice outage protocol relay safety session store trace version wechat"),
    ("cli", "app certificate config event files ids logging node relay store trace version wechat"),
];

/// Files of the chat that other modules may use: what it is told, what it asks of them, and the outbox.
const CHAT_INTERFACE: &[&str] = &["messages", "outbox", "ports", "ChatServer"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("tests") => {}
            true => files.extend(sources(&path)),
            false => files.push(path),
        }
    }
    files
}

fn module(path: &Path) -> String {
    let inside = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file without its unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
}

/// What stands behind every `crate::`, braces at that place taken apart.
fn names(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                found.extend(list.split('}').next().unwrap().split(',').map(|n| n.trim().to_owned()))
            }
            None => found
                .push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect()),
        }
    }
    found
}

fn of_production(files: Vec<PathBuf>) -> impl Iterator<Item = PathBuf> {
    files.into_iter().filter(|path| !path.ends_with("tests.rs") && !path.ends_with("testing.rs"))
}

#[test]
fn modules_use_only_what_they_may() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED.iter().map(|(module, known)| (*module, known.split_whitespace().collect())).collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = BTreeSet::new();
    for path in of_production(sources(&source)) {
        let here = module(&path);
        if here == "lib" || here == "main" {
            continue;
        }
        let known = allowed
            .get(here.as_str())
            .unwrap_or_else(|| panic!("{} is a module that the table lacks", path.display()));
        for name in names(&code(&path)) {
            let there = name.split("::").next().unwrap();
            assert!(
                there == here || known.contains(there),
                "{} names {name}: {here} may not know {there}",
                path.display()
            );
            if there == "chat" && here != "app" && here != "chat" {
                let file = name.split("::").nth(1).unwrap_or_default();
                assert!(
                    file.is_empty() || CHAT_INTERFACE.contains(&file),
                    "{} looks into the chat: {name}",
                    path.display()
                );
            }
        }
        seen.insert(here);
    }
    assert_eq!(
        seen.iter().map(String::as_str).collect::<Vec<_>>(),
        allowed.keys().copied().collect::<Vec<_>>()
    );
}

/// Leaving actix-web-actors, which is deprecated, is to be the work of these two files.
#[test]
fn actix_web_actors_stays_in_its_corner() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let users: BTreeSet<String> = sources(&source)
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("actix_web_actors::"))
        .map(|path| path.strip_prefix(&source).unwrap().display().to_string())
        .collect();
    assert_eq!(users, BTreeSet::from(["http/ws.rs".to_owned(), "session/web_actors.rs".to_owned()]));
}

/// What operators run is built without the double: one file starts it, and it knows nothing of the server.
#[test]
fn the_double_of_wechat_can_be_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = root.join("src");
    let users: BTreeSet<String> = sources(&source)
        .into_iter()
        .filter(|path| code(path).contains("use fake_wechat::"))
        .map(|path| path.strip_prefix(&source).unwrap().display().to_string())
        .collect();
    assert_eq!(users, BTreeSet::from(["app/double.rs".to_owned()]));
    let manifest: toml::Table =
        fs::read_to_string(root.join("fake-wechat/Cargo.toml")).unwrap().parse().unwrap();
    assert!(manifest["dependencies"].as_table().unwrap().keys().all(|name| !name.starts_with("hongyan")));
}

#[test]
fn files_can_be_held_in_mind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in ["src", "fake-wechat/src"].into_iter().flat_map(|folder| sources(&root.join(folder))) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines", path.display());
    }
}
