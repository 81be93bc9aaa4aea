//! §5.1 to §5.3, §5.7: headers, lengths, masks, reserved bits, opcodes.

use super::case::{Case, MASK, frame, said, text, written};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::good(
            "5.7",
            "the RFC's masked Hello",
            &[vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]],
            vec![said("Hello")],
        ),
        Case::good("5.3", "a mask of zeros", &[vec![0x81, 0x82, 0, 0, 0, 0, b'h', b'i']], vec![said("hi")]),
        Case::good(
            "5.3",
            "a mask of ones",
            &[vec![0x81, 0x82, 255, 255, 255, 255, !b'h', !b'i']],
            vec![said("hi")],
        ),
        Case::good("5.3", "an empty frame with a mask", &[text("")], vec![said("")]),
        Case::good(
            "5.1",
            "one text after another",
            &[text("a"), text("b"), text("c")],
            vec![said("a"), said("b"), said("c")],
        ),
        Case::fault("5.1", "an unmasked text", &[vec![0x81, 2, b'h', b'i']], 1002),
        Case::fault("5.1", "an unmasked empty text", &[vec![0x81, 0]], 1002),
        Case::fault("5.1", "an unmasked ping", &[vec![0x89, 0]], 1002),
        Case::fault("5.1", "an unmasked close, which is a proxy's", &[vec![0x88, 0]], 1001),
        Case::fault("5.1", "an unmasked continuation", &[frame(0x01, b"a"), vec![0x80, 1, b'b']], 1002),
        Case::fault(
            "5.6",
            "a binary frame, which this server does not take",
            &[frame(0x82, b"\x01\x02")],
            1003,
        ),
        Case::fault("5.6", "an empty binary frame", &[frame(0x82, b"")], 1003),
    ];
    for length in [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 4_095, 65_534, 65_535, 65_536] {
        let payload = letters(length);
        cases.push(Case::good(
            "5.2",
            format!("a text of {length} bytes"),
            &[text(&payload)],
            vec![said(&payload)],
        ));
    }
    for (name, short, extended, length) in [
        ("0 in 16 bits", 126, &[0, 0][..], 0),
        ("1 in 16 bits", 126, &[0, 1], 1),
        ("125 in 16 bits", 126, &[0, 125], 125),
        ("0 in 64 bits", 127, &[0; 8], 0),
        ("125 in 64 bits", 127, &[0, 0, 0, 0, 0, 0, 0, 125], 125),
        ("126 in 64 bits", 127, &[0, 0, 0, 0, 0, 0, 0, 126], 126),
        ("65535 in 64 bits", 127, &[0, 0, 0, 0, 0, 0, 255, 255], 65_535),
    ] {
        let bytes = written(0x81, short, extended, letters(length).as_bytes());
        cases.push(Case::fault(
            "5.2",
            format!("a length that is not in its shortest form: {name}"),
            &[bytes],
            1002,
        ));
    }
    for (name, extended, code) in [
        ("with the highest bit", [0x80, 0, 0, 0, 0, 0, 0, 1], 1002),
        ("of all ones", [0xFF; 8], 1002),
        ("of 63 bits", [0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], 1009),
        ("of 4 GiB", [0, 0, 0, 1, 0, 0, 0, 0], 1009),
        ("of one byte more than is taken", [0, 0, 0, 0, 0, 1, 0, 1], 1009),
    ] {
        cases.push(Case::fault(
            "5.2",
            format!("a length {name}"),
            &[written(0x81, 127, &extended, b"")],
            code,
        ));
    }
    for (name, bits) in [("RSV1", 0x40), ("RSV2", 0x20), ("RSV3", 0x10), ("all three", 0x70)] {
        cases.push(Case::fault("5.2", format!("{name} in a text"), &[frame(0x81 | bits, b"x")], 1002));
        cases.push(Case::fault("5.2", format!("{name} in a ping"), &[frame(0x89 | bits, b"")], 1002));
        cases.push(Case::fault(
            "5.2",
            format!("{name} in a continuation"),
            &[frame(0x01, b"x"), frame(0x80 | bits, b"y")],
            1002,
        ));
        cases.push(Case::fault("5.2", format!("{name} in a close"), &[frame(0x88 | bits, b"")], 1002));
    }
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        cases.push(Case::fault(
            "5.2",
            format!("the reserved opcode {opcode:X}"),
            &[frame(0x80 | opcode, b"x")],
            1002,
        ));
        cases.push(Case::fault(
            "5.2",
            format!("the reserved opcode {opcode:X}, empty"),
            &[frame(0x80 | opcode, b"")],
            1002,
        ));
    }
    for (name, sent) in [
        ("nothing at all", vec![]),
        ("half a header", vec![0x81]),
        ("a header without its mask", vec![0x81, 0x85, MASK[0]]),
        ("a frame without its end", text("hello")[..9].to_vec()),
    ] {
        let mut case = Case::new("7.1.1", format!("the client's end after {name}"), sent, vec![]);
        case.hangs_up = true;
        cases.push(case);
    }
    cases
}

fn letters(length: usize) -> String {
    ('a'..='z').cycle().take(length).collect()
}
