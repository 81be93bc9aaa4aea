//! Times when users were seen: gathered in memory and written down a few times a second, so that a thousand who
//! come at once cost a few statements; of one who stays no more than once a minute.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use diesel::prelude::*;
use lru::LruCache;
use tokio::sync::Notify;

use crate::event::Refusal;
use crate::ids::{OpenId, now_ms};
use crate::store::database::statement::{Statement, Writer};
use crate::store::lanes::command::{Db, Locks, Order, Times};
use crate::store::{Command, Store};

/// Users that wait to be written down; more are left out until there is room.
const WAITING_CAPACITY: usize = 65_536;
/// Users of whom it is known when they were noted last.
const NOTED_CAPACITY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// Users of one write: few, for the messages of its batch wait for them.
const USERS_AT_ONCE: usize = 500;
/// Between two writes at the least.
const WRITE_INTERVAL: Duration = Duration::from_millis(200);
/// Who was seen so long ago is written down, unless the database is behind: twice the interval, and time for
/// the commits.
pub const SEEN_WITHIN: Duration = WRITE_INTERVAL.saturating_mul(5);
/// Who was noted so short a time ago is not noted again, until they leave.
const NOTE_INTERVAL_MS: i64 = 60_000;

/// Users who were seen since the last write, and when: Unix milliseconds of this node, for people.
#[derive(Default)]
pub(in crate::store) struct Seen {
    users: Mutex<Users>,
    is_waiting: Notify,
}

struct Users {
    waiting: HashMap<OpenId, i64>,
    noted: LruCache<OpenId, i64>,
}

impl Default for Users {
    fn default() -> Self {
        Self { waiting: HashMap::new(), noted: LruCache::new(NOTED_CAPACITY) }
    }
}

/// What is seen of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Logs in, calls, connects.
    Here,
    /// A session has ended.
    Leaves,
}

/// Notes when users were seen, Unix milliseconds.
#[derive(Debug)]
pub struct SeenUsers {
    pub users: Vec<(OpenId, i64)>,
}

/// The users and their times as one text each, separated by commas.
const SEEN_ON_POSTGRES: &str = "INSERT INTO seen_users AS s (openid, first_at, last_at) \
     SELECT u.openid, u.at, u.at FROM unnest(string_to_array($1, ','), string_to_array($2, ',')::bigint[]) AS u (openid, at) \
     ON CONFLICT (openid) DO UPDATE SET last_at = excluded.last_at WHERE s.last_at < excluded.last_at";
const SEEN_ON_SQLITE: &str = "INSERT INTO seen_users AS s (openid, first_at, last_at) VALUES ($1, $2, $3) \
     ON CONFLICT (openid) DO UPDATE SET last_at = excluded.last_at WHERE s.last_at < excluded.last_at";

impl Command for SeenUsers {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(String::new())
    }

    fn locks(&self, locks: &mut Locks) {
        locks.all("seen users");
    }

    fn apply(&self, db: &mut Db<'_>, _: Times) -> QueryResult<Result<(), Refusal>> {
        match db {
            Db::Sqlite(conn) => {
                for (openid, at) in &self.users {
                    conn.run(Statement::new(SEEN_ON_SQLITE).text(openid.as_str()).number(*at).number(*at))?;
                }
            }
            Db::Postgres(conn) => {
                // One statement must not meet a row twice.
                let mut seen = BTreeMap::<&OpenId, i64>::new();
                for (openid, at) in &self.users {
                    let last = seen.entry(openid).or_insert(*at);
                    *last = (*last).max(*at);
                }
                let users: Vec<_> = seen.keys().map(|openid| openid.as_str()).collect();
                let times: Vec<_> = seen.values().map(i64::to_string).collect();
                conn.run(Statement::new(SEEN_ON_POSTGRES).text(&users.join(",")).text(&times.join(",")))?;
            }
        }
        Ok(Ok(()))
    }
}

impl Seen {
    fn note(&self, openid: &OpenId, sight: Sight, at: i64) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh =
            users.noted.get(openid).is_some_and(|noted| (0..NOTE_INTERVAL_MS).contains(&(at - noted)));
        if (is_fresh && sight == Sight::Here)
            || users.waiting.len() >= WAITING_CAPACITY && !users.waiting.contains_key(openid)
        {
            return;
        }
        users.noted.put(openid.clone(), at);
        users.waiting.insert(openid.clone(), at);
        drop(users);
        self.is_waiting.notify_one();
    }

    /// Takes so many of those who wait at the most, whoever they are.
    fn take(&self, most: usize) -> Vec<(OpenId, i64)> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<OpenId> = users.waiting.keys().take(most).cloned().collect();
        taken.into_iter().filter_map(|openid| users.waiting.remove_entry(&openid)).collect()
    }
}

impl Store {
    /// A user is seen. Written down at once or a moment later; after a crash that moment is lost.
    pub fn saw(&self, openid: &OpenId, sight: Sight) {
        self.inner.seen.note(openid, sight, now_ms());
    }

    /// Hands in all that is not written down yet: for the end of the process.
    pub fn write_seen(&self) {
        while self.write_some_seen() {}
    }

    /// Hands in one write's worth; `false`: nobody waits, or the store has no room now.
    fn write_some_seen(&self) -> bool {
        let users = self.inner.seen.take(USERS_AT_ONCE);
        if users.is_empty() {
            return false;
        }
        let is_taken = self.submit_background(SeenUsers { users: users.clone() }).is_ok();
        if !is_taken {
            // The next time.
            users.iter().for_each(|(openid, at)| self.inner.seen.note(openid, Sight::Leaves, *at));
        }
        is_taken
    }
}

/// Writes down who was seen, for as long as the process lives.
pub async fn write_seen_regularly(store: Store) {
    loop {
        store.inner.seen.is_waiting.notified().await;
        // One at a time: a crowd that leaves at once must not become one long transaction beside the
        // messages.
        while store.write_some_seen() {
            tokio::time::sleep(WRITE_INTERVAL).await;
        }
        tokio::time::sleep(WRITE_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_a_user_is_noted_once_a_minute_and_on_leaving() {
        let seen = Seen::default();
        let user = |n: usize| OpenId::parse(&format!("u{n}")).unwrap();
        let taken = || seen.take(usize::MAX).into_iter().collect::<HashMap<_, _>>();
        (0..WAITING_CAPACITY + 10).for_each(|n| seen.note(&user(n), Sight::Here, 1_000));
        let some = seen.take(USERS_AT_ONCE);
        assert_eq!(some.len(), USERS_AT_ONCE, "a crowd is written down in parts");
        some.iter().for_each(|(openid, at)| seen.note(openid, Sight::Leaves, *at));
        let first = taken();
        assert_eq!((first.len(), first[&user(8)]), (WAITING_CAPACITY, 1_000));
        seen.note(&user(7), Sight::Here, 1_000 + NOTE_INTERVAL_MS - 1);
        assert!(taken().is_empty());
        seen.note(&user(7), Sight::Leaves, 2_000);
        seen.note(&user(8), Sight::Here, 1_000 + NOTE_INTERVAL_MS);
        // A clock that was set back keeps nobody out of sight.
        seen.note(&user(9), Sight::Here, 500);
        assert_eq!(
            taken()
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>()
                .into_values()
                .collect::<Vec<_>>(),
            [2_000, 61_000, 500]
        );
    }
}
