//! Writes about groups: one call of `hongyan_commit_groups` (in `postgres/groups.sql`) in the transaction of their
//! batch. A batch without any makes none, and one that has nothing else makes no other.

use std::collections::HashMap;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text};

use super::codes::{Op, RowOutcome};
use super::{functions, mark, seq};
use crate::event::{Conversation, Message, ReceiptKind, Refusal};
use crate::ids::{GroupId, Kind, OpenId, Seq};
use crate::store::conversations::Clear;
use crate::store::database::conn;
use crate::store::database::error::Trouble;
use crate::store::lanes::batch::{Outcome, Roster, repeat};
use crate::store::lanes::command::Order;
use crate::store::messages::{Admission, Append};
use crate::store::readers::query::unreadable;
use crate::store::receipts::Mark;
use crate::store::{StoreLimits, Write};

/// The call, with the writes about groups as its columns.
#[derive(Default)]
pub(super) struct GroupCall {
    /// Where each stands in the batch.
    places: Vec<usize>,
    ops: Vec<i16>,
    senders: Vec<String>,
    groups: Vec<String>,
    ids: Vec<Option<String>>,
    kinds: Vec<Option<String>>,
    bodies: Vec<Option<String>>,
    numbers: Vec<i64>,
    now: i64,
    recall_ms: i64,
}

impl GroupCall {
    /// None where nothing of the batch is about a group.
    pub(super) fn new(writes: &[Write], now: i64, limits: StoreLimits) -> Option<Self> {
        let mut call = Self { now, recall_ms: limits.recall_within_ms, ..Self::default() };
        for (place, write) in writes.iter().enumerate() {
            match write {
                Write::Append(append) => {
                    let Append { draft, .. } = append;
                    let Conversation::Group(group) = &draft.conversation else { continue };
                    call.row(Op::of(append), draft.sender.as_str(), group, draft.target.map_or(0, Seq::get));
                    call.ids.push(draft.client_msg_id.as_ref().map(|id| id.as_str().to_owned()));
                    call.kinds.push(Some(draft.kind.as_str().to_owned()));
                    call.bodies.push(Some(draft.body.to_string()));
                }
                Write::Mark(Mark { receipt: w }) => {
                    let Conversation::Group(group) = &w.conversation else { continue };
                    let op = match w.kind {
                        ReceiptKind::Read => Op::Read,
                        ReceiptKind::Recv => Op::Recv,
                    };
                    call.plain_row(op, w.openid.as_str(), group, w.seq.get());
                }
                Write::Clear(Clear { openid, conversation, up_to }) => {
                    let Conversation::Group(group) = conversation else { continue };
                    call.plain_row(Op::Clear, openid.as_str(), group, up_to.map_or(i64::MAX, Seq::get));
                }
                Write::Command(queued) => {
                    let Order::Conversation(Conversation::Group(group)) = queued.command.order() else {
                        continue;
                    };
                    call.plain_row(Op::Place, "", &group, 0);
                }
                Write::Block(_) => continue,
            }
            call.places.push(place);
        }
        (!call.places.is_empty()).then_some(call)
    }

    fn row(&mut self, op: Op, sender: &str, group: &GroupId, number: i64) {
        self.ops.push(op.number());
        self.senders.push(sender.to_owned());
        self.groups.push(group.as_str().to_owned());
        self.numbers.push(number);
    }

    /// Adds a row without a message.
    fn plain_row(&mut self, op: Op, sender: &str, group: &GroupId, number: i64) {
        self.row(op, sender, group, number);
        self.ids.push(None);
        self.kinds.push(None);
        self.bodies.push(None);
    }

