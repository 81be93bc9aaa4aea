//! §4.2: the opening handshake, at the server itself.

use super::case::report;
use super::harness::{Raw, Server};

/// The key of the RFC, and what must be made of it (§1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// 101, with the answer to the key, and this subprotocol.
    Accepted(Option<&'static str>),
    /// A status from 400 to 499.
    Refused,
    /// The same, and with the version that would be taken.
    RefusedWithVersion,
}

struct Shake {
    name: &'static str,
    section: &'static str,
    /// The method and the version of HTTP.
    line: (&'static str, &'static str),
    headers: Vec<(&'static str, &'static str)>,
    want: Want,
}

impl Shake {
    /// A good handshake but for `changes`: a header of the same name goes, one with an empty value is left
    /// out altogether.
    fn new(
        section: &'static str,
        name: &'static str,
        changes: &[(&'static str, &'static str)],
        want: Want,
    ) -> Self {
        let usual = [
            ("Host", "test"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        let kept = usual
            .into_iter()
            .filter(|(name, _)| changes.iter().all(|(changed, _)| !changed.eq_ignore_ascii_case(name)));
        let headers = kept.chain(changes.iter().copied()).filter(|(_, value)| !value.is_empty()).collect();
        Self { name, section, line: ("GET", "HTTP/1.1"), headers, want }
    }

    fn with_line(self, method: &'static str, version: &'static str) -> Self {
        Self { line: (method, version), ..self }
    }

    fn request(&self, openid: &str) -> String {
        let (method, version) = self.line;
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{method} /{openid}?to_user_openid=bob&code=dev:{openid} {version}\r\n{headers}\r\n")
    }
}

fn cases() -> Vec<Shake> {
    use Want::{Accepted, Refused, RefusedWithVersion};
    let plain = Accepted(None);
    vec![
        Shake::new("1.3", "the RFC's key", &[], plain),
        Shake::new("4.2.1", "websocket in mixed case", &[("Upgrade", "WebSocket")], plain),
        Shake::new("4.2.1", "upgrade in small letters", &[("Connection", "upgrade")], plain),
        Shake::new("4.2.1", "upgrade in capitals", &[("Connection", "UPGRADE")], plain),
        Shake::new("4.2.1", "upgrade before another token", &[("Connection", "upgrade, keep-alive")], plain),
        Shake::new("4.2.1", "upgrade after another token", &[("Connection", "keep-alive, Upgrade")], plain),
        Shake::new(
            "4.2.1",
            "header names in small letters",
            &[("sec-websocket-key", KEY), ("upgrade", "websocket")],
            plain,
        ),
        Shake::new(
            "4.2.1",
            "header names in capitals",
            &[("SEC-WEBSOCKET-KEY", KEY), ("CONNECTION", "Upgrade")],
            plain,
        ),
        Shake::new("4.2.1", "headers that it does not know", &[("X-Unknown", "1"), ("Cookie", "a=b")], plain),
        Shake::new(
            "9.1",
            "an extension, which is not taken",
            &[("Sec-WebSocket-Extensions", "permessage-deflate")],
            plain,
        ),
        Shake::new(
            "4.2.2",
            "a subprotocol that it has",
            &[("Sec-WebSocket-Protocol", "hongyan.v1")],
            Accepted(Some("hongyan.v1")),
        ),
        Shake::new(
            "4.2.2",
            "several, of which it has one",
            &[("Sec-WebSocket-Protocol", "chat, hongyan.v1")],
            Accepted(Some("hongyan.v1")),
        ),
        Shake::new(
            "4.2.2",
            "subprotocols that it has not",
            &[("Sec-WebSocket-Protocol", "chat, superchat")],
            plain,
        ),
        Shake::new("4.2.1", "no Host", &[("Host", "")], Refused),
        Shake::new("4.2.1", "no Upgrade", &[("Upgrade", "")], Refused),
        Shake::new("4.2.1", "an upgrade to something else", &[("Upgrade", "h2c")], Refused),
        Shake::new("4.2.1", "no Connection", &[("Connection", "")], Refused),
        Shake::new("4.2.1", "a connection that is not upgraded", &[("Connection", "keep-alive")], Refused),
        Shake::new("4.2.1", "no key", &[("Sec-WebSocket-Key", "")], Refused),
        Shake::new("4.2.1", "a short key", &[("Sec-WebSocket-Key", "c2hvcnQ=")], Refused),
        Shake::new("4.2.1", "a long key", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZSBhbmQ=")], Refused),
        Shake::new(
            "4.2.1",
            "a key that is no base64",
            &[("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!==")],
            Refused,
        ),
        Shake::new("4.4", "no version", &[("Sec-WebSocket-Version", "")], RefusedWithVersion),
        Shake::new("4.4", "version 8", &[("Sec-WebSocket-Version", "8")], RefusedWithVersion),
        Shake::new("4.4", "version 14", &[("Sec-WebSocket-Version", "14")], RefusedWithVersion),
        Shake::new(
            "4.4",
            "a version that is no number",
            &[("Sec-WebSocket-Version", "x")],
            RefusedWithVersion,
        ),
        Shake::new("4.2.1", "POST", &[("Content-Length", "0")], Refused).with_line("POST", "HTTP/1.1"),
        Shake::new("4.2.1", "HEAD", &[], Refused).with_line("HEAD", "HTTP/1.1"),
        Shake::new("4.2.1", "HTTP/1.0", &[], Refused).with_line("GET", "HTTP/1.0"),
    ]
}

/// Holds the server to every case, over both transports.
pub async fn hold() {
    let cases = cases();
    let mut failed = Vec::new();
    for transport in ["takeover", "actix-web-actors"] {
        let server = Server::with([("server.transport", transport)]).await;
        for (n, case) in cases.iter().enumerate() {
            let mut raw = server.raw().await;
            raw.send(case.request(&format!("user{n}")).as_bytes()).await;
            if let Err(why) = judge(&mut raw, case.want).await {
                failed.push(format!("{} (RFC 6455 §{}, {transport}): {why}", case.name, case.section));
            }
        }
    }
    report("handshake", 2 * cases.len(), &failed);
}

async fn judge(raw: &mut Raw, want: Want) -> Result<(), String> {
    let head = raw.head().await;
    let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let value = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let is = |name: &str, wanted: &str| value(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
    let right = match want {
        Want::Accepted(subprotocol) => {
            status == 101
                && is("Upgrade", "websocket")
                && is("Connection", "upgrade")
                && value("Sec-WebSocket-Accept") == Some(ACCEPT)
                && value("Sec-WebSocket-Extensions").is_none()
                && value("Sec-WebSocket-Protocol") == subprotocol
        }
        Want::Refused => (400..500).contains(&status),
        Want::RefusedWithVersion => {
            (400..500).contains(&status) && value("Sec-WebSocket-Version") == Some("13")
        }
    };
    if right { Ok(()) } else { Err(format!("answered {}", head.trim_end().replace("\r\n", " | "))) }
}
