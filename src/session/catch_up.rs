//! The answer to a `sync` on its way to the socket. It stands beside the outbox, bounded by itself, one at a time: what a session
//! asked for never makes it a slow consumer.

use std::collections::VecDeque;
use std::sync::Arc;

use bytestring::ByteString;

use super::Shared;
use crate::ids::{OpenId, RequestId};
use crate::metrics::ErrorLabel;
use crate::protocol::sync::{self, SyncRequest};
use crate::protocol::{Word, outbound};
use crate::store::messages::{Sync, SyncBounds};

/// A session's syncs.
#[derive(Default)]
pub(super) struct CatchUp {
    state: State,
    /// The walk of several answers that this session is on, by its `began`: it was pushed all that changed since.
    walk: Option<i64>,
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
    walk: Option<i64>,
}

impl CatchUp {
    /// Begins one, unless another is under way.
    pub(super) fn begin(&mut self, shared: &Arc<Shared>, openid: OpenId, id: Option<&RequestId>, request: SyncRequest) -> Option<Ask> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        self.state = State::Asked;
        Some(Ask { shared: shared.clone(), openid, id: id.cloned(), request, walk: self.walk })
    }

    pub(super) fn answered(&mut self, Answered { frames, walk }: Answered) {
        self.state = State::Answered(frames.into());
        self.walk = walk;
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
    shared: Arc<Shared>,
    openid: OpenId,
    id: Option<RequestId>,
    request: SyncRequest,
    walk: Option<i64>,
}

impl Ask {
    /// The frames that answer it: what was missed, or why it cannot be told now.
    pub async fn answer(self) -> Answered {
        let Self { shared, openid, id, request: SyncRequest { since, named, limit }, walk } = self;
        let begins = since.as_ref().is_none_or(|cursor| cursor.rest.is_none() || walk == Some(cursor.began));
        let bounds = SyncBounds {
            answer_bytes: sync::ANSWER_BYTES - sync::OVERHEAD_BYTES,
            message_bytes: sync::message_bytes,
            conversation_bytes: sync::CONVERSATION_BYTES,
        };
        match shared.store.sync(Sync { openid: openid.clone(), since, walk, named, limit, bounds }).await {
            Ok(page) => {
                shared.metrics.syncs.inc();
                let walk = (begins && page.cursor.rest.is_some()).then_some(page.cursor.began);
                Answered { frames: sync::frames(&page, id.as_ref(), &openid), walk }
            }
            Err(_) => {
                let word = Word::Unavailable;
                shared.metrics.errors.get_or_create(&ErrorLabel { error: word.as_str() }).inc();
                let why = "the server cannot tell now what was missed: ask again";
                let failure = outbound::Failure { word, why, id: id.as_ref(), client_msg_id: None, retry_after_ms: Some(1_000) };
                Answered { frames: vec![failure.encode()], walk }
            }
        }
    }
}
