//! Queries about profiles and avatars.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::ids::OpenId;
use crate::profile::{AvatarId, Nickname, Profile};
use crate::store::Query;
use crate::store::database::conn::Conn;
use crate::store::database::schema::{avatars, hidden_presence, profiles};
use crate::store::profiles::{AvatarBytes, OwnProfile, OwnProfileAnswer, Profiles};
use crate::store::readers::query::unreadable;

impl Query for Profiles {
    type Answer = HashMap<OpenId, Profile>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Self::Answer> {
        let rows = profiles::table
            .filter(profiles::openid.eq_any(self.openids.iter().map(OpenId::as_str)))
            .select((profiles::openid, profiles::nickname, profiles::avatar))
            .load::<(String, String, Option<String>)>(conn)?;
        rows.into_iter()
            .map(|(openid, nickname, avatar)| {
                Ok((OpenId::parse(&openid).map_err(unreadable)?, profile(&nickname, avatar)?))
            })
            .collect()
    }
}

impl Query for OwnProfile {
    type Answer = OwnProfileAnswer;

    fn run(&self, conn: &mut Conn) -> QueryResult<Self::Answer> {
        let openid = self.openid.as_str();
        let hidden = hidden_presence::table.find(openid);
        let presence = !diesel::select(diesel::dsl::exists(hidden)).get_result::<bool>(conn)?;
        let shown = profiles::table.find(openid).select((profiles::nickname, profiles::avatar));
        let shown = shown.first::<(String, Option<String>)>(conn).optional()?;
        let shown = shown.map(|(nickname, avatar)| profile(&nickname, avatar)).transpose()?;
        Ok(OwnProfileAnswer { profile: shown.unwrap_or_default(), presence })
    }
}

fn profile(nickname: &str, avatar: Option<String>) -> QueryResult<Profile> {
    let avatar = avatar.as_deref().map(AvatarId::parse).transpose().map_err(unreadable)?;
    Ok(Profile { nickname: Nickname::stored(nickname), avatar })
}

impl Query for AvatarBytes {
    type Answer = Option<Vec<u8>>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Option<Vec<u8>>> {
        avatars::table.find(self.id.as_str()).select(avatars::image).first(conn).optional()
    }
}
