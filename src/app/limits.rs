//! Limits of the settings, as the parts that hold them and the metrics take them.

use crate::config::{self, Config};
use crate::http::Budget;
use crate::metrics::Metrics;
use crate::protocol::FrameLimits;
use crate::session::SessionLimits;
use crate::session::frame_guard::SocketLimits;
use crate::store;

pub(super) fn frame_limits(config: &Config) -> FrameLimits {
    let config::Limits {
        frame_bytes, message_bytes, fields_bytes, messages_per_second, message_burst, ..
    } = config.limits;
    FrameLimits { frame_bytes, message_bytes, fields_bytes, messages_per_second, message_burst }
}

pub(super) fn session_limits(config: &Config) -> SessionLimits {
    SessionLimits {
        socket: SocketLimits {
            frame_bytes: config.limits.frame_bytes,
            fragments: config.limits.frame_fragments,
        },
        frames: frame_limits(config),
        controls_per_second: config.limits.controls_per_second,
        bad_frames: config.limits.bad_frames,
    }
}

/// Shows the bounds beside what they bound, as they hold.
pub(super) fn show_limits(metrics: &Metrics, config: &Config, sessions: u32, budget: &Budget) {
    metrics.sessions_limit.set_size(sessions);
    metrics.connections_limit.set_size(budget.connections);
    metrics.outbox_limit_bytes.set_size(config.session.outboxes_bytes);
    metrics.writes_in_flight_limit.set_size(config.limits.writes_in_flight);
    metrics.reads_in_flight_limit.set_size(store::reads_in_flight(&config.database));
    if config.notice.template_id.is_some() {
        metrics.notices_pending_limit.set_size(config.notice.pending);
        metrics.notices_in_flight_limit.set_size(config.notice.in_flight);
    }
    if config.safety.mode.asks_wechat() {
        metrics.safety_in_flight_limit.set_size(config.safety.in_flight);
    }
}
