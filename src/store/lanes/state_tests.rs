use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::event::{Conversation, Draft, Event, MemberSettings, Receipt, ReceiptKind, RequestState};
use crate::ids::{Kind, RequestId, SessionId, TemplateId};
use crate::store::lanes::batch::Roster;
use crate::store::messages::{Admission, Append};
use crate::store::notices::{ConversationSettings, Reservation, Reserve};
use crate::store::{PendingReply, Submit};

fn o(text: &str) -> OpenId {
    OpenId::parse(text).unwrap()
}

fn s(number: i64) -> Seq {
    Seq::parse(number).unwrap()
}

fn id() -> RequestId {
    RequestId::parse(r#""r""#, "r").unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const PLACES: usize = 1_000;

/// A lane whose thread is the test.
struct Desk {
    state: LaneState,
    began: Instant,
    free: Arc<Semaphore>,
}

impl Desk {
    fn new(on_hang: OnHang) -> Self {
        Self { state: LaneState::new(on_hang), began: Instant::now(), free: Arc::new(Semaphore::new(PLACES)) }
    }

    fn at(&self, at: u64) -> Instant {
        self.began + ms(at)
    }

    fn submit(&mut self, at: u64, write: impl Submit, reply: Reply) {
        let place = self.free.clone().try_acquire_owned().unwrap();
        self.state.submit(write.into_write(), reply, place, self.began + ms(at));
    }

    fn send(&mut self, at: u64, text: &str) {
        let (sender, peer) = (o("a"), o("b"));
        let kind = Kind::parse("text").unwrap();
        let session = SessionId::fresh();
        let draft = Draft {
            session,
            request_id: None,
            conversation: Conversation::direct(sender.clone(), peer),
            sender,
            client_msg_id: None,
            kind,
            body: text.into(),
            target: None,
            quote: None,
        };
        self.submit(
            at,
            Append { draft, admission: Admission::Open, finding: None, charge: None },
            Reply::Nobody,
        );
    }

    fn read(&mut self, at: u64, seq: i64, reply: Reply) {
        let receipt = Receipt {
            kind: ReceiptKind::Read,
            openid: o("a"),
            conversation: Conversation::direct(o("a"), o("b")),
            seq: s(seq),
            session: Some(SessionId::fresh()),
        };
        self.submit(at, Mark { receipt }, reply);
    }

    fn take(&mut self, generation: u64, at: u64) -> Batch {
        match self.state.next(generation, self.at(at)) {
            NextStep::Commit(batch) => batch,
            NextStep::Sleep | NextStep::End => panic!("there is no batch"),
        }
    }

    /// Emission when the thread of that generation comes back.
    fn settle(&mut self, generation: u64, batch: Batch, outcomes: Vec<Outcome>) -> Vec<String> {
        let settled = self.state.settle(generation, &outcomes, false);
        drop(batch);
        told(settled.emission(outcomes))
    }

    fn overdue(&mut self, at: u64) -> (Vec<String>, bool) {
        let OverdueSweep { emission, is_hung, .. } = self.state.overdue(self.at(at));
        (told(emission), is_hung)
    }

    fn places(&self) -> usize {
        PLACES - self.free.available_permits()
    }
}

/// Short form of the events; callers are answered.
fn told(emission: Emission) -> Vec<String> {
    let Emission { mut report, places } = emission;
    let events = std::mem::take(&mut report.events);
    report.reply_to_callers();
    drop(places);
    let short = |event| match event {
        Event::Appended { draft, seq, request, .. } => {
            format!(
                "{} is {}{}",
                draft.body,
                seq.get(),
                if request == RequestState::Answered { ", as news" } else { "" }
            )
        }
        Event::Refused { draft, why } => format!("{} is {why:?}", draft.body),
        Event::Marked { receipt, request_id, .. } => {
            let to = match (request_id, receipt.session) {
                (Some(_), _) => ", as an answer",
                (None, Some(_)) => "",
                (None, None) => ", to all",
            };
            format!("read {}{to}", receipt.seq.get())
        }
        Event::MarkRefused { receipt, why, .. } => format!("read {} is {why:?}", receipt.seq.get()),
        Event::MarkUnstored(receipt) => format!("read {} is to be handed in again", receipt.seq.get()),
        other => format!("{other:?}"),
    };
    events.into_iter().map(short).collect()
}

fn appended(seq: i64) -> Outcome {
    Outcome::Appended { seq: s(seq), sent_at: 0, quote: None, roster: Roster::Direct }
}

fn marked(seq: i64) -> Outcome {
    Outcome::Mark { seq: s(seq), moved: true, to_peer: true }
}

fn refused() -> Outcome {
    Outcome::Refused(Refusal::Unavailable)
}

#[test]
fn only_what_is_overdue_is_answered_and_the_outcome_of_all_is_told() {
    let mut desk = Desk::new(OnHang::Wait);
    desk.send(0, "first");
    let busy = desk.take(0, 0);
    desk.send(100, "early");
    desk.send(1_500, "late");
    assert_eq!(desk.settle(0, busy, vec![appended(1)]), ["first is 1"]);
    let batch = desk.take(0, 1_600);
    assert_eq!(desk.overdue(2_599), (vec![], false));
    assert_eq!(desk.overdue(2_600), (vec!["early is Unavailable".into()], false));
    // Each is answered once.
    assert_eq!(desk.overdue(2_700), (vec![], false));
    assert_eq!(desk.places(), 2, "a running batch keeps its places");
    assert_eq!(desk.settle(0, batch, vec![appended(2), appended(3)]), ["early is 2, as news", "late is 3"]);
    assert_eq!(desk.places(), 0);
    // What was not stored is no news to one who was told so.
    desk.send(3_000, "again");
    let batch = desk.take(0, 3_000);
    assert_eq!(desk.overdue(5_499).0, [""; 0]);
    assert_eq!(desk.overdue(5_500), (vec!["again is Unavailable".into()], true));
    assert_eq!(desk.settle(0, batch, vec![refused()]), [""; 0]);
}

#[test]
fn what_waits_in_the_queue_for_too_long_is_refused_and_not_stored() {
    let mut desk = Desk::new(OnHang::Wait);
    desk.send(0, "running");
    let batch = desk.take(0, 0);
    desk.send(100, "queued");
    desk.send(2_000, "young");
    assert_eq!(
        desk.overdue(2_600),
        (vec!["running is Unavailable".into(), "queued is Unavailable".into()], true)
    );
    assert_eq!(desk.settle(0, batch, vec![appended(1)]), ["running is 1, as news"]);
    let batch = desk.take(0, 4_000);
    assert_eq!(desk.settle(0, batch, vec![appended(2)]), ["young is 2"]);
}

#[test]
fn a_thread_that_is_waited_for_goes_on() {
    let mut desk = Desk::new(OnHang::Wait);
    desk.send(0, "one");
    let batch = desk.take(0, 0);
    assert!(desk.overdue(2_500).1);
    assert_eq!(desk.overdue(9_000), (vec![], false), "it is said once");
    assert_eq!((desk.state.generation(), desk.places()), (0, 1));
    assert_eq!(desk.settle(0, batch, vec![appended(1)]), ["one is 1, as news"]);
    assert!(matches!(desk.state.next(0, desk.at(9_100)), NextStep::Sleep));
    assert!(desk.state.is_idle());
}

#[test]
fn a_thread_that_was_given_up_tells_what_it_did_when_it_is_back() {
    let mut desk = Desk::new(OnHang::Replace);
    desk.send(0, "hangs");
    let hangs = desk.take(0, 0);
    desk.send(2_400, "waits");
    assert_eq!(desk.overdue(2_500), (vec!["hangs is Unavailable".into()], true));
    assert_eq!((desk.state.generation(), desk.places()), (1, 1), "its places are free for others");
    let next = desk.take(1, 2_500);
    assert_eq!(desk.settle(1, next, vec![appended(2)]), ["waits is 2"]);
    assert!(matches!(desk.state.next(1, desk.at(2_600)), NextStep::Sleep));
    assert!(!desk.state.is_idle(), "its outcome is still to be told");
    let settled = desk.state.settle(0, &[appended(1)], true);
    assert_eq!(settled.came_late().map(|(writes, since)| (writes, since == desk.began)), Some((1, true)));
    drop(hangs);
    assert_eq!(told(settled.emission(vec![appended(1)])), ["hangs is 1, as news"]);
    assert!(matches!(desk.state.next(0, desk.at(9_000)), NextStep::End));
    assert!(desk.state.is_idle());
}

#[test]
fn those_in_the_queue_do_not_suffer_for_a_thread_that_was_given_up() {
    let mut desk = Desk::new(OnHang::Replace);
    desk.send(0, "hangs");
    let hangs = desk.take(0, 0);
    desk.overdue(2_500);
    desk.send(2_600, "new");
    let settled = desk.state.settle(0, &[refused()], true);
    drop(hangs);
    assert_eq!(told(settled.emission(vec![refused()])), [""; 0]);
    // The thread that serves the lane takes them with it.
    let next = desk.take(1, 2_700);
    desk.send(2_800, "newer");
    let settled = desk.state.settle(1, &[refused()], true);
    drop(next);
    assert_eq!(told(settled.emission(vec![refused()])), ["new is Unavailable", "newer is Unavailable"]);
}

#[test]
fn marks_do_not_go_back_when_the_one_that_moved_first_is_told_last() {
    let mut desk = Desk::new(OnHang::Replace);
    for seq in [5, 9] {
        desk.read(0, seq, Reply::Session(id()));
    }
    let hangs = desk.take(0, 0);
    assert_eq!(desk.overdue(2_500).0, ["read 5 is Unavailable", "read 9 is Unavailable"]);
    desk.read(2_600, 7, Reply::Session(id()));
    let next = desk.take(1, 2_600);
    assert_eq!(desk.settle(1, next, vec![marked(7)]), ["read 7, as an answer"]);
    // The session that was told that it may not stand hears of it as all others do.
    assert_eq!(desk.settle(0, hangs, vec![marked(5), marked(9)]), ["read 9, to all"]);
}

#[test]
fn of_two_threads_that_were_given_up_the_one_that_is_back_last_tells_no_older_mark() {
    let mut desk = Desk::new(OnHang::Replace);
    desk.read(0, 5, Reply::Session(id()));
    let first = desk.take(0, 0);
    desk.overdue(2_500);
    desk.read(2_500, 8, Reply::Session(id()));
    let second = desk.take(1, 2_500);
    desk.overdue(5_000);
    assert_eq!(desk.settle(1, second, vec![marked(8)]), ["read 8, to all"]);
    assert_eq!(desk.settle(0, first, vec![marked(5)]), [""; 0]);
}

#[test]
fn settings_that_were_changed_since_are_not_told() {
    let mut desk = Desk::new(OnHang::Replace);
    let settings = |muted| ConversationSettings {
        openid: o("a"),
        conversation: Conversation::direct(o("a"), o("b")),
        muted: Some(muted),
        pinned: None,
        pinned_limit: 0,
    };
    let changed = || Outcome::from(Ok(Box::new(Some(MemberSettings { muted: true, pinned: false })) as _));
    desk.submit(0, settings(true), Reply::Nobody);
    let hangs = desk.take(0, 0);
    desk.overdue(2_500);
    desk.submit(2_600, settings(false), Reply::Nobody);
    let next = desk.take(1, 2_600);
    assert_eq!(desk.settle(1, next, vec![changed()]).len(), 1);
    assert_eq!(desk.settle(0, hangs, vec![changed()]), [""; 0]);
}

#[test]
fn a_call_is_answered_once_and_a_notice_waits_for_its_outcome() {
    let mut desk = Desk::new(OnHang::Wait);
    let (call, mut called) = PendingReply::new::<()>();
    desk.read(0, 3, Reply::Caller(call));
    let (reserver, mut reserved) = PendingReply::new::<Reservation>();
    let reserve = Reserve {
        openid: o("a"),
        conversation: Conversation::direct(o("a"), o("b")),
        template: TemplateId::parse("t").unwrap(),
        up_to: s(1),
        node: "node".into(),
        strangers: true,
    };
    desk.submit(0, reserve, Reply::Caller(reserver));
    // Of what the chat has gathered nobody waits for a word: it is not handed in again while it is being
    // written.
    desk.read(0, 4, Reply::Nobody);
    let batch = desk.take(0, 0);
    assert_eq!(desk.overdue(2_500).0, [""; 0]);
    assert_eq!(called.try_recv(), Ok(Err(Refusal::Unavailable)));
    assert!(reserved.try_recv().is_err());
    let reservation = Reservation::Reserved { id: 1, unread: 2 };
    let outcomes = vec![marked(3), Outcome::from(Ok(Box::new(reservation) as _)), marked(4)];
    assert_eq!(desk.settle(0, batch, outcomes), ["read 3, to all", "read 4"]);
    assert_eq!(reserved.try_recv(), Ok(Ok(reservation)));
    // But it is, where it is not stored.
    desk.read(3_000, 5, Reply::Nobody);
    let batch = desk.take(0, 3_000);
    desk.overdue(6_000);
    assert_eq!(desk.settle(0, batch, vec![refused()]), ["read 5 is to be handed in again"]);
}
