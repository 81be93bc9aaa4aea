//! The documents are honest: every word, code, metric, route, setting, command, file and link that they name
//! is there, and every one that the code has stands in them.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hongyan::config::Config;
use hongyan::config::keys::{KEYS, Key, sections};
use hongyan::http::api::CALLS;
use hongyan::ids;
use hongyan::metrics::Metrics;
use hongyan::protocol::client_frame::{RESERVED_TYPES, SERVER_FIELDS};
use hongyan::protocol::{ClientFeatures, Close, Dialect, ErrorCode, ServerFeature};
use strum::VariantArray as _;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every document for people, by its path from the root.
fn documents() -> Vec<String> {
    let in_docs = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let at_root =
        ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(str::to_owned);
    in_docs.filter(|file| file.ends_with(".md")).chain(at_root).collect()
}

/// What stands between two headings of the same level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, rest) =
        document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading} is missing"));
    let level = heading.split(' ').next().unwrap();
    rest.split(&format!("\n{level} ")).next().unwrap()
}

/// The rows of the first table in a text, without its head; no cell of ours has an escaped bar but PromQL's,
/// which no test reads.
fn table(text: &str) -> Vec<Vec<String>> {
    let lines =
        text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What stands in backticks in a line of prose.
fn spans(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// The lines of code blocks, fenced or indented.
fn code(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line);
        }
    }
    found
}

#[test]
fn the_protocol_has_every_error_word_with_its_status_and_no_other() {
    let document = text("docs/PROTOCOL.md");
    let mut told = BTreeMap::new();
    for row in table(section(&document, "## Words of `error`")) {
        let codes = spans(&row[0]);
        let statuses: Vec<u16> = row[1].split(',').map(|status| status.trim().parse().unwrap()).collect();
        assert_eq!(codes.len(), statuses.len(), "{row:?}");
        told.extend(codes.into_iter().map(str::to_owned).zip(statuses));
    }
    let known: BTreeMap<_, _> =
        ErrorCode::ALL.iter().map(|code| (code.as_str().to_owned(), code.status())).collect();
    assert_eq!(told, known);
}

#[test]
fn the_protocol_has_every_close_code_with_its_reason_and_no_other() {
    let document = text("docs/PROTOCOL.md");
    let told: BTreeMap<u16, String> = table(section(&document, "## Close codes"))
        .into_iter()
        .map(|row| (row[0].parse().unwrap(), row[1].clone()))
        .collect();
    let source = text("src/protocol/close.rs");
    let (_, body) = source.split_once("pub fn code(").unwrap();
    let codes = body.split("\n    }").next().unwrap().split("=> ").skip(1);
    let codes: BTreeSet<u16> = codes.map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), codes);

    let error = ErrorCode::RateLimited;
    for close in [
        Close::Draining { retry_ms: 0 },
        Close::SlowConsumer,
        Close::HeartbeatTimeout,
        Close::Internal,
        Close::Overloaded { error, retry_ms: 0 },
        Close::BadRequest,
        Close::Replaced,
        Close::Kicked,
        Close::Banned,
        Close::TooManyErrors,
        Close::ProxyClosed,
        Close::FrameTooBig,
        Close::InvalidUtf8,
        Close::ProtocolError,
        Close::Unsupported,
    ] {
        let reason = close.reason(Dialect::V1).replace("=0", "=N");
        assert!(spans(&told[&close.code()]).contains(&reason.as_str()), "{} {reason}", close.code());
    }
    let plain = [Close::Refused { error: ErrorCode::Unauthorized }, Close::BadRequest]
        .map(|c| (c.code(), c.reason(Dialect::Plain)));
    for (code, reason) in plain {
        assert!(spans(&told[&code]).contains(&reason.as_str()), "{code} {reason}");
    }
}

