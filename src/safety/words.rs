//! The operator's list of words that no message may have.
//!
//! A list is a text file, one entry a line; a line that begins with `#`, and an empty one, says nothing.
//! Entries and messages are compared after NFKC, folding of case and width, and without what nobody sees
//! (zero width, strokes laid over letters), as `fold` has it. An entry is found within longer words, too.
//! Between the letters of an entry may then stand
//!
//! - where one of the two is of a script without spaces (Han, kana, Thai …): anything that is no letter;
//! - elsewhere: symbols, `*`, `_`, `·`; and white space and punctuation only between letters that each stand
//!   alone (`b a d`, `b.a.d`), so that nothing is found across two words of running text (`pen is` is not
//!   `penis`);
//! - and whatever the entry itself has there: `bad word` is found with any space or mark between the two.
//!
//! An entry of the exceptions excuses every word inside of it, where it stands whole: with nothing between
//! its letters but what it has there itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use aho_corasick::{AhoCorasick, MatchKind};

use super::fold::Folded;
use crate::files::{Denied, Need};

/// A list of a million words has some 10 MiB.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a file gives no list. It never says what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
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
        self.words.count
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the text has a listed word, or so many places where one nearly stands that it is not to be
    /// found out.
    pub fn refuses(&self, text: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let text = Folded::of(text);
        let mut places = PLACES;
        if self.stands_in(&text, View::Plain, &mut places, |_| true) {
            return true;
        }
        let latin = text.as_latin();
        latin.is_some_and(|latin| {
            self.stands_in(&latin.folded, View::Latin, &mut places, |letters| latin.is_disguised(letters))
        })
    }

    fn stands_in(
        &self,
        text: &Folded,
        view: View,
        places: &mut usize,
        counts: impl Fn(&Range<usize>) -> bool,
    ) -> bool {
        let (mut breaks, mut excused) = (None, None);
        for word in self.words.found(text, view) {
            if *places == 0 {
                return true;
            }
            *places -= 1;
            let Some(Place { letters, own }) = word else { continue };
            let breaks = breaks.get_or_insert_with(|| text.breaks());
            if !stands(&breaks.words, &letters, own) || !counts(&letters) {
                continue;
            }
            let excused =
                excused.get_or_insert_with(|| Excused::new(&self.exceptions, text, view, &breaks.any));
            if !excused.covers(&letters) {
                return true;
            }
        }
        false
    }
}

/// Places where the letters of an entry stand, of one text: a list whose entries lie in each other finds some
/// at each letter.
const PLACES: usize = 20_000;

/// Where excepted words stand: by the number of the letter at which they begin or before, how far they reach.
struct Excused(Vec<usize>);

impl Excused {
    fn new(exceptions: &Entries, text: &Folded, view: View, breaks: &[usize]) -> Self {
        let mut ends = vec![0; text.len()];
        // The rest of so many would excuse nothing that those before do not.
        for Place { letters, own } in exceptions.found(text, view).take(PLACES).flatten() {
            if stands(breaks, &letters, own)
                && let Some(end) = ends.get_mut(letters.start)
            {
                *end = letters.end.max(*end);
            }
        }
        let mut furthest = 0;
        for end in &mut ends {
            furthest = furthest.max(*end);
            *end = furthest;
        }
        Self(ends)
    }

    fn covers(&self, letters: &Range<usize>) -> bool {
        self.0.get(letters.start).is_some_and(|end| *end >= letters.end)
    }
}

/// Whether nothing breaks an entry but what it has there itself. `breaks` are the numbers of letters before
/// which something does, rising.
fn stands(breaks: &[usize], letters: &Range<usize>, own: &[usize]) -> bool {
    let inside = breaks.get(breaks.partition_point(|number| *number <= letters.start)..).unwrap_or_default();
    inside
        .iter()
        .take_while(|number| **number < letters.end)
        .all(|number| own.binary_search(&(number - letters.start)).is_ok())
}

/// The text of a file with a list.
///
/// # Errors
/// [`Unusable`].
pub fn read(path: &Path) -> Result<String, Unusable> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes));
    let read = read.map_err(|error| match Denied::explain(path, Need::Read, &error) {
        Some(denied) => Unusable::Denied(denied),
        None => Unusable::Unreadable(error),
    })?;
    if read as u64 > FILE_BYTES {
        return Err(Unusable::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| Unusable::NotText)
}

/// How a text, or an entry, is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// In its own letters.
    Plain,
    /// With look-alikes as the Latin letters that they look like.
    Latin,
}

#[derive(Debug)]
struct Entries {
    automaton: AhoCorasick,
    spellings: Vec<Entry>,
    /// Lines of the list.
    count: usize,
}

/// One spelling of an entry.
#[derive(Debug)]
struct Entry {
    /// `None`: it is the same in both.
    view: Option<View>,
    /// The letters before which the entry has something itself, by their number, rising.
    gaps: Box<[usize]>,
}

/// Where an entry's letters are in a text, and the entry's own gaps.
struct Place<'a> {
    letters: Range<usize>,
    own: &'a [usize],
}

