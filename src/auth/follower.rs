//! Follows the log of revocations, as every node does: a second behind it at most, while the database
//! answers.

use std::time::Duration;

use actix::Recipient;

use super::log::RevocationLog;
use super::log_place::LogPlace;
use super::tokens::Tokens;
use crate::chat::messages::{EndSessions, Which};
use crate::clock::Stopwatch;
use crate::event::revocation::{Revocation, Revoked};
use crate::ids::DatabaseGeneration;
use crate::protocol::{Close, ErrorCode};
use crate::store::revocations::{LogPage, LogQuestion};
use crate::store::{Store, Unavailable};

const EVERY: Duration = Duration::from_secs(1);
/// Between two readings at least, however often it is asked for.
const GAP: Duration = Duration::from_millis(5);
/// No entry is from the future: one dated further ahead was dated by a clock that is wrong, and counts from
/// when it is read. In milliseconds.
const AHEAD_MS: i64 = 5_000;
/// Ids below the newest whose gaps are asked for after a start: what another node was just writing may lie
/// there.
const LOOK_BACK: i64 = 1_024;

/// Reads the log, and tells tokens and sessions.
pub struct Follower {
    tokens: Tokens,
    store: Store,
    sessions: Recipient<EndSessions>,
    log: RevocationLog,
    place: LogPlace,
    began: Stopwatch,
    /// The database that the log was read from.
    generation: DatabaseGeneration,
    /// Sessions that were ended at the last reading, to be ended once more: a handshake that was let in just
    /// before may have come into the map just after.
    again: Vec<EndSessions>,
}

impl Follower {
    /// Reads what still matters of the log, then follows it on this thread for as long as the process lives.
    ///
    /// # Errors
    /// [`Unavailable`] when the log cannot be read: without it a banned user could come in.
    pub async fn start(
        tokens: Tokens,
        store: Store,
        sessions: Recipient<EndSessions>,
    ) -> Result<RevocationLog, Unavailable> {
        let page = store.revocations(in_force(&tokens)).await?;
        let log = RevocationLog::new(page.now);
        let (place, began) = (LogPlace::default(), Stopwatch::start());
        let generation = store.generation();
        let mut follower =
            Self { tokens, store, sessions, log: log.clone(), place, began, generation, again: Vec::new() };
        follower.take_up(&page);
        log.end(false);
        actix_rt::spawn(async move {
            let mut every = tokio::time::interval(EVERY);
            loop {
                tokio::select! {
                    _ = every.tick() => {}
                    () = follower.log.is_asked() => {}
                }
                follower.poll().await;
                tokio::time::sleep(GAP).await;
            }
        });
        Ok(log)
    }

    async fn poll(&mut self) {
        for end in std::mem::take(&mut self.again) {
            let unbanned = matches!(end.which, Which::NotPardoned { .. })
                && !self.tokens.is_banned(&end.openid, self.log.now_ms());
            if !unbanned {
                self.sessions.do_send(end);
            }
        }
        self.log.begin();
        let read = self.read().await;
        match self.log.end(read.is_err()) {
            Some(true) => log::warn!(
                "revocations cannot be read: logouts, kicks and bans made now take hold when the database is back"
            ),
            Some(false) => log::info!("revocations can be read again"),
            None => {}
        }
        self.tokens.forget_expired(self.log.now_ms());
    }

    async fn read(&mut self) -> Result<(), Unavailable> {
        loop {
            let question = LogQuestion::After { id: self.place.last(), missing: self.place.missing() };
            let page = self.store.revocations(question).await?;
            self.log.set(page.now);
            let generation = self.store.generation();
            if page.newest < self.place.last() || generation != self.generation {
                log::warn!(
                    "the database is another one, as after a fail-over or a restored backup; the log of revocations is read anew"
                );
                let page = self.store.revocations(in_force(&self.tokens)).await?;
                self.log.set(page.now);
                // Its ids may name other entries than those that were read.
                self.tokens.replace(page.entries.iter().map(|entry| dated(entry, page.now)));
                self.take_up(&page);
                self.generation = generation;
                // Who was kicked long ago, or pardoned since, may be here again.
                let tokens = self.tokens.clone();
                let holds = |entry: &&Revocation| match entry.what {
                    Revoked::Sessions => false,
                    Revoked::Access { .. } => tokens.is_banned(&entry.openid, page.now),
                    _ => true,
                };
                self.end_sessions(page.entries.iter().filter(holds), page.now);
                return Ok(());
            }
            self.tokens.apply(page.entries.iter().map(|entry| dated(entry, page.now)));
            self.place.read(page.entries.iter().map(|entry| entry.id), self.began.elapsed_ms());
            self.end_sessions(&page.entries, page.now);
            if !page.has_more {
                return Ok(());
            }
        }
    }

