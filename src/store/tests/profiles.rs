//! Nicknames and avatars.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::profile::{Avatar, AvatarId, Nickname, Profile};

on_both!(
    what_is_not_given_stays,
    an_image_stands_as_long_as_somebody_shows_it,
    what_a_batch_says_last_holds,
    a_profile_harms_no_message_of_its_batch,
    so_many_at_once_and_messages_all_the_same,
    several_nodes_never_take_away_what_is_shown,
);

/// One of as many images as there are numbers.
fn image(number: u32) -> Avatar {
    let header = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\x40\0\0\0\x40\x08\x06\0\0\0csum\0\0\0\x04IDAT";
    let png = [header.as_slice(), &number.to_be_bytes(), b"csum\0\0\0\0IENDcsum"].concat();
    Avatar::from_base64(&STANDARD.encode(png)).unwrap()
}

fn name(text: &str) -> Option<Nickname> {
    Some(Nickname::parse(text).unwrap())
}

fn change(who: &str, nickname: Option<Nickname>, avatar: AvatarChange) -> ProfileChange {
    ProfileChange { openid: o(who), nickname, avatar, presence: None }
}

impl Rig {
    async fn change(&self, who: &str, nickname: Option<Nickname>, avatar: AvatarChange) {
        self.call(change(who, nickname, avatar)).await.unwrap();
    }

    async fn show(&self, who: &str, number: u32) {
        self.change(who, None, AvatarChange::Set(image(number))).await;
    }

    async fn profile(&self, who: &str) -> Profile {
        let mut known = self.store.ask(Profiles { openids: vec![o(who)] }).await.unwrap();
        known.remove(&o(who)).unwrap_or_default()
    }

    async fn bytes(&self, id: &AvatarId) -> Option<Vec<u8>> {
        self.store.ask(AvatarBytes { id: id.clone() }).await.unwrap()
    }
}

async fn what_is_not_given_stays(db: &mut Db) {
    let rig = db.open();
    assert_eq!(rig.profile("a").await, Profile::default());
    rig.change("a", name("安"), AvatarChange::Set(image(1))).await;
    let both = Profile { nickname: name("安").unwrap(), avatar: Some(image(1).id().clone()) };
    assert_eq!(rig.profile("a").await, both);
    rig.change("a", None, AvatarChange::Keep).await;
    assert_eq!(rig.profile("a").await, both);
    rig.change("a", name(""), AvatarChange::Keep).await;
    assert_eq!(rig.profile("a").await, Profile { nickname: Nickname::default(), ..both.clone() });
    rig.change("a", name("Ann"), AvatarChange::Remove).await;
    assert_eq!(rig.profile("a").await, Profile { nickname: name("Ann").unwrap(), avatar: None });
    rig.change("b", name("Bo"), AvatarChange::Keep).await;
    let all = rig.store.ask(Profiles { openids: ["b", "nobody", "a", "b"].map(o).into() }).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[&o("b")].nickname, name("Bo").unwrap());
}

async fn an_image_stands_as_long_as_somebody_shows_it(db: &mut Db) {
    let rig = db.open();
    let (one, two) = (image(1), image(2));
    rig.show("a", 1).await;
    rig.show("b", 1).await;
    assert_eq!(rig.bytes(one.id()).await.as_deref(), Some(one.bytes()));
    rig.show("a", 2).await;
    assert_eq!(rig.bytes(one.id()).await.as_deref(), Some(one.bytes()), "b still shows it");
    rig.change("b", None, AvatarChange::Remove).await;
    assert_eq!(rig.bytes(one.id()).await, None);
    rig.show("a", 2).await;
    assert_eq!(rig.bytes(two.id()).await.as_deref(), Some(two.bytes()), "set again, it is the same");
    rig.change("a", name("x"), AvatarChange::Keep).await;
    assert!(rig.bytes(two.id()).await.is_some());
    rig.change("a", None, AvatarChange::Remove).await;
    rig.change("a", None, AvatarChange::Remove).await;
    assert_eq!(rig.bytes(two.id()).await, None);
}

