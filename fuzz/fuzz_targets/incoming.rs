//! A socket's bytes, cut as a network may cut them: what is said never depends on the cutting, and what is
//! kept has its bound.
#![no_main]

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream as _;
use hongyan::session::frame_guard::SocketLimits;
use hongyan::session::gate::Gate;
use hongyan::session::message_stream::{MessageStream, SocketEvent, Source};
use libfuzzer_sys::fuzz_target;

/// Small, so that short inputs reach them.
const LIMITS: SocketLimits = SocketLimits { frame_bytes: 300, fragments: 4 };

/// Bytes of the longest of the pieces whose lengths come from the seed.
const LONGEST: usize = 64;

/// Header and mask of the largest frame.
const HEAD_BYTES: usize = 14;

/// What a socket still gives, and how long the next piece is.
struct Cut<L> {
    rest: Bytes,
    length: L,
}

impl<L: FnMut() -> usize + Unpin + 'static> Source for Cut<L> {
    fn poll_bytes(&mut self, _: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<bool> {
        if self.rest.is_empty() {
            return Poll::Ready(false);
        }
        let length = self.rest.len().min((self.length)());
        sink(&self.rest.split_to(length));
        Poll::Ready(true)
    }
}

/// Everything said in pieces of these lengths. `sparing`: credit comes back only where nothing is read
/// without it.
fn said(
    bytes: &Bytes,
    longest: usize,
    length: impl FnMut() -> usize + Unpin + 'static,
    sparing: bool,
) -> Vec<String> {
    let kept_at_most = 2 * LIMITS.frame_bytes + HEAD_BYTES + longest;
    let gate = Gate::new();
    let mut incomings =
        MessageStream::new(Cut { rest: bytes.clone(), length }, Bytes::new(), LIMITS, gate.clone());
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
                    SocketEvent::Text(text) => {
                        assert!(text.len() <= LIMITS.frame_bytes);
                        if !sparing {
                            gate.give_back(1);
                        }
                    }
                    SocketEvent::Ping(bytes) => assert!(bytes.len() <= 125),
                    SocketEvent::Fault(_) => over = true,
                    SocketEvent::Pong | SocketEvent::Close(_) => {}
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
    let bytes = Bytes::copy_from_slice(bytes);
    let whole = said(&bytes, bytes.len(), || usize::MAX, false);
    assert_eq!(said(&bytes, 1, || 1, true), whole, "byte by byte");
    let mut state = u32::from(seed);
    let length = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (state >> 16) as usize % LONGEST
    };
    assert_eq!(said(&bytes, LONGEST, length, true), whole, "in pieces of seed {seed}");
});
