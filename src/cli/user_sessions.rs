//! A user's live sessions on all nodes, for `hongyan user`.

use serde::Serialize;

use super::{table, times};
use crate::config;
use crate::ids::OpenId;
use crate::node::name_of;
use crate::store;
use crate::store::operators::{NodeSession, UserSessions};

/// What the nodes answered; or why they could not be asked, which hides nothing of what else is known of the
/// user.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Live {
    Asked(UserSessions),
    NotAsked { problem: String },
}

pub(super) fn ask(database: &config::Database, openid: &OpenId) -> Live {
    match store::ask_sessions(database, openid, name_of, || eprintln!("… waiting for the nodes' answers")) {
        Ok(sessions) => Live::Asked(sessions),
        Err(error) => Live::NotAsked { problem: error.to_string() },
    }
}

/// In one line how many, and how sure that is.
pub(super) fn in_words(live: &Live) -> String {
    let UserSessions { sessions, nodes, not_heard } = match live {
        Live::Asked(sessions) => sessions,
        Live::NotAsked { problem } => return format!("not known: {problem}"),
    };
    let silent =
        if not_heard.is_empty() { String::new() } else { format!("; not heard: {}", not_heard.join(", ")) };
    match (nodes.len(), sessions.len()) {
        (0, _) => format!("no node answers: no sessions are known{silent}"),
        (_, 0) => format!("none{silent}"),
        (_, n) => format!("{n} live{silent}"),
    }
}

/// A table, where there is one to show.
pub(super) fn rows(live: &Live, now: i64) -> String {
    let Live::Asked(UserSessions { sessions, .. }) = live else { return String::new() };
    let row = |session: &NodeSession| {
        let screen = if session.in_foreground { "foreground" } else { "background" };
        let device = session.device.clone().unwrap_or_else(|| "-".to_owned());
        [
            session.node.clone(),
            device,
            session.dialect.clone(),
            times::shown_from(session.since, now),
            screen.to_owned(),
        ]
    };
    let rows: Vec<_> = sessions.iter().map(row).collect();
    if rows.is_empty() {
        String::new()
    } else {
        table::columns(["NODE", "DEVICE", "DIALECT", "SINCE", "SCREEN"], &rows)
    }
}
