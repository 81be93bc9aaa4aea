//! A socket's bytes made into whole texts and signs of life; nothing passes here that the frame guard did not
//! admit.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::ws::{CloseReason, Codec, Frame, Item};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::Stream;
use tokio_util::codec::Decoder as _;

use super::frame_guard::{Admitted, FrameGuard, Reassembly, SocketLimits};
use super::gate::Gate;
use crate::protocol::Close;

/// What comes from a socket: a whole text, or a sign of life.
#[derive(Debug)]
pub enum SocketEvent {
    Text(ByteString),
    Ping(Bytes),
    Pong,
    Close(Option<CloseReason>),
    /// It broke a rule; nothing but this comes any more.
    Fault(Close),
}

/// Where bytes come from.
pub trait Source: Unpin + 'static {
    /// Hands the next bytes to `sink`; `false` at the end, an error counts as one.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<bool>;
}

/// What is read and forgotten after a fault, so that the peer sees its close code: closing a socket with
/// unread bytes resets it.
const DISCARD_BYTES: usize = 16 * 1024 * 1024;

/// The stream of what a peer says.
pub struct MessageStream<S> {
    source: S,
    filter: FrameFilter,
    codec: Codec,
    /// Read, and not yet admitted for want of credit.
    held: Bytes,
    fragments: Reassembly,
    /// After a fault: how many bytes are still read and forgotten.
    discarding: Option<usize>,
}

/// What stands before the decoder.
struct FrameFilter {
    gate: Rc<Gate>,
    guard: FrameGuard,
    /// Admitted, and not yet decoded.
    admitted: BytesMut,
    /// Stands behind what is admitted.
    fault: Option<Close>,
}

impl FrameFilter {
    /// Admits as much of these bytes as the guard and the credit allow; gives what must wait.
    fn admit<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (good, rest) = match self.gate.spend(|credit| self.guard.admit(bytes, credit)) {
            Admitted::All => (bytes, &[][..]),
            Admitted::UntilCredit(at) => bytes.split_at(at),
            Admitted::UntilFault(at, close) => {
                self.fault = Some(close);
                (&bytes[..at], &[][..])
            }
        };
        self.admitted.extend_from_slice(good);
        rest
    }
}

impl<S: Source> MessageStream<S> {
    /// `early` came with the handshake.
    pub fn new(source: S, early: Bytes, limits: SocketLimits, gate: Rc<Gate>) -> Self {
        Self {
            source,
            filter: FrameFilter {
                gate,
                guard: FrameGuard::new(limits),
                admitted: BytesMut::new(),
                fault: None,
            },
            codec: Codec::new().max_size(limits.frame_bytes),
            held: early,
            fragments: Reassembly::default(),
            discarding: None,
        }
    }

    /// Bytes that are kept of what was read.
    pub fn kept(&self) -> usize {
        self.filter.admitted.len() + self.held.len() + self.fragments.bytes()
    }

    /// The next thing said in what is admitted.
    fn decode(&mut self) -> Option<Result<SocketEvent, Close>> {
        while !self.filter.admitted.is_empty() {
            let frame = match self.codec.decode(&mut self.filter.admitted) {
                Ok(frame) => frame?,
                // The guard has judged every header: what is left to the codec is the payload of a close
                // frame.
                Err(_) => return Some(Err(Close::ProtocolError)),
            };
            match frame {
                Frame::Text(bytes) => return Some(text(bytes)),
                Frame::Ping(bytes) => return Some(Ok(SocketEvent::Ping(bytes))),
                Frame::Pong(_) => return Some(Ok(SocketEvent::Pong)),
                Frame::Close(reason) => return Some(Ok(SocketEvent::Close(reason))),
                Frame::Continuation(Item::FirstText(bytes)) => self.fragments.first(&bytes),
                Frame::Continuation(Item::Continue(bytes)) => self.fragments.next(&bytes),
                Frame::Continuation(Item::Last(bytes)) => {
                    return Some(self.fragments.last(&bytes).map(|text| SocketEvent::Text(text.into())));
                }
                Frame::Binary(_) | Frame::Continuation(Item::FirstBinary(_)) => {
                    return Some(Err(Close::Unsupported));
                }
            }
        }
        None
    }

    fn fault(&mut self, close: Close) -> SocketEvent {
        self.discarding = Some(DISCARD_BYTES);
        self.filter.admitted = BytesMut::new();
        self.held = Bytes::new();
        self.fragments = Reassembly::default();
        SocketEvent::Fault(close)
    }
}

fn text(bytes: Bytes) -> Result<SocketEvent, Close> {
    ByteString::try_from(bytes).map(SocketEvent::Text).map_err(|_| Close::InvalidUtf8)
}

