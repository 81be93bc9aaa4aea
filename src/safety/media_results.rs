//! What WeChat says of a file after its message was stored: what is risky is taken back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::handle::Common;
use crate::config::{OnReview, Unjudged};
use crate::event::{Draft, Places, Refusal};
use crate::ids::{Kind, OpenId, Seq, SessionId};
use crate::store::messages::{Admission, Append};
use crate::store::moderation::{AuditedMessage, Decide, Decision, MessageOfTrace};
use crate::store::{Store, Unavailable};
use crate::wechat::{Push, Suggest};

/// Results that wait for their messages at one time.
pub const AT_MOST: usize = 1_024;

/// A result may be here before the commit of its message, and the database may be away.
const WITHIN: Duration = Duration::from_secs(60);
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// What WeChat said of one file.
pub struct MediaResult {
    trace_id: String,
    found: Found,
}

enum Found {
    Judged(Suggest, i32),
    /// It could not be judged, such as one that WeChat could not fetch.
    Nothing,
}

impl MediaResult {
    /// None: the push is about something else.
    pub fn of(push: Push) -> Option<Self> {
        match push {
            Push::MediaChecked { trace_id, suggest, label, .. } => {
                Some(Self { trace_id, found: Found::Judged(suggest, label) })
            }
            Push::MediaUnchecked { trace_id, .. } => Some(Self { trace_id, found: Found::Nothing }),
            _ => None,
        }
    }
}

/// Does with the message what its result asks for, once it is stored.
pub async fn settle(common: Arc<Common>, result: MediaResult, _place: Places) {
    let (decision, label) = match result.found {
        Found::Judged(Suggest::Pass, label) => (Decision::Passed, label),
        Found::Judged(Suggest::Risky, label) => (Decision::Recalled, label),
        Found::Judged(Suggest::Review, label) if common.policy.review == OnReview::Refuse => {
            (Decision::Recalled, label)
        }
        Found::Judged(Suggest::Review, label) => (Decision::Queued, label),
        Found::Nothing if common.policy.on_outage == Unjudged::Closed => (Decision::Recalled, 0),
        // It stays where it stands, as what passed unchecked.
        Found::Nothing => return,
    };
    let until = Instant::now() + WITHIN;
    loop {
        if let Ok(Some(message)) =
            common.store.ask(MessageOfTrace { trace_id: result.trace_id.clone() }).await
            && decide(&common.store, &message, decision, label).await.is_ok()
        {
            return;
        }
        if Instant::now() >= until {
            log::warn!(trace_id = result.trace_id.as_str(); "the result of a media check found no message of its own");
            return;
        }
        sleep(TRY_AGAIN).await;
    }
}

async fn decide(
    store: &Store,
    message: &AuditedMessage,
    decision: Decision,
    label: i32,
) -> Result<(), Unavailable> {
    if decision == Decision::Recalled {
        moderator_recall(store, &message.sender, &message.peer, message.seq).await?;
    }
    match store.execute(Decide { audit: message.audit, decision, label }).await {
        Err(Refusal::Unavailable) => Err(Unavailable),
        // Somebody may have decided otherwise meanwhile: nothing is left to be done.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Recalls a message of any age on both sides; `Ok` once that is committed.
///
/// # Errors
/// [`Unavailable`]: whether it was is unknown.
pub async fn moderator_recall(
    store: &Store,
    sender: &OpenId,
    peer: &OpenId,
    seq: Seq,
) -> Result<(), Unavailable> {
    let draft = Draft {
        session: SessionId::fresh(),
        request_id: None,
        sender: sender.clone(),
        peer: peer.clone(),
        client_msg_id: None,
        kind: Kind::recall(),
        body: "{}".into(),
        target: Some(seq),
    };
    let recall = Append { draft, admission: Admission::Moderator, finding: None, charge: None };
    store.execute(recall).await.map_err(|_| Unavailable)
}
