//! Findings of checks, and the operator's recall.

use super::*;
use crate::event::{By, Finding, Found, Source};

on_both!(
    a_finding_stands_with_its_message_or_without_one,
    a_repeat_is_acked_whatever_its_check_says_now,
    a_finding_and_its_message_are_one,
    many_findings_in_one_batch,
    the_operator_recalls_what_its_sender_may_not,
    two_ways_to_recall_in_one_batch,
    what_somebody_should_look_at,
    the_result_of_a_check_finds_its_message,
    a_recall_by_the_operator_is_answered,
    what_is_refused_again_within_the_hour_is_one_row_that_counts,
    old_findings_are_taken_out_but_those_to_be_looked_at,
    the_size_of_the_database_is_known,
);

const REFUSED: Admission = Admission::RepeatsOnly(Refusal::ContentRefused);

fn finding(outcome: Found, trace_id: &str) -> Finding {
    Finding {
        source: Source::Text,
        outcome,
        by: By::WeChat,
        label: 20_001,
        trace_id: trace_id.to_owned(),
        hash: [7; 32],
        text: Some("what was said".to_owned()),
    }
}

fn found(id: &str, text: &str, admission: Admission, finding: Finding) -> Append {
    Append { admission, finding: Some(Box::new(finding)), ..append("a", "b", Some(id), text) }
}

fn moderated(from: &str, to: &str, target: i64) -> Append {
    Append { admission: Admission::Moderator, ..recall(from, to, target) }
}

impl Rig {
    async fn audits(&self) -> Vec<Review> {
        let mut audits = Vec::new();
        for audit in 1..100 {
            audits.extend(self.store.ask(ReviewById { audit }).await.unwrap());
        }
        audits
    }

    async fn of_name(&self, who: &str, outcome: Found) {
        let finding =
            Box::new(Finding { source: Source::Nickname, by: By::Local, text: None, ..finding(outcome, "") });
        self.call(Audit { openid: o(who), finding }).await.unwrap();
    }

    async fn decide(&self, audit: i64, decision: Decision) -> Result<(), Refusal> {
        self.decide_with(audit, decision, 0).await
    }

    async fn decide_with(&self, audit: i64, decision: Decision, label: i32) -> Result<(), Refusal> {
        self.call(Decide { audit, decision, label }).await
    }

    async fn reviews(&self, limit: usize, after: Option<i64>) -> (Vec<i64>, bool) {
        let page = self.store.ask(Reviews { limit, after }).await.unwrap();
        (page.reviews.iter().map(|review| review.audit).collect(), page.has_more)
    }
}

async fn a_finding_stands_with_its_message_or_without_one(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "nothing was found").await;
    let before = now_ms();
    assert!(
        matches!(rig.outcome(found("m", "odd", Admission::Open, finding(Found::Review, "t1"))).await, Event::Appended { seq, .. } if seq == s(2))
    );
    let refused = Finding { by: By::Local, label: 0, text: None, ..finding(Found::Refused, "") };
    assert!(matches!(
        rig.outcome(found("n", "bad", REFUSED, refused)).await,
        Event::Refused { why: Refusal::ContentRefused, .. }
    ));
    assert_eq!(rig.history("b", "a", Window::Newest, 9).await.0, [1, 2]);
    rig.of_name("c", Found::Refused).await;
    let audits = rig.audits().await;
    let [with_seq, without, name] = audits.as_slice() else { panic!("{audits:?}") };
    let (who, conversation) = (o("a"), Some(with("a", "b")));
    assert_eq!(
        (&with_seq.openid, &with_seq.conversation, with_seq.seq, with_seq.outcome, with_seq.by),
        (&who, &conversation, Some(s(2)), Found::Review, By::WeChat)
    );
    assert_eq!(
        (with_seq.label, with_seq.trace_id.as_str(), with_seq.text.as_deref()),
        (20_001, "t1", Some("what was said"))
    );
    assert!((before..=now_ms()).contains(&with_seq.at));
    assert_eq!(
        (&without.conversation, without.seq, without.outcome, without.by),
        (&conversation, None, Found::Refused, By::Local)
    );
    assert_eq!((without.label, without.trace_id.as_str(), without.text.as_deref()), (0, "", None));
    assert_eq!(
        (&name.openid, &name.conversation, name.seq, name.source),
        (&o("c"), &None, None, Source::Nickname)
    );
}

