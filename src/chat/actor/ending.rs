//! Sessions that the server ends: who is no longer let in, a drain, another database.

use actix::Handler;

use rand::Rng as _;

use super::ChatServer;
use crate::chat::delivered::DeliveredCache;
use crate::chat::messages::{DatabaseIs, DrainSessions, EndSessions, Wake};
use crate::chat::registry::Slot;
use crate::protocol::Close;

impl Handler<EndSessions> for ChatServer {
    type Result = ();

    fn handle(&mut self, end: EndSessions, _: &mut Self::Context) {
        let ended = self.registry.take(&end.openid, end.which);
        if !ended.is_empty() {
            log::info!(openid = end.openid.as_str(), sessions = ended.len(), code = end.close.code(); "sessions ended");
        }
        for slot in ended {
            slot.close(end.close.clone());
        }
        let joining =
            self.joining.extract_if(|_, new| new.openid == end.openid && end.which.covers(new.issued));
        for (_, new) in joining.collect::<Vec<_>>() {
            let _ = new.outbox.close(end.close.clone());
            new.wake.do_send(Wake);
            self.unfollow(new.openid);
        }
        self.count();
    }
}

impl Handler<DrainSessions> for ChatServer {
    type Result = usize;

    fn handle(&mut self, drain: DrainSessions, _: &mut Self::Context) -> usize {
        self.draining = Some(drain.spread_ms);
        for slot in self.registry.all() {
            say_farewell(slot, drain.spread_ms);
        }
        self.flush_receipts();
        self.registry.sessions()
    }
}

impl Handler<DatabaseIs> for ChatServer {
    type Result = ();

    fn handle(&mut self, DatabaseIs { generation, spread_ms }: DatabaseIs, _: &mut Self::Context) {
        let Some(before) = self.generation.replace(generation).filter(|before| *before != generation) else {
            return;
        };
        log::warn!(generation:% = generation, before:% = before; "the database is another one (failed over, or restored): every session is told to connect again");
        // The same seqs may be those of other messages.
        self.delivered = DeliveredCache::default();
        for slot in self.registry.all() {
            say_farewell(slot, spread_ms);
        }
    }
}

pub(super) fn say_farewell(slot: &Slot, spread_ms: u64) {
    slot.close(Close::Draining { retry_ms: rand::rng().random_range(0..=spread_ms) });
}
