//! The map from openid to live sessions: a plain value, changed only by the ChatServer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix::Recipient;
use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::messages::{Connect, Replacements, Wake, Which};
use super::outbox::{Outbox, Pushed};
use super::sequencer::Sequencer;
use crate::event::revocation::Issued;
use crate::event::{Conversation, LiveSession};
use crate::ids::{Device, OpenId, SessionId};
use crate::protocol::client_frame::Attention;
use crate::protocol::{Close, Dialect};

/// One live session, as the chat knows it.
pub struct Slot {
    pub session: SessionId,
    pub dialect: Dialect,
    pub open_chat: Option<Conversation>,
    pub outbox: Arc<Outbox>,
    /// The user does not look at the app on this device: frames come all the same.
    in_background: bool,
    device: Option<Device>,
    issued: Issued,
    /// When it was let in: monotonic milliseconds, and by this machine's clock.
    pub joined_ms: u64,
    pub joined_at: i64,
    /// The user's sessions on other nodes, as they answered when this one was let in.
    pub elsewhere: SmallVec<[SessionId; 1]>,
    /// The order of its live frames, where there are other nodes.
    pub sequencer: Option<Box<Sequencer>>,
    wake: Recipient<Wake>,
    takeovers: Takeovers,
}

/// How often one device label was taken over in the current minute.
#[derive(Clone, Copy, Default)]
struct Takeovers {
    since_ms: u64,
    count: u32,
}

/// Whether a session gives way to one on another node that has its label.
pub enum Contest {
    /// It has given way.
    Gives { slot: Box<Slot>, replacements: Replacements },
    /// It stays, and the other must go: both are new, and this one's id is the greater. So both nodes decide
    /// alike, whatever they hear first.
    Stays { session: SessionId },
    /// It stays: the label was taken over too often.
    TooOften { retry_ms: u64 },
}

/// A session that was let in so long ago gives way to a new one without further question: the new one was
/// announced after it.
const SETTLED_MS: u64 = 5_000;

/// What came of announcing a session.
pub enum Connected {
    /// It is in the map; these gave way to it.
    Joined { replaced: Vec<Slot> },
    /// Its label was taken over too often; it is not in the map.
    TooOften { retry_ms: u64 },
}

#[derive(Debug, Clone, Copy)]
pub struct RegistryLimits {
    /// 0: none.
    pub sessions_per_user: usize,
    /// 0: none.
    pub replacements_per_minute: u32,
}

pub struct Registry {
    /// WeChat gives openids: nobody chooses theirs so that many have one hash.
    users: HashMap<OpenId, SmallVec<[Slot; 1]>, RandomState>,
    sessions: usize,
    /// Of these, those in the background.
    in_background: usize,
    /// Sessions that were removed since this was last taken.
    removed: Vec<SessionId>,
    /// Users whose sessions have changed.
    changed: HashSet<OpenId, RandomState>,
    /// Users who have no session any more, and had one when this was last taken.
    gone: Vec<OpenId>,
    limits: RegistryLimits,
}

const MINUTE_MS: u64 = 60_000;
/// A user's sessions on other nodes that one here takes note of.
const MOST_ELSEWHERE: usize = 256;

impl Registry {
    pub fn new(limits: RegistryLimits) -> Self {
        Self {
            users: HashMap::default(),
            sessions: 0,
            in_background: 0,
            removed: Vec::new(),
            changed: HashSet::default(),
            gone: Vec::new(),
            limits,
        }
    }

    /// Adds a session. One with the same label gives way to it, and beyond the user's cap the oldest.
    pub fn connect(&mut self, new: Connect, now_ms: u64) -> Connected {
        let openid = new.openid;
        let slots = self.users.entry(openid.clone()).or_default();
        let mut replaced = Vec::new();
        let mut takeovers = Takeovers::default();
        if let Some(at) = slots.iter().position(|s| (s.dialect, &s.device) == (new.dialect, &new.device)) {
            takeovers = slots[at].takeovers.one_more(now_ms);
            if let Some(retry_ms) = self.limits.too_often(takeovers, now_ms) {
                return Connected::TooOften { retry_ms };
            }
            replaced.push(slots.remove(at));
        }
        if self.limits.sessions_per_user > 0 && slots.len() >= self.limits.sessions_per_user {
            replaced.push(slots.remove(0));
        }
        slots.push(Slot {
            session: new.session,
            dialect: new.dialect,
            open_chat: new.open_chat,
            outbox: new.outbox,
            in_background: false,
            device: new.device,
            issued: new.issued,
            joined_ms: now_ms,
            joined_at: crate::ids::now_ms(),
            elsewhere: SmallVec::new(),
            sequencer: None,
            wake: new.wake,
            takeovers,
        });
        self.sessions = self.sessions + 1 - replaced.len();
        self.in_background -= replaced.iter().filter(|slot: &&Slot| slot.in_background).count();
        self.removed.extend(replaced.iter().map(|slot| slot.session));
        self.changed.insert(openid);
        Connected::Joined { replaced }
    }

