//! The ledger of grants and notices, and settings. The rules are said once, for both databases.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::views::{VIEW, ViewRow};
use crate::event::{Event, MemberSettings, Refusal};
use crate::ids::OpenId;
use crate::store::conversations::queries::of_address;
use crate::store::conversations::steps::STEP_MS;
use crate::store::database::statement::{Statement, Writer};
use crate::store::lanes::command::{Command, Db, Locks, Order, Times};
use crate::store::notices::{
    Abandon, ConversationSettings, GRANTS, GrantChange, Granted, NoticeOutcome, Quiet, QuietHours,
    Reservation, Reserve, Settle, Teller,
};

/// How many of the things that a user agreed to are known again.
const EVENTS: i64 = 200;

/// Milliseconds between the two who tell of one accepted prompt, at the most: a phone without a network tells
/// late, and so does WeChat.
const TOLD_TWICE_WITHIN: i64 = 600_000;

/// States of a notice.
const SENT: i64 = 1;
const FAILED: i64 = 2;
const UNKNOWN: i64 = 3;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct GrantRow {
    #[diesel(sql_type = Text)]
    openid: String,
    #[diesel(sql_type = Text)]
    template: String,
}

/// Reservations and grants of one user are decided one after the other.
fn lock(locks: &mut Locks, openid: &OpenId) {
    locks.user("notices", openid.as_str());
}

impl Command for GrantChange {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.openid.as_str().to_owned())
    }

    fn locks(&self, locks: &mut Locks) {
        lock(locks, &self.openid);
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<(), Refusal>> {
        let (openid, template) = (self.openid.as_str(), self.template.as_str());
        match &self.change {
            Granted::Accepted { by, key } => {
                let (teller, other) = match by {
                    Teller::Client => (1, 2),
                    Teller::WeChat => (2, 1),
                };
                // The two may choose the same name for different prompts.
                let event = format!("{teller}:{key}");
                if is_new(db, openid, template, &event)?
                    && !pair(db, (openid, template, &event), teller, other, times.system)?
                {
                    add(db, openid, template)?;
                }
            }
            Granted::Emptied => {
                let empty =
                    "UPDATE grants SET available = 0 WHERE openid = $1 AND template = $2 AND available > 0";
                db.run(Statement::new(empty).text(openid).text(template))?;
            }
        }
        Ok(Ok(()))
    }
}

/// Notes what a user agreed to; whether it was not known.
fn is_new(conn: &mut impl Writer, openid: &str, template: &str, event: &str) -> QueryResult<bool> {
    let note =
        "INSERT INTO grant_events (openid, template, event) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let is_new = conn.run(Statement::new(note).text(openid).text(template).text(event))? > 0;
    if is_new {
        let forget = "DELETE FROM grant_events WHERE id IN (SELECT e.id FROM grant_events e \
             WHERE e.openid = $1 AND e.template = $2 ORDER BY e.id DESC LIMIT 1000 OFFSET $3)";
        conn.run(Statement::new(forget).text(openid).text(template).number(EVENTS))?;
    }
    Ok(is_new)
}

/// Looks for the other one's word for what `teller` has just told; whether there is one. Each stands for one
/// prompt, the oldest first.
fn pair(
    conn: &mut impl Writer,
    (openid, template, event): (&str, &str, &str),
    teller: i64,
    other: i64,
    now: i64,
) -> QueryResult<bool> {
    let find = "UPDATE grant_events SET paired = 1 WHERE id = (SELECT min(e.id) FROM grant_events e \
         WHERE e.openid = $1 AND e.template = $2 AND e.teller = $3 AND e.paired = 0 AND e.told_at >= $4)";
    let find = Statement::new(find).text(openid).text(template).number(other).number(now - TOLD_TWICE_WITHIN);
    let paired = conn.run(find)? > 0;
    let note = "UPDATE grant_events SET teller = $1, told_at = $2, paired = $3 WHERE openid = $4 AND template = $5 AND event = $6";
    let note = Statement::new(note)
        .number(teller)
        .number(now)
        .number(i64::from(paired))
        .text(openid)
        .text(template)
        .text(event);
    conn.run(note)?;
    Ok(paired)
}

