//! The order of one session's live frames, by conversation: a frame whose predecessor is still on its way
//! from another node waits for it, but not for long. A message that the session need not be told keeps its
//! place for as long as something before it is missing: that one is no step back, however late it comes. A
//! plain value; times are monotonic milliseconds.

use std::collections::HashMap;

use bytestring::ByteString;
use smallvec::SmallVec;

use super::room::{Room, Space};
use crate::event::Conversation;
use crate::ids::Seq;

/// How long a frame waits for its predecessor.
const HOLD_MS: u64 = 200;
/// After so long the database is asked for what is missing.
const ASK_MS: u64 = HOLD_MS / 4;
/// Conversations of one session whose place is known. Beyond it those where nothing waits are forgotten: the
/// next frame waits for nobody.
const LINES_AT_MOST: usize = 1_024;
/// Stretches of messages behind something missing that one conversation keeps the places of. Beyond it what is
/// missing before the first is given up.
const STRETCHES_AT_MOST: usize = 16;
/// A message on its way to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub seq: Seq,
    /// It is another's, not the user's own.
    pub incoming: bool,
    /// The message that it recalls.
    pub target: Option<Seq>,
    /// None where this session needs none: it wrote the message itself.
    pub frame: Option<ByteString>,
}

/// Whether a frame waits for its predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    Waits,
    /// What comes out of the database has no predecessor on its way.
    None,
}

/// What becomes of a message that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// These are told now, in this order; none where it only needed its place.
    Ready(Ready),
    /// The same, before a predecessor has come: too much waits elsewhere.
    NoRoom(Ready),
    /// It waits. `Some`: call [`Sequencer::look`] then; before that it was not to be called.
    Held(Option<u64>),
    /// A later one was told before.
    Late(Live),
}

pub type Ready = SmallVec<[Live; 1]>;

/// One session's.
#[derive(Debug, Default)]
pub struct Sequencer {
    lines: HashMap<Conversation, Line>,
    /// Conversations in which something waits, or did when [`Sequencer::look`] was last to be called.
    waiting: Vec<Conversation>,
}

/// One conversation.
#[derive(Debug)]
struct Line {
    /// All up to here was told, needed not be told, or was waited for in vain: the next one is missing.
    settled: i64,
    /// The first frame that was told, and the last one; 0: none.
    first: i64,
    told: i64,
    /// By seq.
    held: Vec<Held>,
    /// By seq: what need not be told, above what is missing.
    passed: Vec<Stretch>,
    /// It is among those that are waiting.
    is_waiting: bool,
    /// The database was asked for what is missing below.
    asked_below: i64,
}

/// Messages one after the other that need not be told.
#[derive(Debug)]
struct Stretch {
    first: i64,
    last: i64,
    /// When the first of them came, and the last one.
    since: u64,
    latest: u64,
}

/// What waits for whom.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// By conversation, what has waited long enough, with what follows on it.
    pub ready: Vec<(Conversation, Ready)>,
    pub gaps: Vec<Gap>,
    /// When to look again, if anything waits still.
    pub next: Option<u64>,
}

/// What is missing before something that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub conversation: Conversation,
    /// Both exclusive.
    pub after: Seq,
    pub before: Seq,
}

#[derive(Debug)]
struct Held {
    live: Live,
    since: u64,
    _space: Space,
}

impl Sequencer {
    /// Takes a message of a conversation that has not come before.
    pub fn offer(
        &mut self,
        conversation: &Conversation,
        live: Live,
        patience: Patience,
        room: &Room,
        now: u64,
    ) -> Offer {
        let seq = live.seq.get();
        let Some(line) = self.lines.get_mut(conversation) else {
            let mut line = Line {
                settled: seq,
                first: 0,
                told: 0,
                held: Vec::new(),
                passed: Vec::new(),
                is_waiting: false,
                asked_below: 0,
            };
            let ready = line.tell(live);
            self.begin(conversation, line);
            return Offer::Ready(ready);
        };
        if live.frame.is_some() && seq <= line.told {
            return Offer::Late(live);
        }
        if seq <= line.settled + 1 {
            return Offer::Ready(line.tell(live));
        }
        if patience == Patience::None {
            return Offer::Ready(line.tell_all_up_to(live));
        }
        if live.frame.is_none() {
            if let Some(ready) = line.pass(seq, now) {
                return Offer::Ready(ready);
            }
        } else if let Some(space) = room.take(live.frame.as_ref().map_or(0, |frame| frame.len())) {
            let at = line.held.partition_point(|held| held.live.seq < live.seq);
            line.held.insert(at, Held { live, since: now, _space: space });
        } else {
            return Offer::NoRoom(line.tell_all_up_to(live));
        }
        Offer::Held(self.wait(conversation, now))
    }

