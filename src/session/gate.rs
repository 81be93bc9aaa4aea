//! How far a socket may send ahead of its answers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// Messages that a socket may have read and not answered. It bounds what one session can have in the store's
/// queue.
const WINDOW: u32 = 64;

/// Credit for messages, shared by the socket's reader and its session, on one thread.
pub struct Gate {
    credit: Cell<u32>,
    reader: RefCell<Option<Waker>>,
}

impl Gate {
    /// Without credit: a session reads nothing before [`Gate::open`].
    pub fn new() -> Rc<Self> {
        Rc::new(Self { credit: Cell::new(0), reader: RefCell::default() })
    }

    /// Gives the first credit.
    pub fn open(&self) {
        self.give_back(WINDOW);
    }

    /// Lets `read` spend credit.
    pub fn spend<T>(&self, read: impl FnOnce(&mut u32) -> T) -> T {
        let mut credit = self.credit.get();
        let read = read(&mut credit);
        self.credit.set(credit);
        read
    }

    /// Wakes the reader when credit comes back.
    pub fn wait(&self, cx: &Context<'_>) {
        self.reader.replace(Some(cx.waker().clone()));
    }

    /// Gives back the credit of messages that have their answer.
    pub fn give_back(&self, messages: u32) {
        if messages > 0 {
            self.credit.set((self.credit.get() + messages).min(WINDOW));
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
    }

    /// Whether the socket is held until an answer comes.
    pub fn is_shut(&self) -> bool {
        self.credit.get() == 0
    }
}
