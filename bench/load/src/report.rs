//! What was measured against what must be reached, for a terminal and for docs/BENCHMARKS.md.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// One line of the table.
pub struct Row {
    pub figure: String,
    pub measured: String,
    pub bar: Option<Bar>,
}

pub struct Bar {
    pub text: String,
    pub met: bool,
}

impl Row {
    /// Without a bar: printed beside the others.
    pub fn beside(figure: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { figure: figure.into(), measured: measured.into(), bar: None }
    }

    pub fn at_least(figure: impl Into<String>, value: f64, bar: f64, unit: &str, detail: &str) -> Self {
        let bar = Bar { text: format!("≥ {bar}{unit}"), met: value >= bar };
        Self { figure: figure.into(), measured: measured(value, unit, detail), bar: Some(bar) }
    }

    pub fn at_most(figure: impl Into<String>, value: f64, bar: f64, unit: &str, detail: &str) -> Self {
        let bar = Bar { text: format!("≤ {bar}{unit}"), met: value <= bar };
        Self { figure: figure.into(), measured: measured(value, unit, detail), bar: Some(bar) }
    }
}

fn measured(value: f64, unit: &str, detail: &str) -> String {
    format!("**{value:.2}{unit}** ({detail})")
}

pub fn table(rows: &[Row]) -> String {
    let mut out = String::from("| figure | measured | bar | |\n|---|---|---|---|\n");
    for Row { figure, measured, bar } in rows {
        let (text, verdict) = match bar {
            Some(Bar { text, met: true }) => (text.as_str(), "met"),
            Some(Bar { text, met: false }) => (text.as_str(), "**missed**"),
            None => ("", ""),
        };
        let _ = writeln!(out, "| {figure} | {measured} | {text} | {verdict} |");
    }
    out
}

/// What it was measured on.
pub fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown", |l| l.trim_start_matches(['\t', ' ', ':']));
    let cores = cpus.lines().filter(|l| l.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// Puts `text` between the two marks of that name in the document.
pub fn write(document: &Path, mark: &str, text: &str) -> Result<()> {
    let (begin, end) = (format!("<!-- {mark}:begin -->"), format!("<!-- {mark}:end -->"));
    let old = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let marks = || format!("{} has no {begin} … {end}", document.display());
    let (before, rest) = old.split_once(&begin).with_context(marks)?;
    let (_, after) = rest.split_once(&end).with_context(marks)?;
    Ok(std::fs::write(document, format!("{before}{begin}\n\n{text}\n{end}{after}"))?)
}
