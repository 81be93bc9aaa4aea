//! Pages of bounded size: an answer ends where its entries have so many bytes, and says that more follows.

use serde_json::value::RawValue;

/// Maximum bytes of the entries of one page; a single larger one makes a page of its own.
pub const PAGE_BYTES: usize = 256 << 10;

/// How many entries of these sizes fit into one page, from the first on: one at the least.
pub fn fitting(sizes: impl IntoIterator<Item = usize>) -> usize {
    let mut total = 0_usize;
    let fit = sizes.into_iter().take_while(|size| {
        let is_first = total == 0;
        total = total.saturating_add(*size).saturating_add(1);
        is_first || total <= PAGE_BYTES
    });
    fit.count()
}

/// Bytes of a message in a page.
pub fn size(message: Option<&RawValue>) -> usize {
    message.map_or(0, |message| message.get().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_fits_and_one_at_the_least() {
        assert_eq!(fitting([]), 0);
        assert_eq!(fitting([10; 100]), 100);
        assert_eq!(fitting([PAGE_BYTES / 4; 100]), 3, "a comma stands between two");
        assert_eq!(fitting([2 * PAGE_BYTES, 1]), 1);
        assert_eq!(fitting([1, 2 * PAGE_BYTES, 1]), 1);
    }
}
