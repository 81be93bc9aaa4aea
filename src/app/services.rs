//! Start and end of each part of the server.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_web::dev::ServerHandle;
use actix_web::rt::spawn;
use actix_web::web::Data;
use futures_util::future::{LocalBoxFuture, join_all};
use tokio::time::{Instant, interval, sleep};

use super::{Error, generation, io, live_sessions, traces};
use crate::certificate;
use crate::chat::ChatServer;
use crate::chat::messages::{CountSessions, DrainSessions};
use crate::config::{Config, DatabaseUrl};
use crate::http::listen::Listener;
use crate::http::{State, serve};
use crate::jobs::{self, Runner};
use crate::lifecycle::{Draining, Vital};
use crate::limits::{Admission, UserLimits};
use crate::metrics::Metrics;
use crate::notice::{self, NotifierHandle};
use crate::relay::{self, RelayHandle};
use crate::safety::ModerationHandle;
use crate::session::driver::CLOSE_WAIT;
use crate::store::{self, REPLY_TIMEOUT, Store};

/// Part of the server. Built first, so that all parts can call each other; then started, and stopped in the
/// end.
pub(super) trait Service {
    /// Begins what it does by itself.
    ///
    /// # Errors
    /// [`Error`]: the server cannot start.
    fn start(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Ends in order, within a time of its own; beyond it the process goes on without.
    fn stop(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

/// Parts of the server by the stage of the drain in which they end: a stage begins when the one before is over.
pub(super) struct Services(pub(super) Vec<Vec<Box<dyn Service>>>);

impl Services {
    pub(super) fn start(&mut self) -> Result<(), Error> {
        self.0.iter_mut().flatten().try_for_each(|service| service.start())
    }

    pub(super) async fn stop(mut self) {
        for stage in &mut self.0 {
            join_all(stage.iter_mut().map(|service| service.stop())).await;
        }
    }
}

/// How long a supervisor waits before it kills what has not ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long sessions may take to go, once they are told: some peers never answer a close.
const SESSIONS_LEAVE: Duration = CLOSE_WAIT.saturating_add(Duration::from_secs(1));
/// How long what is being checked may take to go to the store.
const CHECKS_DRAIN: Duration = Duration::from_secs(2);
/// How long what they sent may take to be committed.
const STORE_DRAINS: Duration = REPLY_TIMEOUT;

const _: () = {
    let (sessions, notices) = (SESSIONS_LEAVE.as_millis(), notice::LEAVE_TIMEOUT.as_millis());
    let jobs = jobs::LEAVE_TIMEOUT.as_millis() + 1_000;
    let farewell = if sessions > notices { sessions } else { notices };
    assert!(jobs <= farewell, "jobs hold up no drain");
    let durable = CHECKS_DRAIN.as_millis() + STORE_DRAINS.as_millis();
    let last = relay::LEAVE_TIMEOUT.as_millis() + 1_000 * serve::CALLS_LEAVE_S as u128;
    assert!(farewell + durable + last < DRAIN_TIMEOUT.as_millis(), "a drain is over before the kill");
};
/// How often forgotten users and addresses leave the limiters.
const EVICTION_INTERVAL: Duration = Duration::from_secs(10);

/// The chat and its sessions.
pub(super) struct Sessions {
    pub(super) chat: Addr<ChatServer>,
    pub(super) store: Store,
    /// This node among the others.
    pub(super) node: String,
    pub(super) config: Arc<Config>,
}

impl Service for Sessions {
    fn start(&mut self) -> Result<(), Error> {
        let Self { chat, store, node, config } = self;
        generation::follow(store.clone(), chat.clone(), config.session.drain_spread_ms);
        live_sessions::answer(store.clone(), chat.clone(), node.clone(), config.database.clone());
        traces::follow(store.clone());
        Ok(())
    }

    /// Tells every session to connect elsewhere, and waits for them to go.
    fn stop(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            let spread_ms = self.config.session.drain_spread_ms;
            let sessions = self.chat.send(DrainSessions { spread_ms }).await.unwrap_or_default();
            log::info!(sessions = sessions; "sessions told to reconnect elsewhere");
            let deadline = Instant::now() + SESSIONS_LEAVE;
            while Instant::now() < deadline && self.chat.send(CountSessions).await.unwrap_or_default() > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        })
    }
}

/// What is under way to WeChat is settled before the store closes.
impl Service for NotifierHandle {
    fn stop(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(self.leave())
    }
}

/// Jobs that are done on this node; what is under way ends before the store closes.
pub(super) struct WorkingJobs {
    pub(super) runner: Runner,
    pub(super) draining: Draining,
}

impl Service for WorkingJobs {
    fn start(&mut self) -> Result<(), Error> {
        self.runner.start(Vital::new("jobs", &self.draining));
        Ok(())
    }