async fn a_repeat_is_acked_whatever_its_check_says_now(db: &mut Db) {
    let mut rig = db.open();
    rig.outcome(append("a", "b", Some("m"), "x")).await;
    for (admission, is_quiet) in [(REFUSED, true), (Admission::Open, false)] {
        let again = rig.outcome(found("m", "x", admission, finding(Found::Refused, ""))).await;
        assert!(
            matches!(&again, Event::Repeated { stored, audience, .. } if stored.seq == s(1) && audience.is_empty() == is_quiet),
            "{again:?}"
        );
    }
    assert_eq!(rig.audits().await, []);
    assert!(matches!(
        rig.outcome(found("m", "else", REFUSED, finding(Found::Refused, ""))).await,
        Event::Refused { why: Refusal::Conflict, .. }
    ));
    assert_eq!(rig.audits().await.len(), 1);
}

async fn a_finding_and_its_message_are_one(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "x").await;
    db.exec("DROP TABLE audits");
    rig.submit(append("a", "b", Some("1"), "x"));
    rig.submit(found("2", "odd", Admission::Open, finding(Found::Review, "")));
    rig.submit(append("a", "b", Some("3"), "x"));
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(2)));
    assert!(matches!(rig.event().await, Event::Refused { why: Refusal::Unavailable, .. }));
    assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(3)));
}

async fn many_findings_in_one_batch(db: &mut Db) {
    let mut rig = db.open();
    for n in 0..20 {
        rig.submit(append("a", "b", None, "x"));
        rig.submit(found(&n.to_string(), "odd", Admission::Open, finding(Found::Unchecked, &n.to_string())));
        rig.submit(found(&format!("bad{n}"), "bad", REFUSED, finding(Found::Refused, "")));
    }
    for _ in 0..60 {
        rig.event().await;
    }
    let audits = rig.audits().await;
    // The twenty that were refused are one, which counts.
    assert_eq!(
        (audits.len(), db.numbers("SELECT times AS number FROM audits WHERE seq IS NULL")),
        (21, vec![20])
    );
    for audit in audits {
        let is_right = match audit.trace_id.parse::<i64>() {
            Ok(n) => audit.seq == Some(s(2 * n + 2)),
            Err(_) => audit.seq.is_none(),
        };
        assert!(is_right, "{audit:?}");
    }
}

