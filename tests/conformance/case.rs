//! A case: what a client sends, and what must come back.

use std::sync::Mutex;

use super::GROUPS;

pub struct Case {
    pub name: String,
    /// Of RFC 6455.
    pub section: &'static str,
    pub sent: Vec<u8>,
    /// The client ends its half of the connection then.
    pub hangs_up: bool,
    /// The server ends the connection after this, in every case.
    pub want: Vec<Said>,
    /// Bytes that the server need not read may be met with a reset.
    pub may_reset: bool,
}

/// One thing that the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Text(Vec<u8>),
    Pong(Vec<u8>),
    /// With its code, where it has one.
    Close(Option<u16>),
}

impl Case {
    pub fn new(section: &'static str, name: impl Into<String>, sent: Vec<u8>, want: Vec<Said>) -> Self {
        Self { name: name.into(), section, sent, hangs_up: false, want, may_reset: false }
    }

    /// Frames that are in order, then a close by the client: `want` comes back, and the answer to the close.
    pub fn good(
        section: &'static str,
        name: impl Into<String>,
        frames: &[Vec<u8>],
        mut want: Vec<Said>,
    ) -> Self {
        want.push(Said::Close(Some(1000)));
        Self::new(section, name, [frames.concat(), close(1000, b"")].concat(), want)
    }

    /// Frames that end the connection with this code, and with nothing before it. What follows them is not
    /// looked at.
    pub fn fault(section: &'static str, name: impl Into<String>, frames: &[Vec<u8>], code: u16) -> Self {
        Self::new(section, name, [frames.concat(), text("too late")].concat(), vec![Said::Close(Some(code))])
    }
}

/// The mask of the RFC's own samples (§5.7).
pub const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub fn masked(payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

/// A masked frame whose length is written as given: the 7 bits, then the bytes that extend them.
pub fn written(first: u8, short: u8, extended: &[u8], payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | short][..], extended, &MASK, &masked(payload)].concat()
}

/// A masked frame; `first` is the byte with FIN, the reserved bits and the opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    match payload.len() {
        short @ 0..=125 => written(first, u8::try_from(short).unwrap(), &[], payload),
        middle @ 126..=0xFFFF => written(first, 126, &u16::try_from(middle).unwrap().to_be_bytes(), payload),
        long => written(first, 127, &(long as u64).to_be_bytes(), payload),
    }
}

pub fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes())
}

pub fn ping(payload: &[u8]) -> Vec<u8> {
    frame(0x89, payload)
}

pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes()[..], reason].concat())
}

pub fn said(text: impl AsRef<[u8]>) -> Said {
    Said::Text(text.as_ref().to_vec())
}

/// What a group came to; with the last one of a run goes the sum.
pub fn report(group: &str, cases: usize, failed: &[String]) {
    static SUM: Mutex<(usize, usize, usize)> = Mutex::new((0, 0, 0));
    println!("conformance: {group}: {cases} cases, {} failed", failed.len());
    let mut sum = SUM.lock().unwrap();
    *sum = (sum.0 + 1, sum.1 + cases, sum.2 + failed.len());
    if sum.0 == GROUPS {
        println!("conformance: {} cases, {} failed", sum.1, sum.2);
    }
    drop(sum);
    assert!(failed.is_empty(), "{group}: {} of {cases} cases failed\n{}", failed.len(), failed.join("\n"));
}
