//! Cursor of a sync: the text that a client keeps between two answers, and what it stands for. All times in it
//! are the store's own, in Unix milliseconds, which is no clock for people.

use std::fmt::Write as _;

use crate::ids::{Address, DatabaseGeneration, Malformed, OpenId, SessionId, from_base36, to_base36};

/// The point up to which a client knows what changed, in one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncCursor {
    pub generation: DatabaseGeneration,
    pub place: SyncPlace,
}

/// That point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncPlace {
    /// All that changed before `began` is known.
    Through { began: i64 },
    /// A walk that began at `began` through all that changed at `since` or later has told the conversations
    /// down to `told`.
    Walk { began: i64, since: i64, told: Told },
    /// That walk is through. What changed while it went on is left for a closing walk.
    Closing { began: i64, walk: Option<ClosingWalk> },
}

/// A closing walk that takes more than one answer. What it passed is pushed to its session alone, so no other
/// one can go on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosingWalk {
    pub began: i64,
    pub session: SessionTag,
    pub told: Told,
}

/// The last conversation that was told, in the order "the newest change first, then by address".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub changed_at: i64,
    pub address: Address,
}

/// A session's id in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTag(u64);

impl SessionTag {
    /// Of what is no session: it never goes on with another one's walk.
    pub const NONE: Self = Self(0);
}

impl From<SessionId> for SessionTag {
    fn from(id: SessionId) -> Self {
        Self(id.low_bits())
    }
}

/// Begins every cursor of this form: an older server's began with a digit.
const FORM: &str = "c1";
/// Times end in the year 5188: nine digits.
const TIMES_END: u64 = 36_u64.pow(9);

impl SyncCursor {
    /// The text that clients keep: at most 128 characters that need no escape anywhere.
    pub fn encode(&self) -> String {
        let mut text = format!("{FORM}.{}", self.generation);
        match &self.place {
            SyncPlace::Through { began } => push_time(&mut text, *began),
            SyncPlace::Walk { began, since, told } => {
                push_time(&mut text, *began);
                text.push_str(".w");
                push_time(&mut text, *since);
                told.push(&mut text);
            }
            SyncPlace::Closing { began, walk } => {
                push_time(&mut text, *began);
                text.push_str(".c");
                if let Some(ClosingWalk { began, session, told }) = walk {
                    push_time(&mut text, *began);
                    push_number(&mut text, session.0);
                    told.push(&mut text);
                }
            }
        }
        text
    }

    /// Reads a cursor; `None` for one that an older server gave, which says nothing to this one.
    ///
    /// # Errors
    /// [`Malformed`] for a text that no server gave.
    pub fn parse(text: &str) -> Result<Option<Self>, Malformed> {
        let wrong = Malformed("since", "a cursor that this server gave");
        let parts: Vec<&str> = text.split('.').collect();
        match parts.as_slice() {
            [FORM, generation, place @ ..] => {
                let (generation, place) = (DatabaseGeneration::parse(generation), SyncPlace::of_parts(place));
                let (generation, place) = generation.zip(place).ok_or(wrong)?;
                Ok(Some(Self { generation, place }))
            }
            older => is_of_before_this_form(older).then_some(None).ok_or(wrong),
        }
    }
}

impl SyncPlace {
    /// Nothing is known.
    pub const BEGINNING: Self = Self::Through { began: 0 };

    /// The latest time in it that an answer came.
    pub fn latest(&self) -> i64 {
        match self {
            Self::Through { began } | Self::Walk { began, .. } | Self::Closing { began, walk: None } => {
                *began
            }
            Self::Closing { walk: Some(walk), .. } => walk.began,
        }
    }

    fn of_parts(parts: &[&str]) -> Option<Self> {
        Some(match *parts {
            [began] => Self::Through { began: time(began)? },
            [began, "w", since, changed_at, address] => {
                let told = Told::parse(changed_at, address)?;
                Self::Walk { began: time(began)?, since: time(since)?, told }
            }
            [began, "c"] => Self::Closing { began: time(began)?, walk: None },
            [began, "c", then, session, changed_at, address] => {
                let session = SessionTag(from_base36(session)?);
                let walk =
                    ClosingWalk { began: time(then)?, session, told: Told::parse(changed_at, address)? };
                Self::Closing { began: time(began)?, walk: Some(walk) }
            }
            _ => return None,
        })
    }
}

