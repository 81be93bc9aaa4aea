//! The way to the checks: cheap to clone, usable from every thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::Addr;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::actor::{Check, CheckName, ContentCheck, Pushed};
use super::ports::Senders;
use super::reload::Words;
use super::text::{self, Shown};
use super::verdict::{Policy, Reason, Verdict};
use crate::config::{self, SafetyMode};
use crate::event::{Finding, Found, Refusal, Source};
use crate::ids::{OpenId, now_ms};
use crate::jobs::Jobs;
use crate::metrics::{CheckResult, CheckSubject, Metrics};
use crate::store::messages::{Admission, Append};
use crate::store::moderation::Audit;
use crate::store::{Full, Reply, Store, Write};
use crate::wechat::Push;

/// What stands between those who write and the store.
#[derive(Clone)]
pub struct ModerationHandle(Arc<Inner>);

struct Inner {
    mode: SafetyMode,
    common: Arc<Common>,
    /// None: WeChat is not asked.
    asker: Option<Addr<ContentCheck>>,
    at_most: usize,
    free: Arc<Semaphore>,
    closed: AtomicBool,
}

/// What the handle and the actor have in common.
pub struct Common {
    pub policy: Policy,
    pub words: Arc<Words>,
    pub store: Store,
    pub senders: Box<dyn Senders>,
    pub jobs: Jobs,
    pub metrics: Metrics,
    pub keep_text: bool,
    pub seen: Seen,
}

/// How WeChat does, for whoever asks.
#[derive(Debug, Default)]
pub struct Seen {
    pub resting: AtomicBool,
    last_failure: Mutex<Option<(String, i64)>>,
}

/// How the checks stand, for operators.
#[derive(Debug, Serialize)]
pub struct Detail {
    mode: &'static str,
    /// `open`: WeChat is not asked for a while, because it failed too often.
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<&'static str>,
    /// Entries of the word list.
    words: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<LastFailure>,
}

#[derive(Debug, Serialize)]
struct LastFailure {
    what: String,
    ago_ms: i64,
}

impl Seen {
    pub fn failed(&self, what: String) {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some((what, now_ms()));
    }

    fn last_failure(&self) -> Option<LastFailure> {
        let last = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(what, at)| LastFailure { what: what.clone(), ago_ms: (now_ms() - at).max(0) })
    }
}

impl ModerationHandle {
    /// `asker` is there where the mode asks WeChat.
    pub fn new(config: &config::Safety, common: Arc<Common>, asker: Option<Addr<ContentCheck>>) -> Self {
        Self(Arc::new(Inner {
            mode: config.mode,
            common,
            asker,
            at_most: config.in_flight,
            free: Arc::new(Semaphore::new(config.in_flight)),
            closed: AtomicBool::new(false),
        }))
    }

    /// Hands a message in, to be checked and then stored; never blocks. What became of it comes as an
    /// [`crate::event::Event`]. What one user writes to another is stored in the order in which it was handed
    /// in.
    ///
    /// # Errors
    /// [`Full`] gives the message back: too many are under way, or the server is leaving.
    pub fn submit(&self, append: Append) -> Result<(), Full> {
        let Inner { mode, common, asker, .. } = &*self.0;
        if *mode == SafetyMode::Off {
            return common.store.submit(append, Reply::Nobody);
        }
        let is_new_text = append.draft.target.is_none() && append.admission == Admission::Open;
        let shown = is_new_text.then(|| Shown::of(&append.draft));
        let is_listed = mode.asks_list() && shown.as_ref().is_some_and(|shown| common.is_listed(shown));
        let Some(asker) = asker else {
            let append = match shown {
                Some(shown) => {
                    let verdict = if is_listed { Verdict::Refused(Reason::of_list()) } else { Verdict::Pass };
                    common.decided(append, Source::Text, &shown.whole(), verdict)
                }
                None => append,
            };
            return common.store.submit(append, Reply::Nobody);
        };
        if self.0.closed.load(Ordering::SeqCst) {
            return Err(Full(Box::new(Write::Append(append))));
        }
        let Ok(place) = self.0.free.clone().try_acquire_owned() else {
            return Err(Full(Box::new(Write::Append(append))));
        };
        asker.do_send(Check { append, shown, is_listed, place, since: std::time::Instant::now() });
        Ok(())
    }

    /// Brings the gauges up to date: places are given back without a word.
    pub fn count(&self) {
        let taken = self.0.at_most - self.0.free.available_permits();
        self.0
            .common
            .metrics
            .safety_words
            .set(i64::try_from(self.0.common.words.current().len()).unwrap_or(i64::MAX));
        self.0.common.metrics.safety_in_flight.set(i64::try_from(taken).unwrap_or(i64::MAX));
    }

