//! What the lane remembers of a conversation.

use crate::ids::OpenId;
use crate::store::batch::MarkKind;

/// The end of a conversation and its members' marks, as of the last commit or, within a batch, of its writes
/// so far.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) conversation: i64,
    pub(super) last: i64,
    /// Of the member whose openid sorts first, then of the other. With oneself only the first is used.
    pub(super) members: [Member; 2],
}

#[derive(Clone, Copy, Default)]
pub(super) struct Member {
    pub(super) sent: i64,
    read: i64,
    recv: i64,
    cleared: i64,
    /// Wants nothing from the other one.
    pub(super) has_blocked: bool,
    /// What this batch has changed.
    pub(super) changed: Changed,
}

/// What of a member is to be stored with the batch.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// It has sent something.
    pub(super) wrote: bool,
    /// A mark has moved.
    pub(super) marks: bool,
    /// And the other one may see it.
    pub(super) shown: bool,
}

impl Head {
    pub(super) fn new(conversation: i64, last: i64) -> Self {
        Self { conversation, last, members: Default::default() }
    }

    pub(super) fn member(&self, who: &OpenId, peer: &OpenId) -> &Member {
        &self.members[usize::from(who > peer)]
    }

    pub(super) fn member_mut(&mut self, who: &OpenId, peer: &OpenId) -> &mut Member {
        &mut self.members[usize::from(who > peer)]
    }
}

impl Member {
    pub(super) fn with_marks(sent: i64, read: i64, recv: i64, cleared: i64) -> Self {
        Self { sent, read, recv, cleared, ..Self::default() }
    }

    pub(super) fn mark(&self, kind: MarkKind) -> i64 {
        match kind {
            MarkKind::Read => self.read,
            MarkKind::Recv => self.recv,
            MarkKind::Cleared => self.cleared,
        }
    }

    pub(super) fn mark_mut(&mut self, kind: MarkKind) -> &mut i64 {
        match kind {
            MarkKind::Read => &mut self.read,
            MarkKind::Recv => &mut self.recv,
            MarkKind::Cleared => &mut self.cleared,
        }
    }

    /// Read, recv and cleared.
    pub(super) fn marks(&self) -> [i64; 3] {
        [self.read, self.recv, self.cleared]
    }
}