#[test]
fn the_protocol_has_every_reserved_name_and_no_other() {
    let document = text("docs/PROTOCOL.md");
    let words = table(section(&document, "## Words used here"));
    let openid = words.iter().find(|row| row[0] == "openid").unwrap();
    assert_eq!(spans(&openid[1]).into_iter().skip(1).collect::<BTreeSet<_>>(), set_of(&ids::RESERVED));
    // The clients refuse the same ones.
    let words = format!("(?!({})$)", ids::RESERVED.join("|"));
    for file in ["web/text.js", "miniprogram/sdk/hongyan.js"] {
        assert!(text(file).contains(&words), "{file}: {words}");
    }
    assert!(text("docs/CLIENT.md").contains(&format!("none of `{}`", ids::RESERVED.join("`, `"))));

    let (_, rest) = section(&document, "### Rules for messages").split_once("dropped silently:").unwrap();
    let fields = rest.split("\n- ").next().unwrap();
    let fields: Vec<&str> = spans(fields).into_iter().flat_map(str::split_whitespace).collect();
    assert_eq!((fields.len(), set_of(&fields)), (SERVER_FIELDS.len(), set_of(&SERVER_FIELDS)));

    let reserved = section(&document, "## Reserved");
    let types = reserved.lines().find(|line| line.starts_with("- types")).unwrap();
    let control =
        [section(&document, "## Frames from a client"), section(&document, "## Frames from the server")]
            .map(|text| table(text).into_iter().map(|row| row[0].clone()).collect::<Vec<_>>().concat());
    let told: BTreeSet<&str> = control.iter().flat_map(|cells| spans(cells)).chain(spans(types)).collect();
    let messages = ["text", "image", "voice", "video", "file", "location", "card", "custom"];
    let told: BTreeSet<&str> =
        told.into_iter().filter(|name| !messages.contains(name)).chain(["status"]).collect();
    assert_eq!(told, set_of(&RESERVED_TYPES));

    let connect = section(&document, "## Connect");
    for feature in ServerFeature::VARIANTS {
        assert!(spans(connect).contains(&<&str>::from(feature)), "{feature:?}");
    }
    let row = table(connect).into_iter().find(|row| row[0] == "`features`").unwrap();
    let known: Vec<&str> = spans(&row[1]);
    assert_eq!(ClientFeatures::parse(Dialect::V1, &known.join(",")).names(), Some("groups,presence"));
    assert_eq!(known, ["groups", "presence"]);
}

fn set_of<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    names.iter().copied().collect()
}

/// Every metric by the name and type that `/metrics` gives it.
fn metrics() -> BTreeMap<String, String> {
    let shown = Metrics::new().encode();
    let types = shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let named = types.map(|(name, kind)| {
        let end = [("counter", "_total"), ("info", "_info")]
            .into_iter()
            .find_map(|(of, end)| (of == kind).then_some(end));
        (format!("{name}{}", end.unwrap_or_default()), kind.to_owned())
    });
    named.collect()
}

#[test]
fn the_manual_has_every_metric_with_its_type_and_no_other() {
    let manual = text("docs/OPERATIONS.md");
    let known = metrics();
    let rows = table(section(&manual, "## Metrics"));
    let told: BTreeMap<_, _> =
        rows.into_iter().map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone())).collect();
    assert_eq!(told, known);

    // With every value of every label, as far as the table names them.
    let shown = Metrics::new().encode_prometheus();
    for row in table(section(&manual, "## Metrics")) {
        for label in row[2].split(';').filter(|label| label.contains("`: `") && !label.contains("PROTOCOL")) {
            let (name, values) = label.split_once(':').unwrap();
            let name = spans(name)[0];
            let of_series =
                shown.lines().filter(|line| line.starts_with(&format!("{}{{", spans(&row[0])[0])));
            let there: BTreeSet<&str> = of_series
                .map(|line| line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap())
                .collect();
            assert_eq!(spans(values).into_iter().collect::<BTreeSet<_>>(), there, "{} {name}", row[0]);
        }
    }

    for name in manual
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("hongyan_"))
    {
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(known.contains_key(base) || known.contains_key(name), "{name}");
    }
}

