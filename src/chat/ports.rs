//! What the chat asks of other modules, each a trait that they, or whoever starts the chat, implement.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use super::messages::ClusterEvent;
use crate::event::{Audience, CommitSubscriber, Conversation, LastSeen, Message, Receipt};
use crate::ids::{OpenId, Seq};

/// The database, as far as the chat asks it.
pub trait ConversationStore: Send {
    /// Writes a mark.
    ///
    /// # Errors
    /// Gives the receipt back while the store is full.
    fn write_mark(&self, receipt: Receipt) -> Result<(), Receipt>;

    /// Who may be shown that `openid` types in a conversation; nobody where the database does not answer.
    fn typing_audience(&self, openid: OpenId, conversation: Conversation) -> BoxFuture<'static, Audience>;

    /// Which of these show `openid` whether they are there, each with when they were seen last; `None` where
    /// the database does not answer.
    fn visible_presence(
        &self,
        openid: OpenId,
        peers: Vec<OpenId>,
    ) -> BoxFuture<'static, Option<HashMap<OpenId, Option<LastSeen>>>>;

    /// Messages of a conversation of `openid` above `after` and below `before`; none where the
    /// database does not answer.
    fn between(
        &self,
        openid: OpenId,
        conversation: Conversation,
        after: Seq,
        before: Seq,
    ) -> BoxFuture<'static, Vec<Message>>;
}

/// The way to the other nodes. Nothing here waits for them.
pub trait Cluster: Send {
    /// Passes hints on to the other nodes, or forgets them.
    fn publish(&self, hints: Vec<ClusterEvent>);

    /// Ready once hints for this user come here, or cannot for now. Each call stands for one
    /// [`Cluster::unfollow`].
    fn follow(&self, openid: OpenId) -> BoxFuture<'static, ()>;

    /// Takes one [`Cluster::follow`] back.
    fn unfollow(&self, openid: OpenId);
}

/// Everything outside this module that the chat calls.
pub struct ChatPorts {
    pub store: Box<dyn ConversationStore>,
    /// Set where there are other nodes.
    pub cluster: Option<Box<dyn Cluster>>,
    /// Called with every commit once it is delivered here, in this order.
    pub subscribers: Vec<Box<dyn CommitSubscriber>>,
}
