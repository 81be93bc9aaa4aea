//! The edge.

use std::sync::Arc;

use actix::Recipient;

use crate::auth::Tokens;
use crate::config::Config;
use crate::lifecycle::Draining;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::wechat::ValidateCode;

/// What every handler may reach: one a process, shared by all workers.
pub struct State {
    pub config: Arc<Config>,
    pub store: Store,
    pub tokens: Tokens,
    pub wechat: Recipient<ValidateCode>,
    pub metrics: Metrics,
    pub draining: Draining,
}
