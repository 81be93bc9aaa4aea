//! Whose presence the sessions here watch, and what is known of it. A plain value: it knows no session's
//! socket and no clock, times are given to it.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::messages::Reachable;
use crate::event::{LastSeen, Presence};
use crate::ids::{OpenId, SessionId};
use crate::protocol::client_frame::Attention;

/// Rows of all lists together; a list that has no room is refused.
const ROWS: usize = 1 << 20;
/// A right to see is looked up anew after so long, in milliseconds: it may have come or gone unheard.
const RIGHTS_HOLD_MS: u64 = 10 * 60_000;

/// Who is shown to a user, each with when they were seen last.
pub type Visible = HashMap<OpenId, Option<LastSeen>>;

/// What sessions are to be told: of each, whose it is and what has changed.
pub type News = HashMap<SessionId, (OpenId, Vec<(OpenId, Presence)>)>;

/// No room for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListsFull;

pub struct Watchers {
    /// By who is watched, by at least one session.
    users: HashMap<OpenId, Watched>,
    lists: HashMap<SessionId, List>,
    rows: usize,
    /// Watched users of whom the sessions may have to be told.
    changed: HashSet<OpenId>,
    /// Watched users about whom the other nodes are to be asked.
    unasked: HashSet<OpenId>,
    others: Others,
    /// How often other nodes were asked.
    round: u64,
}

/// The other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// There are none.
    Alone,
    Are(Reachable),
}

/// What one session watches.
struct List {
    openid: OpenId,
    /// Each with whether they are shown to the user.
    rows: Vec<(OpenId, bool)>,
    looked_up_at: u64,
}

/// One user who is watched.
struct Watched {
    sessions: HashSet<SessionId>,
    last_seen: Option<LastSeen>,
    /// Nodes where they are, as these say.
    elsewhere: SmallVec<[Word; 1]>,
    /// Whether other nodes have had their time to say where they are.
    is_asked: bool,
    /// What the sessions were told last; `None` where not all were told the same.
    told: Option<Presence>,
}

struct Word {
    node: Arc<str>,
    attention: Attention,
    round: u64,
}

impl Watchers {
    pub fn new(has_others: bool) -> Self {
        Self {
            users: HashMap::new(),
            lists: HashMap::new(),
            rows: 0,
            changed: HashSet::new(),
            unasked: HashSet::new(),
            others: if has_others { Others::Are(Reachable::None) } else { Others::Alone },
            round: 0,
        }
    }

    /// Replaces what a session watches; what is known of each, in the order given. `here`: what the sessions
    /// of a user on this node say.
    ///
    /// # Errors
    /// [`ListsFull`]: then it watches what it did.
    pub fn replace(
        &mut self,
        session: SessionId,
        openid: &OpenId,
        peers: Vec<OpenId>,
        visible: &Visible,
        here: impl Fn(&OpenId) -> Option<Attention>,
        now: u64,
    ) -> Result<Vec<(OpenId, Presence)>, ListsFull> {
        let before = self.lists.get(&session).map_or(0, |list| list.rows.len());
        if self.rows - before + peers.len() > ROWS {
            return Err(ListsFull);
        }
        let old = self.lists.remove(&session);
        let (mut rows, mut known) = (Vec::with_capacity(peers.len()), Vec::with_capacity(peers.len()));
        for peer in peers {
            let last_seen = visible.get(&peer);
            let peer = match last_seen {
                Some(last_seen) => self.watch(session, peer, *last_seen, &here),
                None => peer,
            };
            known.push((
                peer.clone(),
                match last_seen {
                    Some(_) => self.presence(&peer, here(&peer)),
                    None => Presence::Unknown,
                },
            ));
            rows.push((peer, last_seen.is_some()));
        }
        let shown: HashSet<&OpenId> = rows.iter().filter(|(_, shown)| *shown).map(|(peer, _)| peer).collect();
        for (peer, was_shown) in old.into_iter().flat_map(|list| list.rows) {
            if was_shown && !shown.contains(&peer) {
                self.unwatch(session, &peer);
            }
        }
        self.rows = self.rows - before + rows.len();
        if !rows.is_empty() {
            self.lists.insert(session, List { openid: openid.clone(), rows, looked_up_at: now });
        }
        Ok(known)
    }

