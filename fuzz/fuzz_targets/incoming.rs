//! A socket's bytes, cut as a network may cut them: what is said never depends on the cutting, and what is kept has its bound.
#![no_main]

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream as _;
use hongyan::session::gate::Gate;
use hongyan::session::inbound::InboundLimits;
use hongyan::session::incoming::{Incoming, Incomings, Source};
use libfuzzer_sys::fuzz_target;

/// Small, so that short inputs reach them.
const LIMITS: InboundLimits = InboundLimits { frame_bytes: 300, fragments: 4 };

/// Header and mask of the largest frame.
const HEAD_BYTES: usize = 14;

struct Cut(VecDeque<Vec<u8>>);

impl Source for Cut {
    fn poll_bytes(&mut self, _: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<bool> {
        Poll::Ready(self.0.pop_front().map(|bytes| sink(&bytes)).is_some())
    }
}

/// Everything said in these pieces. `sparing`: credit comes back only where nothing is read without it.
fn said(pieces: VecDeque<Vec<u8>>, sparing: bool) -> Vec<String> {
    let longest = pieces.iter().map(Vec::len).max().unwrap_or(0);
    let kept_at_most = 2 * LIMITS.frame_bytes + HEAD_BYTES + longest;
    let gate = Gate::new();
    let mut incomings = Incomings::new(Cut(pieces), Bytes::new(), LIMITS, gate.clone());
    let mut all = Vec::new();
    let mut over = false;
    loop {
        let next = Pin::new(&mut incomings).poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(incomings.kept() <= kept_at_most, "{} bytes are kept", incomings.kept());
        match next {
            Poll::Ready(None) => return all,
            Poll::Ready(Some(one)) => {
                assert!(!over, "{one:?} after a fault");
                match &one {
                    Incoming::Text(text) => {
                        assert!(text.len() <= LIMITS.frame_bytes);
                        if !sparing {
                            gate.give_back(1);
                        }
                    }
                    Incoming::Ping(bytes) => assert!(bytes.len() <= 125),
                    Incoming::Fault(_) => over = true,
                    Incoming::Pong | Incoming::Close(_) => {}
                }
                all.push(format!("{one:?}"));
            }
            Poll::Pending => {
                assert!(gate.is_shut(), "it waits for bytes that are there");
                gate.give_back(1);
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&seed, bytes)) = data.split_first() else { return };
    let whole = said(VecDeque::from([bytes.to_vec()]), false);
    let singly = bytes.chunks(1).map(<[u8]>::to_vec).collect();
    assert_eq!(said(singly, true), whole, "byte by byte");
    let mut pieces = VecDeque::new();
    let (mut rest, mut state) = (bytes, u32::from(seed));
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, behind) = rest.split_at(rest.len().min(1 + (state >> 16) as usize % 64));
        pieces.push_back(piece.to_vec());
        rest = behind;
    }
    assert_eq!(said(pieces, true), whole, "in pieces of seed {seed}");
});
