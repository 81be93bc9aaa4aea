//! Long texts for msgSecCheck, which takes 2 500 characters at a time.

/// Characters that WeChat takes.
const LONGEST: usize = 2_500;

/// What two neighbours have in common, so that nothing is hidden by where the cut is.
const OVERLAP: usize = 100;

/// The text in pieces that overlap; one, where it is short enough.
pub fn pieces(text: &str) -> Vec<&str> {
    // A text of so few bytes has no more characters.
    if text.len() <= LONGEST {
        return vec![text];
    }
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let mut pieces = Vec::new();
    let mut from = 0;
    loop {
        let to = from + LONGEST;
        let end = starts.get(to).copied().unwrap_or(text.len());
        pieces.push(&text[starts[from]..end]);
        if to >= starts.len() {
            return pieces;
        }
        from = to - OVERLAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_one_piece() {
        for text in ["", "a", &"字".repeat(2_500)] {
            assert_eq!(pieces(text), [text]);
        }
    }

    #[test]
    fn pieces_cover_the_text_and_overlap() {
        for length in [2_501, 4_900, 4_901, 16_384] {
            let text: String = ('\u{4E00}'..).take(length).collect();
            let parts = pieces(&text);
            assert!(parts.iter().all(|part| part.chars().count() <= LONGEST));
            for (one, next) in parts.iter().zip(parts.iter().skip(1)) {
                let common: String = next.chars().take(OVERLAP).collect();
                assert!(one.ends_with(&common), "{length}");
            }
            let tails = parts.iter().skip(1).map(|part| part.chars().skip(OVERLAP).collect::<String>());
            assert_eq!(std::iter::once(parts[0].to_owned()).chain(tails).collect::<String>(), text);
            assert!(parts.len() <= length.div_ceil(LONGEST - OVERLAP), "{length}: {}", parts.len());
        }
    }
}
