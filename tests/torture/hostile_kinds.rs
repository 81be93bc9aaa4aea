//! Ten kinds of hostile inputs, made from random numbers.

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::harness::raw::{frame, header};

/// Stands in every text.
pub const CANARY: &str = "hostile-canary-text";

pub struct Input {
    /// A session is opened first; the bytes are its client's.
    pub shakes_hands: bool,
    pub token: String,
    pub bytes: Vec<u8>,
}

pub struct Kind {
    pub name: &'static str,
    /// From random numbers, the OpenAPI document and a token that holds.
    pub make: fn(&mut StdRng, &Value, &str) -> Input,
}

pub const KINDS: [Kind; 10] = [
    Kind { name: "mutated frames", make: |rng, _, token| session(token, mutated_frame(rng)) },
    Kind { name: "bad UTF-8", make: |rng, _, token| session(token, bad_utf8(rng)) },
    Kind { name: "deep JSON", make: |rng, _, token| session(token, deep(rng)) },
    Kind { name: "huge numbers", make: |rng, _, token| session(token, huge_numbers(rng)) },
    Kind { name: "fragments", make: |rng, _, token| session(token, fragments(rng)) },
    Kind { name: "ping floods", make: |rng, _, token| session(token, pings(rng)) },
    Kind { name: "frame bombs", make: |rng, _, token| session(token, bomb(rng)) },
    Kind { name: "half handshakes", make: |rng, _, token| stranger(half_handshake(rng, token)) },
    Kind { name: "wild headers", make: |rng, _, token| stranger(wild_headers(rng, token)) },
    Kind {
        name: "mutated requests",
        make: |rng, document, token| stranger(mutated_request(rng, document, token)),
    },
];

fn session(token: &str, bytes: Vec<u8>) -> Input {
    Input { shakes_hands: true, token: token.to_owned(), bytes }
}

fn stranger(bytes: Vec<u8>) -> Input {
    Input { shakes_hands: false, token: String::new(), bytes }
}

fn pick<'a, T: ?Sized>(rng: &mut StdRng, from: &[&'a T]) -> &'a T {
    from[rng.random_range(0..from.len())]
}

