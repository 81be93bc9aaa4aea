//! Log lines: one line an event, as text for people or JSON for machines.
//!
//! Text: `2026-01-31T12:00:00.000Z INFO  target message key=value … node=NAME`. JSON: `ts`, `level`, `node`,
//! `target`, `msg`, then the fields. A process that is no node, such as a command, has no `node`.

mod foreign;
mod queue;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

use log::kv::{self, VisitSource};
use log::{Level, LevelFilter, Record};
use serde_json::{Map, Value};

use crate::config::{Log, LogFormat};
use crate::trace;
use queue::Queue;

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("there is a logger already")]
    Taken(#[from] log::SetLoggerError),
    #[error("its thread cannot be started")]
    Thread(#[from] std::io::Error),
}

/// The name of the node whose lines these are.
static NODE: OnceLock<String> = OnceLock::new();

/// Names the node in every line from now on. Once a process.
pub fn name_node(name: &str) {
    let _ = NODE.set(name.to_owned());
}

tokio::task_local! {
    /// The id of the HTTP request that is being answered.
    static REQUEST_ID: Box<str>;
}

/// Runs what answers an HTTP request: each of its lines has the request's id.
pub async fn within_request<T>(id: Box<str>, answer: impl Future<Output = T>) -> T {
    REQUEST_ID.scope(id, answer).await
}

/// env_logger decides and formats; the queue writes.
struct Logger {
    inner: env_logger::Logger,
    queue: Queue,
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.inner.log(record);
    }

    /// Waits for the last lines, half a second at most.
    fn flush(&self) {
        self.queue.flush();
    }
}

/// The format of the log, once there is one.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Tells whoever reads standard output how far a start has come, whatever `log.filter` says: in text a line
/// that begins with `hongyan: `, in JSON a line as those of the log are. A server serves without a reader,
/// too.
pub fn announce(message: &str, fields: &[(&str, &str)]) {
    match FORMAT.get() {
        Some(LogFormat::Json) => past_the_filter(Level::Info, message, fields, env_logger::Target::Stdout),
        Some(LogFormat::Text) | None => print(&format!("hongyan: {message}\n")),
    }
}

/// Prints what only people read; nothing where machines read the log.
pub fn announce_to_people(text: &str) {
    if FORMAT.get() != Some(&LogFormat::Json) {
        print(text);
    }
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Tells on standard error why a command failed, a line each.
pub fn fail(format: LogFormat, lines: &[String]) {
    for line in lines {
        match format {
            // With standard error closed there is nobody to tell.
            LogFormat::Text => _ = writeln!(std::io::stderr(), "hongyan: {line}"),
            LogFormat::Json => past_the_filter(Level::Error, line, &[], env_logger::Target::Stderr),
        }
    }
}

/// Writes a JSON line at once.
fn past_the_filter(level: Level, message: &str, fields: &[(&str, &str)], target: env_logger::Target) {
    let args = format_args!("{message}");
    let record = Record::builder().level(level).target("hongyan").args(args).key_values(&fields).build();
    let mut builder = env_logger::Builder::new();
    builder.filter_level(log::LevelFilter::Trace).target(target);
    with_format(&mut builder, LogFormat::Json);
    log::Log::log(&builder.build(), &record);
}

fn with_format(builder: &mut env_logger::Builder, format: LogFormat) {
    builder.format(move |out, record| {
        let line = line(format, &out.timestamp_millis().to_string(), NODE.get().map(String::as_str), record);
        out.write_all(line.as_bytes())
    });
}

/// Sets the process's logger up, on standard error, and turns panics into log lines. `RUST_LOG` is laid over
/// `log.filter`.
///
/// # Errors
/// [`InitError`].
pub fn init(config: &Log) -> Result<(), InitError> {
    let format = config.format;
    let _ = FORMAT.set(format);
    let mut builder = env_logger::Builder::new();
    // Whoever asks for a trace gets it, however quiet the rest is; a directive of its own still turns it off.
    builder.filter_module(trace::TARGET, LevelFilter::Info);
    builder.parse_filters(&config.filter);
    if let Ok(directives) = std::env::var("RUST_LOG") {
        builder.parse_filters(&directives);
    }
    with_format(&mut builder, format);
    let queue = Queue::start(std::io::stderr())?;
    let inner = builder.target(env_logger::Target::Pipe(Box::new(queue.clone()))).build();
    let level = inner.filter();
    log::set_boxed_logger(Box::new(Logger { inner, queue }))?;
    log::set_max_level(level);
    foreign::redirect();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        log::error!(place, thread; "panic: {}", text.unwrap_or("(no text)"));
        log::logger().flush();
    }));
    Ok(())
}