    /// Has a conversation looked after; when, if that is not to be done already.
    fn wait(&mut self, conversation: &Conversation, now: u64) -> Option<u64> {
        let line = self.lines.get_mut(conversation)?;
        let nothing_waited = self.waiting.is_empty();
        if !std::mem::replace(&mut line.is_waiting, true) {
            self.waiting.push(conversation.clone());
        }
        nothing_waited.then_some(now + ASK_MS)
    }

    /// The database was not asked for a gap after all: when to look again.
    pub fn ask_again(&mut self, conversation: &Conversation, now: u64) -> Option<u64> {
        let line = self.lines.get_mut(conversation)?;
        line.asked_below = 0;
        line.passed.iter_mut().for_each(|stretch| stretch.latest = now);
        self.wait(conversation, now);
        Some(now + ASK_MS)
    }

    fn begin(&mut self, conversation: &Conversation, line: Line) {
        if self.lines.len() >= LINES_AT_MOST {
            self.lines.retain(|_, line| line.is_waiting);
        }
        self.lines.insert(conversation.clone(), line);
    }

    /// Whether the session was told of something older in this conversation: then this message is newer than
    /// the session, whatever clocks say.
    pub fn has_told_before(&self, conversation: &Conversation, seq: Seq) -> bool {
        self.lines.get(conversation).is_some_and(|line| (1..seq.get()).contains(&line.first))
    }

    /// Looks after what waits.
    pub fn look(&mut self, now: u64) -> Looked {
        let mut looked = Looked::default();
        let lines = &mut self.lines;
        self.waiting.retain(|conversation| {
            let Some(line) = lines.get_mut(conversation) else { return false };
            let has_expired = |held: &&Held| held.since + HOLD_MS <= now;
            if let Some(last) = line.held.iter().filter(has_expired).map(|held| held.live.seq.get()).max() {
                looked.ready.push((conversation.clone(), line.release(last)));
            }
            let Some(since) = line.waits_since() else {
                line.is_waiting = false;
                return false;
            };
            if !line.is_asked() && since + ASK_MS <= now {
                looked.gaps.extend(line.ask(conversation));
            }
            let due = if line.is_asked() { line.waits_until(now) } else { Some(since + ASK_MS) };
            line.is_waiting = due.is_some();
            looked.next = looked.next.into_iter().chain(due).min();
            line.is_waiting
        });
        looked
    }
}

impl Line {
    /// Tells a message, and what has waited for it.
    fn tell(&mut self, live: Live) -> Ready {
        let mut ready = Ready::new();
        self.settle(live, &mut ready);
        self.follow(&mut ready);
        ready
    }

    /// The same, after all that waits below it.
    fn tell_all_up_to(&mut self, live: Live) -> Ready {
        let mut ready = self.release(live.seq.get() - 1);
        self.settle(live, &mut ready);
        self.follow(&mut ready);
        ready
    }

    /// Tells what waits up to `seq`, gives up what is missing there, and tells what follows.
    fn release(&mut self, seq: i64) -> Ready {
        let mut ready = Ready::new();
        let end = self.held.partition_point(|held| held.live.seq.get() <= seq);
        let released: SmallVec<[Live; 4]> = self.held.drain(..end).map(|held| held.live).collect();
        for live in released {
            self.settle(live, &mut ready);
        }
        self.settled = self.settled.max(seq);
        self.passed.retain(|stretch| stretch.last > seq);
        self.follow(&mut ready);
        ready
    }

    fn follow(&mut self, ready: &mut Ready) {
        loop {
            let next = self.settled + 1;
            if self.held.first().is_some_and(|held| held.live.seq.get() <= next) {
                let held = self.held.remove(0);
                self.settle(held.live, ready);
            } else if self.passed.first().is_some_and(|stretch| stretch.first <= next) {
                self.settled = self.settled.max(self.passed.remove(0).last);
            } else {
                return;
            }
        }
    }

