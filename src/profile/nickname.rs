//! Names that people give themselves.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::Unfit;

/// In characters, as Unicode counts its scalar values.
const LONGEST: usize = 32;

/// The Braille pattern without a dot, which is a symbol to Unicode.
const BLANK: char = '\u{2800}';

/// A name to be shown, 1 to 32 characters, or empty: none is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nickname(Box<str>);

impl Nickname {
    /// White space around it is dropped, all else is kept as it was given.
    ///
    /// # Errors
    /// [`Unfit`] when it is too long, shows nothing, or has a character that would spoil the place where it
    /// is shown.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        let text = text.trim();
        if text.chars().count() > LONGEST {
            return Err(Unfit("nickname must have at most 32 characters"));
        }
        if text.chars().any(turns_the_line) {
            return Err(Unfit("nickname must not have characters that turn the direction of writing"));
        }
        let categories = CodePointMapData::<GeneralCategory>::new();
        if text.chars().any(|c| is_no_writing(categories.get(c))) {
            return Err(Unfit("nickname must not have control, private-use or unassigned characters"));
        }
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
        if !text.is_empty()
            && text.chars().all(|c| c == BLANK || ignorable.contains(c) || is_invisible(categories.get(c)))
        {
            return Err(Unfit("nickname must show something"));
        }
        Ok(Self(text.into()))
    }

    /// One that was parsed before it was stored. It is shown as it is, though what is assigned may have
    /// changed with a release since.
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Embeddings, overrides and isolates (UAX #9): what stands behind the name would turn with it. The marks of
/// direction (U+200E, U+200F) turn nothing but the name, and are needed in some.
fn turns_the_line(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn is_no_writing(category: GeneralCategory) -> bool {
    use GeneralCategory::{Control, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate, Unassigned};
    matches!(category, Control | LineSeparator | ParagraphSeparator | PrivateUse | Surrogate | Unassigned)
}

/// By itself.
fn is_invisible(category: GeneralCategory) -> bool {
    use GeneralCategory::{EnclosingMark, Format, NonspacingMark, SpaceSeparator, SpacingMark};
    matches!(category, EnclosingMark | Format | NonspacingMark | SpaceSeparator | SpacingMark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_kept_as_they_are() {
        for name in [
            "鸿雁",
            "Zoë",
            "Zoe\u{308}",
            "👩‍👩‍👧‍👦",
            "❤️",
            "می‌خواهم",
            "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
            "שלום\u{200F}",
            "a b",
            "<script>",
            "%00",
            "'; --",
        ] {
            assert_eq!(Nickname::parse(name).unwrap().as_str(), name);
        }
        assert_eq!(Nickname::parse(" \u{3000}\t名\n").unwrap().as_str(), "名");
        assert_eq!(Nickname::parse(" \r\n").unwrap(), Nickname::default());
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        for c in ["a", "雁", "😀"] {
            assert!(Nickname::parse(&c.repeat(32)).is_ok());
            assert!(Nickname::parse(&c.repeat(33)).is_err());
        }
    }

    #[test]
    fn what_would_spoil_a_list_is_refused() {
        for bad in [
            "a\u{0}",
            "a\nb",
            "a\tb",
            "\u{7f}x",
            "\u{9b}x", // control
            "a\u{2028}b",
            "a\u{2029}b", // ends of lines
            "x\u{202E}gnp.exe",
            "\u{202A}x",
            "x\u{2066}",
            "x\u{2069}", // direction
            "\u{E000}",
            "\u{F8FF}x",
            "\u{10FFFD}", // private use
            "\u{FDD0}",
            "\u{FFFF}",
            "\u{378}x",
            "\u{E0080}", // never or not yet assigned
            "\u{200B}",
            "\u{200D}\u{FE0F}",
            "\u{301}",
            "\u{AD} \u{AD}",
            "\u{3164}",
            "\u{115F}\u{FFA0}",
            "\u{2800}\u{2800}", // nothing to be seen
        ] {
            assert!(Nickname::parse(bad).is_err(), "{bad:?}");
        }
    }
}