    /// Removes exactly this session; a newer one of the same user stays (a farewell may come late).
    pub fn remove(&mut self, openid: &OpenId, session: SessionId) -> Option<Slot> {
        let slots = self.users.get_mut(openid)?;
        let at = slots.iter().position(|s| s.session == session)?;
        let slot = slots.remove(at);
        if slots.is_empty() {
            self.users.remove(openid);
            self.gone.push(openid.clone());
        }
        self.sessions -= 1;
        self.in_background -= usize::from(slot.in_background);
        self.removed.push(session);
        self.changed.insert(openid.clone());
        Some(slot)
    }

    /// Whether the session here that has this label gives way to `joined`, which another node let in. `None`:
    /// there is none.
    pub fn contest(
        &mut self,
        openid: &OpenId,
        joined: SessionId,
        dialect: Dialect,
        device: Option<&Device>,
        now_ms: u64,
    ) -> Option<Contest> {
        let limits = self.limits;
        let slots = self.users.get_mut(openid)?;
        let slot = slots
            .iter_mut()
            .find(|s| s.session != joined && (s.dialect, s.device.as_ref()) == (dialect, device))?;
        if now_ms < slot.joined_ms + SETTLED_MS && slot.session > joined {
            return Some(Contest::Stays { session: slot.session });
        }
        let takeovers = slot.takeovers.one_more(now_ms);
        if let Some(retry_ms) = limits.too_often(takeovers, now_ms) {
            return Some(Contest::TooOften { retry_ms });
        }
        let (session, replacements) = (slot.session, takeovers.told(now_ms));
        self.remove(openid, session).map(|slot| Contest::Gives { slot: Box::new(slot), replacements })
    }

    /// Notes what another node answered to the joining of a session here. The ids of those that must go,
    /// because the user has too many sessions: the oldest.
    pub fn present(
        &mut self,
        openid: &OpenId,
        joined: SessionId,
        sessions: &[SessionId],
        replacements: Replacements,
        now_ms: u64,
    ) -> Vec<SessionId> {
        let cap = self.limits.sessions_per_user;
        let Some(slots) = self.users.get_mut(openid) else { return Vec::new() };
        let mut all: Vec<SessionId> = slots.iter().map(|s| s.session).collect();
        let Some(slot) = slots.iter_mut().find(|s| s.session == joined) else { return Vec::new() };
        slot.takeovers = slot.takeovers.or_more(replacements, now_ms);
        for session in sessions.iter().take(MOST_ELSEWHERE.saturating_sub(slot.elsewhere.len())) {
            if !slot.elsewhere.contains(session) {
                slot.elsewhere.push(*session);
            }
        }
        all.extend(&slot.elsewhere);
        all.sort_unstable();
        all.dedup();
        all.truncate(if cap == 0 { 0 } else { all.len().saturating_sub(cap) });
        slot.elsewhere.retain(|session| !all.contains(session));
        all
    }

    /// Users who have no session any more and had one at the last call.
    pub fn take_gone(&mut self) -> Vec<OpenId> {
        let mut gone = std::mem::take(&mut self.gone);
        gone.retain(|openid| !self.users.contains_key(openid));
        gone.sort_unstable();
        gone.dedup();
        gone
    }

