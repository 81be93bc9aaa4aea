//! Follows who is traced, as every node does: a second behind `hongyan trace` while the database answers.

use std::time::Duration;

use crate::store::Store;
use crate::store::operators::TracedUsers;
use crate::trace;

const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the list for as long as the process lives. Where the database is away the traces that were begun end
/// in time.
pub(super) fn follow(store: Store) {
    actix_web::rt::spawn(async move {
        let mut every = tokio::time::interval(FOLLOW_INTERVAL);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match store.ask(TracedUsers).await {
                Ok(users) => trace::set(users.into_iter().map(|user| (user.openid, user.left))),
                Err(_) => trace::end_overdue(),
            }
            trace::tell_of_left_out();
        }
    });
}
