//! The ledger of grants, reservations, mutes and quiet hours.

use super::*;
use crate::ids::TemplateId;
use crate::profile::Nickname;
use crate::store::notices::Teller;

on_both!(
    grants_are_counted_once_each_and_bounded,
    she_is_told_once_a_stretch,
    what_they_need_not_be_told,
    a_stranger_spends_no_grant,
    a_grant_comes_back_only_where_nothing_was_sent,
    what_nobody_settled_is_never_tried_again,
    what_stands_before_it_in_its_batch_counts,
    two_nodes_and_few_grants,
    a_muted_conversation_says_so,
    quiet_hours_are_set_and_taken_back,
    candidates_are_those_who_have_not_read,
    what_was_not_told_is_found_again,
    a_notice_harms_no_message_of_its_batch,
);

fn template(id: &str) -> TemplateId {
    TemplateId::parse(id).unwrap()
}

fn accepted(key: &str) -> Granted {
    Granted::Accepted { by: Teller::WeChat, key: key.to_owned() }
}

const SENT: NoticeOutcome = NoticeOutcome::Sent { msgid: None };

impl Rig {
    async fn grant(&self, who: &str, id: &str, change: Granted) {
        let (openid, template) = (o(who), template(id));
        self.call(GrantChange { openid, template, change }).await.unwrap();
    }

    /// So many prompts, each one of its own.
    async fn accept(&self, who: &str, id: &str, count: u32) {
        let answers: Vec<_> = (0..count)
            .map(|_| {
                let (openid, template, change) =
                    (o(who), template(id), accepted(&format!("{:016x}", rand::random::<u64>())));
                self.calling(GrantChange { openid, template, change })
            })
            .collect();
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
    }

    /// Whoever has written.
    fn reserving(
        &self,
        who: &str,
        peer: &str,
        up_to: i64,
    ) -> oneshot::Receiver<Result<Reservation, Refusal>> {
        self.reserving_of(who, peer, up_to, true)
    }

    fn reserving_of(
        &self,
        who: &str,
        peer: &str,
        up_to: i64,
        strangers: bool,
    ) -> oneshot::Receiver<Result<Reservation, Refusal>> {
        self.calling(Reserve {
            openid: o(who),
            conversation: with(who, peer),
            template: template("t"),
            up_to: s(up_to),
            node: "node".to_owned(),
            strangers,
        })
    }

    async fn reserve(&self, who: &str, peer: &str, up_to: i64) -> Reservation {
        self.reserving(who, peer, up_to).await.unwrap().unwrap()
    }

