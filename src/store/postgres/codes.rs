//! Numbers that stand for operations and outcomes between a lane and the functions that commit its batch.

use crate::store::messages::{Admission, Append};

/// Operation of one write of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(super) enum Op {
    Append = 0,
    RefusedAppend = 1,
    Read = 2,
    Clear = 3,
    /// Nothing to the function but a place in the order, and a lock on the conversation where it has one.
    Place = 4,
    Recv = 5,
    Recall = 6,
    RefusedRecall = 7,
    Block = 8,
    Unblock = 9,
    ModeratorRecall = 10,
}

impl Op {
    /// Operation of a message.
    pub(super) fn of(append: &Append) -> Self {
        match (append.draft.target, append.admission) {
            (None, Admission::Open | Admission::Moderator) => Self::Append,
            (None, Admission::RepeatsOnly(_)) => Self::RefusedAppend,
            (Some(_), Admission::Open) => Self::Recall,
            (Some(_), Admission::RepeatsOnly(_)) => Self::RefusedRecall,
            (Some(_), Admission::Moderator) => Self::ModeratorRecall,
        }
    }

    pub(super) const fn number(self) -> i16 {
        self as i16
    }
}

/// Outcome of one write of a batch, as the function's row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(super) enum RowOutcome {
    Stored = 1,
    Repeated = 2,
    RepeatedInBatch = 3,
    Refused = 4,
    TooManyConversations = 5,
    Mark = 6,
    Done = 7,
    Blocked = 8,
    NotFound = 9,
    RecallExpired = 10,
    BlocklistFull = 11,
}

impl RowOutcome {
    const ALL: [Self; 11] = [
        Self::Stored,
        Self::Repeated,
        Self::RepeatedInBatch,
        Self::Refused,
        Self::TooManyConversations,
        Self::Mark,
        Self::Done,
        Self::Blocked,
        Self::NotFound,
        Self::RecallExpired,
        Self::BlocklistFull,
    ];

    /// Returns `None` for a number that the function does not give.
    pub(super) fn of(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| *outcome as i16 == number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::functions::{COMMIT_SQL, GROUPS_SQL};
    use super::*;

    const OPS: [Op; 11] = [
        Op::Append,
        Op::RefusedAppend,
        Op::Read,
        Op::Clear,
        Op::Place,
        Op::Recv,
        Op::Recall,
        Op::RefusedRecall,
        Op::Block,
        Op::Unblock,
        Op::ModeratorRecall,
    ];

    /// `(6, "recall_expired")` of a number and `RecallExpired`.
    fn named(number: i16, name: &impl std::fmt::Debug) -> (i16, String) {
        let mut snake = String::new();
        for letter in format!("{name:?}").chars() {
            if letter.is_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.extend(letter.to_lowercase());
        }
        (number, snake)
    }

    /// The list below a heading of the function's comment: lines such as `--   3 clear: what it does`.
    fn listed(heading: &str) -> Vec<(i16, String)> {
        let lines = COMMIT_SQL.lines().skip_while(|line| !line.ends_with(heading)).skip(1);
        lines
            .map_while(|line| line.strip_prefix("--   "))
            .map(|line| {
                let (number, name) = line.split_once(' ').unwrap();
                let name = name.split_once(':').map_or(name, |(name, _)| name);
                (number.parse().unwrap(), name.to_owned())
            })
            .collect()
    }

    /// The statements, without comments.
    fn code() -> String {
        let lines = COMMIT_SQL.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Numbers that stand right after a text, one or several between brackets.
    fn numbers_after(code: &str, text: &str) -> BTreeSet<i16> {
        let pieces = code.split(text).skip(1);
        pieces
            .flat_map(|piece| {
                let end = piece.find(|c: char| !(c.is_ascii_digit() || ", ".contains(c)));
                piece[..end.unwrap_or(piece.len())].split(',').map(|number| number.trim().parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn the_function_lists_the_operations_and_outcomes_under_the_same_names() {
        assert_eq!(listed(" op:"), OPS.map(|op| named(op.number(), &op)));
        assert_eq!(listed(" outcome:"), RowOutcome::ALL.map(|outcome| named(outcome as i16, &outcome)));
    }

    #[test]
    fn the_function_goes_by_every_operation_and_gives_every_outcome() {
        let code = code();
        let mut ops = numbers_after(&code, ".op = ");
        ops.append(&mut numbers_after(&code, ".op IN ("));
        let known = OPS.iter().filter(|op| **op != Op::Place).map(|op| op.number());
        assert_eq!(ops, known.collect());
        let (_, cases) = code.split_once("        (CASE\n").unwrap();
        let (cases, _) = cases.split_once("END)::smallint").unwrap();
        let mut outcomes = numbers_after(cases, " THEN ");
        outcomes.append(&mut numbers_after(cases, " ELSE "));
        assert_eq!(outcomes, RowOutcome::ALL.iter().map(|outcome| *outcome as i16).collect());
    }

    /// Constants of the function for groups whose names begin so, such as `op_read constant smallint := 2;`.
    fn constants(prefix: &str) -> Vec<(i16, String)> {
        let lines = GROUPS_SQL.lines().filter_map(|line| line.trim().strip_prefix(prefix));
        lines
            .map(|line| {
                let (name, number) = line.split_once(" constant smallint := ").unwrap();
                (number.trim_end_matches(';').parse().unwrap(), name.to_owned())
            })
            .collect()
    }

    #[test]
    fn the_function_for_groups_gives_the_numbers_the_same_names() {
        let ops = OPS.into_iter().filter(|op| !matches!(op, Op::Block | Op::Unblock));
        assert_eq!(constants("op_"), ops.map(|op| named(op.number(), &op)).collect::<Vec<_>>());
        let outcomes = RowOutcome::ALL.map(|outcome| named(outcome as i16, &outcome));
        let own = constants("of_");
        assert!(!own.is_empty() && own.iter().all(|outcome| outcomes.contains(outcome)), "{own:?}");
    }

    #[test]
    fn a_number_leads_back_to_its_outcome() {
        for outcome in RowOutcome::ALL {
            assert_eq!(RowOutcome::of(outcome as i16), Some(outcome));
        }
        assert_eq!((RowOutcome::of(0), RowOutcome::of(12)), (None, None));
    }
}
