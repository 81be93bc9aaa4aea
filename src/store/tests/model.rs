//! The rules of conversations as a plain state machine, without a clock, an actor or a database: what
//! docs/PROTOCOL.md says of messages, recalls, marks, blocklists and syncs. `against_model` holds the store
//! against it. Users are small letters and groups capitals: an address is either.

use std::collections::{BTreeMap, BTreeSet};

use super::op::{Key, Op};
use super::*;
use crate::event::overview::{Missed, Overview};
use crate::event::{Message, Quote, Quoted};
use crate::ids::Address;

/// Everybody there is, in the order of their names.
pub(super) const USERS: [char; 4] = ['a', 'b', 'c', 'd'];
/// A group of the first three of them.
pub(super) const GROUP: char = 'G';
pub(super) const GROUP_MEMBERS: [char; 3] = ['a', 'b', 'c'];
/// Every address there is.
pub(super) const ADDRESSES: [char; 5] = [GROUP, 'a', 'b', 'c', 'd'];
/// How many conversations each may have pinned.
pub(super) const PINNED_LIMIT: u32 = 2;
/// The wait of one who has begun too many conversations just now.
pub(super) const DAY_MS: u64 = 86_400_000;
/// How much time passes at once: more than the window for recalls and what a sync goes back before its
/// cursor.
pub(super) const AGE_MS: i64 = 100_000;

/// What is to become of it. Messages stored within a burst have no time yet: see [`Model::stamp`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Appended {
        seq: i64,
        quote: Option<Quote>,
        audience: Hearers,
    },
    Repeated {
        stored: Message,
        audience: Hearers,
    },
    Refused(Refusal),
    /// A block.
    PresenceWithdrawn,
    Marked {
        seq: i64,
        audience: Hearers,
    },
    Cleared {
        seq: i64,
        moved: bool,
    },
    Set(MemberSettings),
    Done,
}

/// Who hears of it.
pub(super) type Hearers = BTreeSet<char>;

/// All conversations of [`USERS`], whose openids begin with `prefix`.
pub(super) struct Model {
    prefix: String,
    limits: StoreLimits,
    conversations: BTreeMap<Key, Log>,
    /// How many conversations each has begun.
    begun: BTreeMap<char, u32>,
    /// Who has blocked whom.
    blocks: BTreeSet<(char, char)>,
}

/// A conversation: what was written, and its members.
struct Log {
    messages: Vec<Message>,
    /// Up to here all are too old to be recalled.
    old: i64,
    members: BTreeMap<char, Member>,
}

#[derive(Default)]
pub(super) struct Member {
    /// The last message of their own; recalls are none.
    sent: i64,
    read: i64,
    recv: i64,
    cleared: i64,
    muted: bool,
    pinned: bool,
    /// What they see of the conversation has changed since the last [`Op::Age`].
    has_changed: bool,
}

fn repeats_only(admission: Admission) -> Option<Refusal> {
    match admission {
        Admission::RepeatsOnly(why) => Some(why),
        Admission::Open | Admission::Moderator => None,
    }
}

/// Whether an answer of these kinds tells of that address.
fn is_of(kinds: Kinds, address: char) -> bool {
    kinds == Kinds::DirectAndGroups || address != GROUP
}

