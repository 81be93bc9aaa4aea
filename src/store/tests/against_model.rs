//! The store against the [`Model`]: whatever is done to both, in whatever order, both say the same.
//! HONGYAN_PROPTEST_CASES sets how many sequences are tried; one that fails is made as short as it goes and
//! printed.
//!
//! The sequences are plain lists. proptest-state-machine would build each from the model and drive the store
//! through a trait that is not async and has no place for a database that all sequences share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::future::BoxFuture;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::model::{
    ADDRESSES, AGE_MS, DAY_MS, GROUP, GROUP_MEMBERS, Hearers, Model, Outcome, PINNED_LIMIT, USERS, body,
};
use super::op::{Key, Op};
use super::steps::{Step, aged_before_any_write, blocked_and_reading, in_bursts, one_by_one};
use super::*;
use crate::event::overview::Overview;
use crate::event::{Conversation, Message};

/// A sequence as it is tried.
struct Case<'a> {
    db: &'a Db,
    rig: Option<Rig>,
    model: Model,
    /// Of each user, from before all that [`Model::missed`] calls changed.
    cursors: BTreeMap<char, SyncCursor>,
    writes: u64,
}

type Checked = Result<(), String>;

/// Room for a conversation or two.
const SMALL: SyncBounds = SyncBounds { answer_bytes: 500, ..BOUNDS };
/// Answers of a walk and of the one that closes it, with a conversation each, and one that finds nothing.
const ANSWERS: usize = 2 * ADDRESSES.len() + 1;
const ALL: Kinds = Kinds::DirectAndGroups;
/// Room for every answer to a sync.
const BOUNDLESS: SyncBounds = SyncBounds { answer_bytes: usize::MAX, ..BOUNDS };

fn letter(openid: &OpenId) -> char {
    last_letter(openid.as_str())
}

fn last_letter(name: &str) -> char {
    name.chars().next_back().unwrap()
}

fn key(conversation: &Conversation) -> Key {
    match conversation {
        Conversation::Direct(pair) => {
            let one = pair.other(&o("nobody"));
            Key::of(letter(one), letter(pair.other(one)))
        }
        Conversation::Group(group) => Key::Group(last_letter(group.as_str())),
    }
}

fn hearers(audience: &Audience) -> Hearers {
    audience.iter().map(letter).collect()
}

