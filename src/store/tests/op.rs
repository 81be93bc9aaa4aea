//! What is done to the store and its model, with letters for users and addresses.

use std::collections::BTreeMap;

use super::model::{Member, USERS};
use super::*;

/// What is done to the store.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Send {
        from: char,
        to: char,
        id: Option<char>,
        text: char,
        quote: Option<i64>,
        admission: Admission,
    },
    Recall {
        from: char,
        to: char,
        target: i64,
        admission: Admission,
    },
    Mark {
        kind: ReceiptKind,
        who: char,
        address: char,
        seq: i64,
    },
    Clear {
        who: char,
        address: char,
        up_to: Option<i64>,
    },
    Block {
        who: char,
        peer: char,
        change: BlockChange,
    },
    /// Changes settings; `None` stays as it is.
    Set {
        who: char,
        address: char,
        muted: Option<bool>,
        pinned: Option<bool>,
    },
    /// [`AGE_MS`] pass for all that is stored.
    Age,
}

impl Op {
    /// Who does it, and where.
    pub(super) fn place(&self) -> (char, char) {
        match *self {
            Self::Send { from, to, .. } | Self::Recall { from, to, .. } => (from, to),
            Self::Mark { who, address, .. }
            | Self::Clear { who, address, .. }
            | Self::Set { who, address, .. }
            | Self::Block { who, peer: address, .. } => (who, address),
            Self::Age => (USERS[0], USERS[0]),
        }
    }

    pub(super) fn conversation(&self) -> Key {
        let (who, address) = self.place();
        Key::of(who, address)
    }

    /// One whom it may concern beside who does it.
    pub(super) fn other(&self) -> char {
        let (who, _) = self.place();
        self.conversation().peer(who).unwrap_or(who)
    }
}

/// A conversation, by the letters of its two members in order, or by the group's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Direct(char, char),
    Group(char),
}

impl Key {
    /// The one that `who` calls `address`.
    pub(super) fn of(who: char, address: char) -> Self {
        if address.is_ascii_uppercase() {
            Self::Group(address)
        } else {
            Self::Direct(who.min(address), who.max(address))
        }
    }

    /// The other one of a direct conversation.
    pub(super) fn peer(self, who: char) -> Option<char> {
        match self {
            Self::Direct(lower, higher) => Some(if who == lower { higher } else { lower }),
            Self::Group(_) => None,
        }
    }

    /// Members of one that begins with its first message.
    pub(super) fn first_members(self) -> BTreeMap<char, Member> {
        match self {
            Self::Direct(lower, higher) => [lower, higher].map(|user| (user, Member::default())).into(),
            Self::Group(_) => BTreeMap::new(),
        }
    }
}
