//! One notice on its way: a grant is reserved, WeChat is asked, and the ledger is told what came of it.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use super::compose::{News, compose, page};
use super::policy::{SendOutcome, aftermath};
use super::schedule::NoticeKey;
use super::{Settings, ledger};
use crate::backoff::Backoff;
use crate::config::WECHAT_TIMEOUT_MS_MAX;
use crate::event::Refusal;
use crate::ids::Seq;
use crate::lifecycle::abort_point;
use crate::metrics::NoticeResult;
use crate::outage::SharedOutage;
use crate::store::messages::{History, Window};
use crate::store::notices::{Candidate, Granted, NoticeOutcome, Reservation, Reserve, Settle};
use crate::store::{CALLER_TIMEOUT, REPLY_TIMEOUT, Store};
use crate::wechat::{MiniprogramState, SubscribeMessage, WeChatApi};

/// Timeout of a reservation. The store answers it when its commit is done, however late, because a
/// reservation that nobody hears of is a grant lost.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the ledger is told what came of it; after that the reservation is abandoned, and never told again.
const SETTLE_TRIES: u32 = 3;
const SETTLE_WAIT: Duration = Duration::from_secs(2);
const SETTLE: Backoff = Backoff::new(Duration::from_secs(1), SETTLE_WAIT).tries(SETTLE_TRIES);
/// The longest that one is under way: reserved, its text read, sent, and settled.
pub(super) const LONGEST: Duration = RESERVE_TIMEOUT
    .saturating_add(REPLY_TIMEOUT)
    .saturating_add(Duration::from_millis(WECHAT_TIMEOUT_MS_MAX))
    .saturating_add(CALLER_TIMEOUT.saturating_add(SETTLE_WAIT).saturating_mul(SETTLE_TRIES));
/// Messages looked at for one whose text can be shown.
const NEWEST: usize = 8;

/// What came of one.
pub enum Delivered {
    /// WeChat was asked.
    Asked(SendOutcome),
    /// What was reserved against says no.
    Skipped(NoticeResult),
    /// The store did not answer: nothing was sent.
    StoreAway,
}

/// Outcomes that the store does not take.
static UNSETTLED: SharedOutage = SharedOutage::new();

#[derive(Clone)]
pub struct Sender {
    pub settings: Rc<Settings>,
    pub store: Store,
    pub wechat: WeChatApi,
}

impl Sender {
    pub async fn deliver(&self, key: &NoticeKey, up_to: Seq, candidate: &Candidate) -> Delivered {
        let (id, unread) = match self.reserve(key, up_to).await {
            None => return Delivered::StoreAway,
            Some(Reservation::Reserved { id, unread }) => (id, unread),
            Some(Reservation::NotUnread) => return Delivered::Skipped(NoticeResult::Read),
            Some(Reservation::AlreadyTold) => return Delivered::Skipped(NoticeResult::Told),
            Some(Reservation::NoGrant) => return Delivered::Skipped(NoticeResult::NoGrant),
            Some(Reservation::Muted) => return Delivered::Skipped(NoticeResult::Muted),
            Some(Reservation::Stranger) => return Delivered::Skipped(NoticeResult::Stranger),
        };
        let text = if self.settings.show_text { self.newest_text(key).await } else { None };
        abort_point("before-notice");
        let aftermath = aftermath(self.send(key, candidate, unread, text.as_deref()).await);
        abort_point("after-notice");
        self.settle(id, aftermath.settled()).await;
        if let SendOutcome::Empty { .. } = aftermath {
            ledger::write(
                &self.store,
                key.recipient.clone(),
                self.settings.template.clone(),
                Granted::Emptied,
            )
            .await;
        }
        Delivered::Asked(aftermath)
    }

    async fn reserve(&self, key: &NoticeKey, up_to: Seq) -> Option<Reservation> {
        let Settings { template, node, strangers, .. } = &*self.settings;
        let reserve = Reserve {
            openid: key.recipient.clone(),
            conversation: key.conversation.clone(),
            template: template.clone(),
            up_to,
            node: node.clone(),
            strangers: *strangers,
        };
        timeout(RESERVE_TIMEOUT, self.store.execute_background(reserve)).await.ok()?.ok()
    }

    async fn send(
        &self,
        key: &NoticeKey,
        candidate: &Candidate,
        unread: i64,
        text: Option<&str>,
    ) -> Result<crate::wechat::Sent, crate::wechat::SendFailure> {
        let (settings, address) = (&self.settings, key.conversation.address_str(&key.recipient));
        let utc_offset = candidate.quiet.map_or(settings.utc_offset, |quiet| quiet.utc_offset_minutes);
        let sender = super::name_of(&candidate.nickname, address);
        let news = News { sender: &sender, count: unread, sent_at: candidate.newest, utc_offset, text };
        let message = SubscribeMessage {
            touser: &key.recipient,
            template_id: settings.template.as_str(),
            page: Some(&page(&settings.page, address)),
            data: &compose(&settings.fields, settings.lang, &news),
            miniprogram_state: match settings.state {
                crate::config::notice::MiniProgramState::Developer => MiniprogramState::Developer,
                crate::config::notice::MiniProgramState::Trial => MiniprogramState::Trial,
                crate::config::notice::MiniProgramState::Formal => MiniprogramState::Formal,
            },
            lang: settings.lang.as_str(),
        };
        self.wechat.send_subscribe(&message).await
    }

    async fn settle(&self, id: i64, outcome: NoticeOutcome) {
        let settle = async || {
            let settle = self.store.execute(Settle { id, outcome: outcome.clone() });
            timeout(CALLER_TIMEOUT, settle).await.unwrap_or(Err(Refusal::Unavailable))
        };
        if SETTLE.run(|_| true, settle).await.is_ok() {
            UNSETTLED.answered();
        } else if UNSETTLED.failed().is_some() {
            log::warn!(reservation = id; "the store did not take what came of a notice; it counts as sent");
        }
    }

    /// What the newest message of another one says, if it is a text.
    async fn newest_text(&self, key: &NoticeKey) -> Option<String> {
        let history = History {
            openid: key.recipient.clone(),
            conversation: key.conversation.clone(),
            window: Window::Newest,
            limit: NEWEST,
        };
        let page = self.store.ask(history).await.ok()?;
        let newest = page
            .messages
            .into_iter()
            .rev()
            .find(|m| m.sender != key.recipient && !m.recalled && m.target.is_none())?;
        newest.text()
    }
}
