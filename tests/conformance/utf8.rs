//! §5.6, §8.1: a text is UTF-8 (RFC 3629), whole or in fragments.

use super::case::{Case, frame, said, text};

/// The first and last of each length and of the gap of the surrogates, and what is often taken for invalid
/// and is not.
const GOOD: [(&str, &str); 15] = [
    ("U+0000", "\u{0}"),
    ("U+007F", "\u{7F}"),
    ("U+0080", "\u{80}"),
    ("U+07FF", "\u{7FF}"),
    ("U+0800", "\u{800}"),
    ("U+D7FF", "\u{D7FF}"),
    ("U+E000", "\u{E000}"),
    ("U+FFFD", "\u{FFFD}"),
    ("U+FEFF, the byte order mark", "\u{FEFF}"),
    ("U+FFFE, no character", "\u{FFFE}"),
    ("U+FFFF, no character", "\u{FFFF}"),
    ("U+10000", "\u{10000}"),
    ("U+1FFFF, no character", "\u{1FFFF}"),
    ("U+10FFFF", "\u{10FFFF}"),
    ("words of several scripts", "Hello-µ@ßöäüàá-鸿雁-κόσμε-😀"),
];

const BAD: [(&str, &[u8]); 24] = [
    ("a lone continuation byte", b"\x80"),
    ("the last continuation byte", b"\xBF"),
    ("U+002F in two bytes", b"\xC0\xAF"),
    ("U+0000 in two bytes", b"\xC0\x80"),
    ("U+007F in two bytes", b"\xC1\xBF"),
    ("U+002F in three bytes", b"\xE0\x80\xAF"),
    ("U+07FF in three bytes", b"\xE0\x9F\xBF"),
    ("U+FFFF in four bytes", b"\xF0\x8F\xBF\xBF"),
    ("U+0000 in four bytes", b"\xF0\x80\x80\x80"),
    ("U+D800, a surrogate", b"\xED\xA0\x80"),
    ("U+DBFF, a surrogate", b"\xED\xAF\xBF"),
    ("U+DC00, a surrogate", b"\xED\xB0\x80"),
    ("U+DFFF, a surrogate", b"\xED\xBF\xBF"),
    ("a pair of surrogates", b"\xED\xA0\xBD\xED\xB8\x80"),
    ("U+110000", b"\xF4\x90\x80\x80"),
    ("a byte F5", b"\xF5\x80\x80\x80"),
    ("five bytes", b"\xF8\x88\x80\x80\x80"),
    ("six bytes", b"\xFC\x84\x80\x80\x80\x80"),
    ("a byte FE", b"\xFE"),
    ("a byte FF", b"\xFF"),
    ("one of two bytes", b"\xC3"),
    ("two of three bytes", b"\xE9\x9B"),
    ("three of four bytes", b"\xF0\x9F\x98"),
    ("a character cut by another", b"\xE9\x9Bx"),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, good) in GOOD {
        cases.push(Case::good("8.1", name, &[text(good)], vec![said(good)]));
        // Every byte is a fragment of its own, as far as fragments are taken.
        let bytes = good.as_bytes();
        let single: Vec<Vec<u8>> = bytes.iter().take(14).map(|byte| frame(0x00, &[*byte])).collect();
        let rest = frame(0x80, bytes.get(14..).unwrap_or_default());
        let all = [vec![frame(0x01, b"")], single, vec![rest]].concat();
        cases.push(Case::good("5.4", format!("{name}, each byte a fragment"), &all, vec![said(good)]));
    }
    for (name, bad) in BAD {
        let amid = [b"good ", bad].concat();
        cases.push(Case::fault("8.1", name, &[frame(0x81, bad)], 1007));
        cases.push(Case::fault("8.1", format!("{name}, after good text"), &[frame(0x81, &amid)], 1007));
        let (start, end) = amid.split_at(amid.len() - 1);
        cases.push(Case::fault(
            "8.1",
            format!("{name}, in fragments"),
            &[frame(0x01, start), frame(0x80, end)],
            1007,
        ));
    }
    let snow = "雪".as_bytes();
    cases.push(Case::fault(
        "8.1",
        "a character that goes on in the next message",
        &[frame(0x81, &snow[..2]), frame(0x81, &snow[2..])],
        1007,
    ));
    cases.push(Case::fault(
        "8.1",
        "a character that an empty fragment ends",
        &[frame(0x01, &snow[..2]), frame(0x80, b"")],
        1007,
    ));
    cases
}
