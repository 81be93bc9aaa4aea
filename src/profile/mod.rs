//! Name and image that users show of themselves, parsed once at the edge. A value of one of these types
//! is fit to be stored and shown.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod avatar;
mod image;
mod nickname;
mod strip;

pub use avatar::{Avatar, AvatarId};
pub use image::{Image, Kind};
pub use nickname::Nickname;

/// What somebody is seen as. Of one who has set nothing, or is unknown, everything is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    pub nickname: Nickname,
    pub avatar: Option<AvatarId>,
}

/// What is wrong with a name or an image, for the one who gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(&'static str);