    /// Keeps the place of what need not be told. `Some`: too many are kept, what was missing before the first is
    /// given up, and these are told.
    fn pass(&mut self, seq: i64, now: u64) -> Option<Ready> {
        let at = self.passed.partition_point(|stretch| stretch.last + 1 < seq);
        match self.passed.get_mut(at) {
            Some(stretch) if stretch.first <= seq => {
                (stretch.last, stretch.latest) = (stretch.last.max(seq), now)
            }
            _ => self.passed.insert(at, Stretch { first: seq, last: seq, since: now, latest: now }),
        }
        let first = self.passed.first().filter(|_| self.passed.len() > STRETCHES_AT_MOST)?.last;
        Some(self.release(first))
    }

    /// Since when something waits for what is missing.
    fn waits_since(&self) -> Option<u64> {
        let held = self.held.iter().map(|held| held.since);
        held.chain(self.passed.first().map(|stretch| stretch.since)).min()
    }

    /// When the next frame has waited long enough; where none waits, when nobody looks after the places any more.
    fn waits_until(&self, now: u64) -> Option<u64> {
        let held = self.held.iter().map(|held| held.since).min();
        let since = held.or_else(|| self.passed.iter().map(|stretch| stretch.latest).max())?;
        Some(since + HOLD_MS).filter(|until| held.is_some() || *until > now)
    }

    fn is_asked(&self) -> bool {
        self.settled + 1 < self.asked_below
    }

    fn ask(&mut self, conversation: &Conversation) -> Option<Gap> {
        let held = self.held.first().map(|held| held.live.seq.get());
        let before = held.into_iter().chain(self.passed.first().map(|stretch| stretch.first)).min()?;
        self.asked_below = before;
        let (after, before) = (Seq::parse(self.settled).ok()?, Seq::parse(before).ok()?);
        Some(Gap { conversation: conversation.clone(), after, before })
    }

