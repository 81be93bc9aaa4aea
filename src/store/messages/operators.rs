//! What operators ask of the store: bans, the log of what they did, and how a user stands.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::ids::OpenId;

/// Why a user was banned or let in again, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanDecision {
    pub reason: Option<String>,
    pub by: String,
}

/// Writes one act into the audit log, or what became of it where it stands there.
#[derive(Debug)]
pub struct RecordAct {
    pub act: OperatorAct,
}

/// One act of an operator's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OperatorAct {
    /// Rises with the time; see [`OperatorAct::new`]. In JSON a string: it is beyond 2^53.
    #[serde(serialize_with = "id_as_text")]
    #[schema(value_type = String)]
    pub id: i64,
    /// Unix milliseconds by the database's clock.
    pub at: i64,
    pub via: Via,
    /// The user of the operating system, or the id of the key.
    pub who: String,
    /// Such as `ban`, or `POST /admin/v1/reviews/{id}`.
    pub act: String,
    /// The openid, or whatever it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// `done`, or why not; None: it is not known whether it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outcome: Option<String>,
}

fn id_as_text<S: Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// The way by which an operator came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum Via {
    #[serde(rename = "cli")]
    CommandLine,
    #[serde(rename = "api")]
    Api,
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommandLine => "cli",
            Self::Api => "api",
        }
    }

    /// The reverse; what a newer version may have written is taken for the API's.
    pub fn named(text: &str) -> Self {
        if text == Self::CommandLine.as_str() { Self::CommandLine } else { Self::Api }
    }
}

/// Low bits of an act's id, drawn by chance: several nodes give ids in the same millisecond.
const ID_CHANCE_BITS: u32 = 20;

impl OperatorAct {
    /// An act at `at` of which nothing is known yet but who did what.
    pub fn new(at: i64, via: Via, who: impl Into<String>, act: impl Into<String>) -> Self {
        let chance = i64::from(rand::random::<u32>() >> (32 - ID_CHANCE_BITS));
        let id = (at.max(0) << ID_CHANCE_BITS) | chance;
        Self { id, at, via, who: who.into(), act: act.into(), target: None, detail: None, outcome: None }
    }
}

/// Notes when users were seen, Unix milliseconds.
#[derive(Debug)]
pub struct SeenUsers {
    pub users: Vec<(OpenId, i64)>,
}

/// The ban of a user, where one is in force.
#[derive(Debug)]
pub struct BanInForce {
    pub openid: OpenId,
}

/// One page of the audit log, the newest first.
#[derive(Debug, Default)]
pub struct Acts {
    pub limit: usize,
    /// Only those with a lower id.
    pub before: Option<i64>,
    /// Only those done to this.
    pub target: Option<String>,
    /// Only those not older, Unix milliseconds.
    pub since: Option<i64>,
}

#[derive(Debug)]
pub struct ActPage {
    pub acts: Vec<OperatorAct>,
    /// Whether older ones follow the last one.
    pub has_more: bool,
}

/// One page of the bans in force, the newest first.
#[derive(Debug)]
pub struct Bans {
    pub limit: usize,
    /// Only those with a lower id.
    pub before: Option<i64>,
}

#[derive(Debug)]
pub struct BanPage {
    /// The database's clock, Unix milliseconds.
    pub now: i64,
    pub bans: Vec<Ban>,
    /// Whether older ones follow the last one.
    pub has_more: bool,
}

/// A ban, as the log of revocations has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ban {
    /// Its place in that log.
    pub id: i64,
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub openid: OpenId,
    /// Unix milliseconds.
    pub at: i64,
    /// None: for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub by: Option<String>,
}

/// Bans with an end that has come and of which the log has no word yet.
#[derive(Debug)]
pub struct EndedBans {
    pub limit: usize,
}

/// Whether a user was ever seen here, wrote or was written to, was blocked, banned or shows a profile.
#[derive(Debug)]
pub struct IsKnown {
    pub openid: OpenId,
}

/// Everything about a user that somebody wants to know at three in the morning; no message text.
#[derive(Debug)]
pub struct UserOverview {
    pub openid: OpenId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserStanding {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    pub openid: OpenId,
    /// The database's clock, Unix milliseconds.
    pub now: i64,
    #[serde(skip)]
    pub is_known: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub first_seen: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_seen: Option<i64>,
    pub conversations: i64,
    pub conversations_started: i64,
    pub unread: i64,
    /// When a message last came into one of the user's conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_message: Option<i64>,
    /// When the user wrote last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_written: Option<i64>,
    /// How many the user has blocked, and by how many the user is.
    pub blocks: i64,
    pub blocked_by: i64,
    pub nickname: String,
    pub has_avatar: bool,
    /// Notices that the user has granted and that were not sent yet.
    pub notice_grants: i64,
    /// How often something was refused that the user wrote, as far as the findings are kept.
    pub refused: i64,
    /// The ban in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ban: Option<Ban>,
    /// When sessions or tokens were last ended by a logout, a kick or a ban.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_revoked: Option<i64>,
}

/// A user's live sessions on all nodes, as far as they answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserSessions {
    /// By node, and of each the oldest first: the newest 256.
    pub sessions: Vec<NodeSession>,
    /// The nodes that answered. Where it is empty no server runs, or none answers.
    pub nodes: Vec<String>,
    /// Nodes that should have answered and did not: what sessions the user has there is not known.
    pub not_heard: Vec<String>,
}

/// A live session, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NodeSession {
    pub node: String,
    /// The label that its client gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub device: Option<String>,
    /// `v1` or `plain`.
    pub dialect: String,
    /// When it was let in, by the clock of its node: Unix milliseconds.
    pub since: i64,
    /// Whether the user looks at the app there, as far as the client told.
    pub in_foreground: bool,
}

fn as_text<S: Serializer>(openid: &OpenId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(openid.as_str())
}