pub(super) fn body(text: char) -> String {
    format!(r#"{{"message":"{text}"}}"#)
}

impl Log {
    fn last(&self) -> i64 {
        self.messages.len() as i64
    }

    fn has_pinned(&self, who: char) -> bool {
        self.members.get(&who).is_some_and(|member| member.pinned)
    }

    fn message(&self, seq: i64) -> Option<&Message> {
        usize::try_from(seq - 1).ok().and_then(|at| self.messages.get(at))
    }
}

impl Model {
    pub(super) fn new(prefix: String, limits: StoreLimits) -> Self {
        let members = GROUP_MEMBERS.map(|user| (user, Member::default())).into();
        let group = Log { messages: Vec::new(), old: 0, members };
        Self {
            prefix,
            limits,
            conversations: [(Key::Group(GROUP), group)].into(),
            begun: BTreeMap::new(),
            blocks: BTreeSet::new(),
        }
    }

    pub(super) fn name(&self, user: char) -> OpenId {
        o(&format!("{}{user}", self.prefix))
    }

    pub(super) fn last_seq(&self, who: char, address: char) -> i64 {
        self.log(who, address).map_or(0, Log::last)
    }

    /// The conversation that `who` calls `address`.
    pub(super) fn conversation(&self, who: char, address: char) -> Conversation {
        let address = match Key::of(who, address) {
            Key::Direct(..) => Address::User(self.name(address)),
            Key::Group(group) => Address::parse(&format!("g:{}{group}", self.prefix)).unwrap(),
        };
        Conversation::of(&self.name(who), address)
    }

    fn log(&self, who: char, address: char) -> Option<&Log> {
        self.conversations.get(&Key::of(who, address))
    }

    fn log_mut(&mut self, who: char, address: char) -> Option<&mut Log> {
        self.conversations.get_mut(&Key::of(who, address))
    }

    /// Whether it is a conversation of theirs: a direct one always is.
    pub(super) fn is_member(&self, who: char, address: char) -> bool {
        match Key::of(who, address) {
            Key::Direct(..) => true,
            Key::Group(_) => self.members(who, address).contains(&who),
        }
    }

    fn members(&self, who: char, address: char) -> Hearers {
        self.log(who, address).into_iter().flat_map(|log| log.members.keys().copied()).collect()
    }

    pub(super) fn has_blocked(&self, who: char, peer: char) -> bool {
        self.blocks.contains(&(who, peer))
    }

    /// The other one of a direct conversation has blocked `who`. Blocks do not act in groups.
    fn is_blocked(&self, who: char, address: char) -> bool {
        Key::of(who, address).peer(who).is_some_and(|peer| self.has_blocked(peer, who))
    }

    pub(super) fn apply(&mut self, op: &Op) -> Outcome {
        let (who, address) = op.place();
        if !self.is_member(who, address) {
            return Outcome::Refused(Refusal::NotFound);
        }
        match *op {
            Op::Send { from, to, id, text, quote, admission } => {
                self.send((from, to), id, text, quote, admission)
            }
            Op::Recall { from, to, target, admission } => self.recall(from, to, target, admission),
            Op::Mark { kind, who, address, seq } => self.mark(kind, who, address, seq),
            Op::Clear { who, address, up_to } => self.clear(who, address, up_to),
            Op::Block { who, peer, change } => self.block(who, peer, change),
            Op::Set { who, address, muted, pinned } => self.set(who, address, muted, pinned),
            Op::Age => {
                for conversation in self.conversations.values_mut() {
                    conversation.old = conversation.last();
                    conversation.messages.iter_mut().for_each(|m| m.sent_at -= AGE_MS);
                    conversation.members.values_mut().for_each(|m| m.has_changed = false);
                }
                Outcome::Done
            }
        }
    }

    fn send(
        &mut self,
        (from, to): (char, char),
        id: Option<char>,
        text: char,
        quote: Option<i64>,
        admission: Admission,
    ) -> Outcome {
        let quotes = |stored: &Message| stored.quote.as_ref().map(|q| q.seq.get()) == quote;
        let (sender, id) = (self.name(from), id.and_then(|id| ClientMsgId::parse(&id.to_string()).ok()));
        let (is_blocked, only) = (self.is_blocked(from, to), repeats_only(admission));
        let conversation = self.log(from, to);
        let same_key = |m: &&Message| m.sender == sender && m.client_msg_id == id;
        if let Some(stored) =
            conversation.filter(|_| id.is_some()).and_then(|c| c.messages.iter().find(same_key)).cloned()
        {
            if !is_blocked {
                self.touch(from, to);
            }
            // Of a recalled message nothing is left to compare.
            return match stored.recalled || (quotes(&stored) && *stored.body == *body(text)) {
                true => Outcome::Repeated {
                    stored: self.with_quote(Key::of(from, to), stored),
                    audience: self.audience_of_repeat(from, to, only.is_some() || is_blocked),
                },
                false => Outcome::Refused(Refusal::Conflict),
            };
        }
        if let Some(why) = only {
            return Outcome::Refused(why);
        }
        if is_blocked {
            return Outcome::Refused(Refusal::Blocked);
        }
        let may_quote = |seq: &i64| {
            let cleared = conversation.and_then(|c| c.members.get(&from)).map_or(0, |m| m.cleared);
            let is_message = |m: &Message| m.target.is_none();
            *seq > cleared && conversation.and_then(|c| c.message(*seq)).is_some_and(is_message)
        };
        if quote.is_some_and(|seq| !may_quote(&seq)) {
            return Outcome::Refused(Refusal::NothingToQuote);
        }
        if conversation.is_none() {
            let (begun, limit) = (self.begun.entry(from).or_default(), self.limits.new_conversations_per_day);
            if limit > 0 && *begun >= limit {
                return Outcome::Refused(Refusal::RateLimited { retry_after_ms: DAY_MS });
            }
            *begun += 1;
        }
        let quote = quote.map(|seq| Box::new(Quote { seq: s(seq), quoted: Quoted::Gone }));
        let body = body(text).into();
        let seq = self.store(from, to, |message| Message {
            client_msg_id: id,
            body,
            quote: quote.clone(),
            ..message
        });
        let quote = quote.map(|quote| self.quoted(Key::of(from, to), *quote));
        if let Some(member) = self.log_mut(from, to).and_then(|c| c.members.get_mut(&from)) {
            member.sent = seq;
        }
        Outcome::Appended { seq, quote, audience: self.members(from, to) }
    }

    /// What is quoted, as it stands.
    fn quoted(&self, key: Key, Quote { seq, .. }: Quote) -> Quote {
        let message = self.conversations.get(&key).and_then(|c| c.message(seq.get()));
        let quoted = message.map_or(Quoted::Gone, |m| match m.recalled {
            true => Quoted::Recalled,
            false => Quoted::shown(m.sender.clone(), m.kind.clone(), &m.body),
        });
        Quote { seq, quoted }
    }

    fn with_quote(&self, key: Key, message: Message) -> Message {
        let quote = message.quote.clone().map(|quote| Box::new(self.quoted(key, *quote)));
        Message { quote, ..message }
    }

    fn recall(&mut self, from: char, to: char, target: i64, admission: Admission) -> Outcome {
        let (sender, only) = (self.name(from), repeats_only(admission));
        // The operator's recall goes to whoever has blocked the sender, too.
        let is_by_moderator = admission == Admission::Moderator;
        let is_blocked = self.is_blocked(from, to) && !is_by_moderator;
        let conversation = self.log(from, to);
        let own =
            conversation.and_then(|c| c.message(target)).filter(|m| m.sender == sender && m.target.is_none());
        let first = own.filter(|m| m.recalled).zip(conversation);
        if let Some(stored) =
            first.and_then(|(own, c)| c.messages.iter().find(|m| m.target == Some(own.seq))).cloned()
        {
            if !is_blocked {
                self.touch(from, to);
            }
            return Outcome::Repeated {
                stored,
                audience: self.audience_of_repeat(from, to, only.is_some() || is_blocked),
            };
        }
        if let Some(why) = only {
            return Outcome::Refused(why);
        }
        if own.is_none() {
            return Outcome::Refused(Refusal::NotFound);
        }
        if is_blocked {
            return Outcome::Refused(Refusal::Blocked);
        }
        if conversation.is_some_and(|c| target <= c.old) && !is_by_moderator {
            return Outcome::Refused(Refusal::RecallExpired);
        }
        let seq = self.store(from, to, |message| Message {
            kind: Kind::recall(),
            target: Some(s(target)),
            ..message
        });
        for message in self.log_mut(from, to).into_iter().flat_map(|c| &mut c.messages) {
            if message.seq.get() == target {
                (message.recalled, message.body) = (true, "{}".into());
            }
        }
        Outcome::Appended { seq, quote: None, audience: self.members(from, to) }
    }

    /// A quiet repeat is pushed to nobody.
    fn audience_of_repeat(&self, from: char, to: char, is_quiet: bool) -> Hearers {
        if is_quiet { Hearers::new() } else { self.members(from, to) }
    }

    /// A repeat of what is stored is a change for all members, where the last one is long ago, unless it goes to one
    /// who has blocked the sender.
    fn touch(&mut self, from: char, to: char) {
        if let Some(conversation) = self.log_mut(from, to) {
            conversation.members.values_mut().for_each(|m| m.has_changed = true);
        }
    }

    /// Appends a message, which changes the conversation for all members.
    fn store(&mut self, from: char, to: char, fill: impl FnOnce(Message) -> Message) -> i64 {
        let sender = self.name(from);
        let key = Key::of(from, to);
        let conversation = self.conversations.entry(key).or_insert_with(|| Log {
            messages: Vec::new(),
            old: 0,
            members: key.first_members(),
        });
        let seq = conversation.last() + 1;
        let (kind, body) = (Kind::parse("text").unwrap(), "{}".into());
        let message = Message {
            seq: s(seq),
            sender,
            kind,
            body,
            sent_at: 0,
            client_msg_id: None,
            recalled: false,
            target: None,
            quote: None,
        };
        conversation.messages.push(fill(message));
        conversation.members.values_mut().for_each(|m| m.has_changed = true);
        seq
    }

    /// The store's clock said `sent_at` for a message.
    pub(super) fn stamp(&mut self, key: Key, seq: i64, sent_at: i64) {
        for message in self.conversations.get_mut(&key).into_iter().flat_map(|c| &mut c.messages) {
            if message.seq.get() == seq {
                message.sent_at = sent_at;
            }
        }
    }

    pub(super) fn sent_at(&self, key: Key, seq: Seq) -> i64 {
        self.conversations.get(&key).and_then(|c| c.message(seq.get())).map_or(0, |m| m.sent_at)
    }

    fn mark(&mut self, kind: ReceiptKind, who: char, address: char, seq: i64) -> Outcome {
        let is_direct = Key::of(who, address).peer(who).is_some();
        if !is_direct && kind == ReceiptKind::Recv {
            return Outcome::Marked { seq: 0, audience: Hearers::new() };
        }
        let is_blocked = self.is_blocked(who, address);
        let Some(conversation) = self.log_mut(who, address) else {
            return Outcome::Marked { seq: 0, audience: Hearers::new() };
        };
        let wanted = seq.min(conversation.last());
        let member = conversation.members.entry(who).or_default();
        // A stranger does not learn that they are read, and who has blocked them hears nothing of them. In a
        // group nobody else hears of a mark.
        let is_shown = is_direct && member.sent > 0 && !is_blocked;
        let mark = match kind {
            ReceiptKind::Read => &mut member.read,
            ReceiptKind::Recv => &mut member.recv,
        };
        let (seq, moved) = (wanted.max(*mark), wanted > *mark);
        *mark = seq;
        member.has_changed |= moved;
        if moved && is_shown {
            conversation.members.values_mut().for_each(|m| m.has_changed = true);
        }
        let hears = |user: &char| moved && (is_shown || *user == who);
        Outcome::Marked { seq, audience: conversation.members.keys().copied().filter(hears).collect() }
    }

    fn clear(&mut self, who: char, address: char, up_to: Option<i64>) -> Outcome {
        let Some(conversation) = self.log_mut(who, address) else {
            return Outcome::Cleared { seq: 0, moved: false };
        };
        let wanted = up_to.unwrap_or(i64::MAX).min(conversation.last());
        let member = conversation.members.entry(who).or_default();
        let moved = wanted > member.cleared;
        member.cleared = member.cleared.max(wanted);
        member.has_changed |= moved;
        Outcome::Cleared { seq: member.cleared, moved }
    }

    fn block(&mut self, who: char, peer: char, change: BlockChange) -> Outcome {
        let limit = self.limits.blocks_per_user as usize;
        match change {
            BlockChange::Block if self.has_blocked(who, peer) => return Outcome::PresenceWithdrawn,
            BlockChange::Block if limit > 0 && self.blocks(who).len() >= limit => {
                return Outcome::Refused(Refusal::TooMany);
            }
            BlockChange::Block => {
                self.blocks.insert((who, peer));
                return Outcome::PresenceWithdrawn;
            }
            BlockChange::Unblock => drop(self.blocks.remove(&(who, peer))),
        }
        Outcome::Done
    }

    fn set(&mut self, who: char, address: char, muted: Option<bool>, pinned: Option<bool>) -> Outcome {
        let all_pinned = self.conversations.values().filter(|log| log.has_pinned(who)).count();
        let Some(conversation) = self.log_mut(who, address) else {
            return Outcome::Refused(Refusal::NotFound);
        };
        let member = conversation.members.entry(who).or_default();
        let (muted, pinned) = (muted.unwrap_or(member.muted), pinned.unwrap_or(member.pinned));
        if (muted, pinned) == (member.muted, member.pinned) {
            return Outcome::Done;
        }
        if pinned && !member.pinned && all_pinned >= PINNED_LIMIT as usize {
            return Outcome::Refused(Refusal::TooMany);
        }
        (member.muted, member.pinned, member.has_changed) = (muted, pinned, true);
        Outcome::Set(MemberSettings { muted, pinned })
    }

    pub(super) fn blocks(&self, who: char) -> Vec<OpenId> {
        self.blocks
            .iter()
            .filter(|(blocker, _)| *blocker == who)
            .map(|(_, blocked)| self.name(*blocked))
            .collect()
    }

    /// Who may be shown that `who` types: in one's own conversation oneself, in a group nobody.
    pub(super) fn typing_audience(&self, who: char, address: char) -> Hearers {
        if Key::of(who, address).peer(who).is_none_or(|peer| self.has_blocked(peer, who)) {
            return Hearers::new();
        }
        let mut hearers = self.members(who, address);
        if hearers.len() > 1 {
            hearers.remove(&who);
        }
        hearers
    }

    pub(super) fn overview(&self, who: char, address: char) -> Overview {
        let nobody = Member::default();
        let conversation = self.log(who, address).filter(|_| self.is_member(who, address));
        let member = |user| conversation.and_then(|c| c.members.get(&user)).unwrap_or(&nobody);
        let peer = Key::of(who, address).peer(who);
        let (own, other) = (member(who), peer.map_or(&nobody, member));
        let shown = |mark| s(if other.sent > 0 { mark } else { 0 });
        let floor = own.read.max(own.sent).max(own.cleared);
        let counts =
            |m: &&Message| peer != Some(who) && m.seq.get() > floor && m.target.is_none() && !m.recalled;
        Overview {
            conversation: self.conversation(who, address),
            last_seq: s(conversation.map_or(0, Log::last)),
            cleared_seq: s(own.cleared),
            read_seq: s(own.read),
            recv_seq: s(own.recv),
            peer_read_seq: shown(other.read),
            peer_recv_seq: shown(other.recv),
            unread: conversation.map_or(0, |c| c.messages.iter().filter(counts).count() as i64),
            muted: own.muted,
            pinned: own.pinned,
        }
    }

    /// What is not cleared, between two seqs.
    fn between(&self, who: char, address: char, above: i64, below: i64) -> Vec<Message> {
        let above = above.max(self.overview(who, address).cleared_seq.get());
        let own = self.log(who, address).filter(|_| self.is_member(who, address));
        let messages = own.into_iter().flat_map(|c| &c.messages);
        let between = messages.filter(|m| (above + 1..below).contains(&m.seq.get()));
        between.map(|m| self.with_quote(Key::of(who, address), m.clone())).collect()
    }

    pub(super) fn history(
        &self,
        who: char,
        address: char,
        window: Window,
        limit: usize,
    ) -> (Vec<Message>, bool) {
        let (above, below) = match window {
            Window::Newest => (0, i64::MAX),
            Window::Before(before) => (0, before.get()),
            Window::After(after) => (after.get(), i64::MAX),
            Window::Between { after, before } => (after.get(), before.get()),
        };
        let mut messages = self.between(who, address, above, below);
        let has_more = messages.len() > limit;
        match window {
            Window::Newest | Window::Before(_) => {
                drop(messages.drain(..messages.len().saturating_sub(limit)))
            }
            Window::After(_) | Window::Between { .. } => messages.truncate(limit),
        }
        (messages, has_more)
    }

    /// The conversations that are not cleared, each with its newest message, the one first in which that was
    /// stored last. `stored_at` says when, for each of [`ADDRESSES`].
    pub(super) fn list(
        &self,
        who: char,
        kinds: Kinds,
        stored_at: &[i64],
    ) -> Vec<(Overview, Option<Message>)> {
        let one = |address: &char| {
            self.between(who, *address, 0, i64::MAX)
                .pop()
                .map(|last| (self.overview(who, *address), Some(Message { quote: None, ..last })))
        };
        let addresses = ADDRESSES.iter().zip(stored_at).filter(|(address, _)| is_of(kinds, **address));
        let mut list: Vec<_> = addresses.filter_map(|(address, at)| one(address).zip(Some(*at))).collect();
        let name = self.name(who);
        list.sort_by_key(|((overview, _), at)| (-at, overview.conversation.address_str(&name).to_owned()));
        list.into_iter().map(|(one, _)| one).collect()
    }

    /// What follows `have` of a conversation that is named.
    pub(super) fn named(&self, who: char, address: char, have: i64, limit: usize) -> Missed {
        let (messages, has_more) = self.history(who, address, Window::After(s(have)), limit);
        Missed { overview: self.overview(who, address), messages, has_more }
    }

    /// All conversations, or those that have changed since the last [`Op::Age`]: by address, each with its
    /// newest messages.
    pub(super) fn missed(&self, who: char, kinds: Kinds, only_changed: bool, limit: usize) -> Vec<Missed> {
        let has_news = |address: &&char| {
            let member = self.conversations.get(&Key::of(who, **address)).and_then(|c| c.members.get(&who));
            member.is_some_and(|m| m.has_changed || !only_changed)
        };
        let newest = |address: &char| {
            let (messages, has_more) = self.history(who, *address, Window::Newest, limit);
            Missed { overview: self.overview(who, *address), messages, has_more }
        };
        let of_kinds = ADDRESSES.iter().filter(|address| is_of(kinds, **address));
        of_kinds.filter(has_news).map(newest).collect()
    }
}