    /// Begins with what still matters of the log.
    fn take_up(&mut self, page: &LogPage) {
        self.tokens.apply(page.entries.iter().map(|entry| dated(entry, page.now)));
        let oldest = self.tokens.oldest_alive(page.now);
        let first_alive = page.entries.iter().filter(|entry| entry.at >= oldest).map(|entry| entry.id).min();
        self.tokens.pass_over(first_alive.map_or(page.newest, |first| first - 1));
        let from = (page.newest - LOOK_BACK).max(0);
        let ids = page.entries.iter().map(|entry| entry.id).filter(|id| *id > from);
        self.place = LogPlace::behind(from, ids, self.began.elapsed_ms());
    }

    fn end_sessions<'a>(&mut self, entries: impl IntoIterator<Item = &'a Revocation>, now: i64) {
        for entry in entries {
            if let Some(end) = ended(&dated(entry, now)) {
                // One who was kicked may come back at once.
                if entry.what != Revoked::Sessions {
                    self.again.push(end.clone());
                }
                self.sessions.do_send(end);
            }
        }
    }
}

fn in_force(tokens: &Tokens) -> LogQuestion {
    LogQuestion::InForce { lifetime_ms: -tokens.oldest_alive(0), newest_ids: LOOK_BACK }
}

/// The entry, dated no later than it was read.
fn dated(entry: &Revocation, now: i64) -> Revocation {
    let at = if entry.at > now.saturating_add(AHEAD_MS) { now } else { entry.at };
    Revocation { at, ..entry.clone() }
}

/// The sessions that end with this entry.
fn ended(entry: &Revocation) -> Option<EndSessions> {
    let unauthorized = Close::Refused { error: ErrorCode::Unauthorized };
    let (id, before) = (entry.id, Which::LoggedInBefore { id: entry.id, at: entry.at });
    let (which, close) = match entry.what {
        Revoked::Token { issued_ms } => (Which::Token(issued_ms), unauthorized),
        Revoked::AllTokens => (before, unauthorized),
        Revoked::Sessions => (before, Close::Kicked),
        Revoked::Access { .. } => (Which::NotPardoned { id, at: entry.at }, Close::Banned),
        Revoked::Nothing | Revoked::Lapsed { .. } => return None,
    };
    Some(EndSessions { openid: entry.openid.clone(), which, close })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OpenId;

    fn entry(what: Revoked) -> Revocation {
        Revocation { id: 1, openid: OpenId::parse("a").unwrap(), what, at: 9 }
    }

    #[test]
    fn each_revocation_ends_its_sessions_with_its_code() {
        let end = |what| ended(&entry(what)).map(|e| (e.which, e.close.code()));
        assert_eq!(end(Revoked::Token { issued_ms: 5 }), Some((Which::Token(5), 4501)));
        assert_eq!(end(Revoked::AllTokens), Some((Which::LoggedInBefore { id: 1, at: 9 }, 4501)));
        assert_eq!(end(Revoked::Sessions), Some((Which::LoggedInBefore { id: 1, at: 9 }, 4504)));
        assert_eq!(end(Revoked::Access { until: None }), Some((Which::NotPardoned { id: 1, at: 9 }, 4505)));
        assert_eq!(end(Revoked::Nothing), None);
        assert_eq!(end(Revoked::Lapsed { until: 7 }), None);
    }

    #[test]
    fn an_entry_from_the_future_counts_from_when_it_is_read() {
        let at = |at, now| dated(&Revocation { at, ..entry(Revoked::Access { until: None }) }, now).at;
        assert_eq!([at(300_000, 100), at(3_000, 100), at(50, 100)], [100, 3_000, 50]);
    }
}
