//! A start that waits for its database: it says so, once and then once a minute, its ports answer meanwhile,
//! and a signal ends it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use tokio::sync::oneshot;

use super::{Error, Signals, io, spawn};
use crate::config::{AllowedHosts, Database};
use crate::http::listen::Listener;
use crate::http::waiting;
use crate::lifecycle::Draining;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::outage::Outage;
use crate::store::{self, DatabaseState, OpenError, Reach};

/// Between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(1);

/// The ports that answer during the wait.
pub(super) struct Ports<'a> {
    pub(super) public: &'a Listener,
    pub(super) ops: Option<&'a Listener>,
    pub(super) admin: Option<&'a Listener>,
    pub(super) node: &'a Node,
    /// Names that the operators' port answers to.
    pub(super) allowed_hosts: &'a AllowedHosts,
    pub(super) metrics: &'a Metrics,
}

/// How a wait ended.
pub(super) enum Waited {
    /// The database is there, its tables are up to date.
    Reached,
    /// A signal came first.
    Left { signal: &'static str },
}

/// Waits until the database can be opened. `begins` is called before the ports are served, where there is a
/// wait at all. `hangup_ends`: SIGHUP ends the wait too; under `serve` it asks for lists to be read anew,
/// which the start does when it goes on.
///
/// # Errors
/// What waiting does not mend.
pub(super) async fn for_database(
    config: &Database,
    ports: Ports<'_>,
    signals: &mut Signals,
    hangup_ends: bool,
    draining: &Draining,
    begins: impl FnOnce(),
) -> Result<Waited, Error> {
    let seen = waiting::Seen::new(Mutex::new(DatabaseState::Ok));
    let (mut outage, mut begins, mut servers) = (Outage::default(), Some(begins), Vec::new());
    let waited = loop {
        let reached = tokio::select! {
            reached = reach(config.clone()) => reached?,
            signal = signals.ending(hangup_ends) => break Waited::Left { signal },
        };
        let Reach::NotYet(state) = reached else { break Waited::Reached };
        if let (Some(away), DatabaseState::Unreachable(reason) | DatabaseState::ReadOnly(reason)) =
            (outage.failed(Instant::now()), &state)
        {
            log::warn!(reason, waited_s = away.as_secs(); "waiting for the database; nobody is let in, and /readyz says 503");
        }
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = state;
        if let Some(begins) = begins.take() {
            begins();
            servers = serve(&ports, &seen, draining)
                .map_err(io("the ports cannot be served while the database is waited for"))?;
        }
        tokio::select! {
            () = tokio::time::sleep(ATTEMPT_INTERVAL) => {}
            signal = signals.ending(hangup_ends) => break Waited::Left { signal },
        }
    };
    for server in servers {
        server.stop(false).await;
    }
    if let (Waited::Reached, Some(waited)) = (&waited, outage.answered(Instant::now())) {
        log::info!(waited_s = waited.as_secs(); "the database is there");
    }
    Ok(waited)
}

fn serve(ports: &Ports<'_>, seen: &waiting::Seen, draining: &Draining) -> std::io::Result<Vec<ServerHandle>> {
    let public = waiting::start_public(ports.public.try_clone()?)?;
    let ops = ports
        .ops
        .map(|port| {
            waiting::start_ops(port.try_clone()?, ports.allowed_hosts, ports.node, seen, ports.metrics)
        })
        .transpose()?;
    let admin = ports.admin.map(|port| waiting::start_admin(port.try_clone()?)).transpose()?;
    Ok([Some(public), ops, admin].into_iter().flatten().map(|server| spawn(server, draining)).collect())
}

/// On a thread that nobody waits for when the process ends.
async fn reach(config: Database) -> Result<Reach, OpenError> {
    let (tell, told) = oneshot::channel();
    let started = std::thread::Builder::new()
        .name("hongyan-reach".into())
        .spawn(move || _ = tell.send(store::reach(&config)));
    started.map_err(|e| OpenError::Threads { reason: e.to_string() })?;
    told.await.unwrap_or_else(|_| {
        Err(OpenError::Threads { reason: "the thread that looks for the database died".to_owned() })
    })
}