    /// Puts the outcomes in their places.
    pub(super) fn run(
        &self,
        conn: &mut PgConnection,
        writes: &[Write],
        outcomes: &mut [Outcome],
        now: i64,
    ) -> Result<(), Trouble> {
        let rows = self.load::<GroupRow>(conn)?;
        if rows.len() != self.places.len() {
            let reason =
                format!("hongyan_commit_groups answered {} of {} writes", rows.len(), self.places.len());
            return Err(Trouble::Gone { reason, asked: true });
        }
        let mut rosters = HashMap::new();
        for ((place, group), row) in self.places.iter().zip(&self.groups).zip(rows) {
            if let Some(roster) = &row.roster {
                let members = roster.iter().map(|openid| OpenId::parse(openid).map_err(unreadable));
                rosters.insert(group, Roster::Group(members.collect::<QueryResult<_>>()?));
            }
            if let (Some(write), Some(place)) = (writes.get(*place), outcomes.get_mut(*place)) {
                *place = outcome(write, row, rosters.get(group), now);
            }
        }
        Ok(())
    }
}

impl QueryFragment<Pg> for GroupCall {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT batch.* FROM ");
        out.push_sql(conn::DURABLE);
        out.push_sql(" AS durable, ");
        out.push_sql(&functions::GROUPS_FUNCTION.name);
        out.push_sql("(");
        out.push_bind_param::<Array<SmallInt>, _>(&self.ops)?;
        for texts in [&self.senders, &self.groups] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Text>, _>(texts)?;
        }
        for texts in [&self.ids, &self.kinds, &self.bodies] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Text>>, _>(texts)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.numbers)?;
        for number in [&self.now, &self.recall_ms] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(number)?;
        }
        out.push_sql(") AS batch");
        Ok(())
    }
}

impl QueryId for GroupCall {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for &GroupCall {
    type SqlType = (
        SmallInt,
        Nullable<BigInt>,
        Nullable<Bool>,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<Bool>,
        Nullable<Array<Text>>,
    );
}

impl RunQueryDsl<PgConnection> for &GroupCall {}

#[derive(Queryable)]
struct GroupRow {
    outcome: i16,
    seq: Option<i64>,
    has_moved: Option<bool>,
    kind: Option<String>,
    body: Option<String>,
    sent_at: Option<i64>,
    target: Option<i64>,
    recalled: Option<bool>,
    roster: Option<Vec<String>>,
}

fn outcome(write: &Write, row: GroupRow, roster: Option<&Roster>, now: i64) -> Outcome {
    let at = row.seq.unwrap_or(0);
    match (write, RowOutcome::of(row.outcome), roster) {
        (Write::Append(_), Some(RowOutcome::Stored), Some(roster)) => {
            Outcome::Appended { seq: seq(at), sent_at: now, quote: None, roster: roster.clone() }
        }
        (Write::Append(append), Some(RowOutcome::Repeated), Some(roster)) => {
            let Ok(kind) = Kind::parse(row.kind.as_deref().unwrap_or_default()) else {
                return Outcome::Refused(Refusal::Unavailable);
            };
            let stored = Message {
                seq: seq(at),
                sender: append.draft.sender.clone(),
                kind,
                body: row.body.unwrap_or_default().into(),
                sent_at: row.sent_at.unwrap_or(0),
                client_msg_id: append.draft.client_msg_id.clone(),
                recalled: row.recalled.unwrap_or(false),
                target: row.target.map(seq),
                quote: None,
            };
            repeat(append, stored, false, roster.clone())
        }
        (
            Write::Append(Append { admission: Admission::RepeatsOnly(why), .. }),
            Some(RowOutcome::Refused),
            _,
        ) => Outcome::Refused(*why),
        (_, Some(RowOutcome::NotFound), _) => Outcome::Refused(Refusal::NotFound),
        (Write::Append(_), Some(RowOutcome::RecallExpired), _) => Outcome::Refused(Refusal::RecallExpired),
        (Write::Mark(_) | Write::Clear(_), Some(RowOutcome::Mark), _) => {
            mark((at, row.has_moved.unwrap_or(false)), false)
        }
        // A command does its work behind the call.
        (Write::Command(_), Some(RowOutcome::Done), _) => Outcome::Done,
        _ => Outcome::Refused(Refusal::Unavailable),
    }
}
