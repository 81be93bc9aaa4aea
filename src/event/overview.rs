//! What a user finds when she asks how her conversations stand: plain values that the store answers with.

use super::Message;
use crate::ids::{Malformed, OpenId, Seq};

/// One conversation as one of its members sees it. Every seq means "up to this one, itself included".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub peer: OpenId,
    pub last_seq: Seq,
    pub cleared_seq: Seq,
    pub read_seq: Seq,
    pub recv_seq: Seq,
    /// The peer's marks; zero until the peer has sent something (a stranger does not learn that you read him).
    pub peer_read_seq: Seq,
    pub peer_recv_seq: Seq,
    pub unread: i64,
    /// The member wants no notices of it.
    pub muted: bool,
}

/// Where a page of the conversation list ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlace {
    pub sent_at: i64,
    pub peer: OpenId,
}

/// A conversation with the messages of it that somebody missed, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub overview: Overview,
    pub messages: Vec<Message>,
    /// Named by the asker: more follow. Else: older ones are in history.
    pub has_more: bool,
}

/// What somebody missed, or the first part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncPage {
    pub conversations: Vec<Missed>,
    /// Ask again, with this cursor.
    pub has_more: bool,
    pub cursor: SyncCursor,
}

/// Up to where somebody knows what changed. The store's own time, in Unix milliseconds, which is no clock for people: it never goes
/// back while a server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncCursor {
    /// All that changed before is known, but for what `rest` names.
    pub began: i64,
    /// What was not told yet, when an answer was full.
    pub rest: Option<Rest>,
}

/// The conversations that changed at `since` or later and stand below this place in the order "the newest change first, then by peer".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    pub since: i64,
    pub changed_at: i64,
    /// None: above every peer, and no conversation has been told yet.
    pub peer: Option<OpenId>,
}

impl Rest {
    /// All that changed at `since` or later.
    pub fn all(since: i64) -> Self {
        Self { since, changed_at: i64::MAX, peer: None }
    }

    pub fn is_all(&self) -> bool {
        self.peer.is_none()
    }
}

impl SyncCursor {
    /// As clients keep it: at most 124 characters that need no escape anywhere.
    pub fn encode(&self) -> String {
        match &self.rest {
            None => self.began.to_string(),
            Some(Rest { since, changed_at, peer }) => {
                format!("{}.{since}.{changed_at}.{}", self.began, peer.as_ref().map_or("", |p| p.as_str()))
            }
        }
    }

    /// # Errors
    /// [`Malformed`] for a text that no server gave.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let wrong = Malformed("since", "a cursor that this server gave");
        let time = |text: Option<&str>| {
            let text = text.filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit())).ok_or(wrong)?;
            text.parse::<i64>().map_err(|_| wrong)
        };
        let mut parts = text.split('.');
        let began = time(parts.next())?;
        let Some(since) = parts.next() else { return Ok(Self { began, rest: None }) };
        let (since, changed_at) = (time(Some(since))?, time(parts.next())?);
        let peer = match (parts.next(), parts.next()) {
            (Some(""), None) => None,
            (Some(peer), None) => Some(OpenId::parse(peer).map_err(|_| wrong)?),
            _ => return Err(wrong),
        };
        Ok(Self { began, rest: Some(Rest { since, changed_at, peer }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_fits() {
        let rest = |peer: &str| Some(Rest { since: 0, changed_at: i64::MAX, peer: OpenId::parse(peer).ok() });
        for rest in [None, rest(""), rest("a-_Z9"), rest(&"x".repeat(64))] {
            let cursor = SyncCursor { began: i64::MAX, rest };
            let text = cursor.encode();
            assert!(text.len() <= 128, "{text}");
            assert_eq!(SyncCursor::parse(&text).unwrap(), cursor);
        }
    }

    #[test]
    fn a_cursor_of_somebody_elses_making_is_refused() {
        for text in ["", "-1", "+1", " 1", "1.", "1.2", "1.2.3", "1.2.3.v1", "1.2.3.a.b", "1..3.a", "9223372036854775808", "é", "1.2.-3.a"]
        {
            assert!(SyncCursor::parse(text).is_err(), "{text}");
        }
    }
}
