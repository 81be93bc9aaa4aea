//! Evaluation of conversations whose time has come: who looks at the app, and how they stand in the store.

use std::collections::HashMap;
use std::rc::Rc;

use super::policy::{Judgement, judge};
use super::schedule::{NoticeKey, Waiting};
use super::{Presence, Settings};
use crate::clock::Stopwatch;
use crate::ids::now_ms;
use crate::store::Store;
use crate::store::notices::{Candidate, NoticeCandidates};

/// What was found about one.
pub enum Ruling {
    Tell(Candidate),
    /// They look at the app.
    Attending,
    /// They have read it, or it was recalled or cleared.
    Read,
    Muted,
    NoGrant,
    Stranger,
    /// It is quiet until then (Unix milliseconds).
    Later(i64),
    StoreAway,
}

#[derive(Clone)]
pub struct Evaluator {
    pub settings: Rc<Settings>,
    pub store: Store,
    pub presence: Rc<dyn Presence>,
    /// What the times of the schedule count from.
    pub began: Stopwatch,
}

impl Evaluator {
    /// Rules on each. Who looks at the app on this node costs no question to the database; the other nodes
    /// are asked only about those who would be told.
    pub async fn rule(&self, due: Vec<Waiting>) -> Vec<(Waiting, Ruling)> {
        let mut ruled = Vec::with_capacity(due.len());
        let attending = self.attending(due.iter(), false).await;
        let (there, away) = parted(due, &attending);
        ruled.extend(there.into_iter().map(|waiting| (waiting, Ruling::Attending)));

        let Some(mut found) = self.candidates(&away).await else {
            ruled.extend(away.into_iter().map(|waiting| (waiting, Ruling::StoreAway)));
            return ruled;
        };
        let mut to_tell = Vec::new();
        for waiting in away {
            let Some(candidate) = found.remove(&waiting.key) else {
                ruled.push((waiting, Ruling::Read));
                continue;
            };
            match judge(&candidate, self.settings.usual, self.settings.strangers, now_ms()) {
                Judgement::Tell => to_tell.push((waiting, candidate)),
                Judgement::Later(at) => ruled.push((waiting, Ruling::Later(at))),
                Judgement::Muted => ruled.push((waiting, Ruling::Muted)),
                Judgement::NoGrant => ruled.push((waiting, Ruling::NoGrant)),
                Judgement::Stranger => ruled.push((waiting, Ruling::Stranger)),
            }
        }
        let attending = self.attending(to_tell.iter().map(|(waiting, _)| waiting), true).await;
        let (there, away) = parted(to_tell, &attending);
        ruled.extend(there.into_iter().map(|(waiting, _)| (waiting, Ruling::Attending)));
        ruled.extend(away.into_iter().map(|(waiting, candidate)| (waiting, Ruling::Tell(candidate))));
        ruled
    }

    /// Who of them has looked at the app since the first of their messages was pushed.
    async fn attending(&self, waiting: impl Iterator<Item = &Waiting>, everywhere: bool) -> Vec<bool> {
        let now = self.began.elapsed_ms();
        let users: Vec<_> =
            waiting.map(|w| (w.key.recipient.clone(), now.saturating_sub(w.first_at))).collect();
        if users.is_empty() { Vec::new() } else { self.presence.attends(users, everywhere).await }
    }

    /// How it stands with those who have something unread; `None`: the store is away.
    async fn candidates(&self, away: &[Waiting]) -> Option<HashMap<NoticeKey, Candidate>> {
        if away.is_empty() {
            return Some(HashMap::new());
        }
        let of =
            away.iter().map(|w| (w.key.recipient.clone(), w.key.conversation.clone(), w.up_to)).collect();
        let found =
            self.store.ask(NoticeCandidates { template: self.settings.template.clone(), of }).await.ok()?;
        let by_key = |c: Candidate| {
            (NoticeKey { recipient: c.recipient.clone(), conversation: c.conversation.clone() }, c)
        };
        Some(found.into_iter().map(by_key).collect())
    }
}

/// Those who attend and those who do not; without an answer somebody counts as attending, and is not
/// disturbed.
fn parted<T>(all: Vec<T>, attending: &[bool]) -> (Vec<T>, Vec<T>) {
    let mut attending = attending.iter();
    all.into_iter().partition(|_| attending.next() != Some(&false))
}
