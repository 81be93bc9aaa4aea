//! As much of XMPP (RFC 6120, 6121) as a load needs: log in by SASL PLAIN, bind, be present, send messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub const PASSWORD: &str = "secret";
pub const HOST: &str = "localhost";

/// Opens a stream; after the login a second one.
pub const OPEN: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";

/// The element at the start of `bytes`, whole, and the bytes it takes with what stands before it. The header
/// of a stream has no end and comes alone. Servers write `>` within values as `&gt;`, so a tag ends with the
/// first.
pub fn first(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let next =
        |from: usize, wanted: u8| bytes[from..].iter().position(|byte| *byte == wanted).map(|n| from + n);
    let start = next(0, b'<')?;
    let (mut at, mut depth) = (start, 0);
    loop {
        let open = next(at, b'<')?;
        at = next(open, b'>')? + 1;
        let tag = &bytes[open..at];
        if tag.starts_with(b"</") {
            depth -= 1;
        } else if !(tag.starts_with(b"<?") || tag.starts_with(b"<stream:stream") || tag.ends_with(b"/>")) {
            depth += 1;
        }
        if depth <= 0 {
            return Some((&bytes[start..at], at));
        }
    }
}

pub fn is_error(element: &[u8]) -> bool {
    let tag = element.split(|byte| *byte == b'>').next().unwrap_or_default();
    holds(tag, "type='error'") || holds(tag, "type=\"error\"")
}

/// What a client answers on its way to being present; empty where it has to wait, none where it cannot go on.
pub fn answer(element: &[u8], user: &str) -> Option<String> {
    let is = |start: &str| element.starts_with(start.as_bytes());
    if is("<?xml") || is("<stream:stream") {
        Some(String::new())
    } else if is("<stream:features") && holds(element, "<mechanism>PLAIN<") {
        let login = STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
        Some(format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{login}</auth>"))
    } else if is("<success") {
        Some(OPEN.to_owned())
    } else if is("<stream:features") && holds(element, "urn:ietf:params:xml:ns:xmpp-bind") {
        Some("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>".to_owned())
    } else if is("<iq") && !is_error(element) {
        Some("<presence/>".to_owned())
    } else {
        None
    }
}

pub fn message(to: &str, id: &str, text: &str) -> String {
    format!("<message type='chat' to='{to}@{HOST}' id='{id}'><body>{text}</body></message>")
}

fn holds(element: &[u8], wanted: &str) -> bool {
    element.windows(wanted.len()).any(|part| part == wanted.as_bytes())
}
