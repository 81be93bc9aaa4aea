//! Messages to those who are away: the ledger of grants, what was sent, and who wants to be left alone. The
//! rules are said once, for both databases.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, SmallInt, Text};

use super::address::direct;
use super::batch::Outcome;
use super::conn::Conn;
use super::messages::{
    Abandon, Candidate, ConversationSettings, GRANTS, GrantChange, Granted, NoticeCandidates, NoticeOutcome,
    NoticeStanding, NoticeState, Query, Quiet, QuietHours, Reservation, Reserve, Settle, Teller, UntoldPage,
    UntoldSince, Write,
};
use super::queries::{and_one, floor, last_seq, of_address, seq, unread, unreadable};
use super::statement::{Statement, Writer};
use super::steps::STEP_MS;
use crate::event::Refusal;
use crate::ids::{OpenId, TemplateId};

/// How many of the things that a user agreed to are known again.
const EVENTS: i64 = 200;

/// Milliseconds between the two who tell of one accepted prompt, at the most: a phone without a network tells
/// late, and so does WeChat.
const TOLD_TWICE_WITHIN: i64 = 600_000;

/// States of a notice.
const SENT: i64 = 1;
const FAILED: i64 = 2;
const UNKNOWN: i64 = 3;

/// A user's views of their conversations: where the unread part begins, where it ends, and whether they were
/// told of it already.
macro_rules! view {
    () => {
        concat!(
            "SELECT m.openid, m.peer, m.conversation_id, m.uncounted, m.muted, m.sent_seq > 0 AS has_written, ",
            floor!(),
            ", ",
            last_seq!(),
            ", coalesce((SELECT x.sent_at FROM messages x WHERE x.conversation_id = m.conversation_id ORDER BY x.seq DESC LIMIT 1), 0) \
             AS last_at FROM members m WHERE m.openid = $1 AND "
        )
    };
}

macro_rules! told {
    () => {
        "EXISTS (SELECT 1 FROM notices n WHERE n.openid = t.openid AND n.peer = t.peer AND n.told_seq > t.floor_seq) AS told"
    };
}

const VIEW: &str = concat!(
    "WITH t AS MATERIALIZED (",
    view!(),
    of_address!("$2"),
    ") SELECT t.peer, t.floor_seq, t.last_seq, t.last_at, t.muted, t.has_written, ",
    unread!(),
    " AS unread, ",
    told!(),
    " FROM t"
);

const VIEWS: &str = concat!(
    "WITH t AS MATERIALIZED (",
    view!(),
    "m.may_have_unread) SELECT t.peer, t.floor_seq, t.last_seq, t.last_at, t.muted, t.has_written, ",
    unread!(),
    " AS unread, ",
    told!(),
    " FROM t WHERE t.last_at >= $2 AND t.last_seq > t.floor_seq ORDER BY t.last_at, t.peer"
);

#[derive(QueryableByName)]
struct ViewRow {
    #[diesel(sql_type = Text)]
    peer: String,
    #[diesel(sql_type = BigInt)]
    floor_seq: i64,
    #[diesel(sql_type = BigInt)]
    last_seq: i64,
    #[diesel(sql_type = BigInt)]
    last_at: i64,
    #[diesel(sql_type = Bool)]
    muted: bool,
    /// The user has written to the peer.
    #[diesel(sql_type = Bool)]
    has_written: bool,
    #[diesel(sql_type = BigInt)]
    unread: i64,
    #[diesel(sql_type = Bool)]
    told: bool,
}

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

/// Does what a write asks for. `now` is the system's clock, `at` the store's own.
pub(super) fn write(conn: &mut impl Writer, write: &Write, now: i64, at: i64) -> QueryResult<Outcome> {
    match write {
        Write::Grant(change) => grant(conn, change, now),
        Write::Reserve(wanted) => reserve(conn, wanted, now).map(Outcome::Reservation),
        Write::Settle(settle) => self::settle(conn, settle, now),
        Write::Abandon(abandon) => self::abandon(conn, abandon, now),
        Write::Settings(settings) => set(conn, settings, at),
        Write::Quiet(hours) => quiet(conn, hours),
        _ => Ok(Outcome::Done),
    }
}