    fn stop(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(self.runner.leave())
    }
}

impl Service for ModerationHandle {
    fn stop(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            if !self.drain(CHECKS_DRAIN).await {
                log::warn!(
                    "not everything that was sent could be checked in time; nothing of that was acked"
                );
            }
        })
    }
}

/// The store and what is done to it from time to time.
pub(super) struct Database {
    pub(super) store: Store,
    pub(super) metrics: Metrics,
    pub(super) config: Arc<Config>,
}

impl Service for Database {
    fn start(&mut self) -> Result<(), Error> {
        let Self { store, metrics, config } = self;
        spawn(store::observe(store.clone(), metrics.clone()));
        if let DatabaseUrl::Sqlite(path) = &config.database.url {
            metrics.watch_disk(path);
        }
        spawn(store::lapse_bans(store.clone()));
        spawn(store::name_functions(store.clone()));
        spawn(store::write_seen_regularly(store.clone()));
        Ok(())
    }

    fn stop(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            self.store.write_seen();
            if !self.store.drain(STORE_DRAINS).await {
                log::warn!("not everything that was sent could be stored in time; nothing of that was acked");
            }
        })
    }
}

/// The way to the other nodes.
pub(super) struct OtherNodes {
    pub(super) relay: RelayHandle,
    pub(super) chat: Addr<ChatServer>,
}

impl Service for OtherNodes {
    fn stop(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            // Once it answers, it has handed on all that the store had committed before.
            let _ = self.chat.send(CountSessions).await;
            self.relay.leave().await;
        })
    }
}

/// The ports, and what is looked at for them.
pub(super) struct HttpServers {
    pub(super) state: Data<State>,
    pub(super) draining: Draining,
    /// Taken at the start.
    pub(super) listeners: Option<Listeners>,
    /// Servers that run.
    pub(super) handles: Vec<ServerHandle>,
}

/// Ports that were bound.
pub(super) struct Listeners {
    pub(super) public: Listener,
    pub(super) ops: Option<Listener>,
    pub(super) admin: Option<Listener>,
}

impl Service for HttpServers {
    fn start(&mut self) -> Result<(), Error> {
        let Some(Listeners { public, ops, admin }) = self.listeners.take() else { return Ok(()) };
        let state = &self.state;
        self.state.status.follow();
        evict_idle_regularly(state.admission.clone(), state.user_limits.clone());
        if let Some(url) = state.config.server.public_url.clone() {
            spawn(certificate::watch(url, state.metrics.clone()));
        }
        let public = serve::start_public(state, public).map_err(io("the public port cannot be served"))?;
        let ops = ops
            .map(|listener| serve::start_ops(state, listener))
            .transpose()
            .map_err(io("the operators' port cannot be served"))?;
        let admin = admin
            .map(|listener| serve::start_admin(state, listener))
            .transpose()
            .map_err(io("the server API's port cannot be served"))?;
        let servers = [Some(public), ops, admin].into_iter().flatten();
        self.handles.extend(servers.map(|server| super::spawn(server, &self.draining)));
        Ok(())
    }

    fn stop(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async { drop(join_all(self.handles.iter().map(|server| server.stop(true))).await) })
    }
}

fn evict_idle_regularly(admission: Admission, users: UserLimits) {
    spawn(async move {
        let mut every = interval(EVICTION_INTERVAL);
        loop {
            every.tick().await;
            admission.evict_idle();
            users.evict_idle();
        }
    });
}