/// One record as one line, its end included.
fn line(format: LogFormat, time: &str, node: Option<&str>, record: &Record<'_>) -> String {
    let mut fields = Fields(Vec::new());
    // A field that cannot be read is left out; the line is worth more than the field.
    let _ = record.key_values().visit(&mut fields);
    if !fields.0.iter().any(|(key, _)| key == "request_id") {
        let _ = REQUEST_ID.try_with(|id| fields.0.push(("request_id".to_owned(), Value::from(&**id))));
    }
    let message = message(record);
    match format {
        LogFormat::Text => text(time, node, record, &message, &fields.0),
        LogFormat::Json => json(time, node, record, &message, fields.0),
    }
}

fn text(
    time: &str,
    node: Option<&str>,
    record: &Record<'_>,
    message: &str,
    fields: &[(String, Value)],
) -> String {
    let mut out = format!("{time} {:<5} {} ", record.level(), record.target());
    push_plain(&mut out, message);
    for (key, value) in fields {
        out.push(' ');
        push_plain(&mut out, key);
        out.push('=');
        match value {
            Value::String(text) if is_bare(text) => out.push_str(text),
            // serde_json escapes line ends and quotes.
            other => {
                let _ = write!(out, "{other}");
            }
        }
    }
    if let Some(node) = node {
        let _ = write!(out, " node={node}");
    }
    out.push('\n');
    out
}

fn json(
    time: &str,
    node: Option<&str>,
    record: &Record<'_>,
    message: &str,
    fields: Vec<(String, Value)>,
) -> String {
    let mut object = Map::new();
    for (key, value) in fields {
        let is_taken = ["ts", "level", "node", "target", "msg"].contains(&key.as_str());
        object.insert(if is_taken { format!("field_{key}") } else { key }, value);
    }
    let of_node = node.map(|node| ("node", node));
    let head = [("ts", time), ("level", level(record.level()))].into_iter().chain(of_node);
    let mut out = String::from("{");
    for (key, value) in head.chain([("target", record.target()), ("msg", message)]) {
        let _ = write!(out, "\"{key}\":{},", Value::from(value));
    }
    for (key, value) in &object {
        let _ = write!(out, "{}:{value},", Value::from(key.as_str()));
    }
    out.pop();
    out.push_str("}\n");
    out
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// The message; of libraries' lines, which may print URLs, what stands behind the names in
/// [`SECRET_PARAMETERS`] is masked.
fn message(record: &Record<'_>) -> String {
    let text = record.args().to_string();
    if record.target() == "hongyan" || record.target().starts_with("hongyan::") {
        text
    } else {
        without_secrets(&text)
    }
}

/// Query parameters that WeChat's API and the seed's handshake carry.
const SECRET_PARAMETERS: [&str; 5] = ["secret=", "access_token=", "js_code=", "code=", "session_key="];

fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // The parameter that stands first; `js_code=` before the `code=` in it.
    while let Some((at, name)) = SECRET_PARAMETERS
        .iter()
        .filter_map(|name| rest.find(name).map(|at| (at, *name)))
        .min_by_key(|(at, _)| *at)
    {
        let (before, from) = rest.split_at(at + name.len());
        let ends = |c: char| c == '&' || c == '"' || c == '\'' || c == ')' || c.is_whitespace();
        let end = from.find(ends).unwrap_or(from.len());
        out.push_str(before);
        if end > 0 {
            out.push_str("***");
        }
        rest = from.split_at(end).1;
    }
    out.push_str(rest);
    out
}

