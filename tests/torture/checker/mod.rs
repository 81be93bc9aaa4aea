//! Holds what clients saw, and what history says at the end, against what the protocol promises. Every pass
//! is linear in the number of entries but for sorting.

mod delivery;
mod history;
mod index;
mod marks;
mod order;

use std::collections::BTreeMap;
use std::fmt;

use crate::log::{Histories, Log, What};
use index::Index;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Invariant {
    /// Every acked write is in history, at the acked seq and time, as it was sent.
    I1,
    /// A key stands once in a conversation and sender.
    I2,
    /// Nothing is in history, or acked, that nobody sent.
    I3,
    /// Seqs are 1, 2, 3 … without holes and doubles, above what the reader cleared.
    I4,
    /// What was acked before another was sent has the lower seq; what one session stored has rising seqs in
    /// the order sent.
    I5,
    /// All members' histories, and every copy that came, agree.
    I6,
    /// A client that caught up has everything.
    I7,
    /// All acks of one write agree, and at most one says that it is the first.
    I8,
    /// Marks never go back, nor past the last seq.
    I9,
    /// Unread is exact at the end, and no answered read is lost.
    I10,
    /// Live frames of one connection and conversation have rising seqs, but for what its sender sent again.
    I11,
}

pub struct Violation {
    pub invariant: Invariant,
    pub what: String,
}

/// How many violations of one invariant are kept word for word.
const KEPT: usize = 5;

#[derive(Default)]
pub struct Found {
    totals: BTreeMap<Invariant, usize>,
    kept: Vec<Violation>,
}

impl Found {
    fn add(&mut self, invariant: Invariant, what: impl FnOnce() -> String) {
        let total = self.totals.entry(invariant).or_default();
        *total += 1;
        if *total <= KEPT {
            self.kept.push(Violation { invariant, what: what() });
        }
    }
}

#[derive(Default, Debug, PartialEq, Eq)]
pub struct Counts {
    pub clients: usize,
    pub entries: usize,
    /// In history, each once however many see it.
    pub messages: usize,
    pub acks: usize,
    pub retries: usize,
    /// Acks that say `duplicate`.
    pub duplicates: usize,
    /// By error.
    pub refusals: BTreeMap<String, usize>,
    /// Copies that came to clients.
    pub received: usize,
    pub receipts: usize,
    /// Marks that were answered.
    pub marks: usize,
}

pub struct Report {
    pub counts: Counts,
    /// How many violations of each invariant, where there are any.
    pub totals: BTreeMap<Invariant, usize>,
    /// The first few of each invariant.
    pub violations: Vec<Violation>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.totals.is_empty()
    }

    pub fn broken(&self) -> Vec<Invariant> {
        self.totals.keys().copied().collect()
    }
}

pub fn check(logs: &[Log], histories: &Histories) -> Report {
    let index = Index::new(logs, histories);
    let mut found = Found::default();
    history::acked_is_in_history(&index, &mut found);
    history::a_key_stands_once(&index, &mut found);
    history::nothing_is_there_that_nobody_sent(&index, &mut found);
    history::all_acks_of_a_write_agree(&index, &mut found);
    order::seqs_are_dense(&index, &mut found);
    order::the_order_is_the_order_of_sending(&index, &mut found);
    order::live_frames_come_in_order(&index, &mut found);
    delivery::all_copies_agree(&index, &mut found);
    delivery::who_caught_up_has_everything(&index, &mut found);
    marks::marks_never_go_back(&index, &mut found);
    marks::unread_is_exact(&index, &mut found);
    Report { counts: count(&index), totals: found.totals, violations: found.kept }
}

fn count(index: &Index<'_>) -> Counts {
    let mut counts = Counts {
        clients: index.logs.len(),
        messages: index.conversations.values().map(|c| c.record.len()).sum(),
        retries: index.writes.iter().map(|w| w.attempts.len().saturating_sub(1)).sum(),
        ..Counts::default()
    };
    for entry in index.logs.iter().flat_map(|log| &log.entries) {
        counts.entries += 1;
        match &entry.what {
            What::Acked { duplicate, .. } | What::ToldStored { duplicate, .. } => {
                counts.acks += 1;
                counts.duplicates += usize::from(*duplicate);
            }
            What::Refused { error, .. } => *counts.refusals.entry(error.clone()).or_default() += 1,
            What::Received { .. } => counts.received += 1,
            What::Receipt { .. } => counts.receipts += 1,
            What::MarkAnswered { .. } => counts.marks += 1,
            _ => {}
        }
    }
    counts
}

/// `12 345`.
fn spaced(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            clients,
            entries,
            messages,
            acks,
            retries,
            duplicates,
            refusals,
            received,
            receipts,
            marks,
        } = &self.counts;
        write!(
            f,
            "checked {} messages, {} acks, {} retries: ",
            spaced(*messages),
            spaced(*acks),
            spaced(*retries)
        )?;
        write!(f, "{} violations", spaced(self.totals.values().sum()))?;
        write!(f, " ({} clients, {} entries, ", spaced(*clients), spaced(*entries))?;
        write!(f, "{} duplicates, ", spaced(*duplicates))?;
        for (error, times) in refusals {
            write!(f, "{} refused {error}, ", spaced(*times))?;
        }
        write!(f, "{} copies, {} receipts, {} marks)", spaced(*received), spaced(*receipts), spaced(*marks))?;
        for (invariant, total) in &self.totals {
            write!(f, "\n{invariant:?}: {}", spaced(*total))?;
            for violation in self.violations.iter().filter(|v| v.invariant == *invariant) {
                write!(f, "\n  {}", violation.what)?;
            }
        }
        Ok(())
    }
}