/// A wait for a day that has just begun is one for a whole day.
fn without_clock(why: Refusal) -> Refusal {
    match why {
        Refusal::RateLimited { retry_after_ms } if (DAY_MS - 600_000..DAY_MS).contains(&retry_after_ms) => {
            Refusal::RateLimited { retry_after_ms: DAY_MS }
        }
        why => why,
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: impl std::fmt::Debug, is: &T, expected: &T) -> Checked {
    if is == expected { Ok(()) } else { Err(format!("{what:?}: it is {is:?}, expected {expected:?}")) }
}

/// What a write draws: an event that names it, what a call that waits is told, or both.
struct Drawn {
    op: Op,
    id: RequestId,
    outcome: Outcome,
    told: Option<BoxFuture<'static, Result<(), Refusal>>>,
}

impl Case<'_> {
    async fn run(&mut self, steps: &[Step]) -> Checked {
        for step in steps {
            match step {
                Step::Write(ops) => {
                    self.write(ops).await?;
                    if let Some(who) = ops.last().map(Op::other) {
                        self.look_at_sync(who, ALL, &[], self.cursors.get(&who).cloned(), 0, 1).await?;
                    }
                }
                Step::Look { who, address, after, before, limit } => {
                    self.look_back(*who, *address, *after, *before, *limit).await?;
                    self.look_over(*who, ALL, *after, *limit).await?;
                    self.look_over(*who, Kinds::Direct, *after, *limit).await?;
                }
                Step::Walk { who, meanwhile } => self.walk(*who, meanwhile).await?,
                Step::Restart => {
                    self.rig = None;
                    self.rig = Some(reopened(self.db).await);
                }
            }
        }
        for who in USERS {
            // The syncs have all histories too.
            self.look_over(who, ALL, 0, 100).await?;
            self.look_back(who, GROUP, 1, 4, 100).await?;
        }
        self.look_over('a', Kinds::Direct, 0, 100).await?;
        self.look_back('a', 'b', 1, 4, 100).await
    }

    fn rig(&mut self) -> Result<&mut Rig, String> {
        self.rig.as_mut().ok_or_else(|| "the store is closed".to_owned())
    }

    async fn write(&mut self, ops: &[Op]) -> Checked {
        // A recall or a quote of what the same burst stores may come too early: PostgreSQL looks for it among what
        // was stored before, and for what may be read. In groups it does one after the other.
        let too_early = |op: &Op| match *op {
            Op::Recall { from, to, target: seq, .. } | Op::Send { from, to, quote: Some(seq), .. } => {
                to != GROUP && seq > self.model.last_seq(from, to)
            }
            _ => false,
        };
        let is_clear = |op: &Op| matches!(op, Op::Clear { .. });
        let is_quote = |op: &Op| matches!(op, Op::Send { quote: Some(_), .. });
        let clears = ops.iter().any(is_clear);
        let kept = ops.iter().filter(|op| ops.len() == 1 || !(too_early(op) || (clears && is_quote(op))));
        let kept: Vec<_> = kept.cloned().collect();
        let mut drawn: BTreeMap<Key, VecDeque<Drawn>> = BTreeMap::new();
        let mut told = Vec::new();
        for op in kept {
            self.writes += 1;
            let outcome = self.model.apply(&op);
            let id = RequestId::parse(&format!("\"{}\"", self.writes), "").unwrap();
            if matches!(op, Op::Age) {
                self.age().await?;
                continue;
            }
            let one = Drawn { told: self.submit(&op, &id), op, id, outcome };
            match one.outcome {
                Outcome::Cleared { moved: false, .. } | Outcome::Done => told.push(one),
                Outcome::Refused(Refusal::TooMany) => told.push(one),
                Outcome::Refused(_) if matches!(one.op, Op::Set { .. } | Op::Clear { .. }) => told.push(one),
                _ => drawn.entry(one.op.conversation()).or_default().push_back(one),
            }
        }
        let events: usize = drawn.values().map(VecDeque::len).sum();
        for _ in 0..events {
            let event = tokio::time::timeout(Duration::from_secs(5), self.rig()?.event());
            let event = event.await.map_err(|_| {
                format!("no word of {:?}", drawn.values().flatten().map(|d| &d.op).collect::<Vec<_>>())
            })?;
            told.push(self.heard(event, &mut drawn)?);
        }
        for Drawn { op, outcome, told, .. } in told {
            let expected = match outcome {
                Outcome::Refused(why) => Err(why),
                _ => Ok(()),
            };
            if let Some(told) = told {
                same(&op, &told.await, &expected)?;
            }
        }
        let more = self.rig()?.events.try_recv().map(|committed| committed.events);
        same("one word too many", &format!("{:?} {more:?}", self.rig()?.ready), &"[] Err(Empty)".to_owned())
    }

    /// Holds an event against the first of its conversation's writes that waits for one.
    fn heard(&mut self, event: Event, drawn: &mut BTreeMap<Key, VecDeque<Drawn>>) -> Result<Drawn, String> {
        let text = format!("{event:?}");
        let (conversation, id, outcome) = match event {
            Event::Appended { draft, audience, seq, sent_at, quote, request: RequestState::Open } => {
                self.model.stamp(key(&draft.conversation), seq.get(), sent_at);
                same(&text, &audience.iter().next(), &Some(&draft.sender))?;
                let (seq, quote) = (seq.get(), quote.map(|quote| *quote));
                let outcome = Outcome::Appended { seq, quote, audience: hearers(&audience) };
                (draft.conversation, draft.request_id, outcome)
            }
            Event::Repeated { draft, audience, stored, request: RequestState::Open } => {
                let outcome = Outcome::Repeated { stored, audience: hearers(&audience) };
                (draft.conversation, draft.request_id, outcome)
            }
            Event::Refused { draft, why } => {
                (draft.conversation, draft.request_id, Outcome::Refused(without_clock(why)))
            }
            Event::Marked { receipt: r, audience, request_id } => {
                let outcome = Outcome::Marked { seq: r.seq.get(), audience: hearers(&audience) };
                (r.conversation, request_id, outcome)
            }
            Event::MarkRefused { receipt, request_id, why } => {
                (receipt.conversation, Some(request_id), Outcome::Refused(why))
            }
            Event::Cleared { conversation, seq, .. } => {
                (conversation, None, Outcome::Cleared { seq: seq.get(), moved: true })
            }
            Event::PresenceWithdrawn { openid, from: Some(from) } => {
                (Conversation::direct(openid, from), None, Outcome::PresenceWithdrawn)
            }
            Event::PresenceWithdrawn { from: None, .. } => return Err(text),
            Event::Settings { conversation, settings, .. } => (conversation, None, Outcome::Set(settings)),
            // Whoever hears of it late was refused before.
            Event::Appended { .. } | Event::Repeated { .. } | Event::MarkUnstored(_) => return Err(text),
        };
        let conversation = key(&conversation);
        let waiting = drawn.get_mut(&conversation).and_then(VecDeque::pop_front);
        let mut waiting = waiting.ok_or_else(|| format!("of nothing that was written: {text}"))?;
        if let Outcome::Repeated { stored, .. } = &mut waiting.outcome {
            stored.sent_at = self.model.sent_at(conversation, stored.seq);
        }
        let named =
            if matches!(outcome, Outcome::Cleared { .. } | Outcome::Set(_) | Outcome::PresenceWithdrawn) {
                None
            } else {
                Some(waiting.id.clone())
            };
        same(&waiting.op, &(id, &outcome), &(named, &waiting.outcome))?;
        Ok(waiting)
    }

    /// Hands in what an operation asks for; what to wait for beside its event.
    fn submit(&self, op: &Op, id: &RequestId) -> Option<BoxFuture<'static, Result<(), Refusal>>> {
        let rig = self.rig.as_ref()?;
        let name = |user| self.model.name(user);
        let conversation = |who, address| self.model.conversation(who, address);
        let append = |from, to, admission, client_msg_id: Option<char>, body, (target, quote)| {
            let client_msg_id = client_msg_id.map(|id| id.to_string());
            let draft = draft(name(from).as_str(), "nobody", client_msg_id.as_deref(), body);
            let (target, quote): (Option<Seq>, Option<Seq>) = (target, quote);
            let kind = target.map_or(draft.kind.clone(), |_| Kind::recall());
            let (conversation, request_id) = (conversation(from, to), Some(id.clone()));
            let draft = Draft { kind, target, quote, conversation, request_id, ..draft };
            rig.submit(Append { draft, admission, finding: None, charge: None });
            None
        };
        match *op {
            Op::Send { from, to, id, text, quote, admission } => {
                append(from, to, admission, id, body(text), (None, quote.map(s)))
            }
            Op::Recall { from, to, target, admission } => {
                append(from, to, admission, None, "{}".into(), (Some(s(target)), None))
            }
            Op::Mark { kind, who, address, seq } => {
                let receipt = Receipt {
                    kind,
                    openid: name(who),
                    conversation: conversation(who, address),
                    seq: s(seq),
                    session: Some(SessionId::fresh()),
                };
                rig.submit_for(Mark { receipt }, Reply::Session(id.clone()));
                None
            }
            Op::Clear { who, address, up_to } => {
                let (openid, conversation) = (name(who), conversation(who, address));
                Some(called(rig, Clear { openid, conversation, up_to: up_to.map(s) }))
            }
            Op::Block { who, peer, change } => {
                Some(called(rig, Block { openid: name(who), peer: name(peer), change }))
            }
            Op::Set { who, address, muted, pinned } => {
                let (openid, conversation, pinned_limit) =
                    (name(who), conversation(who, address), PINNED_LIMIT);
                let change = ConversationSettings { openid, conversation, muted, pinned, pinned_limit };
                Some(called(rig, change))
            }
            Op::Age => unreachable!(),
        }
    }

    /// Takes new cursors, which go back to before what changes from now on, and not to what has changed.
    async fn age(&mut self) -> Checked {
        for who in USERS {
            let name = self.model.name(who);
            let cursor = self.rig()?.sync(name.as_str(), None, &[], 1).await.cursor;
            self.cursors.insert(who, cursor);
        }
        let [first, .., last] = USERS.map(|user| self.model.name(user));
        let ours = format!("WHERE openid BETWEEN '{first}' AND '{last}'");
        let group = self.model.conversation('a', GROUP).store_address();
        self.db.exec(&format!(
            "UPDATE conversations SET changed_at = changed_at - {AGE_MS} WHERE address = '{group}'; \
             UPDATE members SET changed_at = changed_at - {AGE_MS}, \
               last_at = CASE WHEN last_at > {AGE_MS} THEN last_at - {AGE_MS} ELSE 0 END {ours}; \
             UPDATE messages SET sent_at = sent_at - {AGE_MS}, stored_at = stored_at - {AGE_MS} WHERE conversation_id IN (SELECT conversation_id FROM members {ours})"
        ));
        Ok(())
    }

    /// Compares what one user may ask of one conversation.
    async fn look_back(&self, who: char, address: char, after: i64, before: i64, limit: usize) -> Checked {
        let (model, after, before) = (&self.model, s(after), s(before));
        let rig = self.rig.as_ref().ok_or("the store is closed")?;
        for window in
            [Window::Newest, Window::Before(before), Window::After(after), Window::Between { after, before }]
        {
            let (openid, conversation) = (model.name(who), model.conversation(who, address));
            let page = rig.asked(History { openid, conversation, window, limit }).await?;
            same(
                (who, address, window, limit),
                &(page.messages, page.has_more),
                &model.history(who, address, window, limit),
            )?;
        }
        let (openid, conversation) = (model.name(who), model.conversation(who, address));
        let audience = rig.asked(TypingAudience { openid, conversation }).await?;
        same((who, "types", address), &hearers(&audience), &model.typing_audience(who, address))
    }

    /// Compares what one user may ask of all.
    async fn look_over(&self, who: char, kinds: Kinds, after: i64, limit: usize) -> Checked {
        let model = &self.model;
        let rig = self.rig.as_ref().ok_or("the store is closed")?;
        let openid = || model.name(who);
        let expected = model.list(who, kinds, &self.stored_at(who));
        let pinned: Vec<_> = expected.iter().filter(|(overview, _)| overview.pinned).cloned().collect();
        for (choice, expected) in [(Choice::All, &expected), (Choice::Pinned, &pinned)] {
            let (mut list, mut after) = (Vec::new(), None);
            loop {
                let page = rig.asked(Conversations { openid: openid(), kinds, choice, limit, after }).await?;
                list.extend(page.conversations.into_iter().map(|c| (c.overview, c.last_message)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            same((who, choice, limit), &list, expected)?;
        }
        let unread: Vec<_> = expected.into_iter().filter(|(overview, _)| overview.unread > 0).collect();
        let summary = rig.asked(Unread { openid: openid(), kinds, limit }).await?;
        let expected = (unread.iter().map(|(o, _)| o.unread).sum::<i64>(), unread.len() > limit);
        same((who, "unread", limit), &(summary.total, summary.has_more), &expected)?;
        let listed: Vec<_> =
            summary.conversations.into_iter().map(|c| (c.overview, c.last_message)).collect();
        same((who, "unread", limit), &listed.as_slice(), &&unread[..limit.min(unread.len())])?;
        let (mut blocks, mut place) = (Vec::new(), None);
        loop {
            let page = rig.asked(Blocks { openid: openid(), limit, after: place }).await?;
            blocks.extend(page.blocks.into_iter().map(|b| b.peer));
            place = blocks.last().cloned();
            if !page.has_more {
                break;
            }
        }
        same((who, "blocks", limit), &blocks, &model.blocks(who))?;
        for (named, since) in [
            (ADDRESSES.as_slice(), None),
            (&[], self.cursors.get(&who).cloned()),
            (&[], None),
            (&USERS[1..3], None),
        ] {
            self.look_at_sync(who, kinds, named, since, after, limit).await?;
        }
        Ok(())
    }

    /// When the last message of each of [`ADDRESSES`] was stored, by the store's own time.
    fn stored_at(&self, who: char) -> Vec<i64> {
        let last = ADDRESSES.map(|peer| {
            let address = self.model.conversation(who, peer).store_address();
            format!(
                "SELECT coalesce((SELECT m.stored_at FROM messages m JOIN conversations c ON c.id = m.conversation_id \
                 WHERE c.address = '{address}' ORDER BY m.seq DESC LIMIT 1), 0) AS number"
            )
        });
        self.db.numbers(&last.join(" UNION ALL "))
    }

    /// Asks on until there is no more. By then all is told that changed before the walk was through, and the
    /// rest by the next sync.
    async fn walk(&mut self, who: char, meanwhile: &[Op]) -> Checked {
        let mut known = Known::default();
        let (mut since, mut late, mut caught_up) = (None, BTreeSet::new(), false);
        let mut ops = meanwhile.iter();
        for answers in 1.. {
            let page = self.answer(who, since, SMALL).await?;
            known.take(&page);
            caught_up |= page.caught_up;
            same((who, "answers", answers), &(answers <= ANSWERS), &true)?;
            since = Some(page.cursor);
            if !page.has_more {
                break;
            }
            if let Some(op) = ops.next() {
                self.write(std::slice::from_ref(op)).await?;
                if caught_up {
                    late.insert(op.conversation());
                }
            }
        }
        let of_this = |peer: &&char| !late.contains(&Key::of(who, **peer));
        known.holds(&self.model, who, ADDRESSES.iter().filter(of_this))?;
        known.take(&self.answer(who, since, BOUNDLESS).await?);
        known.holds(&self.model, who, ADDRESSES.iter())
    }

    async fn answer(
        &self,
        who: char,
        since: Option<SyncCursor>,
        bounds: SyncBounds,
    ) -> Result<SyncPage, String> {
        let rig = self.rig.as_ref().ok_or("the store is closed")?;
        let openid = self.model.name(who);
        let sync = Sync {
            openid,
            kinds: ALL,
            since,
            session: SessionTag::NONE,
            named: Vec::new(),
            limit: 2,
            sent_since: None,
            bounds,
        };
        rig.store.sync(sync).await.map_err(|e| e.to_string())
    }

    /// Compares what a sync says of those named, from after that seq on, and of the others.
    async fn look_at_sync(
        &self,
        who: char,
        kinds: Kinds,
        named: &[char],
        since: Option<SyncCursor>,
        after: i64,
        limit: usize,
    ) -> Checked {
        let model = &self.model;
        let rig = self.rig.as_ref().ok_or("the store is closed")?;
        let only_changed = since.is_some();
        let have = named.iter().map(|address| (model.conversation(who, *address), s(after))).collect();
        let sync = Sync {
            openid: model.name(who),
            kinds,
            since,
            session: SessionTag::NONE,
            named: have,
            limit,
            sent_since: None,
            bounds: BOUNDLESS,
        };
        let mut page = rig.store.sync(sync).await.map_err(|e| e.to_string())?;
        let mut others = page.conversations.split_off(named.len().min(page.conversations.len()));
        let expected: Vec<_> = named.iter().map(|peer| model.named(who, *peer, after, limit)).collect();
        let has_more = expected.iter().any(|missed| missed.has_more);
        same(
            (who, "sync", named, after, limit),
            &(page.conversations, page.has_more),
            &(expected, has_more),
        )?;
        // Of one instant, they come in any order.
        others.sort_by_key(|missed| key(&missed.overview.conversation));
        let mut expected = model.missed(who, kinds, only_changed, limit);
        let is_named = |key: Key| named.iter().any(|address| Key::of(who, *address) == key);
        expected.retain(|missed| !is_named(key(&missed.overview.conversation)));
        expected.sort_by_key(|missed| key(&missed.overview.conversation));
        same((who, "sync", named, only_changed, limit), &others, &expected)
    }
}

/// Hands in a call, at once; what to wait for.
fn called<S: Submit>(rig: &Rig, write: S) -> BoxFuture<'static, Result<(), Refusal>> {
    let outcome = rig.calling(write);
    Box::pin(async move { outcome.await.unwrap_or(Err(Refusal::Unavailable)).map(drop) })
}

/// What a client has heard of each conversation: how it stands, and its newest message.
#[derive(Default)]
struct Known(BTreeMap<Conversation, (Overview, Option<Message>)>);

impl Known {
    fn take(&mut self, page: &SyncPage) {
        for missed in &page.conversations {
            let newest = missed.messages.last().cloned();
            self.0.insert(missed.overview.conversation.clone(), (missed.overview.clone(), newest));
        }
    }

    /// Whether it is how it stands with those.
    fn holds<'a>(&self, model: &Model, who: char, peers: impl Iterator<Item = &'a char>) -> Checked {
        let is_there = |peer: &&char| model.is_member(who, **peer) && model.last_seq(who, **peer) > 0;
        for peer in peers.filter(is_there) {
            let newest = model.history(who, *peer, Window::Newest, 1).0.pop();
            let (known, mut overview) =
                (self.0.get(&model.conversation(who, *peer)), model.overview(who, *peer));
            // The marks of who is blocked are shown, but do not come: they stand as they were told.
            if let Some((told, _)) = known.filter(|_| model.has_blocked(who, *peer)) {
                overview.peer_read_seq = overview.peer_read_seq.min(told.peer_read_seq);
                overview.peer_recv_seq = overview.peer_recv_seq.min(told.peer_recv_seq);
            }
            same((who, "walk", peer), &known, &Some(&(overview, newest)))?;
        }
        Ok(())
    }
}

