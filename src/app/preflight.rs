//! Checks of what a start needs of this machine: made by `serve` and `dev` before anything is written or
//! served, and by `hongyan config check`.
//!
//! What only others can tell is not looked at here: whether PostgreSQL lets this server in and what its
//! tables are, and what WeChat says.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use super::Error;
use crate::config::Config;
use crate::http::listen::{self, BindError};
use crate::http::{Budget, descriptors};
use crate::safety::Words;
use crate::store;

/// What was found, for a start that goes on.
pub(super) struct Prepared {
    /// Shares of the open files.
    pub(super) budget: Budget,
    pub(super) words: Arc<Words>,
}

/// Everything that a start would end with.
#[derive(Debug)]
pub struct StartErrors(pub(super) Vec<Error>);

impl fmt::Display for StartErrors {
    /// A line each, with its causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            let mut told = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                let text = error.to_string();
                if !told.contains(&text) {
                    told.push_str(": ");
                    told.push_str(&text);
                }
                cause = error.source();
            }
            f.write_str(&told)?;
        }
        Ok(())
    }
}

impl std::error::Error for StartErrors {}

/// Looks at everything, so that all that is wrong is told at once. Blocking.
///
/// # Errors
/// [`StartErrors`].
pub(super) fn prepare(config: &Config) -> Result<Prepared, StartErrors> {
    let mut errors = Vec::new();
    let (limit, needed) = (descriptors::raise_limit(), descriptors::needed(config));
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        errors.push(Error::Descriptors { limit, needed });
    }
    let ops = config.ops.listen.map(listen::check_tcp).unwrap_or(Ok(()));
    let admin = config.admin.port().map(listen::check).unwrap_or(Ok(()));
    errors.extend(
        [listen::check(&config.server.listen), ops, admin]
            .into_iter()
            .filter_map(Result::err)
            .map(Error::from),
    );
    errors.extend(store::check(&config.database).err().map(Error::from));
    match Words::load(&config.safety) {
        Ok(words) if errors.is_empty() => {
            let own = limit.map(|limit| limit.saturating_sub(descriptors::inherited()));
            return Ok(Prepared { budget: Budget::new(own, config), words: Arc::new(words) });
        }
        Ok(_) => {}
        Err(bad) => errors.push(bad.into()),
    }
    Err(StartErrors(errors))
}

/// Looks whether a server could start with these settings, also beside one that runs with them; gives the
/// addresses that are taken.
///
/// # Errors
/// [`StartErrors`].
pub fn check(config: &Config) -> Result<Vec<String>, StartErrors> {
    let Err(StartErrors(errors)) = prepare(config) else { return Ok(Vec::new()) };
    let (mut taken, mut others) = (Vec::new(), Vec::new());
    for error in errors {
        match error {
            Error::Bind(BindError::InUse { at }) => taken.push(at),
            other => others.push(other),
        }
    }
    if others.is_empty() { Ok(taken) } else { Err(StartErrors(others)) }
}
