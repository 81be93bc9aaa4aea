//! The version of this build.

use std::sync::LazyLock;

/// As in `Cargo.toml`.
pub const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, in 12 digits; `None` where the build was not told.
pub const COMMIT: Option<&str> = match option_env!("HONGYAN_COMMIT") {
    Some(commit) if !commit.is_empty() => Some(commit),
    _ => None,
};

/// Both, for people: `0.1.0 (0123456789ab)`.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| match COMMIT {
        Some(commit) => format!("{NUMBER} ({commit})"),
        None => NUMBER.to_owned(),
    });
    &TEXT
}
