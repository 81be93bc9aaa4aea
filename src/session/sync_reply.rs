//! The answer to a `sync` on its way to the socket. It stands beside the outbox, bounded by itself, one at a
//! time: what a session asked for never makes it a slow consumer.

use std::collections::VecDeque;
use std::sync::Arc;

use bytestring::ByteString;

use super::SessionPorts;
use crate::event::Conversation;
use crate::ids::{OpenId, RequestId, SessionId};
use crate::protocol::sync::{self, SyncRequest};
use crate::protocol::{CallerError, errors, outbound};
use crate::store::conversations::{Kinds, Sync, SyncBounds};

/// A session's syncs.
#[derive(Default)]
pub(super) struct SyncReply {
    state: State,
}

/// How far a sync has come.
#[derive(Default)]
enum State {
    #[default]
    Idle,
    /// The store is being asked.
    Asked,
    /// Frames that the socket has not taken yet.
    Answered(VecDeque<ByteString>),
}

/// What came of a sync.
pub struct Answered {
    frames: Vec<ByteString>,
}

impl SyncReply {
    /// Begins this one, unless another is under way.
    ///
    /// # Errors
    /// The frame that says so.
    pub(super) fn begin(&mut self, ask: Ask) -> Result<Ask, ByteString> {
        if !matches!(self.state, State::Idle) {
            return Err(ask.failure(&errors::SYNC_UNDER_WAY));
        }
        self.state = State::Asked;
        Ok(ask)
    }

    pub(super) fn answered(&mut self, Answered { frames }: Answered) {
        self.state = State::Answered(frames.into());
    }

    /// The next frame of the answer, if one waits.
    pub(super) fn take(&mut self) -> Option<ByteString> {
        let State::Answered(frames) = &mut self.state else { return None };
        let frame = frames.pop_front();
        if frames.is_empty() {
            self.state = State::Idle;
        }
        frame
    }

    /// Whether a frame waits.
    pub(super) fn has_more(&self) -> bool {
        matches!(self.state, State::Answered(_))
    }
}

/// A sync that is to be asked of the store.
pub struct Ask {
    ports: Arc<SessionPorts>,
    openid: OpenId,
    session: SessionId,
    id: Option<RequestId>,
    request: SyncRequest,
}

impl Ask {
    pub(super) fn new(
        ports: Arc<SessionPorts>,
        openid: OpenId,
        session: SessionId,
        id: Option<RequestId>,
        request: SyncRequest,
    ) -> Self {
        Self { ports, openid, session, id, request }
    }

    fn failure(&self, error: &CallerError) -> ByteString {
        self.ports.metrics.errors.inc(error.code);
        outbound::Failure { error, id: self.id.as_ref(), client_msg_id: None }.encode()
    }

    /// The frames that answer it: what was missed, or why it cannot be told now.
    pub async fn answer(self) -> Answered {
        let SyncRequest { since, named, limit } = &self.request;
        let bounds = SyncBounds {
            answer_bytes: sync::ANSWER_BYTES - sync::OVERHEAD_BYTES,
            message_bytes: sync::message_bytes,
            conversation_bytes: sync::CONVERSATION_BYTES,
        };
        let (openid, since, session) = (self.openid.clone(), since.clone(), self.session.into());
        let named =
            named.iter().map(|(address, seq)| (Conversation::of(&openid, address.clone()), *seq)).collect();
        match self
            .ports
            .store
            .sync(Sync {
                openid,
                kinds: Kinds::Direct,
                since,
                session,
                named,
                limit: *limit,
                sent_since: None,
                bounds,
            })
            .await
        {
            Ok(page) => {
                self.ports.metrics.syncs.inc();
                let frames = sync::frames(&page, self.id.as_ref(), &self.openid);
                self.ports.user_limits.answer(&self.openid, frames.iter().map(|frame| frame.len()).sum());
                Answered { frames }
            }
            Err(_) => Answered { frames: vec![self.failure(&errors::SYNC_UNAVAILABLE)] },
        }
    }
}