    fn settle(&mut self, live: Live, ready: &mut Ready) {
        let seq = live.seq.get();
        self.settled = self.settled.max(seq);
        if live.frame.is_some() {
            self.told = self.told.max(seq);
            if self.first == 0 {
                self.first = seq;
            }
            ready.push(live);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;
    use crate::chat::room::HELD_FRAMES;
    use crate::ids::OpenId;

    struct Session {
        sequencer: Sequencer,
        room: Room,
        shown: Gauge,
    }

    fn session() -> Session {
        let shown = Gauge::default();
        Session { sequencer: Sequencer::default(), room: Room::new(shown.clone()), shown }
    }

    fn with(peer: &str) -> Conversation {
        Conversation::direct(OpenId::parse("me").unwrap(), OpenId::parse(peer).unwrap())
    }

    fn live(seq: i64) -> Live {
        Live { seq: Seq::parse(seq).unwrap(), incoming: true, target: None, frame: Some("frame".into()) }
    }

    fn own(seq: i64) -> Live {
        Live { frame: None, incoming: false, ..live(seq) }
    }

    fn seqs(ready: &[Live]) -> Vec<i64> {
        ready.iter().map(|live| live.seq.get()).collect()
    }

    impl Session {
        fn offer(&mut self, live: Live, now: u64) -> Offer {
            self.sequencer.offer(&with("a"), live, Patience::Waits, &self.room, now)
        }

        /// What is told at once.
        fn told(&mut self, live: Live, now: u64) -> Vec<i64> {
            match self.offer(live, now) {
                Offer::Ready(ready) | Offer::NoRoom(ready) => seqs(&ready),
                Offer::Held(_) => Vec::new(),
                Offer::Late(live) => panic!("late: {live:?}"),
            }
        }

        fn expired(&mut self, now: u64) -> (Vec<i64>, Option<u64>) {
            let Looked { ready, next, .. } = self.sequencer.look(now);
            (ready.iter().flat_map(|(_, ready)| seqs(ready)).collect(), next)
        }
    }

    #[test]
    fn the_first_frame_waits_for_nobody_and_the_next_for_its_predecessor() {
        let mut s = session();
        assert_eq!(s.told(live(4), 0), [4]);
        assert_eq!(s.told(live(5), 0), [5]);
        assert_eq!(s.offer(live(8), 10), Offer::Held(Some(60)));
        assert_eq!(s.offer(live(7), 20), Offer::Held(None));
        assert_eq!(s.shown.get(), 2);
        assert_eq!(s.told(live(6), 30), [6, 7, 8]);
        assert_eq!((s.expired(210), s.shown.get()), ((vec![], None), 0));
    }

    #[test]
    fn a_conversation_does_not_hold_up_another() {
        let mut s = session();
        s.told(live(1), 0);
        assert_eq!(s.offer(live(3), 0), Offer::Held(Some(50)));
        let Session { sequencer, room, .. } = &mut s;
        for seq in 1..4 {
            let offer = sequencer.offer(&with("b"), live(seq), Patience::Waits, room, 0);
            assert!(matches!(offer, Offer::Ready(_)), "{offer:?}");
        }
    }

    #[test]
    fn who_does_not_come_in_time_is_late_and_the_others_are_in_order() {
        let mut s = session();
        s.told(live(1), 0);
        s.offer(live(4), 0);
        s.offer(live(6), 100);
        assert_eq!(s.expired(199), (vec![], Some(200)));
        assert_eq!(s.expired(200), (vec![4], Some(300)));
        assert_eq!(s.offer(live(3), 201), Offer::Late(live(3)));
        assert_eq!(s.told(live(5), 202), [5, 6]);
        assert_eq!(s.told(live(7), 203), [7]);
    }

    #[test]
    fn what_is_behind_the_first_frame_is_newer_than_the_session() {
        let mut s = session();
        s.told(own(3), 0);
        assert!(!s.sequencer.has_told_before(&with("a"), Seq::parse(4).unwrap()));
        s.told(live(4), 0);
        s.told(live(5), 0);
        let knows = [4, 5, 6].map(|seq| s.sequencer.has_told_before(&with("a"), Seq::parse(seq).unwrap()));
        assert_eq!(
            (knows, s.sequencer.has_told_before(&with("b"), Seq::parse(9).unwrap())),
            ([false, true, true], false)
        );
    }

    #[test]
    fn what_is_missing_is_asked_for_once_before_it_is_given_up() {
        let mut s = session();
        s.told(live(1), 0);
        assert_eq!(s.offer(live(5), 0), Offer::Held(Some(50)));
        s.offer(live(7), 10);
        assert_eq!(s.sequencer.look(49), Looked { next: Some(50), ..Looked::default() });
        let gap =
            Gap { conversation: with("a"), after: Seq::parse(1).unwrap(), before: Seq::parse(5).unwrap() };
        assert_eq!(s.sequencer.look(50), Looked { gaps: vec![gap], next: Some(200), ..Looked::default() });
        assert_eq!(s.sequencer.look(199), Looked { next: Some(200), ..Looked::default() });
        for seq in 2..5 {
            let offer = s.sequencer.offer(&with("a"), live(seq), Patience::None, &s.room, 199);
            assert!(
                matches!(&offer, Offer::Ready(ready) if ready.len() == if seq == 4 { 2 } else { 1 }),
                "{offer:?}"
            );
        }
        assert_eq!(s.expired(209), (vec![], Some(210)));
        assert_eq!(s.expired(210), (vec![7], None));
        // The next time it is asked again.
        assert_eq!(s.offer(live(9), 300), Offer::Held(Some(350)));
        assert_eq!(s.sequencer.look(350).gaps.len(), 1);
    }

    #[test]
    fn what_came_later_and_has_a_lower_seq_goes_with_what_has_waited_long_enough() {
        let mut s = session();
        s.told(live(1), 0);
        s.offer(live(5), 0);
        s.offer(live(3), 150);
        assert_eq!(s.expired(200), (vec![3, 5], None));
    }

    #[test]
    fn ones_own_message_settles_its_place_but_makes_nothing_late() {
        let mut s = session();
        s.told(live(1), 0);
        assert_eq!(s.told(own(2), 0), [0; 0]);
        assert_eq!(s.told(live(3), 0), [3]);
        // Acked while the one before it is still on its way: that one is no step back, however late.
        assert_eq!(s.offer(own(5), 0), Offer::Held(Some(50)));
        assert_eq!(s.expired(200), (vec![], None));
        assert_eq!(s.told(live(4), 900), [4]);
        assert_eq!(s.told(live(6), 900), [6]);
    }

    /// Both users write without a pause, and hints take longer than anything waits for them.
    #[test]
    fn behind_ones_own_messages_all_that_is_missing_is_asked_for_and_comes_in_order() {
        let mut s = session();
        s.told(live(63), 0);
        for seq in 66..70 {
            s.offer(own(seq), 0);
        }
        let gap = |after, before| Gap {
            conversation: with("a"),
            after: Seq::parse(after).unwrap(),
            before: Seq::parse(before).unwrap(),
        };
        assert_eq!(
            s.sequencer.look(60),
            Looked { gaps: vec![gap(63, 66)], next: Some(200), ..Looked::default() }
        );
        assert_eq!(s.expired(210), (vec![], None));
        assert_eq!(s.offer(own(72), 210), Offer::Held(Some(260)));
        assert_eq!(s.sequencer.look(260), Looked { next: Some(410), ..Looked::default() });
        assert_eq!(s.told(live(64), 290), [64]);
        assert_eq!(
            s.sequencer.look(300),
            Looked { next: Some(410), ..Looked::default() },
            "it was asked for"
        );
        assert_eq!(s.told(live(65), 300), [65]);
        // The next gap is another one.
        let looked = s.sequencer.look(310);
        assert_eq!((looked.gaps, looked.next), (vec![gap(69, 72)], Some(410)));
        for seq in [70, 71] {
            let offer = s.sequencer.offer(&with("a"), live(seq), Patience::None, &s.room, 320);
            assert!(matches!(&offer, Offer::Ready(ready) if seqs(ready) == [seq]), "{offer:?}");
        }
        assert_eq!(s.told(live(73), 330), [73]);
    }

    #[test]
    fn what_was_not_asked_for_after_all_is_asked_for_soon() {
        let mut s = session();
        s.told(live(1), 0);
        s.offer(own(5), 0);
        assert_eq!(s.sequencer.look(50).gaps.len(), 1);
        assert_eq!(s.sequencer.ask_again(&with("a"), 50), Some(100));
        let looked = s.sequencer.look(100);
        assert_eq!((looked.gaps.len(), looked.next), (1, Some(250)));
        assert_eq!(s.sequencer.look(250), Looked::default());
        assert_eq!(s.sequencer.ask_again(&with("a"), 300), Some(350));
        assert_eq!(s.sequencer.look(350).gaps.len(), 1);
    }

    #[test]
    fn who_writes_on_beside_what_never_comes_takes_no_memory() {
        let mut s = session();
        s.told(live(1), 0);
        let most = i64::try_from(STRETCHES_AT_MOST).unwrap();
        let own_seqs = (2..).map(|n| 2 * n).take(2 * STRETCHES_AT_MOST);
        for seq in own_seqs {
            assert_eq!(s.told(own(seq), 0), [0; 0]);
        }
        assert_eq!(s.sequencer.lines[&with("a")].passed.len(), STRETCHES_AT_MOST);
        // The newest places are kept, and what is missing between them still comes.
        assert_eq!(s.told(live(2 * most + 3), 0), [2 * most + 3]);
        assert_eq!(s.told(live(2 * most + 5), 0), [2 * most + 5]);
    }

    #[test]
    fn what_the_database_tells_waits_for_nobody_and_overtakes_nobody() {
        let mut s = session();
        s.told(live(1), 0);
        s.offer(live(4), 0);
        let offer = s.sequencer.offer(&with("a"), live(6), Patience::None, &s.room, 1);
        assert!(matches!(&offer, Offer::Ready(ready) if seqs(ready) == [4, 6]), "{offer:?}");
    }

    #[test]
    fn where_no_more_may_wait_it_is_told_at_once_in_order() {
        let mut s = session();
        s.told(live(1), 0);
        let most = i64::try_from(HELD_FRAMES).unwrap();
        for seq in 3..3 + most {
            assert!(matches!(s.offer(live(seq), 0), Offer::Held(_)));
        }
        let Offer::NoRoom(ready) = s.offer(live(3 + most), 0) else { panic!("it waits") };
        assert_eq!(seqs(&ready), (3..=3 + most).collect::<Vec<_>>());
        assert_eq!(s.shown.get(), 0);
        s.offer(live(9 + most), 0);
        drop(s.sequencer);
        assert_eq!(s.shown.get(), 0, "what a session that went had waiting");
    }

    #[test]
    fn a_flood_of_conversations_takes_no_memory() {
        let mut s = session();
        for n in 0..2 * LINES_AT_MOST {
            s.sequencer.offer(&with(&format!("p{n}")), live(1), Patience::Waits, &s.room, 0);
        }
        assert!(s.sequencer.lines.len() <= LINES_AT_MOST);
    }
}
