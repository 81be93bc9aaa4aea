//! What the chat is told.

use std::sync::Arc;

use actix::{Message, Recipient};
use bytestring::ByteString;

use super::outbox::Outbox;
use crate::event::overview::Missed;
use crate::event::revocation::Issued;
use crate::event::{Conversation, Draft, LiveSession, Places, Receipt, Refusal};
use crate::ids::{DatabaseGeneration, Device, OpenId, RequestId, Seq, SessionId};
use crate::protocol::client_frame::Attention;
use crate::protocol::{Close, Dialect};

/// A session announces itself. The first frame in its outbox is then `init`; or, where its label was taken
/// over too often, an error and the order to close.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Connect {
    pub openid: OpenId,
    pub session: SessionId,
    pub dialect: Dialect,
    /// `None`: the label that a user's sessions of one dialect share that have none of their own.
    pub device: Option<Device>,
    /// When the token was issued that it logged in with; or when it logged in, where a code was used.
    pub issued: Issued,
    pub open_chat: Option<Conversation>,
    pub outbox: Arc<Outbox>,
    pub wake: Recipient<Wake>,
}

/// Tells a session to look into its outbox.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct Wake;

/// A session is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Disconnect {
    pub openid: OpenId,
    pub session: SessionId,
    pub why: Close,
}

/// Which chat is on a session's screen.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OpenChat {
    pub openid: OpenId,
    pub session: SessionId,
    pub conversation: Option<Conversation>,
}

/// Whether the user looks at the app on this session's device.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Look {
    pub openid: OpenId,
    pub session: SessionId,
    pub attention: Attention,
}

/// A session has received or read something, and waits for no answer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Acknowledge(pub Receipt);

/// A message that a session sent was refused on its way to the store: its sender is told.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RefuseMessage {
    pub draft: Draft,
    pub why: Refusal,
    /// Given back once its sender is told.
    pub place: Places,
}

/// `openid` types something in a conversation.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Typing {
    pub openid: OpenId,
    pub conversation: Conversation,
}

/// A session watches the presence of these from now on, and of nobody else.
#[derive(Message)]
#[rtype(result = "()")]
pub struct WatchPresence {
    pub openid: OpenId,
    pub session: SessionId,
    pub request_id: Option<RequestId>,
    pub peers: Vec<OpenId>,
}

/// Closes live sessions of a user.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct EndSessions {
    pub openid: OpenId,
    pub which: Which,
    pub close: Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that logged in before this entry of the revocation log, written at `at` (Unix milliseconds).
    LoggedInBefore { id: i64, at: i64 },
    /// All but those that logged in when a later decision than this ban was known.
    NotPardoned { id: i64, at: i64 },
    /// Those of the token with this issue time.
    Token(i64),
}

/// Which database stands behind the server. Where it has become another one, the seqs that sessions know are
/// not its own: they are told to connect again, spread over so many milliseconds.
#[derive(Message)]
#[rtype(result = "()")]
pub struct DatabaseIs {
    pub generation: DatabaseGeneration,
    pub spread_ms: u64,
}

/// Closes every session with 4001, its `retry_ms` spread over `spread_ms`; answers how many there were.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct DrainSessions {
    pub spread_ms: u64,
}

/// How many sessions are in the map.
#[derive(Message, Clone, Copy)]
#[rtype(result = "usize")]
pub struct CountSessions;

/// The live sessions of a user on this node, the oldest first; beyond [`SHOWN_SESSIONS`] the newest of them.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Vec<LiveSession>")]
pub struct SessionsOf(pub OpenId);

/// Sessions of one user that are shown of each node.
pub const SHOWN_SESSIONS: usize = 256;

/// Which of these users look at the app: they have a session in the foreground that was heard in the last so
/// many milliseconds. `Everywhere` asks the other nodes as well, and takes their silence of a second for a
/// no.
#[derive(Message, Debug)]
#[rtype(result = "Vec<bool>")]
pub struct Attends {
    pub users: Vec<(OpenId, u64)>,
    pub reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Here,
    Everywhere,
}

/// Something that sessions of `to` on other nodes should hear. Hints may be lost, and come late, twice or in
/// another order than they were given: the database is the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEvent {
    pub to: OpenId,
    pub kind: ClusterEventKind,
}

/// What a [`ClusterEvent`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterEventKind {
    /// A message was stored for the first time; `incoming`: it is another's, not the user's own. Where it recalls
    /// one, that is `target`.
    Message { conversation: Conversation, seq: Seq, incoming: bool, target: Option<Seq>, frame: ByteString },
    /// A frame that is for v1 sessions only.
    Frame(ByteString),
    /// A member of one of the user's conversations, or the user, has received or read it. It names no session.
    Receipt(Receipt),
    /// The user has cleared their own view of a conversation up to `seq`.
    Cleared { conversation: Conversation, seq: Seq },
    /// A session was let in on the node that says so: one with the same label gives way to it.
    Joined { session: SessionId, dialect: Dialect, device: Option<Device> },
    /// The answer to [`ClusterEventKind::Joined`]: the user's sessions on the node that says so, and how
    /// often the label was taken over there.
    Present { joined: SessionId, sessions: Vec<SessionId>, replacements: Replacements },
    /// These give way: the user has too many sessions.
    Yield { sessions: Vec<SessionId> },
    /// The answer to [`ClusterEventKind::Joined`] where the label was taken over too often: that session must
    /// go.
    TooOften { joined: SessionId, retry_ms: u64 },
    /// Who has a session in the foreground that was heard in the last so many milliseconds answers under this
    /// number.
    Attention { ask: u64, within_ms: u64 },
    /// The answer to [`ClusterEventKind::Attention`]: a session of the user's is such a one. Every node hears
    /// it, for who asked may have none of theirs.
    Attends { ask: u64 },
    /// Who has a session of the user's answers with [`ClusterEventKind::Presence`].
    PresenceWanted,
    /// What the user's sessions on the node of this name say of them; `None`: there is none any more. Every node
    /// hears it, for who watches may have none of theirs.
    Presence { node: Arc<str>, attention: Option<Attention> },
    /// The user shows their presence no more: to this one, or to nobody. Every node hears it.
    PresenceWithdrawn { from: Option<OpenId> },
}

/// How often one device label was taken over in the current minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replacements {
    /// Milliseconds since the first of them.
    pub age_ms: u64,
    pub count: u32,
}

/// Hints from other nodes, for users who have sessions here.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Arrived(pub Vec<ClusterEvent>);

/// What the Relay knows of the other nodes.
#[derive(Message, Debug, Clone, PartialEq, Eq)]
#[rtype(result = "()")]
pub enum OtherNodes {
    /// Whether all of them are heard, some may not be, or none is.
    Heard(Reachable),
    /// This one has left, or has vanished.
    Gone(String),
    /// Hints of theirs may have been lost.
    MayBeMissed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachable {
    All,
    Some,
    None,
}

/// Who has sessions on this node.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "Vec<OpenId>")]
pub struct Users;

/// What the database has of a user's conversations since hints may have been lost: their sessions are told
/// what they have not got.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct CaughtUp {
    pub openid: OpenId,
    pub conversations: Vec<Missed>,
}

/// All that was told until some time ago, half a minute at least, will not come again: it need not be
/// remembered.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct ForgetDelivered;
