//! Prometheus' older text format, made from OpenMetrics.

use std::collections::HashSet;

/// The same numbers in text format 0.0.4, which names a counter as its samples, has no units and no end, and
/// knows no infos.
pub(super) fn as_prometheus(openmetrics: &str) -> String {
    let of_type = |wanted: &str| -> HashSet<&str> {
        let types = openmetrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        types.filter(|(_, kind)| *kind == wanted).map(|(name, _)| name).collect()
    };
    let (counters, infos) = (of_type("counter"), of_type("info"));
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let named = ["# HELP ", "# TYPE "]
            .into_iter()
            .find_map(|word| Some((word, line.strip_prefix(word)?.split_once(' ')?)));
        match named {
            Some((word, (name, rest))) if counters.contains(name) => {
                text.extend([word, name, "_total ", rest])
            }
            Some(("# TYPE ", (name, _))) if infos.contains(name) => {
                text.extend(["# TYPE ", name, "_info gauge"])
            }
            Some((word, (name, rest))) if infos.contains(name) => text.extend([word, name, "_info ", rest]),
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}
