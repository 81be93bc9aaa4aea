//! Follows which database stands behind this node: PostgreSQL may fail over, or be restored, under a running
//! server.

use std::time::Duration;

use actix::Addr;

use crate::chat::ChatServer;
use crate::chat::messages::DatabaseIs;
use crate::store::Store;

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Tells the chat now, and whenever it becomes another one.
pub(super) fn follow(store: Store, chat: Addr<ChatServer>, spread_ms: u64) {
    let mut known = store.generation();
    chat.do_send(DatabaseIs { generation: known, spread_ms });
    if !store.may_change_generation() {
        return;
    }
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            // A database that is away is looked at again when it is back.
            let Ok(generation) = store.look_at_generation().await else { continue };
            if generation != known {
                known = generation;
                chat.do_send(DatabaseIs { generation, spread_ms });
            }
        }
    });
}