impl Told {
    fn parse(changed_at: &str, address: &str) -> Option<Self> {
        Some(Self { changed_at: time(changed_at)?, address: Address::parse_served(address).ok()? })
    }

    fn push(&self, text: &mut String) {
        push_time(text, self.changed_at);
        let _ = write!(text, ".{}", self.address);
    }
}

/// Before cursors named their form they were decimal times, alone or as `began.since.changed_at.peer`, where
/// the peer may be missing.
fn is_of_before_this_form(parts: &[&str]) -> bool {
    let is_time = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<i64>().is_ok()
    };
    match *parts {
        [began] => is_time(began),
        [began, since, changed_at, peer] => {
            [began, since, changed_at].into_iter().all(is_time)
                && (peer.is_empty() || OpenId::parse(peer).is_ok())
        }
        _ => false,
    }
}

fn time(text: &str) -> Option<i64> {
    from_base36(text).filter(|n| *n < TIMES_END).and_then(|n| i64::try_from(n).ok())
}

fn push_time(text: &mut String, time: i64) {
    push_number(text, u64::try_from(time).unwrap_or(0).min(TIMES_END - 1));
}

fn push_number(text: &mut String, number: u64) {
    text.push('.');
    text.push_str(&to_base36(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(address: &str) -> Told {
        Told { changed_at: 36_i64.pow(9) - 1, address: Address::parse(address).unwrap() }
    }

    #[test]
    fn a_cursor_comes_back_as_it_went_and_fits() {
        let last = 36_i64.pow(9) - 1;
        let longest = "x".repeat(64);
        let generation = DatabaseGeneration::of_number(36_u64.pow(10) - 1);
        let closing = |walk| SyncPlace::Closing { began: last, walk };
        for place in [
            SyncPlace::BEGINNING,
            SyncPlace::Through { began: last },
            SyncPlace::Walk { began: last, since: 0, told: told("a-_Z9") },
            SyncPlace::Walk { began: last, since: last, told: told(&longest) },
            closing(None),
            closing(Some(ClosingWalk { began: last, session: SessionTag(u64::MAX), told: told(&longest) })),
        ] {
            let cursor = SyncCursor { generation, place };
            let text = cursor.encode();
            assert!(text.len() <= 128, "{} {text}", text.len());
            assert_eq!(SyncCursor::parse(&text).unwrap().as_ref(), Some(&cursor));
        }
        let cursor = SyncCursor {
            generation: DatabaseGeneration::of_number(36),
            place: SyncPlace::Through { began: -30_000 },
        };
        assert_eq!(cursor.encode(), "c1.10.0");
    }

    #[test]
    fn a_cursor_of_an_older_server_is_none() {
        for text in
            ["1795487337887", "0", "1.2.3.", "1795487337887.0.1795487337000.bob", "9223372036854775807"]
        {
            assert_eq!(SyncCursor::parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_cursor_of_somebody_elses_making_is_refused() {
        for text in [
            "",
            "-1",
            "+1",
            " 1",
            "1.",
            "1.2",
            "1.2.3",
            "1.2.3.v1",
            "1.2.3.a.b",
            "1..3.a",
            "9223372036854775808",
            "é",
            "1.2.-3.a",
            "nonsense",
            "c1",
            "c1.g",
            "c1.G.1",
            "c1..1",
            "c1.10000000000.1",
            "c1.g.",
            "c1.g.A",
            "c1.g.+1",
            "c1.g.1000000000",
            "c1.g.1.x",
            "c1.g.1.w",
            "c1.g.1.w.2.3",
            "c1.g.1.w.2.3.v1",
            "c1.g.1.w.2.3.a.b",
            "c1.g.1.c.2",
            "c1.g.1.c.2.3.4.",
            "c2.1",
        ] {
            assert!(SyncCursor::parse(text).is_err(), "{text}");
        }
    }
}