/// Whether a write is done by [`write()`].
pub(super) fn is_one(write: &Write) -> bool {
    matches!(
        write,
        Write::Grant(_)
            | Write::Reserve(_)
            | Write::Settle(_)
            | Write::Abandon(_)
            | Write::Settings(_)
            | Write::Quiet(_)
    )
}

/// On PostgreSQL, before a transaction does the first of them: those about one user go one after the other.
/// All locks are taken at once and in one order, so that no two transactions wait for each other in a circle.
pub(super) fn lock(conn: &mut PgConnection, writes: &[Write]) -> QueryResult<()> {
    const LOCK: &str = "SELECT count(pg_advisory_xact_lock(k.key)) AS id FROM ( \
             SELECT DISTINCT hashtextextended('hongyan notices ' || u.openid, 0) AS key FROM ( \
                 SELECT unnest(string_to_array($1, ',')) AS openid \
                 UNION SELECT n.openid FROM notices n WHERE n.id = ANY (string_to_array($2, ',')::bigint[]) \
             ) u ORDER BY 1 \
         ) k";
    let mut users = Vec::new();
    let mut ids = Vec::new();
    for write in writes {
        match write {
            Write::Grant(w) => users.push(w.openid.as_str()),
            Write::Reserve(w) => users.push(w.openid.as_str()),
            Write::Quiet(w) => users.push(w.openid.as_str()),
            Write::Settle(w) => ids.push(w.id.to_string()),
            _ => {}
        }
    }
    conn.rows::<IdRow>(Statement::new(LOCK).text(&users.join(",")).text(&ids.join(","))).map(|_| ())
}