/// One good frame of each type.
fn good(rng: &mut StdRng) -> String {
    let id: u32 = rng.random();
    let frames = [
        format!(
            r#"{{"type":"text","to_user_openid":"victim","client_msg_id":"{id}","message":"{CANARY}","date":"x","extra":[1,2.5,null]}}"#
        ),
        format!(
            r#"{{"type":"image","to_user_openid":"mallory","client_msg_id":"{id}","message":"{CANARY}","width":640}}"#
        ),
        format!(
            r#"{{"type":"recall","id":"{id}","to_user_openid":"victim","target_seq":1,"client_msg_id":"{id}r"}}"#
        ),
        format!(r#"{{"type":"read","id":"{id}","to_user_openid":"victim","seq":3}}"#),
        r#"{"type":"recv","to_user_openid":"victim","seq":3}"#.to_owned(),
        r#"{"type":"typing","to_user_openid":"victim"}"#.to_owned(),
        r#"{"type":"open","to_user_openid":null}"#.to_owned(),
        r#"{"type":"background"}"#.to_owned(),
        format!(
            r#"{{"type":"sync","id":"{id}","since":"1795487337887","conversations":{{"victim":2,"ben":0}},"limit":20}}"#
        ),
        format!(r#"{{"type":"heart","id":"{id}"}}"#),
    ];
    frames[rng.random_range(0..frames.len())].clone()
}

/// Some bytes flipped, put in, taken out or doubled.
fn mutate(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..=8) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..4) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes.insert(at, rng.random()),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let part = bytes[at..(at + 20).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

/// The text mutated within its frame, or the frame with its header.
fn mutated_frame(rng: &mut StdRng) -> Vec<u8> {
    let mut text = good(rng).into_bytes();
    if rng.random() {
        mutate(rng, &mut text);
        return frame(0x81, &text);
    }
    let mut bytes = frame(0x81, &text);
    mutate(rng, &mut bytes);
    bytes
}

fn bad_utf8(rng: &mut StdRng) -> Vec<u8> {
    const BAD: [&[u8]; 7] = [
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe9\x9b",
        b"\x80",
        b"\xf8\x88\x80\x80\x80",
    ];
    let mut text = good(rng).into_bytes();
    let at = rng.random_range(0..=text.len());
    text.splice(at..at, pick(rng, &BAD).iter().copied());
    if rng.random() {
        return frame(0x81, &text);
    }
    let cut = rng.random_range(0..=text.len());
    [frame(0x01, &text[..cut]), frame(0x80, &text[cut..])].concat()
}

fn deep(rng: &mut StdRng) -> Vec<u8> {
    let depth = rng.random_range(1..12_000);
    let (open, close) = if rng.random() { ("[", "]") } else { ("{\"a\":", "}") };
    let ends = if rng.random() { close.repeat(depth) } else { String::new() };
    let field = pick(rng, &["extra", "message", "id", "conversations", "seq"]);
    frame(
        0x81,
        format!(r#"{{"type":"text","text":"{CANARY}","{field}":{}1{ends}}}"#, open.repeat(depth.min(12_000)))
            .as_bytes(),
    )
}

fn huge_numbers(rng: &mut StdRng) -> Vec<u8> {
    let digits = "9".repeat(rng.random_range(18..5_000));
    let numbers = [
        digits.as_str(),
        "1e999999999",
        "-1e999999999",
        "1e-999999999",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551616",
        "-0",
        "0.1e1",
        "1.0",
        "00",
        "+1",
        "NaN",
        "Infinity",
        "0x10",
        "1e",
        "-",
    ];
    let n = pick(rng, &numbers);
    let text = match rng.random_range(0..6) {
        0 => format!(r#"{{"type":"read","id":"1","to_user_openid":"victim","seq":{n}}}"#),
        1 => format!(r#"{{"type":"recv","to_user_openid":"victim","seq":{n}}}"#),
        2 => format!(r#"{{"type":"recall","client_msg_id":"r","to_user_openid":"victim","target_seq":{n}}}"#),
        3 => format!(r#"{{"type":"sync","since":"{n}","conversations":{{"victim":{n}}},"limit":{n}}}"#),
        4 => format!(
            r#"{{"type":"text","to_user_openid":"victim","client_msg_id":"{}","message":"{CANARY}","extra":{n}}}"#,
            rng.random::<u32>()
        ),
        _ => n.to_owned(),
    };
    frame(0x81, text.as_bytes())
}

/// A text cut anywhere, with what does not belong there in between.
fn fragments(rng: &mut StdRng) -> Vec<u8> {
    let text = good(rng).into_bytes();
    let mut bytes = Vec::new();
    let mut rest = text.as_slice();
    for n in 0..rng.random_range(1..30) {
        let (part, left) = rest.split_at(rng.random_range(0..=rest.len().min(40)));
        rest = left;
        bytes.extend(frame(if n == 0 { 0x01 } else { 0x00 }, part));
        match rng.random_range(0..12) {
            0 => bytes.extend(frame(0x89, b"between")),
            1 => bytes.extend(frame(0x09, b"a ping in parts")),
            2 => bytes.extend(frame(0x81, b"{}")),
            3 => bytes.extend(frame(0x02, b"other")),
            _ => {}
        }
    }
    if rng.random() {
        bytes.extend(frame(0x80, rest));
    }
    bytes
}

fn pings(rng: &mut StdRng) -> Vec<u8> {
    let payload: Vec<u8> = (0..rng.random_range(0..=125)).map(|_| rng.random()).collect();
    frame(if rng.random() { 0x89 } else { 0x8A }, &payload).repeat(rng.random_range(100..1_500))
}

/// More is announced than may come, and some of it comes.
fn bomb(rng: &mut StdRng) -> Vec<u8> {
    let announced = match rng.random_range(0..4) {
        0 => rng.random_range(65_537..1 << 20),
        1 => rng.random_range(1 << 20..1 << 40),
        2 => u64::MAX >> 1,
        _ => u64::MAX,
    };
    let mut bytes = header(pick(rng, &[&0x81, &0x01, &0x82, &0x80, &0x89]).to_owned(), announced);
    bytes.resize(bytes.len() + rng.random_range(0..300_000), b'x');
    bytes
}

fn handshake(rng: &mut StdRng, token: &str) -> String {
    let protocol = pick(rng, &["hongyan.v1", "hongyan.v1, bearer.x", "bearer.x", "chat", ",,", ""]);
    format!(
        "GET /mallory?to_user_openid=victim&device=d&code={CANARY} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
}

fn half_handshake(rng: &mut StdRng, token: &str) -> Vec<u8> {
    let head = handshake(rng, token).into_bytes();
    let mut bytes = head[..rng.random_range(0..head.len())].to_vec();
    if rng.random() {
        mutate(rng, &mut bytes);
    }
    bytes
}

/// A handshake among headers that nobody sends.
fn wild_headers(rng: &mut StdRng, token: &str) -> Vec<u8> {
    const NAMES: [&str; 18] = [
        "Host",
        "Upgrade",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Expect",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Origin",
        "Authorization",
        "X-Forwarded-For",
        "Forwarded",
        "Cookie",
        "Range",
        "X Y",
        ":",
    ];
    const VALUES: [&str; 14] = [
        "websocket",
        "h2c",
        "chunked",
        "identity, chunked",
        "-1",
        "99999999999999999999",
        "0",
        "100-continue",
        "Bearer",
        "\u{0}",
        "\t ",
        "é, \u{1F426}",
        "bytes=0-",
        "permessage-deflate; client_max_window_bits=99",
    ];
    let head = handshake(rng, token);
    let mut lines: Vec<String> = head.trim_end().split("\r\n").map(str::to_owned).collect();
    for _ in 0..rng.random_range(1..8) {
        let value = if rng.random_ratio(1, 6) {
            "x".repeat(rng.random_range(1_000..20_000))
        } else {
            pick(rng, &VALUES).to_owned()
        };
        let line = format!("{}: {value}", pick(rng, &NAMES));
        lines.insert(rng.random_range(1..=lines.len()), line);
    }
    if rng.random_ratio(1, 8) {
        lines.extend((0..rng.random_range(50..400)).map(|n| format!("X-{n}: y")));
    }
    (lines.join(pick(rng, &["\r\n", "\r\n", "\r\n", "\n", "\r\n "])) + "\r\n\r\n").into_bytes()
}

/// A call of the document with values that are wrong or strange, then mutated.
fn mutated_request(rng: &mut StdRng, document: &Value, token: &str) -> Vec<u8> {
    const STRANGE: [&str; 14] = [
        "",
        "victim",
        "%00",
        "%ff%fe",
        "..%2f..%2fetc",
        "%",
        "%zz",
        "-1",
        "99999999999999999999",
        "1e9",
        "null",
        "'%20OR%201=1--",
        "a%20b",
        "%F0%9F%90%A6",
    ];
    let paths: Vec<_> = document["paths"].as_object().unwrap().iter().collect();
    let (path, item) = paths[rng.random_range(0..paths.len())];
    let methods: Vec<_> = item.as_object().unwrap().iter().collect();
    let (method, call) = methods[rng.random_range(0..methods.len())];
    let mut target = path.clone();
    for (at, name) in ["{peer}", "{openid}", "{sha256}"]
        .iter()
        .filter_map(|name| Some((target.find(name)?, *name)))
        .collect::<Vec<_>>()
    {
        let value = if rng.random() {
            "x".repeat(rng.random_range(1..6_000))
        } else {
            pick(rng, &STRANGE).to_owned()
        };
        target.replace_range(at..at + name.len(), &value);
    }
    let parameters = call["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    for (n, parameter) in parameters.iter().filter(|p| p["in"] == "query").enumerate() {
        let value = pick(rng, &STRANGE);
        target +=
            &format!("{}{}={value}", if n == 0 { "?" } else { "&" }, parameter["name"].as_str().unwrap());
    }
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "{\"code\":\"dev-error:40029\"}",
        "{\"code\":7}",
        "{\"all\":\"x\"}",
        "{\"peer\":\"victim\",\"seq\":1e400}",
        "{\"peer\":\"\\u0000\",\"seq\":-1}",
        "{\"nickname\":\"\\ud800\",\"avatar\":\"\"}",
        "{\"nickname\":\"\\u202e\",\"avatar\":\"iVBORw0KGgo=\"}",
        "\u{feff}{}",
        CANARY,
    ];
    let mut body = pick(rng, &bodies).as_bytes().to_vec();
    if rng.random_ratio(1, 5) {
        body.resize(rng.random_range(900..40_000), b' ');
    }
    let length = if rng.random_ratio(1, 8) { rng.random_range(0..100_000) } else { body.len() };
    let method = if rng.random_ratio(1, 10) {
        pick(rng, &["PATCH", "OPTIONS", "TRACE", "HEAD", "CONNECT", "x"]).to_owned()
    } else {
        method.to_uppercase()
    };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut bytes = [head.as_bytes(), &body].concat();
    if rng.random_ratio(1, 3) {
        mutate(rng, &mut bytes);
    }
    bytes
}
