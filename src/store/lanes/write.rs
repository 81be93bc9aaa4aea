//! A write on its way: committed in the order it came, and answered after that.

use std::sync::Arc;

use super::command::{Command, PendingReply, QueuedCommand};
use crate::event::Committed;
use crate::ids::RequestId;
use crate::store::blocks::Block;
use crate::store::conversations::Clear;
use crate::store::messages::Append;
use crate::store::receipts::Mark;

/// Here and not beside the type: fuzzers build `event` without actors.
impl actix::Message for Committed {
    type Result = ();
}

/// Something to be made durable. Writes of one conversation are done in the order in which they are
/// submitted.
#[derive(Debug, Clone)]
pub enum Write {
    Append(Append),
    Mark(Mark),
    Clear(Clear),
    Block(Block),
    Command(Arc<QueuedCommand>),
}

/// What can be handed in to be made durable.
pub trait Submit {
    /// Outcome that the caller hears.
    type Reply: Send + 'static;

    fn into_write(self) -> Write;
}

impl<C: Command> Submit for C {
    type Reply = C::Reply;

    fn into_write(self) -> Write {
        Write::Command(Arc::new(QueuedCommand { command: Box::new(self), place: None }))
    }
}

macro_rules! submit {
    ($($kind:ident),+) => {$(
        impl Submit for $kind {
            type Reply = ();

            fn into_write(self) -> Write {
                Write::$kind(self)
            }
        }
    )+};
}

submit!(Append, Mark, Clear, Block);

/// Who hears what became of a write, after the commit.
#[derive(Debug)]
pub enum Reply {
    /// Nobody but through the event.
    Nobody,
    /// The session of the receipt, through the event.
    Session(RequestId),
    /// A call that waits.
    Caller(PendingReply),
}
