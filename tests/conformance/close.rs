//! §5.5.1, §7: the closing handshake.

use super::case::{Case, Said, close, frame, ping, said, text};

/// §7.4.1, IANA's registry for 1012 to 1014, and §7.4.2.
const GOOD: [u16; 16] =
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];

const BAD: [u16; 16] =
    [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1100, 2000, 2999, 5000, 9999, 32_768, 65_535];

pub fn cases() -> Vec<Case> {
    let answered =
        |section, name: &str, sent: Vec<u8>, code| Case::new(section, name, sent, vec![Said::Close(code)]);
    let mut cases = vec![
        answered("5.5.1", "a close without a body", frame(0x88, b""), None),
        answered("5.5.1", "a close with a reason", close(1000, b"bye"), Some(1000)),
        answered("5.5.1", "a reason of 123 bytes", close(1000, &[b'x'; 123]), Some(1000)),
        answered("5.5.1", "a reason in several scripts", close(1000, "再见 ±".as_bytes()), Some(1000)),
        Case::fault("5.5.1", "a body of one byte", &[frame(0x88, b"\x03")], 1002),
        Case::fault("5.5", "a reason of 124 bytes", &[close(1000, &[b'x'; 124])], 1002),
        Case::good(
            "5.5.1",
            "a close after a text, which is answered first",
            &[text("last words")],
            vec![said("last words")],
        ),
        Case::good("5.5.1", "a close after a ping", &[ping(b"p")], vec![Said::Pong(b"p".to_vec())]),
    ];
    for code in GOOD {
        cases.push(answered("7.4", &format!("code {code}"), close(code, b""), Some(code)));
    }
    for code in BAD {
        cases.push(Case::fault("7.4", format!("code {code}"), &[close(code, b"")], 1002));
        cases.push(Case::fault("7.4", format!("code {code} with a reason"), &[close(code, b"bye")], 1002));
    }
    for (name, reason) in
        [("a byte FF", &b"\xFF"[..]), ("half a character", b"bye \xE9\x9B"), ("a surrogate", b"\xED\xA0\x80")]
    {
        cases.push(Case::fault("8.1", format!("a reason with {name}"), &[close(1000, reason)], 1002));
    }
    for (name, after) in [
        ("a text", text("late")),
        ("a ping", ping(b"late")),
        ("another close", close(1001, b"")),
        ("broken framing", vec![0xFF; 20]),
    ] {
        let mut case = answered(
            "5.5.1",
            &format!("{name} after the close is ignored"),
            [close(1000, b""), after].concat(),
            Some(1000),
        );
        case.may_reset = true;
        cases.push(case);
    }
    cases
}
