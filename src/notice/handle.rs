//! How the rest of the server reaches the Notifier. Nothing here waits for WeChat, and nothing for the store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::Addr;
use tokio::time::timeout;

use super::actor::{Changed, Leave, Notifier, Stored};
use super::schedule::Pair;
use crate::ids::{OpenId, Seq};
use crate::metrics::{Metrics, NoticeResult};
use crate::wechat::push::SubscribeChange;

/// How long notices under way may take when the server leaves. What is not settled by then is never told
/// again.
const LEAVE_AT_MOST: Duration = Duration::from_millis(3_500);

/// How things stand with notices, for operators.
#[derive(Debug, Default)]
pub struct Standing(Mutex<Seen>);

#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Conversations that wait for their time.
    pub pending: usize,
    /// Notices under way to WeChat.
    pub in_flight: usize,
    /// Set while nothing is sent: WeChat's code, and what to do about it.
    pub rests: Option<(i32, &'static str)>,
}

impl Standing {
    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, seen: Seen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

/// The Notifier's address.
#[derive(Clone)]
pub struct NotifierHandle {
    pub(super) notifier: Addr<Notifier>,
    pub(super) standing: Arc<Standing>,
    pub(super) metrics: Metrics,
}

impl NotifierHandle {
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// `peer` has written to `recipient`. Where the Notifier does not keep up, the message draws no notice.
    pub fn stored(&self, recipient: &OpenId, peer: &OpenId, seq: Seq) {
        let pair = Pair { recipient: recipient.clone(), peer: peer.clone() };
        if self.notifier.try_send(Stored { pair, seq, at: Instant::now() }).is_err() {
            self.metrics.notices.inc(NoticeResult::Full);
        }
    }

    /// WeChat tells what users did about subscribe messages.
    pub fn changed(&self, changes: Vec<SubscribeChange>) {
        self.notifier.do_send(Changed(changes));
    }

    /// Nothing more is sent. Ready once what is under way is settled, or its time is over.
    pub async fn leave(&self) {
        let _ = timeout(LEAVE_AT_MOST, self.notifier.send(Leave)).await;
    }
}