#[test]
fn the_protocol_has_every_route_and_no_other() {
    let protocol = text("docs/PROTOCOL.md");
    let mut known: BTreeSet<String> =
        CALLS.iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    let http = section(&protocol, "## HTTP");
    for route in &known {
        assert!(
            spans(http).iter().any(|span| span.split('?').next() == Some(route)),
            "{route} is not in the section on HTTP"
        );
    }
    let operations = text("docs/OPERATIONS.md");
    for call in &hongyan::http::admin::CALLS {
        let route = format!("{} {}", call.method, call.path);
        let told = spans(section(&operations, "## Server API"));
        assert!(
            told.iter().any(|span| span.split('?').next() == Some(&route)),
            "{route} is not in the section on the server API"
        );
        known.insert(route);
    }
    known.extend(
        ["GET /healthz", "GET /readyz", "GET /metrics", "GET /status", "GET /{openid}"].map(str::to_owned),
    );
    for file in ["docs/PROTOCOL.md", "docs/OPERATIONS.md", "README.md", "README.zh-CN.md"] {
        let document = text(file);
        let routes = spans(&document)
            .into_iter()
            .filter(|s| ["GET /", "POST /", "DELETE /", "PUT /"].iter().any(|m| s.starts_with(m)));
        for route in routes {
            assert!(known.contains(route.split('?').next().unwrap()), "{file} names {route}");
        }
    }
}

/// The anchor that a heading gets where these documents are shown.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    for file in documents() {
        let document = text(&file);
        for target in document.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.starts_with("https://") || target.starts_with("http://") {
                continue;
            }
            let (path, part) =
                target.split_once('#').map_or((target, None), |(path, part)| (path, Some(part)));
            let there: PathBuf = if path.is_empty() {
                root().join(&file)
            } else {
                root().join(&file).parent().unwrap().join(path)
            };
            assert!(there.exists(), "{file} links to {target}");
            if let Some(part) = part {
                let found = fs::read_to_string(&there)
                    .unwrap()
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == part);
                assert!(found, "{file} links to {target}");
            }
        }
    }
}

#[test]
fn every_command_that_is_named_exists() {
    let cli = hongyan::cli::command();
    for file in documents() {
        let document = text(&file);
        for words in spans(&document)
            .into_iter()
            .chain(code(&document))
            .flat_map(|line| line.split("hongyan ").skip(1))
        {
            // An option is of the program itself, or of what stands before its name: docker run --name
            // hongyan --restart.
            let is_word = |word: &&str| {
                !word.starts_with('-')
                    && !word.is_empty()
                    && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            };
            let mut words = words.split_whitespace();
            let Some(name) = words.next().filter(is_word) else { continue };
            let command = cli.find_subcommand(name).unwrap_or_else(|| panic!("{file} names hongyan {name}"));
            if command.has_subcommands() {
                let deeper = words.next().unwrap_or_default();
                assert!(command.find_subcommand(deeper).is_some(), "{file} names hongyan {name} {deeper}");
            }
        }
    }
}

#[test]
fn every_setting_that_is_named_exists() {
    let sections = sections();
    for file in documents() {
        let document = text(&file);
        for span in spans(&document) {
            let name = span.split(' ').next().unwrap();
            let Some((section, key)) = name.split_once('.') else { continue };
            if sections.contains(&section) && key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                let known = Key::named(name).or_else(|| name.strip_suffix("_file").and_then(Key::named));
                assert!(known.is_some(), "{file} names {name}");
            }
        }
        for name in document
            .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
            .filter(|word| word.starts_with("HONGYAN_"))
        {
            let known = KEYS
                .iter()
                .any(|key| key.environment() == name || format!("{}_FILE", key.environment()) == name);
            let general = [
                "HONGYAN_",
                "HONGYAN_CONFIG",
                "HONGYAN_COMMIT",
                "HONGYAN_SECTION__KEY",
                "HONGYAN_SECTION__KEY_FILE",
            ]
            .contains(&name);
            let of_tests = ["HONGYAN_PROPTEST_CASES", "HONGYAN_BIN"].contains(&name);
            assert!(known || general || of_tests, "{file} names {name}");
        }
    }
}

