//! Sequences of what is done to the store, made up by proptest. Users, ids, texts and seqs are few, so that
//! repeats, conflicts and recalls of what is there are frequent.

use proptest::prelude::*;

use super::model::{GROUP, USERS};
use super::op::Op;
use super::*;

/// One step of a sequence.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Written without waiting in between, then all awaited.
    Write(Vec<Op>),
    /// What a user may ask, of one conversation and of all.
    Look {
        who: char,
        address: char,
        after: i64,
        before: i64,
        limit: usize,
    },
    /// A user asks on through a walk of small answers, and after each of them one of these is written.
    Walk {
        who: char,
        meanwhile: Vec<Op>,
    },
    Restart,
}

fn user() -> impl Strategy<Value = char> {
    prop::sample::select(USERS.to_vec())
}

/// One and another, or themself; most often the same two, so that their conversation grows.
fn two() -> impl Strategy<Value = (char, char)> {
    prop_oneof![3 => Just(('a', 'b')), 3 => Just(('b', 'a')), 4 => (user(), user())]
}

/// One and an address of theirs, or a group in which they may not be.
fn at() -> impl Strategy<Value = (char, char)> {
    prop_oneof![5 => two(), 3 => (user(), Just(GROUP))]
}

fn append_op() -> impl Strategy<Value = Op> {
    let only = |why| Just(Admission::RepeatsOnly(why));
    let admission =
        || prop_oneof![17 => Just(Admission::Open), 2 => Just(OVER_RATE), 1 => only(Refusal::ContentRefused)];
    let of_recall = prop_oneof![3 => admission(), 1 => Just(Admission::Moderator)];
    let id = prop::option::weighted(0.7, prop::sample::select(vec!['1', '2', '3', '4']));
    let text = prop_oneof![6 => Just('x'), 1 => Just('y')];
    // Nobody quotes in a group yet.
    let quote = prop::option::weighted(0.3, 1..8i64);
    let send = |((from, to), id, text, quote, admission): ((char, char), _, _, Option<i64>, _)| Op::Send {
        from,
        to,
        id,
        text,
        quote: quote.filter(|_| to != GROUP),
        admission,
    };
    prop_oneof![
        4 => (at(), id, text, quote, admission()).prop_map(send),
        3 => (at(), 0..6i64, of_recall).prop_map(|((from, to), target, admission)| Op::Recall { from, to, target, admission }),
    ]
}

fn mark_op() -> impl Strategy<Value = Op> {
    let kind = prop::sample::select(vec![ReceiptKind::Read, ReceiptKind::Recv]);
    let up_to = prop::option::weighted(0.7, 0..6i64);
    prop_oneof![
        4 => (kind, at(), 0..8i64).prop_map(|(kind, (who, address), seq)| Op::Mark { kind, who, address, seq }),
        1 => (at(), up_to).prop_map(|((who, address), up_to)| Op::Clear { who, address, up_to }),
    ]
}

fn block_op() -> impl Strategy<Value = Op> {
    let change = |weight| prop_oneof![weight => Just(BlockChange::Block), 2 => Just(BlockChange::Unblock)];
    let block = |((who, peer), change)| Op::Block { who, peer, change };
    prop_oneof![(two(), change(2)).prop_map(block), ((user(), user()), change(9)).prop_map(block),]
}

fn set_op() -> impl Strategy<Value = Op> {
    let setting = || prop::option::of(prop::bool::ANY);
    (at(), setting(), setting()).prop_map(|((who, address), muted, pinned)| Op::Set {
        who,
        address,
        muted,
        pinned,
    })
}

fn alone(op: Op) -> Step {
    Step::Write(vec![op])
}

fn other_steps() -> impl Strategy<Value = Vec<Step>> {
    // Time passes and nobody writes: only then a mark is all that changes.
    let quiet = prop::collection::vec(prop_oneof![2 => mark_op(), 1 => block_op(), 1 => set_op()], 0..5);
    let look = (at(), 0..6i64, 0..9i64, 1..4usize);
    let walk =
        (user(), prop::collection::vec(prop_oneof![2 => append_op(), 1 => mark_op(), 1 => set_op()], 0..8));
    prop_oneof![
        6 => block_op().prop_map(|op| vec![alone(op)]),
        4 => set_op().prop_map(|op| vec![alone(op)]),
        2 => quiet.prop_map(|ops| std::iter::once(Op::Age).chain(ops).map(alone).collect()),
        6 => look.prop_map(|((who, address), after, before, limit)| vec![Step::Look { who, address, after, before, limit }]),
        2 => walk.prop_map(|(who, meanwhile)| vec![Step::Walk { who, meanwhile }]),
        1 => Just(vec![Step::Restart]),
    ]
}

/// Every write is answered before the next.
pub(super) fn one_by_one() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![2 => append_op(), 1 => mark_op()].prop_map(|op| vec![alone(op)]);
    prop::collection::vec(prop_oneof![3 => one, 1 => other_steps()], 1..=60).prop_map(|parts| parts.concat())
}

/// Several writes at once, so that they come in batches.
pub(super) fn in_bursts() -> impl Strategy<Value = Vec<Step>> {
    let burst = prop::collection::vec(prop_oneof![2 => append_op(), 1 => mark_op()], 2..=16)
        .prop_map(|ops| vec![Step::Write(ops)]);
    prop::collection::vec(prop_oneof![3 => burst, 2 => other_steps()], 3..=12)
        .prop_map(|parts| parts.concat())
}

/// Who is blocked reads while the sync of the user who blocked them goes on, past their conversation.
pub(super) fn blocked_and_reading() -> impl Strategy<Value = Vec<Step>> {
    let send = |from, to| Op::Send { from, to, id: None, text: 'x', quote: None, admission: Admission::Open };
    let read = |who, peer| Op::Mark { kind: ReceiptKind::Read, who, address: peer, seq: 1 };
    let block = Op::Block { who: 'a', peer: 'b', change: BlockChange::Block };
    let before = [send('b', 'a'), send('a', 'c'), Op::Age, read('a', 'b'), Op::Age, block];
    let walk = Step::Walk { who: 'a', meanwhile: vec![read('b', 'a')] };
    let steps = before.map(|op| Step::Write(vec![op])).into_iter().chain([walk]);
    Just(steps.collect())
}

/// The database is new, and the first thing that happens is that time passes.
pub(super) fn aged_before_any_write() -> impl Strategy<Value = Vec<Step>> {
    Just(vec![Step::Write(vec![Op::Age])])
}
