//! What users show of themselves. The bytes of an image stand once, however many show it, for as long as
//! somebody does.

use std::collections::{BTreeMap, HashMap};

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, Binary, Bool, Nullable, Text};

use super::conn::Conn;
use super::messages::{AvatarBytes, AvatarChange, ProfileChange, Profiles, Query, Write};
use super::postgres::functions::PROFILES_FUNCTION;
use super::queries::unreadable;
use super::schema::{avatars, profiles};
use crate::ids::OpenId;
use crate::profile::{Avatar, AvatarId, Nickname, Profile};

/// Within a transaction of the one writer, so that nothing comes between the steps.
pub(super) fn change_on_sqlite(conn: &mut SqliteConnection, change: &ProfileChange) -> QueryResult<()> {
    let own = profiles::table.find(change.openid.as_str());
    diesel::insert_or_ignore_into(profiles::table)
        .values((profiles::openid.eq(change.openid.as_str()), profiles::nickname.eq("")))
        .execute(conn)?;
    if let Some(nickname) = &change.nickname {
        diesel::update(own).set(profiles::nickname.eq(nickname.as_str())).execute(conn)?;
    }
    let avatar = match &change.avatar {
        AvatarChange::Keep => return Ok(()),
        AvatarChange::Remove => None,
        AvatarChange::Set(avatar) => {
            diesel::insert_or_ignore_into(avatars::table)
                .values((avatars::sha256.eq(avatar.id().as_str()), avatars::image.eq(avatar.bytes())))
                .execute(conn)?;
            Some(avatar.id().as_str())
        }
    };
    let before: Option<String> = own.select(profiles::avatar).first(conn)?;
    diesel::update(own).set(profiles::avatar.eq(avatar)).execute(conn)?;
    if let Some(before) = before {
        let shown = profiles::table.filter(profiles::avatar.eq(&before));
        if !diesel::select(diesel::dsl::exists(shown)).get_result::<bool>(conn)? {
            diesel::delete(avatars::table.find(&before)).execute(conn)?;
        }
    }
    Ok(())
}

/// One call of `hongyan_profiles`: all that a batch changes of profiles, a user once, sorted by openid.
pub(super) struct ProfileCall {
    openids: Vec<String>,
    /// None: kept.
    nicknames: Vec<Option<String>>,
    avatars_change: Vec<bool>,
    avatars: Vec<Option<String>>,
    images: Vec<Option<Vec<u8>>>,
}

impl ProfileCall {
    /// `None` for a batch that changes none.
    pub(super) fn of(writes: &[Write]) -> Option<Self> {
        let mut users: BTreeMap<&OpenId, (Option<&Nickname>, &AvatarChange)> = BTreeMap::new();
        for write in writes {
            let Write::Profile(change) = write else { continue };
            let (nickname, avatar) = users.entry(&change.openid).or_insert((None, &AvatarChange::Keep));
            // What a batch says last holds.
            *nickname = change.nickname.as_ref().or(*nickname);
            if !matches!(change.avatar, AvatarChange::Keep) {
                *avatar = &change.avatar;
            }
        }
        if users.is_empty() {
            return None;
        }
        let set = |change: &AvatarChange| match change {
            AvatarChange::Set(avatar) => Some(avatar.clone()),
            AvatarChange::Keep | AvatarChange::Remove => None,
        };
        let set: Vec<Option<Avatar>> = users.values().map(|(_, avatar)| set(avatar)).collect();
        Some(Self {
            openids: users.keys().map(|openid| openid.as_str().to_owned()).collect(),
            nicknames: users.values().map(|(nickname, _)| nickname.map(|n| n.as_str().to_owned())).collect(),
            avatars_change: users.values().map(|(_, avatar)| !matches!(avatar, AvatarChange::Keep)).collect(),
            avatars: set.iter().map(|avatar| avatar.as_ref().map(|a| a.id().as_str().to_owned())).collect(),
            images: set.iter().map(|avatar| avatar.as_ref().map(|a| a.bytes().to_vec())).collect(),
        })
    }
}

impl QueryFragment<Pg> for ProfileCall {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT ");
        out.push_sql(&PROFILES_FUNCTION.name);
        out.push_sql("(");
        out.push_bind_param::<Array<Text>, _>(&self.openids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.nicknames)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bool>, _>(&self.avatars_change)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.avatars)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Binary>>, _>(&self.images)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for ProfileCall {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<PgConnection> for &ProfileCall {}

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
