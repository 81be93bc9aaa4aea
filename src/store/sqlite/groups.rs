//! Writes about groups. Nothing of a group is remembered between batches: each write looks its row and its
//! member's up and changes them at once, the same statements as in `postgres/groups.sql`.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::batch::{Batch, repeats_only};
use crate::event::Refusal;
use crate::ids::{GroupId, OpenId, Seq};
use crate::store::conversations::groups::block_seqs;
use crate::store::conversations::steps::STEP_MS;
use crate::store::conversations::sync::REPEATED_AFTER_MS;
use crate::store::database::error::Trouble;
use crate::store::database::schema::messages;
use crate::store::database::statement::{Statement, Writer};
use crate::store::lanes::batch::{MarkKind, Outcome, RECALLED_BODY, Roster, repeat};
use crate::store::messages::rows::{MessageRow, message_columns};
use crate::store::messages::{Admission, Append};
use crate::store::readers::query::unreadable;

/// Members of the groups that a batch has written to.
#[derive(Default)]
pub(super) struct Rosters(HashMap<i64, Roster>);

impl Rosters {
    /// Has them read anew, because somebody may have joined or left.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn of(&mut self, conn: &mut SqliteConnection, group: i64) -> Result<Roster, Trouble> {
        if let Some(roster) = self.0.get(&group) {
            return Ok(roster.clone());
        }
        const MEMBERS: &str = "SELECT openid FROM members WHERE conversation_id = $1 ORDER BY openid";
        let rows: Vec<OpenidRow> = conn.rows(Statement::new(MEMBERS).number(group))?;
        let members = rows.iter().map(|row| OpenId::parse(&row.openid).map_err(unreadable));
        let roster = Roster::Group(members.collect::<QueryResult<_>>()?);
        self.0.insert(group, roster.clone());
        Ok(roster)
    }
}

#[derive(QueryableByName)]
struct OpenidRow {
    #[diesel(sql_type = Text)]
    openid: String,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// A group, and the marks of one of its members.
#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    last_seq: i64,
    #[diesel(sql_type = BigInt)]
    read_seq: i64,
    #[diesel(sql_type = BigInt)]
    cleared_seq: i64,
}

