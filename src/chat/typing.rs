//! Who types where: passed on at most once a second a user and conversation, stored nowhere.

use std::collections::HashMap;

use crate::event::Conversation;
use crate::ids::OpenId;

/// How often one user's typing in one conversation passes on, in milliseconds.
const EVERY_MS: u64 = 1_000;
/// Signs remembered within that time; beyond it nothing passes on.
const SIGNS: usize = 10_000;

/// When each user's last sign in a conversation passed.
#[derive(Default)]
pub struct Signs(HashMap<(OpenId, Conversation), u64>);

impl Signs {
    /// Whether a sign at `now` (monotonic milliseconds) passes.
    pub fn pass(&mut self, openid: &OpenId, conversation: &Conversation, now: u64) -> bool {
        let is_fresh = |at: u64| now < at + EVERY_MS;
        let key = (openid.clone(), conversation.clone());
        if self.0.get(&key).is_some_and(|at| is_fresh(*at)) {
            return false;
        }
        if self.0.len() >= SIGNS {
            self.0.retain(|_, at| is_fresh(*at));
        }
        let has_room = self.0.len() < SIGNS;
        if has_room {
            self.0.insert(key, now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(signs: &mut Signs, openid: &str, peer: &str, now: u64) -> bool {
        let (openid, peer) = (OpenId::parse(openid).unwrap(), OpenId::parse(peer).unwrap());
        signs.pass(&openid, &Conversation::direct(openid.clone(), peer), now)
    }

    #[test]
    fn one_a_second_of_a_user_in_a_conversation() {
        let mut signs = Signs::default();
        assert!(pass(&mut signs, "a", "b", 5));
        assert!(!pass(&mut signs, "a", "b", 1_004));
        assert!(pass(&mut signs, "a", "c", 6) && pass(&mut signs, "b", "a", 6));
        assert!(pass(&mut signs, "a", "b", 1_005));
    }

    #[test]
    fn a_flood_of_conversations_takes_no_memory() {
        let mut signs = Signs::default();
        let passed = (0..2 * SIGNS).filter(|n| pass(&mut signs, "a", &format!("p{n}"), 0));
        assert_eq!(passed.count(), SIGNS);
        assert!(pass(&mut signs, "x", "y", EVERY_MS));
    }
}
