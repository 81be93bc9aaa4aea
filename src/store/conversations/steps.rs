//! Times that stand in an index are kept in steps: a busy conversation moves in it once a step.

/// The longest that a change may come after the time that is kept of it, in milliseconds, by the store's own
/// time. The same number stands in `hongyan_commit`.
pub(in crate::store) const STEP_MS: i64 = 4_000;

/// What is to be kept of a change at `at`, where `kept` stands; none where that will do.
pub(in crate::store) fn next(kept: i64, at: i64) -> Option<i64> {
    (at >= kept.saturating_add(STEP_MS)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_less_than_a_step_after_what_is_kept_of_it() {
        let mut kept = 0;
        for at in (10_000..60_000).step_by(7) {
            kept = next(kept, at).unwrap_or(kept);
            assert!((kept..kept + STEP_MS).contains(&at), "{at} {kept}");
        }
    }
}
