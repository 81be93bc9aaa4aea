//! Trace lines: what befalls the messages of a few users, hop by hop and on every node, while an operator
//! asks for it (`hongyan trace`).
//!
//! A line says who, which message and when, never what was written. The users are those of the process, as
//! the logger is its own: whoever does something to a message asks [`of`], which costs one relaxed load where
//! nobody is traced.

mod budget;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use log::kv::{self, VisitSource};
use log::{Level, Record};

use crate::event::Conversation;
use crate::ids::{ClientMsgId, OpenId, Seq, SessionId, now_us};

pub use budget::{Budget, Spent};

/// The target of these lines. It is let through whatever `log.filter` says of others.
pub const TARGET: &str = "hongyan::trace";
/// Maximum number of users who are traced at once.
pub const USERS_AT_MOST: usize = 16;
/// Maximum trace lines of a node in a second: a traced user may be in a loop.
const LINES_PER_SECOND: u32 = 500;

/// Whether anybody may be traced. All that is asked where nobody is.
static IS_ON: AtomicBool = AtomicBool::new(false);
static USERS: RwLock<Vec<Traced>> = RwLock::new(Vec::new());
static LINES: Mutex<Budget> = Mutex::new(Budget::new(LINES_PER_SECOND));

/// A user who is traced, and until when by this process's clock: it ends though the database be away.
#[derive(Debug, Clone)]
struct Traced {
    openid: OpenId,
    until: Instant,
}

/// Replaces the users who are traced, each for so long from now. Those beyond [`USERS_AT_MOST`] are left out.
pub fn set(users: impl IntoIterator<Item = (OpenId, Duration)>) {
    let now = Instant::now();
    let of = |(openid, left): (OpenId, Duration)| Some(Traced { openid, until: now.checked_add(left)? });
    let users: Vec<Traced> = users.into_iter().filter_map(of).take(USERS_AT_MOST).collect();
    let mut traced = USERS.write().unwrap_or_else(PoisonError::into_inner);
    for begun in users.iter().filter(|user| !traced.iter().any(|before| before.openid == user.openid)) {
        Line::new("trace begins").text("user", begun.openid.as_str()).write_uncounted();
    }
    for ended in traced.iter().filter(|before| !users.iter().any(|user| user.openid == before.openid)) {
        Line::new("trace ends").text("user", ended.openid.as_str()).write_uncounted();
    }
    *traced = users;
    IS_ON.store(!traced.is_empty(), Ordering::Relaxed);
}

/// Ends those whose time is over.
pub fn end_overdue() {
    if !is_on() {
        return;
    }
    let now = Instant::now();
    let left: Vec<_> = {
        let users = USERS.read().unwrap_or_else(PoisonError::into_inner);
        let left = |user: &Traced| user.until.checked_duration_since(now).filter(|left| !left.is_zero());
        users.iter().filter_map(|user| Some((user.openid.clone(), left(user)?))).collect()
    };
    set(left);
}

/// Tells of lines that were left out, once the second is over that had too many.
pub fn tell_of_left_out() {
    let left_out = LINES.lock().unwrap_or_else(PoisonError::into_inner).tick(Instant::now());
    tell_left_out(left_out);
}

/// Whether anybody may be traced.
#[inline]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// The line of one hop of what `from` has written in a conversation, if they are traced, or the one to whom it
/// goes.
#[inline]
pub fn of(hop: &'static str, from: &OpenId, conversation: &Conversation) -> Option<Line> {
    if !is_on() {
        return None;
    }
    let is_traced = is_traced(from) || conversation.peer(from).is_some_and(is_traced);
    is_traced.then(|| Line::new(hop).text("from", from.as_str()).text("to", conversation.address_str(from)))
}

/// The line of what one user does, if they are traced.
#[inline]
pub fn of_user(what: &'static str, user: &OpenId) -> Option<Line> {
    if !is_on() {
        return None;
    }
    is_traced(user).then(|| Line::new(what).text("user", user.as_str()))
}

#[cold]
fn is_traced(openid: &OpenId) -> bool {
    let now = Instant::now();
    USERS
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .any(|user| user.openid == *openid && now < user.until)
}