impl Rig {
    async fn asked<Q: Query>(&self, query: Q) -> Result<Q::Answer, String> {
        self.store.ask(query).await.map_err(|e| e.to_string())
    }
}

/// Tries sequence after sequence on one database.
fn hold(db: Option<Db>, cases: u32, limits: StoreLimits, steps: impl Strategy<Value = Vec<Step>>) {
    let Some(mut db) = db else { return };
    db.limits = limits;
    let on = if db.admin.is_some() { "postgresql" } else { "sqlite" };
    let cases = std::env::var("HONGYAN_PROPTEST_CASES").map_or(cases, |text| text.parse().unwrap());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let system = actix::System::new();
    let (open, count, writes) = (RefCell::new(None), Cell::new(0), Cell::new(0));
    let tried = TestRunner::new(config).run(&steps, |steps| {
        system.block_on(async {
            count.set(count.get() + 1);
            let model = Model::new(format!("p{}-", count.get()), limits);
            // After a difference the store is opened anew: something of the last sequence may be under way.
            let rig = match open.take() {
                Some(rig) => rig,
                None => reopened(&db).await,
            };
            let members = GROUP_MEMBERS.map(|member| model.name(member));
            db.make_group(&model.conversation('a', GROUP), &members);
            let mut case = Case { db: &db, rig: Some(rig), model, cursors: BTreeMap::new(), writes: 0 };
            case.run(&steps).await.map_err(TestCaseError::fail)?;
            writes.set(writes.get() + case.writes);
            open.replace(case.rig);
            Ok(())
        })
    });
    if let Err(failed) = tried {
        panic!("{failed}");
    }
    println!("model: {cases} cases, {} operations on {on}: 0 differences", writes.get());
}

