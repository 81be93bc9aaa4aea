//! What an idle session holds of the server's memory.

use std::time::Duration;

use anyhow::Result;

use crate::fleet::{Dialect, Fleet};
use crate::servers::Programs;

/// Resident bytes a session.
pub struct Resident {
    pub fresh: f64,
    pub used: f64,
}

/// The figure is one of growth, so the pages of the server itself and of its thread stacks are not in it;
/// SQLite's page cache, which fills while messages are stored, is.
pub fn measure(
    programs: &Programs,
    sessions: usize,
    idle: Duration,
    settings: &[(&str, &str)],
) -> Result<Resident> {
    let server = programs.hongyan(settings)?;
    let before = server.resident()?;
    let a_session =
        || Ok::<_, anyhow::Error>(server.resident()?.saturating_sub(before) as f64 / sessions as f64);
    let mut fleet = Fleet::connect(server.at, sessions, Dialect::V1, 1024)?;
    fleet.idle(Duration::from_secs(2))?;
    let fresh = a_session()?;
    fleet.exchange(10)?;
    fleet.idle(idle)?;
    Ok(Resident { fresh, used: a_session()? })
}
