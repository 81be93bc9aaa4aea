//! Fault of a setting, in one line that names the key, where its value came from and what is allowed.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    /// What `hongyan dev` fills in.
    Dev,
    File {
        path: PathBuf,
        line: usize,
    },
    /// The file that a `…_file` key of a settings file names.
    ValueFile {
        path: PathBuf,
        line: usize,
        file: PathBuf,
    },
    Environment(String),
    /// The file that a `…_FILE` variable names.
    EnvironmentFile {
        name: String,
        path: PathBuf,
    },
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Dev => f.write_str("default of dev"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::ValueFile { path, line, file } => {
                write!(f, "{}:{line}, file {}", path.display(), file.display())
            }
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::EnvironmentFile { name, path } => write!(f, "environment {name}, file {}", path.display()),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing that is wrong. Never holds the value of a secret key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key; for a source that cannot be read at all, the source.
    pub about: String,
    pub source: Option<Source>,
    pub what: String,
}

impl Problem {
    pub fn new(about: impl Into<String>, source: Option<Source>, what: impl Into<String>) -> Self {
        Self { about: about.into(), source, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.about.clone();
        if let Some(source) = &self.source {
            line.push_str(&format!(" ({source})"));
        }
        line.push_str(": ");
        line.push_str(&self.what);
        // One line, whatever a value or a path holds.
        for c in line.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { fmt::Write::write_char(f, c)? }
        }
        Ok(())
    }
}

/// All that is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);
