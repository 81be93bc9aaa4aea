//! Requests of operators: the log of what they did, how a user stands, who is traced, and which sessions live.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::ids::OpenId;

pub(in crate::store) mod acts;
pub(in crate::store) mod command_line;
pub(in crate::store) mod live;
pub(in crate::store) mod seen;
pub(in crate::store) mod standing;
pub(in crate::store) mod traces;

pub use live::{NodeSession, OpenQuestions, UserSessions};
pub use seen::SeenUsers;
pub use standing::{IsKnown, UserOverview, UserStanding};
pub use traces::TracedUsers;

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

/// An openid in JSON.
pub(in crate::store) fn as_text<S: Serializer>(openid: &OpenId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(openid.as_str())
}
