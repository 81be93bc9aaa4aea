//! State of a conversation that the lane remembers.

use crate::ids::OpenId;
use crate::store::conversations::steps;
use crate::store::lanes::batch::MarkKind;

/// The end of a conversation and its members' rows, as of the last commit or, within a batch, of its writes
/// so far.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) conversation: i64,
    pub(super) last: i64,
    /// Of the member whose openid sorts first, then of the other. With oneself only the first is used.
    pub(super) members: [Member; 2],
}

/// A row of `members`, and what of it the batch has changed.
#[derive(Clone, Copy, Default)]
pub(super) struct Member {
    pub(super) sent: i64,
    pub(super) read: i64,
    pub(super) recv: i64,
    pub(super) cleared: i64,
    pub(super) uncounted: i64,
    pub(super) may_have_unread: bool,
    pub(super) changed_at: i64,
    pub(super) last_at: i64,
    /// Wants nothing from the other one.
    pub(super) has_blocked: bool,
    pub(super) changed: Changed,
}

/// Columns of a member that are to be stored with the batch, by how many indexes they stand in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Marks and counts: in none.
    pub(super) marks: bool,
    /// `may_have_unread`: in one.
    pub(super) unread: bool,
    /// `changed_at` and `last_at`: in one each.
    pub(super) steps: bool,
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

    /// Moves the end on by a message of `who`.
    pub(super) fn append(&mut self, who: &OpenId, peer: &OpenId, at: i64) {
        self.last += 1;
        let seq = self.last;
        let author = self.member_mut(who, peer);
        author.sent = seq;
        author.uncounted = 0;
        author.changed.marks = true;
        if who != peer {
            self.member_mut(peer, who).raise_unread();
        }
        self.grew(at);
    }

    /// Moves the end on by the recall of `target`.
    pub(super) fn recall(&mut self, target: i64, at: i64) {
        self.last += 1;
        for member in &mut self.members {
            member.uncounted += 1 + i64::from(target > member.floor());
            member.changed.marks = true;
        }
        self.grew(at);
    }

    fn grew(&mut self, at: i64) {
        for member in &mut self.members {
            member.changed_at(at);
            member.last_at(at);
        }
    }
}

impl Member {
    /// The seq up to which nothing is unread.
    pub(super) fn floor(&self) -> i64 {
        self.sent.max(self.read).max(self.cleared)
    }

    pub(super) fn mark(&self, kind: MarkKind) -> i64 {
        match kind {
            MarkKind::Read => self.read,
            MarkKind::Recv => self.recv,
            MarkKind::Cleared => self.cleared,
        }
    }

    /// Moves a mark to `seq`, in a conversation that ends at `last`. `passed` counts, where that matters, the
    /// messages between two seqs that do not count as unread: above the first, up to the second.
    pub(super) fn advance<E>(
        &mut self,
        kind: MarkKind,
        seq: i64,
        last: i64,
        passed: impl FnOnce(i64, i64) -> Result<i64, E>,
    ) -> Result<(), E> {
        let before = self.floor();
        match kind {
            MarkKind::Read => self.read = seq,
            MarkKind::Recv => self.recv = seq,
            MarkKind::Cleared => self.cleared = seq,
        }
        self.changed.marks = true;
        let floor = self.floor();
        if floor >= last {
            self.uncounted = 0;
            self.changed.unread |= self.may_have_unread;
            self.may_have_unread = false;
        } else if floor > before && self.uncounted > 0 {
            self.uncounted -= passed(before, floor)?;
        }
        if self.cleared >= last && self.last_at > 0 {
            self.last_at = 0;
            self.changed.steps = true;
        }
        Ok(())
    }

    /// Notes that something which the member sees has changed.
    pub(super) fn changed_at(&mut self, at: i64) {
        if let Some(step) = steps::next(self.changed_at, at) {
            self.changed_at = step;
            self.changed.steps = true;
        }
    }

    fn last_at(&mut self, at: i64) {
        if let Some(step) = steps::next(self.last_at, at) {
            self.last_at = step;
            self.changed.steps = true;
        }
    }

    fn raise_unread(&mut self) {
        self.changed.unread |= !self.may_have_unread;
        self.may_have_unread = true;
    }

    /// Takes what is to be stored, of a conversation that ends at `last`. Where the indexes are written
    /// anyway, `may_have_unread` is brought up to date.
    pub(super) fn take_changed(&mut self, last: i64) -> Changed {
        if self.changed.steps && self.floor() >= last {
            self.may_have_unread = false;
        }
        std::mem::take(&mut self.changed)
    }
}