    async fn reserved(&self, who: &str, peer: &str, up_to: i64) -> i64 {
        match self.reserve(who, peer, up_to).await {
            Reservation::Reserved { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    async fn settle(&self, id: i64, outcome: NoticeOutcome) {
        self.call(Settle { id, outcome }).await.unwrap();
    }

    async fn abandon(&self, reserved_before: i64) {
        self.call(Abandon { reserved_before }).await.unwrap();
    }

    async fn mute(&self, who: &str, peer: &str, muted: bool) -> Result<(), Refusal> {
        let (openid, conversation) = (o(who), with(who, peer));
        let change =
            ConversationSettings { openid, conversation, muted: Some(muted), pinned: None, pinned_limit: 0 };
        self.call(change).await.map(drop)
    }

    async fn quiet(&self, who: &str, quiet: Option<Quiet>) {
        let openid = o(who);
        self.call(QuietHours { openid, quiet }).await.unwrap();
    }

    async fn standing(&self, who: &str) -> NoticeStanding {
        self.store.ask(NoticeState { openid: o(who) }).await.unwrap()
    }

    /// Of the template `t`.
    async fn available(&self, who: &str) -> u32 {
        self.standing(who)
            .await
            .grants
            .into_iter()
            .find(|(id, _)| *id == template("t"))
            .map_or(0, |(_, count)| count)
    }

    async fn candidates(&self, of: &[(&str, &str, i64)]) -> Vec<Candidate> {
        let of =
            of.iter().map(|(recipient, peer, seq)| (o(recipient), with(recipient, peer), s(*seq))).collect();
        self.store.ask(NoticeCandidates { template: template("t"), of }).await.unwrap()
    }

    async fn untold(&self, at: i64, limit: usize) -> Vec<String> {
        self.untold_of(at, limit, true).await
    }

    async fn untold_of(&self, at: i64, limit: usize, strangers: bool) -> Vec<String> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self
                .store
                .ask(UntoldSince { template: template("t"), at, limit, after, strangers })
                .await
                .unwrap();
            found.extend(page.untold.iter().map(|(recipient, conversation, seq)| {
                format!("{recipient}<{}{seq}", conversation.address_str(recipient))
            }));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }
}

async fn a_stranger_spends_no_grant(db: &mut Db) {
    let mut rig = db.open();
    rig.accept("b", "t", 2).await;
    rig.send("a", "b", "hello").await;
    let reserve = async |rig: &Rig, up_to, strangers| {
        rig.reserving_of("b", "a", up_to, strangers).await.unwrap().unwrap()
    };
    assert_eq!(reserve(&rig, 1, false).await, Reservation::Stranger);
    assert_eq!((rig.available("b").await, rig.untold_of(0, 10, false).await.len()), (2, 0));
    assert_eq!(rig.untold_of(0, 10, true).await, ["b<a1"]);
    assert!(!rig.candidates(&[("b", "a", 1)]).await[0].has_written);
    // Having written decides, in the transaction that takes the grant; what was taken back was written.
    rig.send("b", "a", "who is it?").await;
    rig.outcome(recall("b", "a", 2)).await;
    rig.send("a", "b", "it is me").await;
    assert!(rig.candidates(&[("b", "a", 4)]).await[0].has_written);
    assert_eq!(rig.untold_of(0, 10, false).await, ["b<a4"]);
    assert!(matches!(reserve(&rig, 4, false).await, Reservation::Reserved { unread: 1, .. }));
    assert_eq!(rig.available("b").await, 1);
    // Written in the same batch, before or behind it.
    rig.send("c", "b", "hello").await;
    rig.submit(append("b", "c", None, "yes?"));
    rig.submit(append("c", "b", None, "well"));
    let reserved = rig.reserving_of("b", "c", 3, false);
    assert!(matches!(reserved.await.unwrap().unwrap(), Reservation::Reserved { .. }));
    // The operator may want otherwise.
    rig.accept("b", "t", 1).await;
    rig.send("d", "b", "hello").await;
    assert_eq!(rig.reserving_of("b", "d", 1, false).await.unwrap().unwrap(), Reservation::Stranger);
    assert!(matches!(
        rig.reserving_of("b", "d", 1, true).await.unwrap().unwrap(),
        Reservation::Reserved { .. }
    ));
}

async fn grants_are_counted_once_each_and_bounded(db: &mut Db) {
    let rig = db.open();
    assert_eq!(rig.standing("b").await, NoticeStanding { grants: Vec::new(), quiet: None });
    rig.accept("b", "t", 2).await;
    for _ in 0..3 {
        rig.grant("b", "t", accepted("prompt")).await;
    }
    assert_eq!(rig.available("b").await, 3);
    // One prompt may be about several templates, and another user's is another one.
    rig.grant("b", "s", accepted("prompt")).await;
    rig.grant("c", "t", accepted("prompt")).await;
    assert_eq!(rig.standing("b").await.grants, [(template("s"), 1), (template("t"), 3)]);
    assert_eq!(rig.available("c").await, 1);
    rig.grant("b", "t", Granted::Emptied).await;
    assert_eq!(rig.standing("b").await.grants, [(template("s"), 1)]);
    rig.grant("b", "t", accepted("prompt")).await;
    assert_eq!(rig.available("b").await, 0, "it is known still");
    rig.accept("b", "t", GRANTS).await;
    assert_eq!(rig.available("b").await, GRANTS);
    rig.accept("b", "t", 1).await;
    assert_eq!(rig.available("b").await, GRANTS);
    // Of what is named without end only the last is known.
    for n in 0..250 {
        rig.grant("d", "t", accepted(&n.to_string())).await;
    }
    rig.grant("d", "t", Granted::Emptied).await;
    rig.grant("d", "t", accepted("249")).await;
    assert_eq!(rig.available("d").await, 0);
    rig.grant("d", "t", accepted("0")).await;
    assert_eq!(rig.available("d").await, 1);
}

async fn she_is_told_once_a_stretch(db: &mut Db) {
    let mut rig = db.open();
    rig.accept("b", "t", 50).await;
    for _ in 0..3 {
        rig.send("a", "b", "x").await;
    }
    // The first asks for it, and all are told of.
    let Reservation::Reserved { id, unread } = rig.reserve("b", "a", 1).await else { panic!() };
    assert_eq!((unread, rig.available("b").await), (3, 49));
    assert_eq!(rig.reserve("b", "a", 3).await, Reservation::AlreadyTold);
    rig.settle(id, SENT).await;
    rig.send("a", "b", "x").await;
    assert_eq!(rig.reserve("b", "a", 4).await, Reservation::AlreadyTold);
    rig.read("b", "a", 2).await.unwrap();
    rig.event().await;
    assert_eq!(rig.reserve("b", "a", 4).await, Reservation::AlreadyTold, "not all that they were told of");
    rig.read("b", "a", 3).await.unwrap();
    rig.event().await;
    let Reservation::Reserved { unread, .. } = rig.reserve("b", "a", 4).await else { panic!() };
    assert_eq!(unread, 1);
    assert_eq!(rig.reserve("b", "a", 4).await, Reservation::AlreadyTold);
    // Clearing and answering are reading.
    rig.send("a", "b", "x").await;
    rig.clear("b", "a", Some(4)).await.unwrap();
    rig.event().await;
    rig.reserved("b", "a", 5).await;
    rig.send("b", "a", "an answer").await;
    assert_eq!(rig.reserve("b", "a", 5).await, Reservation::NotUnread);
    let last = rig.send("a", "b", "x").await;
    rig.reserved("b", "a", last).await;
    // Another conversation is another stretch.
    rig.send("c", "b", "x").await;
    rig.reserved("b", "c", 1).await;
    assert_eq!(rig.available("b").await, 45);
}

async fn what_they_need_not_be_told(db: &mut Db) {
    let mut rig = db.open();
    assert_eq!(rig.reserve("b", "a", 1).await, Reservation::NotUnread, "no conversation");
    rig.send("a", "b", "x").await;
    assert_eq!(rig.reserve("b", "a", 1).await, Reservation::NoGrant);
    rig.accept("b", "s", 1).await;
    assert_eq!(rig.reserve("b", "a", 1).await, Reservation::NoGrant, "for another template");
    rig.accept("b", "t", 1).await;
    assert_eq!(rig.reserve("a", "b", 1).await, Reservation::NotUnread, "their own");
    rig.mute("b", "a", true).await.unwrap();
    assert_eq!(rig.reserve("b", "a", 1).await, Reservation::Muted);
    rig.mute("b", "a", false).await.unwrap();
    rig.outcome(recall("a", "b", 1)).await;
    assert!(matches!(rig.ready.pop_front(), None | Some(Event::Settings { .. })));
    assert_eq!(rig.reserve("b", "a", 1).await, Reservation::NotUnread, "recalled");
    rig.submit(append("a", "b", None, "x"));
    rig.submit(append("b", "b", None, "to oneself"));
    rig.accept("b", "t", 1).await;
    let until = Instant::now() + Duration::from_secs(10);
    while rig.history("b", "b", Window::Newest, 9).await.0.is_empty() {
        assert!(Instant::now() < until);
    }
    assert_eq!(rig.reserve("b", "b", 1).await, Reservation::NotUnread);
    assert_eq!(rig.available("b").await, 2);
}

async fn a_grant_comes_back_only_where_nothing_was_sent(db: &mut Db) {
    let mut rig = db.open();
    rig.accept("b", "t", 4).await;
    rig.send("a", "b", "x").await;
    let id = rig.reserved("b", "a", 1).await;
    rig.settle(id, NoticeOutcome::Returned).await;
    rig.settle(id, NoticeOutcome::Returned).await;
    assert_eq!(rig.available("b").await, 4);
    let mut left = 4;
    for (outcome, seq) in
        [SENT, NoticeOutcome::Failed { code: 43_101 }, NoticeOutcome::Unknown].into_iter().zip(1..)
    {
        let id = rig.reserved("b", "a", seq).await;
        rig.settle(id, outcome.clone()).await;
        // It is settled.
        rig.settle(id, NoticeOutcome::Returned).await;
        left -= 1;
        assert_eq!(rig.available("b").await, left, "{outcome:?}");
        assert_eq!(rig.reserve("b", "a", seq).await, Reservation::AlreadyTold, "{outcome:?}");
        rig.read("b", "a", seq).await.unwrap();
        rig.event().await;
        rig.send("a", "b", "x").await;
    }
    rig.settle(9_999, NoticeOutcome::Returned).await;
    assert_eq!(rig.available("b").await, 1);
    // One that comes back when there is no more room for it is lost.
    let id = rig.reserved("b", "a", 4).await;
    rig.accept("b", "t", GRANTS).await;
    rig.settle(id, NoticeOutcome::Returned).await;
    assert_eq!(rig.available("b").await, GRANTS);
}

async fn what_nobody_settled_is_never_tried_again(db: &mut Db) {
    let mut rig = db.open();
    rig.accept("b", "t", 2).await;
    rig.send("a", "b", "x").await;
    rig.send("c", "b", "x").await;
    let before = now_ms();
    let id = rig.reserved("b", "a", 1).await;
    // The process dies, and another takes its place.
    drop(rig);
    let rig = reopened(db).await;
    assert_eq!(rig.reserve("b", "a", 1).await, Reservation::AlreadyTold);
    rig.abandon(before).await;
    let other = rig.reserved("b", "c", 1).await;
    db.exec(&format!("UPDATE notices SET reserved_at = reserved_at - 60000 WHERE id = {id}"));
    rig.abandon(before).await;
    rig.settle(id, NoticeOutcome::Returned).await;
    assert_eq!(rig.available("b").await, 0);
    assert_eq!(rig.reserve("b", "a", 1).await, Reservation::AlreadyTold);
    rig.settle(other, NoticeOutcome::Returned).await;
    assert_eq!(rig.available("b").await, 1, "that one was younger");
}

/// Submitted together, so that most come in one batch.
async fn what_stands_before_it_in_its_batch_counts(db: &mut Db) {
    let mut rig = db.open();
    rig.accept("b", "t", 100).await;
    for seq in 1..=20 {
        rig.send("a", "b", "x").await;
        rig.submit(append("c", "d", None, "to fill the first batch"));
        rig.submit(Mark { receipt: read("b", "a", seq) });
        let reserved = rig.reserving("b", "a", seq);
        let settled = rig.calling(Settle { id: 9_999, outcome: SENT });
        for _ in 0..2 {
            rig.event().await;
        }
        assert_eq!(reserved.await.unwrap(), Ok(Reservation::NotUnread), "{seq}");
        settled.await.unwrap().unwrap();
    }
    assert_eq!(rig.available("b").await, 100);
    for n in 0..20_i64 {
        rig.submit(append("a", "b", None, "x"));
        let (first, second) = (rig.reserving("b", "a", 21 + n), rig.reserving("b", "a", 21 + n));
        rig.event().await;
        let answers = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
        match n {
            0 => assert!(
                matches!(answers, (Reservation::Reserved { unread: 1, .. }, Reservation::AlreadyTold)),
                "{answers:?}"
            ),
            _ => assert_eq!(answers, (Reservation::AlreadyTold, Reservation::AlreadyTold)),
        }
    }
}

/// Every node asks for all of them at once, in another order. (SQLite has one node.)
async fn two_nodes_and_few_grants(db: &mut Db) {
    const PEERS: i64 = 6;
    const GRANTED: u32 = 3;
    let mut nodes = vec![db.open()];
    if matches!(db.config.url, DatabaseUrl::Postgres(_)) {
        nodes.push(db.open());
    }
    for round in 1..=10 {
        let users = ["u", "w"].map(|user| format!("{user}{round}"));
        for user in &users {
            for peer in 0..PEERS {
                nodes[0].send(&format!("p{peer}"), user, "x").await;
            }
        }
        let mut waiting = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let users: Vec<_> = if at == 0 { users.iter().collect() } else { users.iter().rev().collect() };
            for user in users {
                for prompt in 0..GRANTED {
                    let (openid, template, change) = (o(user), template("t"), accepted(&prompt.to_string()));
                    waiting.push(node.calling(GrantChange { openid, template, change }));
                }
            }
        }
        for answered in waiting {
            assert_eq!(answered.await.unwrap(), Ok(()), "round {round}");
        }
        let mut reserving = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            for peer in 0..PEERS {
                let peer = if at == 0 { peer } else { PEERS - 1 - peer };
                for user in &users {
                    reserving.push((user, peer, node.reserving(user, &format!("p{peer}"), 1)));
                }
            }
        }
        let mut told = Vec::new();
        for (user, peer, answered) in reserving {
            if let Reservation::Reserved { .. } = answered.await.unwrap().unwrap() {
                told.push((user, peer));
            }
        }
        let all = told.len();
        told.sort();
        told.dedup();
        assert_eq!((told.len(), all), (2 * GRANTED as usize, 2 * GRANTED as usize), "round {round}");
        assert_eq!(nodes[0].available(&users[0]).await, 0);
    }
}