#[test]
fn the_map_of_the_modules_is_the_one_that_is_held() {
    let document = text("docs/ARCHITECTURE.md");
    let told: Vec<(String, String)> = table(section(&document, "## Allowed dependencies"))
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone()))
        .collect();
    let source = text("tests/module_deps.rs");
    let (_, rest) = source.split_once("ALLOWED: &[(&str, &str)] = &[").unwrap();
    let rows = rest.split("];").next().unwrap().lines().filter(|line| line.contains('"'));
    let held: Vec<(String, String)> = rows
        .map(|row| row.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .map(pair)
        .collect();
    assert_eq!(told, held);

    for span in spans(&document).into_iter().filter(|span| span.ends_with(".rs")) {
        assert!(root().join("src").join(span).exists() || root().join(span).exists(), "{span}");
    }
    let listed = table(section(&document, "## The modules, in reading order"));
    let listed: Vec<String> = listed.into_iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    let library = text("src/lib.rs");
    let read: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(listed, read);
}

/// Every type, variant and module of the server, as far as a line of its own names it.
fn named_in_source() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (file, text) in sources(&root().join("src")) {
        names.insert(file.file_stem().unwrap().to_str().unwrap().to_owned());
        for line in text.lines().map(str::trim_start) {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line =
                line.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")).map_or(line, |(_, l)| l);
            let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
            let item = ["struct", "enum", "trait", "type", "mod"].contains(&keyword);
            let name = if item { rest } else { line };
            let name = name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap();
            let variant = name.starts_with(|c: char| c.is_uppercase());
            if item || variant {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs"));
    let here = files.map(|file| (file.clone(), fs::read_to_string(&file).unwrap()));
    folders.iter().flat_map(|folder| sources(folder)).chain(here).collect()
}

#[test]
fn the_diagrams_name_what_there_is() {
    let document = text("docs/ARCHITECTURE.md");
    let diagrams: Vec<&str> =
        document.split("\n```mermaid\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert_eq!(diagrams.len(), 2);
    let known = named_in_source();
    // Of the notation, and of others' products.
    let others = ["SQLite", "PostgreSQL", "WebSocket", "WeChat"];
    let mut found = 0;
    for word in diagrams.iter().flat_map(|text| {
        text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '/' || c == '.' || c == '\''))
    }) {
        if word.ends_with(".rs") {
            assert!(root().join("src").join(word.trim_start_matches("br/")).exists(), "{word}");
            found += 1;
        } else if word.chars().skip(1).any(char::is_lowercase)
            && word.starts_with(char::is_uppercase)
            && !word.contains('\'')
            && word != "Note"
            && !others.contains(&word)
        {
            assert!(known.contains(word), "{word} is in a diagram and nowhere in src");
            found += 1;
        }
    }
    assert!(found > 40, "{found} names were found");
    // Every actor of the table stands in one.
    for row in table(section(&document, "## The actors")) {
        let name = row[0].split(' ').next().unwrap();
        let name = if name == "session" { "SessionActor" } else { name };
        assert!(diagrams[1].contains(name), "{name}");
    }
}

#[test]
fn the_recipes_name_what_there_is() {
    let contributing = text("CONTRIBUTING.md");
    let recipes = section(&contributing, "## Recipes");
    let named: Vec<&str> = recipes.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(
        named,
        ["A setting", "A frame", "A write", "A call", "A metric", "A migration", "A job", "A subscriber"]
    );
    let source: String = sources(&root().join("src")).into_iter().map(|(_, text)| text).collect();
    let mut files = 0;
    for recipe in recipes.split("\n### ").skip(1) {
        for span in spans(recipe) {
            if let Some((folder, _)) = span.split_once("/DATE-TIME_NAME") {
                assert!(root().join(folder).is_dir(), "{span}");
            } else if span.contains('/') || span.contains(".toml") || span.ends_with(".md") {
                let path = span.split(' ').next().unwrap();
                assert!(root().join(path).exists(), "{span}");
                files += 1;
            } else if span.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                let name = span.rsplit("::").next().unwrap();
                assert!(source.contains(name) || span == "up.sql", "{span}");
            }
        }
    }
    assert!(files > 50, "{files} files were found");
}

fn pair(row: Vec<String>) -> (String, String) {
    let [room, known] = <[String; 2]>::try_from(row).unwrap();
    (room, known)
}

