//! Answers which sessions a user has on this node, as every node does: within about a second of `hongyan
//! user`.

use actix::Addr;
use actix_web::web;

use crate::chat::ChatServer;
use crate::chat::messages::SessionsOf;
use crate::config;
use crate::store::operators::OpenQuestions;
use crate::store::{self, SessionQuestion, Store};

/// Answers for as long as the process lives; what cannot be answered now is tried again, until nobody waits
/// for it.
pub(super) fn answer(store: Store, chat: Addr<ChatServer>, node: String, database: config::Database) {
    actix_web::rt::spawn(async move {
        let mut every = tokio::time::interval(store::ANSWER_INTERVAL);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let questions = store.ask(OpenQuestions { node: node.clone() }).await.unwrap_or_default();
            if questions.is_empty() {
                continue;
            }
            let mut answers = Vec::with_capacity(questions.len());
            for SessionQuestion { id, openid } in questions {
                if let Ok(sessions) = chat.send(SessionsOf(openid)).await {
                    answers.push((id, sessions));
                }
            }
            let (database, node) = (database.clone(), node.clone());
            if let Ok(Err(error)) =
                web::block(move || store::answer_sessions(&database, &node, &answers)).await
            {
                log::warn!(error:% = error; "an operator's question for a user's sessions cannot be answered");
            }
        }
    });
}