async fn a_muted_conversation_says_so(db: &mut Db) {
    let mut rig = db.open();
    assert_eq!(rig.mute("b", "a", true).await, Err(Refusal::NotFound));
    rig.send("a", "b", "x").await;
    let cursor = rig.sync("b", None, &[], 1).await.cursor;
    db.exec("UPDATE members SET changed_at = changed_at - 100000");
    assert!(rig.sync("b", Some(cursor.clone()), &[], 1).await.conversations.is_empty());
    for muted in [true, false, true] {
        assert_eq!(rig.mute("b", "a", muted).await, Ok(()));
        let event = rig.event().await;
        assert!(
            matches!(&event, Event::Settings { openid, conversation, settings } if *openid == o("b") && *conversation == with("b", "a") && settings.muted == muted)
        );
        // As it is already: nobody is told.
        assert_eq!(rig.mute("b", "a", muted).await, Ok(()));
        assert_eq!(rig.list("b", 9, None).await.conversations[0].overview.muted, muted);
    }
    let summary = rig.store.ask(Unread { openid: o("b"), kinds: Kinds::Direct, limit: 9 }).await.unwrap();
    assert!(summary.conversations[0].overview.muted);
    assert!(rig.sync("b", None, &[("a", 0)], 1).await.conversations[0].overview.muted);
    assert!(
        rig.sync("b", Some(cursor.clone()), &[], 1).await.conversations[0].overview.muted,
        "a change that their other devices miss"
    );
    assert!(!rig.list("a", 9, None).await.conversations[0].overview.muted, "it is their own");
    assert!(rig.sync("a", Some(cursor), &[], 1).await.conversations.is_empty());
    assert_eq!(rig.send("a", "b", "x").await, 2, "nothing else was told");
    assert!(rig.list("b", 9, None).await.conversations[0].overview.muted, "a message changes nothing");
}

