//! §5.5, §5.5.2, §5.5.3: pings and pongs.

use super::case::{Case, Said, frame, ping, said, text, written};

fn pong(payload: &[u8]) -> Said {
    Said::Pong(payload.to_vec())
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::good("5.5.2", "a ping without data", &[ping(b"")], vec![pong(b"")]),
        Case::good("5.7", "the RFC's ping", &[ping(b"Hello")], vec![pong(b"Hello")]),
        Case::good(
            "5.5.2",
            "a ping with bytes that are no text",
            &[ping(&[0, 255, 254, 253, 252, 251, 0])],
            vec![pong(&[0, 255, 254, 253, 252, 251, 0])],
        ),
        Case::good("5.5", "a ping of 125 bytes", &[ping(&[0xFE; 125])], vec![pong(&[0xFE; 125])]),
        Case::good("5.5.2", "a ping before a text", &[ping(b"p"), text("t")], vec![pong(b"p"), said("t")]),
        Case::good("5.5.2", "a ping after a text", &[text("t"), ping(b"p")], vec![said("t"), pong(b"p")]),
        Case::good("5.5.3", "a pong that nobody asked for", &[frame(0x8A, b"x")], vec![]),
        Case::good("5.5.3", "a pong without data", &[frame(0x8A, b"")], vec![]),
        Case::good(
            "5.5.3",
            "pongs around a ping",
            &[frame(0x8A, b"x"), ping(b"p"), frame(0x8A, b"p")],
            vec![pong(b"p")],
        ),
        Case::good("5.5", "a pong of 125 bytes", &[frame(0x8A, &[1; 125])], vec![]),
    ];
    let counted: Vec<Vec<u8>> = (0..50_u8).map(|n| vec![n]).collect();
    let pings: Vec<_> = counted.iter().map(|data| ping(data)).collect();
    cases.push(Case::good(
        "5.5.2",
        "50 pings, each answered in its turn",
        &pings,
        counted.iter().map(|data| pong(data)).collect(),
    ));
    for (name, opcode) in [("ping", 0x9), ("pong", 0xA), ("close", 0x8)] {
        cases.push(Case::fault(
            "5.5",
            format!("a {name} of 126 bytes"),
            &[frame(0x80 | opcode, &[3; 126])],
            1002,
        ));
        cases.push(Case::fault(
            "5.5",
            format!("a {name} of 65536 bytes"),
            &[frame(0x80 | opcode, &[3; 65_536])],
            1002,
        ));
        cases.push(Case::fault(
            "5.5",
            format!("a {name} in fragments"),
            &[frame(opcode, b""), frame(0x80, b"")],
            1002,
        ));
        cases.push(Case::fault(
            "5.5",
            format!("a {name} with a long length for few bytes"),
            &[written(0x80 | opcode, 126, &[0, 3], b"abc")],
            1002,
        ));
    }
    cases
}