    /// Has a session watch one user; the openid as it is kept, once however many watch.
    fn watch(
        &mut self,
        session: SessionId,
        peer: OpenId,
        last_seen: Option<LastSeen>,
        here: impl Fn(&OpenId) -> Option<Attention>,
    ) -> OpenId {
        let kept = self.users.get_key_value(&peer).map(|(kept, _)| kept.clone());
        let is_new = kept.is_none();
        let peer = kept.unwrap_or(peer);
        let watched = self.users.entry(peer.clone()).or_insert_with(|| Watched {
            sessions: HashSet::new(),
            last_seen,
            elsewhere: SmallVec::new(),
            is_asked: false,
            told: None,
        });
        watched.sessions.insert(session);
        watched.last_seen = watched.last_seen.max(last_seen);
        let known = Some(self.presence(&peer, here(&peer)));
        if let Some(watched) = self.users.get_mut(&peer) {
            watched.told = known.filter(|_| is_new || watched.told == known);
        }
        if is_new && self.others != Others::Alone {
            self.unasked.insert(peer.clone());
        }
        peer
    }

    fn unwatch(&mut self, session: SessionId, peer: &OpenId) {
        let Some(watched) = self.users.get_mut(peer) else { return };
        watched.sessions.remove(&session);
        if watched.sessions.is_empty() {
            self.users.remove(peer);
            self.changed.remove(peer);
            self.unasked.remove(peer);
        }
    }

    /// Forgets a session that has ended.
    pub fn remove(&mut self, session: SessionId) {
        let Some(list) = self.lists.remove(&session) else { return };
        self.rows -= list.rows.len();
        for (peer, _) in list.rows.iter().filter(|(_, shown)| *shown) {
            self.unwatch(session, peer);
        }
    }

    /// `openid` shows themself no more: to `from`, or to nobody. The sessions that watched, each with its
    /// user.
    pub fn withdraw(&mut self, openid: &OpenId, from: Option<&OpenId>) -> Vec<(SessionId, OpenId)> {
        let Some(watched) = self.users.get(openid) else { return Vec::new() };
        let sessions: Vec<SessionId> = watched.sessions.iter().copied().collect();
        let mut told = Vec::new();
        for session in sessions {
            let Some(list) = self.lists.get_mut(&session) else { continue };
            if from.is_some_and(|from| *from != list.openid) {
                continue;
            }
            if let Some((_, shown)) = list.rows.iter_mut().find(|(peer, _)| peer == openid) {
                *shown = false;
            }
            told.push((session, list.openid.clone()));
            self.unwatch(session, openid);
        }
        told
    }

    /// What a session watches, where that was looked up so long ago that it is to be looked up again; it
    /// counts as looked up then.
    pub fn take_outdated(&mut self, most: usize, now: u64) -> Vec<(SessionId, OpenId, Vec<OpenId>)> {
        let is_outdated = |list: &List| now.saturating_sub(list.looked_up_at) >= RIGHTS_HOLD_MS;
        let outdated = self.lists.iter_mut().filter(|(_, list)| is_outdated(list)).take(most);
        let mut taken = Vec::new();
        for (session, list) in outdated {
            list.looked_up_at = now;
            let peers = list.rows.iter().map(|(peer, _)| peer.clone()).collect();
            taken.push((*session, list.openid.clone(), peers));
        }
        taken
    }

    /// Whether a session still watches these.
    pub fn watches(&self, session: SessionId, peers: &[OpenId]) -> bool {
        self.lists.get(&session).is_some_and(|list| list.rows.iter().map(|(peer, _)| peer).eq(peers))
    }