/// All are handed in before the first is done, so that most are of one batch.
async fn what_a_batch_says_last_holds(db: &mut Db) {
    let rig = db.open();
    let mut waiting = Vec::new();
    for n in 0..20 {
        waiting.push(rig.calling(change("a", name(&n.to_string()), AvatarChange::Set(image(n)))));
        waiting.push(rig.calling(change("b", None, AvatarChange::Set(image(n)))));
        waiting.push(rig.calling(change("b", name("b"), AvatarChange::Keep)));
    }
    waiting.push(rig.calling(change("b", None, AvatarChange::Remove)));
    waiting.push(rig.calling(change("b", None, AvatarChange::Keep)));
    for answered in waiting {
        answered.await.unwrap().unwrap();
    }
    assert_eq!(
        rig.profile("a").await,
        Profile { nickname: name("19").unwrap(), avatar: Some(image(19).id().clone()) }
    );
    assert_eq!(rig.profile("b").await, Profile { nickname: name("b").unwrap(), avatar: None });
    for n in 0..19 {
        assert_eq!(rig.bytes(image(n).id()).await, None);
    }
    assert!(rig.bytes(image(19).id()).await.is_some());
}

async fn a_profile_harms_no_message_of_its_batch(db: &mut Db) {
    let mut rig = db.open();
    let mut waiting = Vec::new();
    for n in 0..20 {
        rig.submit(append("a", "b", Some(&n.to_string()), "x"));
        waiting.push(rig.calling(change(&format!("u{n}"), name("n"), AvatarChange::Set(image(1)))));
    }
    for n in 1..=20 {
        assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(n)));
    }
    for answered in waiting {
        answered.await.unwrap().unwrap();
    }
    for n in 0..20 {
        assert_eq!(rig.profile(&format!("u{n}")).await.avatar.as_ref(), Some(image(1).id()));
    }
    db.exec("DROP TABLE profiles");
    let refused = rig.calling(change("a", name("x"), AvatarChange::Keep));
    for n in 21..=25 {
        rig.submit(append("a", "b", Some(&n.to_string()), "x"));
    }
    for n in 21..=25 {
        assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(n)));
    }
    assert_eq!(refused.await.unwrap(), Err(Refusal::Unavailable));
}

/// They come faster than any disk or wire takes them.
async fn so_many_at_once_and_messages_all_the_same(db: &mut Db) {
    let mut rig = db.open();
    let mut waiting = Vec::new();
    loop {
        let (reply, answered) = PendingReply::new::<()>();
        let change = change("a", None, AvatarChange::Set(image(waiting.len() as u32)));
        match rig.store.submit(change, Reply::Caller(reply)) {
            Ok(()) => waiting.push(answered),
            Err(Full(write)) => {
                assert!(matches!(*write, Write::Command(_)));
                break;
            }
        }
        assert!(waiting.len() < 100_000, "there is no end to it");
    }
    assert!(waiting.len() >= 64);
    assert_eq!(rig.send("a", "b", "x").await, 1);
    let last = waiting.len() as u32 - 1;
    for answered in waiting {
        answered.await.unwrap().unwrap();
    }
    assert_eq!(rig.profile("a").await.avatar.as_ref(), Some(image(last).id()));
    for _ in 0..100 {
        rig.change("a", name("n"), AvatarChange::Keep).await;
    }
}

/// Users of two nodes pass few images around: each that is shown in the end is there, and no other. (SQLite
/// has one node.)
async fn several_nodes_never_take_away_what_is_shown(db: &mut Db) {
    const USERS: u32 = 8;
    const IMAGES: u32 = 3;
    let mut nodes = vec![db.open()];
    if matches!(db.config.url, DatabaseUrl::Postgres(_)) {
        nodes.push(db.open());
    }
    for round in 0..30 {
        let mut waiting = Vec::new();
        for user in 0..USERS {
            for (at, node) in nodes.iter().enumerate() {
                let number = rand::random::<u32>() % (IMAGES + 1);
                let avatar =
                    if number == IMAGES { AvatarChange::Remove } else { AvatarChange::Set(image(number)) };
                // In another order at each node.
                let user = if at == 0 { user } else { USERS - 1 - user };
                waiting.push(node.calling(change(&format!("u{user}"), name("n"), avatar)));
            }
        }
        for answered in waiting {
            assert_eq!(answered.await.unwrap(), Ok(()), "round {round}");
        }
        let mut shown = std::collections::HashSet::new();
        for user in 0..USERS {
            shown.extend(nodes[0].profile(&format!("u{user}")).await.avatar);
        }
        for number in 0..IMAGES {
            let avatar = image(number);
            assert_eq!(
                nodes[0].bytes(avatar.id()).await.is_some(),
                shown.contains(avatar.id()),
                "round {round}, image {number}"
            );
        }
    }
}
