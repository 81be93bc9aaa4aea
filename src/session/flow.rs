//! How much a socket may send ahead of its answers: the guarded payload, and the credit that opens and shuts it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream;

use super::inbound::{Admitted, FrameGuard, InboundLimits};
use crate::protocol::Close;

/// Messages that a socket may have read and not answered. It bounds what one session can have in the store's queue.
const WINDOW: u32 = 64;

/// Shared by the payload and the session actor, on one thread.
pub struct Gate<S> {
    socket: RefCell<S>,
    credit: Cell<u32>,
    /// Why the payload ended, once it has.
    ended: RefCell<Option<Close>>,
    waker: RefCell<Option<Waker>>,
}

impl<S> Gate<S> {
    pub fn new(socket: S) -> Rc<Self> {
        Rc::new(Self { socket: RefCell::new(socket), credit: Cell::new(WINDOW), ended: RefCell::default(), waker: RefCell::default() })
    }

    /// Gives back the credit of messages that have their answer.
    pub fn give_back(&self, messages: u32) {
        if messages > 0 {
            self.credit.set((self.credit.get() + messages).min(WINDOW));
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    /// Whether the socket is held until an answer comes.
    pub fn is_shut(&self) -> bool {
        self.credit.get() == 0
    }

    /// Why the payload ended: a broken rule, or the peer's leave.
    pub fn why_ended(&self) -> Close {
        self.ended.borrow().clone().unwrap_or(Close::Normal)
    }
}

impl<S, E> Gate<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Reads and forgets, until the peer ends or so many bytes have come. Closing a socket with unread bytes resets it, and the
    /// peer would never see the close code.
    pub async fn discard(self: Rc<Self>, at_most: usize) {
        let mut bytes = 0;
        while bytes < at_most {
            match poll_fn(|cx| Pin::new(&mut *self.socket.borrow_mut()).poll_next(cx)).await {
                Some(Ok(chunk)) => bytes += chunk.len(),
                _ => return,
            }
        }
    }
}

/// The socket's bytes, as far as the guard admits them. It ends at the first fault, so that the good frames before it are still served.
pub struct GuardedPayload<S> {
    guard: FrameGuard,
    gate: Rc<Gate<S>>,
    /// Read, and not yet admitted for want of credit.
    held: Bytes,
}

impl<S> GuardedPayload<S> {
    pub fn new(limits: InboundLimits, gate: Rc<Gate<S>>) -> Self {
        Self { guard: FrameGuard::new(limits), gate, held: Bytes::new() }
    }
}

impl<S, E> Stream for GuardedPayload<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.gate.ended.borrow().is_some() {
                return Poll::Ready(None);
            }
            let mut chunk = std::mem::take(&mut this.held);
            if chunk.is_empty() {
                chunk = match Pin::new(&mut *this.gate.socket.borrow_mut()).poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => chunk,
                    Poll::Ready(_) => {
                        this.gate.ended.replace(Some(Close::Normal));
                        continue;
                    }
                    Poll::Pending => return Poll::Pending,
                };
            }
            let mut credit = this.gate.credit.get();
            let admitted = this.guard.admit(&chunk, &mut credit);
            this.gate.credit.set(credit);
            let good = match admitted {
                Admitted::All => chunk,
                Admitted::UntilCredit(at) => {
                    this.held = chunk.split_off(at);
                    this.gate.waker.replace(Some(cx.waker().clone()));
                    if chunk.is_empty() {
                        return Poll::Pending;
                    }
                    chunk
                }
                Admitted::UntilFault(at, close) => {
                    this.gate.ended.replace(Some(close));
                    chunk.truncate(at);
                    chunk
                }
            };
            if !good.is_empty() {
                return Poll::Ready(Some(Ok(good)));
            }
        }
    }
}