async fn quiet_hours_are_set_and_taken_back(db: &mut Db) {
    let mut rig = db.open();
    let hours = |from_minute, utc_offset_minutes| Quiet { from_minute, to_minute: 480, utc_offset_minutes };
    for quiet in [Some(hours(1_320, 480)), Some(hours(0, -720)), None, None, Some(hours(1_439, 840))] {
        rig.quiet("b", quiet).await;
        assert_eq!(rig.standing("b").await.quiet, quiet);
    }
    assert_eq!(rig.standing("a").await.quiet, None);
    rig.send("a", "b", "x").await;
    assert_eq!(rig.candidates(&[("b", "a", 1)]).await[0].quiet, Some(hours(1_439, 840)));
}

async fn candidates_are_those_who_have_not_read(db: &mut Db) {
    let mut rig = db.open();
    for _ in 0..3 {
        rig.send("a", "b", "x").await;
    }
    let Event::Appended { sent_at, .. } = rig.outcome(append("a", "b", None, "the newest")).await else {
        panic!()
    };
    rig.send("a", "c", "x").await;
    rig.send("b", "c", "x").await;
    let nickname = Some(Nickname::parse("安").unwrap());
    let avatar = AvatarChange::Keep;
    rig.call(ProfileChange { openid: o("a"), nickname, avatar, presence: None }).await.unwrap();
    rig.accept("b", "t", 1).await;
    rig.accept("c", "s", 1).await;
    rig.mute("c", "a", true).await.unwrap();
    let first = Candidate {
        recipient: o("b"),
        conversation: with("b", "a"),
        unread: 4,
        newest: sent_at,
        nickname: "安".to_owned(),
        granted: true,
        muted: false,
        has_written: false,
        quiet: None,
    };
    let of = [("b", "a", 4), ("b", "nobody", 1), ("c", "a", 1), ("c", "b", 1), ("a", "b", 4)];
    let found = rig.candidates(&of).await;
    assert_eq!(found[0], first);
    let rest: Vec<_> = found[1..]
        .iter()
        .map(|c| {
            (c.conversation.address_str(&c.recipient), c.unread, c.nickname.as_str(), c.granted, c.muted)
        })
        .collect();
    assert_eq!(rest, [("a", 1, "安", false, true), ("b", 1, "", false, false)]);
    rig.read("b", "a", 3).await.unwrap();
    assert_eq!(rig.candidates(&[("b", "a", 4)]).await[0].unread, 1);
    assert_eq!(rig.candidates(&[("b", "a", 3)]).await, [], "what asked for it is read");
    rig.read("b", "a", 4).await.unwrap();
    assert_eq!(rig.candidates(&of[..2]).await, []);
}