    /// Sessions that were removed since the last call.
    pub fn take_removed(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.removed)
    }

    /// Users with a session that came, went or was looked at since the last [`Registry::take_changed`].
    pub fn changed(&self) -> usize {
        self.changed.len()
    }

    pub fn take_changed(&mut self) -> impl Iterator<Item = OpenId> + use<> {
        std::mem::take(&mut self.changed).into_iter()
    }

    /// Whether a user looks at the app on one of their devices here; `None`: they have no session here.
    pub fn attention(&self, openid: &OpenId) -> Option<Attention> {
        let slots = self.of(openid);
        let is_looking = slots.iter().any(Slot::is_in_foreground);
        let attention = if is_looking { Attention::Foreground } else { Attention::Background };
        (!slots.is_empty()).then_some(attention)
    }

    /// Everyone who has a session.
    pub fn openids(&self) -> impl Iterator<Item = &OpenId> {
        self.users.keys()
    }

    /// Notes whether the user looks at the app on this session's device.
    pub fn look(&mut self, openid: &OpenId, session: SessionId, attention: Attention) {
        let Some(slot) = self.find_mut(openid, session) else { return };
        let before = std::mem::replace(&mut slot.in_background, attention == Attention::Background);
        let now = slot.in_background;
        if now != before {
            self.changed.insert(openid.clone());
        }
        self.in_background = self.in_background + usize::from(now) - usize::from(before);
    }

    /// Takes those sessions of a user out of the map.
    pub fn take(&mut self, openid: &OpenId, which: Which) -> Vec<Slot> {
        let Some(slots) = self.users.get(openid) else { return Vec::new() };
        let ids: Vec<_> = slots.iter().filter(|s| which.covers(s.issued)).map(|s| s.session).collect();
        ids.into_iter().filter_map(|id| self.remove(openid, id)).collect()
    }

    /// A user's sessions, the oldest first.
    pub fn of(&self, openid: &OpenId) -> &[Slot] {
        self.users.get(openid).map_or(&[], |slots| slots)
    }

    pub fn of_mut(&mut self, openid: &OpenId) -> &mut [Slot] {
        self.users.get_mut(openid).map_or(&mut [], |slots| slots)
    }

    pub fn find(&self, openid: &OpenId, session: SessionId) -> Option<&Slot> {
        self.of(openid).iter().find(|s| s.session == session)
    }

    pub fn find_mut(&mut self, openid: &OpenId, session: SessionId) -> Option<&mut Slot> {
        self.users.get_mut(openid)?.iter_mut().find(|s| s.session == session)
    }

    pub fn all(&self) -> impl Iterator<Item = &Slot> {
        self.users.values().flatten()
    }

    pub fn sessions(&self) -> usize {
        self.sessions
    }

    pub fn in_background(&self) -> usize {
        self.in_background
    }

    pub fn users(&self) -> usize {
        self.users.len()
    }
}

impl Slot {
    /// Wakes the session where its outbox asks for it; whether the session must leave the map, because its
    /// outbox ran over.
    #[must_use]
    pub fn after(&self, pushed: Pushed) -> bool {
        match pushed {
            Pushed::Queued | Pushed::Closed => false,
            Pushed::Wake => {
                self.wake.do_send(Wake);
                false
            }
            Pushed::Overflow => {
                self.wake.do_send(Wake);
                true
            }
        }
    }

    /// Whether what others write in a conversation is read as it comes: the seed's rule.
    pub fn is_looking_at(&self, conversation: &Conversation) -> bool {
        self.dialect == Dialect::Plain && self.open_chat.as_ref() == Some(conversation)
    }

    /// Whether the user looks at the app on this device, as far as it told.
    pub fn is_in_foreground(&self) -> bool {
        !self.in_background
    }

    /// As an operator sees it.
    pub fn shown(&self) -> LiveSession {
        LiveSession {
            device: self.device.as_ref().map(|device| device.as_str().to_owned()),
            dialect: <&str>::from(self.dialect).to_owned(),
            since: self.joined_at,
            in_foreground: self.is_in_foreground(),
        }
    }

    pub fn wake(&self) {
        self.wake.do_send(Wake);
    }

    /// Orders the session to close after what is queued for it.
    pub fn close(&self, close: Close) {
        let _ = self.after(self.outbox.close(close));
    }

    /// Tells the session that one of its writes has its answer.
    pub fn answered(&self) {
        if self.outbox.credit_returned() {
            self.wake.do_send(Wake);
        }
    }
}

impl RegistryLimits {
    /// How long to wait where a label was taken over too often.
    fn too_often(self, takeovers: Takeovers, now_ms: u64) -> Option<u64> {
        let is_over = self.replacements_per_minute > 0 && takeovers.count > self.replacements_per_minute;
        is_over.then(|| (takeovers.since_ms + MINUTE_MS).saturating_sub(now_ms).max(1))
    }
}

impl Takeovers {
    fn one_more(self, now_ms: u64) -> Self {
        if self.count > 0 && now_ms < self.since_ms + MINUTE_MS {
            Self { since_ms: self.since_ms, count: self.count + 1 }
        } else {
            Self { since_ms: now_ms, count: 1 }
        }
    }

    fn told(self, now_ms: u64) -> Replacements {
        Replacements { age_ms: now_ms.saturating_sub(self.since_ms), count: self.count }
    }

    /// These, or those that another node counted, where they are more.
    fn or_more(self, other: Replacements, now_ms: u64) -> Self {
        if other.count > self.count {
            Self { since_ms: now_ms.saturating_sub(other.age_ms), count: other.count }
        } else {
            self
        }
    }
}

