//! The operator's list of words that no message may have.
//!
//! A list is a text file, one entry a line; a line that begins with `#`, and an empty one, says nothing. Entries and messages are compared
//! after NFKC, folding of case and width, and without what nobody sees (zero width, strokes laid over letters), as `fold` has it. An entry
//! is found within longer words, too. Between the letters of an entry may then stand
//!
//! - where one of the two is of a script without spaces (Han, kana, Thai …): anything that is no letter;
//! - elsewhere: symbols, `*`, `_`, `·`; and white space and punctuation only between letters that each stand alone (`b a d`, `b.a.d`),
//!   so that nothing is found across two words of running text (`pen is` is not `penis`);
//! - and whatever the entry itself has there: `bad word` is found with any space or mark between the two.
//!
//! An entry of the exceptions excuses every word inside of it, where it stands whole: with nothing between its letters but what it has
//! there itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aho_corasick::{AhoCorasick, MatchKind};

use super::fold::{Folded, Gap};

/// A list of a million words has some 10 MiB.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a file gives no list. It never says what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("it has more than {FILE_BYTES} bytes")]
    TooLarge,
    #[error("it is not UTF-8")]
    NotText,
    #[error("line {0} has neither letter nor digit")]
    NoLetters(usize),
    #[error("it has too many entries")]
    TooMany,
}

/// Which text is no list, and why.
#[derive(Debug)]
pub struct NoList {
    pub of: Part,
    pub why: Unusable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Words,
    Exceptions,
}

/// Words, and what excuses them.
#[derive(Debug)]
pub struct WordList {
    words: Entries,
    exceptions: Entries,
}

impl WordList {
    /// # Errors
    /// [`NoList`].
    pub fn new(words: &str, exceptions: &str) -> Result<Self, NoList> {
        let entries = |of, text| Entries::new(text).map_err(|why| NoList { of, why });
        Ok(Self { words: entries(Part::Words, words)?, exceptions: entries(Part::Exceptions, exceptions)? })
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.words.gaps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the text has a listed word.
    pub fn refuses(&self, text: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let text = Folded::of(text);
        let mut excused = None;
        self.words.found(&text, Spelling::Any).any(|word| {
            let excused = excused.get_or_insert_with(|| self.exceptions.found(&text, Spelling::Whole).collect::<Vec<_>>());
            !excused.iter().any(|exception| exception.start <= word.start && word.end <= exception.end)
        })
    }
}

/// The text of a file with a list.
///
/// # Errors
/// [`Unusable`].
pub fn read(path: &Path) -> Result<String, Unusable> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(Unusable::Unreadable)?;
    if read as u64 > FILE_BYTES {
        return Err(Unusable::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| Unusable::NotText)
}

/// How an entry must stand in a text to count.
#[derive(Clone, Copy)]
enum Spelling {
    Any,
    Whole,
}

#[derive(Debug)]
struct Entries {
    automaton: AhoCorasick,
    /// Of each entry, the letters before which it has something itself, by their number.
    gaps: Vec<Box<[usize]>>,
}

impl Entries {
    fn new(text: &str) -> Result<Self, Unusable> {
        let (mut patterns, mut gaps) = (Vec::new(), Vec::new());
        for (number, line) in text.trim_start_matches('\u{FEFF}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let folded = Folded::of(line);
            if folded.letters.is_empty() {
                return Err(Unusable::NoLetters(number + 1));
            }
            gaps.push(folded.gaps().collect());
            patterns.push(folded.letters);
        }
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&patterns).map_err(|_| Unusable::TooMany)?;
        Ok(Self { automaton, gaps })
    }

