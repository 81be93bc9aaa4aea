//! Follows the log of revocations, as every node does: a second behind it at most, while the database answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use tokio::sync::Notify;

use super::Tokens;
use crate::chat::messages::{EndSessions, Which};
use crate::event::revocation::{Revocation, Revoked};
use crate::ids::now_ms;
use crate::protocol::{Close, Word};
use crate::store::messages::{AccessDecisions, RevocationsSince};
use crate::store::{Store, Unavailable};

const EVERY: Duration = Duration::from_secs(1);
/// Between two readings at least, however often it is asked for.
const GAP: Duration = Duration::from_millis(50);

/// Entries are asked for again for so long, because another node may commit one late, or have a clock that is behind.
const OVERLAP_MS: i64 = 90_000;

/// Asks a [`Follower`] to read the log now, because something was added to it.
#[derive(Debug, Clone, Default)]
pub struct ReadNow(Arc<Notify>);

impl ReadNow {
    pub fn ask(&self) {
        self.0.notify_one();
    }
}

/// Reads the log, and tells tokens and sessions.
pub struct Follower {
    tokens: Tokens,
    store: Store,
    sessions: Recipient<EndSessions>,
    /// Entries that were taken into account, by id, with their times.
    seen: HashMap<i64, i64>,
    /// When the log was last read, by this node's clock, which may be set back.
    read_at: i64,
    /// Sessions that were ended at the last reading, to be ended once more: a handshake that was let in just before may have come into
    /// the map just after.
    again: Vec<EndSessions>,
    away: bool,
}

impl Follower {
    /// Reads what still matters of the log, then follows it on this thread for as long as the process lives.
    ///
    /// # Errors
    /// [`Unavailable`] when the log cannot be read: without it a banned user could come in.
    pub async fn start(tokens: Tokens, store: Store, sessions: Recipient<EndSessions>) -> Result<ReadNow, Unavailable> {
        let now = now_ms();
        let mut follower = Self { tokens, store, sessions, seen: HashMap::new(), read_at: now, again: Vec::new(), away: false };
        follower.tokens.apply(&follower.store.ask(AccessDecisions).await?);
        let recent = follower.store.ask(RevocationsSince { at: follower.tokens.oldest_alive(now) }).await?;
        follower.tokens.apply(&recent);
        follower.note(&recent, now);
        let now = ReadNow::default();
        let asked = now.clone();
        actix_rt::spawn(async move {
            let mut every = tokio::time::interval(EVERY);
            loop {
                tokio::select! {
                    _ = every.tick() => {}
                    () = asked.0.notified() => {}
                }
                follower.poll().await;
                tokio::time::sleep(GAP).await;
            }
        });
        Ok(now)
    }

    async fn poll(&mut self) {
        let now = now_ms();
        for end in std::mem::take(&mut self.again) {
            let unbanned = end.which == Which::All && !self.tokens.is_banned(&end.openid);
            if !unbanned {
                self.sessions.do_send(end);
            }
        }
        let entries = match self.store.ask(RevocationsSince { at: self.read_at.min(now) - OVERLAP_MS }).await {
            Ok(entries) => entries,
            Err(Unavailable) => {
                if !std::mem::replace(&mut self.away, true) {
                    log::warn!("revocations cannot be read: logouts, kicks and bans made now take hold when the database is back");
                }
                return;
            }
        };
        if std::mem::take(&mut self.away) {
            log::info!("revocations can be read again");
        }
        let new: Vec<_> = entries.into_iter().filter(|entry| !self.seen.contains_key(&entry.id)).collect();
        self.tokens.apply(&new);
        for entry in &new {
            if let Some(end) = ended(entry) {
                // One who was kicked may come back at once.
                if entry.what != Revoked::Sessions {
                    self.again.push(end.clone());
                }
                self.sessions.do_send(end);
            }
        }
        self.note(&new, now);
        self.tokens.forget_expired(now);
    }

    fn note(&mut self, entries: &[Revocation], now: i64) {
        self.seen.extend(entries.iter().map(|entry| (entry.id, entry.at)));
        self.read_at = now;
        self.seen.retain(|_, at| *at >= now - OVERLAP_MS);
    }
}

/// The sessions that end with this entry.
fn ended(entry: &Revocation) -> Option<EndSessions> {
    let unauthorized = Close::Refused { word: Word::Unauthorized };
    let (which, close) = match entry.what {
        Revoked::Token { issued_ms } => (Which::Token(issued_ms), unauthorized),
        Revoked::AllTokens => (Which::LoggedInUntil(entry.at), unauthorized),
        Revoked::Sessions => (Which::LoggedInUntil(entry.at), Close::Kicked),
        Revoked::Access => (Which::All, Close::Banned),
        Revoked::Nothing => return None,
    };
    Some(EndSessions { openid: entry.openid.clone(), which, close })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OpenId;

    #[test]
    fn each_revocation_ends_its_sessions_with_its_code() {
        let end = |what| ended(&Revocation { id: 1, openid: OpenId::parse("a").unwrap(), what, at: 9 }).map(|e| (e.which, e.close.code()));
        assert_eq!(end(Revoked::Token { issued_ms: 5 }), Some((Which::Token(5), 4501)));
        assert_eq!(end(Revoked::AllTokens), Some((Which::LoggedInUntil(9), 4501)));
        assert_eq!(end(Revoked::Sessions), Some((Which::LoggedInUntil(9), 4504)));
        assert_eq!(end(Revoked::Access), Some((Which::All, 4505)));
        assert_eq!(end(Revoked::Nothing), None);
    }
}
