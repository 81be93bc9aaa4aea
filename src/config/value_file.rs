//! A file that holds the value of one setting, such as a secret.

use std::path::Path;

use crate::files::{Denied, Need};

/// Reads the value. One line end at the end is no part of it: most ways to write such a file leave one.
///
/// # Errors
/// Reason, to be shown to people; never what stands in the file.
pub fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map(without_line_end).map_err(|error| unreadable(path, &error))
}

/// Reason why a file cannot be read, and what to do.
pub fn unreadable(path: &Path, error: &std::io::Error) -> String {
    match Denied::explain(path, Need::Read, error) {
        Some(denied) => format!("cannot be read: {}", denied.reason()),
        None => format!("cannot be read: {error}"),
    }
}

fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}