impl<S: Source> Stream for MessageStream<S> {
    type Item = SocketEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SocketEvent>> {
        let this = &mut *self;
        loop {
            if let Some(left) = &mut this.discarding {
                let more =
                    ready!(this.source.poll_bytes(cx, &mut |bytes| *left = left.saturating_sub(bytes.len())));
                if !more || *left == 0 {
                    return Poll::Ready(None);
                }
                continue;
            }
            if let Some(said) = this.decode() {
                return Poll::Ready(Some(said.unwrap_or_else(|close| this.fault(close))));
            }
            if let Some(close) = this.filter.fault.take() {
                return Poll::Ready(Some(this.fault(close)));
            }
            if this.filter.admitted.is_empty() {
                // An idle session keeps no buffer.
                this.filter.admitted = BytesMut::new();
            }
            if this.held.is_empty() {
                let Self { source, filter, held, .. } = this;
                let mut admit = |bytes: &[u8]| *held = Bytes::copy_from_slice(filter.admit(bytes));
                if !ready!(source.poll_bytes(cx, &mut admit)) {
                    return Poll::Ready(None);
                }
            } else {
                let held = std::mem::take(&mut this.held);
                let rest = this.filter.admit(&held).len();
                if rest == held.len() {
                    this.held = held;
                    this.filter.gate.wait(cx);
                    return Poll::Pending;
                }
                this.held = held.slice(held.len() - rest..);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    /// Bytes as a network cuts them.
    struct Cut(VecDeque<Vec<u8>>);

    impl Source for Cut {
        fn poll_bytes(&mut self, _: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<bool> {
            let next = self.0.pop_front();
            Poll::Ready(next.map(|bytes| sink(&bytes)).is_some())
        }
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        bytes
    }

    async fn said(bytes: &[u8], size: usize) -> Vec<String> {
        let cut = Cut(bytes.chunks(size).map(<[u8]>::to_vec).collect());
        let limits = SocketLimits { frame_bytes: 100, fragments: 4 };
        let gate = Gate::new();
        gate.open();
        MessageStream::new(cut, Bytes::new(), limits, gate).map(|i| format!("{i:?}")).collect().await
    }

    #[actix_web::test]
    async fn what_is_said_does_not_depend_on_how_the_network_cut_it() {
        let bytes = [
            frame(0x01, b"ab"),
            frame(0x89, b"p"),
            frame(0x80, b"c"),
            frame(0x81, b"d"),
            frame(0xC1, b"x"),
            frame(0x81, b"e"),
        ]
        .concat();
        let want = said(&bytes, 1).await;
        assert_eq!(want, ["Ping(b\"p\")", "Text(\"abc\")", "Text(\"d\")", "Fault(ProtocolError)"]);
        for size in 2..bytes.len() {
            assert_eq!(said(&bytes, size).await, want, "{size}");
        }
    }

    #[actix_web::test]
    async fn texts_must_be_utf8_and_nothing_else() {
        assert_eq!(said(&frame(0x81, b"\xff"), 9).await, ["Fault(InvalidUtf8)"]);
        assert_eq!(said(&frame(0x82, b"x"), 9).await, ["Fault(Unsupported)"]);
        assert_eq!(said(&frame(0x88, b"x"), 9).await, ["Fault(ProtocolError)"]);
    }

    #[actix_web::test]
    async fn what_is_kept_is_one_frame_at_most_and_the_fragments_before_it() {
        let bytes = [frame(0x01, &[b'x'; 60]), frame(0x00, &[b'x'; 40])].concat();
        let cut = Cut(bytes.chunks(7).map(<[u8]>::to_vec).collect());
        let gate = Gate::new();
        gate.open();
        let mut said =
            MessageStream::new(cut, Bytes::new(), SocketLimits { frame_bytes: 100, fragments: 4 }, gate);
        assert!(said.next().await.is_none());
        assert_eq!(said.kept(), 100, "both fragments, without their headers");
        said.source = Cut(VecDeque::from([frame(0x00, b"x")]));
        assert_eq!(said.next().await.map(|i| format!("{i:?}")).as_deref(), Some("Fault(FrameTooBig)"));
        assert_eq!(said.kept(), 0);
    }

    #[actix_web::test]
    async fn without_credit_nothing_more_is_read() {
        let bytes: Vec<u8> = (0..70).flat_map(|_| frame(0x81, b"m")).collect();
        let gate = Gate::new();
        let limits = SocketLimits { frame_bytes: 100, fragments: 4 };
        let mut said = MessageStream::new(Cut(VecDeque::from([bytes])), Bytes::new(), limits, gate.clone());
        assert!(said.next().now_or_never().is_none(), "nothing before the first frame is out");
        gate.open();
        for _ in 0..64 {
            assert!(matches!(said.next().await, Some(SocketEvent::Text(_))));
        }
        assert!(gate.is_shut());
        assert!(said.next().now_or_never().is_none());
        gate.give_back(6);
        assert_eq!(said.collect::<Vec<_>>().await.len(), 6);
    }
}
