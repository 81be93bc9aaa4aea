//! Findings, and how they are told.

use serde::Serialize;

use crate::cli::{Failure, say, table};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    /// There is nothing to check, or no way to.
    Skip,
    Ok,
    Warn,
    Fail,
}

impl Grade {
    fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "-",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// What one check found.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub check: &'static str,
    pub grade: Grade,
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn new(check: &'static str, grade: Grade, found: impl Into<String>) -> Self {
        Self { check, grade, found: found.into(), advice: None }
    }

    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Grade::Ok, found)
    }

    pub(super) fn skip(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Grade::Skip, why)
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(check, Grade::Warn, found) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(check, Grade::Fail, found) }
    }
}

/// The findings so far. As lines they are told as they come.
pub(super) struct Report {
    is_json: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json, findings: Vec::new() }
    }

    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) -> Result<(), Failure> {
        for finding in findings {
            if !self.is_json {
                say(&line(&finding))?;
            }
            self.findings.push(finding);
        }
        Ok(())
    }

    /// # Errors
    /// [`Failure::NotWell`] where a check failed.
    pub(super) fn end(self) -> Result<(), Failure> {
        let count = |grade| self.findings.iter().filter(|finding| finding.grade == grade).count();
        let (failed, warned) = (count(Grade::Fail), count(Grade::Warn));
        if self.is_json {
            #[derive(Serialize)]
            struct Whole<'a> {
                ok: bool,
                findings: &'a [Finding],
            }
            say(&(serde_json::to_string(&Whole { ok: failed == 0, findings: &self.findings })
                .unwrap_or_default()
                + "\n"))?;
        } else {
            say(&format!("{} checks: {failed} failed, {warned} with a warning\n", self.findings.len()))?;
        }
        if failed == 0 { Ok(()) } else { Err(Failure::NotWell) }
    }
}

fn line(finding: &Finding) -> String {
    let Finding { check, grade, found, advice } = finding;
    let advice = advice
        .as_ref()
        .map(|advice| format!("{:20}→ {}\n", "", table::printable(advice)))
        .unwrap_or_default();
    format!("{:5} {check:13} {}\n{advice}", grade.as_str(), table::printable(found))
}
