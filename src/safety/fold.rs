//! A text as the word list sees it: its letters alone, in one form of case and width, and what stood between
//! them.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, Script};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::alike::{self, Looks, looks};

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
    /// Laid over the letter before it, or beside it.
    Mark,
    Unseen,
    Filler,
    Wall,
}

impl Folded {
    pub fn of(text: &str) -> Self {
        // ASCII is composed already, and most of what is sent in some places.
        let folded = if text.is_ascii() { text.to_ascii_lowercase() } else { alike::unframed(fold(text)) };
        let mut all =
            Self { letters: String::with_capacity(folded.len()), index: Vec::with_capacity(folded.len()) };
        let mut gap = Gap::None;
        let mut base = None;
        for c in folded.chars() {
            match class(c) {
                Class::Mark if !belongs(c, base) => {}
                Class::Letter | Class::Mark => {
                    base = Some(c);
                    let c = if c.is_ascii() { c } else { alike::simplified(c) };
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

    /// The same letters, those that look like Latin ones as these; none where there is no such letter.
    pub fn as_latin(&self) -> Option<AsLatin> {
        if self.letters.is_ascii() || !self.letters.chars().any(|c| matches!(looks(c), Looks::Like(_))) {
            return None;
        }
        let mut folded = Self {
            letters: String::with_capacity(self.letters.len()),
            index: Vec::with_capacity(self.index.len()),
        };
        let mut latin = AsLatin {
            counts: vec![Counts::default()],
            words: Vec::with_capacity(self.index.len()),
            folded: Self::default(),
        };
        let (mut counts, mut word) = (Counts::default(), 0);
        for (number, (letter, c)) in self.index.iter().zip(self.letters.chars()).enumerate() {
            let looks = looks(c);
            match looks {
                Looks::Latin => counts.latin += 1,
                Looks::Like(_) => counts.alike += 1,
                Looks::Foreign => counts.foreign += 1,
                Looks::Other => {}
            }
            latin.counts.push(counts);
            if letter.gap > Gap::None {
                word = number;
            }
            latin.words.push(word);
            folded.index.push(Letter { at: folded.letters.len(), ..*letter });
            folded.letters.push(if let Looks::Like(like) = looks { like } else { c });
        }
        latin.folded = folded;
        Some(latin)
    }

    /// The letters between two places in bytes, by their number. Both must be where letters begin or end.
    pub fn numbers(&self, from: usize, to: usize) -> std::ops::Range<usize> {
        let number = |at: usize| self.index.partition_point(|letter| letter.at < at);
        number(from)..number(to)
    }

    /// How many letters there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Before which letters something stands.
    pub fn breaks(&self) -> Breaks {
        let numbers = || 1..self.index.len();
        Breaks {
            words: numbers().filter(|number| !self.joins(*number)).collect(),
            any: numbers().filter(|number| self.gap_before(*number) > Gap::None).collect(),
        }
    }

    fn gap_before(&self, number: usize) -> Gap {
        self.index.get(number).map_or(Gap::Wall, |letter| letter.gap)
    }

    /// Where, counted from the first letter, something stands before one.
    pub fn gaps(&self) -> impl Iterator<Item = usize> {
        self.index
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, letter)| letter.gap > Gap::None)
            .map(|(number, _)| number)
    }

    /// Whether this letter and the one before it may belong to one word.
    fn joins(&self, number: usize) -> bool {
        let Some(previous) = number.checked_sub(1) else { return false };
        let unspaced = |number: usize| self.index.get(number).is_some_and(|letter| letter.unspaced);
        match self.gap_before(number) {
            Gap::None | Gap::Filler => true,
            Gap::Wall => {
                unspaced(previous)
                    || unspaced(number)
                    || (self.stands_alone(previous) && self.stands_alone(number))
            }
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

/// Numbers of letters, rising.
#[derive(Debug)]
pub struct Breaks {
    /// Those that belong to no word with the one before.
    pub words: Vec<usize>,
    /// Those with anything before them.
    pub any: Vec<usize>,
}

/// A text whose look-alikes stand as Latin letters, and what they are.
#[derive(Debug)]
pub struct AsLatin {
    pub folded: Folded,
    /// Before each letter, and behind the last one.
    counts: Vec<Counts>,
    /// Of each letter, the first one of its word.
    words: Vec<usize>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    latin: usize,
    alike: usize,
    foreign: usize,
}

impl AsLatin {
    /// Whether these letters are disguised: their words mix Latin letters with look-alikes of another script;
    /// or they are look-alikes throughout, and the text has Latin letters and none that only another script
    /// has. A word that is whole in its own script is itself, though it looks like another.
    pub fn is_disguised(&self, letters: &std::ops::Range<usize>) -> bool {
        let from = self.words.get(letters.start).copied().unwrap_or(letters.start);
        let last = letters.end.saturating_sub(1);
        let to = self
            .words
            .get(last)
            .map_or(letters.end, |word| self.words.partition_point(|other| other <= word));
        let here = self.between(from, to);
        let all = self.counts.last().copied().unwrap_or_default();
        let is_mixed = here.alike > 0 && here.latin > 0;
        let is_whole = self.between(letters.start, letters.end).alike == letters.len();
        is_mixed || (is_whole && all.latin > 0 && all.foreign == 0)
    }

    fn between(&self, from: usize, to: usize) -> Counts {
        let at = |number: usize| self.counts.get(number).copied().unwrap_or_default();
        let (from, to) = (at(from), at(to));
        Counts {
            latin: to.latin - from.latin,
            alike: to.alike - from.alike,
            foreign: to.foreign - from.foreign,
        }
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
        G::NonspacingMark | G::EnclosingMark | G::SpacingMark => Class::Mark,
        G::MathSymbol | G::CurrencySymbol | G::ModifierSymbol | G::OtherSymbol | G::ConnectorPunctuation => {
            Class::Filler
        }
        G::PrivateUse | G::Unassigned => Class::Filler,
        _ if matches!(c, '*' | '·' | '•' | '‧' | '・') => Class::Filler,
        G::DashPunctuation
        | G::OpenPunctuation
        | G::ClosePunctuation
        | G::InitialPunctuation
        | G::FinalPunctuation => Class::Wall,
        G::OtherPunctuation | G::SpaceSeparator | G::LineSeparator | G::ParagraphSeparator | G::Control => {
            Class::Wall
        }
        _ => Class::Letter,
    }
}

/// Whether a mark is a letter of the script that the letter before it is of. Strokes and dots that are laid
/// over any letter are not, nor are marks of one script on a letter of another.
fn belongs(mark: char, base: Option<char>) -> bool {
    let script = |c| CodePointMapData::<Script>::new().get(c);
    let of_mark = script(mark);
    of_mark != Script::Inherited
        && of_mark != Script::Common
        && base.is_some_and(|base| script(base) == of_mark)
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
            // A mark of another script, laid over or beside.
            ("坏\u{E31}词\u{93E}", "坏词"),
            ("b\u{5B0}ad", "bad"),
            ("हिन्दी", "हिन्दी"),
            ("臺獨 繁體", "台独繁体"),
            ("🅑🇦🅳", "bad"),
        ] {
            assert_eq!(Folded::of(text).letters, letters, "{text:?}");
        }
        assert_eq!(Folded::of(" \n.!😀").letters, "");
    }

    #[test]
    fn a_disguised_word_mixes_scripts_or_stands_among_latin_ones() {
        let disguised = |text: &str, letters| {
            Folded::of(text).as_latin().is_some_and(|latin| latin.is_disguised(&letters))
        };
        assert_eq!(Folded::of("сосkа").as_latin().unwrap().folded.letters, "cocka");
        assert!(disguised("сосk", 0..4) && disguised("с о с k", 0..4) && disguised("the сос", 3..6));
        assert!(disguised("xсос", 1..4), "the rest of the word counts");
        assert!(
            !disguised("сос", 0..3)
                && !disguised("the сос щ", 3..6)
                && !disguised("the сос", 0..3)
                && !disguised("plain", 0..5)
        );
        assert!(!disguised("the соска", 0..2));
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