    /// Every place where an entry stands, by the numbers of its letters.
    fn found<'a>(&'a self, text: &'a Folded, spelling: Spelling) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        self.automaton.find_overlapping_iter(&text.letters).filter_map(move |found| {
            let letters = text.numbers(found.start(), found.end());
            let own = self.gaps.get(found.pattern().as_usize())?;
            let stands = letters.clone().skip(1).all(|number| {
                let fits = match spelling {
                    Spelling::Any => text.joins(number),
                    Spelling::Whole => text.gap_before(number) == Gap::None,
                };
                fits || own.contains(&(number - letters.start))
            });
            stands.then_some(letters)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &str, exceptions: &str) -> WordList {
        WordList::new(words, exceptions).unwrap()
    }

    #[test]
    fn spaced_wide_and_hidden_spellings_are_found() {
        let list = list("badword\n坏词\nпривет\nbad place\n8964\n", "");
        for text in [
            "badword",
            "it is a BadWord!",
            "ｂａｄｗｏｒｄ",
            "b a d w o r d",
            "b.a-d/w,o'r\nd",
            "b*a*d*w*o*r*d",
            "bad*word",
            "bad😀word",
            "bad_word",
            "b\u{200B}a\u{200D}d\u{2060}word",
            "bad\u{AD}word",
            "b\u{336}a\u{336}dw\u{336}ord",
            "𝐛𝐚𝐝𝐰𝐨𝐫𝐝",
            "ⓑⓐⓓⓦⓞⓡⓓ",
            "xxbadwordxx",
            "坏词",
            "坏 词",
            "坏。词",
            "坏-\u{3000}★ 词",
            "你坏 词吗",
            "ПРИВЕТ",
            "bad place",
            "bad-place",
            "bad   \n place",
            "b a d p l a c e",
            "8 9 6 4",
            "８９６４",
            "你b a d w o r d好",
        ] {
            assert!(list.refuses(text), "{text:?}");
        }
        for text in ["", "bad", "a bad", "word", "badger words", "坏的词", "bad new place", "89 64", "8 964", "b4dword"] {
            assert!(!list.refuses(text), "{text:?}");
        }
    }

    #[test]
    fn nothing_is_found_across_two_words_of_running_text() {
        let list = list("penis\nanal\n시발\nbadplace", "");
        for text in [
            "the pen is here",
            "a pen, is it?",
            "pen.is",
            "pen\nis",
            "Can Al come?",
            "a nal",
            "몇시 발표",
            "bad place",
            "a bad/place",
            "the p e n is",
        ] {
            assert!(!list.refuses(text), "{text:?}");
        }
        assert!(list.refuses("p e n i s") && list.refuses("시 발"));
    }

    #[test]
    fn an_exception_excuses_what_is_inside_of_it_where_it_stands_whole() {
        let list = list("cunt\n台独\nbad", "Scunthorpe\n烟台独立站\nBad Ems\n");
        for text in ["Scunthorpe", "ｓＣＵＮＴＨＯＲＰＥs are", "去烟台独立站看看", "to Bad Ems", "to Bad-Ems"] {
            assert!(!list.refuses(text), "{text:?}");
        }
        for text in [
            "cunt",
            "Scunthorpe cunt",
            "S cunt horpe",
            "s c u n t h o r p e",
            "Scunt horpe",
            "台独",
            "烟 台独 立站",
            "烟台独",
            "bad Scunthorpe",
            "Bad",
        ] {
            assert!(list.refuses(text), "{text:?}");
        }
    }

    #[test]
    fn entries_inside_and_over_each_other_are_all_found() {
        let list = list("ab\nabcd\nbc x\nbcx", "abc");
        assert!(!list.refuses("abc"));
        assert!(list.refuses("abcd"), "the longer one is not inside of the exception");
        assert!(list.refuses("1bc-x"), "one of two entries with the same letters");
    }

    #[test]
    fn a_list_has_an_entry_a_line_and_says_which_line_is_none() {
        let list = list("\u{FEFF}# about\n\n  one  \r\ntwo # three\n", "");
        assert_eq!(list.len(), 2);
        assert!(list.refuses("One") && list.refuses("two: three") && !list.refuses("about"));
        assert!(matches!(WordList::new("one\n \n...\n", ""), Err(NoList { of: Part::Words, why: Unusable::NoLetters(3) })));
        assert!(WordList::new("", "").unwrap().is_empty());
    }

    #[test]
    fn a_file_must_be_there_and_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words");
        assert!(matches!(read(&path), Err(Unusable::Unreadable(_))));
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert!(matches!(read(&path), Err(Unusable::NotText)));
        std::fs::write(&path, "word").unwrap();
        assert_eq!(read(&path).unwrap(), "word");
    }
}
