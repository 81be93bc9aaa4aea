//! How much a proof does, and where its figure goes.

/// The long form, which `make torture` asks for.
pub fn is_long() -> bool {
    std::env::var("HONGYAN_TORTURE").is_ok_and(|size| size == "long")
}

/// What one form does in numbers.
pub fn short_or_long(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

/// Prints a figure on a line of its own, which `make torture` gathers.
pub fn figure(name: &str, what: impl std::fmt::Display) {
    println!("figure: {name}: {what}");
}