/// A trace line in the making.
#[must_use]
#[derive(Debug)]
pub struct Line {
    hop: &'static str,
    fields: Vec<(&'static str, Field)>,
}

#[derive(Debug)]
enum Field {
    Text(String),
    Number(i64),
}

impl Line {
    fn new(hop: &'static str) -> Self {
        // The log's own time has milliseconds only, and hops are shorter.
        Self { hop, fields: Vec::with_capacity(8) }.number("at_us", now_us())
    }

    pub fn text(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((key, Field::Text(value.into())));
        self
    }

    pub fn number(mut self, key: &'static str, value: i64) -> Self {
        self.fields.push((key, Field::Number(value)));
        self
    }

    pub fn shown(self, key: &'static str, value: impl fmt::Display) -> Self {
        self.text(key, value.to_string())
    }

    pub fn seq(self, seq: Seq) -> Self {
        self.number("seq", seq.get())
    }

    pub fn session(self, session: SessionId) -> Self {
        self.shown("session", session)
    }

    pub fn client_msg_id(self, id: Option<&ClientMsgId>) -> Self {
        match id {
            Some(id) => self.text("client_msg_id", id.as_str()),
            None => self,
        }
    }

    /// The id of the HTTP request by which a session began.
    pub fn request_id(self, id: Option<&str>) -> Self {
        match id {
            Some(id) => self.text("request_id", id),
            None => self,
        }
    }

    /// Writes it, unless this second has had its lines.
    pub fn write(self) {
        let spent = LINES.lock().unwrap_or_else(PoisonError::into_inner).spend(Instant::now());
        if let Spent::Line { left_out } = spent {
            tell_left_out(left_out);
            self.write_uncounted();
        }
    }

    fn write_uncounted(self) {
        let mut record = Record::builder();
        record.level(Level::Info).target(TARGET).module_path_static(Some(TARGET)).key_values(&self);
        log::logger().log(&record.args(format_args!("{}", self.hop)).build());
    }
}

fn tell_left_out(lines: u64) {
    if lines > 0 {
        log::warn!(target: TARGET, lines = lines; "trace lines were left out: more than {LINES_PER_SECOND} in a second");
    }
}

impl kv::Source for Line {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        for (key, value) in &self.fields {
            let value = match value {
                Field::Text(text) => kv::Value::from(text.as_str()),
                Field::Number(number) => kv::Value::from(*number),
            };
            visitor.visit_pair(kv::Key::from_str(key), value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The users are the process's, so all of it stands in one test.
    #[test]
    fn lines_are_for_who_is_traced_and_only_so_long() {
        let (alice, bob, carol) = ("alice", "bob", "carol");
        let id = |text: &str| OpenId::parse(text).unwrap();
        let with = |a: &str, b: &str| Conversation::direct(id(a), id(b));
        assert!(of("received", &id(alice), &with(alice, bob)).is_none());
        set([(id(alice), Duration::from_secs(60)), (id(carol), Duration::from_millis(1))]);
        assert!(
            of("received", &id(alice), &with(alice, bob)).is_some()
                && of("received", &id(bob), &with(alice, bob)).is_some()
        );
        assert!(of("received", &id(bob), &with(bob, "dave")).is_none());
        while of_user("http", &id(carol)).is_some() {
            std::thread::yield_now();
        }
        end_overdue();
        assert_eq!(USERS.read().unwrap().len(), 1);
        let line = of("committed", &id(alice), &with(alice, bob)).unwrap();
        let line = line.seq(Seq::parse(7).unwrap()).request_id(Some("r"));
        let fields: Vec<_> = line.fields.iter().map(|(key, _)| *key).collect();
        assert_eq!(fields, ["at_us", "from", "to", "seq", "request_id"]);
        set((0..2 * USERS_AT_MOST).map(|n| (id(&format!("u{n}")), Duration::from_secs(60))));
        assert_eq!(USERS.read().unwrap().len(), USERS_AT_MOST);
        set([]);
        assert!(!IS_ON.load(Ordering::Relaxed) && of_user("http", &id("u0")).is_none());
    }
}
