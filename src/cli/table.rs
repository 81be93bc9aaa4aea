//! Rows in columns, for a terminal.

/// Columns as wide as their widest entry, with a line of titles above; what a terminal would act on is shown
/// as `?`.
pub(super) fn columns<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(titles.map(str::to_owned))
        .chain(rows.iter().map(|row| row.clone().map(|cell| printable(&cell))))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// One line without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_cell_steers_the_terminal() {
        let rows = [["alice".to_owned(), "spam\u{1b}[2J".to_owned()], ["b".to_owned(), String::new()]];
        assert_eq!(columns(["USER", "REASON"], &rows), "USER   REASON\nalice  spam?[2J\nb\n");
    }
}
