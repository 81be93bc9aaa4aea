//! Grants of users as WeChat tells them: its events correct what clients reported.

use std::time::Duration;

use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::event::Refusal;
use crate::ids::{OpenId, TemplateId};
use crate::outage::SharedOutage;
use crate::store::notices::{GrantChange, Granted, Teller};
use crate::store::{CALLER_TIMEOUT, Store};
use crate::wechat::push::{SubscribeAction, SubscribeChange};

const PATIENCE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(2)).tries(3);

/// Changes that the store does not take: while it is away one line a minute says so, whoever they are of.
static UNWRITTEN: SharedOutage = SharedOutage::new();

/// Writes one change, and tries it again where the store is away. One that is lost is made good by WeChat's
/// next refusal (43101).
pub async fn write(store: &Store, openid: OpenId, template: TemplateId, change: Granted) {
    let write = async || {
        let change =
            GrantChange { openid: openid.clone(), template: template.clone(), change: change.clone() };
        timeout(CALLER_TIMEOUT, store.execute(change)).await.unwrap_or(Err(Refusal::Unavailable))
    };
    if PATIENCE.run(|_| true, write).await.is_ok() {
        UNWRITTEN.answered();
    } else if UNWRITTEN.failed().is_some() {
        log::warn!(openid = openid.as_str(); "the store did not take a change of what this user has agreed to");
    }
}

/// What an event says of the ledger. Who declined, or took the template away, is not written to on the
/// strength of an earlier yes; and a notice that did not reach them says that the next would not either.
pub fn change(event: &SubscribeChange) -> Option<Granted> {
    match &event.action {
        SubscribeAction::Accepted => Some(Granted::Accepted { by: Teller::WeChat, key: event.key.clone() }),
        SubscribeAction::Rejected | SubscribeAction::Removed => Some(Granted::Emptied),
        SubscribeAction::Sent { code: 0, .. } => None,
        SubscribeAction::Sent { .. } => Some(Granted::Emptied),
    }
}