#[test]
fn both_readmes_say_the_same() {
    let (english, chinese) = (text("README.md"), text("README.zh-CN.md"));
    let shape = |document: &str| {
        let count = |start: &str| document.lines().filter(|line| line.starts_with(start)).count();
        (count("## "), count("```"), count("|"), count("- "))
    };
    assert_eq!(shape(&english), shape(&chinese));
    let lines = |document: &str| code(document).into_iter().map(without_comment).collect::<Vec<_>>();
    assert_eq!(lines(&english), lines(&chinese));
}

/// Comments are translated.
fn without_comment(line: &str) -> String {
    line.split("  //").next().unwrap().split("  # ").next().unwrap().trim_end().to_owned()
}

#[test]
fn the_limits_that_the_documents_show_are_the_defaults() {
    let protocol = text("docs/PROTOCOL.md");
    let init = code(section(&protocol, "## A conversation by hand"))
        .into_iter()
        .find_map(|line| line.split_once("< ").filter(|(_, f)| f.contains("\"limits\"")))
        .unwrap()
        .1;
    let init: serde_json::Value = serde_json::from_str(init).unwrap();
    let Config { limits, session, .. } = Config::default();
    assert_eq!(init["heartbeat_ms"], session.heartbeat_ms);
    let wanted = serde_json::json!({
        "frame_bytes": limits.frame_bytes, "message_bytes": limits.message_bytes, "fields_bytes": limits.fields_bytes,
        "messages_per_second": limits.messages_per_second, "message_burst": limits.message_burst,
    });
    assert_eq!(init["limits"], wanted);

    let kib = |bytes: usize| {
        assert_eq!(bytes % 1024, 0);
        (bytes / 1024).to_string()
    };
    let numbers = [
        kib(limits.frame_bytes),
        kib(limits.message_bytes),
        kib(limits.fields_bytes),
        limits.messages_per_second.to_string(),
        limits.message_burst.to_string(),
        limits.sessions_per_user.to_string(),
        limits.new_conversations_per_day.to_string(),
    ];
    for (file, heading, start) in
        [("README.md", "## Limits", "64 KiB"), ("README.zh-CN.md", "## 限制", "一帧")]
    {
        let document = text(file);
        let (_, paragraph) = section(&document, heading).split_once(&format!("\n{start}")).unwrap();
        let told: Vec<&str> = start
            .split(' ')
            .chain(paragraph.split(|c: char| !c.is_ascii_digit()))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .take(numbers.len())
            .collect();
        assert_eq!(told, numbers, "{file}");
    }
}

/// What READMEs claim and figures of others stand for.
#[test]
fn the_readmes_promise_no_more_than_was_measured() {
    let benchmarks = text("docs/BENCHMARKS.md");
    let measured = |row: &str| -> f64 {
        let line = benchmarks.lines().find(|line| line.starts_with(&format!("| {row} "))).unwrap();
        line.split("**").nth(1).unwrap().strip_suffix(" KB").unwrap().parse().unwrap()
    };
    let fresh = measured("resident memory an idle session, fresh");
    let used = measured("the same after ten 1 KB messages each way and 60 s idle");
    let (english, chinese) = (text("README.md"), text("README.zh-CN.md"));
    for (document, [fresh_is, used_is]) in
        [(&english, ["less than ", "and less than "]), (&chinese, ["占用不到 ", "之后不到 "])]
    {
        for (claim, figure) in [(fresh_is, fresh), (used_is, used)] {
            let (_, rest) = document.split_once(claim).unwrap_or_else(|| panic!("{claim}"));
            let claimed: f64 = rest.split(' ').next().unwrap().parse().unwrap();
            assert!(figure <= claimed, "{claim}{claimed} KB, and {figure} KB were measured");
        }
    }

    let protocol = text("docs/PROTOCOL.md");
    let client = section(&protocol, "## A client without the SDK");
    let lines = client.split("```").nth(1).unwrap().lines().skip(1).count();
    assert!((50..60).contains(&lines), "{lines} lines are no more under sixty, or far fewer");
}
