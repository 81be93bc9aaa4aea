//! Numbers by which findings stand in their table.

use diesel::prelude::*;

use crate::event::{By, Found, Source};
use crate::store::moderation::Decision;
use crate::store::readers::query::unreadable;

/// How the values of one kind stand in the table: by their places here.
pub(super) struct Codes<T: 'static>(&'static [T]);

impl<T: Copy + PartialEq> Codes<T> {
    pub(super) fn code(&self, value: T) -> i16 {
        self.0.iter().position(|known| *known == value).and_then(|at| i16::try_from(at).ok()).unwrap_or(-1)
    }

    /// # Errors
    /// What a newer version may have written.
    pub(super) fn value(&self, code: i16) -> QueryResult<T> {
        let known = usize::try_from(code).ok().and_then(|at| self.0.get(at)).copied();
        known.ok_or_else(|| {
            unreadable(crate::ids::Malformed("a code of an audit", "one that this version knows"))
        })
    }
}

pub(super) const SOURCES: Codes<Source> = Codes(&[Source::Text, Source::Nickname, Source::Media]);
pub(super) const FOUND: Codes<Found> =
    Codes(&[Found::Refused, Found::Review, Found::Unchecked, Found::Pending]);
pub(super) const BY: Codes<By> = Codes(&[By::Local, By::WeChat]);
pub(super) const DECISIONS: Codes<Decision> = Codes(&[Decision::Passed, Decision::Recalled]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_migration() {
        assert_eq!([Source::Text, Source::Nickname, Source::Media].map(|s| SOURCES.code(s)), [0, 1, 2]);
        assert_eq!(
            [Found::Refused, Found::Review, Found::Unchecked, Found::Pending].map(|f| FOUND.code(f)),
            [0, 1, 2, 3]
        );
        assert_eq!([By::Local, By::WeChat].map(|b| BY.code(b)), [0, 1]);
        assert_eq!([Decision::Passed, Decision::Recalled].map(|d| DECISIONS.code(d)), [0, 1]);
        assert!(FOUND.value(4).is_err() && FOUND.value(-1).is_err());
    }
}
