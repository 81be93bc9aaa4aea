//! Profiles and avatars. The bytes of an image stand once, however many show it, for as long as somebody does.

use crate::ids::OpenId;
use crate::profile::{Avatar, AvatarId, Nickname};

mod commands;
mod queries;

/// Changes what a user shows of themself. An avatar that nobody shows any more is gone with the same commit.
#[derive(Debug)]
pub struct ProfileChange {
    pub openid: OpenId,
    pub nickname: Option<Nickname>,
    pub avatar: AvatarChange,
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

/// The bytes of an avatar that somebody shows.
#[derive(Debug)]
pub struct AvatarBytes {
    pub id: AvatarId,
}
