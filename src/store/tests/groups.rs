//! Groups, beyond what the model holds: what is written for whom, and what large groups and many of them come to.

use super::*;
use crate::event::overview::Missed;

on_both!(
    a_message_writes_nothing_for_its_recipients,
    a_seq_is_given_once_whatever_becomes_of_the_messages,
    unread_is_exact_wherever_the_mark_and_the_recalls_are,
    a_block_between_members_does_not_act_in_their_group,
    a_mark_that_is_refused_is_not_to_be_handed_in_again,
    writes_about_groups_and_others_share_batches,
    a_sync_of_many_groups_tells_of_each_kind_what_is_asked_for,
    a_list_of_many_groups_is_in_one_order_with_the_others,
);

const TEAM: &str = "g:team";

impl Db {
    /// Makes a group of a, b and c.
    fn make_team(&self) {
        self.make_group(&with("a", TEAM), &["a", "b", "c"].map(o));
    }

    /// Makes 600 direct conversations of `me` and 600 groups, each with one message.
    fn make_many(&self) {
        let numbers = "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 600) SELECT";
        let at = now_ms() - 1_000_000;
        self.exec(&format!(
            "INSERT INTO conversations (kind, address, created_by, created_at) {numbers} 0, 'd:me:p' || n, 'p' || n, {at} + n FROM s; \
             INSERT INTO conversations (kind, address, created_by, created_at, last_seq, changed_at) \
               {numbers} 1, 'g:t' || n, 'x', {at} + n, 1, {at} + n FROM s; \
             INSERT INTO members (conversation_id, openid, peer, changed_at, last_at) \
               SELECT id, 'me', created_by, created_at, created_at FROM conversations WHERE kind = 0; \
             INSERT INTO members (conversation_id, openid, peer, changed_at, last_at) \
               SELECT id, created_by, 'me', created_at, created_at FROM conversations WHERE kind = 0; \
             INSERT INTO members (conversation_id, openid, changed_at) SELECT id, 'me', created_at + 10000 FROM conversations WHERE kind = 1; \
             INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at) \
               SELECT id, 1, created_by, 'text', '{{}}', created_at, created_at FROM conversations"
        ));
    }
}

impl Rig {
    async fn unread_in_groups(&self, who: &str) -> i64 {
        let unread = Unread { openid: o(who), kinds: Kinds::DirectAndGroups, limit: 100 };
        self.store.ask(unread).await.unwrap().total
    }

    /// Addresses that a walk through small answers tells of, each as often as it does.
    async fn walk(&self, who: &str, kinds: Kinds) -> Vec<String> {
        let (mut told, mut since) = (Vec::new(), None);
        loop {
            let sync = Sync {
                openid: o(who),
                kinds,
                since,
                session: SessionTag::NONE,
                named: Vec::new(),
                limit: 1,
                sent_since: None,
                bounds: SyncBounds { answer_bytes: 100_000, ..BOUNDS },
            };
            let page = self.store.sync(sync).await.unwrap();
            let address = |missed: Missed| peer_of(&missed.overview, who).to_owned();
            told.extend(page.conversations.into_iter().map(address));
            since = Some(page.cursor);
            if !page.has_more {
                return told;
            }
        }
    }
}

async fn a_message_writes_nothing_for_its_recipients(db: &mut Db) {
    let mut rig = db.open();
    db.make_team();
    for text in ["one", "two"] {
        rig.send("a", TEAM, text).await;
    }
    rig.outcome(recall("a", TEAM, 1)).await;
    let of_others = "SELECT sent_seq + read_seq + recv_seq + cleared_seq + uncounted + changed_at + last_at \
                     + CASE WHEN may_have_unread THEN 1 ELSE 0 END AS number FROM members WHERE openid <> 'a'";
    assert_eq!(db.numbers(of_others), [0, 0]);
    assert_eq!(db.numbers("SELECT sent_seq AS number FROM members WHERE openid = 'a'"), [2]);
    assert_eq!(db.numbers("SELECT last_seq AS number FROM conversations"), [3]);
    assert_eq!((rig.unread_in_groups("b").await, rig.unread("b").await.0), (1, 0));
}

async fn a_seq_is_given_once_whatever_becomes_of_the_messages(db: &mut Db) {
    let mut rig = db.open();
    db.make_team();
    for seq in 1..=3 {
        assert_eq!(rig.send("a", TEAM, "x").await, seq);
    }
    db.exec("DELETE FROM messages");
    assert_eq!(rig.send("b", TEAM, "x").await, 4);
    assert_eq!(rig.history("c", TEAM, Window::Newest, 9).await, (vec![4], false));
}

async fn unread_is_exact_wherever_the_mark_and_the_recalls_are(db: &mut Db) {
    let mut rig = db.open();
    db.make_team();
    const SENT: i64 = 2_100;
    let now = now_ms();
    db.exec(&format!(
        "INSERT INTO messages (conversation_id, seq, sender, kind, body, sent_at, stored_at) \
           WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {SENT}) \
           SELECT c.id, s.n, 'a', 'text', '{{}}', {now}, {now} FROM s CROSS JOIN conversations c; \
         UPDATE conversations SET last_seq = {SENT}"
    ));
    let recalled = [1, 2, 1_022, 1_023, 1_024, 1_025, 2_047, 2_048, SENT];
    for target in recalled {
        let event = rig.outcome(recall("a", TEAM, target)).await;
        assert!(matches!(event, Event::Appended { .. }), "{event:?}");
    }
    let last = SENT + recalled.len() as i64;
    for read in
        [0, 1, 2, 1_021, 1_022, 1_023, 1_024, 1_025, 2_046, 2_047, 2_048, SENT - 1, SENT, last - 1, last]
    {
        rig.read("b", TEAM, read).await.unwrap();
        let unread = (read + 1..=SENT).filter(|seq| !recalled.contains(seq)).count();
        assert_eq!(rig.unread_in_groups("b").await, unread as i64, "read up to {read}");
    }
}