async fn what_is_refused_again_within_the_hour_is_one_row_that_counts(db: &mut Db) {
    let mut rig = db.open();
    let of = |who: &str, hash: u8, outcome| {
        let finding = Finding { hash: [hash; 32], ..finding(outcome, "") };
        let draft = draft(who, "b", None, r#"{"message":"x"}"#.into());
        let admission = if outcome == Found::Refused { REFUSED } else { Admission::Open };
        Append { draft, admission, finding: Some(Box::new(finding)), charge: None }
    };
    for _ in 0..3 {
        for (who, hash) in [("a", 1), ("a", 2), ("c", 1)] {
            rig.outcome(of(who, hash, Found::Refused)).await;
        }
    }
    let times = "SELECT times AS number FROM audits ORDER BY id";
    assert_eq!(db.numbers(times), [3, 3, 3], "by user and by what was said");
    // What is stored, and a name that somebody is to look at, stand for themselves.
    for _ in 0..2 {
        rig.outcome(of("a", 1, Found::Review)).await;
        rig.of_name("a", Found::Review).await;
        rig.of_name("a", Found::Refused).await;
    }
    assert_eq!(db.numbers(times), [3, 3, 3, 1, 1, 2, 1, 1]);
    assert_eq!(rig.reviews(10, None).await.0.len(), 4);
    db.exec("UPDATE audits SET hour = hour - 1");
    rig.outcome(of("a", 1, Found::Refused)).await;
    assert_eq!(db.numbers(times).len(), 9, "another hour");
}

async fn old_findings_are_taken_out_but_those_to_be_looked_at(db: &mut Db) {
    let mut rig = db.open();
    for (n, outcome) in
        [Found::Unchecked, Found::Review, Found::Review, Found::Unchecked].into_iter().enumerate()
    {
        rig.outcome(found(&n.to_string(), "odd", Admission::Open, finding(outcome, &n.to_string()))).await;
    }
    // More than go with one write.
    for n in 0..700 {
        let finding =
            Finding { hash: [u8::try_from(n % 250).unwrap(); 32], text: None, ..finding(Found::Refused, "") };
        rig.submit(Append {
            draft: draft(&format!("u{n}"), "b", None, "{}".into()),
            admission: REFUSED,
            finding: Some(Box::new(finding)),
            charge: None,
        });
    }
    for _ in 0..700 {
        rig.event().await;
    }
    rig.decide(3, Decision::Passed).await.unwrap();
    let now = now_ms();
    db.exec(&format!("UPDATE audits SET at = {} WHERE id <> 4", now - 1_000_000));
    upkeep::prune(&rig.store, PrunedLog::Findings, now - 1_000_001).await.unwrap();
    assert_eq!(db.numbers("SELECT count(*) AS number FROM audits"), [704]);
    upkeep::prune(&rig.store, PrunedLog::Findings, now - 500_000).await.unwrap();
    assert_eq!(
        db.numbers("SELECT id AS number FROM audits ORDER BY id"),
        [2, 4],
        "one is to be looked at, one is young"
    );
}

async fn the_size_of_the_database_is_known(db: &mut Db) {
    let mut rig = db.open();
    let before = rig.store.ask(upkeep::DatabaseBytes).await.unwrap();
    assert!(before > 10_000, "{before}");
    // Of what is not easily made smaller.
    let text: String = (0..8_000).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect();
    for n in 0..300 {
        rig.submit(append("a", "b", None, &format!("{n}{text}")));
    }
    for _ in 0..300 {
        rig.event().await;
    }
    let after = rig.store.ask(upkeep::DatabaseBytes).await.unwrap();
    assert!(after > before + 1_000_000, "{before} {after}");
}

async fn the_operator_recalls_what_its_sender_may_not(db: &mut Db) {
    db.limits.recall_within_ms = 60_000;
    let mut rig = db.open();
    let not_found = |event: Event| matches!(event, Event::Refused { why: Refusal::NotFound, .. });
    assert!(not_found(rig.outcome(moderated("a", "b", 1)).await), "no conversation");
    rig.send("a", "b", "old").await;
    rig.send("b", "a", "yours").await;
    db.exec("UPDATE messages SET sent_at = sent_at - 60000");
    rig.block("b", "a", BlockChange::Block).await.unwrap();
    assert!(not_found(rig.outcome(moderated("a", "b", 2)).await), "the sender is another");
    assert!(not_found(rig.outcome(moderated("a", "b", 9)).await));
    let Event::Appended { draft, seq, .. } = rig.outcome(moderated("a", "b", 1)).await else { panic!() };
    assert_eq!((seq, draft.target), (s(3), Some(s(1))));
    let page = rig
        .store
        .ask(History { openid: o("b"), conversation: with("b", "a"), window: Window::Newest, limit: 9 })
        .await
        .unwrap();
    assert_eq!(
        (&*page.messages[0].body, page.messages[0].recalled, page.messages[2].target),
        ("{}", true, Some(s(1)))
    );
    assert!(
        matches!(rig.outcome(moderated("a", "b", 1)).await, Event::Repeated { stored, audience, .. } if !audience.is_empty() && stored.seq == s(3))
    );
    assert!(not_found(rig.outcome(moderated("a", "b", 3)).await), "a recall");
}

/// Too late for the sender until the operator has done it, which it repeats then.
async fn two_ways_to_recall_in_one_batch(db: &mut Db) {
    db.limits.recall_within_ms = 60_000;
    let mut rig = db.open();
    for _ in 0..10 {
        rig.send("a", "b", "old").await;
    }
    db.exec("UPDATE messages SET sent_at = sent_at - 60000");
    for target in 1..=10 {
        for write in [
            recall("a", "b", target),
            moderated("a", "b", target),
            recall("a", "b", target),
            moderated("a", "b", target),
        ] {
            rig.submit(write);
        }
    }
    for target in 1..=10 {
        assert!(matches!(rig.event().await, Event::Refused { why: Refusal::RecallExpired, .. }));
        assert!(matches!(rig.event().await, Event::Appended { seq, .. } if seq == s(10 + target)));
        for _ in 0..2 {
            assert!(
                matches!(rig.event().await, Event::Repeated { stored, .. } if stored.seq == s(10 + target))
            );
        }
    }
}

async fn what_somebody_should_look_at(db: &mut Db) {
    let mut rig = db.open();
    let review = |id: &str, admission| found(id, "odd", admission, finding(Found::Review, ""));
    rig.outcome(review("1", Admission::Open)).await;
    rig.outcome(review("2", REFUSED)).await;
    rig.of_name("c", Found::Review).await;
    rig.of_name("c", Found::Refused).await;
    rig.outcome(found("3", "x", Admission::Open, finding(Found::Unchecked, ""))).await;
    rig.outcome(review("4", Admission::Open)).await;
    // What was refused is nothing to decide on.
    let (all, _) = rig.reviews(9, None).await;
    let [first, name, last] = all[..] else { panic!("{all:?}") };
    assert_eq!(rig.reviews(2, None).await, (vec![first, name], true));
    assert_eq!(rig.reviews(2, Some(name)).await, (vec![last], false));
    assert_eq!(rig.decide(first, Decision::Passed).await, Ok(()));
    assert_eq!(rig.decide(name, Decision::Recalled).await, Ok(()));
    assert_eq!(rig.reviews(9, None).await, (vec![last], false));
    let decision = async |audit| rig.store.ask(ReviewById { audit }).await.unwrap().unwrap().decision;
    assert_eq!(
        (decision(first).await, decision(name).await, decision(last).await),
        (Some(Decision::Passed), Some(Decision::Recalled), None)
    );
    // Whoever let it pass may think again; what was recalled is gone.
    assert_eq!(rig.decide(first, Decision::Recalled).await, Ok(()));
    assert_eq!(rig.decide(first, Decision::Recalled).await, Ok(()));
    assert_eq!(rig.decide(first, Decision::Passed).await, Err(Refusal::NotFound));
    assert_eq!(decision(first).await, Some(Decision::Recalled));
    assert_eq!(rig.decide(9_999, Decision::Passed).await, Err(Refusal::NotFound));
}

async fn the_result_of_a_check_finds_its_message(db: &mut Db) {
    let mut rig = db.open();
    let of_trace = async |rig: &Rig, trace: &str| {
        rig.store.ask(MessageOfTrace { trace_id: trace.to_owned() }).await.unwrap()
    };
    assert_eq!(of_trace(&rig, "t").await, None);
    rig.outcome(found("0", "x", REFUSED, finding(Found::Refused, "t"))).await;
    assert_eq!(of_trace(&rig, "t").await, None, "it was not stored");
    let media = Finding { source: Source::Media, ..finding(Found::Pending, "t") };
    rig.outcome(found("1", "https://…", Admission::Open, media)).await;
    rig.outcome(found("2", "x", REFUSED, finding(Found::Refused, "u"))).await;
    rig.outcome(found("3", "x", Admission::Open, finding(Found::Review, ""))).await;
    let AuditedMessage { audit, sender, conversation, seq, source, outcome } =
        of_trace(&rig, "t").await.unwrap();
    assert_eq!(
        (sender, conversation, seq, source, outcome),
        (o("a"), with("a", "b"), s(1), Source::Media, Found::Pending)
    );
    assert_eq!((of_trace(&rig, "u").await, of_trace(&rig, "").await), (None, None));
    // A result that asks for a look queues what was pending, once, and tells the label; whoever decides
    // leaves that as it is.
    assert_eq!(rig.decide_with(audit, Decision::Queued, 20_002).await, Ok(()));
    assert_eq!(rig.decide_with(audit, Decision::Queued, 20_001).await, Err(Refusal::NotFound));
    assert!(rig.reviews(9, None).await.0.contains(&audit));
    assert_eq!(rig.decide(audit, Decision::Passed).await, Ok(()));
    let review = rig.store.ask(ReviewById { audit }).await.unwrap().unwrap();
    assert_eq!(
        (review.outcome, review.label, review.decision),
        (Found::Review, 20_002, Some(Decision::Passed))
    );
    assert_eq!(rig.decide_with(audit, Decision::Recalled, 20_003).await, Ok(()));
    assert_eq!(rig.store.ask(ReviewById { audit }).await.unwrap().unwrap().label, 20_003);
}

async fn a_recall_by_the_operator_is_answered(db: &mut Db) {
    let mut rig = db.open();
    rig.send("a", "b", "x").await;
    assert_eq!(rig.call(moderated("a", "b", 2)).await, Err(Refusal::NotFound));
    assert_eq!(rig.call(moderated("c", "b", 1)).await, Err(Refusal::NotFound));
    for _ in 0..2 {
        assert_eq!(rig.call(moderated("a", "b", 1)).await, Ok(()));
    }
    let events = [rig.event().await, rig.event().await, rig.event().await, rig.event().await];
    assert!(
        matches!(&events, [Event::Refused { .. }, Event::Refused { .. }, Event::Appended { seq, .. }, Event::Repeated { stored, .. }]
            if *seq == s(2) && stored.target == Some(s(1))),
        "{events:?}"
    );
}
