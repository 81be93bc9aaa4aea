//! Whose presence a user may see.

use super::*;
use crate::event::LastSeen;
use crate::store::presence::VisiblePresence;

on_both!(who_has_written_blocks_nobody_and_does_not_hide_is_shown, a_hidden_presence_outlives_the_profile);

/// Who of these is shown to `viewer`, and when they were seen.
async fn shown(rig: &Rig, viewer: &str, peers: &[&str]) -> Vec<(String, Option<i64>)> {
    let query = VisiblePresence { viewer: o(viewer), peers: peers.iter().map(|peer| o(peer)).collect() };
    let visible = rig.store.ask(query).await.unwrap();
    let mut shown: Vec<_> =
        visible.into_iter().map(|(peer, at)| (peer.to_string(), at.map(LastSeen::ms))).collect();
    shown.sort_unstable();
    shown
}

async fn set_presence(rig: &mut Rig, who: &str, presence: bool) {
    let avatar = AvatarChange::Keep;
    let change = ProfileChange { openid: o(who), nickname: None, avatar, presence: Some(presence) };
    rig.call(change).await.unwrap();
    if !presence {
        let event = rig.event().await;
        assert!(
            matches!(&event, Event::PresenceWithdrawn { openid, from: None } if *openid == o(who)),
            "{event:?}"
        );
    }
    let own = rig.store.ask(OwnProfile { openid: o(who) }).await.unwrap();
    assert_eq!(own.presence, presence);
}

async fn who_has_written_blocks_nobody_and_does_not_hide_is_shown(db: &mut Db) {
    let mut rig = db.open();
    let peers = ["a", "b", "c", "d", "nobody"];
    assert_eq!(shown(&rig, "a", &peers).await, []);
    rig.send("a", "c", "x").await;
    for writer in ["b", "d"] {
        rig.send(writer, "a", "x").await;
    }
    let users = vec![(o("b"), 700_000), (o("c"), 700_000)];
    rig.call(SeenUsers { users }).await.unwrap();
    // Whom A has written to need not have written to A.
    let (b, d) = (("b".to_owned(), Some(600_000)), ("d".to_owned(), None));
    assert_eq!(shown(&rig, "a", &peers).await, [b.clone(), d.clone()]);
    assert_eq!(shown(&rig, "a", &["d"]).await, std::slice::from_ref(&d));
    assert_eq!(shown(&rig, "c", &peers).await, [("a".to_owned(), None)]);
    rig.block("b", "a", BlockChange::Block).await.unwrap();
    // Who is blocked by the viewer is shown still: they took nothing back.
    rig.block("a", "d", BlockChange::Block).await.unwrap();
    assert_eq!(shown(&rig, "a", &peers).await, [d]);
    set_presence(&mut rig, "d", false).await;
    set_presence(&mut rig, "d", false).await;
    assert_eq!(shown(&rig, "a", &peers).await, []);
    set_presence(&mut rig, "d", true).await;
    rig.block("b", "a", BlockChange::Unblock).await.unwrap();
    assert_eq!(shown(&rig, "a", &["b"]).await, [b]);
    let many: Vec<String> = (0..199).map(|n| format!("u{n}")).collect();
    let all: Vec<&str> = many.iter().map(String::as_str).chain(["b"]).collect();
    assert_eq!(shown(&rig, "a", &all).await.len(), 1);
}

async fn a_hidden_presence_outlives_the_profile(db: &mut Db) {
    let mut rig = db.open();
    rig.send("b", "a", "x").await;
    set_presence(&mut rig, "b", false).await;
    // As an operator takes a profile away.
    let change = ProfileChange {
        openid: o("b"),
        nickname: Some(Default::default()),
        avatar: AvatarChange::Remove,
        presence: None,
    };
    rig.call(change).await.unwrap();
    assert_eq!(shown(&rig, "a", &["b"]).await, []);
    assert!(!rig.store.ask(OwnProfile { openid: o("b") }).await.unwrap().presence);
}