async fn a_block_between_members_does_not_act_in_their_group(db: &mut Db) {
    let mut rig = db.open();
    db.make_team();
    rig.block("a", "b", BlockChange::Block).await.unwrap();
    let Event::Appended { audience, .. } = rig.outcome(append("b", TEAM, Some("m"), "x")).await else {
        panic!("not stored")
    };
    assert_eq!(audience, Audience::members(&o("b"), &["a", "b", "c"].map(o)));
    let Event::Repeated { audience: again, .. } = rig.outcome(append("b", TEAM, Some("m"), "x")).await else {
        panic!("not repeated")
    };
    assert_eq!((audience.iter().next(), again), (Some(&o("b")), audience.clone()));
    assert_eq!(rig.unread_in_groups("a").await, 1);
    assert!(matches!(
        rig.outcome(append("b", "a", None, "x")).await,
        Event::Refused { why: Refusal::Blocked, .. }
    ));
}

async fn a_mark_that_is_refused_is_not_to_be_handed_in_again(db: &mut Db) {
    let mut rig = db.open();
    db.make_team();
    rig.submit(Mark { receipt: read("d", TEAM, 1) });
    rig.submit(Mark { receipt: read("a", "g:none", 1) });
    assert_eq!(rig.read("d", TEAM, 1).await, Err(Refusal::NotFound));
    assert_eq!(rig.send("a", TEAM, "x").await, 1);
}

async fn writes_about_groups_and_others_share_batches(db: &mut Db) {
    db.config.lanes = 1;
    let mut rig = db.open();
    db.make_team();
    const ROUNDS: i64 = 60;
    let mut settled = Vec::new();
    for round in 0..ROUNDS {
        rig.submit(append("a", "b", None, "x"));
        rig.submit(append("a", TEAM, Some(&round.to_string()), "x"));
        // Each of them recalls what is right before it in the same batch, if it is in the same.
        rig.submit(recall("a", TEAM, 2 * round + 1));
        rig.submit(Mark { receipt: read("b", TEAM, 2 * round + 1) });
        rig.submit(append("a", TEAM, Some(&round.to_string()), "x"));
        settled.push(rig.calling(ConversationSettings {
            openid: o("c"),
            conversation: with("c", TEAM),
            muted: Some(round % 2 == 0),
            pinned: None,
            pinned_limit: 0,
        }));
        settled.push(rig.calling(ConversationSettings {
            openid: o("a"),
            conversation: with("a", "b"),
            muted: Some(round % 2 == 0),
            pinned: None,
            pinned_limit: 0,
        }));
    }
    let (mut in_team, mut direct) = (Vec::new(), Vec::new());
    for _ in 0..7 * ROUNDS {
        match rig.event().await {
            Event::Appended { draft, seq, .. } if draft.conversation == with("a", TEAM) => {
                in_team.push(seq.get())
            }
            Event::Appended { seq, .. } => direct.push(seq.get()),
            Event::Marked { .. } | Event::Settings { .. } => {}
            Event::Repeated { stored, .. } => assert!(stored.recalled, "{stored:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(in_team, (1..=2 * ROUNDS).collect::<Vec<_>>());
    assert_eq!(direct, (1..=ROUNDS).collect::<Vec<_>>());
    for settled in settled {
        assert!(matches!(settled.await.unwrap(), Ok(Some(_))));
    }
    assert_eq!(rig.unread_in_groups("b").await, ROUNDS);
    assert_eq!(rig.unread_in_groups("c").await, 0);
}

async fn a_sync_of_many_groups_tells_of_each_kind_what_is_asked_for(db: &mut Db) {
    let rig = db.open();
    db.make_many();
    for (kinds, many) in [(Kinds::Direct, 600), (Kinds::DirectAndGroups, 1_200)] {
        let mut told = rig.walk("me", kinds).await;
        told.sort_unstable();
        told.dedup();
        let groups = told.iter().filter(|address| address.starts_with("g:")).count();
        assert_eq!((told.len(), groups), (many, many - 600), "{kinds:?}");
    }
}

async fn a_list_of_many_groups_is_in_one_order_with_the_others(db: &mut Db) {
    let rig = db.open();
    db.make_many();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = Conversations {
            openid: o("me"),
            kinds: Kinds::DirectAndGroups,
            choice: Choice::All,
            limit: 99,
            after,
        };
        let page = rig.store.ask(page).await.unwrap();
        listed.extend(page.conversations.iter().map(|c| peer_of(&c.overview, "me").to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // Both kinds have one message of each time.
    let expected = (1..=600).rev().flat_map(|n| [format!("g:t{n}"), format!("p{n}")]);
    assert_eq!(listed, expected.collect::<Vec<_>>());
    let unread = Unread { openid: o("me"), kinds: Kinds::DirectAndGroups, limit: 3 };
    let unread = rig.store.ask(unread).await.unwrap();
    assert_eq!((unread.total, unread.has_more, unread.conversations.len()), (600, true, 3));
}