/// One more, as long as there are fewer than [`GRANTS`].
fn add(conn: &mut impl Writer, openid: &str, template: &str) -> QueryResult<()> {
    let add = "INSERT INTO grants (openid, template, available) VALUES ($1, $2, 1) ON CONFLICT (openid, template) \
         DO UPDATE SET available = grants.available + 1 WHERE grants.available < $3";
    conn.run(Statement::new(add).text(openid).text(template).number(i64::from(GRANTS))).map(|_| ())
}

impl Command for Reserve {
    type Reply = Reservation;

    fn order(&self) -> Order {
        Order::Conversation(self.conversation.clone())
    }

    fn locks(&self, locks: &mut Locks) {
        lock(locks, &self.openid);
    }

    /// The second one would find that somebody has reserved it.
    fn is_idempotent(&self) -> bool {
        false
    }

    /// What has become of it is worth more than a quick answer.
    fn outlasts_deadline(&self) -> bool {
        true
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<Reservation, Refusal>> {
        reserve(db, self, times.system).map(Ok)
    }
}

fn reserve(conn: &mut impl Writer, wanted: &Reserve, now: i64) -> QueryResult<Reservation> {
    let (openid, template) = (wanted.openid.as_str(), wanted.template.as_str());
    let (peer, address) =
        (wanted.conversation.address_str(&wanted.openid), wanted.conversation.store_address());
    let Some(view) = conn.rows::<ViewRow>(Statement::new(VIEW).text(openid).text(&address))?.pop() else {
        return Ok(Reservation::NotUnread);
    };
    if view.unread == 0 || wanted.up_to.get() <= view.floor_seq {
        return Ok(Reservation::NotUnread);
    }
    if view.muted {
        return Ok(Reservation::Muted);
    }
    if !view.has_written && !wanted.strangers {
        return Ok(Reservation::Stranger);
    }
    if view.told {
        return Ok(Reservation::AlreadyTold);
    }
    let take =
        "UPDATE grants SET available = available - 1 WHERE openid = $1 AND template = $2 AND available > 0";
    if conn.run(Statement::new(take).text(openid).text(template))? == 0 {
        return Ok(Reservation::NoGrant);
    }
    let forget = "DELETE FROM notices WHERE openid = $1 AND peer = $2 AND state <> 0";
    conn.run(Statement::new(forget).text(openid).text(peer))?;
    let note = "INSERT INTO notices (openid, peer, template, told_seq, node, reserved_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    let note = Statement::new(note)
        .text(openid)
        .text(peer)
        .text(template)
        .number(view.last_seq)
        .text(&wanted.node)
        .number(now);
    let noted = conn.rows::<IdRow>(note)?.pop().ok_or(diesel::result::Error::NotFound)?;
    Ok(Reservation::Reserved { id: noted.id, unread: view.unread })
}

impl Command for Settle {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.id.to_string())
    }

    fn locks(&self, locks: &mut Locks) {
        locks.notice(self.id);
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<(), Refusal>> {
        let (state, detail) = match &self.outcome {
            NoticeOutcome::Sent { msgid } => (SENT, msgid.clone().unwrap_or_default()),
            NoticeOutcome::Failed { code } => (FAILED, code.to_string()),
            NoticeOutcome::Unknown => (UNKNOWN, String::new()),
            NoticeOutcome::Returned => {
                let forget = "DELETE FROM notices WHERE id = $1 AND state = 0 RETURNING openid, template";
                if let Some(grant) = db.rows::<GrantRow>(Statement::new(forget).number(self.id))?.pop() {
                    add(db, &grant.openid, &grant.template)?;
                }
                return Ok(Ok(()));
            }
        };
        let settle =
            "UPDATE notices SET state = $1, settled_at = $2, detail = $3 WHERE id = $4 AND state = 0";
        let settle = Statement::new(settle).number(state).number(times.system).text(&detail).number(self.id);
        db.run(settle).map(|_| Ok(()))
    }
}

impl Command for Abandon {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(String::new())
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<(), Refusal>> {
        let abandon = "UPDATE notices SET state = $1, settled_at = $2 WHERE state = 0 AND reserved_at < $3";
        let abandon =
            Statement::new(abandon).number(UNKNOWN).number(times.system).number(self.reserved_before);
        db.run(abandon).map(|_| Ok(()))
    }
}