impl Which {
    pub(super) fn covers(self, issued: Issued) -> bool {
        match self {
            Self::LoggedInBefore { id, at } => issued.is_before(id, at),
            Self::NotPardoned { id, at } => issued.rev.is_none() || issued.is_before(id, at),
            Self::Token(ms) => issued.ms == ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, Handler};
    use prometheus_client::metrics::gauge::Gauge;

    use super::super::outbox::Bounds;
    use super::*;

    struct Nobody;

    impl Actor for Nobody {
        type Context = Context<Self>;
    }

    impl Handler<Wake> for Nobody {
        type Result = ();

        fn handle(&mut self, _: Wake, _: &mut Self::Context) {}
    }

    fn hello(openid: &str, device: &str, issued_ms: i64) -> Connect {
        Connect {
            openid: OpenId::parse(openid).unwrap(),
            session: SessionId::fresh(),
            dialect: Dialect::V1,
            device: Some(Device::parse(device).unwrap()),
            issued: Issued::by_time(issued_ms),
            open_chat: None,
            outbox: Arc::new(Outbox::new(Bounds::new(1024, 1024, Gauge::default()), 0)),
            wake: Nobody.start().recipient(),
        }
    }

    fn registry() -> Registry {
        Registry::new(RegistryLimits { sessions_per_user: 2, replacements_per_minute: 2 })
    }

    fn replaced(c: Connected) -> usize {
        match c {
            Connected::Joined { replaced } => replaced.len(),
            Connected::TooOften { .. } => panic!("refused"),
        }
    }

    #[actix_web::test]
    async fn a_late_farewell_leaves_the_newer_session() {
        let mut r = registry();
        let (old, new) = (hello("a", "d", 0), hello("a", "d", 0));
        let (openid, old_id, new_id) = (old.openid.clone(), old.session, new.session);
        r.connect(old, 0);
        assert_eq!(replaced(r.connect(new, 0)), 1);
        assert!(r.remove(&openid, old_id).is_none());
        assert!(r.find(&openid, new_id).is_some());
        assert_eq!((r.sessions(), r.users()), (1, 1));
        r.remove(&openid, new_id).unwrap();
        assert_eq!((r.sessions(), r.users()), (0, 0));
    }

    #[actix_web::test]
    async fn who_is_in_the_background_is_counted_however_they_go() {
        let mut r = registry();
        let hellos: Vec<_> = ["1", "2", "2", "3"].iter().map(|device| hello("a", device, 0)).collect();
        let openid = hellos[0].openid.clone();
        let mut sessions = Vec::new();
        let mut counts = Vec::new();
        for hello in hellos {
            sessions.push(hello.session);
            r.connect(hello, 0);
            let session = *sessions.last().unwrap();
            for attention in [Attention::Background, Attention::Background] {
                r.look(&openid, session, attention);
            }
            counts.push(r.in_background());
        }
        // One was replaced by its own label, one by the cap.
        assert_eq!(counts, [1, 2, 2, 2]);
        r.look(&openid, sessions[3], Attention::Foreground);
        assert_eq!(r.in_background(), 1);
        r.remove(&openid, sessions[2]);
        assert_eq!(r.in_background(), 0);
    }

    #[actix_web::test]
    async fn beyond_the_cap_the_oldest_goes() {
        let mut r = registry();
        let first = hello("a", "1", 0);
        let (openid, first_id) = (first.openid.clone(), first.session);
        r.connect(first, 0);
        r.connect(hello("a", "2", 0), 0);
        assert_eq!(replaced(r.connect(hello("a", "3", 0), 0)), 1);
        assert!(r.find(&openid, first_id).is_none());
        assert_eq!(r.sessions(), 2);
    }

    #[actix_web::test]
    async fn a_label_is_taken_over_only_so_often_a_minute() {
        let mut r = registry();
        for _ in 0..3 {
            r.connect(hello("a", "d", 0), 5);
        }
        assert!(matches!(r.connect(hello("a", "d", 0), 10), Connected::TooOften { retry_ms: 59_995 }));
        assert_eq!(r.sessions(), 1);
        assert_eq!(replaced(r.connect(hello("a", "d", 0), 5 + MINUTE_MS)), 1);
    }

    #[actix_web::test]
    async fn sessions_end_by_the_login_they_stand_on() {
        let mut r = registry();
        r.connect(hello("a", "1", 10), 0);
        r.connect(hello("a", "2", 20), 0);
        let openid = OpenId::parse("a").unwrap();
        assert_eq!(r.take(&openid, Which::Token(15)).len(), 0);
        assert_eq!(r.take(&openid, Which::LoggedInBefore { id: 1, at: 10 }).len(), 1);
        assert_eq!(r.take(&openid, Which::NotPardoned { id: 1, at: 10 }).len(), 1);
        r.connect(Connect { issued: Issued { ms: 0, rev: Some(7) }, ..hello("a", "3", 0) }, 0);
        assert_eq!(r.take(&openid, Which::NotPardoned { id: 7, at: 9 }).len(), 0);
        assert_eq!(r.take(&openid, Which::LoggedInBefore { id: 7, at: 9 }).len(), 0);
        assert_eq!(r.take(&openid, Which::LoggedInBefore { id: 8, at: -1 }).len(), 1);
        assert_eq!(r.sessions(), 0);
    }
}
