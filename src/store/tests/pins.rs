//! Pinned conversations: how many, which are listed, who hears of them.

use super::*;

on_both!(
    a_pinned_conversation_says_so,
    no_more_are_pinned_than_may_be,
    the_last_place_goes_to_one_of_two_lanes,
    those_that_are_pinned_are_listed_in_the_order_of_the_list,
    a_pin_outlives_a_cleared_view,
);

fn change(who: &str, peer: &str, muted: Option<bool>, pinned: Option<bool>) -> ConversationSettings {
    let (openid, conversation) = (o(who), with(who, peer));
    ConversationSettings { openid, conversation, muted, pinned, pinned_limit: 3 }
}

impl Rig {
    async fn pin(&self, who: &str, peer: &str, pinned: bool) -> Result<Option<MemberSettings>, Refusal> {
        self.call(change(who, peer, None, Some(pinned))).await
    }

    /// Peers of the conversations that `who` has pinned, `limit` a page.
    async fn pinned(&self, who: &str, limit: usize) -> Vec<String> {
        let (mut peers, mut after) = (Vec::new(), None);
        loop {
            let page = self.listed(who, Choice::Pinned, limit, after).await;
            assert!(page.conversations.iter().all(|listed| listed.overview.pinned));
            peers.extend(page.conversations.iter().map(|listed| peer_of(&listed.overview, who).to_owned()));
            after = page.next;
            if after.is_none() {
                return peers;
            }
        }
    }
}

async fn a_pinned_conversation_says_so(db: &mut Db) {
    let mut rig = db.open();
    assert_eq!(rig.pin("b", "a", true).await, Err(Refusal::NotFound));
    rig.send("a", "b", "x").await;
    let cursor = rig.sync("b", None, &[], 1).await.cursor;
    db.exec("UPDATE members SET changed_at = changed_at - 100000");
    let steps = [
        ((None, Some(true)), (false, true)),
        ((Some(true), None), (true, true)),
        ((None, Some(false)), (true, false)),
        ((Some(false), Some(true)), (false, true)),
    ];
    for ((muted, pinned), (is_muted, is_pinned)) in steps {
        let settings = MemberSettings { muted: is_muted, pinned: is_pinned };
        assert_eq!(rig.call(change("b", "a", muted, pinned)).await, Ok(Some(settings)));
        match rig.event().await {
            Event::Settings { openid, conversation, settings: told } => {
                assert_eq!((openid, conversation, told), (o("b"), with("b", "a"), settings));
            }
            event => panic!("{event:?}"),
        }
        // As it is already: nobody is told.
        assert_eq!(rig.call(change("b", "a", muted, pinned)).await, Ok(None));
        let overview = &rig.list("b", 9, None).await.conversations[0].overview;
        assert_eq!((overview.muted, overview.pinned), (is_muted, is_pinned));
    }
    let summary = rig.store.ask(Unread { openid: o("b"), kinds: Kinds::Direct, limit: 9 }).await.unwrap();
    assert!(summary.conversations[0].overview.pinned);
    assert!(rig.sync("b", None, &[("a", 0)], 1).await.conversations[0].overview.pinned);
    let missed = rig.sync("b", Some(cursor.clone()), &[], 1).await;
    assert!(missed.conversations[0].overview.pinned, "a change that their other devices miss");
    assert!(!rig.list("a", 9, None).await.conversations[0].overview.pinned, "it is their own");
    assert!(rig.sync("a", Some(cursor), &[], 1).await.conversations.is_empty());
    assert_eq!(rig.send("a", "b", "x").await, 2, "nothing else was told");
    assert_eq!(rig.pinned("b", 9).await, ["a"], "a message changes nothing");
}

async fn no_more_are_pinned_than_may_be(db: &mut Db) {
    let mut rig = db.open();
    for peer in ["a", "c", "d", "e"] {
        rig.send(peer, "b", "x").await;
    }
    for peer in ["a", "c", "d"] {
        rig.pin("b", peer, true).await.unwrap();
    }
    let full = Err(Refusal::TooMany);
    assert_eq!(rig.pin("b", "e", true).await, full);
    // Nothing of it is done.
    assert_eq!(rig.call(change("b", "e", Some(true), Some(true))).await, full);
    assert!(!rig.list("b", 1, None).await.conversations[0].overview.muted);
    // What is pinned already may be so again, and changed.
    assert_eq!(rig.pin("b", "a", true).await, Ok(None));
    assert!(rig.call(change("b", "a", Some(true), Some(true))).await.unwrap().is_some());
    rig.pin("b", "c", false).await.unwrap();
    assert!(rig.pin("b", "e", true).await.unwrap().is_some());
    assert_eq!(rig.pin("b", "c", true).await, full);
    let unlimited = ConversationSettings { pinned_limit: 0, ..change("b", "c", None, Some(true)) };
    assert!(rig.call(unlimited).await.unwrap().is_some());
    // Each has places of their own.
    assert!(rig.pin("a", "b", true).await.unwrap().is_some());
}

async fn the_last_place_goes_to_one_of_two_lanes(db: &mut Db) {
    db.config.lanes = 4;
    let mut rig = db.open();
    let peers: Vec<_> = (0..8).map(|n| format!("p{n}")).collect();
    for peer in &peers {
        rig.send(peer, "b", "x").await;
    }
    for _ in 0..6 {
        let all: Vec<_> = peers.iter().map(|peer| rig.calling(change("b", peer, None, Some(true)))).collect();
        let mut refused = 0;
        for one in all {
            match one.await.unwrap() {
                Ok(changed) => assert!(changed.is_some()),
                Err(why) => {
                    assert_eq!(why, Refusal::TooMany);
                    refused += 1;
                }
            }
        }
        assert_eq!((refused, rig.pinned("b", 99).await.len()), (5, 3));
        for peer in &peers {
            rig.pin("b", peer, false).await.unwrap();
        }
    }
}

async fn those_that_are_pinned_are_listed_in_the_order_of_the_list(db: &mut Db) {
    let mut rig = db.open();
    for peer in ["a", "c", "d", "e"] {
        rig.send(peer, "b", "x").await;
    }
    for peer in ["d", "a", "e"] {
        rig.pin("b", peer, true).await.unwrap();
        assert!(matches!(rig.event().await, Event::Settings { .. }));
    }
    for limit in [1, 2, 9] {
        assert_eq!(rig.pinned("b", limit).await, ["e", "d", "a"], "{limit}");
    }
    rig.send("a", "b", "x").await;
    assert_eq!(rig.pinned("b", 2).await, ["a", "e", "d"]);
    let list = rig.list("b", 9, None).await;
    let peers: Vec<_> = list.conversations.iter().map(|listed| peer_of(&listed.overview, "b")).collect();
    assert_eq!(peers, ["a", "e", "d", "c"], "a pin changes nothing in the order of the list");
    assert!(rig.pinned("a", 9).await.is_empty());
}

async fn a_pin_outlives_a_cleared_view(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "x").await;
    rig.pin("b", "a", true).await.unwrap();
    rig.call(Clear { openid: o("b"), conversation: with("b", "a"), up_to: None }).await.unwrap();
    assert!(rig.pinned("b", 9).await.is_empty(), "what is cleared is not listed");
    assert!(matches!(rig.event().await, Event::Settings { .. }));
    assert!(matches!(rig.event().await, Event::Cleared { .. }));
    rig.send("a", "b", "x").await;
    assert_eq!(rig.pinned("b", 9).await, ["a"]);
}