impl Entries {
    fn new(text: &str) -> Result<Self, Unusable> {
        let (mut patterns, mut spellings, mut count) = (Vec::new(), Vec::new(), 0);
        for (number, line) in text.trim_start_matches('\u{FEFF}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let folded = Folded::of(line);
            if folded.letters.is_empty() {
                return Err(Unusable::NoLetters(number + 1));
            }
            count += 1;
            let gaps: Box<[usize]> = folded.gaps().collect();
            let latin = folded.as_latin();
            spellings.push(Entry { view: latin.as_ref().map(|_| View::Plain), gaps: gaps.clone() });
            patterns.push(folded.letters);
            if let Some(latin) = latin {
                spellings.push(Entry { view: Some(View::Latin), gaps });
                patterns.push(latin.folded.letters);
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(&patterns)
            .map_err(|_| Unusable::TooMany)?;
        Ok(Self { automaton, spellings, count })
    }

    /// Every place where the letters of an entry are; none for one that is of the other view.
    fn found<'a>(&'a self, text: &'a Folded, view: View) -> impl Iterator<Item = Option<Place<'a>>> + 'a {
        self.automaton.find_overlapping_iter(&text.letters).map(move |found| {
            let entry = self
                .spellings
                .get(found.pattern().as_usize())
                .filter(|entry| entry.view.is_none_or(|of| of == view))?;
            Some(Place { letters: text.numbers(found.start(), found.end()), own: &entry.gaps })
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
        for text in [
            "",
            "bad",
            "a bad",
            "word",
            "badger words",
            "坏的词",
            "bad new place",
            "89 64",
            "8 964",
            "b4dword",
        ] {
            assert!(!list.refuses(text), "{text:?}");
        }
    }

    #[test]
    fn disguises_do_not_get_around_it() {
        let list = list("badword\n台独\n後門\nсука\nхуй\nλόγος\nкот", "");
        for text in [
            // Traditional for simplified, and back.
            "臺獨",
            "台獨",
            "后门",
            "後门",
            // A mark of another script inside of a word.
            "台\u{E31}独",
            "台\u{93F}独",
            "台\u{64B}獨",
            "bad\u{5B0}word",
            // Look-alikes: some of the letters, all of them among Latin words, spelled out, and Latin ones in
            // a Russian word.
            "bаdword",
            "baԁwоrd",
            "ЬАD badwоrd",
            "bαdword",
            "b а d w о r d",
            "BАDWОRD",
            "ⅽ ｂａԁｗоｒｄ",
            "cукa",
            "СYКА",
            "хyй",
            "kот",
            "λόγoς",
            // Letters in frames.
            "🅑🅐🅓🅦🅞🅡🅓",
            "🅱🅰🅳🆆🅾🆁🅳",
            "🇧🇦🇩🇼🇴🇷🇩",
            "🇧 🇦 🇩 🇼 🇴 🇷 🇩",
            "🄱🄰🄳🅆🄾🅁🄳",
            "ⓑ🅐🄳word",
        ] {
            assert!(list.refuses(text), "{text:?}");
        }
    }

    #[test]
    fn innocent_words_that_look_like_listed_ones_pass() {
        let list =
            list("cock\nsex\ntop\npop\nnob\ncop\nhope\nbum\nlol\nvol\nрот\nкот\n发财\n台独\n后门\nanoc", "");
        for text in [
            "соска и потоп в посёлке",
            "Соска",
            "сос",
            "Рассорились, сорок восемь раз, порох",
            "Новости: новый автопарк, авторы, спор и вопрос",
            "ο τόπος και ο τρόπος, πόνος, νόμος",
            "the burn and the barn, 101, 10v0l",
            "my corner is on hold",
            "一台电脑独自放在门后",
            "皇后之后发了财务报表",
            "頭髮、出發、乾淨、后天",
            "🇸🇪🇽🇰 🇹🇴",
            "à la française, naïve, Ærøskøbing, sık sık",
            "Привет! Wi-Fi, IT-отдел, чатGPT, 4К и А4",
            "हिन्दी ไทยน้ำ עִבְרִית العَرَبِيَّة",
        ] {
            let found: Vec<_> = [
                "cock", "sex", "top", "pop", "nob", "cop", "hope", "bum", "lol", "vol", "рот", "кот", "发财",
                "台独", "后门",
            ]
            .into_iter()
            .filter(|word| super::WordList::new(word, "").unwrap().refuses(text))
            .collect();
            assert!(!list.refuses(text), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn a_text_with_too_many_places_is_refused_and_costs_no_more_than_they() {
        // Entries that lie in each other, and a text in which each nearly stands at each letter.
        let nested: String = (11..400).map(|n| format!("{}\n", "a".repeat(n))).collect();
        let nested = list(&nested, "");
        let text = "aaaaaaaaaa ".repeat(1_400);
        let began = std::time::Instant::now();
        assert!(nested.refuses(&text));
        println!("{} places in {} bytes: {:?}", PLACES, text.len(), began.elapsed());
        assert!(!nested.refuses(&"aaaaaaaaaa ".repeat(6)), "a few are looked at, each");
        // What excuses them is looked for once.
        let excused = list("a", &"a".repeat(20));
        assert!(!excused.refuses(&"a".repeat(16_000)));
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
        for text in
            ["Scunthorpe", "ｓＣＵＮＴＨＯＲＰＥs are", "去烟台独立站看看", "to Bad Ems", "to Bad-Ems"]
        {
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
        assert!(matches!(
            WordList::new("one\n \n...\n", ""),
            Err(NoList { of: Part::Words, why: Unusable::NoLetters(3) })
        ));
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
