//! Profiles and avatars. The bytes of an image stand once, however many show it, for as long as somebody does.

use crate::ids::OpenId;
use crate::profile::{Avatar, AvatarId, Nickname, Profile};

mod commands;
mod queries;

/// Changes what a user shows of themself. An avatar that nobody shows any more is gone with the same commit.
#[derive(Debug)]
pub struct ProfileChange {
    pub openid: OpenId,
    pub nickname: Option<Nickname>,
    pub avatar: AvatarChange,
    /// Whether others may see their presence. `None`: as it was.
    pub presence: Option<bool>,
}

#[derive(Debug, Clone)]
pub enum AvatarChange {
    Keep,
    Remove,
    Set(Avatar),
}

/// What these users show of themselves. Who is not among the answers has set nothing.
#[derive(Debug)]
pub struct Profiles {
    pub openids: Vec<OpenId>,
}

/// What one user shows of themself.
#[derive(Debug)]
pub struct OwnProfile {
    pub openid: OpenId,
}

#[derive(Debug)]
pub struct OwnProfileAnswer {
    pub profile: Profile,
    /// Whether others may see their presence.
    pub presence: bool,
}

/// The bytes of an avatar that somebody shows.
#[derive(Debug)]
pub struct AvatarBytes {
    pub id: AvatarId,
}