    /// Whether a user may take this name. `address` is what the caller's network is counted by.
    ///
    /// # Errors
    /// [`Refusal::ContentRefused`]; [`Refusal::Unavailable`] where that is not known now;
    /// [`Refusal::RateLimited`] where the user or the address asks too often.
    pub async fn nickname(&self, openid: &OpenId, address: String, name: &str) -> Result<(), Refusal> {
        let Inner { mode, common, asker, .. } = &*self.0;
        if *mode == SafetyMode::Off || name.is_empty() {
            return Ok(());
        }
        let verdict = match asker {
            _ if mode.asks_list() && common.words.current().refuses(name) => {
                Verdict::Refused(Reason::of_list())
            }
            None => Verdict::Pass,
            Some(asker) => {
                let check = CheckName { openid: openid.clone(), address, name: name.to_owned() };
                asker.send(check).await.map_err(|_| Refusal::Unavailable)?
            }
        };
        common.count(CheckSubject::Nickname, &verdict);
        let (found, reason, answer) = match verdict {
            Verdict::Pass => return Ok(()),
            Verdict::Unjudged => return Err(Refusal::Unavailable),
            Verdict::OverBudget { retry_after_ms } => return Err(Refusal::RateLimited { retry_after_ms }),
            Verdict::Noted(found, reason) => (found, reason, Ok(())),
            Verdict::Refused(reason) => (Found::Refused, reason, Err(Refusal::ContentRefused)),
        };
        let finding = Box::new(common.finding(Source::Nickname, found, reason, name));
        common.store.execute(Audit { openid: openid.clone(), finding }).await?;
        answer
    }

    /// WeChat has told something by itself.
    pub fn pushed(&self, push: Push) {
        if let Some(asker) = &self.0.asker {
            asker.do_send(Pushed(push));
        }
    }

    /// How the checks stand; `None` where nothing is checked.
    pub fn detail(&self) -> Option<Detail> {
        let Inner { mode, common, asker, .. } = &*self.0;
        let mode = match mode {
            SafetyMode::Off => return None,
            SafetyMode::Local => "local",
            SafetyMode::WeChat => "wechat",
            SafetyMode::LocalAndWeChat => "local+wechat",
        };
        let breaker = if common.seen.resting.load(Ordering::Relaxed) { "open" } else { "closed" };
        let breaker = asker.as_ref().map(|_| breaker);
        Some(Detail {
            mode,
            breaker,
            words: common.words.current().len(),
            last_failure: common.seen.last_failure(),
        })
    }

    /// Takes nothing more, and waits until what is being checked has gone to the store, at most so long.
    /// Whether it has.
    pub async fn drain(&self, at_most: Duration) -> bool {
        self.0.closed.store(true, Ordering::SeqCst);
        let all = u32::try_from(self.0.at_most).unwrap_or(u32::MAX);
        tokio::time::timeout(at_most, self.0.free.acquire_many(all)).await.is_ok()
    }
}

impl Common {
    /// Whether the list has a word of it.
    pub fn is_listed(&self, shown: &Shown) -> bool {
        let list = self.words.current();
        !list.is_empty() && shown.views().any(|text| list.refuses(&text))
    }

    pub fn finding(&self, source: Source, outcome: Found, reason: Reason, text: &str) -> Finding {
        let Reason { by, label, trace_id } = reason;
        let kept = self.keep_text && matches!(outcome, Found::Refused | Found::Review);
        Finding {
            source,
            outcome,
            by,
            label,
            trace_id,
            hash: text::hash(text),
            text: kept.then(|| text.to_owned()),
        }
    }

    /// The message with what was decided on it.
    pub fn decided(&self, append: Append, source: Source, text: &str, verdict: Verdict) -> Append {
        self.count(if source == Source::Media { CheckSubject::Media } else { CheckSubject::Text }, &verdict);
        let (admission, noted) = match verdict {
            Verdict::Pass => (append.admission, None),
            Verdict::Noted(found, reason) => (append.admission, Some((found, reason))),
            Verdict::Refused(reason) => {
                (Admission::RepeatsOnly(Refusal::ContentRefused), Some((Found::Refused, reason)))
            }
            Verdict::Unjudged => (Admission::RepeatsOnly(Refusal::Unavailable), None),
            Verdict::OverBudget { retry_after_ms } => {
                (Admission::RepeatsOnly(Refusal::RateLimited { retry_after_ms }), None)
            }
        };
        let finding = noted.map(|(found, reason)| Box::new(self.finding(source, found, reason, text)));
        Append { admission, finding, ..append }
    }

    fn count(&self, of: CheckSubject, verdict: &Verdict) {
        let result = match verdict {
            Verdict::Pass => CheckResult::Pass,
            Verdict::Noted(Found::Review, _) => CheckResult::Review,
            Verdict::Noted(Found::Pending, _) => CheckResult::Pending,
            Verdict::Noted(..) => CheckResult::Unchecked,
            Verdict::Refused(_) => CheckResult::Refused,
            Verdict::Unjudged => CheckResult::Unavailable,
            Verdict::OverBudget { .. } => CheckResult::RateLimited,
        };
        self.metrics.safety_verdicts.inc((of, result));
    }
}
