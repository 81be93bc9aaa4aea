//! Changes of what users show.

use diesel::prelude::*;

use crate::event::{Event, Refusal};
use crate::ids::OpenId;
use crate::profile::Avatar;
use crate::store::database::schema::{avatars, profiles};
use crate::store::database::statement::{Statement, Writer};
use crate::store::lanes::command::{Command, Db, Locks, Order, Times, on_either};
use crate::store::profiles::{AvatarChange, ProfileChange};

impl Command for ProfileChange {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.openid.as_str().to_owned())
    }

    /// An image is taken away where nobody shows it: nobody may begin to meanwhile.
    fn locks(&self, locks: &mut Locks) {
        locks.user("profiles", self.openid.as_str());
        if !matches!(self.avatar, AvatarChange::Keep) {
            locks.all("avatars");
        }
    }

    fn event(&self, (): &()) -> Option<Event> {
        (self.presence == Some(false))
            .then(|| Event::PresenceWithdrawn { openid: self.openid.clone(), from: None })
    }

    fn is_large(&self) -> bool {
        true
    }

    fn apply(&self, db: &mut Db<'_>, _: Times) -> QueryResult<Result<(), Refusal>> {
        match self.presence {
            None => {}
            Some(true) => {
                const SHOW: &str = "DELETE FROM hidden_presence WHERE openid = $1";
                db.run(Statement::new(SHOW).text(self.openid.as_str()))?;
            }
            Some(false) => {
                const HIDE: &str =
                    "INSERT INTO hidden_presence (openid) VALUES ($1) ON CONFLICT (openid) DO NOTHING";
                db.run(Statement::new(HIDE).text(self.openid.as_str()))?;
            }
        }
        const MAKE: &str =
            "INSERT INTO profiles (openid, nickname) VALUES ($1, '') ON CONFLICT (openid) DO NOTHING";
        db.run(Statement::new(MAKE).text(self.openid.as_str()))?;
        if let Some(nickname) = &self.nickname {
            const RENAME: &str = "UPDATE profiles SET nickname = $1 WHERE openid = $2";
            db.run(Statement::new(RENAME).text(nickname.as_str()).text(self.openid.as_str()))?;
        }
        match &self.avatar {
            AvatarChange::Keep => {}
            AvatarChange::Remove => show(db, &self.openid, None)?,
            AvatarChange::Set(avatar) => show(db, &self.openid, Some(avatar))?,
        }
        Ok(Ok(()))
    }
}

/// Shows an image or none, and takes away the one before where nobody shows it any more.
fn show(db: &mut Db<'_>, openid: &OpenId, avatar: Option<&Avatar>) -> QueryResult<()> {
    let own = profiles::table.find(openid.as_str());
    if let Some(avatar) = avatar {
        let image = (avatars::sha256.eq(avatar.id().as_str()), avatars::image.eq(avatar.bytes()));
        let keep = diesel::insert_into(avatars::table).values(image).on_conflict_do_nothing();
        on_either!(db, conn => keep.execute(*conn))?;
    }
    let shown = own.select(profiles::avatar);
    let before: Option<String> = on_either!(db, conn => shown.first(*conn))?;
    let change = diesel::update(own).set(profiles::avatar.eq(avatar.map(|avatar| avatar.id().as_str())));
    on_either!(db, conn => change.execute(*conn))?;
    if let Some(before) = before {
        const REMOVE: &str = "DELETE FROM avatars WHERE sha256 = $1 AND NOT EXISTS (SELECT 1 FROM profiles p WHERE p.avatar = sha256)";
        db.run(Statement::new(REMOVE).text(&before))?;
    }
    Ok(())
}
