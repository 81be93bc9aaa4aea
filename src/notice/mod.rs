//! Notices: a subscribe message of WeChat's to who is away and has something unread.
//!
//! Of every message that is stored the Notifier ([`actor`]) is told once; it waits in the [`schedule`], is
//! judged when its time has come ([`evaluate`], by the rules of [`policy`] and [`quiet`]), and goes to WeChat
//! ([`deliver`]) as [`compose`] words it. While the settings are wrong it rests ([`rest`]). The grants, and
//! who was told, stand in the store; [`ledger`] corrects them by what WeChat tells.

mod abandon;
mod actor;
mod handle;
mod schedule;
mod evaluate;
mod policy;
mod quiet;
mod rest;
mod deliver;
mod compose;
mod ledger;

use futures_util::future::BoxFuture;

use crate::config::{self, notice};
use crate::ids::{OpenId, TemplateId};
use crate::store::Store;
use crate::store::notices::Quiet;

pub use abandon::AbandonReservations;
pub use actor::Notifier;
pub use handle::{LEAVE_TIMEOUT, NotifierHandle, Seen, Standing};

/// What the notifier is told of the settings.
#[derive(Debug, Clone)]
pub struct Settings {
    template: TemplateId,
    fields: Vec<notice::Field>,
    page: String,
    state: notice::MiniProgramState,
    lang: notice::Lang,
    show_text: bool,
    strangers: bool,
    usual: Option<Quiet>,
    utc_offset: i16,
    delay_ms: u64,
    pending: usize,
    in_flight: usize,
    /// This process, in the store's notes on what was sent.
    node: String,
}

impl Settings {
    /// `None`: notices are off.
    pub fn new(config: &config::Notice) -> Option<Self> {
        let config = config.clone();
        let usual = |hours: notice::Hours| Quiet {
            from_minute: hours.from_minute,
            to_minute: hours.to_minute,
            utc_offset_minutes: config.utc_offset,
        };
        Some(Self {
            template: TemplateId::parse(config.template_id.as_deref()?).ok()?,
            fields: config.fields,
            page: config.page,
            state: config.state,
            lang: config.lang,
            show_text: config.show_text,
            strangers: config.strangers,
            usual: config.quiet.map(usual),
            utc_offset: config.utc_offset,
            delay_ms: config.delay_ms,
            pending: config.pending,
            in_flight: config.in_flight,
            node: format!("{:016x}", rand::random::<u64>()),
        })
    }
}

/// Who looks at the app.
pub trait Presence: Send {
    /// Of these users, each with so many milliseconds, who has a session in the foreground that was heard
    /// within them; `everywhere`: on whichever node.
    fn attends(&self, users: Vec<(OpenId, u64)>, everywhere: bool) -> BoxFuture<'static, Vec<bool>>;
}

/// Whom the notifier asks.
pub struct NotifierPorts {
    pub store: Store,
    pub presence: Box<dyn Presence>,
}

/// How somebody is called who may have no name; nobody reads the 28 characters of an openid of WeChat's.
fn name_of(nickname: &str, openid: &str) -> String {
    const LONGEST_READABLE: usize = 20;
    match (nickname, openid) {
        ("", id) if id.len() <= LONGEST_READABLE => id.to_owned(),
        ("", _) => String::new(),
        (name, _) => name.to_owned(),
    }
}