    /// The users who are shown to a session.
    pub fn shown_to(&self, session: SessionId) -> HashSet<OpenId> {
        let rows = self.lists.get(&session).map_or(&[][..], |list| &list.rows);
        rows.iter().filter(|(_, shown)| *shown).map(|(peer, _)| peer.clone()).collect()
    }

    /// The sessions of a user on this node have changed. `at`: Unix milliseconds.
    pub fn changed_here(&mut self, openid: &OpenId, here: Option<Attention>, at: i64) {
        let Some(watched) = self.users.get_mut(openid) else { return };
        if here.is_none() {
            watched.last_seen = watched.last_seen.max(Some(LastSeen::at(at)));
        }
        self.changed.insert(openid.clone());
    }

    /// What another node says of a user. `at`: Unix milliseconds.
    pub fn heard(&mut self, openid: &OpenId, node: &Arc<str>, attention: Option<Attention>, at: i64) {
        let Some(watched) = self.users.get_mut(openid) else { return };
        let before = watched.elsewhere.iter().position(|word| word.node == *node);
        match (before, attention) {
            (Some(place), Some(attention)) => {
                let word = &mut watched.elsewhere[place];
                (word.attention, word.round) = (attention, self.round);
            }
            (None, Some(attention)) => {
                watched.elsewhere.push(Word { node: node.clone(), attention, round: self.round })
            }
            (Some(place), None) => drop(watched.elsewhere.remove(place)),
            (None, None) => {}
        }
        if attention.is_none() {
            watched.last_seen = watched.last_seen.max(Some(LastSeen::at(at)));
        }
        self.changed.insert(openid.clone());
    }

    /// Users about whom the other nodes are to be asked now, and the number of this question.
    pub fn take_unasked(&mut self, most: usize) -> (u64, Vec<OpenId>) {
        if self.others == Others::Are(Reachable::None) {
            return (self.round, Vec::new());
        }
        let taken: Vec<OpenId> = self.unasked.iter().take(most).cloned().collect();
        for openid in &taken {
            self.unasked.remove(openid);
        }
        self.round += u64::from(!taken.is_empty());
        (self.round, taken)
    }

    pub fn has_unasked(&self) -> bool {
        self.others != Others::Are(Reachable::None) && !self.unasked.is_empty()
    }

    /// The time for answers to a question is over: nodes that did not say again that a user is there have
    /// none of theirs.
    pub fn answered(&mut self, round: u64, users: &[OpenId]) {
        for openid in users {
            let Some(watched) = self.users.get_mut(openid) else { continue };
            watched.elsewhere.retain(|word| word.round >= round);
            watched.is_asked = self.others != Others::Are(Reachable::None);
            self.changed.insert(openid.clone());
        }
    }

    /// Which other nodes are heard. What none says any more is not known; once all are heard again they are
    /// asked.
    pub fn reach(&mut self, reachable: Reachable) {
        if self.others == Others::Alone || self.others == Others::Are(reachable) {
            return;
        }
        self.others = Others::Are(reachable);
        if reachable == Reachable::None {
            for watched in self.users.values_mut() {
                watched.elsewhere.clear();
                watched.is_asked = false;
            }
        }
        self.changed.extend(self.users.keys().cloned());
        self.ask_again();
    }

    /// What other nodes said may have been lost. While not all are heard that is so all the time, and they are asked
    /// when that is over.
    pub fn may_have_missed(&mut self) {
        if self.others == Others::Are(Reachable::All) {
            self.ask_again();
        }
    }

    fn ask_again(&mut self) {
        self.unasked.extend(self.users.keys().cloned());
    }

    /// Another node has ended. `at`: Unix milliseconds.
    pub fn gone(&mut self, node: &str, at: i64) {
        for (openid, watched) in &mut self.users {
            let before = watched.elsewhere.len();
            watched.elsewhere.retain(|word| *word.node != *node);
            if watched.elsewhere.len() < before {
                watched.last_seen = watched.last_seen.max(Some(LastSeen::at(at)));
                self.changed.insert(openid.clone());
            }
        }
    }

