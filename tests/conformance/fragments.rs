//! §5.4: messages in fragments.

use super::case::{Case, Said, close, frame, ping, said, text};

fn first(payload: &[u8]) -> Vec<u8> {
    frame(0x01, payload)
}

fn next(payload: &[u8]) -> Vec<u8> {
    frame(0x00, payload)
}

fn last(payload: &[u8]) -> Vec<u8> {
    frame(0x80, payload)
}

fn pong(payload: &[u8]) -> Said {
    Said::Pong(payload.to_vec())
}

pub fn cases() -> Vec<Case> {
    let many = |count: usize| [vec![first(b"x")], vec![next(b"y"); count - 2], vec![last(b"z")]].concat();
    let mut cases = vec![
        Case::good("5.7", "the RFC's Hel and lo", &[first(b"Hel"), last(b"lo")], vec![said("Hello")]),
        Case::good("5.4", "three fragments", &[first(b"a"), next(b"b"), last(b"c")], vec![said("abc")]),
        Case::good(
            "5.4",
            "fragments that are all empty",
            &[first(b""), next(b""), last(b"")],
            vec![said("")],
        ),
        Case::good("5.4", "an empty first fragment", &[first(b""), last(b"x")], vec![said("x")]),
        Case::good("5.4", "an empty middle", &[first(b"a"), next(b""), last(b"b")], vec![said("ab")]),
        Case::good("5.4", "an empty last fragment", &[first(b"x"), last(b"")], vec![said("x")]),
        Case::good(
            "5.4",
            "two messages in fragments",
            &[first(b"a"), last(b"b"), first(b"c"), last(b"d")],
            vec![said("ab"), said("cd")],
        ),
        Case::good(
            "5.4",
            "a whole message after one in fragments",
            &[first(b"a"), last(b"b"), text("c")],
            vec![said("ab"), said("c")],
        ),
        Case::good(
            "5.4",
            "as many fragments as are taken",
            &many(16),
            vec![said(format!("x{}z", "y".repeat(14)))],
        ),
        Case::good(
            "5.4",
            "a ping between fragments",
            &[first(b"a"), ping(b"p"), last(b"b")],
            vec![pong(b"p"), said("ab")],
        ),
        Case::good(
            "5.4",
            "pings between all fragments",
            &[first(b"a"), ping(b"1"), next(b"b"), ping(b"2"), ping(b"3"), last(b"c")],
            vec![pong(b"1"), pong(b"2"), pong(b"3"), said("abc")],
        ),
        Case::good(
            "5.4",
            "a pong between fragments",
            &[first(b"a"), frame(0x8A, b"p"), last(b"b")],
            vec![said("ab")],
        ),
        Case::good(
            "5.4",
            "an empty ping between empty fragments",
            &[first(b""), ping(b""), last(b"")],
            vec![pong(b""), said("")],
        ),
        Case::fault("5.4", "a continuation of nothing", &[next(b"x")], 1002),
        Case::fault("5.4", "a last fragment of nothing", &[last(b"x")], 1002),
        Case::fault("5.4", "an empty last fragment of nothing", &[last(b"")], 1002),
        Case::fault("5.4", "a text within a message", &[first(b"a"), text("b")], 1002),
        Case::fault("5.4", "a first fragment within a message", &[first(b"a"), first(b"b")], 1002),
        Case::fault("5.4", "a binary frame within a message", &[first(b"a"), frame(0x82, b"b")], 1002),
        Case::fault("5.4", "a text within an empty message", &[first(b""), text("b")], 1002),
        Case::fault("5.6", "a binary message in fragments", &[frame(0x02, b"a"), last(b"b")], 1003),
        Case::fault("7.4.1", "one fragment more than are taken", &many(17), 1009),
        Case::fault(
            "7.4.1",
            "fragments that are too long together",
            &[first(&[b'x'; 40_000]), last(&[b'x'; 40_000])],
            1009,
        ),
    ];
    let behind = [first(b"a"), last(b"b"), next(b"c")].concat();
    let bytes = [behind, text("too late")].concat();
    cases.push(Case::new(
        "5.4",
        "a continuation after the last",
        bytes,
        vec![said("ab"), Said::Close(Some(1002))],
    ));
    let half = Said::Close(Some(1001));
    cases.push(Case::new(
        "5.5.1",
        "a close within a message",
        [first(b"a"), close(1001, b"")].concat(),
        vec![half],
    ));
    let (x, y) = ("x".repeat(40_000), "y".repeat(25_536));
    cases.push(Case::good(
        "5.4",
        "long fragments",
        &[first(x.as_bytes()), last(y.as_bytes())],
        vec![said(x + &y)],
    ));
    cases
}
