//! Implementations of one module's port by another that must not know it.

use std::collections::HashMap;
use std::sync::Arc;

use actix::Addr;
use futures_util::future::BoxFuture;

use crate::auth::RevocationLog;
use crate::chat::ChatServer;
use crate::chat::messages::{Attends, Reach, RefuseMessage};
use crate::chat::ports::ConversationStore;
use crate::event::{Audience, Conversation, Draft, LastSeen, Message, Places, Receipt, Refusal};
use crate::http::PushHandler;
use crate::http::status::StatusSource;
use crate::ids::{OpenId, Seq};
use crate::node::NodeStatus;
use crate::notice::{NotifierHandle, Presence};
use crate::relay::LocalNode;
use crate::safety::{ModerationHandle, Senders};
use crate::store::Store;
use crate::store::conversations::TypingAudience;
use crate::store::messages::{History, Window};
use crate::store::presence::VisiblePresence;
use crate::store::receipts::Mark;
use crate::wechat::Push;

/// Messages that are read in one go where some are missing in a conversation.
const GAP_MESSAGES: usize = 200;

impl ConversationStore for Store {
    fn write_mark(&self, receipt: Receipt) -> Result<(), Receipt> {
        let write = Mark { receipt: receipt.clone() };
        self.submit_background(write).map_err(|_| receipt)
    }

    fn typing_audience(&self, openid: OpenId, conversation: Conversation) -> BoxFuture<'static, Audience> {
        let store = self.clone();
        Box::pin(async move { store.ask(TypingAudience { openid, conversation }).await.unwrap_or_default() })
    }

    fn visible_presence(
        &self,
        openid: OpenId,
        peers: Vec<OpenId>,
    ) -> BoxFuture<'static, Option<HashMap<OpenId, Option<LastSeen>>>> {
        let store = self.clone();
        Box::pin(async move { store.ask(VisiblePresence { viewer: openid, peers }).await.ok() })
    }

    fn between(
        &self,
        openid: OpenId,
        conversation: Conversation,
        after: Seq,
        before: Seq,
    ) -> BoxFuture<'static, Vec<Message>> {
        let store = self.clone();
        Box::pin(async move {
            let window = Window::Between { after, before };
            let page = store.ask(History { openid, conversation, window, limit: GAP_MESSAGES }).await;
            page.map_or_else(|_| Vec::new(), |page| page.messages)
        })
    }
}

impl Presence for Addr<ChatServer> {
    fn attends(&self, users: Vec<(OpenId, u64)>, everywhere: bool) -> BoxFuture<'static, Vec<bool>> {
        let reach = if everywhere { Reach::Everywhere } else { Reach::Here };
        let asked = self.send(Attends { users, reach });
        Box::pin(async move { asked.await.unwrap_or_default() })
    }
}

impl Senders for Addr<ChatServer> {
    fn refused(&self, draft: Draft, why: Refusal, place: Places) {
        self.do_send(RefuseMessage { draft, why, place });
    }
}

/// This node, as the Relay sees it.
pub(super) struct ThisNode {
    pub(super) revocations: RevocationLog,
    pub(super) status: Arc<StatusSource>,
}

impl LocalNode for ThisNode {
    fn revoked(&self) {
        self.revocations.read_soon();
    }

    fn status(&self) -> NodeStatus {
        self.status.read()
    }
}

/// Parts that wait for something that WeChat tells by itself.
pub(super) struct PushConsumers {
    pub(super) moderation: ModerationHandle,
    pub(super) notices: Option<NotifierHandle>,
}

impl PushHandler for PushConsumers {
    fn pushed(&self, push: Push) {
        match push {
            push @ (Push::MediaChecked { .. } | Push::MediaUnchecked { .. }) => self.moderation.pushed(push),
            Push::Subscribe(changes) => {
                if let Some(notices) = &self.notices {
                    notices.changed(changes);
                }
            }
            Push::Other { event } => {
                log::debug!(event = event.as_str(); "WeChat told something that nobody here waits for")
            }
        }
    }
}