fn grant(
    conn: &mut impl Writer,
    GrantChange { openid, template, change, .. }: &GrantChange,
    now: i64,
) -> QueryResult<Outcome> {
    let (openid, template) = (openid.as_str(), template.as_str());
    match change {
        Granted::Accepted { by, key } => {
            let (teller, other) = match by {
                Teller::Client => (1, 2),
                Teller::WeChat => (2, 1),
            };
            // The two may choose the same name for different prompts.
            let event = format!("{teller}:{key}");
            if is_new(conn, openid, template, &event)?
                && !pair(conn, (openid, template, &event), teller, other, now)?
            {
                add(conn, openid, template)?;
            }
        }
        Granted::Emptied => {
            let empty =
                "UPDATE grants SET available = 0 WHERE openid = $1 AND template = $2 AND available > 0";
            conn.run(Statement::new(empty).text(openid).text(template))?;
        }
    }
    Ok(Outcome::Done)
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

fn reserve(conn: &mut impl Writer, wanted: &Reserve, now: i64) -> QueryResult<Reservation> {
    let (openid, peer, template) = (wanted.openid.as_str(), wanted.peer.as_str(), wanted.template.as_str());
    let address = direct(&wanted.openid, &wanted.peer);
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

fn settle(conn: &mut impl Writer, Settle { id, outcome, .. }: &Settle, now: i64) -> QueryResult<Outcome> {
    let (state, detail) = match outcome {
        NoticeOutcome::Sent { msgid } => (SENT, msgid.clone().unwrap_or_default()),
        NoticeOutcome::Failed { code } => (FAILED, code.to_string()),
        NoticeOutcome::Unknown => (UNKNOWN, String::new()),
        NoticeOutcome::Returned => {
            let forget = "DELETE FROM notices WHERE id = $1 AND state = 0 RETURNING openid, template";
            if let Some(grant) = conn.rows::<GrantRow>(Statement::new(forget).number(*id))?.pop() {
                add(conn, &grant.openid, &grant.template)?;
            }
            return Ok(Outcome::Done);
        }
    };
    let settle = "UPDATE notices SET state = $1, settled_at = $2, detail = $3 WHERE id = $4 AND state = 0";
    conn.run(Statement::new(settle).number(state).number(now).text(&detail).number(*id))?;
    Ok(Outcome::Done)
}

fn abandon(
    conn: &mut impl Writer,
    Abandon { reserved_before, .. }: &Abandon,
    now: i64,
) -> QueryResult<Outcome> {
    let abandon = "UPDATE notices SET state = $1, settled_at = $2 WHERE state = 0 AND reserved_at < $3";
    conn.run(Statement::new(abandon).number(UNKNOWN).number(now).number(*reserved_before))?;
    Ok(Outcome::Done)
}

fn set(conn: &mut impl Writer, settings: &ConversationSettings, at: i64) -> QueryResult<Outcome> {
    let (openid, muted) = (settings.openid.as_str(), i64::from(settings.muted));
    let address = direct(&settings.openid, &settings.peer);
    // Only they see it, on their other devices too.
    const SET: &str = concat!(
        "UPDATE members AS m SET muted = ($1 = 1), changed_at = CASE WHEN m.changed_at <= $2 THEN $3 ELSE m.changed_at END WHERE ",
        of_address!("$4"),
        " AND m.openid = $5 AND m.muted <> ($6 = 1)"
    );
    let set = Statement::new(SET)
        .number(muted)
        .number(at - STEP_MS)
        .number(at)
        .text(&address)
        .text(openid)
        .number(muted);
    if conn.run(set)? > 0 {
        return Ok(Outcome::Settings { changed: true });
    }
    const KNOWN: &str =
        concat!("SELECT m.conversation_id AS id FROM members m WHERE m.openid = $1 AND ", of_address!("$2"));
    let known = Statement::new(KNOWN).text(openid).text(&address);
    let is_known = conn.rows::<IdRow>(known)?.pop().is_some();
    Ok(if is_known { Outcome::Settings { changed: false } } else { Outcome::Refused(Refusal::NotFound) })
}

fn quiet(conn: &mut impl Writer, QuietHours { openid, quiet, .. }: &QuietHours) -> QueryResult<Outcome> {
    let statement = match quiet {
        None => Statement::new("DELETE FROM quiet_hours WHERE openid = $1").text(openid.as_str()),
        Some(Quiet { from_minute, to_minute, utc_offset_minutes }) => {
            let set = "INSERT INTO quiet_hours (openid, from_minute, to_minute, utc_offset_minutes) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (openid) DO UPDATE SET from_minute = excluded.from_minute, to_minute = excluded.to_minute, \
                 utc_offset_minutes = excluded.utc_offset_minutes";
            let [from, to] = [from_minute, to_minute].map(|minute| i64::from(*minute));
            Statement::new(set)
                .text(openid.as_str())
                .number(from)
                .number(to)
                .number(i64::from(*utc_offset_minutes))
        }
    };
    conn.run(statement)?;
    Ok(Outcome::Done)
}

const CANDIDATE: &str = "SELECT coalesce((SELECT p.nickname FROM profiles p WHERE p.openid = $1), '') AS nickname, \
     EXISTS (SELECT 1 FROM grants g WHERE g.openid = $2 AND g.template = $3 AND g.available > 0) AS granted";

#[derive(QueryableByName)]
struct CandidateRow {
    #[diesel(sql_type = Text)]
    nickname: String,
    #[diesel(sql_type = Bool)]
    granted: bool,
}

#[derive(QueryableByName)]
struct QuietRow {
    #[diesel(sql_type = SmallInt)]
    from_minute: i16,
    #[diesel(sql_type = SmallInt)]
    to_minute: i16,
    #[diesel(sql_type = SmallInt)]
    utc_offset_minutes: i16,
}

fn quiet_of(conn: &mut Conn, openid: &OpenId) -> QueryResult<Option<Quiet>> {
    let hours =
        "SELECT q.from_minute, q.to_minute, q.utc_offset_minutes FROM quiet_hours q WHERE q.openid = $1";
    let row = Statement::new(hours).text(openid.as_str()).get_result::<QuietRow>(conn).optional()?;
    Ok(row.map(|row| Quiet {
        from_minute: row.from_minute.unsigned_abs(),
        to_minute: row.to_minute.unsigned_abs(),
        utc_offset_minutes: row.utc_offset_minutes,
    }))
}

impl Query for NoticeCandidates {
    type Answer = Vec<Candidate>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Vec<Candidate>> {
        let mut candidates = Vec::new();
        for (recipient, peer, up_to) in &self.of {
            let address = direct(recipient, peer);
            let view = Statement::new(VIEW).text(recipient.as_str()).text(&address);
            let Some(view) = view.get_result::<ViewRow>(conn).optional()? else { continue };
            if view.unread == 0 || up_to.get() <= view.floor_seq {
                continue;
            }
            let row = Statement::new(CANDIDATE)
                .text(peer.as_str())
                .text(recipient.as_str())
                .text(self.template.as_str());
            let CandidateRow { nickname, granted } = row.get_result(conn)?;
            candidates.push(Candidate {
                recipient: recipient.clone(),
                peer: peer.clone(),
                unread: view.unread,
                newest: view.last_at,
                nickname,
                granted,
                muted: view.muted,
                has_written: view.has_written,
                quiet: quiet_of(conn, recipient)?,
            });
        }
        Ok(candidates)
    }
}

#[derive(QueryableByName)]
struct AvailableRow {
    #[diesel(sql_type = Text)]
    template: String,
    #[diesel(sql_type = BigInt)]
    available: i64,
}

impl Query for NoticeState {
    type Answer = NoticeStanding;

    fn run(&self, conn: &mut Conn) -> QueryResult<NoticeStanding> {
        let grants = "SELECT g.template, g.available FROM grants g WHERE g.openid = $1 AND g.available > 0 ORDER BY g.template";
        let rows = Statement::new(grants).text(self.openid.as_str()).load::<AvailableRow>(conn)?;
        let grants = rows.into_iter().map(|row| {
            let template = TemplateId::parse(&row.template).map_err(unreadable)?;
            Ok((template, u32::try_from(row.available).unwrap_or(GRANTS)))
        });
        Ok(NoticeStanding {
            grants: grants.collect::<QueryResult<_>>()?,
            quiet: quiet_of(conn, &self.openid)?,
        })
    }
}

#[derive(QueryableByName)]
struct UserRow {
    #[diesel(sql_type = Text)]
    openid: String,
}

impl Query for UntoldSince {
    type Answer = UntoldPage;

    fn run(&self, conn: &mut Conn) -> QueryResult<UntoldPage> {
        let users = "SELECT g.openid FROM grants g WHERE g.template = $1 AND g.openid > $2 AND g.available > 0 ORDER BY g.openid LIMIT $3";
        let after = self.after.as_ref().map_or("", OpenId::as_str);
        let users =
            Statement::new(users).text(self.template.as_str()).text(after).number(and_one(self.limit));
        let rows = users.load::<UserRow>(conn)?;
        let users = rows
            .iter()
            .map(|row| OpenId::parse(&row.openid).map_err(unreadable))
            .collect::<QueryResult<Vec<_>>>()?;
        let mut untold = Vec::new();
        for openid in users.iter().take(self.limit) {
            let views = Statement::new(VIEWS).text(openid.as_str()).number(self.at).load::<ViewRow>(conn)?;
            for view in views.iter().filter(|view| {
                view.unread > 0 && !view.muted && !view.told && (view.has_written || self.strangers)
            }) {
                untold.push((
                    openid.clone(),
                    OpenId::parse(&view.peer).map_err(unreadable)?,
                    seq(view.last_seq),
                ));
            }
        }
        let next = users.get(self.limit.wrapping_sub(1)).filter(|_| users.len() > self.limit).cloned();
        Ok(UntoldPage { untold, next })
    }
}
