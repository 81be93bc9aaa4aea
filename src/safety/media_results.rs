//! Results of WeChat's checks of files, which come after the message was stored: what is risky is taken back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::handle::Common;
use super::verdict::Policy;
use crate::backoff::Backoff;
use crate::config::{OnReview, Unjudged};
use crate::event::{Conversation, Draft, Places, Refusal};
use crate::ids::{Kind, OpenId, Seq, SessionId};
use crate::jobs::{Job, JobKind, Task, TaskOutcome};
use crate::store::messages::{Admission, Append};
use crate::store::moderation::{AuditedMessage, Decide, Decision, MessageOfTrace};
use crate::store::{Store, Unavailable};
use crate::wechat::{Push, Suggest};

/// Results that wait to be kept at one time.
pub const RESULTS_AT_MOST: usize = 1_024;

/// A result may be here before the commit of its message, and the database may be away.
const PATIENCE: Backoff =
    Backoff::new(Duration::from_millis(250), Duration::from_secs(2)).within(Duration::from_secs(60));

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

impl MediaResult {
    /// What becomes of the message; None: it stays where it stands, as what passed unchecked.
    fn decision(&self, policy: &Policy) -> Option<(Decision, i32)> {
        Some(match self.found {
            Found::Judged(Suggest::Pass, label) => (Decision::Passed, label),
            Found::Judged(Suggest::Risky, label) => (Decision::Recalled, label),
            Found::Judged(Suggest::Review, label) if policy.review == OnReview::Refuse => {
                (Decision::Recalled, label)
            }
            Found::Judged(Suggest::Review, label) => (Decision::Queued, label),
            Found::Nothing if policy.on_outage == Unjudged::Closed => (Decision::Recalled, 0),
            Found::Nothing => return None,
        })
    }
}

/// Has done with the message what its result asks for, once it is stored.
pub async fn settle(common: Arc<Common>, result: MediaResult, _place: Places) {
    let Some((decision, label)) = result.decision(&common.policy) else { return };
    let payload = format!("{} {label}", code(decision));
    let enqueue = async || common.jobs.enqueue(JobKind::MediaResult, &result.trace_id, payload.clone()).await;
    if PATIENCE.run(|refusal| *refusal == Refusal::Unavailable, enqueue).await.is_err() {
        log::warn!(trace_id = result.trace_id.as_str(); "the result of a media check could not be kept");
    }
}

/// Decisions as they stand in jobs.
const CODES: [(&str, Decision); 3] =
    [("passed", Decision::Passed), ("recalled", Decision::Recalled), ("queued", Decision::Queued)];

fn code(decision: Decision) -> &'static str {
    CODES.iter().find(|(_, known)| *known == decision).map_or("", |(code, _)| code)
}

/// The reverse; None: what a newer version may have written.
fn decision(payload: &str) -> Option<(Decision, i32)> {
    let (code, label) = payload.split_once(' ')?;
    let (_, decision) = CODES.iter().find(|(known, _)| *known == code)?;
    Some((*decision, label.parse().ok()?))
}

/// Does with a message what the result of its media check asks for. By key WeChat's name for the check.
pub struct SettleMediaResult {
    pub store: Store,
}

impl Job for SettleMediaResult {
    fn kind(&self) -> JobKind {
        JobKind::MediaResult
    }

    /// A second recall finds the first, and a decision that stands stays.
    fn may_run_twice(&self) -> bool {
        true
    }

    fn backoff(&self) -> Backoff {
        PATIENCE
    }

    fn run(self: Arc<Self>, task: Task) -> BoxFuture<'static, TaskOutcome> {
        Box::pin(async move {
            let Some((decision, label)) = decision(&task.payload) else { return TaskOutcome::Hopeless };
            match self.store.ask(MessageOfTrace { trace_id: task.key }).await {
                Ok(Some(message)) if decide(&self.store, &message, decision, label).await.is_ok() => {
                    TaskOutcome::Done
                }
                // It may be stored yet, and the store may come back.
                Ok(_) | Err(_) => TaskOutcome::Failed,
            }
        })
    }
}

async fn decide(
    store: &Store,
    message: &AuditedMessage,
    decision: Decision,
    label: i32,
) -> Result<(), Unavailable> {
    if decision == Decision::Recalled {
        moderator_recall(store, &message.sender, &message.conversation, message.seq).await?;
    }
    match store.execute(Decide { audit: message.audit, decision, label }).await {
        Err(Refusal::Unavailable) => Err(Unavailable),
        // Somebody may have decided otherwise meanwhile: nothing is left to be done.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Recalls a message of any age for all members; `Ok` once that is committed.
///
/// # Errors
/// [`Unavailable`]: whether it was is unknown.
pub async fn moderator_recall(
    store: &Store,
    sender: &OpenId,
    conversation: &Conversation,
    seq: Seq,
) -> Result<(), Unavailable> {
    let draft = Draft {
        session: SessionId::fresh(),
        request_id: None,
        sender: sender.clone(),
        conversation: conversation.clone(),
        client_msg_id: None,
        kind: Kind::recall(),
        body: "{}".into(),
        target: Some(seq),
        quote: None,
    };
    let recall = Append { draft, admission: Admission::Moderator, finding: None, charge: None };
    store.execute(recall).await.map_err(|_| Unavailable)
}