const BOUNDED: StoreLimits =
    StoreLimits { new_conversations_per_day: 2, blocks_per_user: 2, recall_within_ms: 60_000, ..LIMITS };
/// Which of several conversations begun at once is one too many is for the lanes to say.
const UNBOUNDED: StoreLimits = StoreLimits { new_conversations_per_day: 0, ..BOUNDED };

mod sqlite {
    use super::*;

    #[test]
    fn time_passes_before_any_write() {
        hold(Some(Db::sqlite()), 1, BOUNDED, aged_before_any_write());
    }

    #[test]
    fn who_is_blocked_reads_on_during_a_walk() {
        hold(Some(Db::sqlite()), 1, BOUNDED, blocked_and_reading());
    }

    #[test]
    fn writes_one_by_one() {
        hold(Some(Db::sqlite()), 64, BOUNDED, one_by_one());
    }

    #[test]
    fn writes_in_bursts() {
        hold(Some(Db::sqlite()), 64, UNBOUNDED, in_bursts());
    }
}

mod postgres {
    use super::*;

    #[test]
    fn time_passes_before_any_write() {
        hold(Db::postgres(), 1, BOUNDED, aged_before_any_write());
    }

    #[test]
    fn who_is_blocked_reads_on_during_a_walk() {
        hold(Db::postgres(), 1, BOUNDED, blocked_and_reading());
    }

    #[test]
    fn writes_one_by_one() {
        hold(Db::postgres(), 24, BOUNDED, one_by_one());
    }

    #[test]
    fn writes_in_bursts() {
        hold(Db::postgres(), 24, UNBOUNDED, in_bursts());
    }
}