async fn what_was_not_told_is_found_again(db: &mut Db) {
    let mut rig = db.open();
    for user in ["b", "c", "d", "e", "f"] {
        rig.send("a", user, "old").await;
    }
    db.exec("UPDATE messages SET sent_at = sent_at - 60000");
    let at = now_ms() - 30_000;
    for user in ["b", "c", "d", "e"] {
        rig.accept(user, "t", 9).await;
        rig.send("a", user, "x").await;
    }
    rig.send("x", "b", "x").await;
    rig.accept("f", "t", 1).await;
    rig.send("a", "g", "without a grant").await;
    let all = ["b<a2", "b<x1", "c<a2", "d<a2", "e<a2"];
    for limit in [1, 2, 5, 100] {
        assert_eq!(rig.untold(at, limit).await, all, "{limit}");
    }
    let id = rig.reserved("b", "a", 2).await;
    rig.mute("c", "a", true).await.unwrap();
    rig.read("d", "a", 2).await.unwrap();
    rig.grant("e", "t", Granted::Emptied).await;
    assert_eq!(rig.untold(at, 2).await, ["b<x1"]);
    assert_eq!(rig.untold(0, 2).await, ["b<x1", "f<a1"]);
    rig.settle(id, NoticeOutcome::Returned).await;
    assert_eq!(rig.untold(at, 2).await, ["b<a2", "b<x1"]);
}

async fn a_notice_harms_no_message_of_its_batch(db: &mut Db) {
    let mut rig = db.open();
    rig.accept("b", "t", 1).await;
    rig.send("a", "b", "x").await;
    db.exec("DROP TABLE notices");
    rig.submit(append("a", "b", None, "x"));
    let refused = rig.reserving("b", "a", 1);
    rig.submit(append("a", "b", None, "x"));
    for n in 2..=3 {
        assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(n)));
    }
    assert_eq!(refused.await.unwrap(), Err(Refusal::Unavailable));
    assert_eq!(rig.available("b").await, 1, "half of it is nothing");
}
