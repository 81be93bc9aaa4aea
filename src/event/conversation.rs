//! Conversations by their key, and who hears of what happens in them.

use smallvec::SmallVec;

use crate::ids::{Address, GroupId, OpenId};

/// A conversation, the same for all its members.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conversation {
    /// Of two users, or of one with themselves.
    Direct(DirectPair),
    Group(GroupId),
}

/// The two of a direct conversation, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectPair {
    lower: OpenId,
    higher: OpenId,
}

impl DirectPair {
    pub fn new(a: OpenId, b: OpenId) -> Self {
        let (lower, higher) = if a <= b { (a, b) } else { (b, a) };
        Self { lower, higher }
    }

    /// In order; one where it is a user's conversation with themselves.
    pub fn members(&self) -> impl Iterator<Item = &OpenId> {
        [&self.lower, &self.higher].into_iter().take(1 + usize::from(self.lower != self.higher))
    }

    /// Address in the store: `d:` and the two openids in order, joined by `:`, which no openid has.
    pub fn store_address(&self) -> String {
        let (lower, higher) = (self.lower.as_str(), self.higher.as_str());
        let mut address = String::with_capacity(lower.len() + higher.len() + 3);
        address.push_str("d:");
        address.push_str(lower);
        address.push(':');
        address.push_str(higher);
        address
    }

    /// The other one; oneself, where there is no other.
    pub fn other(&self, viewer: &OpenId) -> &OpenId {
        if *viewer == self.lower { &self.higher } else { &self.lower }
    }
}

impl Conversation {
    /// The conversation that `viewer` calls `address`.
    pub fn of(viewer: &OpenId, address: Address) -> Self {
        match address {
            Address::User(peer) => Self::direct(viewer.clone(), peer),
            Address::Group(group) => Self::Group(group),
        }
    }

    pub fn direct(a: OpenId, b: OpenId) -> Self {
        Self::Direct(DirectPair::new(a, b))
    }

    /// Its name for `viewer`, who is one of its members.
    pub fn address(&self, viewer: &OpenId) -> Address {
        match self {
            Self::Direct(pair) => Address::User(pair.other(viewer).clone()),
            Self::Group(group) => Address::Group(group.clone()),
        }
    }

    /// Text of [`Conversation::address`].
    pub fn address_str(&self, viewer: &OpenId) -> &str {
        match self {
            Self::Direct(pair) => pair.other(viewer).as_str(),
            Self::Group(group) => group.as_str(),
        }
    }

    /// The other one of a direct conversation; oneself, where there is no other.
    pub fn peer(&self, viewer: &OpenId) -> Option<&OpenId> {
        match self {
            Self::Direct(pair) => Some(pair.other(viewer)),
            Self::Group(_) => None,
        }
    }

    /// Address under which the store has it: [`DirectPair::store_address`], or the group's id.
    pub fn store_address(&self) -> String {
        match self {
            Self::Direct(pair) => pair.store_address(),
            Self::Group(group) => group.as_str().to_owned(),
        }
    }

    /// Whether it is a user's conversation with themselves.
    pub fn is_with_oneself(&self) -> bool {
        matches!(self, Self::Direct(pair) if pair.lower == pair.higher)
    }
}

/// Users who hear of a commit, each once, decided by the commit. Whoever caused it comes first: their own
/// devices hear of it before the others do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audience(SmallVec<[OpenId; 2]>);

impl Audience {
    pub fn nobody() -> Self {
        Self::default()
    }

    pub fn only(user: &OpenId) -> Self {
        Self(SmallVec::from_iter([user.clone()]))
    }

    /// Both members of a direct conversation, `first` before the other.
    pub fn both(first: &OpenId, peer: &OpenId) -> Self {
        let others = Some(peer).filter(|peer| *peer != first);
        Self([first].into_iter().chain(others).cloned().collect())
    }

    /// Members of a group, `first` before the others where they are one of them.
    pub fn members(first: &OpenId, members: &[OpenId]) -> Self {
        let is_first = |member: &&OpenId| *member == first;
        let others = members.iter().filter(|member| !is_first(member));
        Self(members.iter().filter(is_first).chain(others).cloned().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &OpenId> {
        self.0.iter()
    }

    /// All but `user`.
    pub fn others(&self, user: &OpenId) -> impl Iterator<Item = &OpenId> {
        self.iter().filter(move |member| *member != user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> OpenId {
        OpenId::parse(text).unwrap()
    }

    fn conversation(viewer: &str, address: &str) -> Conversation {
        Conversation::of(&id(viewer), Address::parse(address).unwrap())
    }

    #[test]
    fn both_members_name_one_conversation() {
        let direct = conversation("bob", "alice");
        assert_eq!(direct, conversation("alice", "bob"));
        for (viewer, peer) in [("alice", "bob"), ("bob", "alice")] {
            assert_eq!(direct.address(&id(viewer)), Address::User(id(peer)));
            assert_eq!((direct.address_str(&id(viewer)), direct.peer(&id(viewer))), (peer, Some(&id(peer))));
        }
        let own = conversation("alice", "alice");
        assert_eq!((own.address_str(&id("alice")), own.peer(&id("alice"))), ("alice", Some(&id("alice"))));
        assert!(own.is_with_oneself() && !direct.is_with_oneself());
    }

    #[test]
    fn a_group_has_one_name_for_all() {
        let group = conversation("alice", "g:team");
        assert_eq!(group, conversation("bob", "g:team"));
        assert_eq!(group.address(&id("bob")), Address::parse("g:team").unwrap());
        assert_eq!((group.address_str(&id("bob")), group.peer(&id("bob"))), ("g:team", None));
        assert!(!group.is_with_oneself());
    }

    #[test]
    fn the_store_has_one_address_for_each_and_none_for_two() {
        assert_eq!(conversation("b", "a").store_address(), "d:a:b");
        assert_eq!(conversation("a", "a").store_address(), "d:a:a");
        assert_eq!(conversation("a", "g:team").store_address(), "g:team");
        assert_eq!(conversation("team", "g").store_address(), "d:g:team");
    }

    #[test]
    fn who_caused_it_hears_first_and_nobody_twice() {
        let names = |audience: Audience| audience.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(Audience::both(&id("b"), &id("a"))), ["b", "a"]);
        assert_eq!(names(Audience::both(&id("a"), &id("a"))), ["a"]);
        assert_eq!(names(Audience::only(&id("a"))), ["a"]);
        let team = ["a", "b", "c"].map(id);
        assert_eq!(names(Audience::members(&id("b"), &team)), ["b", "a", "c"]);
        assert_eq!(names(Audience::members(&id("x"), &team)), ["a", "b", "c"]);
        assert!(Audience::nobody().is_empty() && !Audience::only(&id("a")).is_empty());
        let both = Audience::both(&id("b"), &id("a"));
        assert_eq!(both.others(&id("b")).collect::<Vec<_>>(), [&id("a")]);
    }
}