    /// What is known of a user who is watched.
    fn presence(&self, openid: &OpenId, here: Option<Attention>) -> Presence {
        let Some(watched) = self.users.get(openid) else { return Presence::Unknown };
        let mut all = watched.elsewhere.iter().map(|word| word.attention).chain(here).peekable();
        let is_somewhere = all.peek().is_some();
        let is_elsewhere_known = match self.others {
            Others::Alone => true,
            Others::Are(reachable) => reachable == Reachable::All && watched.is_asked,
        };
        match is_somewhere {
            true if all.any(|attention| attention == Attention::Foreground) => Presence::Foreground,
            true => Presence::Background,
            false if is_elsewhere_known => Presence::Away { last_seen: watched.last_seen },
            false => Presence::Unknown,
        }
    }

    /// What sessions were not told yet; they count as told.
    pub fn take_news(&mut self, here: impl Fn(&OpenId) -> Option<Attention>) -> News {
        let mut news = News::new();
        for openid in std::mem::take(&mut self.changed) {
            let known = self.presence(&openid, here(&openid));
            let Some(watched) = self.users.get_mut(&openid) else { continue };
            if watched.told.replace(known) == Some(known) {
                continue;
            }
            for session in &watched.sessions {
                let Some(list) = self.lists.get(session) else { continue };
                let (_, rows) = news.entry(*session).or_insert_with(|| (list.openid.clone(), Vec::new()));
                rows.push((openid.clone(), known));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn id(name: &str) -> OpenId {
        OpenId::parse(name).unwrap()
    }

    fn nobody_here(_: &OpenId) -> Option<Attention> {
        None
    }

    fn looking(_: &OpenId) -> Option<Attention> {
        Some(Attention::Foreground)
    }

    fn visible(names: &[&str]) -> Visible {
        names.iter().map(|name| (id(name), None)).collect()
    }

    fn away(last_seen: i64) -> Presence {
        Presence::Away { last_seen: Some(LastSeen::at(last_seen)) }
    }

    /// What a session hears when it begins to watch these.
    fn watch(
        watchers: &mut Watchers,
        session: SessionId,
        names: &[&str],
        visible: &Visible,
    ) -> Vec<Presence> {
        let peers = names.iter().map(|name| id(name)).collect();
        let known = watchers.replace(session, &id("alice"), peers, visible, nobody_here, 0).unwrap();
        known.into_iter().map(|(_, known)| known).collect()
    }

    /// What it is told of one user after a change.
    fn news(
        watchers: &mut Watchers,
        session: SessionId,
        here: impl Fn(&OpenId) -> Option<Attention>,
    ) -> Option<Presence> {
        watchers.take_news(here).remove(&session).map(|(_, rows)| rows[0].1)
    }

    #[test]
    fn who_is_shown_is_watched_and_all_others_are_unknown() {
        let (mut watchers, session) = (Watchers::new(false), SessionId::fresh());
        let visible = Visible::from([(id("bob"), Some(LastSeen::at(7 * MINUTE))), (id("dan"), None)]);
        assert_eq!(
            watch(&mut watchers, session, &["bob", "carol", "dan"], &visible),
            [away(5 * MINUTE), Presence::Unknown, Presence::Away { last_seen: None }]
        );
        for name in ["bob", "carol"] {
            watchers.changed_here(&id(name), Some(Attention::Foreground), 0);
        }
        let told = watchers.take_news(looking).remove(&session).unwrap();
        assert_eq!(told, (id("alice"), vec![(id("bob"), Presence::Foreground)]));
        // Once, and not again without a change.
        watchers.changed_here(&id("bob"), Some(Attention::Foreground), 0);
        assert_eq!(news(&mut watchers, session, looking), None);
        watchers.changed_here(&id("bob"), None, 11 * MINUTE);
        assert_eq!(news(&mut watchers, session, nobody_here), Some(away(10 * MINUTE)));
    }

    #[test]
    fn who_began_to_watch_between_two_changes_hears_of_the_second() {
        let (mut watchers, session, other) = (Watchers::new(false), SessionId::fresh(), SessionId::fresh());
        let hidden = |_: &OpenId| Some(Attention::Background);
        let all = visible(&["bob"]);
        watchers.replace(session, &id("alice"), vec![id("bob")], &all, looking, 0).unwrap();
        let known = watchers.replace(other, &id("zoe"), vec![id("bob")], &all, hidden, 0).unwrap();
        assert_eq!(known, [(id("bob"), Presence::Background)]);
        watchers.changed_here(&id("bob"), Some(Attention::Foreground), 0);
        assert_eq!(news(&mut watchers, other, looking), Some(Presence::Foreground));
    }

    #[test]
    fn a_list_replaces_the_one_before_and_nothing_is_left_of_it() {
        let (mut watchers, session, other) = (Watchers::new(false), SessionId::fresh(), SessionId::fresh());
        let all = visible(&["bob", "carol", "dan"]);
        watch(&mut watchers, session, &["bob", "carol"], &all);
        watch(&mut watchers, other, &["bob"], &all);
        watch(&mut watchers, session, &["carol", "dan"], &all);
        watchers.changed_here(&id("bob"), Some(Attention::Foreground), 0);
        let told = watchers.take_news(looking);
        assert_eq!(told.keys().collect::<Vec<_>>(), [&other]);
        assert_eq!((watchers.rows, watchers.users.len()), (3, 3));
        watchers.remove(other);
        watch(&mut watchers, session, &[], &all);
        assert_eq!((watchers.rows, watchers.users.len(), watchers.lists.len()), (0, 0, 0));
    }

    #[test]
    fn lists_are_bounded_together_and_one_that_has_no_room_changes_nothing() {
        let (mut watchers, first) = (Watchers::new(false), SessionId::fresh());
        watch(&mut watchers, first, &["bob"], &visible(&["bob"]));
        watchers.rows = ROWS;
        let replaced = watchers.replace(
            first,
            &id("alice"),
            vec![id("bob"), id("carol")],
            &visible(&[]),
            nobody_here,
            0,
        );
        assert_eq!(replaced, Err(ListsFull));
        assert!(watchers.shown_to(first).contains(&id("bob")));
        // One row for another.
        watch(&mut watchers, first, &["carol"], &visible(&["carol"]));
        assert_eq!(watchers.rows, ROWS);
    }

    #[test]
    fn who_withdraws_is_shown_no_more_to_one_or_to_all() {
        let (mut watchers, alice, zoe) = (Watchers::new(false), SessionId::fresh(), SessionId::fresh());
        let all = visible(&["bob"]);
        watch(&mut watchers, alice, &["bob"], &all);
        watchers.replace(zoe, &id("zoe"), vec![id("bob")], &all, nobody_here, 0).unwrap();
        assert_eq!(watchers.withdraw(&id("bob"), Some(&id("carol"))), []);
        assert_eq!(watchers.withdraw(&id("bob"), Some(&id("alice"))), [(alice, id("alice"))]);
        watchers.changed_here(&id("bob"), Some(Attention::Foreground), 0);
        assert_eq!(watchers.take_news(looking).keys().collect::<Vec<_>>(), [&zoe]);
        assert_eq!(watchers.withdraw(&id("bob"), None), [(zoe, id("zoe"))]);
        assert!(watchers.users.is_empty());
    }

    #[test]
    fn a_right_is_looked_up_anew_after_ten_minutes() {
        let (mut watchers, session) = (Watchers::new(false), SessionId::fresh());
        watch(&mut watchers, session, &["bob"], &visible(&[]));
        assert_eq!(watchers.take_outdated(9, RIGHTS_HOLD_MS - 1), []);
        let outdated = [(session, id("alice"), vec![id("bob")])];
        assert_eq!(watchers.take_outdated(0, RIGHTS_HOLD_MS), []);
        assert_eq!(watchers.take_outdated(9, RIGHTS_HOLD_MS), outdated);
        assert_eq!(watchers.take_outdated(9, RIGHTS_HOLD_MS), []);
        assert!(watchers.watches(session, &[id("bob")]) && !watchers.watches(session, &[id("carol")]));
    }

    #[test]
    fn other_nodes_are_asked_once_and_their_silence_is_an_answer() {
        let (mut watchers, session, other) = (Watchers::new(true), SessionId::fresh(), SessionId::fresh());
        let (node, all) = (Arc::from("n2"), visible(&["bob", "carol"]));
        watchers.reach(Reachable::All);
        assert_eq!(watch(&mut watchers, session, &["bob", "carol"], &all), [Presence::Unknown; 2]);
        let (round, mut asked) = watchers.take_unasked(9);
        asked.sort_unstable();
        assert_eq!(asked, [id("bob"), id("carol")]);
        assert!(!watchers.has_unasked());
        watchers.heard(&id("bob"), &node, Some(Attention::Background), 0);
        watchers.answered(round, &asked);
        let mut told = watchers.take_news(nobody_here).remove(&session).unwrap().1;
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let carol = Presence::Away { last_seen: None };
        assert_eq!(told, [(id("bob"), Presence::Background), (id("carol"), carol)]);
        // Known by now: nobody is asked.
        assert_eq!(watch(&mut watchers, other, &["bob"], &all), [Presence::Background]);
        assert!(!watchers.has_unasked());
        // Foreground anywhere is foreground.
        let third = Arc::from("n3");
        watchers.heard(&id("bob"), &third, Some(Attention::Foreground), 0);
        assert_eq!(news(&mut watchers, other, nobody_here), Some(Presence::Foreground));
        watchers.heard(&id("bob"), &third, None, 0);
        assert_eq!(news(&mut watchers, other, nobody_here), Some(Presence::Background));
        // Who does not say it again has nobody there any more.
        watchers.may_have_missed();
        let (round, asked) = watchers.take_unasked(9);
        watchers.answered(round, &asked);
        assert_eq!(news(&mut watchers, other, nobody_here), Some(away(0)));
    }

    #[test]
    fn without_the_other_nodes_only_this_ones_users_are_known() {
        let (mut watchers, session) = (Watchers::new(true), SessionId::fresh());
        let (node, all) = (Arc::from("n2"), visible(&["bob"]));
        watch(&mut watchers, session, &["bob"], &all);
        assert_eq!(watchers.take_unasked(9).1, []);
        watchers.reach(Reachable::All);
        let (round, asked) = watchers.take_unasked(9);
        watchers.heard(&id("bob"), &node, Some(Attention::Foreground), 0);
        watchers.answered(round, &asked);
        assert_eq!(news(&mut watchers, session, nobody_here), Some(Presence::Foreground));
        // Some are not heard: who is where others say is there, and nobody is away.
        watchers.reach(Reachable::Some);
        assert_eq!(news(&mut watchers, session, nobody_here), None);
        watchers.gone("n2", 6 * MINUTE);
        assert_eq!(news(&mut watchers, session, nobody_here), Some(Presence::Unknown));
        watchers.reach(Reachable::All);
        assert_eq!(news(&mut watchers, session, nobody_here), Some(away(5 * MINUTE)));
        watchers.heard(&id("bob"), &node, Some(Attention::Foreground), 0);
        assert_eq!(news(&mut watchers, session, nobody_here), Some(Presence::Foreground));
        watchers.reach(Reachable::None);
        assert_eq!(news(&mut watchers, session, nobody_here), Some(Presence::Unknown));
        assert_eq!(watchers.take_unasked(9).1, []);
        watchers.changed_here(&id("bob"), Some(Attention::Foreground), 0);
        assert_eq!(news(&mut watchers, session, looking), Some(Presence::Foreground));
    }
}