#[derive(QueryableByName)]
struct SettingsRow {
    #[diesel(sql_type = Bool)]
    muted: bool,
    #[diesel(sql_type = Bool)]
    pinned: bool,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl ConversationSettings {
    /// How they stand; `None` without the conversation.
    fn standing(&self, db: &mut Db<'_>) -> QueryResult<Option<MemberSettings>> {
        const STANDING: &str =
            concat!("SELECT m.muted, m.pinned FROM members m WHERE m.openid = $1 AND ", of_address!("$2"));
        let address = self.conversation.store_address();
        let row =
            db.rows::<SettingsRow>(Statement::new(STANDING).text(self.openid.as_str()).text(&address))?.pop();
        Ok(row.map(|SettingsRow { muted, pinned }| MemberSettings { muted, pinned }))
    }

    fn has_room_for_a_pin(&self, db: &mut Db<'_>) -> QueryResult<bool> {
        const PINNED: &str =
            "SELECT count(*) AS count FROM members m WHERE m.openid = $1 AND m.pinned = TRUE";
        if self.pinned_limit == 0 {
            return Ok(true);
        }
        let row = db.rows::<CountRow>(Statement::new(PINNED).text(self.openid.as_str()))?.pop();
        Ok(row.is_none_or(|row| row.count < i64::from(self.pinned_limit)))
    }
}

impl Command for ConversationSettings {
    /// How they stand now, where they were others before.
    type Reply = Option<MemberSettings>;

    fn order(&self) -> Order {
        Order::Conversation(self.conversation.clone())
    }

    fn locks(&self, locks: &mut Locks) {
        // Two conversations of a user may be in two lanes, and both the last one that may be pinned.
        if self.pinned == Some(true) {
            locks.user("pins", self.openid.as_str());
        }
    }

    fn setting(&self) -> Option<String> {
        Some(format!("settings of {} in {}", self.openid, self.conversation.store_address()))
    }

    fn event(&self, changed: &Option<MemberSettings>) -> Option<Event> {
        let (openid, conversation) = (self.openid.clone(), self.conversation.clone());
        changed.map(|settings| Event::Settings { openid, conversation, settings })
    }

    fn apply(&self, db: &mut Db<'_>, times: Times) -> QueryResult<Result<Option<MemberSettings>, Refusal>> {
        let Some(before) = self.standing(db)? else { return Ok(Err(Refusal::NotFound)) };
        let settings = MemberSettings {
            muted: self.muted.unwrap_or(before.muted),
            pinned: self.pinned.unwrap_or(before.pinned),
        };
        if settings == before {
            return Ok(Ok(None));
        }
        if settings.pinned && !before.pinned && !self.has_room_for_a_pin(db)? {
            return Ok(Err(Refusal::TooMany));
        }
        // Only they see it, on their other devices too.
        const SET: &str = concat!(
            "UPDATE members AS m SET muted = ($1 = 1), pinned = ($2 = 1), \
             changed_at = CASE WHEN m.changed_at <= $3 THEN $4 ELSE m.changed_at END WHERE ",
            of_address!("$5"),
            " AND m.openid = $6"
        );
        let address = self.conversation.store_address();
        let set = Statement::new(SET).number(i64::from(settings.muted)).number(i64::from(settings.pinned));
        let set = set.number(times.store - STEP_MS).number(times.store);
        db.run(set.text(&address).text(self.openid.as_str()))?;
        Ok(Ok(Some(settings)))
    }
}

impl Command for QuietHours {
    type Reply = ();

    fn order(&self) -> Order {
        Order::Own(self.openid.as_str().to_owned())
    }

    fn locks(&self, locks: &mut Locks) {
        lock(locks, &self.openid);
    }

    fn apply(&self, db: &mut Db<'_>, _: Times) -> QueryResult<Result<(), Refusal>> {
        let openid = self.openid.as_str();
        let statement = match &self.quiet {
            None => Statement::new("DELETE FROM quiet_hours WHERE openid = $1").text(openid),
            Some(Quiet { from_minute, to_minute, utc_offset_minutes }) => {
                let set = "INSERT INTO quiet_hours (openid, from_minute, to_minute, utc_offset_minutes) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (openid) DO UPDATE SET from_minute = excluded.from_minute, to_minute = excluded.to_minute, \
                     utc_offset_minutes = excluded.utc_offset_minutes";
                let [from, to] = [from_minute, to_minute].map(|minute| i64::from(*minute));
                let set = Statement::new(set).text(openid).number(from).number(to);
                set.number(i64::from(*utc_offset_minutes))
            }
        };
        db.run(statement).map(|_| Ok(()))
    }
}