/// A text whose line ends and other control characters are escaped.
fn push_plain(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
}

/// Whether a value needs no quotes to be told from what stands around it.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '='))
}

/// The fields of a record, as JSON values.
struct Fields(Vec<(String, Value)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let typed = if let Some(number) = value.to_u64() {
            Value::from(number)
        } else if let Some(number) = value.to_i64() {
            Value::from(number)
        } else if let Some(number) = value.to_f64() {
            Value::from(number)
        } else if let Some(flag) = value.to_bool() {
            Value::from(flag)
        } else {
            Value::from(value.to_string())
        };
        self.0.push((key.to_string(), typed));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: LogFormat, target: &str, message: &str, fields: &dyn kv::Source) -> String {
        let args = format_args!("{message}");
        line(
            format,
            "T",
            None,
            &Record::builder().level(Level::Warn).target(target).args(args).key_values(&fields).build(),
        )
    }

    #[test]
    fn text_is_one_line_with_its_fields() {
        let fields = [
            ("n", kv::Value::from(-3)),
            ("who", kv::Value::from("alice")),
            ("why", kv::Value::from("two words\n\"x\"")),
        ];
        let line = written(LogFormat::Text, "hongyan::app", "hello\nthere", &fields);
        assert_eq!(line, "T WARN  hongyan::app hello\\nthere n=-3 who=alice why=\"two words\\n\\\"x\\\"\"\n");
    }

    #[test]
    fn json_is_one_object_a_line_with_typed_fields() {
        let fields = [
            ("n", kv::Value::from(u64::MAX)),
            ("ratio", kv::Value::from(0.5)),
            ("ok", kv::Value::from(true)),
            ("msg", kv::Value::from("a\n\u{1b}[31m")),
            ("digits", kv::Value::from("42")),
        ];
        let line = written(LogFormat::Json, "hongyan", "say \"hi\"\n", &fields);
        assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        let wanted = serde_json::json!({"ts":"T","level":"warn","target":"hongyan","msg":"say \"hi\"\n","n":u64::MAX,"ratio":0.5,"ok":true,
            "field_msg":"a\n\u{1b}[31m","digits":"42"});
        assert_eq!(value, wanted);
        assert!(line.starts_with("{\"ts\":\"T\",\"level\":\"warn\",\"target\":\"hongyan\",\"msg\":"));
    }

    #[test]
    fn every_line_of_a_node_names_it() {
        let args = format_args!("x");
        let fields = [("node", "other")];
        let record = Record::builder()
            .level(Level::Info)
            .target("hongyan::app")
            .args(args)
            .key_values(&fields)
            .build();
        let value: Value =
            serde_json::from_str(&line(LogFormat::Json, "T", Some("chat-1"), &record)).unwrap();
        assert_eq!((&value["node"], &value["field_node"]), (&Value::from("chat-1"), &Value::from("other")));
        assert_eq!(
            line(LogFormat::Text, "T", Some("chat-1"), &record),
            "T INFO  hongyan::app x node=other node=chat-1\n"
        );
    }

    #[test]
    fn lines_of_libraries_show_no_secret() {
        let url = "GET https://x/sns/jscode2session?appid=wx1&secret=s3cret&js_code=c0de&grant_type=authorization_code HTTP/1.1";
        let line = written(LogFormat::Text, "awc::sender", url, &[("a", 1); 0]);
        assert!(line.contains("secret=***&js_code=***&grant_type=authorization_code HTTP"), "{line}");
        assert!(!line.contains("s3cret") && !line.contains("c0de&"));
        assert_eq!(without_secrets("access_token=abc\" code= x"), "access_token=***\" code= x");
        assert_eq!(
            without_secrets("/alice?to_user_openid=bob&code=0a1"),
            "/alice?to_user_openid=bob&code=***"
        );
    }
}
