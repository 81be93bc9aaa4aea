//! The live sessions of a user, for an operator.

use actix::{Handler, MessageResult};

use super::ChatServer;
use super::messages::{SHOWN_SESSIONS, SessionsOf};

impl Handler<SessionsOf> for ChatServer {
    type Result = MessageResult<SessionsOf>;

    fn handle(&mut self, SessionsOf(openid): SessionsOf, _: &mut Self::Context) -> Self::Result {
        let slots = self.registry.of(&openid);
        MessageResult(
            slots[slots.len().saturating_sub(SHOWN_SESSIONS)..]
                .iter()
                .map(super::registry::Slot::shown)
                .collect(),
        )
    }
}
