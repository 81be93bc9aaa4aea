//! A text as the word list sees it: its letters alone, in one form of case and width, and what stood between them.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, Script};
use icu_properties::{CodePointMapData, CodePointSetData};

/// What stands between a letter and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// Nothing, or what nobody sees.
    None,
    /// A symbol or mark that no language puts between two words without a space beside it.
    Filler,
    /// White space or punctuation, as between words.
    Wall,
}

#[derive(Debug, Clone, Copy)]
struct Letter {
    /// Where it begins in the letters, in bytes.
    at: usize,
    gap: Gap,
    /// Of a script that is written without spaces between words.
    unspaced: bool,
}

#[derive(Debug, Default)]
pub struct Folded {
    pub letters: String,
    index: Vec<Letter>,
}

enum Class {
    Letter,
    Unseen,
    Filler,
    Wall,
}

impl Folded {
    pub fn of(text: &str) -> Self {
        // ASCII is composed already, and most of what is sent in some places.
        let folded = if text.is_ascii() { text.to_ascii_lowercase() } else { fold(text) };
        let mut all = Self { letters: String::with_capacity(folded.len()), index: Vec::with_capacity(folded.len()) };
        let mut gap = Gap::None;
        for c in folded.chars() {
            match class(c) {
                Class::Letter => {
                    all.index.push(Letter { at: all.letters.len(), gap, unspaced: is_unspaced(c) });
                    all.letters.push(c);
                    gap = Gap::None;
                }
                Class::Unseen => {}
                Class::Filler => gap = gap.max(Gap::Filler),
                Class::Wall => gap = Gap::Wall,
            }
        }
        all
    }

    /// The letters between two places in bytes, by their number. Both must be where letters begin or end.
    pub fn numbers(&self, from: usize, to: usize) -> std::ops::Range<usize> {
        let number = |at: usize| self.index.partition_point(|letter| letter.at < at);
        number(from)..number(to)
    }

    pub fn gap_before(&self, number: usize) -> Gap {
        self.index.get(number).map_or(Gap::Wall, |letter| letter.gap)
    }

    /// Where, counted from the first letter, something stands before one.
    pub fn gaps(&self) -> impl Iterator<Item = usize> {
        self.index.iter().enumerate().skip(1).filter(|(_, letter)| letter.gap > Gap::None).map(|(number, _)| number)
    }

    /// Whether this letter and the one before it may belong to one word.
    pub fn joins(&self, number: usize) -> bool {
        let Some(previous) = number.checked_sub(1) else { return false };
        let unspaced = |number: usize| self.index.get(number).is_some_and(|letter| letter.unspaced);
        match self.gap_before(number) {
            Gap::None | Gap::Filler => true,
            Gap::Wall => unspaced(previous) || unspaced(number) || (self.stands_alone(previous) && self.stands_alone(number)),
        }
    }

    /// Whether a letter has no other beside it, as in a word that is spelled out.
    fn stands_alone(&self, number: usize) -> bool {
        let is_edge = |before: usize| {
            let unspaced = |number: usize| self.index.get(number).is_some_and(|letter| letter.unspaced);
            before == 0 || self.gap_before(before) > Gap::None || unspaced(before - 1) || unspaced(before)
        };
        is_edge(number) && is_edge(number + 1)
    }
}

fn fold(text: &str) -> String {
    let nfkc = ComposingNormalizer::new_nfkc();
    // Folding case may leave what is not composed, and composing what has another case.
    let composed = nfkc.normalize(text);
    let folded = CaseMapper::new().fold_string(&composed);
    nfkc.normalize(&folded).into_owned()
}

fn class(c: char) -> Class {
    use GeneralCategory as G;
    if c.is_ascii_alphanumeric() {
        return Class::Letter;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    match category {
        G::Format => Class::Unseen,
        _ if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) => Class::Unseen,
        // Strokes and dots that are laid over any letter. Marks of a script of their own are letters of it.
        G::NonspacingMark | G::EnclosingMark if CodePointMapData::<Script>::new().get(c) == Script::Inherited => Class::Unseen,
        G::MathSymbol | G::CurrencySymbol | G::ModifierSymbol | G::OtherSymbol | G::ConnectorPunctuation => Class::Filler,
        G::PrivateUse | G::Unassigned => Class::Filler,
        _ if matches!(c, '*' | '·' | '•' | '‧' | '・') => Class::Filler,
        G::DashPunctuation | G::OpenPunctuation | G::ClosePunctuation | G::InitialPunctuation | G::FinalPunctuation => Class::Wall,
        G::OtherPunctuation | G::SpaceSeparator | G::LineSeparator | G::ParagraphSeparator | G::Control => Class::Wall,
        _ => Class::Letter,
    }
}

fn is_unspaced(c: char) -> bool {
    use Script as S;
    if c.is_ascii() {
        return false;
    }
    let script = CodePointMapData::<Script>::new().get(c);
    [S::Han, S::Hiragana, S::Katakana, S::Bopomofo, S::Thai, S::Lao, S::Khmer, S::Myanmar].contains(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_width_and_what_nobody_sees_make_no_difference() {
        for (text, letters) in [
            ("ＢａＤ", "bad"),
            ("b\u{200B}a\u{AD}d\u{FEFF}", "bad"),
            ("b\u{336}a\u{338}d\u{20DD}", "bad"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("ﾊﾞｶ", "バカ"),
            ("①㈱", "1株"),
            ("e\u{301}", "é"),
            ("ไทย", "ไทย"),
            ("ᅠ坏\u{3164}词", "坏词"),
        ] {
            assert_eq!(Folded::of(text).letters, letters, "{text:?}");
        }
        assert_eq!(Folded::of(" \n.!😀").letters, "");
    }

    #[test]
    fn what_stood_between_letters_is_kept() {
        let folded = Folded::of("a b.c*d_e\u{200B}f 😀g");
        let gaps: Vec<_> = (0..7).map(|n| folded.gap_before(n)).collect();
        assert_eq!(gaps, [Gap::None, Gap::Wall, Gap::Wall, Gap::Filler, Gap::Filler, Gap::None, Gap::Wall]);
        assert_eq!(folded.numbers(2, 4), 2..4);
        assert_eq!(Folded::of("坏 词x").numbers(3, 7), 1..3);
    }
}