impl<'w> Batch<'_, 'w> {
    pub(super) fn group_id(&mut self, group: &GroupId) -> Result<Option<i64>, Trouble> {
        const ID: &str = "SELECT id FROM conversations WHERE address = $1";
        let rows: Vec<IdRow> = self.conn.rows(Statement::new(ID).text(group.as_str()))?;
        Ok(rows.first().map(|row| row.id))
    }

    /// None where `who` is no member.
    fn member(&mut self, group: &GroupId, who: &OpenId) -> Result<Option<MemberRow>, Trouble> {
        const MEMBER: &str = "SELECT c.id, c.last_seq, m.read_seq, m.cleared_seq FROM conversations c \
             JOIN members m ON m.conversation_id = c.id WHERE c.address = $1 AND m.openid = $2";
        let member = Statement::new(MEMBER).text(group.as_str()).text(who.as_str());
        Ok(self.conn.rows(member)?.pop())
    }

    pub(super) fn append_to_group(
        &mut self,
        append: &'w Append,
        group: &GroupId,
        hash: Option<i64>,
    ) -> Result<Outcome, Trouble> {
        let draft = &append.draft;
        let Some(MemberRow { id, last_seq, .. }) = self.member(group, &draft.sender)? else {
            return Ok(Outcome::Refused(Refusal::NotFound));
        };
        if let Some(target) = draft.target {
            return self.recall_in_group(append, id, last_seq + 1, target);
        }
        if let Some(hash) = hash
            && let Some(stored) = self.stored(id, hash, draft)?
        {
            self.touch_group(id)?;
            return Ok(repeat(append, stored, false, self.rosters.of(self.conn, id)?));
        }
        if let Some(refusal) = repeats_only(append) {
            return Ok(Outcome::Refused(refusal));
        }
        let seq = last_seq + 1;
        self.insert(append, hash, id, seq);
        self.grow(id, seq)?;
        const SENT: &str = "UPDATE members SET sent_seq = $1 WHERE conversation_id = $2 AND openid = $3";
        self.conn.run(Statement::new(SENT).number(seq).number(id).text(draft.sender.as_str()))?;
        let roster = self.rosters.of(self.conn, id)?;
        Ok(self.appended(seq, None, roster))
    }

    /// Appends the recall as `seq` and overwrites its target.
    fn recall_in_group(
        &mut self,
        append: &'w Append,
        group: i64,
        seq: i64,
        target: Seq,
    ) -> Result<Outcome, Trouble> {
        self.insert_messages()?;
        let of = |seq: i64| messages::table.find((group, seq));
        let own = of(target.get())
            .filter(messages::sender.eq(append.draft.sender.as_str()))
            .filter(messages::target_seq.is_null())
            .select((messages::sent_at, messages::recalled))
            .first::<(i64, bool)>(self.conn)
            .optional()?;
        if let Some((_, true)) = own {
            self.touch_group(group)?;
            let done = messages::table
                .filter(messages::conversation_id.eq(group))
                .filter(messages::target_seq.eq(target.get()))
                .select(message_columns())
                .first::<MessageRow>(self.conn)?;
            return Ok(repeat(append, done.into_message()?, false, self.rosters.of(self.conn, group)?));
        }
        let is_too_old = |sent_at: i64| self.now.saturating_sub(sent_at) >= self.limits.recall_within_ms;
        let refusal = match (repeats_only(append), own) {
            (Some(refusal), _) => Some(refusal),
            (None, None) => Some(Refusal::NotFound),
            (None, Some((sent_at, _))) if append.admission == Admission::Open && is_too_old(sent_at) => {
                Some(Refusal::RecallExpired)
            }
            (None, Some(_)) => None,
        };
        if let Some(refusal) = refusal {
            return Ok(Outcome::Refused(refusal));
        }
        self.insert(append, None, group, seq);
        self.insert_messages()?;
        diesel::update(of(target.get()))
            .set((messages::body.eq(RECALLED_BODY), messages::recalled.eq(true)))
            .execute(self.conn)?;
        for uncounted in [target.get(), seq] {
            const UNCOUNT: &str = concat!(
                "INSERT INTO uncounted_blocks (conversation_id, block, uncounted) VALUES ($1, $2 / ",
                block_seqs!(),
                ", 1) ON CONFLICT (conversation_id, block) DO UPDATE SET uncounted = uncounted + 1"
            );
            self.conn.run(Statement::new(UNCOUNT).number(group).number(uncounted))?;
        }
        self.grow(group, seq)?;
        let roster = self.rosters.of(self.conn, group)?;
        Ok(self.appended(seq, None, roster))
    }

    /// Moves the end of a group on to `seq`.
    fn grow(&mut self, group: i64, seq: i64) -> QueryResult<()> {
        const GROW: &str = "UPDATE conversations SET last_seq = $1, \
             changed_at = CASE WHEN changed_at <= $2 THEN $3 ELSE changed_at END WHERE id = $4";
        let grow = Statement::new(GROW).number(seq).number(self.at - STEP_MS).number(self.at).number(group);
        self.conn.run(grow).map(drop)
    }

    /// Makes a repeat a change that all members see, where the last one was longer ago than a sync looks back.
    fn touch_group(&mut self, group: i64) -> QueryResult<()> {
        const TOUCH: &str = "UPDATE conversations SET changed_at = $1 WHERE id = $2 AND changed_at < $3";
        let touch = Statement::new(TOUCH).number(self.at).number(group).number(self.at - REPEATED_AFTER_MS);
        self.conn.run(touch).map(drop)
    }

    pub(super) fn mark_in_group(
        &mut self,
        who: &OpenId,
        group: &GroupId,
        wanted: i64,
        kind: MarkKind,
    ) -> Result<Outcome, Trouble> {
        let Some(member) = self.member(group, who)? else { return Ok(Outcome::Refused(Refusal::NotFound)) };
        let (before, set) = match kind {
            MarkKind::Read => (member.read_seq, SET_READ),
            MarkKind::Cleared => (member.cleared_seq, SET_CLEARED),
            // Groups have no marks of what was received.
            MarkKind::Recv => return Ok(Outcome::Mark { seq: Seq::ZERO, moved: false, to_peer: false }),
        };
        let wanted = wanted.min(member.last_seq);
        let moved = wanted > before;
        if moved {
            let set = Statement::new(set).number(wanted).number(self.at - STEP_MS).number(self.at);
            self.conn.run(set.number(member.id).text(who.as_str()))?;
        }
        Ok(Outcome::Mark { seq: Seq::parse(wanted.max(before)).unwrap_or_default(), moved, to_peer: false })
    }
}

macro_rules! set_mark {
    ($column:literal) => {
        concat!(
            "UPDATE members SET ",
            $column,
            " = $1, changed_at = CASE WHEN changed_at <= $2 THEN $3 ELSE changed_at END \
             WHERE conversation_id = $4 AND openid = $5"
        )
    };
}

const SET_READ: &str = set_mark!("read_seq");
const SET_CLEARED: &str = set_mark!("cleared_seq");
